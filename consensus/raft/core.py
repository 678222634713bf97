"""The state that every part of Raft shares, and the few moves that several parts make.

Owns: term, vote, role, log, commit, who the members are, and the outbox of the turn.  The
parts are functions over it: election.py, replication.py and transfer.py and reading.py
(leader), following.py, reconfigure.py; step.py is the door for messages and time, turn.py
the way out.  Nothing here knows of blocks, disks or clocks.
Invariants: term and commit never decrease; one vote per term; a leader's log only grows;
``applied <= applying <= commit <= last``; what others may rely on is queued in ``send_after``
and leaves only when everything that it rests on is durable.
"""

from collections import Counter
from enum import Enum

from consensus.effects import Envelope
from consensus.frozen import dataclass
from consensus.raft.log import Base, Entry, Log, Restore
from consensus.raft.membership import Members
from consensus.raft.messages import Message, PreVoteRequest, PreVoteResponse
from consensus.raft.reads import Reads
from consensus.raft.settings import Settings
from consensus.raft.tracker import Tracker
from consensus.types import NodeId, Rng


class Role(Enum):
    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class Outcome(Enum):
    """What became of an input; whatever was not taken is also counted as a refusal."""

    TAKEN = "taken"
    FORWARDED = "forwarded"  # to the leader, who may still refuse it
    REPLACED = "replaced"  # a change of members that is not due: an empty entry stands for it
    DROPPED = "dropped"
    STRANGER = "stranger"  # an answer from somebody who is not in the group


@dataclass(frozen=True, slots=True)
class HardState:
    """What must be durable before anybody hears of it: term and vote, one record."""

    term: int
    vote: NodeId | None


@dataclass(frozen=True, slots=True)
class ReadState:
    """A read that ``token`` names may be answered once ``index`` is applied."""

    token: int
    index: int


