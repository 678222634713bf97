"""Lineage: the proof of who the members are, link by link from those who founded the network.

A link crosses one barrier.  Its checkpoint is certified by the quorum of the era that ends
there; the last leaf under it is the barrier's seal; the seal carries the digest of the era that
begins; the row of that era names its members, their keys and its engine.  So whoever trusts the
founders, or a policy of any later era, learns the policies of all eras after it from a file.

Which era vouches for a tree head follows from its size alone: up to the size of a barrier's
checkpoint the era that ends there and those before it, above it those that follow.

Owns: links, their encodings, following them, the choice of the policy for a tree head.
Refuses: trust (that is the start, which the verifier brings along), and judging whether a
quorum of an ended era was bought later: for tree heads of its own time nothing can show that.
Invariant: every policy after the start is named by a quorum of the policy before it.
"""

import enum
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from consensus import wire
from consensus.codec import Malformed
from node.ledger import checkpoint as heads
from node.ledger import merkle
from node.ledger.block import SEAL_BYTES_MAX, SEAL_TAG, BlockMalformed, Seal, decode_seal
from node.ledger.checkpoint import Checkpoint, CheckpointMalformed, Policy, VerifierKey
from node.ledger.eras import Era, era_digest
from node.ledger.genesis import Genesis, voters_of

FORMAT: Final = "chartseal/lineage/v1"
LINKS_MAX: Final = 4096
BYTES_MAX: Final = 32 << 20
JSON_BYTES_MAX: Final = 128 << 20
PATH_HASHES_MAX: Final = 63
_VERSION: Final = 1

Quorum = Callable[[str, int], int]
"""How many of so many members decide under an engine: the rule is ordering's, not ours."""


class LineageMalformed(ValueError):
    """The bytes are not a lineage.  Never quotes the content."""


class Reason(enum.StrEnum):
    """Why a well-formed lineage proves nothing.  Stable: clients and documents use them."""

    EPOCH_ORDER = "epoch-order"  # a link is missing, doubled, or at the wrong place
    NOTE_MALFORMED = "note-malformed"
    WRONG_LOG = "wrong-log"
    SEAL_MALFORMED = "seal-malformed"
    HEIGHT_MISMATCH = "height-mismatch"  # the era does not begin above the barrier
    HEIGHT_ORDER = "height-order"  # the barrier lies below the era that it ends
    SIZE_ORDER = "size-order"
    SEAL_NOT_LAST = "seal-not-last"
    ERA_MISMATCH = "era-mismatch"
    SEAL_MISMATCH = "seal-mismatch"
    QUORUM_MISSING = "quorum-missing"
    ERA_MALFORMED = "era-malformed"
    CONFLICT = "conflict"  # two lineages of one network that contradict each other


class LineageInvalid(Exception):
    """A lineage that does not hold; ``reason`` says why, ``epoch`` at the link to which."""

    def __init__(self, reason: Reason, epoch: int, detail: str) -> None:
        super().__init__(f"{reason}: link to epoch {epoch}: {detail}")
        self.reason = reason
        self.epoch = epoch


@dataclass(frozen=True, slots=True)
class Link:
    """How ``era`` began.  ``note``: the barrier's certified checkpoint; ``seal``: the barrier's
    seal as leaf data, ``path`` its inclusion as the last leaf; raises ``LineageMalformed``
    beyond the limits."""

    note: bytes
    seal: bytes
    path: tuple[bytes, ...]
    era: Era

    def __post_init__(self) -> None:
        if len(self.note) > heads.NOTE_BYTES_MAX:
            raise LineageMalformed(f"checkpoint beyond {heads.NOTE_BYTES_MAX} bytes")
        if len(self.seal) > SEAL_BYTES_MAX + len(SEAL_TAG):
            raise LineageMalformed("seal too long")
        if len(self.path) > PATH_HASHES_MAX or any(len(node) != 32 for node in self.path):
            raise LineageMalformed(f"a path is up to {PATH_HASHES_MAX} hashes of 32 bytes")


@dataclass(frozen=True, slots=True)
class Lineage:
    """All links from epoch 1 on, ascending; none while the founders' era lasts."""

    links: tuple[Link, ...]

    def __post_init__(self) -> None:
        if len(self.links) > LINKS_MAX:
            raise LineageMalformed(f"more than {LINKS_MAX} links")


# --- encodings ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Form:
    version: int
    links: tuple[Link, ...]


def encode(lineage: Lineage) -> bytes:
    """Return the canonical bytes."""
    return wire.encode(_Form(_VERSION, lineage.links))


def decode(raw: bytes, *, size_max: int = BYTES_MAX) -> Lineage:
    """Return the lineage in canonical bytes; raises ``LineageMalformed``."""
    try:
        form = wire.decode(_Form, raw, size_max=size_max)
    except Malformed as error:
        raise LineageMalformed(f"lineage: {error}") from error
    if form.version != _VERSION:
        raise LineageMalformed(f"lineage of version {form.version}, this is {_VERSION}")
    return Lineage(form.links)


