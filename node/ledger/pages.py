"""Pages of the state tree: what a stored page is, and the batch update over pages.

Sixteen slots (four levels) make a page, named by its depth in nibbles and the nibbles above
it.  A page exists for the root if the tree is not empty, and for any other prefix that at
least two keys share; it holds slots only, the levels between are hashed again (15 hashes)
whenever the page is touched, which costs less than reading them.

Owns: nodes, the encoding of a page, the pure batch update (the native one has the same reads
and writes).  Refuses: proofs and the meaning of a root (smt.py), I/O.
Invariant: a page has one encoding; a damaged page raises ``PageCorrupt`` and never turns
into a root.
"""

import zlib
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Final

EMPTY: Final = bytes(32)
NIBBLES: Final = 64
SLOTS: Final = 16
_CRC_BYTES: Final = 4


class PageCorrupt(Exception):
    """A stored page is damaged, missing, or not the one its parent speaks of."""


# A node is bytes: b"" for no key, 32 for the hash of a subtree of several keys, 64 for exactly
# one key (its path, then the hash of its value).  Three lengths instead of three classes: an
# update makes some forty nodes per key, and objects would cost more than the hashing.
Node = bytes
NOTHING: Final[Node] = b""
_LEAF_BYTES: Final = 64

Change = tuple[bytes, bytes]  # path, hash of the new value or NOTHING to delete
ReadPage = Callable[[bytes], bytes | None]
ReadPages = Callable[[list[bytes]], list[bytes | None]]
PageWrite = tuple[bytes, bytes | None]


# --- nodes --------------------------------------------------------------------------------


def hash_of(node: Node) -> bytes:
    if len(node) == _LEAF_BYTES:
        return sha256(b"\x00" + node).digest()
    return node or EMPTY


def _join(left: Node, right: Node) -> Node:
    """Return the node above two: a single key rises unhashed, anything else is hashed."""
    if not right and len(left) == _LEAF_BYTES:
        return left
    if not left and len(right) == _LEAF_BYTES:
        return right
    return sha256(b"\x01" + hash_of(left) + hash_of(right)).digest()


def levels_of(slots: list[Node]) -> list[list[Node]]:
    """Return a page's binary levels: its 16 slots first, its own node last."""
    levels = [slots]
    level = slots
    while len(level) > 1:
        # The hot loop: most pairs are empty or two subtrees, and those are done in place.
        level = [
            (
                sha256(b"\x01" + left + right).digest()
                if len(left) == 32 == len(right)
                else _join(left, right)
            )
            if left or right
            else NOTHING
            for left, right in zip(level[::2], level[1::2], strict=True)
        ]
        levels.append(level)
    return levels


# --- pages --------------------------------------------------------------------------------


def page_key(path: bytes, depth: int) -> bytes:
    """Return the name of the page that covers ``path`` below its first ``depth`` nibbles."""
    whole = depth >> 1
    if depth & 1:
        return bytes((depth,)) + path[:whole] + bytes((path[whole] & 0xF0,))
    return bytes((depth,)) + path[:whole]


def encode_page(slots: Sequence[Node]) -> bytes:
    """Return be16 slots taken, be16 slots that are one key, the slots, be32 CRC-32.

    The checksum is against rot and software faults, not against an opponent: an opponent
    with the disk is answered by the root, which the members sign.
    """
    taken = single = 0
    bit = 1
    for node in slots:
        if node:
            taken |= bit
            if len(node) == _LEAF_BYTES:
                single |= bit
        bit <<= 1
    body = (taken << 16 | single).to_bytes(4, "big") + b"".join(slots)
    return body + zlib.crc32(body).to_bytes(_CRC_BYTES, "big")


def decode_page(raw: bytes, path: bytes, depth: int) -> list[Node]:
    """Return the slots of the page at ``depth`` on the way to ``path``; check every rule."""
    taken = int.from_bytes(raw[:2], "big")
    single = int.from_bytes(raw[2:4], "big")
    size = 8 + 32 * (taken.bit_count() + single.bit_count())
    if len(raw) != size or single & ~taken or not taken:
        raise PageCorrupt(f"page at depth {depth}: {len(raw)} bytes, shape says {size}")
    if zlib.crc32(raw[:-_CRC_BYTES]) != int.from_bytes(raw[-_CRC_BYTES:], "big"):
        raise PageCorrupt(f"page at depth {depth}: checksum differs")
    if depth and single == taken and taken.bit_count() == 1:
        raise PageCorrupt(f"page at depth {depth} holds a single key")
    if taken == 0xFFFF and not single:
        return [raw[at : at + 32] for at in range(4, 516, 32)]
    slots = [NOTHING] * SLOTS
    at = 4
    whole = depth >> 1
    prefix = path[:whole]
    for index in range(SLOTS):
        bit = 1 << index
        if single & bit:
            leaf = raw[at : at + _LEAF_BYTES]
            # The page's prefix, then this slot: an odd depth puts both into one byte.
            expected = path[whole] & 0xF0 | index if depth & 1 else index
            found = leaf[whole] if depth & 1 else leaf[whole] >> 4
            if found != expected or not leaf.startswith(prefix):
                raise PageCorrupt(f"page at depth {depth} holds a key of another page")
            slots[index] = leaf
            at += _LEAF_BYTES
        elif taken & bit:
            slots[index] = raw[at : at + 32]
            at += 32
    return slots


