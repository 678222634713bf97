"""Reads that wait until a majority has confirmed that their leader still leads.

Thesis 6.4.  Reads of one term are numbered in the order in which the leader took them; a
heartbeat says how many there were, its answer repeats the number.  A follower that repeats n
followed this leader after the first n reads were asked, so what a majority repeats is
confirmed, whatever got lost or came twice.
"""

from dataclasses import dataclass, field

from consensus.quorum import joint_committed_index
from consensus.raft.membership import Members
from consensus.types import NodeId


@dataclass(frozen=True, slots=True)
class WaitingRead:
    """Asked by ``reader``, who names it ``token``, when ``index`` was committed."""

    reader: NodeId
    token: int
    index: int


@dataclass(slots=True)
class Reads:
    confirmed: int = 0
    waiting: list[WaitingRead] = field(default_factory=list)
    repeated: dict[NodeId, int] = field(default_factory=dict)

    @property
    def asked(self) -> int:
        """The number that heartbeats carry; 0 when no read waits."""
        return self.confirmed + len(self.waiting) if self.waiting else 0

    def add(self, read: WaitingRead) -> None:
        self.waiting.append(read)

    def repeat(self, member: NodeId, number: int) -> None:
        self.repeated[member] = max(self.repeated.get(member, 0), number)

    def take_confirmed(self, config: Members) -> list[WaitingRead]:
        """Remove and return, oldest first, what majorities have repeated."""
        agreed = joint_committed_index(config.voters, config.voters_outgoing, self.repeated)
        count = min(agreed - self.confirmed, len(self.waiting))
        if count <= 0:
            return []
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        self.confirmed += count
        return taken
