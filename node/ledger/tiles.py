"""The ledger's log, stored as tiles of 256 hashes (C2SP tlog-tiles).

A tile of level 0 holds up to 256 leaf hashes; an entry of level k + 1 is the root of one
*full* tile of level k.  So a tree of n leaves costs n * 257 / 256 hashes, any proof reads at
most a few tiles per level, and a mirror can fetch the same files over plain HTTP.

Owns: growing the tiles, roots and paths at any size up to the current one.  Refuses: I/O;
tiles are read through a function and written by the caller.  A stored tile may be longer than
the tree needs (a crash after the tiles and before the size); the surplus is ignored and
overwritten.  It may never be shorter.
Invariant: the last, unfinished tile of each level is held in memory (at most 8 KiB a level),
so growing and the current root never read anything after the first time.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from node.ledger import accel, merkle

WIDTH: Final = 256
HASH_BYTES: Final = 32
TILE_BYTES: Final = WIDTH * HASH_BYTES
CACHE_TILES: Final = 64  # half a MiB of full tiles

ReadTile = Callable[[int, int], bytes | None]
TileWrite = tuple[int, int, bytes]  # level, number within the level, hashes


class TileMissing(Exception):
    """A tile that the tree's size promises is absent, short or not made of whole hashes."""


class TileLog:
    """One append-only tree over stored tiles.

    After ``extend`` the caller stores the returned tiles and the new size in one atomic
    batch.  ``extend`` and ``root`` of the current size may be called again before that;
    paths and older roots read tiles and may not.
    """

    def __init__(self, size: int, read_tile: ReadTile) -> None:
        assert size >= 0, f"a log of {size} leaves"
        self._size = size
        self._read_tile = read_tile
        self._edge: dict[int, bytes] = {}  # level -> row of its unfinished tile
        self._cache: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    def extend(self, leaf_hashes: Sequence[bytes]) -> list[TileWrite]:
        """Add leaf hashes; return every tile that changed, the unfinished ones included.

        A tile is returned whole and replaces the one stored under its level and number.
        Raises ``TileMissing`` (nothing has changed then).
        """
        row, level, count = b"".join(leaf_hashes), 0, self._size
        assert len(row) == HASH_BYTES * len(leaf_hashes), "leaf hashes have 32 bytes"
        edges = {}
        writes: list[TileWrite] = []
        while row:
            row = self._edge_of(level) + row
            first = count // WIDTH
            writes.extend(
                (level, first + at // TILE_BYTES, row[at : at + TILE_BYTES])
                for at in range(0, len(row), TILE_BYTES)
            )
            edges[level] = row[len(row) - len(row) % TILE_BYTES :]
            row = accel.roots_of_runs(row, WIDTH)
            level, count = level + 1, first
        self._edge.update(edges)
        self._size += len(leaf_hashes)
        for number_level, number, tile_bytes in writes:
            self._remember(number_level, number, tile_bytes)
        return writes

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first ``size`` leaves, or of all.

        Raises ``ValueError`` for a size beyond the log, ``TileMissing``.
        """
        if size is None:
            size = self._size
        elif not 0 <= size <= self._size:
            raise ValueError(f"no root at {size} in a log of {self._size}")
        return self._node(0, size) if size else merkle.EMPTY_ROOT

    def inclusion_path(self, index: int, size: int) -> list[bytes]:
        """Return the inclusion path of leaf ``index`` in the tree of the first ``size``.

        Raises ``ValueError`` for a leaf or size that is not there, ``TileMissing``.
        """
        self._check(size)
        return [self._node(*span) for span in merkle.inclusion_ranges(index, size)]

    def consistency_path(self, old: int, new: int) -> list[bytes]:
        """Return the consistency path from the first ``old`` to the first ``new`` leaves.

        Raises ``ValueError`` for sizes that are not there, ``TileMissing``.
        """
        self._check(new)
        return [self._node(*span) for span in merkle.consistency_ranges(old, new)]

    def node_path(self, start: int, end: int) -> list[bytes]:
        """Return the path from the node over leaves [start, end) to the root of all leaves.

        ``start`` is a multiple of a power of two, and ``end`` that much further or the end.
        """
        spans = merkle.inclusion_ranges(start, self._size)
        return [self._node(*span) for span in spans if not start <= span[0] < end]

    def leaves(self, start: int, end: int) -> bytes:
        """Return the leaf hashes [start, end), 32 bytes each; ``start`` begins a tile."""
        assert start % WIDTH == 0, "tiles are read whole"
        return b"".join(
            self._entries(0, at, min(at + WIDTH, end)) for at in range(start, end, WIDTH)
        )

    def _check(self, size: int) -> None:
        if size > self._size:
            raise ValueError(f"tree of {size} asked of a log of {self._size}")

    def _node(self, start: int, end: int) -> bytes:
        """Return the root over leaves [start, end), which is a node of some tree.

        Entries of a level that fill no tile, plus the ragged rest below them as one more
        entry, are the leaves of the node as that level sees it.
        """
        rest, level = b"", 0
        while True:
            low, high = start >> 8 * level, end >> 8 * level
            if low % WIDTH or high // WIDTH == low // WIDTH:
                row = self._entries(level, low, high) + rest
                return accel.row_root(row)
            row = self._entries(level, high - high % WIDTH, high) + rest
            rest = accel.row_root(row) if row else b""
            level += 1

    def _entries(self, level: int, low: int, high: int) -> bytes:
        """Return entries [low, high) of a level as a row; they lie within one tile."""
        if low == high:
            return b""
        number = low // WIDTH
        base = number * WIDTH
        assert high <= base + WIDTH, f"entries {low} to {high} span tiles"
        part = slice((low - base) * HASH_BYTES, (high - base) * HASH_BYTES)
        if number == (self._size >> 8 * level) // WIDTH:
            return self._edge_of(level)[part]
        return self._tile(level, number, WIDTH)[part]

    def _edge_of(self, level: int) -> bytes:
        known = self._edge.get(level)
        if known is not None:
            return known
        number, width = divmod(self._size >> 8 * level, WIDTH)
        tile = self._tile(level, number, width) if width else b""
        edge = tile[: width * HASH_BYTES]
        self._edge[level] = edge
        return edge

    def _tile(self, level: int, number: int, width: int) -> bytes:
        """Return a tile of at least ``width`` hashes, from the cache or the store."""
        tile = self._cache.get((level, number))
        if tile is not None and len(tile) >= width * HASH_BYTES:
            self._cache.move_to_end((level, number))
            return tile
        tile = self._read_tile(level, number)
        if tile is None:
            raise TileMissing(f"tile {level}/{number} is missing")
        if len(tile) < width * HASH_BYTES or len(tile) % HASH_BYTES:
            raise TileMissing(f"tile {level}/{number}: {len(tile)} bytes, {width} hashes due")
        self._remember(level, number, tile)
        return tile

    def _remember(self, level: int, number: int, tile: bytes) -> None:
        # Only finished tiles: the others live in the edge, and surplus bytes must not stay.
        if len(tile) == TILE_BYTES and (number + 1) * WIDTH <= self._size >> 8 * level:
            self._cache[level, number] = tile
            if len(self._cache) > CACHE_TILES:
                self._cache.popitem(last=False)
