"""Contradictions: what one member signed and no honest member signs, proven by a pure function.

An auditor with the committee of the epoch needs nothing else.  The kinds, and why an honest
member is never caught by them, also not after a restart, and whatever the others do:

``prepare``, ``commit``: two signatures for different content in one (epoch, view, height).
    The sign guard keeps one digest per slot on disk before the signature is made.  The prepare
    inside a PrePrepare is the same signed statement and counts as one.
``view-change``, ``new-view``: two signatures for different messages of one view.  Same guard;
    and both messages are written before they leave, so that a restart repeats them.
``amnesia``: a commit in view v at height h, and a ViewChange to a view above v from a final
    block below h that shows no certificate at h of view v or later.  Which of the two came
    first does not matter: the guard refuses a commit below a stated ViewChange, and a member
    that commits holds the certificate on disk until the block is final.  It may show less for
    one reason only: below h, a view later than v decided or prepared something else, which cuts
    the chain that it may show.  Then the view change names that later view itself, in a
    certificate at a lower height, and nothing is proven.
``choice``: a NewView whose proposals do not follow from the view changes inside it.  The rule
    is a pure function of these (``select``), so its primary cannot have erred.  The signatures
    inside need no check: an honest primary signs the right choice or nothing.

Not here, because honest members do it: a prepare or a commit in view v beside a ViewChange to
a later view (the order of two statements does not show), and two suspicions.

A member restored from an old backup looks exactly like a liar.  Hence a contradiction is a
reason to ask, never to act by itself.
Refused: pairs of different members, epochs or slots, equal pairs, a second encoding of any
proven pair.  The first four kinds take at most ``STATEMENTS_BYTES_MAX`` bytes; the others are
as long as the messages that they carry.
"""

from typing import Final

from consensus import certs, wire
from consensus.codec import Malformed
from consensus.effects import Contradiction
from consensus.frozen import dataclass
from consensus.pbft.dialect import signed_bytes, statement
from consensus.pbft.messages import NewView, Signed, ViewChange
from consensus.pbft.select import select
from consensus.types import Check, Committee, NodeId
from consensus.wire import Tagged

