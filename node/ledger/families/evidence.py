"""Family ``evidence``: that a member contradicted itself, provable from its signatures alone.

``evidence.votes`` shows two PBFT messages that no honest member signs both (or one that
convicts alone); ``evidence.heads`` a member's cosignature under a tree head that contradicts
one which a quorum, or the same member, cosigned at the same size.  Any institution may report:
the proof stands by itself, whoever brings it.  Members' nodes report with their institution's
identity key, as every transaction is signed; consensus keys sign votes and nothing else.

Nothing follows from it but the record: a member that was restored from an old copy looks
exactly like one that lies, and people have to decide which it is.

Recorded once for each (member, kind, epoch, round, height).  Of one member at most
``OF_ONE_MEMBER_MAX``: a liar can sign contradictions by the million, and state must not grow
with them.  Evidence about a height older than ``AGE_BLOCKS_MAX`` is refused, likewise from an
epoch more than ``AGE_EPOCHS_MAX`` ago: a key that was given up long ago may be in anybody's
hands, and what was seen is reported within minutes.  The limit is the longest that any
transaction may wait by default, so waiting alone never makes evidence too old.

State: ``evidence/<member>/<kind>/<epoch be64><round be64><height be64>`` -> ``EvidenceRow``;
``evidence-count/<member>`` -> ``CountRow``.
Index: ``e/<leaf index be64><op be16>`` -> state key of the row.
"""

from dataclasses import dataclass
from typing import Final

from consensus.codec import Malformed
from consensus.pbft import evidence as pbft
from consensus.types import Committee, Member, NodeId
from node.ledger import checkpoint as checkpoints
from node.ledger import crypto
from node.ledger.checkpoint import CheckpointMalformed
from node.ledger.eras import era_of
from node.ledger.facts.membership import quorum_of
from node.ledger.genesis import Voters
from node.ledger.lineage import policy_of_era
from node.ledger.rules import Context, Operation, Refused, Result
from node.ledger.state import Overlay, epoch_of, voters

HEADS: Final = "checkpoint"
KINDS: Final = (*pbft.KINDS, HEADS)
OF_ONE_MEMBER_MAX: Final = 64
AGE_BLOCKS_MAX: Final = 100_000
AGE_EPOCHS_MAX: Final = 8
INDEX_PREFIX: Final = b"e/"
STATE_PREFIX: Final = b"evidence/"
_PROOF_BYTES_MAX: Final = 60_000
_MEMBER_BYTES_MAX: Final = 63

EXISTS: Final = Result(120, "evidence-exists", "That contradiction is on the ledger already.")
UNPROVEN: Final = Result(121, "evidence-unproven", "It does not prove a contradiction.")
TOO_OLD: Final = Result(122, "evidence-too-old", "It is about times too long ago.")
ENOUGH: Final = Result(123, "evidence-enough", "Enough is recorded about that member.")
RESULTS: Final = (EXISTS, UNPROVEN, TOO_OLD, ENOUGH)


@dataclass(frozen=True, slots=True)
class Votes:
    """``proof``: canonical encoding of the contradicting messages."""

    proof: bytes

    def __post_init__(self) -> None:
        if not 1 <= len(self.proof) <= _PROOF_BYTES_MAX:
            raise ValueError("proof length out of range")


@dataclass(frozen=True, slots=True)
class Heads:
    """Two signed notes of one log and size with different roots.

    ``head`` bears the member's cosignature, ``against`` a quorum's or the same member's.
    """

    member: str
    epoch: int
    head: bytes
    against: bytes

    def __post_init__(self) -> None:
        if not 1 <= len(self.member) <= _MEMBER_BYTES_MAX:
            raise ValueError("member id length out of range")
        if max(len(self.head), len(self.against)) > checkpoints.NOTE_BYTES_MAX:
            raise ValueError("note too long")


@dataclass(frozen=True, slots=True)
class Place:
    """What makes a contradiction that one.  ``height`` is the log size for ``checkpoint``, and
    0 for kinds that are about a whole view."""

    member: str
    kind: str
    epoch: int
    round: int
    height: int


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """State of one recorded contradiction; ``txid`` holds the proof."""

    member: str
    kind: str
    epoch: int
    round: int
    height: int
    reporter: str
    txid: bytes
    recorded_height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class CountRow:
    count: int


