"""The append-only hash tree of RFC 6962 and RFC 9162 over SHA-256.

Owns: roots, inclusion and consistency paths, their verification, and the frontier that lets
a tree grow without its leaves.  Everything works on *leaf hashes*: the data of a leaf is
hashed once, by whoever holds it, because a transaction's leaf hash is also its id.
Refuses: storage (tiles.py) and any judgement about what a leaf means.
Invariant: leaves and inner nodes are hashed under different first bytes, so no node can be
passed off as a leaf.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Self

from node.ledger import accel
from node.ledger.crypto import HASH_BYTES, sha256

EMPTY_ROOT: Final = accel.EMPTY_ROOT

Range = accel.Range  # leaves [start, end) under one node of the tree


def leaf_hash(data: bytes) -> bytes:
    """Return the leaf hash: SHA-256 of 0x00 and ``data``."""
    return sha256(b"\x00" + data)


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256 of 0x01, ``left`` and ``right``."""
    return sha256(b"\x01" + left + right)


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root over ``leaf_hashes`` (RFC 9162, 2.1.1)."""
    return accel.merkle_root(leaf_hashes)


# --- which nodes a path is made of --------------------------------------------------------


def _split(span: int) -> int:
    """Return the largest power of two below ``span``; ``span`` is at least 2."""
    return 1 << ((span - 1).bit_length() - 1)


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the nodes of the inclusion path of leaf ``index`` in a tree of ``size``.

    Leaf's sibling first, child of the root last.  Raises ``ValueError`` for no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    ranges: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    ranges.reverse()
    return ranges


def consistency_ranges(old: int, new: int) -> list[Range]:
    """Return the nodes of the consistency path between two sizes (RFC 9162, 2.1.4.1).

    Empty when ``old`` is 0 or equals ``new``.  Raises ``ValueError`` if ``old > new``.
    """
    if not 0 <= old <= new:
        raise ValueError(f"no consistency from {old} to {new}")
    if old in (0, new):
        return []
    ranges: list[Range] = []
    start, end, whole = 0, new, True  # whole: the old tree is exactly the subtree so far
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start, whole = middle, False
    if not whole:
        ranges.append((start, end))
    ranges.reverse()
    return ranges


def inclusion_path(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Return the inclusion path of leaf ``index`` (RFC 9162, 2.1.3.1)."""
    ranges = inclusion_ranges(index, len(leaf_hashes))
    return accel.roots_of_ranges(leaf_hashes, ranges)


def consistency_path(leaf_hashes: Sequence[bytes], old: int, new: int) -> list[bytes]:
    """Return the consistency path between the first ``old`` and the first ``new`` leaves."""
    if new > len(leaf_hashes):
        raise ValueError(f"tree of {new} asked of {len(leaf_hashes)} leaves")
    return accel.roots_of_ranges(leaf_hashes, consistency_ranges(old, new))


# --- verification -------------------------------------------------------------------------


def _all_hashes(*groups: Sequence[bytes]) -> bool:
    return all(len(item) == HASH_BYTES for group in groups for item in group)


def verify_inclusion(
    leaf: bytes, *, index: int, size: int, path: Sequence[bytes], root: bytes
) -> bool:
    """Return whether ``path`` proves leaf hash ``leaf`` at ``index`` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or not _all_hashes((leaf, root), path):
        return False
    position, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and node == root


def verify_consistency(
    *, old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Return whether ``path`` proves the old tree a prefix of the new (RFC 9162, 2.1.4.2).

    The RFC leaves out the trivial cases: a tree is consistent with itself and the empty tree
    with any, both with an empty path.
    """
    if not 0 <= old_size <= new_size or not _all_hashes((old_root, new_root), path):
        return False
    if old_size == new_size:
        return not path and old_root == new_root
    if old_size == 0:
        return not path and old_root == EMPTY_ROOT
    if not path:
        return False
    nodes: Iterator[bytes] = iter(path)
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    # A complete old tree is itself a node of the new one; its root is not repeated.
    first = old_root if old_size & (old_size - 1) == 0 else next(nodes)
    old_node = new_node = first
    for node in nodes:
        if last == 0:
            return False
        if position & 1 or position == last:
            old_node = node_hash(node, old_node)
            new_node = node_hash(node, new_node)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            new_node = node_hash(new_node, node)
        position >>= 1
        last >>= 1
    return last == 0 and old_node == old_root and new_node == new_root


# --- growing without the leaves -----------------------------------------------------------


class FrontierMalformed(Exception):
    """Stored frontier bytes do not describe a tree."""


class Frontier:
    """The right edge of a tree: one root per complete subtree, at most 64 of them.

    Enough to append and to state the root, not enough to prove anything.
    """

    __slots__ = ("_peaks", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._peaks = b""  # joined, from the left of the tree to its right

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self.extend((leaf,))

    def extend(self, leaf_hashes: Sequence[bytes]) -> None:
        """Add leaf hashes in order."""
        self._peaks = accel.extend_frontier(self._size, self._peaks, leaf_hashes)
        self._size += len(leaf_hashes)

    def root(self) -> bytes:
        """Return the root of the tree."""
        if not self._size:
            return EMPTY_ROOT
        at = len(self._peaks) - HASH_BYTES
        node = self._peaks[at:]
        while at:
            at -= HASH_BYTES
            node = node_hash(self._peaks[at : at + HASH_BYTES], node)
        return node

    def to_bytes(self) -> bytes:
        """Return be64 size, then the subtree roots from the left of the tree to its right."""
        return self._size.to_bytes(8, "big") + self._peaks

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Inverse of ``to_bytes``; raises ``FrontierMalformed``."""
        size = int.from_bytes(raw[:8], "big")
        if len(raw) != 8 + HASH_BYTES * size.bit_count():
            raise FrontierMalformed(f"{len(raw)} bytes for a tree of {size} leaves")
        frontier = cls()
        frontier._size, frontier._peaks = size, raw[8:]
        return frontier
