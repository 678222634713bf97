"""A Raft core with a ledger above it and a disk below: the state of one member of a network.

Adds to ``Core`` what blocks need: which were handed on and executed, which are being fetched,
who the members were at any index that a snapshot may name, reads that wait, and the journal.
The ledger's special rule: a snapshot is no file but the height up to which final blocks must
be fetched (catchup.py).
Invariants: blocks are handed on in height order, each once; a change of members counts only
after the entry that holds it is durable here; a member that lacks blocks does not campaign.
"""

from collections import deque

from consensus import codec
from consensus.effects import Decided, Fetch, ReadReady
from consensus.frozen import dataclass
from consensus.raft import reconfigure, step
from consensus.raft import turn as turns
from consensus.raft.blocks import BlockLog, Tip
from consensus.raft.config import RaftConfig
from consensus.raft.core import Core
from consensus.raft.log import Base, Entry, Restore
from consensus.raft.membership import Change, ChangeRefused, Members, apply_change
from consensus.raft.progress import Progress
from consensus.raft.records import Fetched, Journal, RecordsDamaged, Restored
from consensus.raft.turn import CoreTurn
from consensus.types import Applied, NodeId, Proposal, Rng


@dataclass(frozen=True, slots=True)
class Write:
    """A drained batch whose sync is awaited."""

    token: int
    turn: CoreTurn


@dataclass(frozen=True, slots=True)
class PendingRead:
    """Asked in ``term``; given up at ``due_ms``."""

    term: int
    due_ms: int


def certificate(entry: Entry) -> bytes:
    """Return the certificate of a block under crash faults: where the log has it."""
    return codec.encode([entry.term, entry.index])


