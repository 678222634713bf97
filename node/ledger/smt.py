"""The compact sparse Merkle tree over the state: one root for every key and value.

A key's place is the 256 bits of SHA-256(key).  Leaf = SHA-256(0x00, path, SHA-256(value)),
inner = SHA-256(0x01, left, right), no key = 32 zero bytes, and a subtree that holds exactly
one key *is* that key's leaf, at whatever depth.  So the root depends only on the set of keys
and values, never on the order in which they came.

Stored as pages of sixteen slots (pages.py).

Owns: the tree over stored pages, proofs of presence and absence, their check.  A batch update
goes through accel.py as one call.
Refuses: I/O; pages are read through a function and written by the caller, in the same atomic
batch as the state itself and before the next call.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, Self

from consensus import wire
from consensus.frozen import dataclass
from node.ledger import accel
from node.ledger.pages import (
    EMPTY,
    NIBBLES,
    NOTHING,
    Node,
    PageCorrupt,
    PageWrite,
    ReadPage,
    ReadPages,
    decode_page,
    hash_of,
    levels_of,
    one_by_one,
    page_key,
    stored_page,
)

DEPTH_BITS_MAX: Final = 256
PROOF_BYTES_MAX: Final = 256 * 35 + 256  # 256 siblings with headers, bitmap, other leaf


def path_of(key: bytes) -> bytes:
    """Return the 32-byte place of ``key`` in the tree."""
    return sha256(key).digest()


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
        node = hash_of(path + sha256(value).digest())
    elif proof.other is not None:
        other = proof.other
        differ = int.from_bytes(path, "big") ^ int.from_bytes(other.path, "big")
        # It must be another key, and share every bit above the place it was found at.
        if differ == 0 or differ.bit_length() > 256 - proof.depth:
            return False
        node = hash_of(other.path + other.value_hash)
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

    def __init__(self, read_page: ReadPage, read_pages: ReadPages | None = None) -> None:
        """``read_pages``: several at once, where that is cheaper than one by one."""
        self._read_page = read_page
        self._read_pages = read_pages or one_by_one(read_page)

    def root(self) -> bytes:
        """Return the root; 32 zero bytes when there is no key."""
        raw = self._read_page(page_key(EMPTY, 0))
        return EMPTY if raw is None else hash_of(levels_of(decode_page(raw, EMPTY, 0))[-1][0])

    def update(self, changes: Mapping[bytes, bytes | None]) -> tuple[bytes, list[PageWrite]]:
        """Return the root after ``changes`` (None deletes) and the pages to write or delete.

        Nothing is remembered here: the caller stores the pages in one atomic batch before it
        calls again, and dropping them instead leaves the tree as it was.
        Raises ``PageCorrupt``.
        """
        root, pages, _ = self.update_patched(changes)
        return root, pages

    def update_patched(
        self, changes: Mapping[bytes, bytes | None]
    ) -> tuple[bytes, list[PageWrite], bytes]:
        """Like ``update``, with a row of patches for the pages as they were (``patch.row``)."""
        if not changes:
            return self.root(), [], b""
        return accel.update_state(list(changes.items()), self._read_pages)

    def prove(self, key: bytes) -> StateProof:
        """Return the proof of what the tree holds for ``key``, present or absent.

        Checks every page on the way against its parent; raises ``PageCorrupt``.
        """
        return self.look_up(key)[1]

    def look_up(self, key: bytes) -> tuple[bytes | None, StateProof]:
        """Like ``prove``, with the hash of the key's value before it, None when absent."""
        path = path_of(key)
        siblings: list[bytes] = []
        raw = self._read_page(page_key(path, 0))
        if raw is None:
            return None, StateProof.of(siblings, NOTHING)
        expected = NOTHING
        for depth in range(NIBBLES):
            levels = levels_of(decode_page(raw, path, depth))
            node = levels[-1][0]
            if expected and node != expected:
                raise PageCorrupt(f"page at depth {depth} is not the one above speaks of")
            slot = path[depth >> 1] >> (0 if depth & 1 else 4) & 15
            for height in (3, 2, 1, 0):
                if len(node) != 32:
                    break
                place = slot >> height
                siblings.append(hash_of(levels[height][place ^ 1]))
                node = levels[height][place]
            if len(node) != 32:
                if node.startswith(path):
                    return node[32:], StateProof.of(siblings, NOTHING)
                return None, StateProof.of(siblings, node)
            expected = node
            raw = stored_page(self._read_page, path, depth + 1)
        raise PageCorrupt("pages go deeper than a path")