AMNESIA: Final = "amnesia"
CHOICE: Final = "choice"
STATED_KINDS: Final = ("commit", "new-view", "prepare", "view-change")
KINDS: Final = (*STATED_KINDS, AMNESIA, CHOICE)
STATEMENTS_BYTES_MAX: Final = 1024
EVIDENCE_BYTES_MAX: Final = (4 << 20) + 64  # a NewView that fills a frame
_HEIGHT_FREE: Final = ("new-view", "view-change")  # one per view, whatever the height


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """One signature and what it binds: enough to check it, without the message around it.

    ``digest``: ``proposal_hash`` (prepare), body digest (commit), or hash of the whole message
    (view change, new view; ``height`` is 0 then).
    """

    kind: str
    epoch: int
    view: int
    height: int
    digest: bytes
    signer: str
    signature: bytes

    def __post_init__(self) -> None:
        certs.check_limits(self.epoch, self.view, self.height)
        if self.kind not in STATED_KINDS:
            raise ValueError("no statement of that kind can contradict another")
        if self.kind in _HEIGHT_FREE and self.height:
            raise ValueError("a view has no height")
        if len(self.digest) != 32:
            raise ValueError("digests are 32 bytes")
        if not 1 <= len(self.signer) <= 63:
            raise ValueError("signer id length out of range")
        if not 1 <= len(self.signature) <= certs.SIGNATURE_BYTES_MAX:
            raise ValueError("signature length out of range")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Both halves, each under its tag; ``second`` is empty when one message convicts alone."""

    first: bytes
    second: bytes


Part = SignedStatement | ViewChange | NewView
_PARTS: Final = Tagged({1: SignedStatement, 2: ViewChange, 3: NewView})


def signed_statement(message: Signed, network: bytes) -> SignedStatement | None:
    """Return what the author of a signed ``message`` put its name to; None for a suspicion."""
    stated = statement(message, network)
    if stated is None or stated.kind not in STATED_KINDS:
        return None
    return SignedStatement(
        stated.kind,
        stated.epoch,
        stated.round,
        stated.height,
        stated.digest,
        message.signer,
        message.signature,
    )


def conflicting(one: SignedStatement, other: SignedStatement) -> Contradiction | None:
    """Return the contradiction of two statements; None when an honest member may sign both."""

    def place(said: SignedStatement) -> tuple[str, str, int, int, int]:
        return said.signer, said.kind, said.epoch, said.view, said.height

    if place(one) != place(other) or one.digest == other.digest:
        return None
    return _contradiction(one.kind, one, other, view=one.view, height=one.height)


def forgotten(commit: SignedStatement, change: ViewChange) -> Contradiction | None:
    """Return the amnesia that ``change`` shows about ``commit``; None when it shows none."""
    same = (commit.signer, commit.epoch) == (change.signer, change.epoch)
    if commit.kind != "commit" or not same:
        return None
    if commit.view >= change.view or commit.height <= change.height:
        return None
    if change.certificate:
        try:
            decided = certs.decode_commit(change.certificate)
        except Malformed:
            return None  # no member takes such a view change
        if decided.view > commit.view:
            return None  # a later view decided the block below: the chain may be another one
    for shown in change.prepared:
        if shown.view > commit.view:
            return None  # likewise, or the certificate at the height itself is newer
        own = shown.proposal.height == commit.height and shown.view == commit.view
        if own and shown.proposal.digest == commit.digest:
            return None
    return _contradiction(AMNESIA, commit, change, view=change.view, height=commit.height)


def wrong_choice(message: NewView) -> Contradiction | None:
    """Return what ``message`` proves against its own primary; None when it chose right."""
    if not message.view_changes or select(message.view_changes).chosen == message.chosen:
        return None
    whole = _PARTS.encode(message)
    place = (NodeId(message.signer), message.epoch, message.view, 0)
    return Contradiction(CHOICE, *place, whole, b"")


def _contradiction(
    kind: str, one: Part, other: Part, *, view: int, height: int
) -> Contradiction:
    first, second = sorted((_PARTS.encode(one), _PARTS.encode(other)))
    return Contradiction(kind, NodeId(one.signer), one.epoch, view, height, first, second)


def encode(contradiction: Contradiction) -> bytes:
    """Return the canonical bytes: equal for the same pair wherever it is noticed."""
    return wire.encode(Evidence(contradiction.first, contradiction.second))


def _judge(first: Part, second: Part | None) -> Contradiction | None:
    match first, second:
        case NewView(), None:
            return wrong_choice(first)
        case SignedStatement(), SignedStatement():
            return conflicting(first, second)
        case SignedStatement(), ViewChange():
            return forgotten(first, second)
        case _:
            return None


def _check(part: Part, committee: Committee, network: bytes) -> Check:
    key = committee.key(part.signer)
    if key is None or part.epoch != committee.epoch:
        raise Malformed("evidence of another epoch or against a stranger")
    if not part.signature:
        raise Malformed("unsigned evidence")
    said = part
    if not isinstance(part, SignedStatement):
        whole = signed_statement(part, network)
        assert whole is not None
        said = whole
    assert isinstance(said, SignedStatement)
    signed = signed_bytes(
        said.kind,
        network,
        epoch=said.epoch,
        view=said.view,
        height=said.height,
        digest=said.digest,
    )
    return Check(key, signed, said.signature)


def prove(
    evidence: bytes, *, committee: Committee, network: bytes
) -> tuple[Contradiction, tuple[Check, ...]]:
    """Return what ``evidence`` proves once the returned signatures hold.

    ``committee`` is the one of the epoch in question.  ``Malformed`` for everything that is no
    contradiction, or not in its only encoding.
    """
    pair = wire.decode(Evidence, evidence, size_max=EVIDENCE_BYTES_MAX)
    first = _PARTS.decode(pair.first, size_max=EVIDENCE_BYTES_MAX)
    second = None
    if pair.second:
        second = _PARTS.decode(pair.second, size_max=EVIDENCE_BYTES_MAX)
    found = _judge(first, second)
    if found is None or encode(found) != evidence:
        raise Malformed("no contradiction")
    parts = [first] if second is None else [first, second]
    return found, tuple(_check(part, committee, network) for part in parts)
