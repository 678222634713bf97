"""The state that every part of Raft shares, and the few moves that several parts make.

Owns: term, vote, role, log, commit, what has been handed on, and the outbox of the turn.  The
parts are functions over it: election.py, replication.py (leader), following.py, catchup.py;
engine.py is the door.
Invariants: term and commit never decrease; one vote per term; blocks are handed on in height
order, each once; nothing counts as durable here before ``persisted`` said so.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from consensus import codec
from consensus.effects import Decided, Envelope, Fetch
from consensus.raft.config import RaftConfig
from consensus.raft.log import Base, Entry, Log, Tip
from consensus.raft.messages import Message
from consensus.raft.progress import Progress
from consensus.raft.records import Fetched, HardState, Journal, RecordsDamaged, Restored
from consensus.types import Applied, NodeId, Proposal, Rng


class Role(Enum):
    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(slots=True)
class Write:
    """A drained batch whose sync is awaited: what it makes durable when it is."""

    token: int
    last: int  # log up to here, lowered when the log is truncated meanwhile
    hard: HardState


@dataclass(frozen=True, slots=True)
class Target:
    """Where a snapshot leads: fetch blocks up to ``base.height``, then continue at it."""

    base: Base
    source: NodeId


def certificate(entry: Entry) -> bytes:
    """Return the certificate of a block under crash faults: where the log has it."""
    return codec.encode([entry.term, entry.index])


class Core:
    def __init__(
        self, config: RaftConfig, restored: Restored, applied: Applied, *, rng: Rng, now_ms: int
    ) -> None:
        self.config = config
        self.rng = rng
        self.now_ms = now_ms
        self.term = restored.hard.term
        self.vote = restored.hard.vote
        self.role = Role.FOLLOWER
        self.leader: NodeId | None = None
        self.log = Log(restored.base, restored.entries)
        self.commit = restored.commit
        self.journal = Journal(restored)
        self.applied_height = applied.height
        self.delivered = Tip(applied.height, applied.digest)
        self.delivered_index = max(applied.position, self.log.base.index)
        self.durable = self.log.last
        self.writes: deque[Write] = deque()
        self.progress: dict[NodeId, Progress] = {}
        self.term_start = 0  # leader: index of the empty entry that opened the term
        self.votes: dict[NodeId, bool] = {}
        self.commit_floor = 0  # a leader counts us among the holders of everything up to here
        self.target: Target | None = None
        self.fetched_kept = 0  # highest height with a ``raft/synced/`` record
        self.heard_ms = now_ms  # when the leader last spoke
        self.election_due_ms = 0
        self.heartbeat_due_ms = 0
        self.quorum_since_ms = 0  # leader: start of the interval whose answers are counted
        self.fetch_due_ms = now_ms
        self.round_changed_ms = now_ms
        self.refusals: Counter[str] = Counter()
        self.send_now: list[Envelope] = []
        self.send_after: list[Envelope] = []
        self.ready: list[Decided] = []
        self.bodies: list[Proposal] = []  # of fetched blocks; the journal knows the others
        self.fetches: list[Fetch] = []
        self.rearm_election()
        self._resume(restored, applied)

    def _resume(self, restored: Restored, applied: Applied) -> None:
        """Check the log against the ledger and hand on what was fetched before a crash."""
        at = max(applied.position, self.log.base.index)
        if applied.height >= self.log.base.height and self.log.tip_at(at) != self.delivered:
            raise RecordsDamaged(f"log and ledger differ at height {applied.height}")
        if any(block.proposal.height <= applied.height for block in restored.fetched):
            self.journal.forget_fetched(applied.height)
        for block in restored.fetched:
            proposal = block.proposal
            if proposal.height > applied.height:
                self.fetched_kept = proposal.height
            follows = proposal.height == self.delivered.height + 1
            if follows and proposal.height <= self.log.base.height:
                self.hand_on_fetched(block)
        self.deliver_committed()

    # --- who we are --------------------------------------------------------------------

    @property
    def self_id(self) -> NodeId:
        return self.config.self_id

    @property
    def peers(self) -> tuple[NodeId, ...]:
        return tuple(peer for peer in self.config.committee.ids if peer != self.self_id)

    @property
    def majority(self) -> int:
        return self.config.committee.majority

    @property
    def hard(self) -> HardState:
        return HardState(self.term, self.vote)

    @property
    def in_lease(self) -> bool:
        """Whether we hear a leader: then nobody gets our vote (thesis 4.2.3)."""
        if self.role is Role.LEADER:
            return True
        lease_ms = self.config.election_ms_min
        return self.leader is not None and self.now_ms - self.heard_ms < lease_ms

    @property
    def may_vote(self) -> bool:
        """Whether our log tells the truth about what we ever acknowledged.

        After a lost log the last term is unknown, and a vote could elect somebody without
        entries that we helped to commit.  A leader's appends heal this.  Alone in a committee
        nobody else can hold more.
        """
        if not self.log.base.term_known and len(self.config.committee.members) > 1:
            return False
        return self.commit >= self.commit_floor

    @property
    def may_campaign(self) -> bool:
        """A leader must be able to hand on every block and to fill any log from its own."""
        if self.config.committee.index(self.self_id) is None:
            return False
        return self.may_vote and self.missing_to is None

    # --- outbox ------------------------------------------------------------------------

    def say_now(self, to: NodeId, message: Message) -> None:
        self.send_now.append(Envelope(to, message))

    def say_after(self, to: NodeId, message: Message) -> None:
        self.send_after.append(Envelope(to, message))

    def refuse(self, reason: str) -> None:
        """Count a message that changed nothing."""
        self.refusals[reason] += 1

    # --- terms and roles ---------------------------------------------------------------

    def rearm_election(self) -> None:
        low, spread = self.config.election_ms_min, self.config.election_ms_spread
        self.election_due_ms = self.now_ms + self.rng.randrange(low, low + spread)

    @property
    def quorum_due_ms(self) -> int:
        return self.quorum_since_ms + self.config.election_ms_min

    def enter_term(self, term: int, vote: NodeId | None) -> None:
        assert term > self.term, f"term {term} after {self.term}"
        self.term, self.vote = term, vote
        self.round_changed_ms = self.now_ms

    def become_follower(self, term: int, leader: NodeId | None) -> None:
        if term > self.term:
            self.enter_term(term, None)
        self.role, self.leader = Role.FOLLOWER, leader
        self.votes, self.progress = {}, {}
        self.heard_ms = self.now_ms
        self.rearm_election()

    # --- log ---------------------------------------------------------------------------

    def append(self, entries: tuple[Entry, ...]) -> None:
        if entries:
            self.journal.note_change(entries[0].index)
            self.log.append(entries)

    def truncate(self, index: int) -> None:
        """Drop uncommitted entries from ``index`` on; acknowledgements under way shrink too."""
        assert index > self.commit, f"conflict below commit: {index} <= {self.commit}"
        assert self.role is not Role.LEADER, "a leader never truncates its log"
        self.log.truncate(index)
        self.journal.note_change(index)
        self._limit_durable(index - 1)

    def reset_log(self, base: Base) -> None:
        """Continue from ``base``, which is final: the blocks up to it are fetched."""
        assert base.index > self.commit, f"base {base.index} at or below commit {self.commit}"
        assert self.role is not Role.LEADER, "a leader never drops its log"
        self.log.reset(base)
        self.journal.note_base(wiped=True)
        self.commit = base.index
        self._limit_durable(0)

    def _limit_durable(self, index: int) -> None:
        self.durable = min(self.durable, index)
        for write in self.writes:
            write.last = min(write.last, index)

    def compact(self) -> None:
        """Drop entries that the ledger has executed, once they are more than we keep."""
        keep, log = self.config.log_keep_entries, self.log
        executed = min(self.commit, log.last_index_of_height(self.applied_height))
        excess = executed - log.base.index
        if excess <= 0 or (excess <= keep and log.size_bytes <= self.config.log_keep_bytes):
            return
        to = executed - min(keep, excess) // 2
        if log.base.term_known and to > log.base.index:
            log.compact(to)
            self.journal.note_compaction()

    # --- commit and delivery -----------------------------------------------------------

    def commit_to(self, index: int) -> bool:
        """Raise the commit index; return whether it moved."""
        assert index <= self.log.last, f"commit {index} beyond the last entry {self.log.last}"
        if index <= self.commit:
            return False
        self.commit = index
        if self.target is not None and self.log.tip_at(index).height >= self.target.base.height:
            self.target = None  # appends brought everything that the snapshot promised
        self.deliver_committed()
        return True

    def deliver_committed(self) -> None:
        """Hand on committed blocks of the log, unless blocks before them are missing."""
        if self.delivered.height < self.log.base.height:
            return
        self.delivered_index = max(self.delivered_index, self.log.base.index)
        for index in range(self.delivered_index + 1, self.commit + 1):
            entry = self.log.entry(index)
            if entry.proposal is not None:
                self._hand_on(Decided(entry.proposal, certificate(entry), index))
        self.delivered_index = max(self.delivered_index, self.commit)

    def hand_on_fetched(self, block: Fetched) -> None:
        """Hand on a block that is not in the log; its certificate says where it was."""
        position: int = codec.decode(block.certificate, size_max=64)[1]
        self._hand_on(Decided(block.proposal, block.certificate, position))
        self.fetched_kept = block.proposal.height

    def _hand_on(self, decided: Decided) -> None:
        block = decided.proposal
        assert block.height == self.delivered.height + 1, "blocks are handed on in order"
        assert block.parent == self.delivered.digest, "blocks chain"
        self.ready.append(decided)
        self.delivered = Tip(block.height, block.digest)

    @property
    def missing_to(self) -> int | None:
        """The height up to which blocks must be fetched, or None when nothing is missing."""
        if self.target is not None:
            return self.target.base.height
        base_height = self.log.base.height
        return base_height if self.delivered.height < base_height else None

    def each_peer(self, act: Callable[["Core", NodeId], None]) -> None:
        for peer in self.peers:
            act(self, peer)
