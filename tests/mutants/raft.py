"""Twenty mistakes that Raft implementations shipped, and one that nobody should.

Each stands in for one rule of ``consensus/raft``; the docstring says what goes wrong without
the rule.  ``python tests/mutants/run.py --engine raft`` prints how many seeds each survives.
"""

import dataclasses
from typing import Any

from tests.mutants import pipelined
from tests.mutants.planting import Mutant, Planting

# --- what commits ---------------------------------------------------------------------------


def commit_entries_of_older_terms() -> list[Planting]:
    """Commit by counting, whatever term an entry is of (Raft paper, figure 8)."""
    from consensus.raft import replication

    def maybe_commit(core: Any) -> bool:
        return bool(core.commit_to(core.tracker.committed()))

    return [(replication, "maybe_commit", maybe_commit)]


def stale_refusal_lowers_match() -> list[Planting]:
    """A refusal that an acknowledgement overtook takes the acknowledgement back.

    By itself it delays: what is committed stays so.  But what a follower acknowledged is then
    sent again from below, and with the next mistake in this list the follower cuts it off.
    """
    from consensus.raft.progress import Progress

    honest = Progress.maybe_decrement

    def maybe_decrement(progress: Any, rejected: int, hint: int) -> bool:
        if rejected > progress.match:
            return honest(progress, rejected, hint)
        progress.match = min(progress.match, hint)
        progress.next = progress.match + 1
        progress.sent_commit = min(progress.sent_commit, progress.match)
        return True

    return [(Progress, "maybe_decrement", maybe_decrement)]


def truncate_on_a_shorter_append() -> list[Planting]:
    """An old, short append cuts off entries that were acknowledged since."""
    from consensus.raft import following

    def unknown_entries(core: Any, message: Any) -> Any:
        return tuple(entry for entry in message.entries if entry.index > core.commit)

    return [(following, "_unknown_entries", unknown_entries)]


def acknowledge_the_whole_log() -> list[Planting]:
    """An append is acknowledged up to the end of the log, beyond what it spoke of.

    What follows it there may be of a leader long gone; the new one counts it as its own.
    Our own leaders make it hard to reach: see pipelined.py.
    """
    from consensus.raft import engine, following
    from consensus.raft.messages import Append

    def on_append(core: Any, message: Any) -> None:
        following.on_append(core, message)
        if core.send_after:
            envelope = core.send_after[-1]
            answer = envelope.message
            if getattr(answer, "success", False) and answer.index == message.last_index:
                beyond = dataclasses.replace(answer, index=core.log.last)
                core.send_after[-1] = dataclasses.replace(envelope, message=beyond)

    return [(engine, "_HANDLERS", {**engine._HANDLERS, Append: on_append})]


def next_below_match() -> list[Planting]:
    """Every refusal moves ``next`` back, below what the follower has acknowledged."""
    from consensus.raft.progress import Progress

    def maybe_decrement(progress: Any, rejected: int, hint: int) -> bool:
        progress.next = max(1, min(rejected, hint + 1))
        progress.sent_commit = min(progress.sent_commit, progress.next - 1)
        progress.flow_paused = False
        return True

    return [(Progress, "maybe_decrement", maybe_decrement)]


# --- what is durable ------------------------------------------------------------------------


def _blind_guard() -> Planting:
    """The sign guard would notice by itself: here it looks away."""
    from consensus.guard import SignGuard

    return (SignGuard, "admit", lambda *_: ())


def vote_not_written() -> list[Planting]:
    """The vote stays in memory."""
    from consensus import wire
    from consensus.raft import records
    from consensus.types import Put

    honest = records.Journal.take

    def take(journal: Any, turn: Any, log: Any) -> Any:
        written, bodies, must_sync = honest(journal, turn, log)
        term = 0 if turn.hard is None else turn.hard.term
        blank = Put(records.HARD_KEY, wire.encode(records.HardState(term, None)))
        kept = [blank if getattr(r, "key", b"") == blank.key else r for r in written]
        return tuple(kept), bodies, must_sync

    return [(records.Journal, "take", take), _blind_guard()]


def term_and_vote_in_two_batches() -> list[Planting]:
    """The vote is written, but in the batch after the term's, when it was already sent."""
    from consensus import wire
    from consensus.raft import records
    from consensus.types import Put

    honest = records.Journal.take

    def take(journal: Any, turn: Any, log: Any) -> Any:
        late = getattr(journal, "late_vote", None)
        written, bodies, must_sync = honest(journal, turn, log)
        journal.late_vote = None
        if turn.hard is not None:
            whole = Put(records.HARD_KEY, wire.encode(turn.hard))
            term_only = Put(
                records.HARD_KEY, wire.encode(records.HardState(turn.hard.term, None))
            )
            if whole in written and turn.hard.vote is not None:
                written = tuple(term_only if r == whole else r for r in written)
                journal.late_vote = whole
                late = None
        return (*written, *((late,) if late is not None else ())), bodies, must_sync

    pending = records.Journal.pending

    def is_pending(journal: Any) -> bool:
        waits = getattr(journal, "late_vote", None) is not None
        return waits or bool(pending.fget(journal))  # type: ignore[attr-defined]

    return [
        (records.Journal, "take", take),
        (records.Journal, "pending", property(is_pending)),
        _blind_guard(),
    ]


