"""Pages of the state tree, written behind the blocks that change them.

A block changes the pages on the way to each of its keys: of some 500 bytes each, mostly one
slot of 32.  Its batch therefore has one row of patches, and the pages themselves are stored
when enough of them have changed: with a block that *settles*, and of each only the slots that
are not what they were (``slots``).

    j height   be64 base | for each page: u8 size, page key, be16 size, patch
    m pages    be64: base, the height as of which stored pages stand

    patch      empty: the page is gone; else, until its end, be16 bytes to keep of the page as
               it was, be16 bytes to leave out (0xffff: all that are left), be16 size, bytes to
               put in their place.  A page that was not there is put in the place of all

A page as of a height is the stored page with the patches of the blocks above ``base`` in their
order.  Which block settles is each member's own affair; the rows say which did.

Owns: these rows and patches, when a block settles, the pages that are newer than the stored
ones.  Refuses: to know what a page is, and how it lies in rows; a patch that does not fit is
``Corrupt``, and whoever reads a page checks it.
Bounded: ``PAGES_MAX`` changed pages (some 4 MB, and as much of what was stored),
``LOG_BYTES_MAX`` of patches and ``BLOCKS_MAX`` blocks, then a block settles.
Crash: the row is part of its block's batch, pages and ``base`` are part of the settling one's.
The next start puts the patches on again.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from consensus.frozen import dataclass
from storage import keys, slots
from storage.errors import Corrupt
from storage.kv import TURNS, Readable
from storage.slots import Differ, Pair, Settled

PAGES_MAX: Final = 8192  # twice as many: p99 half as high again, and hardly fewer bytes
LOG_BYTES_MAX: Final = 8 << 20
BLOCKS_MAX: Final = 1024
RECENT_PAGES_MAX: Final = 4096  # 2 MB
RECENT_BLOCKS_MIN: Final = 16
RECENT_BLOCKS_MAX: Final = 64
DROPPED_PER_BLOCK: Final = 4
HELD_PAGES_MAX: Final = 49_152  # stored pages kept in memory, some 30 MB
ALL: Final = 0xFFFF
_BASE_BYTES: Final = 8

Layer = Mapping[bytes, bytes]  # page key -> patch, of one block
Changed = dict[bytes, bytes | None]  # page key -> page
ReadPages = Callable[[Readable, Sequence[bytes]], list[bytes | None]]


class PageChanges(Protocol):
    """What a block does to pages (``commit.BlockCommit``)."""

    @property
    def pages(self) -> Sequence[Pair]: ...

    @property
    def pages_were(self) -> Mapping[bytes, bytes | None]: ...

    @property
    def page_patches(self) -> bytes: ...

    @property
    def differ(self) -> Differ: ...


class Newer:
    """Pages that are newer than the stored ones, as of each of the last heights.

    ``base``: the height as of which pages are stored; a block that settles begins another one,
    and this one stays as it is.  One thread adds, any thread reads: a reader looks last at
    ``_floor``, which is moved before anything that it could have seen is changed.
    """

    def __init__(self, base: int, changed: dict[bytes, bytes | None], height: int) -> None:
        self.base = base
        self._floor = height
        self._as_of_floor = changed
        self._recent: tuple[tuple[int, Changed], ...] = ()
        self._pages = 0  # in the recent ones

    def add(self, height: int, changed: Changed) -> None:
        """Add what block ``height`` changed, and keep fewer of the blocks before it."""
        self._recent = (*self._recent, (height, changed))
        self._pages += len(changed)
        while len(self._recent) > RECENT_BLOCKS_MIN and (
            self._pages > RECENT_PAGES_MAX or len(self._recent) > RECENT_BLOCKS_MAX
        ):
            self._floor, oldest = self._recent[0]
            self._as_of_floor.update(oldest)
            self._recent = self._recent[1:]
            self._pages -= len(oldest)

    def find(self, key: bytes, height: int) -> tuple[bool, bytes | None] | None:
        """Return whether a page is newer than its stored one as of ``height``, and what it is;
        None when that height is too long ago to say."""
        for at, changed in reversed(self._recent):
            if at <= height and key in changed:
                return True, changed[key]
        changed = self._as_of_floor
        found = (True, changed[key]) if key in changed else (False, None)
        return found if height >= self._floor else None


@dataclass(frozen=True, slots=True)
class View:
    """Pages newer than the stored ones, for reading as of heights up to ``height``."""

    newer: Newer
    height: int


# --- patches and rows ---------------------------------------------------------------------


def patched(page: bytes | None, patch: bytes) -> bytes | None:
    """Return what ``patch`` makes of ``page``; raises ``Corrupt`` when it does not fit."""
    if not patch:
        return None
    old = page or b""
    parts: list[bytes] = []
    at = read = 0
    while at < len(patch):
        kept, left_out, size = (
            int.from_bytes(patch[at + start : at + start + 2], "big") for start in (0, 2, 4)
        )
        at += 6
        parts += (old[read : read + kept], patch[at : at + size])
        read = len(old) if left_out == ALL else read + kept + left_out
        at += size
    if at != len(patch) or read != len(old):
        raise Corrupt("a patch does not fit its page", where="page log")
    return b"".join(parts)


def decode(raw: bytes) -> tuple[int, Layer]:
    """Return base and patches of a row; raises ``Corrupt``."""
    layer: dict[bytes, bytes] = {}
    at = _BASE_BYTES
    while at < len(raw):
        start = at + 1 + raw[at]
        key = raw[at + 1 : start]
        at = start + 2 + int.from_bytes(raw[start : start + 2], "big")
        layer[key] = raw[start + 2 : at]
    if at != len(raw):
        raise Corrupt("a row of patches is cut short", where="page log")
    return int.from_bytes(raw[:_BASE_BYTES], "big"), layer


# --- reading ------------------------------------------------------------------------------


def stored_base(source: Readable) -> int:
    """Return the height as of which stored pages stand: without a word about it that of the
    newest block, for the layout before this one stored every page with its block."""
    raw = source.get(keys.PAGES)
    return newest_height(source) if raw is None else int.from_bytes(raw, "big")


def newest_height(source: Readable) -> int:
    """Return the height of the newest block, 0 before the first."""
    blocks = source.scan(keys.BLOCK, keys.after(keys.BLOCK), reverse=True, limit=1)
    newest = next(blocks, None)
    return 0 if newest is None else int.from_bytes(newest[0][1:], "big")


def base_at(source: Readable, height: int) -> int:
    """Return the base that the row of ``height`` names; without a row ``height`` itself."""
    raw = source.get(keys.page_log(height))
    return height if raw is None else int.from_bytes(raw[:_BASE_BYTES], "big")


def rows(source: Readable, above: int, up_to: int) -> Iterator[tuple[int, Layer]]:
    """Yield (height, layer) of the blocks above ``above`` up to ``up_to``, ascending."""
    pairs = source.scan(keys.page_log(above + 1), keys.page_log(up_to + 1))
    return ((int.from_bytes(key[1:], "big"), decode(raw)[1]) for key, raw in pairs)


def load(source: Readable, read: ReadPages = slots.pages) -> tuple[Changed, Changed]:
    """Return the pages newer than the stored ones, and what is stored of these.

    ``read``: how pages are stored, as ``slots.pages``.  Raises ``Corrupt``.
    """
    layers = [layer for _, layer in rows(source, stored_base(source), keys.HEIGHT_MAX - 1)]
    named = list(dict.fromkeys(key for layer in layers for key in layer))
    stood: Changed = dict(zip(named, read(source, named), strict=True))
    changed = dict(stood)
    for layer in layers:
        for key, patch in layer.items():
            changed[key] = patched(changed[key], patch)
    return changed, stood


def merged(
    changed: Iterable[Pair], stored: Iterator[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield every page in key order; both come in that order."""
    newer = iter(changed)
    mine, theirs = next(newer, None), next(stored, None)
    while mine is not None or theirs is not None:
        if mine is None or (theirs is not None and theirs[0] < mine[0]):
            assert theirs is not None
            yield theirs
            theirs = next(stored, None)
            continue
        if theirs is not None and theirs[0] == mine[0]:
            theirs = next(stored, None)
        if mine[1] is not None:
            yield mine[0], mine[1]
        mine = next(newer, None)


