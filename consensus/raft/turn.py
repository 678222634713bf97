"""What one turn of the core asks of its surroundings, and how they report back.

``take`` hands out everything since the last turn: what to write, what to apply, what to send.
The surroundings write in the order of the turns; ``stored`` then reports that a turn, and
with it every turn before, is durable, and ``applied`` that entries are executed.  Several
turns may be under way at once.

A report carries the term in which its turn was taken.  If the term moved on, entries of the
turn may have been replaced by others, and put back again by a third leader, while its write
was under way; a later write would then undo what the report claims.  Such a report counts
for nothing, and every turn names the end of all that is not known to be durable, so that the
next report makes up for it.
"""

from consensus.effects import Envelope
from consensus.frozen import dataclass
from consensus.raft import reconfigure
from consensus.raft.core import Core, HardState, ReadState, Role
from consensus.raft.log import Entry, Restore
from consensus.types import NodeId


@dataclass(frozen=True, slots=True)
class Stored:
    """The report that a turn is durable.  ``index`` 0: it claims nothing about entries."""

    term: int
    index: int
    log_term: int
    restore: Restore | None


@dataclass(frozen=True, slots=True)
class CoreTurn:
    """``hard`` and ``commit`` are None when they did not change, ``role`` likewise.

    ``send_now`` may leave at once.  ``send_after``: only when the records of this turn and
    all before are durable; what is addressed to the member itself is stepped then, before
    ``stored`` is reported.  ``must_sync`` False: the write may be lost in a crash.
    """

    role: tuple[Role, NodeId | None] | None
    hard: HardState | None
    commit: int | None
    entries: tuple[Entry, ...]
    restore: Restore | None
    committed: tuple[Entry, ...]
    reads: tuple[ReadState, ...]
    send_now: tuple[Envelope, ...]
    send_after: tuple[Envelope, ...]
    stored: Stored | None
    must_sync: bool


def has_turn(core: Core) -> bool:
    log = core.log
    return bool(
        core.send_now
        or core.send_after
        or log.in_progress_to <= log.last
        or core.told != (core.role, core.leader)
        or core.written != (core.term, core.vote, core.commit)
        or core.read_states
        or log.unwritten_restore() is not None
        or _may_apply(core)
    )


def _applicable(core: Core) -> int:
    """The highest committed index that may be handed on."""
    if core.settings.commit_ahead:
        return core.commit
    return min(core.commit, core.log.unstable_from - 1)


def _may_apply(core: Core) -> bool:
    if core.applying_paused or core.log.restoring is not None:
        return False  # first the snapshot, then what follows it
    return core.applying < _applicable(core)


def _take_committed(core: Core) -> tuple[Entry, ...]:
    if not _may_apply(core):
        return ()
    limit = core.settings.committed_bytes_max
    hi = _applicable(core)
    entries = core.log.slice(
        core.applying + 1,
        entries_max=hi - core.applying,
        bytes_max=limit - core.applying_bytes,
        hi=hi,
    )
    core.applying = entries[-1].index
    core.applying_bytes += sum(entry.size_bytes for entry in entries)
    core.applying_paused = core.applying_bytes >= limit or core.applying < hi
    return entries


def take(core: Core) -> CoreTurn:
    """Hand out everything that is due; the caller must carry it out, in order."""
    log = core.log
    role = (core.role, core.leader)
    term, vote, _ = core.written
    moved = (term, vote) != (core.term, core.vote)
    commit_moved = core.written != (core.term, core.vote, core.commit)
    entries, restore = log.unwritten(), log.unwritten_restore()
    turn = CoreTurn(
        role=role if role != core.told else None,
        hard=core.hard if commit_moved else None,
        commit=core.commit if commit_moved else None,
        entries=entries,
        restore=restore,
        committed=_take_committed(core),
        reads=tuple(core.read_states),
        send_now=tuple(core.send_now),
        send_after=tuple(core.send_after),
        stored=_report(core, restore),
        must_sync=bool(entries) or moved,
    )
    core.told = role
    core.written = (core.term, core.vote, core.commit)
    log.note_in_progress()
    core.send_now.clear()
    core.send_after.clear()
    core.read_states.clear()
    return turn


def _report(core: Core, restore: Restore | None) -> Stored | None:
    log = core.log
    if log.has_unstable:
        return Stored(core.term, log.last, log.last_term, restore)
    return None if restore is None else Stored(core.term, 0, 0, restore)


def stored(core: Core, report: Stored) -> None:
    """The turn that ``report`` came with is durable, and so is every turn before it."""
    if report.index and report.term == core.term:
        core.log.stable_to(report.index, report.log_term)
    if report.restore is not None:
        # Whatever the term: a snapshot holds only what is final.
        index = report.restore.base.index
        core.log.stable_restore_to(index)
        applied(core, index, size_bytes=0, payload_bytes=0)


def applied(core: Core, index: int, *, size_bytes: int, payload_bytes: int) -> None:
    """Everything up to ``index`` is executed; the sizes are those of what was handed on."""
    index = max(index, core.applied)
    assert index <= core.commit, f"applied {index} beyond commit {core.commit}"
    core.applied = index
    core.applying = max(core.applying, index)
    core.applying_bytes = max(0, core.applying_bytes - size_bytes)
    core.applying_paused = core.applying_bytes >= core.settings.committed_bytes_max
    reconfigure.maybe_auto_leave(core)
    core.uncommitted_bytes = max(0, core.uncommitted_bytes - payload_bytes)
