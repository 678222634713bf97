"""Chunks of the state: all rows below one place of the state tree, provable one by one.

A chunk is every row (key, value) whose SHA-256(key) begins with given bits, in the order of
those hashes, with the nodes beside the way from the root to that place.  From the rows its
subtree is computed again; with what lies beside the way that gives the root, or the chunk is
refused.  So one chunk is believed without any other, whoever sent it.

Owns: the form of a chunk, its proof over stored pages, its verification, which places a whole
state is cut at.  Refuses: rows that are missing, added, changed, twice or out of order, and a
proof that places a single key where it does not belong.
Invariant: the places of ``Cut`` cover the tree without gap or overlap, by construction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Final

from consensus import wire
from consensus.codec import Malformed
from node.ledger import accel
from node.ledger.pages import (
    EMPTY,
    NIBBLES,
    NOTHING,
    Node,
    PageCorrupt,
    ReadPage,
    decode_page,
    hash_of,
    levels_of,
    one_by_one,
    page_key,
    stored_page,
)

CHUNK_BYTES_TARGET: Final = 512 << 10  # of keys and values, on average
CHUNK_BYTES_MAX: Final = 1 << 20  # above it a place of several keys is cut again
ENCODED_BYTES_MAX: Final = (4 << 20) - (64 << 10)  # fits a frame between members
DEPTH_MAX: Final = 40
CHUNKS_MAX: Final = 1 << 20

Row = tuple[bytes, bytes]  # key, value


class ChunkRefused(Exception):
    """The rows are not those that the root speaks of."""


@dataclass(frozen=True, slots=True)
class StateRow:
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class StateChunk:
    """``siblings``: the nodes beside the way, root first, ``depth`` of them; of 0 bytes for
    nothing, 32 for a subtree, 64 for a single key (its place, then the hash of its value)."""

    siblings: tuple[bytes, ...]
    rows: tuple[StateRow, ...]

    def __post_init__(self) -> None:
        if len(self.siblings) > DEPTH_MAX:
            raise ValueError("a chunk lies deeper than any may")
        if any(len(node) not in (0, 32, 64) for node in self.siblings):
            raise ValueError("a node has 0, 32 or 64 bytes")

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return wire.encode(self)

    @classmethod
    def decode(cls, raw: bytes) -> "StateChunk":
        """Inverse of ``encode``; raises ``ChunkRefused``."""
        try:
            return wire.decode(StateChunk, raw, size_max=ENCODED_BYTES_MAX)
        except Malformed as error:
            raise ChunkRefused(str(error)) from error

    def pairs(self) -> list[Row]:
        """Return the rows as (key, value)."""
        return [(row.key, row.value) for row in self.rows]


def chunk_of(siblings: Sequence[Node], rows: Sequence[Row]) -> StateChunk:
    """Return the chunk of ``rows``, brought into the order of their places."""
    ordered = sorted(rows, key=lambda row: sha256(row[0]).digest())
    return StateChunk(tuple(siblings), tuple(StateRow(*row) for row in ordered))


def within(path: bytes, prefix: int, depth: int) -> bool:
    """Return whether the first ``depth`` bits of ``path`` are ``prefix``."""
    return int.from_bytes(path, "big") >> (256 - depth) == prefix


# --- verification -------------------------------------------------------------------------


def verify_chunk(
    root: bytes, prefix: int, depth: int, rows: Sequence[Row], siblings: Sequence[Node]
) -> None:
    """Raise ``ChunkRefused`` unless ``rows`` are all that lies below the first ``depth`` bits
    ``prefix`` under ``root``."""
    if len(siblings) != depth or not 0 <= prefix < 1 << depth:
        raise ChunkRefused("the proof is for another depth")
    node = _subtree(prefix, depth, rows)
    for level in range(depth - 1, -1, -1):
        bit = prefix >> (depth - 1 - level) & 1
        beside = siblings[level]
        place = (prefix >> (depth - 1 - level)) ^ 1
        # A single key rises unhashed, so nothing but its own place says which side it is on:
        # without this test it could be passed off as the neighbour's.
        if len(beside) == 64 and not within(beside[:32], place, level + 1):
            raise ChunkRefused("a key beside the way is not where it belongs")
        if beside == EMPTY:
            raise ChunkRefused("an empty subtree is written as nothing")
        node = _join(beside, node) if bit else _join(node, beside)
    if hash_of(node) != root:
        raise ChunkRefused("rows and proof do not give the root")


def _join(left: Node, right: Node) -> Node:
    return levels_of([left, right])[-1][0]


def _subtree(prefix: int, depth: int, rows: Sequence[Row]) -> Node:
    """Return the node that stands for ``rows`` at their place."""
    paths = [sha256(key).digest() for key, _ in rows]
    if any(not within(path, prefix, depth) for path in paths):
        raise ChunkRefused("a row of another place")
    if any(path >= after for path, after in pairwise(paths)):
        raise ChunkRefused("rows twice or out of order")
    if len(rows) < 2:
        return paths[0] + sha256(rows[0][1]).digest() if rows else NOTHING
    pages: dict[bytes, bytes] = {}
    _, writes, _ = accel.update_state(list(rows), one_by_one(pages.get))
    pages.update((key, page) for key, page in writes if page is not None)
    return _node_at(pages.get, paths[0], depth)[0]


# --- the proof ----------------------------------------------------------------------------


def _node_at(read_page: ReadPage, path: bytes, depth: int) -> tuple[Node, list[Node]]:
    """Return the node after ``depth`` bits of ``path`` and those beside the way, root first.

    Where a single key stands higher up, it is the node below as far as its place goes.
    """
    siblings: list[Node] = []
    raw = read_page(page_key(path, 0))
    node: Node = NOTHING if raw is None else levels_of(decode_page(raw, path, 0))[-1][0]
    levels: list[list[Node]] = []
    for bit in range(depth):
        if len(node) != 32:
            side = int.from_bytes(node[:32] or path, "big") >> (255 - bit) & 1
            mine = int.from_bytes(path, "big") >> (255 - bit) & 1
            siblings.append(NOTHING if side == mine else node)
            node = node if side == mine else NOTHING
            continue
        within_page = bit & 3
        if not within_page:
            nibble = bit >> 2
            page = read_page(page_key(path, nibble)) if nibble == 0 else None
            page = stored_page(read_page, path, nibble) if page is None else page
            levels = levels_of(decode_page(page, path, nibble))
            if levels[-1][0] != node:
                raise PageCorrupt(f"page at depth {nibble} is not the one above speaks of")
        slot = path[bit >> 3] >> (0 if bit >> 2 & 1 else 4) & 15
        level = levels[3 - within_page]
        place = slot >> (3 - within_page)
        siblings.append(level[place ^ 1])
        node = level[place]
    assert depth <= 4 * NIBBLES, "a path ends"
    return node, siblings


def path_from(prefix: int, depth: int) -> bytes:
    """Return the first path below a place."""
    return (prefix << (256 - depth)).to_bytes(32, "big")


def siblings_of(read_page: ReadPage, prefix: int, depth: int) -> list[Node]:
    """Return the nodes beside the way to a place, root first; raises ``PageCorrupt``."""
    return _node_at(read_page, path_from(prefix, depth), depth)[1]


# --- where a state is cut -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    prefix: int
    depth: int


def places(depths: bytes) -> Iterator[Place]:
    """Yield the places with these depths, one after the other from the left of the tree.

    Raises ``ChunkRefused`` when they do not cover it exactly.
    """
    at, end = 0, 1 << DEPTH_MAX
    for depth in depths:
        if depth > DEPTH_MAX:
            raise ChunkRefused("a chunk lies deeper than any may")
        width = 1 << (DEPTH_MAX - depth)
        if at % width or at + width > end:
            raise ChunkRefused("the chunks leave a gap or overlap")
        yield Place(at >> (DEPTH_MAX - depth), depth)
        at += width
    if at != end:
        raise ChunkRefused("the chunks do not cover the state")


def depth_for(bytes_total: int) -> int:
    """Return how many bits deep a state of so many bytes of rows is cut first."""
    depth = 0
    while bytes_total > CHUNK_BYTES_TARGET << depth:
        depth += 1
    return min(depth, DEPTH_MAX)


def cut(place: Place, rows: list[Row]) -> Iterator[tuple[Place, list[Row]]]:
    """Yield ``rows`` of a place as they are, or cut further until each part is small enough.

    Whoever picks keys can crowd one place; so no depth is deep enough for all of them.
    """
    size = sum(len(key) + len(value) for key, value in rows)
    if size <= CHUNK_BYTES_MAX or len(rows) < 2 or place.depth >= DEPTH_MAX:
        yield place, rows
        return
    shift = 255 - place.depth
    halves: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        halves[int.from_bytes(sha256(row[0]).digest(), "big") >> shift & 1].append(row)
    for side, half in enumerate(halves):
        yield from cut(Place(place.prefix << 1 | side, place.depth + 1), half)
