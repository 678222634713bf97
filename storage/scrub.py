"""Reading everything again while a node runs: where a byte is not as it was written.

Owns: walking segments record by record and on past damage, and walking LevelDB's rows, in
steps that a caller can pace.  Refuses: to mend; to end writing because of what it meets.
Invariant: damage in a record is told with what the record is: its digest and, once applied,
its height.  Bytes that no pointer speaks of belong to nobody and are told as such.
"""

import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from storage import keys
from storage.errors import Corrupt
from storage.reader import Reader
from storage.segments import MAGIC, Pointer, Segments
from storage.view import Snapshot

STEP_BYTES: Final = 1 << 18
LETTERS: Final = tuple(bytes((code,)) for code in range(ord("a"), ord("z") + 1))
_HEADER: Final = struct.Struct(">4sII")


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A damaged record, or a stretch of bytes that no pointer speaks of (``digest`` None).

    ``height`` None: the body is not applied.
    """

    pointer: Pointer
    digest: bytes | None
    height: int | None
    what: str


@dataclass(frozen=True, slots=True)
class BadRows:
    """LevelDB cannot read on behind ``after`` among the rows of ``letter``."""

    letter: str
    after: bytes
    what: str


def segment_ends(view: Reader, segments: Segments) -> dict[int, int]:
    """Return for each segment that pointers speak of where its last record ends."""
    ends: dict[int, int] = dict.fromkeys(segments.numbers(), 0)
    for _key, raw in view.raw_rows(keys.BODY):
        pointer = Pointer.decode(raw)
        ends[pointer.segment] = max(ends.get(pointer.segment, 0), pointer.end)
    return ends


def walk_segment(
    view: Reader, segments: Segments, number: int, end: int
) -> Iterator[int | BadRecord]:
    """Read segment ``number`` up to ``end``: yield numbers of bytes read, and damage."""
    index: list[tuple[Pointer, bytes]] | None = None
    path, at, unsaid = segments.path(number), 0, 0
    if not path.exists():
        for pointer, digest in _index(view, number):
            yield BadRecord(pointer, digest, view.height_of(digest), "the file is missing")
        return
    with path.open("rb") as file:
        while at < end:
            length = _record_at(file, at, end)
            if length is not None:
                at += _HEADER.size + length
                unsaid += _HEADER.size + length
                if unsaid >= STEP_BYTES:
                    yield unsaid
                    unsaid = 0
                continue
            if index is None:
                index = _index(view, number)
            bad = _what_is_at(view, index, number, at, end)
            yield bad
            at = bad.pointer.end if bad.digest is not None else at + bad.pointer.length
    yield unsaid


def _record_at(file: BinaryIO, at: int, end: int) -> int | None:
    """Return the payload's length of a sound record at ``at``, None unless there is one."""
    file.seek(at)
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    magic, length, checksum = _HEADER.unpack(header)
    if magic != MAGIC or at + _HEADER.size + length > end:
        return None
    said = zlib.crc32(length.to_bytes(4, "big"))
    left = length
    while left > 0:
        part = file.read(min(left, STEP_BYTES))
        if not part:
            return None
        said = zlib.crc32(part, said)
        left -= len(part)
    return int(length) if said == checksum else None


def _index(view: Reader, number: int) -> list[tuple[Pointer, bytes]]:
    """Return what pointers say of one segment, in the order of its bytes."""
    found = [
        (pointer, key[1:])
        for key, raw in view.raw_rows(keys.BODY)
        if (pointer := Pointer.decode(raw)).segment == number
    ]
    return sorted(found, key=lambda item: item[0].offset)


def _what_is_at(
    view: Reader, index: list[tuple[Pointer, bytes]], number: int, at: int, end: int
) -> BadRecord:
    place = bisect_right(index, at, key=lambda item: item[0].offset)
    if place and index[place - 1][0].offset == at:
        pointer, digest = index[place - 1]
        return BadRecord(pointer, digest, view.height_of(digest), "record checksum differs")
    following = index[place][0].offset if place < len(index) else end
    nobody = Pointer(number, at, max(1, following - at))
    return BadRecord(nobody, None, None, "bytes that no pointer speaks of")


def raw_bytes(segments: Segments, pointer: Pointer) -> bytes:
    """Return the bytes where a record should be, as they are; as many as there are."""
    try:
        with segments.path(pointer.segment).open("rb") as file:
            file.seek(pointer.offset)
            return file.read(_HEADER.size + pointer.length)
    except FileNotFoundError:
        return b""


def walk_rows(view: Snapshot, letter: bytes) -> Iterator[int | BadRows]:
    """Read every row of a letter through LevelDB, checksums verified, up to the first damage.

    ``view`` was taken ``apart``.
    """
    unsaid, last = 0, b""
    try:
        for key, value in view.raw_rows(letter):
            unsaid += len(key) + len(value)
            last = key
            if unsaid >= STEP_BYTES:
                yield unsaid
                unsaid = 0
    except Corrupt as damage:
        yield BadRows(letter.decode("ascii"), last[1:], damage.what)
    yield unsaid