def evidence_key(place: Place) -> bytes:
    numbers = (place.epoch, place.round, place.height)
    fixed = b"".join(number.to_bytes(8, "big") for number in numbers)
    return STATE_PREFIX + f"{place.member}/{place.kind}/".encode() + fixed


def count_key(member: str) -> bytes:
    return b"evidence-count/" + member.encode()


def count_of(view: Overlay, member: str) -> int:
    """Return how many contradictions of ``member`` are recorded."""
    row = view.load(CountRow, count_key(member))
    return 0 if row is None else row.count


def committee_of(voting: Voters) -> Committee:
    members = (Member(NodeId(item.id), item.consensus_key) for item in voting.members)
    return Committee(voting.epoch, tuple(members))


def _voters(context: Context, epoch: int) -> Voters:
    """Return who voted in ``epoch``, unless it is too long ago or not begun."""
    found = voters(context.view, epoch)
    if found is None:
        raise Refused(UNPROVEN)
    if epoch_of(context.view) - epoch > AGE_EPOCHS_MAX:
        raise Refused(TOO_OLD)
    return found


def _votes(context: Context, body: Votes) -> None:
    epoch = epoch_of(context.view)
    for candidate in range(epoch, max(-1, epoch - AGE_EPOCHS_MAX - 1), -1):
        committee = committee_of(_voters(context, candidate))
        try:
            found, checks = pbft.prove(body.proof, committee=committee, network=context.network)
        except Malformed:
            continue
        if not all(crypto.verify(c.key, c.message, c.signature) for c in checks):
            raise Refused(UNPROVEN)
        place = Place(found.member, found.kind, found.epoch, found.round, found.height)
        if place.height and context.height - place.height > AGE_BLOCKS_MAX:
            raise Refused(TOO_OLD)
        _record(context, place)
        return
    raise Refused(UNPROVEN)


def _heads(context: Context, body: Heads) -> None:
    _voters(context, body.epoch)  # an epoch that is over for long proves nothing any more
    try:
        head, _ = checkpoints.parse_note(body.head)
        other, _ = checkpoints.parse_note(body.against)
    except CheckpointMalformed as error:
        raise Refused(UNPROVEN) from error
    same = (head.origin, head.size) == (other.origin, other.size)
    if not same or head.root == other.root:
        raise Refused(UNPROVEN)
    era = era_of(context.view.get, body.epoch)
    if era is None:
        raise Refused(UNPROVEN)
    try:
        policy = policy_of_era(
            era,
            origin=head.origin,
            network=context.network,
            quorum=lambda engine, voters: quorum_of(engine, voters).quorum,
        )
        said = checkpoints.count_valid(body.head, policy)
        against = checkpoints.count_valid(body.against, policy)
    except CheckpointMalformed as error:  # an origin of another network, too
        raise Refused(UNPROVEN) from error
    if body.member not in said or (body.member not in against and len(against) < policy.quorum):
        raise Refused(UNPROVEN)
    _record(context, Place(body.member, HEADS, body.epoch, 0, head.size))


def _record(context: Context, place: Place) -> None:
    key = evidence_key(place)
    if context.view.get(key) is not None:
        raise Refused(EXISTS)
    count = count_of(context.view, place.member)
    if count >= OF_ONE_MEMBER_MAX:
        raise Refused(ENOUGH)
    row = EvidenceRow(
        place.member,
        place.kind,
        place.epoch,
        place.round,
        place.height,
        context.org.id,
        context.txid,
        context.height,
        context.time_ms,
    )
    context.view.save(key, row)
    context.view.save(count_key(place.member), CountRow(count + 1))
    at = context.leaf_index.to_bytes(8, "big") + context.op_index.to_bytes(2, "big")
    context.index.append((INDEX_PREFIX + at, key))


_ANYBODY: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation("evidence.votes", Votes, _votes, _ANYBODY, "Show votes that contradict."),
    Operation("evidence.heads", Heads, _heads, _ANYBODY, "Show tree heads that contradict."),
)