def acknowledge_before_the_write() -> list[Planting]:
    """A follower's acknowledgement leaves while its entries are only in memory."""
    from consensus.raft.core import Core
    from consensus.raft.messages import AppendResponse

    honest = Core.promise

    def promise(core: Any, to: Any, message: Any) -> None:
        if isinstance(message, AppendResponse) and message.success and to != core.self_id:
            core.say(to, message)
        else:
            honest(core, to, message)

    return [(Core, "promise", promise)]


def apply_before_the_sync() -> list[Planting]:
    """A turn counts, its blocks are executed and clients told, before its records are synced.

    The order of a turn is the surroundings' part, so this is planted there.
    """
    from tests.sim.disk import put
    from tests.sim.node import SimNode

    honest = SimNode._write

    def write(node: SimNode, turn: Any) -> None:
        operations = [put(b"b/" + each.digest, each) for each in turn.bodies]
        if operations:
            node.write(operations)
        honest(node, dataclasses.replace(turn, must_sync=False, bodies=()))
        node.after(node.world.sync_delay(), node.disk.sync, node.write([]))

    return [(SimNode, "_write", write)]


def report_of_an_older_term_counts() -> list[Planting]:
    """Entries that were overwritten, and came back, count as durable by their first write.

    The write of what replaced them is still under way, and undoes what the report claims.
    """
    from consensus.raft import turn as turns

    honest = turns.stored

    def stored(core: Any, report: Any) -> None:
        honest(core, dataclasses.replace(report, term=core.term))

    return [(turns, "stored", stored)]


def old_snapshot_accepted() -> list[Planting]:
    """A snapshot from before what is committed here replaces the log."""
    from consensus.raft import catchup, engine, following
    from consensus.raft.core import Role
    from consensus.raft.log import Base, Restore
    from consensus.raft.messages import Snapshot

    def on_snapshot(core: Any, message: Any) -> None:
        stale = message.index <= core.commit and core.log.base.term_known
        if message.term != core.term or core.role is not Role.FOLLOWER or not stale:
            catchup.on_snapshot(core, message)
            return
        base = Base(message.index, message.log_term, message.height, message.digest)
        core.log.restore(Restore(base, message.members))
        core.commit = core.applied = core.applying = core.handed_index = base.index
        core.tracker.restore(message.members, last_index=base.index)
        core.members_at = [(base.index, message.members)]
        core.journal.note_base(wiped=True, members=message.members)
        core.leader = message.sender
        following.acknowledge(core, message.sender, base.index)

    return [(engine, "_HANDLERS", {**engine._HANDLERS, Snapshot: on_snapshot})]


# --- who leads ------------------------------------------------------------------------------


def vote_for_any_log() -> list[Planting]:
    """A candidate may lack what is committed (Raft paper 5.4.1 dropped)."""
    from consensus.raft import election

    return [(election, "_would_vote", lambda core, message: core.may_vote)]


def learner_refuses_its_vote() -> list[Planting]:
    """Who does not know yet that it was promoted votes for nobody, and never hears of it.

    Stuck when the candidate, who knows, needs this very vote.
    """
    from consensus.raft import election

    honest = election._would_vote

    def would_vote(core: Any, message: Any) -> bool:
        own = core.tracker.progress.get(core.self_id)
        learns = own is None or own.is_learner
        return not learns and honest(core, message)

    return [(election, "_would_vote", would_vote)]


def old_pre_vote_unanswered() -> list[Planting]:
    """A pre-vote of a lower term is dropped without a word.

    Stuck when one of two has the higher term and the other the longer log: one does not hear
    of the term, the other never wins.
    """
    from consensus.raft import election

    return [(election, "refuse_old_pre_vote", lambda core, message: None)]


def transfer_without_an_end() -> list[Planting]:
    """A leader waits for its successor for ever, and takes no blocks meanwhile."""
    from consensus.raft import step
    from consensus.raft.core import Role

    honest = step._tick_leader

    def tick_leader(core: Any) -> None:
        transferee = core.transferee
        honest(core)
        if core.role is Role.LEADER:
            core.transferee = transferee

    return [(step, "_tick_leader", tick_leader)]


# --- who the members are --------------------------------------------------------------------


def quorum_of_the_union() -> list[Planting]:
    """While the configuration is joint, a majority of old and new together decides."""
    from consensus.raft import reads, tracker

    def of_union(honest: Any) -> Any:
        def rule(incoming: Any, outgoing: Any, acked: Any) -> Any:
            return honest(tuple(sorted({*incoming, *outgoing})), (), acked)

        return rule

    committed, result = tracker.joint_committed_index, tracker.joint_vote_result
    return [
        (tracker, "joint_committed_index", of_union(committed)),
        (tracker, "joint_vote_result", of_union(result)),
        (reads, "joint_committed_index", of_union(committed)),
    ]


