"""Where LevelDB's own files are damaged: file, offset, what stood there.

LevelDB says that a checksum differs and not where.  This reads its formats (log records in
blocks of 32 KiB; tables of blocks behind a footer; CURRENT) far enough to say it.
Owns: finding.  Refuses: to mend: what a damaged table or log held cannot be told from what it
never held, and among it may be a vote.  Slow: the checksum is computed here, about 1.4 MB/s.
Invariant: a torn end of a log is no damage; a table that the manifest does not name is none
either, nor a file that LevelDB removes meanwhile.
"""

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storage.live import LOG_BLOCK, LOG_HEAD, live_tables, varint

_TRAILER_BYTES: Final = 5
_FOOTER_BYTES: Final = 48
_MAGIC: Final = bytes.fromhex("57fb808b247547db")
_CURRENT: Final = re.compile(rb"MANIFEST-[0-9]{6,}\n")


Found = Iterator[tuple[int, int, str]]  # offset, size, what
Look = Callable[[bytes], Found]


@dataclass(frozen=True, slots=True)
class FileDamage:
    """``size`` bytes from ``offset`` on are not what LevelDB wrote."""

    path: Path
    offset: int
    size: int
    what: str


def locate(
    kv_dir: Path,
    *,
    deep: bool = True,
    written_before_s: float | None = None,
    rest: Callable[[], None] = lambda: None,
) -> Iterator[FileDamage]:
    """Yield the damage in LevelDB's files under ``kv_dir``.

    Without ``deep`` only what LevelDB does not read all the time: CURRENT, the manifest, and in
    tables all but the data.  Beside a running node: tables last written after
    ``written_before_s`` (Unix seconds) may be unfinished and are passed over; ``rest`` is
    called after each file.
    """
    current, live = kv_dir / "CURRENT", None
    try:
        said = current.read_bytes()
    except FileNotFoundError:
        yield FileDamage(current, 0, 0, "missing")
    else:
        if not _CURRENT.fullmatch(said):
            yield FileDamage(current, 0, len(said), "names no manifest")
        elif not (kv_dir / said.decode("ascii").strip()).exists():
            yield FileDamage(current, 0, len(said), "names a manifest that is not there")
        else:
            live = live_tables(kv_dir / said.decode("ascii").strip())
    for path in sorted(kv_dir.iterdir()):
        rest()
        if _left(path, live):
            continue  # what a compaction left, or has just begun
        if written_before_s is not None and path.suffix == ".ldb":
            with suppress(FileNotFoundError):
                if path.stat().st_mtime >= written_before_s:
                    continue
        if path.name.startswith("MANIFEST-") or (deep and path.suffix == ".log"):
            yield from _in_file(path, _log)
        elif path.suffix == ".ldb":
            yield from _in_file(path, _table if deep else _table_frame)


def _left(path: Path, live: frozenset[int] | None) -> bool:
    if live is None or path.suffix != ".ldb" or not path.stem.isdigit():
        return False
    return int(path.stem) not in live


def _in_file(path: Path, look: Look) -> Iterator[FileDamage]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return  # LevelDB removed it
    for offset, size, what in look(raw):
        yield FileDamage(path, offset, size, what)


# --- logs ---------------------------------------------------------------------------------


def _log(raw: bytes) -> Found:
    at = 0
    while at + LOG_HEAD.size <= len(raw):
        left = LOG_BLOCK - at % LOG_BLOCK
        if left < LOG_HEAD.size:
            if raw[at : at + left].strip(b"\0"):
                yield at, left, "bytes between the blocks of a log"
            at += left
            continue
        stated, length, kind = LOG_HEAD.unpack_from(raw, at)
        end = at + LOG_HEAD.size + length
        if (stated, length, kind) == (0, 0, 0):
            at += left
            continue
        if length > left - LOG_HEAD.size:
            yield at, left, "a record of a log that leaves its block"
            at += left
            continue
        if end > len(raw):
            return  # torn: the process died while it wrote
        if _masked(raw[at + 6 : end]) != stated:
            yield at, end - at, "a record of a log"
        at = end


# --- tables -------------------------------------------------------------------------------


def _table(raw: bytes) -> Found:
    handles = None
    for item in _frame(raw):
        if isinstance(item, list):
            handles = item
        else:
            yield item
    for offset, size in handles or ():
        if not _sound(raw, offset, size):
            yield offset, size + _TRAILER_BYTES, "a block of rows in a table"


def _table_frame(raw: bytes) -> Found:
    return (item for item in _frame(raw) if not isinstance(item, list))


def _frame(raw: bytes) -> Iterator[tuple[int, int, str] | list[tuple[int, int]]]:
    """Yield damage in footer, index, list of filters and filters; then the data's places."""
    footer_at = max(0, len(raw) - _FOOTER_BYTES)
    footer = raw[footer_at:]
    try:
        meta_at, at = _handle(footer, 0)
        index_at, at = _handle(footer, at)
    except IndexError:
        yield footer_at, len(footer), "the footer of a table"
        return
    if footer[-8:] != _MAGIC or footer[at:-8].strip(b"\0"):
        yield footer_at, len(footer), "the footer of a table"
        return
    for what, (offset, size) in (("index", index_at), ("list of filters", meta_at)):
        if not _sound(raw, offset, size):
            yield offset, size + _TRAILER_BYTES, f"the {what} of a table"
            return
    for offset, size in _entries(raw, *meta_at):
        if not _sound(raw, offset, size):
            yield offset, size + _TRAILER_BYTES, "the filters of a table"
    yield _entries(raw, *index_at)


def _sound(raw: bytes, offset: int, size: int) -> bool:
    end = offset + size + _TRAILER_BYTES
    if end > len(raw):
        return False
    (stated,) = struct.unpack_from("<I", raw, end - 4)
    return _masked(raw[offset : end - 4]) == int(stated)


def _entries(raw: bytes, offset: int, size: int) -> list[tuple[int, int]]:
    """Return the places that the rows of an index block name.

    None of a compressed one, which another program wrote: its checksum was all there is to see.
    """
    if raw[offset + size]:
        return []
    block = raw[offset : offset + size]
    (restarts,) = struct.unpack_from("<I", block, size - 4)
    end, at = size - 4 - 4 * restarts, 0
    found = []
    while at < end:
        _shared, at = varint(block, at)
        unshared, at = varint(block, at)
        length, at = varint(block, at)
        at += unshared
        found.append(_handle(block, at)[0])
        at += length
    return found


def _handle(raw: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = varint(raw, at)
    size, at = varint(raw, at)
    return (offset, size), at


# --- the checksum -------------------------------------------------------------------------


def _make_table() -> list[int]:
    table = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)  # noqa: PLW2901
        table.append(number)
    return table


_TABLE: Final = _make_table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli, RFC 3720) of ``data``."""
    table, value = _TABLE, 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 255] ^ value >> 8
    return value ^ 0xFFFFFFFF


def _masked(data: bytes) -> int:
    value = crc32c(data)
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