class LedgerCore(Core):
    log: BlockLog

    def __init__(
        self, config: RaftConfig, restored: Restored, applied: Applied, *, rng: Rng, now_ms: int
    ) -> None:
        self.config = config
        self.now_ms = now_ms
        self.journal = Journal(restored)
        self.target = restored.target
        self.applied_height = applied.height
        self.delivered = Tip(applied.height, applied.digest)
        self.handed_index = 0  # committed entries up to here are durable and applied here
        self.fetched_kept = 0  # highest height with a ``raft/synced/`` record
        self.fetch_due_ms = now_ms
        self.ended_by: NodeId | None = None  # who told that the group has left this log
        self.round_changed_ms = now_ms
        self.writes: deque[Write] = deque()
        self.held: deque[Decided] = deque()  # committed, above blocks that are missing
        self.ready: list[Decided] = []
        self.bodies: list[Proposal] = []  # of fetched blocks; the journal knows the others
        self.fetches: list[Fetch] = []
        self.heard_ms: dict[NodeId, int] = {}
        self.snapshot_sent_ms: dict[NodeId, int] = {}
        self.reads_asked: dict[int, PendingRead] = {}
        self.reads_indexed: list[tuple[int, int]] = []  # (index, token): wait for the commit
        self.reads_done: list[ReadReady] = []
        log = BlockLog(restored.base, restored.entries)
        start = max(applied.position, log.base.index)
        self.founders = Members(voters=tuple(sorted(config.voters or config.committee.ids)))
        known = self.founders if restored.members is None else restored.members
        self.members_at = _history(known, log, start)
        super().__init__(
            config.settings(),
            log,
            self.members_at[-1][1],
            hard=restored.hard,
            commit=restored.commit,
            applied=start,
            rng=rng,
        )
        self.handed_index = start
        self._resume(restored, applied, start)

    def _resume(self, restored: Restored, applied: Applied, start: int) -> None:
        """Check the log against the ledger and hand on what was fetched before a crash."""
        log = self.log
        if applied.height >= log.base.height and log.tip_at(start) != self.delivered:
            raise RecordsDamaged(f"log and ledger differ at height {applied.height}")
        done = [b for b in restored.fetched if b.proposal.height <= applied.height]
        if done and self.target is None:
            self.journal.forget_fetched(applied.height)
        for block in restored.fetched:
            height = block.proposal.height
            self.fetched_kept = max(self.fetched_kept, height)
            if height == self.delivered.height + 1 and height <= (self.missing_to or 0):
                self.hand_on_fetched(block)

    # --- asking ------------------------------------------------------------------------

    @property
    def progress(self) -> dict[NodeId, Progress]:
        return self.tracker.progress

    @property
    def durable(self) -> int:
        """Entries up to here are known to be on our disk."""
        return self.log.unstable_from - 1

    @property
    def may_campaign(self) -> bool:
        """A leader must be able to hand on every block and to fill any log from its own."""
        return self.may_vote and self.target is None and self.missing_to is None

    @property
    def missing_to(self) -> int | None:
        """The height up to which blocks must be fetched, or None when nothing is missing."""
        height = self.log.base.height
        if self.target is not None:
            height = max(height, self.target.base.height)
        return height if self.delivered.height < height else None

    @property
    def election_due_ms(self) -> int:
        return self.now_ms + self.election_timeout - self.election_elapsed

    @election_due_ms.setter
    def election_due_ms(self, due_ms: int) -> None:
        self.election_timeout = due_ms - self.now_ms + self.election_elapsed

    def members_of(self, index: int) -> Members:
        """Who belonged to the group after ``index``, which must not be compacted."""
        return next(members for at, members in reversed(self.members_at) if at <= index)

    # --- what the core asks of its surroundings ----------------------------------------

    def newest_restore(self) -> Restore | None:
        """The newest block that our ledger has executed."""
        log = self.log
        index = max(log.base.index, min(self.applied, self.executed))
        base = log.base_at(index)
        return Restore(base, self.members_of(index)) if base.term_known else None

    def learn_base_term(self, term: int) -> None:
        super().learn_base_term(term)
        self.journal.note_base(wiped=False)

    def install(self, base: Base, members: Members) -> None:
        super().install(base, members)
        # What was handed on below the base will not be reported as applied any more.
        self.applying_bytes, self.applying_paused = 0, False
        self.members_at = [(base.index, members)]
        self.journal.note_base(wiped=True, members=members)

    def reset(self, term: int) -> None:
        if term != self.term:
            self.round_changed_ms = self.now_ms
        super().reset(term)

    # --- delivery ----------------------------------------------------------------------

    @property
    def executed(self) -> int:
        """The last index whose blocks, and all before it, our ledger has executed."""
        return min(self.commit, self.log.last_index_of_height(self.applied_height))

    def hand_on_committed(self, entries: tuple[Entry, ...]) -> None:
        for entry in entries:
            if entry.proposal is not None:
                self.held.append(Decided(entry.proposal, certificate(entry), entry.index))
        self.release_held()

    def release_held(self) -> None:
        """Hand on what is next; pass over what came as a fetched block meanwhile."""
        while self.held and self.held[0].proposal.height <= self.delivered.height + 1:
            decided = self.held.popleft()
            if decided.proposal.height > self.delivered.height:
                self._hand_on(decided)

    def hand_on_fetched(self, block: Fetched) -> None:
        """Hand on a block that is not in the log; its certificate says where it was."""
        position: int = codec.decode(block.certificate, size_max=64)[1]
        self._hand_on(Decided(block.proposal, block.certificate, position))
        self.fetched_kept = max(self.fetched_kept, block.proposal.height)
        self.release_held()

    def _hand_on(self, decided: Decided) -> None:
        block = decided.proposal
        assert block.height == self.delivered.height + 1, "blocks are handed on in order"
        assert block.parent == self.delivered.digest, "blocks chain"
        self.ready.append(decided)
        self.delivered = Tip(block.height, block.digest)

    # --- what is durable, applied, compacted -------------------------------------------

    def note_durable(self, turn: CoreTurn) -> None:
        """A turn's records are on disk: what it handed on may take effect."""
        for entry in turn.committed:
            # A snapshot installed meanwhile has brought the members with it.
            if entry.change is not None and entry.index > self.members_at[-1][0]:
                self._adopt(entry.index, entry.change)
        if turn.committed:
            self.handed_index = max(self.handed_index, turn.committed[-1].index)
        for promise in turn.send_after:
            if promise.to == self.self_id:
                step.step(self, promise.message)
        if turn.stored is not None:
            turns.stored(self, turn.stored)
        if turn.restore is not None:
            self.handed_index = max(self.handed_index, turn.restore.base.index)
        self.note_applied()

    def _adopt(self, index: int, change: Change) -> None:
        try:
            members = reconfigure.apply(self, change)
        except ChangeRefused:
            # All members hold the same configuration here, so all of them pass it over.
            self.refuse("committed change of members that the configuration does not allow")
            return
        self.members_at.append((index, members))

    def note_applied(self) -> None:
        """Tell the core how far the ledger, and the changes of members, have come."""
        index = min(self.handed_index, self.executed)
        if index <= self.applied:
            return
        entries = self.log.between(max(self.applied + 1, self.log.first), index)
        turns.applied(
            self,
            index,
            size_bytes=sum(entry.size_bytes for entry in entries),
            payload_bytes=sum(entry.payload_bytes for entry in entries),
        )

    def forget_fetched(self) -> None:
        """Drop records of fetched blocks that the ledger has executed.

        While more are fetched the last one stays: it tells the term of where the ledger is.
        """
        if self.fetched_kept:
            height = self.applied_height - (self.target is not None)
            self.journal.forget_fetched(height)
            if height >= self.fetched_kept:
                self.fetched_kept = 0

    def compact(self) -> None:
        """Drop entries that the ledger has executed, once they are more than we keep."""
        keep, log = self.config.log_keep_entries, self.log
        if log.last - log.base.index <= keep and log.size_bytes <= self.config.log_keep_bytes:
            return
        executed = min(self.applied, self.executed)
        excess = executed - log.base.index
        if excess <= 0 or (excess <= keep and log.size_bytes <= self.config.log_keep_bytes):
            return
        to = executed - min(keep, excess) // 2
        if log.base.term_known and log.restoring is None and to > log.base.index:
            members = self.members_of(to)
            log.compact(to)
            later = [(at, known) for at, known in self.members_at if at > to]
            self.members_at = [(to, members), *later]
            self.journal.note_compaction(members)

    def check_invariants(self) -> None:
        super().check_invariants()
        assert self.applied_height <= self.delivered.height, "applied <= delivered"
        assert self.handed_index <= self.commit, "applied changes are committed"
        assert self.members_at[0][0] <= self.log.base.index, "members are known at the base"


def _history(base_members: Members, log: BlockLog, to: int) -> list[tuple[int, Members]]:
    """Return who the members were from the base to index ``to``, as (index, members)."""
    history = [(log.base.index, base_members)]
    for index in range(log.first, to + 1):
        change = log.entry(index).change
        if change is None:
            continue
        try:
            history.append((index, apply_change(history[-1][1], change)))
        except ChangeRefused:
            continue  # as it was passed over when it was applied first
    return history
