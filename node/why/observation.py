"""Everything that a diagnosis looks at, as plain values of one moment.

Owns: the facts and their bounds.  Refuses: clocks, connections, judgement, and content: ids of
members, counts, ages and codes are all there is.
Times that lie back are ages in milliseconds (``..._ago_ms``; None: never since the start), so
that a diagnosis needs no clock.  ``now_ms`` is Unix time and only says when it was.
"""

from dataclasses import dataclass
from typing import Final

PEERS_MAX: Final = 128  # voters and observers of the largest network
NAMES_MAX: Final = 32  # certificates, refusals and other lists of words


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFacts:
    """Another member.  ``sending``: our frames reach it; ``receiving``: its frames reach us."""

    id: str
    voter: bool = True
    address: str | None = None  # where we dial it; None: no address is set
    sending: bool = False
    receiving: bool = False
    linked_ago_ms: int | None = None
    parted_ago_ms: int | None = None
    heard_ago_ms: int | None = None
    kinds_ago_ms: tuple[tuple[str, int], ...] = ()  # frame type in lower case
    dial: str | None = None  # why it cannot be reached, see ``node.net.outbound.dial_code``
    dial_ago_ms: int | None = None
    refused: str | None = None  # why who claimed its name was turned away
    refused_ago_ms: int | None = None
    fault: str | None = None
    fault_ago_ms: int | None = None
    faults: int = 0
    paused_left_ms: int = 0
    rtt_ms: int | None = None
    clock_ahead_ms: int | None = None
    queued_bytes: int = 0
    evidence: int = 0  # contradictions of it on the ledger

    def kind_ago_ms(self, kind: str) -> int | None:
        """Return the age of its last frame of ``kind``."""
        return dict(self.kinds_ago_ms).get(kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate that clients see, or verify others by; ``left_ms`` below 0: it is over."""

    name: str
    left_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A contradiction that the ledger recorded last."""

    member: str
    kind: str
    height: int
    ago_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One node at one moment; the defaults are those of a node with nothing to complain of."""

    now_ms: int
    node: str
    up_ms: int = 3_600_000
    # Ordering.
    engine: str = "pbft"
    role: str = "backup"
    round: int = 0
    round_ago_ms: int | None = None
    leader: str | None = None
    quorum: int = 1
    voters: tuple[str, ...] = ()
    institution: bool = True  # the ledger knows this institution
    epoch: int = 0  # of the committee that this node's engine works with
    ledger_epoch: int = 0  # of the committee that the applied ledger names
    observer: bool = False
    keys_taken: bool = True  # the ledger names this voter's own voting keys
    height: int = 0
    committed: int = 0
    certified: int = 0
    window: int = 1
    in_flight: int = 0
    backlog: int = 0
    applied_ago_ms: int | None = None
    asked_blocks_ago_ms: int | None = None
    got_blocks_ago_ms: int | None = None
    patience_ms: int = 2_000  # an engine's own, before it suspects a leader
    transfer_to: str | None = None
    # Members.
    peers: tuple[PeerFacts, ...] = ()
    evidence: Evidence | None = None
    frames_dropped: int = 0  # for want of room, within the last minute
    # Clients.
    pool: int = 0
    pool_max: int = 1
    pool_bytes: int = 0
    pool_bytes_max: int = 1
    oldest_ms: int | None = None  # age of the transaction that waits longest
    refused: tuple[tuple[str, int, int], ...] = ()  # code, how many lately, age of the last
    suspended: bool = False
    signer_known: bool = True
    certificates: tuple[Certificate, ...] = ()
    token_expired_ago_ms: int | None = None  # a client showed one that is over
    tokens_unreadable: bool = False
    # The machine.
    disk_free_bytes: int = 1 << 40
    disk_min_bytes: int = 0
    disk_low: bool = False
    store_failure: str | None = None
    slow_write_ms: int = 0  # the slowest write of consensus records within a minute
    loop_late_ms: int = 0  # how late the event loop ran at worst within a minute
    loop_late_ago_ms: int | None = None
    descriptors: int = 0
    descriptors_max: int = 1 << 20
    memory_bytes: int = 0  # resident
    memory_left_bytes: int = 1 << 40  # before the system or its group runs out
    stopping: bool = False

    def __post_init__(self) -> None:
        if len(self.peers) > PEERS_MAX:
            raise ValueError(f"at most {PEERS_MAX} members")
        if max(len(self.certificates), len(self.refused)) > NAMES_MAX:
            raise ValueError(f"lists hold at most {NAMES_MAX}")

    def peer(self, member: str) -> PeerFacts | None:
        return next((item for item in self.peers if item.id == member), None)
