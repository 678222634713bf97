"""A data directory made from a backup: segments, rows, and the fence.

Owns: the order of writing, and the refusal of rows that a backup has no business to hold.
Refuses: to write into a directory that is there; to restore consensus records.
Invariant: the directory appears under its name only when all of it is durable and fenced.  A
crash leaves ``<name>.restoring`` beside it, which the next attempt removes.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from storage import fence
from storage.backup import LETTERS, Progress, read_file
from storage.chunks import ChunkDamaged
from storage.fence import Restored
from storage.layout import KV_NAME, SEGMENTS_NAME
from storage.level import LevelKV
from storage.manifest import BackupInvalid, FileEntry, Found
from storage.segments import sync_directory

DOCUMENTS_NAME: Final = "from-backup"
SUFFIX: Final = ".restoring"
_BATCH_BYTES: Final = 1 << 20


class RestoreRefused(Exception):
    """The directory to restore into is in the way."""

    code = "exists-already"


def restore(
    directory: Path,
    source: Found,
    to: Path,
    *,
    now_ms: int,
    progress: Progress = lambda _what, _done, _total: None,
) -> None:
    """Make the data directory ``to`` from a backup in ``directory``; return once it is durable.

    Every byte is verified against the manifest on the way.  Raises ``RestoreRefused``,
    ``BackupInvalid`` (nothing appears under ``to`` then), ``OSError``, ``StorageFailure``.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise RestoreRefused(f"{to} is there already; restore into a new directory")
    building = to.with_name(to.name + SUFFIX)
    if building.exists():
        shutil.rmtree(building)
    building.mkdir(mode=0o700, parents=True)
    try:
        _fill(directory, source, building, now_ms=now_ms, progress=progress)
    except ChunkDamaged as damage:
        raise BackupInvalid(str(damage.path), damage.what) from damage
    if to.exists():
        to.rmdir()
    building.rename(to)
    sync_directory(to.parent)


def _fill(
    directory: Path, source: Found, building: Path, *, now_ms: int, progress: Progress
) -> None:
    made, done = source.manifest, 0
    for name in (SEGMENTS_NAME, DOCUMENTS_NAME):
        (building / name).mkdir(mode=0o700)
    kv = LevelKV(building / KV_NAME, create=True)
    try:
        last: list[FileEntry] = []
        for item in made.files:
            kind, _, name = item.name.partition("/")
            if kind == "segments":
                _copy(directory, item, building / SEGMENTS_NAME / name)
            elif kind == "documents":
                _copy(directory, item, building / DOCUMENTS_NAME / name)
            elif name == "m":
                last.append(item)  # who opens looks for these first: they come last
            else:
                for batch in _batches(_rows(directory, item)):
                    kv.write(batch, sync=False)
            done += item.size
            progress(item.name, done, made.bytes_total)
        fact = Restored(made.name, source.digest, made.height, now_ms)
        rows = [pair for item in last for pair in _rows(directory, item)]
        kv.write([*rows, fence.fence_row(fact)], sync=True)
    finally:
        kv.close()
    for name in (SEGMENTS_NAME, DOCUMENTS_NAME, "."):
        sync_directory(building / name)


def _copy(directory: Path, item: FileEntry, to: Path) -> None:
    with to.open("wb") as file:
        to.chmod(0o600)
        for part in read_file(directory, item):
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def _rows(directory: Path, item: FileEntry) -> Iterator[tuple[bytes, bytes]]:
    letter = item.name.partition("/")[2].encode()
    if letter not in LETTERS:
        raise BackupInvalid(item.name, "rows that no backup holds")
    buffer = bytearray()
    for part in read_file(directory, item):
        buffer += part
        at = 0
        while (end := _end_of_row(buffer, at)) is not None:
            key_end = at + 4 + int.from_bytes(buffer[at : at + 4], "big")
            key, value = bytes(buffer[at + 4 : key_end]), bytes(buffer[key_end + 4 : end])
            if not key.startswith(letter):
                raise BackupInvalid(item.name, "a row of another kind")
            yield key, value
            at = end
        del buffer[:at]
    if buffer:
        raise BackupInvalid(item.name, "the last row is cut short")


def _end_of_row(buffer: bytearray, at: int) -> int | None:
    """Return where the row at ``at`` ends; None when it is not there in full."""
    if len(buffer) < at + 4:
        return None
    value_at = at + 4 + int.from_bytes(buffer[at : at + 4], "big")
    if len(buffer) < value_at + 4:
        return None
    end = value_at + 4 + int.from_bytes(buffer[value_at : value_at + 4], "big")
    return end if len(buffer) >= end else None


def _batches(
    rows: Iterator[tuple[bytes, bytes]],
) -> Iterator[list[tuple[bytes, bytes | None]]]:
    batch: list[tuple[bytes, bytes | None]] = []
    size = 0
    for key, value in rows:
        batch.append((key, value))
        size += len(key) + len(value)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
