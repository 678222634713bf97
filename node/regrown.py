"""The state's tree grown again from its pairs alone, in shares that fit into memory.

Pairs are stored by key and the tree is in the order of their hashes: grown in the order of keys
it would read and write each page hundreds of times.  So the hashes are put in order first, in
runs on the disk, and the tree grows from the left to the right, each page once.

Owns: that order, the size of shares, and which stored pages belong to one.  Refuses: to say
what a difference means.
Bounded: one run and one share in memory; 64 bytes a pair on the disk, in a file without a name,
of which nothing is left when the process is killed.
"""

import os
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO, Final

from node.ledger import accel
from node.ledger.pages import EMPTY, NIBBLES, SLOTS, Node, PageWrite, hash_of, joined
from storage.slots import END

_ITEM_BYTES: Final = 64
RUN_ITEMS: Final = 1 << 16
SHARE_ITEMS: Final = 1 << 12  # on the average
_STEP_ITEMS: Final = 1 << 10
_READ_BYTES: Final = 1 << 14
_DEPTH_MAX: Final = 5  # a million shares
_LEVELS: Final = 8  # of pages in a share: one of 2^12 keys has four
Rest = Callable[[], None]
Pages = dict[bytes, bytes]
Span = tuple[bytes, bytes]


def in_a_hurry() -> None:
    """Do not rest."""


@dataclass(frozen=True, slots=True)
class Share:
    """Pages by key, and in which ranges [first, end) of keys there are no others."""

    pages: Pages
    spans: list[Span]

    def within(self, first: bytes, end: bytes) -> list[tuple[bytes, bytes]]:
        """Return the pages of a span in the order of their keys."""
        return sorted(item for item in self.pages.items() if first <= item[0] < end)


class Regrown:
    """The tree of ``pairs`` (key, value).  Walk ``shares`` once, to the end; then ``root``.

    ``scratch_dir``: where the file goes; None for the system's place.  ``rest`` is called
    between small pieces of the work.
    """

    def __init__(
        self,
        pairs: Iterable[tuple[bytes, bytes]],
        *,
        scratch_dir: Path | None,
        rest: Rest = in_a_hurry,
        share_items: int = SHARE_ITEMS,
        run_items: int = RUN_ITEMS,
    ) -> None:
        self._pairs = iter(pairs)
        self._scratch_dir = scratch_dir
        self._rest = rest
        self._share_items = share_items
        self._run_items = run_items
        self.root = EMPTY

    def shares(self) -> Iterator[Share]:
        """Yield every page in one share.  Every key of a page lies in one span of one share."""
        with tempfile.TemporaryFile(dir=self._scratch_dir) as file:
            runs = self._sorted_runs(file)
            count, depth = sum(run.items for run in runs), 1
            while count > self._share_items * SLOTS**depth and depth < _DEPTH_MAX:
                depth += 1
            deep = bytes((depth + _LEVELS,))
            nodes: list[Node] = []
            others: list[PageWrite] = []
            for number in range(SLOTS**depth):
                end = _path(number + 1, depth)
                node, pages = accel.grow_state(b"".join([run.take(end) for run in runs]), depth)
                nodes.append(node)
                others += [page for page in pages if page[0] >= deep]
                yield Share(
                    _by_key(page for page in pages if page[0] < deep),
                    [_span(number, depth, level) for level in range(depth, depth + _LEVELS)],
                )
                self._rest()
        node, above = joined(nodes, depth)
        self.root = hash_of(node)
        yield Share(_by_key([*above, *others]), [(b"", bytes((depth,))), (deep, END)])

    def _sorted_runs(self, file: IO[bytes]) -> list["_Run"]:
        runs: list[_Run] = []
        while items := self._next_run():
            runs.append(_Run(file.fileno(), file.tell(), len(items)))
            file.write(b"".join(items))
        file.flush()
        return runs

    def _next_run(self) -> list[bytes]:
        items: list[bytes] = []
        while len(items) < self._run_items:
            step = islice(self._pairs, min(_STEP_ITEMS, self._run_items - len(items)))
            more = [sha256(key).digest() + sha256(value).digest() for key, value in step]
            if not more:
                break
            items += more
            self._rest()
        items.sort()
        return items


class _Run:
    """Ordered items in a file, taken from the first to the last."""

    def __init__(self, handle: int, at: int, items: int) -> None:
        self.items = items
        self._handle = handle
        self._at = at
        self._end = at + items * _ITEM_BYTES
        self._read = b""

    def take(self, end: bytes | None) -> bytes:
        """Return the next items whose paths are below ``end``, all of them for None."""
        taken: list[bytes] = []
        while self._read or self._at < self._end:
            if not self._read:
                size = min(_READ_BYTES, self._end - self._at)
                self._read = os.pread(self._handle, size, self._at)
                self._at += size
            at = len(self._read)
            if end is not None:
                places = range(0, at, _ITEM_BYTES)
                below = bisect_left(places, end, key=lambda at: self._read[at : at + 32])
                at = below * _ITEM_BYTES
            taken.append(self._read[:at])
            self._read = self._read[at:]
            if self._read:
                break
        return b"".join(taken)


def _by_key(pages: Iterable[PageWrite]) -> Pages:
    return {key: page for key, page in pages if page is not None}


def _path(number: int, depth: int) -> bytes | None:
    """Return the first path of a share; None behind the last."""
    if number == SLOTS**depth:
        return None
    return (number << 4 * (NIBBLES - depth)).to_bytes(32, "big")


def _span(number: int, depth: int, level: int) -> Span:
    """Return the range of the keys of a share's pages at depth ``level``."""
    first, end = _path(number, depth), _path(number + 1, depth)
    size = (depth + 1) // 2
    return (
        bytes((level,)) + (first[:size] if first and number else b""),
        bytes((level + 1,)) if end is None else bytes((level,)) + end[:size],
    )