def to_json(lineage: Lineage) -> str:
    """Return the lineage as JSON text: field names, byte strings in lower-case hex."""
    return json.dumps({"format": FORMAT, **wire.to_plain(lineage)}, indent=1) + "\n"


def from_json(text: str) -> Lineage:
    """Return the lineage in JSON ``text``; raises ``LineageMalformed``."""
    try:
        plain = heads.load_json(text, size_max=JSON_BYTES_MAX)
        if type(plain) is not dict or plain.pop("format", None) != FORMAT:
            raise LineageMalformed(f"not a {FORMAT}")
        lineage: Lineage = wire.from_plain(Lineage, plain)
    except (Malformed, CheckpointMalformed) as error:
        raise LineageMalformed(f"lineage: {error}") from error
    if wire.to_plain(lineage) != plain:
        raise LineageMalformed("byte strings are lower-case hexadecimal")
    return lineage


# --- following ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """An era that is believed.  ``policy`` counts for tree heads up to ``upto`` leaves, whose
    root is ``root``; both None while nothing is known to have ended it.

    ``era`` is None when the start is a policy (it names neither epoch nor engine), ``epoch``
    too as long as no link says which one it is.
    """

    policy: Policy
    epoch: int | None
    era: Era | None
    upto: int | None = None
    root: bytes | None = None


def founding_era(genesis: Genesis) -> Era:
    """Return the era that orders the first block."""
    return Era(0, genesis.engine, 1, voters_of(0, genesis.validators).members)


def policy_of_era(era: Era, *, origin: str, network: bytes, quorum: Quorum) -> Policy:
    """Return whose cosignatures count while ``era`` lasts; raises ``CheckpointMalformed`` when
    its members make no policy (two of them with one key)."""
    members = tuple(
        (item.id, VerifierKey(heads.cosigner_name(origin, item.id), item.cosigner_key))
        for item in era.members
    )
    return Policy(origin, network, members, quorum(era.engine, len(members)))


def follow(
    start: Genesis | Policy, links: Sequence[Link], *, quorum: Quorum
) -> tuple[Step, ...]:
    """Return the eras from ``start`` on, each proven by the one before it.

    A policy may be that of any era: what it certifies decides where it begins; links before it
    are looked at for their order only.  Raises ``LineageInvalid`` with the first link that does
    not hold.
    """
    for expected, link in enumerate(links, start=1):
        if link.era.epoch != expected:
            raise LineageInvalid(
                Reason.EPOCH_ORDER, link.era.epoch, f"where epoch {expected} belongs"
            )
    now, at = _start(start, links, quorum)
    steps: list[Step] = []
    size = 0
    for link in links[at:]:
        head, after = _cross(now, link, size, quorum)
        size = head.size
        steps.append(replace(now, upto=size, root=head.root))
        now = after
    return (*steps, now)


def _start(start: Genesis | Policy, links: Sequence[Link], quorum: Quorum) -> tuple[Step, int]:
    """Return the first step and how many links lie before it."""
    if isinstance(start, Genesis):
        era = founding_era(start)
        policy = policy_of_era(era, origin=start.origin, network=start.network, quorum=quorum)
        return Step(policy, 0, era), 0
    if not links:
        return Step(start, None, None), 0
    # The same members may form an era again later: begin as early as the policy can vouch.
    if not _certifies(start, links[0].note):
        wanted = _comparable(start)
        for at, link in enumerate(links, start=1):
            named = _named(link.era, start, quorum)
            if named is not None and _comparable(named) == wanted:
                return Step(start, link.era.epoch, link.era), at
    return Step(start, 0, None), 0


def _certifies(policy: Policy, note: bytes) -> bool:
    try:
        return len(heads.count_valid(note, policy)) >= policy.quorum
    except CheckpointMalformed:
        return False


def _named(era: Era, like: Policy, quorum: Quorum) -> Policy | None:
    try:
        return policy_of_era(era, origin=like.origin, network=like.network, quorum=quorum)
    except CheckpointMalformed:
        return None


def _comparable(policy: Policy) -> tuple[str, bytes, frozenset[object], int]:
    return policy.origin, policy.network, frozenset(policy.members), policy.quorum


def _cross(now: Step, link: Link, size: int, quorum: Quorum) -> tuple[Checkpoint, Step]:
    """Return the tree head that ends ``now`` and the era after it; cheap checks come first."""
    era, policy = link.era, now.policy

    def refuse(reason: Reason, detail: str) -> LineageInvalid:
        return LineageInvalid(reason, era.epoch, detail)

    try:
        head, _ = heads.parse_note(link.note)
    except CheckpointMalformed as error:
        raise refuse(Reason.NOTE_MALFORMED, str(error)) from error
    if head.origin != policy.origin:
        raise refuse(Reason.WRONG_LOG, "checkpoint of another log")
    try:
        seal = decode_seal(link.seal)
    except BlockMalformed as error:
        raise refuse(Reason.SEAL_MALFORMED, str(error)) from error
    _check_place(now, link, seal, head, size)
    if era_digest(era) != seal.members_digest:
        raise refuse(Reason.ERA_MISMATCH, "the seal names another era")
    if not merkle.verify_inclusion(
        merkle.leaf_hash(link.seal),
        index=head.size - 1,
        size=head.size,
        path=link.path,
        root=head.root,
    ):
        raise refuse(Reason.SEAL_MISMATCH, f"not leaf {head.size - 1}")
    try:
        signers = heads.count_valid(link.note, policy)
        named = policy_of_era(era, origin=policy.origin, network=policy.network, quorum=quorum)
    except CheckpointMalformed as error:
        raise refuse(Reason.ERA_MALFORMED, str(error)) from error
    if len(signers) < policy.quorum:
        raise refuse(
            Reason.QUORUM_MISSING,
            f"{len(signers)} valid cosigners of the era before, {policy.quorum} needed",
        )
    return head, Step(named, era.epoch, era)


def _check_place(now: Step, link: Link, seal: Seal, head: Checkpoint, size: int) -> None:
    """The seal closes the block below the new era and is the last leaf of the log."""
    epoch, from_height = link.era.epoch, link.era.from_height
    if from_height != seal.height + 1:
        raise LineageInvalid(
            Reason.HEIGHT_MISMATCH, epoch, f"from {from_height}, barrier {seal.height}"
        )
    if now.era is not None and seal.height < now.era.from_height:
        raise LineageInvalid(
            Reason.HEIGHT_ORDER,
            epoch,
            f"barrier {seal.height}, that era began at {now.era.from_height}",
        )
    if head.size <= size:
        raise LineageInvalid(Reason.SIZE_ORDER, epoch, f"{head.size} leaves after {size}")
    if seal.first_index + seal.count != head.size - 1:
        raise LineageInvalid(
            Reason.SEAL_NOT_LAST,
            epoch,
            f"leaf {seal.first_index + seal.count} of {head.size}",
        )


# --- trust --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trust:
    """What a verifier starts from and the eras that it has learned from there."""

    start: Genesis | Policy
    quorum: Quorum = field(repr=False)
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, start: Genesis | Policy, *, quorum: Quorum) -> "Trust":
        """Return the trust in ``start`` alone."""
        return cls(start, quorum, follow(start, (), quorum=quorum))

    @property
    def network(self) -> bytes:
        return self.steps[0].policy.network

    @property
    def origin(self) -> str:
        return self.steps[0].policy.origin

    def extended(self, links: Sequence[Link]) -> "Trust":
        """Return the trust with what ``links`` prove.

        Raises ``LineageInvalid``: they do not hold, or contradict what was learned before.
        """
        steps = follow(self.start, links, quorum=self.quorum)
        known = {step.epoch: step for step in self.steps if step.epoch is not None}
        for step in steps:
            held = None if step.epoch is None else known.get(step.epoch)
            if held is not None and _contradict(held, step):
                assert step.epoch is not None, "looked up by its epoch"
                raise LineageInvalid(
                    Reason.CONFLICT, step.epoch, "another lineage says something else"
                )
        longer = steps if _reach(steps) > _reach(self.steps) else self.steps
        return replace(self, steps=longer)

    def step_at(self, size: int) -> Step:
        """Return the era that vouches for a tree head of ``size`` leaves."""
        return next(step for step in self.steps if step.upto is None or size <= step.upto)

    def policy_at(self, size: int) -> Policy:
        """Return whose cosignatures count for a tree head of ``size`` leaves."""
        return self.step_at(size).policy

    def policy_after(self, height: int) -> Policy:
        """Return whose cosignatures count for the log right after the block at ``height``."""
        begun = (s for s in self.steps[1:] if s.era is not None and s.era.from_height <= height)
        return max(begun, key=lambda step: step.epoch or 0, default=self.steps[0]).policy


def _contradict(one: Step, other: Step) -> bool:
    eras = one.era is not None and other.era is not None and one.era != other.era
    ends = one.upto is not None and other.upto is not None
    return eras or (ends and (one.upto, one.root) != (other.upto, other.root))


def _reach(steps: tuple[Step, ...]) -> int:
    newest = steps[-1].epoch
    return -1 if newest is None else newest


Trusted = Policy | Trust
"""A verifier's trust: one policy for every tree head, or one for each era."""


def policy_for(trusted: Trusted, size: int) -> Policy:
    """Return whose cosignatures count for a tree head of ``size`` leaves."""
    return trusted if isinstance(trusted, Policy) else trusted.policy_at(size)


def widened(trusted: Trusted, links: Sequence[Link]) -> Trusted:
    """Return ``trusted`` with what ``links`` prove; a bare policy stays what it is."""
    if not links or isinstance(trusted, Policy):
        return trusted
    return trusted.extended(links)
