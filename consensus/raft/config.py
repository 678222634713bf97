"""Timing and limits of one Raft member; times in milliseconds, sizes in bytes.

Members may differ in all of it but the committee.  Defaults suit institutions on a wide-area
network: a leader is missed after one to two seconds.
"""

from dataclasses import dataclass

from consensus.raft.messages import MESSAGE_ENTRIES_MAX
from consensus.raft.settings import Settings
from consensus.types import Committee, NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class RaftConfig:
    """``window`` is how many blocks a leader may have ordered and not yet committed.

    ``log_keep_entries``: executed entries kept for slow followers before compaction halves
    them; ``log_keep_bytes`` bounds the same in memory.
    ``uncommitted_bytes_max``: blocks that a leader has appended and nobody executed yet.
    ``committed_bytes_max``: blocks handed on that our own ledger has not executed.
    ``voters``: who votes at the start, if it is not the whole committee; later the log says.
    ``first_leader``: whom everybody's vote in term 1 goes to when the log begins (founding.py);
    every member must be told the same.  None: the first leader is elected.
    ``lease_reads``: answer reads without asking the others; trusts everybody's clock.
    """

    self_id: NodeId
    committee: Committee
    election_ms_min: int = 1000
    election_ms_spread: int = 1000
    heartbeat_ms: int = 100
    window: int = 1
    inflight_messages_max: int = 64
    inflight_bytes_max: int = 8 << 20
    message_entries_max: int = 64
    message_bytes_max: int = 1 << 20
    log_keep_entries: int = 2048
    log_keep_bytes: int = 64 << 20
    uncommitted_bytes_max: int = 64 << 20
    committed_bytes_max: int = 64 << 20
    lease_reads: bool = False
    voters: tuple[NodeId, ...] = ()
    first_leader: NodeId | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.heartbeat_ms < self.election_ms_min:
            raise ValueError("heartbeats must be more frequent than elections")
        if self.first_leader is not None and self.committee.index(self.first_leader) is None:
            raise ValueError("the first leader is a member")
        if not 1 <= self.message_entries_max <= MESSAGE_ENTRIES_MAX:
            raise ValueError(f"message_entries_max must be 1 to {MESSAGE_ENTRIES_MAX}")
        positive = (
            self.election_ms_spread,
            self.window,
            self.inflight_messages_max,
            self.inflight_bytes_max,
            self.message_bytes_max,
            self.log_keep_entries,
            self.log_keep_bytes,
            self.uncommitted_bytes_max,
            self.committed_bytes_max,
        )
        if min(positive) < 1:
            raise ValueError("limits must be at least 1")

    def settings(self) -> Settings:
        """The same for the core, whose tick is a millisecond here."""
        return Settings(
            self_id=self.self_id,
            epoch=self.committee.epoch,
            election_ticks=self.election_ms_min,
            election_spread=self.election_ms_spread,
            heartbeat_ticks=self.heartbeat_ms,
            lease_reads=self.lease_reads,
            # A block names its parent: only who sees the log's end can make the next one.
            forward_proposals=False,
            message_entries_max=self.message_entries_max,
            message_bytes_max=self.message_bytes_max,
            inflight_messages_max=self.inflight_messages_max,
            inflight_bytes_max=self.inflight_bytes_max,
            uncommitted_bytes_max=self.uncommitted_bytes_max,
            committed_bytes_max=self.committed_bytes_max,
        )