# --- writing ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """What one block does to the log; ``settled``: (page key, stored before, stored now), None
    for a block that does not settle."""

    rows: list[Pair]
    settled: Settled | None = None


class PageLog:
    """The writing side: one block after the other, on the thread that commits."""

    def __init__(self, source: Readable, turn: int = 0) -> None:
        """Put the patches of the newest blocks on again; raises ``Corrupt``.

        ``turn``: a number of this member among the others.  By it the first block that settles
        comes after a share of ``PAGES_MAX`` only, the next ones after a whole one each: such a
        block takes a member some 50 ms, for which a quorum need not wait while the others'
        settle elsewhere.  Four members on two cores at 2,000/s: p99 of 130 to 190 ms instead
        of 180 to 260.
        """
        self._sooner = turn % TURNS
        self._source = source
        self._noted = source.get(keys.PAGES) is not None
        self._changed, self._stood = load(source)
        self._held: OrderedDict[bytes, bytes] = OrderedDict()
        base, height = stored_base(source), newest_height(source)
        self.newer = Newer(base, dict(self._changed), height)
        patches = source.scan(keys.page_log(base + 1), keys.after(keys.PAGE_LOG))
        self._log_bytes = sum(len(raw) - _BASE_BYTES for _, raw in patches)
        first = next(source.scan(keys.PAGE_LOG, keys.after(keys.PAGE_LOG), limit=1), None)
        self._oldest = None if first is None else int.from_bytes(first[0][1:], "big")

    @property
    def pages_max(self) -> int:
        """How many changed pages the next block that settles stores at least."""
        return PAGES_MAX - self._sooner * PAGES_MAX // TURNS

    def page(self, key: bytes) -> bytes | None:
        """Return a page as of the newest block."""
        changed = self._changed  # another one once the next block settles
        if key in changed:
            return changed[key]
        held = self._held.get(key)
        return slots.page(self._source, key) if held is None else held

    def pages(self, page_keys: Sequence[bytes]) -> list[bytes | None]:
        """Return pages as of the newest block, on the thread that commits.

        What is read is held: another thread might hold a page that was just stored anew.
        """
        changed, held = self._changed, self._held
        found: Changed = {}
        for key in page_keys:
            if key in changed:
                found[key] = changed[key]
            elif key in held:
                found[key] = held[key]
        unread = [key for key in page_keys if key not in found]
        if unread:
            stored = slots.pages(self._source, unread)
            found.update(zip(unread, stored, strict=True))
            self._hold(zip(unread, stored, strict=True))
        return [found[key] for key in page_keys]

    def _hold(self, pages: Iterable[Pair]) -> None:
        held = self._held
        for key, page in pages:
            held.pop(key, None)
            if page is not None:
                held[key] = page
        while len(held) > HELD_PAGES_MAX:
            held.popitem(last=False)

    def step(self, height: int, block: PageChanges, *, settle: bool | None = None) -> Step:
        """Return what block ``height`` writes; go on from there, for a block whose batch fails
        is the last one.

        ``settle``: whether it settles; None: when a bound is reached.
        """
        stood, were, base = self._stood, block.pages_were, self.newer.base
        changed = dict(block.pages)
        for key in changed:
            if key not in stood:
                stood[key] = were.get(key)
        self._changed.update(changed)
        self._log_bytes += len(block.page_patches)
        if self._oldest is None:
            self._oldest = height
        if settle is None:
            settle = (
                len(self._changed) >= self.pages_max
                or self._log_bytes >= LOG_BYTES_MAX
                or height - base >= BLOCKS_MAX
            )
        if not settle:
            self.newer.add(height, changed)
            result: list[Pair] = [(keys.page_log(height), keys.be64(base) + block.page_patches)]
            if not self._noted:
                result.append((keys.PAGES, keys.be64(base)))
                self._noted = True
            return Step(result)
        settled = [(key, stood[key], self._changed[key]) for key in sorted(stood)]
        result = block.differ(keys.NODE, settled)
        result += [(keys.page_log(height), keys.be64(height)), (keys.PAGES, keys.be64(height))]
        self._hold(self._changed.items())
        self._changed, self._stood, self._log_bytes, self._noted = {}, {}, 0, True
        self._sooner = 0
        self.newer = Newer(height, {}, height)
        return Step(result, settled)

    def dropped(self, kept_above: int) -> list[Pair]:
        """Return the deletions of the oldest rows, none of them above ``kept_above``."""
        if self._oldest is None:
            return []
        first = self._oldest
        self._oldest = max(first, min(first + DROPPED_PER_BLOCK, kept_above + 1))
        return [(keys.page_log(height), None) for height in range(first, self._oldest)]
