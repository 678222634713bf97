"""The backend that is always there: hashlib, msgpack, and a wheel with single verification.

Owns: the reference answers that the native backend is held to.  Every call HOLDS the
interpreter lock; callers that share a thread with an event loop pass a few items at a time.
"""

from collections.abc import Sequence
from hashlib import sha256
from operator import itemgetter
from typing import Final

import ed25519_zebra

from consensus import codec
from consensus.codec import Malformed
from node.ledger import pages, patch, undo
from node.ledger.accel.types import Grown, Items, Name, Range, Row, Settled, StateUpdate
from node.ledger.frame import Check, TransactionMalformed, slice_frame
from node.ledger.pages import ReadPages
from node.ledger.payload import Opened, parse_frame

NAME: Final[Name] = "pure"
RELEASES_LOCK: Final = False
EMPTY_ROOT: Final = sha256(b"").digest()  # RFC 9162, 2.1.1: the hash of an empty list

_HASH_BYTES: Final = 32
_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_FRONTIER_LEAVES_MAX: Final = (1 << 63) - 1


def verify_batch(items: Sequence[Check]) -> list[bool]:
    check = ed25519_zebra.ed_verify
    return [
        len(key) == _KEY_BYTES
        and len(signature) == _SIGNATURE_BYTES
        and bool(check(signature, message, key))
        for key, message, signature in items
    ]


# --- Merkle trees -------------------------------------------------------------------------


def leaf_hashes(leaves: Sequence[bytes]) -> list[bytes]:
    return [sha256(b"\x00" + leaf).digest() for leaf in leaves]


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    if set(map(len, hashes)) - {_HASH_BYTES}:
        raise ValueError("hashes of 32 bytes are due")
    return _root(list(hashes))


def _root(level: list[bytes]) -> bytes:
    """Level by level: an odd last node rises unchanged, which gives the tree of the RFC."""
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        last = level[-1] if len(level) & 1 else None
        nodes = iter(level)
        level = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(nodes, nodes, strict=False)
        ]
        if last is not None:
            level.append(last)
    return level[0]


def _hashes(row: bytes) -> list[bytes]:
    if len(row) % _HASH_BYTES:
        raise ValueError("a row of 32-byte hashes is due")
    return [row[at : at + _HASH_BYTES] for at in range(0, len(row), _HASH_BYTES)]


def items_root(row: bytes) -> bytes:
    return _root(leaf_hashes(_hashes(row)))


def sorted_rows(head: bytes, rows: Sequence[Row], items: Sequence[Items] = ()) -> list[Row]:
    made: list[Row] = [(head + key, value) for key, value in rows]
    for first, row, tail, value in items:
        made += [
            (head + first + item + tail + number.to_bytes(4, "big"), value)
            for number, item in enumerate(_hashes(row))
        ]
    return sorted(made, key=itemgetter(0))


def row_root(row: bytes) -> bytes:
    return _root(_hashes(row))


def roots_of_runs(row: bytes, width: int) -> bytes:
    if width < 1:
        raise ValueError("runs of no hashes")
    hashes = _hashes(row)
    whole = len(hashes) - len(hashes) % width
    return b"".join(_root(hashes[at : at + width]) for at in range(0, whole, width))


def roots_of_ranges(hashes: Sequence[bytes], ranges: Sequence[Range]) -> list[bytes]:
    if any(not 0 <= start <= end <= len(hashes) for start, end in ranges):
        raise ValueError("a range beyond the hashes")
    return [merkle_root(hashes[start:end]) for start, end in ranges]


def extend_frontier(size: int, peaks: bytes, leaves: Sequence[bytes]) -> bytes:
    stack = _hashes(peaks)
    if not 0 <= size <= _FRONTIER_LEAVES_MAX or len(stack) != size.bit_count():
        raise ValueError("the peaks are not of that size")
    level, added = list(leaves), []
    if set(map(len, level)) - {_HASH_BYTES}:
        raise ValueError("hashes of 32 bytes are due")
    while level or stack:
        # The lowest peak that is left belongs to this height if the size has the bit.
        if size & 1:
            level.insert(0, stack.pop())
        if len(level) & 1:
            added.append(level.pop())
        nodes = iter(level)
        level = [sha256(b"\x01" + a + b).digest() for a, b in zip(nodes, nodes, strict=True)]
        size >>= 1
    return b"".join(reversed(added))


# --- state --------------------------------------------------------------------------------


def update_state(
    changes: Sequence[tuple[bytes, bytes | None]], read_pages: ReadPages
) -> StateUpdate:
    if not changes:
        raise ValueError("no changes")
    were: dict[bytes, bytes | None] = {}

    def read(name: bytes) -> bytes | None:
        page = were[name] = read_pages([name])[0]
        return page

    root, writes = pages.update(changes, read)
    return root, writes, patch.row((key, were.get(key), after) for key, after in writes)


def grow_state(row: bytes, depth: int) -> Grown:
    return pages.grown(row, depth)


def pages_lost(pairs: Sequence[tuple[bytes, bytes | None]]) -> list[bytes]:
    return [undo.lost(before, after) for before, after in pairs]


def page_rows(head: bytes, settled: Sequence[Settled]) -> list[Row]:
    rows: list[Row] = []
    for key, before, now in settled:
        name = head + key
        rows += [
            (name + bytes((slot,)), node or None) for slot, node in undo.differing(before, now)
        ]
    return rows


# --- transactions -------------------------------------------------------------------------


def are_canonical(raws: Sequence[bytes]) -> list[bool]:
    return [_is_canonical(raw) for raw in raws]


def _is_canonical(raw: bytes) -> bool:
    try:
        codec.decode(raw, size_max=len(raw))
    except Malformed:
        return False
    return True


def open_batch(raws: Sequence[bytes]) -> list[Opened | TransactionMalformed]:
    return [open_one(raw) for raw in raws]


def open_one(raw: bytes) -> Opened | TransactionMalformed:
    try:
        frame = slice_frame(raw)
        return parse_frame(raw, frame), frame.checks
    except TransactionMalformed as error:
        return error
