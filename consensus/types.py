"""The words that ordering shares with its neighbours: ids, proposals, records, committees.

Engines know a block as a ``Proposal``: its place, its digest, and opaque bytes.  Bodies
(the transactions) stay with the driver, which makes them durable before anything leaves that
promises to have them.
"""

from dataclasses import field
from typing import Final, NewType, Protocol

from consensus.frozen import dataclass
from consensus.quorum import byzantine_faults_max, byzantine_quorum, majority

NodeId = NewType("NodeId", str)
Digest = NewType("Digest", bytes)

HEADER_BYTES_MAX: Final = 1024
BLOCK_TRANSACTIONS_MAX: Final = 8192
U63_MAX: Final = (1 << 63) - 1


class Rng(Protocol):
    """The only randomness an engine may use; injected, so that a run replays from its seed."""

    def randrange(self, start: int, stop: int) -> int: ...


@dataclass(frozen=True, slots=True)
class Member:
    """A voting institution: its id and its 32-byte Ed25519 consensus key."""

    id: NodeId
    key: bytes


@dataclass(frozen=True, slots=True)
class Committee:
    """The voters of one epoch, ascending by id; positions are signer indexes."""

    epoch: int
    members: tuple[Member, ...]
    # Follow from ``members``; every message asks for them.
    ids: tuple[NodeId, ...] = field(init=False, repr=False, compare=False)
    byzantine_quorum: int = field(init=False, repr=False, compare=False)
    _positions: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = tuple([member.id for member in self.members])
        if not ids or list(ids) != sorted(set(ids)):
            raise ValueError("members must be non-empty, unique and ascending by id")
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "byzantine_quorum", byzantine_quorum(len(ids)))
        positions = {str(member): position for position, member in enumerate(ids)}
        object.__setattr__(self, "_positions", positions)

    @property
    def faults_max(self) -> int:
        return byzantine_faults_max(len(self.members))

    @property
    def majority(self) -> int:
        return majority(len(self.members))

    def index(self, node: str) -> int | None:
        return self._positions.get(node)

    def key(self, node: str) -> bytes | None:
        position = self.index(node)
        return None if position is None else self.members[position].key


@dataclass(frozen=True, slots=True)
class Era:
    """One committee under one engine ("pbft" or "raft"); ``committee.epoch`` counts eras.

    ``from_height`` is the first height that it orders.  ``observers`` follow without voting;
    they may change while the era lasts.
    """

    engine: str
    committee: Committee
    from_height: int = 1
    observers: tuple[NodeId, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A block as engines see it.

    ``digest`` is the body digest (no view or term inside), ``header`` the canonical header it
    covers, ``txids`` the 32-byte transaction ids in order, concatenated: enough for a peer to
    fill the body in from its own pool and to ask for what it lacks.  ``barrier``: the block may
    change the committee, so nothing is ordered on top of it before it is final and applied.
    Whoever validates the body derives it from there and refuses a proposal that differs.
    """

    height: int
    parent: bytes
    digest: bytes
    header: bytes
    txids: bytes
    barrier: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.height <= U63_MAX:
            raise ValueError("height out of range")
        if len(self.parent) != 32 or len(self.digest) != 32:
            raise ValueError("digests are 32 bytes")
        if len(self.header) > HEADER_BYTES_MAX:
            raise ValueError("header too long")
        if len(self.txids) % 32 or len(self.txids) > 32 * BLOCK_TRANSACTIONS_MAX:
            raise ValueError("transaction ids are 32 bytes each, within the block limit")


@dataclass(frozen=True, slots=True)
class Applied:
    """What the ledger on disk has reached: restart hands this to the engine.

    ``position`` is the engine's own coordinate of that block (Raft: log index; PBFT: height);
    it is written in the same atomic batch as the block's state.
    """

    height: int
    digest: bytes
    position: int


# Records: what an engine asks to be written, atomically and in order, before it promises.
# Keys live in a namespace of the engine's own; the store neither reads nor rewrites them.


@dataclass(frozen=True, slots=True)
class Put:
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    key: bytes


@dataclass(frozen=True, slots=True)
class DeleteRange:
    """Delete every key with ``lo <= key < hi``."""

    lo: bytes
    hi: bytes


Record = Put | Delete | DeleteRange


@dataclass(frozen=True, slots=True)
class Statement:
    """Something a member puts its name to at most once per ``(kind, epoch, round, height)``.

    ``kind``: ``vote`` (Raft), ``prepare``, ``commit``, ``view-change``, ``new-view``,
    ``suspect`` (PBFT).  ``round`` is the term or view.  ``digest`` tells two statements of the
    same slot apart.  ``signed`` is the exact message to sign, or None when the transport's
    authentication is enough (Raft).
    """

    kind: str
    epoch: int
    round: int
    height: int
    digest: bytes
    signed: bytes | None


@dataclass(frozen=True, slots=True)
class Check:
    """One signature to verify before a message may be stepped: ``key`` over ``message``."""

    key: bytes
    message: bytes
    signature: bytes
