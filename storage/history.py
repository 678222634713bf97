"""What blocks replaced: enough to read state and state tree as they were at an older height.

When block h changes a state key that existed, one row keeps the value before.  When it settles
(``pagelog``), rows of some ``CHUNK_BYTES`` keep what the stored pages lost that it replaces, as
bytes that only the caller understands.  What did not exist before leaves no row: the older
tree, read from the rows of its pages, says that it was not there.  So a fresh key costs its
pages only.

    o   height be64, first page key    for each page, in order of their keys:
                                       u8 size, page key, be16 size, what it lost

By height and not by page, for what is written side by side is never written again by LevelDB
for what lies around it, and goes again as it came.

Owns: these rows, which heights they suffice for, and their end: each block drops at most
``PRUNED_PER_BLOCK`` old blocks' rows, in its own batch.  Refuses: to know what a page is.
Invariant: as of every height from ``floor`` to ``last`` the rows are complete.  Blocks that
were applied without history (by an older version, or with history off) end it: it begins again
at the next block that is applied with history.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from consensus.frozen import dataclass
from storage import keys
from storage.errors import Corrupt
from storage.kv import Readable

PRUNED_PER_BLOCK: Final = 2
CHUNK_BYTES: Final = 4096

Pair = tuple[bytes, bytes]
PagesLost = Callable[[Sequence[tuple[bytes, bytes | None]]], list[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """What one block replaced: (key, value before).

    ``pages_lost`` says what stored pages lose, each with what it becomes, None when it goes;
    ``blocks``: how many heights below this block stay readable.
    """

    state: Sequence[Pair]
    pages_lost: PagesLost
    blocks: int

    def of_pages(
        self, settled: Sequence[tuple[bytes, bytes | None, bytes | None]]
    ) -> list[Pair]:
        """Return (page key, what it lost) for (page key, stored before, stored now)."""
        known = [(key, old, now) for key, old, now in settled if old is not None and old != now]
        lost = self.pages_lost([(old, now) for _, old, now in known])
        return [(key, raw) for (key, _, _), raw in zip(known, lost, strict=True)]


@dataclass(frozen=True, slots=True)
class History:
    """Rows may exist from height ``oldest`` on; they suffice from ``floor`` to ``last``."""

    oldest: int
    floor: int
    last: int

    def encode(self) -> bytes:
        """Return three be64."""
        return keys.be64(self.oldest) + keys.be64(self.floor) + keys.be64(self.last)

    @classmethod
    def decode(cls, raw: bytes) -> "History":
        """Inverse of ``encode``; raises ``Corrupt``."""
        numbers = [int.from_bytes(raw[at : at + 8], "big") for at in (0, 8, 16)]
        if len(raw) != 24 or not 0 < numbers[1] <= numbers[2]:
            raise Corrupt("the bounds of the history are not in order", where="LevelDB")
        return cls(*numbers)


def bounds(source: Readable) -> History | None:
    """Return what history there is; None when none was ever kept."""
    raw = source.get(keys.HISTORY)
    return None if raw is None else History.decode(raw)


def state_after(source: Readable, key: bytes, height: int) -> bytes | None:
    """Return what the first block above ``height`` that changed ``key`` replaced, or None."""
    name = keys.state_was(key)
    found = source.scan(name + keys.be64(height + 1), name + b"\xff" * 8, limit=1)
    return next((raw for _, raw in found), None)


def pages_after(source: Readable, page_key: bytes, height: int) -> Iterator[bytes]:
    """Yield what the blocks above ``height`` took from a page, oldest block first; raises
    ``Corrupt``.  Two looks for each block that settled since."""
    end = keys.after(keys.PAGES_WERE)
    at, named = keys.pages_were(height + 1), bytes((len(page_key),)) + page_key
    while (first := next(source.scan(at, end, limit=1), None)) is not None:
        settled = first[0][:9]
        upto = settled + page_key + b"\x00"
        for _, raw in source.scan(settled, upto, reverse=True, limit=1):
            if named in raw:  # most rows are of other pages, and need not be taken apart
                yield from (lost for key, lost in pages_in(raw) if key == page_key)
        at = keys.after(settled)


def pages_in(raw: bytes) -> Iterator[Pair]:
    """Yield (page key, what it lost) of a row; raises ``Corrupt``."""
    at = 0
    while at < len(raw):
        start = at + 1 + raw[at]
        end = start + 2 + int.from_bytes(raw[start : start + 2], "big")
        if end > len(raw):
            raise Corrupt("a row of what pages lost is cut short", where="LevelDB")
        yield raw[at + 1 : start], raw[start + 2 : end]
        at = end


def rows_of_pages(height: int, pages: Iterable[Pair]) -> Iterator[Pair]:
    """Yield the rows of what pages, in the order of their keys, lost at ``height``."""
    parts: list[bytes] = []
    name, size = b"", 0
    for key, lost in pages:
        if not parts:
            name = keys.pages_were(height) + key
        parts += (bytes((len(key),)), key, len(lost).to_bytes(2, "big"), lost)
        size += len(key) + len(lost)
        if size >= CHUNK_BYTES:
            yield name, b"".join(parts)
            parts, size = [], 0
    if parts:
        yield name, b"".join(parts)


# --- writing ------------------------------------------------------------------------------


def batch(
    source: Readable, height: int, replaced: Replaced | None, pages: Sequence[Pair] = ()
) -> tuple[list[tuple[bytes, bytes | None]], int | None]:
    """Return the pairs that block ``height`` writes and drops, and the floor from then on;
    None: history is off.  ``pages``: what stored pages lost with it."""
    known = bounds(source)
    if replaced is None:
        return [] if known is None else _drop_all(source, known), None
    floor, oldest = height - 1, height
    if known is not None:
        oldest = known.oldest
        if known.last == height - 1:
            floor = known.floor
    floor = max(floor, height - replaced.blocks, 1)
    at = keys.be64(height)
    result: list[tuple[bytes, bytes | None]] = []
    # Before block 1 there is nothing to go back to.
    if floor < height and (replaced.state or pages):
        named = sorted((keys.state_was(key), raw) for key, raw in replaced.state)
        result += rows_of_pages(height, pages)
        result += [(name + at, raw) for name, raw in named]
        result.append((keys.WAS_AT + at, join([name for name, _ in named])))
    dropped, oldest = _drop(source, oldest, floor)
    result += dropped
    result.append((keys.HISTORY, History(oldest, floor, height).encode()))
    return result, floor


def ended(source: Readable, height: int) -> list[tuple[bytes, bytes | None]]:
    """Return the pairs after which nothing below ``height``, the newest, can be read."""
    known = bounds(source)
    if known is None or known.last != height:
        return []
    return [(keys.HISTORY, History(known.oldest, height, height).encode())]


def _drop_all(source: Readable, known: History) -> list[tuple[bytes, bytes | None]]:
    dropped, oldest = _drop(source, known.oldest, known.last)
    if oldest > known.last:
        return [*dropped, (keys.HISTORY, None)]
    return [*dropped, (keys.HISTORY, History(oldest, known.floor, known.last).encode())]


def _drop(
    source: Readable, oldest: int, floor: int
) -> tuple[list[tuple[bytes, bytes | None]], int]:
    """Return the deletions of the oldest rows not above ``floor``, and where rows begin now.

    The walk starts where the last one ended: LevelDB steps over what was deleted before.
    """
    gone: list[tuple[bytes, bytes | None]] = []
    found = list(
        source.scan(keys.was_at(oldest), keys.was_at(floor + 1), limit=PRUNED_PER_BLOCK)
    )
    for key, raw in found:
        gone += [(name + key[1:], None) for name in split(raw)]
        were = keys.PAGES_WERE + key[1:]
        gone += [(name, None) for name, _ in source.scan(were, keys.after(were))]
        gone.append((key, None))
    if len(found) < PRUNED_PER_BLOCK:
        return gone, max(oldest, floor + 1)
    return gone, int.from_bytes(found[-1][0][1:], "big") + 1


def join(names: Sequence[bytes]) -> bytes:
    """Inverse of ``split``: be16 size and name, one after the other."""
    return b"".join([len(name).to_bytes(2, "big") + name for name in names])


def split(raw: bytes) -> Iterator[bytes]:
    """Yield the row names, without their height, that a block's list holds."""
    at = 0
    while at < len(raw):
        end = at + 2 + int.from_bytes(raw[at : at + 2], "big")
        if end > len(raw):
            raise Corrupt("a list of replaced rows is cut short", where="LevelDB")
        yield raw[at + 2 : end]
        at = end