def one_by_one(read_page: ReadPage) -> ReadPages:
    """Return how several pages are read where only single ones can be."""
    return lambda names: [read_page(name) for name in names]


def stored_page(read_page: ReadPage, path: bytes, depth: int) -> bytes:
    """Return the page that its parent promises; raises ``PageCorrupt`` when there is none."""
    raw = read_page(page_key(path, depth))
    if raw is None:
        raise PageCorrupt(f"page at depth {depth} is missing")
    return raw


# --- update -------------------------------------------------------------------------------


def update(
    changes: Iterable[tuple[bytes, bytes | None]], read_page: ReadPage
) -> tuple[bytes, list[PageWrite]]:
    """Return the root after (key, new value or None) and the pages to write or delete.

    At least one change, no key twice.  Touches each page once.  Raises ``PageCorrupt``.
    """
    ordered = sorted(
        (sha256(key).digest(), NOTHING if value is None else sha256(value).digest())
        for key, value in changes
    )
    work = _Update(read_page)
    node = work.page(read_page(page_key(EMPTY, 0)), 0, ordered)
    return hash_of(node), work.writes


def grown(row: bytes, depth: int) -> tuple[Node, list[PageWrite]]:
    """Return the node of exactly these keys below their first ``depth`` nibbles, and its pages.

    ``row``: path and hash of the value of each key, 64 bytes, in any order.  ``ValueError`` for
    a row that is not so, for keys that do not share these nibbles, and for one key twice.
    """
    if len(row) % _LEAF_BYTES or not 0 <= depth < NIBBLES:
        raise ValueError("keys of 64 bytes and a depth below 64 are due")
    ordered = sorted(
        (row[at : at + 32], row[at + 32 : at + 64]) for at in range(0, len(row), _LEAF_BYTES)
    )
    if any(a[0] == b[0] for a, b in pairwise(ordered)):
        raise ValueError("two keys with one path")
    if ordered and page_key(ordered[0][0], depth) != page_key(ordered[-1][0], depth):
        raise ValueError("keys of different places")
    work = _Update(lambda _name: None)
    return work.place(NOTHING, depth, ordered), work.writes


def joined(nodes: Sequence[Node], depth: int) -> tuple[Node, list[PageWrite]]:
    """Return the node of a whole tree and the pages above ``depth`` nibbles, 1 at least, out of
    its 16**``depth`` nodes there, from the left to the right."""
    pages: list[PageWrite] = []
    level = list(nodes)
    for above in range(depth - 1, -1, -1):
        rows = [level[at : at + SLOTS] for at in range(0, len(level), SLOTS)]
        level = [levels_of(slots)[-1][0] for slots in rows]
        for number, (slots, node) in enumerate(zip(rows, level, strict=True)):
            if len(node) == 32 or (above == 0 and node != NOTHING):
                path = (number << 4 * (NIBBLES - above)).to_bytes(32, "big")
                pages.append((page_key(path, above), encode_page(slots)))
    return level[0], pages


class _Update:
    def __init__(self, read_page: ReadPage) -> None:
        self._read_page = read_page
        self.writes: list[PageWrite] = []

    def page(self, raw: bytes | None, depth: int, changes: list[Change]) -> Node:
        """Apply sorted ``changes`` below one page; return the node that stands for it."""
        path = changes[0][0]
        slots = [NOTHING] * SLOTS if raw is None else decode_page(raw, path, depth)
        byte, shift = depth >> 1, 0 if depth & 1 else 4
        start, count = 0, len(changes)
        while start < count:
            slot = changes[start][0][byte] >> shift & 15
            end = start + 1
            while end < count and changes[end][0][byte] >> shift & 15 == slot:
                end += 1
            slots[slot] = self.place(slots[slot], depth + 1, changes[start:end])
            start = end
        node = levels_of(slots)[-1][0]
        # A page left with one key gives it up to the page above; only the root page keeps it.
        kept = len(node) == 32 or (depth == 0 and node != NOTHING)
        after = encode_page(slots) if kept else None
        if after != raw:
            self.writes.append((page_key(path, depth), after))
        return node

    def place(self, node: Node, depth: int, changes: list[Change]) -> Node:
        """Put ``changes`` into a slot that holds ``node``; return what stands there then."""
        if len(node) == 32:
            return self.page(stored_page(self._read_page, changes[0][0], depth), depth, changes)
        held = {node[:32]: node[32:]} if node else {}
        held.update(changes)
        present = sorted(change for change in held.items() if change[1])
        if not present:
            return NOTHING
        if len(present) == 1:
            return present[0][0] + present[0][1]
        assert depth < NIBBLES, "two keys with one path"
        return self.page(None, depth, present)
