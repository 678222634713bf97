"""Which tables a LevelDB database consists of: what its manifest adds up to.

A compaction that ends with the process leaves a table without its end, which the next opening
removes: damage is only what the manifest names.  The manifest is a log of version edits, fields
behind tags (LevelDB, ``doc/impl.md`` and ``db/version_edit.cc``).
Owns: reading that far.  Refuses: to judge the manifest itself (``storage.tables``).
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LOG_BLOCK: Final = 32 << 10
LOG_HEAD: Final = struct.Struct("<IHB")
_FULL, _FIRST, _LAST = 1, 2, 4  # between the last two are middles
_BYTES: Final = {1}  # the comparator's name
_NUMBER: Final = {2, 3, 4, 9}
_POINTER, _DELETED, _ADDED = 5, 6, 7


def live_tables(manifest: Path) -> frozenset[int] | None:
    """Return the numbers of the tables in force; None when ``manifest`` does not tell."""
    try:
        raw = manifest.read_bytes()
        found: set[int] = set()
        for edit in _records(raw):
            _apply(edit, found)
    except (OSError, IndexError, ValueError, struct.error):
        return None
    return frozenset(found)


def _records(raw: bytes) -> Iterator[bytes]:
    """Yield the whole records of a log; a torn one at its end is none."""
    at, parts = 0, b""
    while at + LOG_HEAD.size <= len(raw):
        left = LOG_BLOCK - at % LOG_BLOCK
        if left < LOG_HEAD.size:
            at += left
            continue
        _, length, kind = LOG_HEAD.unpack_from(raw, at)
        start = at + LOG_HEAD.size
        at = start + length
        if at > len(raw):
            return
        if kind in (_FULL, _FIRST):
            parts = b""
        parts += raw[start:at]
        if kind in (_FULL, _LAST):
            yield parts


def _apply(edit: bytes, found: set[int]) -> None:
    at = 0
    while at < len(edit):
        tag, at = varint(edit, at)
        if tag in _BYTES:
            at = _skip(edit, at)
        elif tag in _NUMBER:
            _, at = varint(edit, at)
        elif tag == _POINTER:
            _, at = varint(edit, at)
            at = _skip(edit, at)
        elif tag in (_DELETED, _ADDED):
            _, at = varint(edit, at)  # the level
            number, at = varint(edit, at)
            if tag == _DELETED:
                found.discard(number)
                continue
            found.add(number)
            _, at = varint(edit, at)  # its size
            at = _skip(edit, _skip(edit, at))  # its smallest and its largest key
        else:
            raise ValueError(f"tag {tag} of a version edit")


def _skip(raw: bytes, at: int) -> int:
    size, at = varint(raw, at)
    if at + size > len(raw):
        raise ValueError("a field beyond its version edit")
    return at + size


def varint(raw: bytes, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
