"""The log of a ledger: its entries carry blocks, and every index has a chain tip.

Adds to ``Log`` what a chain needs: which block is the newest at an index, where a height lies,
and the refusal of entries whose blocks do not continue the chain.
Invariant: block heights are consecutive and each block's parent is the digest of the block
before it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from consensus.raft.log import Base, Entry, Log


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


class BlockLog(Log):
    def __init__(self, base: Base, entries: Sequence[Entry] = ()) -> None:
        self._tips: list[Tip] = []
        super().__init__(base, entries)

    @property
    def tip(self) -> Tip:
        return self._tips[-1] if self._tips else Tip(self.base.height, self.base.digest)

    @property
    def tip_is_barrier(self) -> bool:
        """Whether the newest kept block may change the committee."""
        for entry in reversed(self._entries):
            if entry.proposal is not None:
                return entry.proposal.barrier
        return False

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
        if self.tip.height <= height:
            return self.last
        return self.base.index + bisect_right(self._tips, height, key=lambda tip: tip.height)

    def admits(self, entries: Sequence[Entry]) -> bool:
        return not chain_breaks(self.tip_at(entries[0].index - 1), entries)

    def _extend(self, entries: Sequence[Entry]) -> None:
        tips, tip = [], self.tip
        for entry in entries:
            block = entry.proposal
            if block is not None:
                assert block.height == tip.height + 1, "heights are consecutive"
                assert block.parent == tip.digest, "blocks chain"
                tip = Tip(block.height, block.digest)
            tips.append(tip)
        super()._extend(entries)
        self._tips += tips

    def _cut(self, index: int) -> None:
        del self._tips[index - self.first :]
        super()._cut(index)

    def compact(self, index: int) -> None:
        dropped = index - self.base.index
        super().compact(index)
        del self._tips[:dropped]

    def _base_at(self, index: int) -> Base:
        return self.base_at(index)

    def _reset(self, base: Base) -> None:
        super()._reset(base)
        self._tips.clear()

    def check_invariants(self) -> None:
        super().check_invariants()
        assert len(self._entries) == len(self._tips)
