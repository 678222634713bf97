"""The compact sparse Merkle tree over the state: one root for every key and value.

A key's place is the 256 bits of SHA-256(key).  Leaf = SHA-256(0x00, path, SHA-256(value)),
inner = SHA-256(0x01, left, right), no key = 32 zero bytes, and a subtree that holds exactly
one key *is* that key's leaf, at whatever depth.  So the root depends only on the set of keys
and values, never on the order in which they came.

Storage: sixteen slots (four levels) make a page, named by its depth in nibbles and the
nibbles above it.  A page exists for the root if the tree is not empty, and for any other
prefix that at least two keys share; it holds slots only, the levels between are hashed again
(15 hashes) whenever the page is touched, which costs less than reading them.

Owns: batch updates that touch each page once, proofs of presence and absence, their check.
Refuses: I/O; pages are read through a function and written by the caller, in the same atomic
batch as the state itself and before the next call.
Invariant: a page has one encoding; a damaged page raises ``PageCorrupt`` and never turns
into a root.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from consensus import wire

EMPTY: Final = bytes(32)
DEPTH_BITS_MAX: Final = 256
PROOF_BYTES_MAX: Final = 256 * 35 + 256  # 256 siblings with headers, bitmap, other leaf

_NIBBLES: Final = 64
_SLOTS: Final = 16
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
PageWrite = tuple[bytes, bytes | None]


def path_of(key: bytes) -> bytes:
    """Return the 32-byte place of ``key`` in the tree."""
    return sha256(key).digest()


# --- nodes --------------------------------------------------------------------------------


def _hash_of(node: Node) -> bytes:
    if len(node) == _LEAF_BYTES:
        return sha256(b"\x00" + node).digest()
    return node or EMPTY


def _join(left: Node, right: Node) -> Node:
    """Return the node above two: a single key rises unhashed, anything else is hashed."""
    if not right and len(left) == _LEAF_BYTES:
        return left
    if not left and len(right) == _LEAF_BYTES:
        return right
    return sha256(b"\x01" + _hash_of(left) + _hash_of(right)).digest()


def _levels(slots: list[Node]) -> list[list[Node]]:
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


def _encode_page(slots: Sequence[Node]) -> bytes:
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


def _decode_page(raw: bytes, path: bytes, depth: int) -> list[Node]:
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
    slots = [NOTHING] * _SLOTS
    at = 4
    whole = depth >> 1
    prefix = path[:whole]
    for index in range(_SLOTS):
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


# --- proofs -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OtherLeaf:
    """The one key that stands where the asked key would be."""

    path: bytes
    value_hash: bytes

    def __post_init__(self) -> None:
        if len(self.path) != 32 or len(self.value_hash) != 32:
            raise ValueError("path and value hash have 32 bytes each")


@dataclass(frozen=True, slots=True)
class StateProof:
    """What lies beside the way from the root to a key's place.

    ``bitmap`` has one bit per level from the root down (most significant first, padded with
    zeros to whole bytes); a set bit takes the next of ``siblings``, a clear one is empty.
    ``other`` is given only for a key that is absent because another stands in its place.
    """

    depth: int
    bitmap: bytes
    siblings: tuple[bytes, ...]
    other: OtherLeaf | None

    def __post_init__(self) -> None:
        if not 0 <= self.depth <= DEPTH_BITS_MAX:
            raise ValueError(f"depth {self.depth} beyond {DEPTH_BITS_MAX}")
        bits = int.from_bytes(self.bitmap, "big")
        padding = -self.depth % 8
        if len(self.bitmap) != (self.depth + 7) // 8 or bits & ((1 << padding) - 1):
            raise ValueError("bitmap does not fit the depth")
        if bits.bit_count() != len(self.siblings):
            raise ValueError(f"{len(self.siblings)} siblings, {bits.bit_count()} announced")
        if any(len(node) != 32 or node == EMPTY for node in self.siblings):
            raise ValueError("a sibling has 32 bytes and is not empty")

    @classmethod
    def of(cls, siblings: Sequence[bytes], other: Node) -> Self:
        """Build the proof from all siblings, root first; ``other`` may be ``NOTHING``."""
        bits = "".join("0" if node == EMPTY else "1" for node in siblings)
        width = (len(bits) + 7) // 8
        bitmap = int(bits.ljust(width * 8, "0") or "0", 2).to_bytes(width, "big")
        present = tuple(node for node in siblings if node != EMPTY)
        absent = OtherLeaf(other[:32], other[32:]) if other else None
        return cls(len(siblings), bitmap, present, absent)

    def all_siblings(self) -> list[bytes]:
        """Return ``depth`` hashes, root first, empty ones included."""
        present = iter(self.siblings)
        return [
            next(present) if self.bitmap[level >> 3] >> (7 - (level & 7)) & 1 else EMPTY
            for level in range(self.depth)
        ]

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return wire.encode(self)

    @classmethod
    def decode(cls, raw: bytes) -> "StateProof":
        """Inverse of ``encode``; raises ``consensus.codec.Malformed``."""
        return wire.decode(StateProof, raw, size_max=PROOF_BYTES_MAX)


def verify_state(root: bytes, key: bytes, value: bytes | None, proof: StateProof) -> bool:
    """Return whether ``proof`` shows that under ``root`` the key has ``value``.

    ``None`` asks for absence: the place is empty, or a different key stands on the way to it.
    """
    path = path_of(key)
    node = EMPTY
    if value is not None:
        if proof.other is not None:
            return False
        node = _hash_of(path + sha256(value).digest())
    elif proof.other is not None:
        other = proof.other
        differ = int.from_bytes(path, "big") ^ int.from_bytes(other.path, "big")
        # It must be another key, and share every bit above the place it was found at.
        if differ == 0 or differ.bit_length() > 256 - proof.depth:
            return False
        node = _hash_of(other.path + other.value_hash)
    siblings = proof.all_siblings()
    for level in range(proof.depth - 1, -1, -1):
        if path[level >> 3] >> (7 - (level & 7)) & 1:
            node = sha256(b"\x01" + siblings[level] + node).digest()
        else:
            node = sha256(b"\x01" + node + siblings[level]).digest()
    return node == root


# --- the tree -----------------------------------------------------------------------------


class StateTree:
    """The tree over stored pages.  Holds no state of its own: what was written is the tree."""

    def __init__(self, read_page: ReadPage) -> None:
        self._read_page = read_page

    def root(self) -> bytes:
        """Return the root; 32 zero bytes when there is no key."""
        raw = self._read_page(page_key(EMPTY, 0))
        return EMPTY if raw is None else _hash_of(_levels(_decode_page(raw, EMPTY, 0))[-1][0])

    def update(self, changes: Mapping[bytes, bytes | None]) -> tuple[bytes, list[PageWrite]]:
        """Return the root after ``changes`` (None deletes) and the pages to write or delete.

        Nothing is remembered here: the caller stores the pages in one atomic batch before it
        calls again, and dropping them instead leaves the tree as it was.
        Raises ``PageCorrupt``.
        """
        writes: list[PageWrite] = []
        if not changes:
            return self.root(), writes
        ordered = sorted(
            (sha256(key).digest(), NOTHING if value is None else sha256(value).digest())
            for key, value in changes.items()
        )
        raw = self._read_page(page_key(EMPTY, 0))
        return _hash_of(self._update_page(raw, 0, ordered, writes)), writes

    def _update_page(
        self, raw: bytes | None, depth: int, changes: list[Change], writes: list[PageWrite]
    ) -> Node:
        """Apply sorted ``changes`` below one page; return the node that stands for it."""
        path = changes[0][0]
        slots = [NOTHING] * _SLOTS if raw is None else _decode_page(raw, path, depth)
        byte, shift = depth >> 1, 0 if depth & 1 else 4
        start, count = 0, len(changes)
        while start < count:
            slot = changes[start][0][byte] >> shift & 15
            end = start + 1
            while end < count and changes[end][0][byte] >> shift & 15 == slot:
                end += 1
            slots[slot] = self._update_slot(slots[slot], depth + 1, changes[start:end], writes)
            start = end
        node = _levels(slots)[-1][0]
        # A page left with one key gives it up to the page above; only the root page keeps it.
        kept = len(node) == 32 or (depth == 0 and node != NOTHING)
        after = _encode_page(slots) if kept else None
        if after != raw:
            writes.append((page_key(path, depth), after))
        return node

    def _update_slot(
        self, node: Node, depth: int, changes: list[Change], writes: list[PageWrite]
    ) -> Node:
        if len(node) == 32:
            return self._update_page(self._page(changes[0][0], depth), depth, changes, writes)
        held = {node[:32]: node[32:]} if node else {}
        held.update(changes)
        present = sorted(change for change in held.items() if change[1])
        if not present:
            return NOTHING
        if len(present) == 1:
            return present[0][0] + present[0][1]
        assert depth < _NIBBLES, "two keys with one path"
        return self._update_page(None, depth, present, writes)

    def _page(self, path: bytes, depth: int) -> bytes:
        raw = self._read_page(page_key(path, depth))
        if raw is None:
            raise PageCorrupt(f"page at depth {depth} is missing")
        return raw

    def prove(self, key: bytes) -> StateProof:
        """Return the proof of what the tree holds for ``key``, present or absent.

        Checks every page on the way against its parent; raises ``PageCorrupt``.
        """
        path = path_of(key)
        siblings: list[bytes] = []
        raw = self._read_page(page_key(path, 0))
        if raw is None:
            return StateProof.of(siblings, NOTHING)
        expected = NOTHING
        for depth in range(_NIBBLES):
            levels = _levels(_decode_page(raw, path, depth))
            node = levels[-1][0]
            if expected and node != expected:
                raise PageCorrupt(f"page at depth {depth} is not the one above speaks of")
            slot = path[depth >> 1] >> (0 if depth & 1 else 4) & 15
            for height in (3, 2, 1, 0):
                if len(node) != 32:
                    break
                place = slot >> height
                siblings.append(_hash_of(levels[height][place ^ 1]))
                node = levels[height][place]
            if len(node) != 32:
                other = NOTHING if node.startswith(path) else node
                return StateProof.of(siblings, other)
            expected = node
            raw = self._page(path, depth + 1)
        raise PageCorrupt("pages go deeper than a path")
