"""The replicated log in memory: entries above a base, with the chain tip at every index.

Owns: terms, order, truncation, compaction, and the search that makes conflicts cheap.  Refuses:
knowing what is committed or durable (core.py does).  Entry indexes start at 1; the base is the
last index that is no longer kept (index 0 before any compaction).
Invariants: indexes are consecutive, terms never decrease, block heights are consecutive and
each block's parent is the digest of the block before it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from consensus.types import Proposal

ENTRY_OVERHEAD_BYTES: Final = 128


@dataclass(frozen=True, slots=True)
class Entry:
    """One log slot; ``proposal`` is None in the entry with which a leader opens its term."""

    term: int
    index: int
    proposal: Proposal | None

    def __post_init__(self) -> None:
        if self.term < 1 or self.index < 1:
            raise ValueError("terms and indexes of entries start at 1")

    @property
    def size_bytes(self) -> int:
        """An upper bound of the encoded size, used for flow control."""
        if self.proposal is None:
            return ENTRY_OVERHEAD_BYTES
        return ENTRY_OVERHEAD_BYTES + len(self.proposal.header) + len(self.proposal.txids)


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
class Tip:
    """The newest block at or below an index."""

    height: int
    digest: bytes


def chain_breaks(tip: Tip, entries: Iterable[Entry]) -> bool:
    """Return whether the blocks in ``entries`` fail to continue the chain from ``tip``."""
    for entry in entries:
        block = entry.proposal
        if block is None:
            continue
        if block.height != tip.height + 1 or block.parent != tip.digest:
            return True
        tip = Tip(block.height, block.digest)
    return False


class Log:
    """Entries ``base.index + 1 .. last``; asking below the base gives None, never a guess."""

    def __init__(self, base: Base, entries: Sequence[Entry] = ()) -> None:
        self.base = base
        self.size_bytes = 0
        self._entries: list[Entry] = []
        self._tips: list[Tip] = []
        self.append(entries)

    @property
    def first(self) -> int:
        return self.base.index + 1

    @property
    def last(self) -> int:
        return self.base.index + len(self._entries)

    @property
    def last_term(self) -> int:
        return self._entries[-1].term if self._entries else self.base.term

    @property
    def tip(self) -> Tip:
        return self._tips[-1] if self._tips else Tip(self.base.height, self.base.digest)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries)

    def term_at(self, index: int) -> int | None:
        """Return the term at ``index``, or None when the log does not reach there."""
        if index == self.base.index:
            return self.base.term
        if not self.first <= index <= self.last:
            return None
        return self._entries[index - self.first].term

    def entry(self, index: int) -> Entry:
        assert self.first <= index <= self.last, f"no entry {index}"
        return self._entries[index - self.first]

    def tip_at(self, index: int) -> Tip:
        """Return the newest block at or below ``index``, which must be kept or the base."""
        assert self.base.index <= index <= self.last, f"no tip at {index}"
        if index == self.base.index:
            return Tip(self.base.height, self.base.digest)
        return self._tips[index - self.first]

    def base_at(self, index: int) -> Base:
        """Return what the base would be if everything up to ``index`` were dropped."""
        term, tip = self.term_at(index), self.tip_at(index)
        assert term is not None
        return Base(index, term, tip.height, tip.digest)

    def last_index_of_height(self, height: int) -> int:
        """Return the highest index whose tip is at or below ``height`` (at least the base)."""
        return self.base.index + bisect_right(self._tips, height, key=lambda tip: tip.height)

    def slice(self, lo: int, *, entries_max: int, bytes_max: int) -> tuple[Entry, ...]:
        """Return entries from ``lo`` within both limits, but never fewer than one if any."""
        assert lo >= self.first, f"entry {lo} is compacted"
        taken: list[Entry] = []
        size = 0
        for index in range(lo, min(self.last, lo + entries_max - 1) + 1):
            entry = self.entry(index)
            size += entry.size_bytes
            if taken and size > bytes_max:
                break
            taken.append(entry)
        return tuple(taken)

    def append(self, entries: Iterable[Entry]) -> None:
        """Add entries that continue the log; the caller has checked their chain."""
        for entry in entries:
            assert entry.index == self.last + 1, f"entry {entry.index} after {self.last}"
            assert entry.term >= self.last_term, "terms never decrease"
            block, tip = entry.proposal, self.tip
            if block is not None:
                assert block.height == tip.height + 1, "heights are consecutive"
                assert block.parent == tip.digest, "blocks chain"
                tip = Tip(block.height, block.digest)
            self._entries.append(entry)
            self._tips.append(tip)
            self.size_bytes += entry.size_bytes

    def truncate(self, index: int) -> None:
        """Drop ``index`` and everything after it."""
        assert self.first <= index, f"entry {index} is compacted"
        kept = index - self.first
        self.size_bytes -= sum(entry.size_bytes for entry in self._entries[kept:])
        del self._entries[kept:], self._tips[kept:]

    def compact(self, index: int) -> None:
        """Drop everything up to ``index``, which becomes the base."""
        base = self.base_at(index)
        dropped = index - self.base.index
        self.size_bytes -= sum(entry.size_bytes for entry in self._entries[:dropped])
        del self._entries[:dropped], self._tips[:dropped]
        self.base = base

    def reset(self, base: Base) -> None:
        """Drop the whole log and continue from ``base``."""
        self.base, self.size_bytes = base, 0
        self._entries.clear()
        self._tips.clear()

    def learn_base_term(self, term: int) -> None:
        assert not self.base.term_known, "the base's term is known"
        self.base = Base(self.base.index, term, self.base.height, self.base.digest)

    def find_conflict_by_term(self, index: int, term: int) -> int:
        """Return the highest index <= ``index`` whose term is <= ``term``.

        Two logs that disagree at ``index`` can agree at most there, so one probe per term of
        the divergence is enough (Raft paper 5.3).  Returns an index below the base when even
        the base's term is higher: the answer then is a snapshot.
        """
        index = min(index, self.last)
        if index < self.base.index:
            return index
        at_or_below = bisect_right(self._entries, term, key=lambda entry: entry.term)
        index = min(index, self.base.index + at_or_below)
        if index == self.base.index and self.base.term > term:
            return max(self.base.index - 1, 0)
        return index

    def is_up_to_date(self, *, last_index: int, last_term: int) -> bool:
        """Return whether a log ending so is at least as up to date as this (paper 5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last)

    def check_invariants(self) -> None:
        """Assert the cheap half of the invariants: the ends; ``append`` held the rest."""
        assert len(self._entries) == len(self._tips)
        if self._entries:
            assert self._entries[0].index == self.first
            assert self._entries[-1].index == self.last
            assert self._entries[0].term >= self.base.term
