"""What one Raft member may be told to do differently; times in ticks, sizes in bytes.

A tick is whatever the caller makes of it (the ledger engine: one millisecond).  Everything has
the safe value by default.
"""

from dataclasses import dataclass
from typing import Final

from consensus.types import NodeId

UNLIMITED: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``election_ticks``: a leader silent for so long is missed, and nobody votes before.

    The timeout of one member is drawn anew, uniformly from ``election_ticks`` to
    ``election_ticks + election_spread - 1``, whenever it changes its role.
    ``lease_reads``: answer reads without asking anybody; true only while clocks drift little.
    ``commit_by_refusal``: refused votes tell what is committed.  Without it a group can get
    stuck: only members that were removed know of their removal, and they vote for nobody.
    ``commit_ahead``: hand on committed entries whose own write is still under way; for callers
    who apply in the order in which they write.
    ``inflight_bytes_max``: 0 for no limit.
    ``committed_bytes_max``: entries handed on and not applied yet.
    """

    self_id: NodeId
    epoch: int = 0
    election_ticks: int
    election_spread: int
    heartbeat_ticks: int
    pre_vote: bool = True
    check_quorum: bool = True
    lease_reads: bool = False
    forward_proposals: bool = True
    validate_changes: bool = True
    step_down_on_removal: bool = True
    commit_by_refusal: bool = True
    commit_ahead: bool = True
    message_entries_max: int = UNLIMITED
    message_bytes_max: int = UNLIMITED
    inflight_messages_max: int = UNLIMITED
    inflight_bytes_max: int = 0
    uncommitted_bytes_max: int = UNLIMITED
    committed_bytes_max: int = UNLIMITED

    def __post_init__(self) -> None:
        if not 1 <= self.heartbeat_ticks < self.election_ticks:
            raise ValueError("heartbeats must be more frequent than elections")
        if self.election_spread < 1:
            raise ValueError("the spread of election timeouts must be at least 1")
        if self.lease_reads and not self.check_quorum:
            raise ValueError("reads under a lease must have the leader check its quorum")
