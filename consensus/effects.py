"""What one turn of an engine asks of the world, as plain data.

The order is the contract: ``records`` are written (and synced), only then ``send_after``
leaves and ``deliver`` is handed on.  ``send_now`` may leave before, because nothing in it
promises anything that a crash could take back.
"""

from enum import Enum, auto
from typing import Any

from consensus.frozen import dataclass
from consensus.types import NodeId, Proposal, Record


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message for ``to``; None means every member, the sender included (looped back)."""

    to: NodeId | None
    message: Any


@dataclass(frozen=True, slots=True)
class Decided:
    """A block whose order is final.  Heights are consecutive over the engine's whole life.

    ``certificate``: encoded proof (PBFT: commit certificate that anyone can verify; Raft: term
    and index, for the record).  ``position``: see ``Applied.position``.
    """

    proposal: Proposal
    certificate: bytes
    position: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """Blocks ``lo`` to ``hi`` inclusive are final elsewhere and missing here; ``peer`` has
    them.

    The driver fetches them with their certificates, checks those, and feeds each to
    ``Engine.synced`` in order.  Repeated by the engine until the gap is closed.
    """

    peer: NodeId
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class WantPayload:
    """The engine may propose a block at ``height`` on top of ``parent`` now."""

    height: int
    parent: bytes


@dataclass(frozen=True, slots=True)
class ReadReady:
    """The answer to ``Engine.read(token)``.

    Everything that anybody was told to be final before the read was asked lies at or below
    ``height``; whoever has executed ``height`` may answer.  None: the question was lost on the
    way (a change of leader, too little answers); ask again.
    """

    token: int
    height: int | None


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two messages that one member signed and that no honest member signs both.

    ``kind`` and the place name it once; ``first`` and ``second`` are the encoded messages,
    ordered, so that the same pair gives the same bytes wherever it is noticed.
    """

    kind: str
    member: NodeId
    epoch: int
    round: int
    height: int
    first: bytes
    second: bytes


class ProposeResult(Enum):
    ACCEPTED = auto()
    NOT_LEADER = auto()  # somebody else proposes; the transactions reach it by gossip
    BUSY = auto()  # the window of in-flight blocks is full, or the proposal is not on our tip


@dataclass(frozen=True, slots=True)
class Effects:
    token: int
    records: tuple[Record, ...] = ()
    must_sync: bool = False
    bodies: tuple[Proposal, ...] = ()  # their bodies must be durable with ``records``
    send_now: tuple[Envelope, ...] = ()
    send_after: tuple[Envelope, ...] = ()
    deliver: tuple[Decided, ...] = ()
    fetch: tuple[Fetch, ...] = ()
    reads: tuple[ReadReady, ...] = ()
    evidence: tuple[Contradiction, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """One engine's view of itself, for people, metrics and tests."""

    engine: str  # "raft" or "pbft"
    role: str  # leader, follower, candidate, pre-candidate; primary, backup, view-change
    round: int  # term or view
    leader: NodeId | None
    committed: int  # highest final height known here
    delivered: int  # highest height handed on
    quorum: int
    members: int
    heard: tuple[NodeId, ...] = ()  # members heard from lately, self included
    last_round_change_ms: int = 0