class Core:
    """One member of a group; start it with what its disk holds."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        members: Members,
        *,
        hard: HardState,
        commit: int,
        applied: int,
        rng: Rng,
    ) -> None:
        self.settings = settings
        self.rng = rng
        self.log = log
        self.term, self.vote = hard.term, hard.vote
        self.commit = commit
        self.applied = self.applying = max(applied, log.base.index)
        self.applying_bytes = 0
        self.applying_paused = False
        self.commit_floor = 0  # a leader counts us among the holders of everything up to here
        self.role = Role.FOLLOWER
        self.leader: NodeId | None = None
        self.transferee: NodeId | None = None
        self.pending_change = 0  # no change of members lies in the log beyond this index
        self.uncommitted_bytes = 0  # leader: what it appended in this term and has not applied
        self.reads = Reads()
        self.reads_postponed: list[tuple[NodeId, int]] = []  # until the term's first commit
        self.read_states: list[ReadState] = []
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.election_timeout = 0
        self.refusals: Counter[str] = Counter()
        self.send_now: list[Envelope] = []
        self.send_after: list[Envelope] = []
        self.tracker = Tracker(
            inflight_messages_max=settings.inflight_messages_max,
            inflight_bytes_max=settings.inflight_bytes_max,
        )
        self.tracker.restore(members, last_index=log.last)
        assert log.base.index <= self.applied <= commit <= log.last, "applied, commit, last"
        self.become_follower(self.term, None)
        self.told: tuple[Role, NodeId | None] = (self.role, self.leader)
        self.written = (self.term, self.vote, self.commit)

    # --- who we are --------------------------------------------------------------------

    @property
    def self_id(self) -> NodeId:
        return self.settings.self_id

    @property
    def hard(self) -> HardState:
        return HardState(self.term, self.vote)

    @property
    def may_vote(self) -> bool:
        """Whether our log tells the truth about what we ever acknowledged.

        After a lost log the last term is unknown, and a vote could elect somebody without
        entries that we helped to commit.  A leader's appends heal this.  Alone in a group
        nobody else can hold more.
        """
        if not self.log.base.term_known and not self.tracker.is_singleton:
            return False
        return self.commit >= self.commit_floor

    @property
    def may_campaign(self) -> bool:
        """A leader must be able to fill any log from its own."""
        return self.may_vote

    @property
    def promotable(self) -> bool:
        """A voter that is not in the middle of installing a snapshot."""
        progress = self.tracker.progress.get(self.self_id)
        return progress is not None and not progress.is_learner and self.log.restoring is None

    # --- outbox ------------------------------------------------------------------------

    def say(self, to: NodeId, message: Message) -> None:
        """Send something that promises nothing: it may leave at once."""
        assert to != self.self_id, "only promises are addressed to oneself"
        of_no_term = message.term == 0 or type(message) is PreVoteRequest
        assert message.term == self.term or of_no_term, "messages are of the current term"
        self.send_now.append(Envelope(to, message))

    def promise(self, to: NodeId, message: Message) -> None:
        """Send an answer that others count on, refusals too: after everything is durable."""
        grants = type(message) is PreVoteResponse and message.granted
        assert message.term == self.term or grants, "answers are of the current term"
        self.send_after.append(Envelope(to, message))

    def refuse(self, reason: str) -> None:
        """Count an input that changed nothing."""
        self.refusals[reason] += 1

    # --- terms and roles ---------------------------------------------------------------

    def reset(self, term: int) -> None:
        """Forget what belonged to the role and, if it is another, to the term."""
        assert term >= self.term, f"term {term} after {self.term}"
        if term != self.term:
            self.term, self.vote = term, None
        self.leader = None
        self.heartbeat_elapsed = 0
        self.rearm_election()
        self.transferee = None
        self.tracker.reset(self_id=self.self_id, last_index=self.log.last)
        self.pending_change = 0
        self.uncommitted_bytes = 0
        self.reads = Reads()
        self.reads_postponed.clear()

    def rearm_election(self) -> None:
        self.election_elapsed = 0
        low = self.settings.election_ticks
        self.election_timeout = self.rng.randrange(low, low + self.settings.election_spread)

    def become_follower(self, term: int, leader: NodeId | None) -> None:
        self.reset(term)
        self.role, self.leader = Role.FOLLOWER, leader

    # --- commit ------------------------------------------------------------------------

    def commit_to(self, index: int) -> bool:
        """Raise the commit index; return whether it moved."""
        assert index <= self.log.last, f"commit {index} beyond the last entry {self.log.last}"
        if index <= self.commit:
            return False
        self.commit = index
        return True

    @property
    def committed_in_term(self) -> bool:
        """Whether we know everything that was committed before our term (paper 8)."""
        return self.log.term_at(self.commit) == self.term

    def truncate_to(self, entries: tuple[Entry, ...]) -> None:
        """Take entries in place of uncommitted ones."""
        start = entries[0].index
        assert start > self.commit, f"conflict below commit: {start} <= {self.commit}"
        assert self.role is not Role.LEADER, "a leader never truncates its log"
        self.log.append(entries)

    def install(self, base: Base, members: Members) -> None:
        """Continue from a snapshot: log, commit and members, in one move."""
        assert base.index > self.commit, f"base {base.index} at or below commit {self.commit}"
        assert self.role is Role.FOLLOWER, "only followers are restored"
        self.log.restore(Restore(base, members))
        self.commit = base.index
        self.tracker.restore(members, last_index=base.index)

    # --- what the surroundings provide -------------------------------------------------

    def newest_restore(self) -> Restore | None:
        """The snapshot that a peer behind our base may be pointed at; None: not now."""
        return None

    def learn_base_term(self, term: int) -> None:
        self.log.learn_base_term(term)

    def others(self) -> list[NodeId]:
        """Everybody in the group but ourselves, in order."""
        return [peer for peer in self.tracker.progress if peer != self.self_id]

    def check_invariants(self) -> None:
        log = self.log
        log.check_invariants()
        self.tracker.check_invariants()
        assert log.base.index <= self.commit <= log.last, "base <= commit <= last"
        assert self.applied <= self.applying <= self.commit, "applied <= applying <= commit"
        empty = log.last == log.base.index
        assert empty or log.last_term <= self.term, "no entry of a future term"
        assert self.pending_change <= log.last, "no change of members beyond the log"
        if self.role is Role.LEADER:
            assert self.leader == self.self_id
            assert self.vote == self.self_id, "a leader voted for itself"
            assert log.restoring is None, "a leader installs no snapshot"
            for progress in self.tracker.progress.values():
                assert progress.match <= log.last, "a peer holds only what the leader has"
        if self.role is Role.CANDIDATE:
            assert self.vote == self.self_id