def change_before_the_own_term_commits() -> list[Planting]:
    """A new leader changes members while its predecessor's change may be under way."""
    from consensus.raft import election

    honest = election.become_leader

    def become_leader(core: Any) -> None:
        honest(core)
        core.pending_change = 0

    return [(election, "become_leader", become_leader)]


def two_changes_at_once() -> list[Planting]:
    """A second change of members is ordered while the first is not applied."""
    from consensus.raft import reconfigure

    honest = reconfigure.change_refusal

    def change_refusal(core: Any, change: Any) -> str | None:
        pending, core.pending_change = core.pending_change, 0
        why = honest(core, change)
        core.pending_change = pending
        return why

    return [(reconfigure, "change_refusal", change_refusal)]


# --- reads ----------------------------------------------------------------------------------


def read_before_the_own_term_commits() -> list[Planting]:
    """A new leader answers with a commit index that its predecessor had passed."""
    from consensus.raft import reading
    from consensus.raft.reads import WaitingRead

    def take(core: Any, reader: Any, token: int) -> None:
        if core.tracker.is_singleton:
            reading._answer(core, WaitingRead(reader, token, core.commit))
        else:
            reading._ask_majority(core, reader, token)

    return [(reading, "_take", take)]


def read_numbers_start_again() -> list[Planting]:
    """Confirmations of earlier reads, late or repeated, count for later ones."""
    from consensus.raft.reads import Reads

    honest = Reads.take_confirmed

    def take_confirmed(reads: Any, config: Any) -> Any:
        taken = honest(reads, config)
        if taken:
            reads.confirmed, reads.repeated = 0, {}
        return taken

    return [(Reads, "take_confirmed", take_confirmed)]


def lease_without_check_quorum() -> list[Planting]:
    """A leader answers by itself, and nothing tells it that it was replaced."""
    from consensus.raft.config import RaftConfig
    from consensus.raft.settings import Settings

    honest = RaftConfig.settings

    def settings(config: Any) -> Settings:
        return dataclasses.replace(honest(config), lease_reads=True, check_quorum=False)

    return [(Settings, "__post_init__", lambda _: None), (RaftConfig, "settings", settings)]


def _raft(name: str, source: str, plant: Any, known: int, **more: Any) -> Mutant:
    return Mutant(name, "raft", source, plant, known, quick=True, **more)


MUTANTS = (
    _raft(
        "commit entries of older terms",
        "logcabin 44",
        commit_entries_of_older_terms,
        40,
        focus="hard",
    ),
    _raft("vote not written", "PySyncObj 84", vote_not_written, 0, focus="hard"),
    _raft(
        "term and vote in two batches",
        "hashicorp/raft 661",
        term_and_vote_in_two_batches,
        29,
        focus="hard",
    ),
    _raft("acknowledge before the write", "thesis 10.2.1", acknowledge_before_the_write, 1),
    _raft("apply before the sync", "etcd 14370", apply_before_the_sync, 1),
    _raft("stale refusal lowers match", "CCF 5325", stale_refusal_lowers_match, 7),
    _raft("truncate on a shorter append", "CCF 5927", truncate_on_a_shorter_append, 27),
    _raft(
        "acknowledge the whole log",
        "CCF 6001",
        acknowledge_the_whole_log,
        0,
        play=pipelined.play,
    ),
    _raft("quorum of the union", "CCF 3837", quorum_of_the_union, 36, focus="membership"),
    _raft(
        "learner refuses its vote",
        "etcd 7625",
        learner_refuses_its_vote,
        20,
        focus="membership",
    ),
    _raft(
        "read before the own term commits",
        "etcd 7331",
        read_before_the_own_term_commits,
        96,
        focus="reads",
    ),
    _raft(
        "read numbers start again", "etcd raft 397", read_numbers_start_again, 26, focus="reads"
    ),
    _raft(
        "lease without check-quorum", "etcd 741", lease_without_check_quorum, 6, focus="reads"
    ),
    _raft(
        "old pre-vote unanswered", "etcd 8501", old_pre_vote_unanswered, 551, focus="leaders"
    ),
    _raft(
        "change before the own term commits",
        "Ongaro 2015",
        change_before_the_own_term_commits,
        200,
        focus="membership",
    ),
    _raft("two changes at once", "thesis 4.1", two_changes_at_once, 39, focus="membership"),
    _raft(
        "old snapshot accepted",
        "RedisLabs/raft 49",
        old_snapshot_accepted,
        6,
        focus="snapshots",
    ),
    _raft("next below match", "etcd raft 149", next_below_match, 168),
    _raft(
        "report of an older term counts",
        "etcd raft, async storage",
        report_of_an_older_term_counts,
        3,
        play=pipelined.play,
    ),
    _raft(
        "transfer without an end",
        "hashicorp/raft 696",
        transfer_without_an_end,
        26,
        focus="leaders",
    ),
    _raft("vote for any log", "Raft paper 5.4.1", vote_for_any_log, 7),
)
