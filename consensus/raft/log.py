"""The replicated log in memory: entries above a base, and how far they are on disk.

Owns: terms, order, truncation, compaction, the search that makes conflicts cheap, and three
marks: what was handed out for writing, what is known to be written, and a snapshot that is
not written yet.  Refuses: knowing what is committed (core.py does).  Entry indexes start at 1;
the base is the last index that is no longer kept (index 0 before any compaction).
Invariants: indexes are consecutive, terms never decrease,
``unstable_from <= in_progress_to <= last + 1``.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from consensus.frozen import dataclass
from consensus.raft.membership import Change, Members
from consensus.types import Proposal

ENTRY_OVERHEAD_BYTES: Final = 128


@dataclass(frozen=True, slots=True)
class Entry:
    """One log slot: a block, a change of members, or nothing (a leader opens its term)."""

    term: int
    index: int
    proposal: Proposal | None
    change: Change | None = None

    def __post_init__(self) -> None:
        if self.term < 1 or self.index < 1:
            raise ValueError("terms and indexes of entries start at 1")
        if self.proposal is not None and self.change is not None:
            raise ValueError("an entry is a block or a change of members")

    @property
    def payload_bytes(self) -> int:
        """What the entry counts against limits of content: nothing when it carries nothing."""
        if self.proposal is not None:
            return len(self.proposal.header) + len(self.proposal.txids)
        return 0 if self.change is None else self.change.size_bytes

    @property
    def size_bytes(self) -> int:
        """An upper bound of the encoded size, used for flow control."""
        return ENTRY_OVERHEAD_BYTES + self.payload_bytes


@dataclass(frozen=True, slots=True)
class Base:
    """Where the kept log starts: everything up to ``index`` is final.

    ``height`` and ``digest`` are the last block at or below ``index``.  ``term`` 0 above
    index 0 means unknown: the log was lost and only the ledger is left (see core.may_vote).
    """

    index: int
    term: int
    height: int
    digest: bytes

    @property
    def term_known(self) -> bool:
        return self.index == 0 or self.term > 0


@dataclass(frozen=True, slots=True)
class Restore:
    """A snapshot as the log knows it: where the log continues, and who the members are."""

    base: Base
    members: Members


class Log:
    """Entries ``base.index + 1 .. last``; asking below the base gives None, never a guess."""

    def __init__(self, base: Base, entries: Sequence[Entry] = ()) -> None:
        self.base = base
        self.last = base.index
        self.size_bytes = 0
        self._entries: list[Entry] = []
        self.restoring: Restore | None = None  # installed, and not known to be on disk
        self.restore_in_progress = False
        self._extend(entries)
        self.unstable_from = self.in_progress_to = self.last + 1

    # --- asking ------------------------------------------------------------------------

    @property
    def first(self) -> int:
        return self.base.index + 1

    @property
    def last_term(self) -> int:
        return self._entries[-1].term if self._entries else self.base.term

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries)

    def term_at(self, index: int) -> int | None:
        """Return the term at ``index``, or None when the log does not reach there."""
        at = index - self.base.index
        if 0 < at <= len(self._entries):
            return self._entries[at - 1].term
        return self.base.term if at == 0 else None

    def entry(self, index: int) -> Entry:
        assert self.first <= index <= self.last, f"no entry {index}"
        return self._entries[index - self.first]

    def between(self, lo: int, hi: int) -> tuple[Entry, ...]:
        """Return entries ``lo`` to ``hi`` inclusive."""
        assert self.first <= lo, f"entry {lo} is compacted"
        return tuple(self._entries[lo - self.first : hi + 1 - self.first])

    def slice(
        self, lo: int, *, entries_max: int, bytes_max: int, hi: int | None = None
    ) -> tuple[Entry, ...]:
        """Return entries from ``lo`` within both limits, but never fewer than one if any."""
        assert lo >= self.first, f"entry {lo} is compacted"
        start = lo - self.first
        end = len(self._entries) if hi is None else hi + 1 - self.first
        taken = self._entries[start : min(end, start + entries_max)]
        size = 0
        for at, entry in enumerate(taken):
            size += entry.size_bytes
            if at and size > bytes_max:
                return tuple(taken[:at])
        return tuple(taken)

    def find_conflict_by_term(self, index: int, term: int) -> tuple[int, int]:
        """Return the highest index <= ``index`` whose term is <= ``term``, and its term.

        Two logs that disagree at ``index`` can agree at most there, so one probe per term of
        the divergence is enough (Raft paper 5.3).  Term 0: not known here, the index lies
        below the base or beyond the end.
        """
        if index > self.last or index < self.base.index:
            return index, 0
        kept = self._entries
        found = bisect_right(
            kept, term, hi=index - self.base.index, key=lambda entry: entry.term
        )
        if found:
            return self.base.index + found, kept[found - 1].term
        if self.base.term <= term or self.base.index == 0:
            return self.base.index, self.base.term
        return self.base.index - 1, 0

    def is_up_to_date(self, *, last_index: int, last_term: int) -> bool:
        """Return whether a log ending so is at least as up to date as this (paper 5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last)

    def admits(self, entries: Sequence[Entry]) -> bool:  # noqa: ARG002
        """Whether the content of ``entries`` may follow what precedes them here."""
        return True

    # --- changing ----------------------------------------------------------------------

    def _extend(self, entries: Sequence[Entry]) -> None:
        last, term = self.last, self.last_term
        for entry in entries:
            last += 1
            assert entry.index == last, f"entry {entry.index} where {last} is next"
            assert entry.term >= term, "terms never decrease"
            term = entry.term
            self.size_bytes += entry.size_bytes
        self._entries += entries
        self.last = last

    def _cut(self, index: int) -> None:
        kept = index - self.first
        self.size_bytes -= sum(entry.size_bytes for entry in self._entries[kept:])
        del self._entries[kept:]
        self.last = index - 1

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries, in place of everything from the first one's index on."""
        start = entries[0].index
        assert self.first <= start <= self.last + 1, f"no place for entry {start}"
        if start <= self.last:
            self._cut(start)
            # What is being written from here on is overwritten by the next write.
            self.unstable_from = min(self.unstable_from, start)
            self.in_progress_to = min(self.in_progress_to, start)
        self._extend(entries)

    def compact(self, index: int) -> None:
        """Drop everything up to ``index``, which becomes the base."""
        base = self._base_at(index)
        dropped = index - self.base.index
        self.size_bytes -= sum(entry.size_bytes for entry in self._entries[:dropped])
        del self._entries[:dropped]
        self.base = base
        self.unstable_from = max(self.unstable_from, self.first)
        self.in_progress_to = max(self.in_progress_to, self.first)

    def _base_at(self, index: int) -> Base:
        term = self.term_at(index)
        assert term is not None, f"nothing is known at {index}"
        return replace(self.base, index=index, term=term)

    def restore(self, restore: Restore) -> None:
        """Drop the whole log and continue from a snapshot, to be written next."""
        self._reset(restore.base)
        self.restoring, self.restore_in_progress = restore, False

    def _reset(self, base: Base) -> None:
        self.base, self.last, self.size_bytes = base, base.index, 0
        self._entries.clear()
        self.unstable_from = self.in_progress_to = base.index + 1

    def learn_base_term(self, term: int) -> None:
        assert not self.base.term_known, "the base's term is known"
        self.base = replace(self.base, term=term)

    # --- writing -----------------------------------------------------------------------

    @property
    def has_unstable(self) -> bool:
        return self.unstable_from <= self.last

    def unwritten(self) -> tuple[Entry, ...]:
        if self.in_progress_to > self.last:
            return ()
        return self.between(self.in_progress_to, self.last)

    def unwritten_restore(self) -> Restore | None:
        return None if self.restore_in_progress else self.restoring

    def note_in_progress(self) -> None:
        """Everything unwritten was handed out for writing."""
        self.in_progress_to = self.last + 1
        self.restore_in_progress = self.restoring is not None

    def stable_to(self, index: int, term: int) -> None:
        """Entries up to ``index`` are written, unless that slot was overwritten since.

        The caller attests that no older write is under way that could still replace them.
        """
        if index < self.unstable_from or self.term_at(index) != term:
            return
        self.unstable_from = index + 1
        self.in_progress_to = max(self.in_progress_to, index + 1)

    def stable_restore_to(self, index: int) -> None:
        if self.restoring is not None and self.restoring.base.index == index:
            self.restoring, self.restore_in_progress = None, False

    def check_invariants(self) -> None:
        """Assert the cheap half of the invariants: the ends; ``append`` held the rest."""
        assert self.last == self.base.index + len(self._entries), "the log has no holes"
        assert self.first <= self.unstable_from, "what is compacted is written"
        assert self.unstable_from <= self.in_progress_to <= self.last + 1
        if self._entries:
            assert self._entries[0].index == self.first
            assert self._entries[-1].index == self.last
            assert self._entries[0].term >= self.base.term
