"""Append-only files of checksummed records: block bodies, written once.

Theory of operation.  ``segments/00000001.seg`` grows record by record; when the next record
would pass the limit the file is synced, left alone for ever ("sealed") and the next number
begins.  A record is ``magic(4) || length be32 || crc32 be32 || payload``; the sum covers
length and payload.  Appends become durable by ``sync``; whoever keeps pointers must call it
before making a pointer durable.  At start ``recover`` is told the last record a durable
pointer speaks of: everything behind it was never promised to anybody and is cut off.

Owns: the files.  Refuses: to know what a payload is, to delete or rewrite a sealed file, to
write after a failure.
Invariant: bytes before ``tail()`` never change.
"""

import os
import re
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storage.errors import Corrupt, StorageFailure, failure_of
from storage.latch import Latch

SEGMENT_BYTES_MAX: Final = 256 << 20
READERS_MAX: Final = 32  # open descriptors for reading; a miss costs one open()
MAGIC: Final = b"CSR1"

_HEADER: Final = struct.Struct(">4sII")
_POINTER: Final = struct.Struct(">QQI")
_NAME: Final = re.compile(r"[0-9]{8}\.seg")
_U32_MAX: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where a record begins: segment number, byte offset, payload length in bytes."""

    segment: int
    offset: int
    length: int

    @property
    def end(self) -> int:
        """Offset of the first byte behind the record."""
        return self.offset + _HEADER.size + self.length

    def encode(self) -> bytes:
        """Return 20 bytes: segment be64, offset be64, length be32."""
        return _POINTER.pack(self.segment, self.offset, self.length)

    @classmethod
    def decode(cls, raw: bytes) -> "Pointer":
        """Inverse of ``encode``; raise ``Corrupt`` unless there are exactly 20 bytes."""
        if len(raw) != _POINTER.size:
            raise Corrupt(f"segment pointer of {len(raw)} bytes", where="LevelDB")
        return cls(*_POINTER.unpack(raw))


class Segments:
    """The segment files of one directory; call ``recover`` once before anything else.

    One writer; reads may come from any thread.
    """

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        latch: Latch | None = None,
    ) -> None:
        assert segment_bytes_max > _HEADER.size, "a segment must hold a record"
        self._directory = directory
        self._bytes_max = segment_bytes_max
        self._latch = latch or Latch()
        self._tail: Pointer | None = None
        self._fd = -1  # of the segment being written, -1 before the first record
        self._number = 0
        self._size = 0  # of the segment being written
        self._dirty = False
        self._directory_dirty = False
        self.syncs = 0
        """Times that this object told the disk to make bytes of a file durable."""
        self._readers: OrderedDict[int, int] = OrderedDict()
        self._readers_lock = threading.Lock()

    # --- start -----------------------------------------------------------------------------

    def recover(self, tail: Pointer | None) -> int:
        """Cut everything behind ``tail`` (None: everything) and return the bytes cut.

        Raises ``Corrupt`` when the record ``tail`` names is not there in full: a durable
        pointer without its record means that the disk lost what it had promised.
        A crash in here leaves a longer torn tail or none; the next start does it again.
        """
        try:
            cut = self._cut(tail)
        except OSError as error:
            raise self._failure(error, "recovering") from error
        self._tail = tail
        return cut

    def _cut(self, tail: Pointer | None) -> int:
        cut = 0
        last = 0 if tail is None else tail.segment
        for number in reversed(self.numbers()):
            if number > last:
                path = self._path(number)
                cut += path.stat().st_size
                path.unlink()
                self._directory_dirty = True
        if tail is not None:
            self._check_tail(tail)
            self._fd = os.open(self._path(last), os.O_RDWR | os.O_CLOEXEC)
            self._number, self._size = last, tail.end
            excess = os.fstat(self._fd).st_size - tail.end
            if excess > 0:
                os.ftruncate(self._fd, tail.end)
                os.fdatasync(self._fd)
                cut += excess
        self._sync_directory()
        return cut

    def _check_tail(self, tail: Pointer) -> None:
        try:
            self.read(tail)
        except Corrupt:
            # Wrong bytes at their full length can be mended from others while the node runs.
            # Missing ones are a disk that lost what it had said was durable.
            path = self._path(tail.segment)
            if not path.exists() or path.stat().st_size < tail.end:
                raise

    # --- writing ---------------------------------------------------------------------------

    def append(self, payload: bytes) -> Pointer:
        """Write one record and return its place; durable only after ``sync``.

        Raises ``StorageFailure``; part of the record may then be in the file, which is why
        nothing may be appended afterwards.
        """
        assert len(payload) <= min(_U32_MAX, self._bytes_max - _HEADER.size), (
            f"record of {len(payload)} bytes, segment limit {self._bytes_max}"
        )
        self._latch.check()
        record = _frame(payload)
        try:
            if self._fd < 0 or self._size + len(record) > self._bytes_max:
                self._roll()
            pointer = Pointer(self._number, self._size, len(payload))
            self._dirty = True
            _write_all(self._fd, record, self._size)
        except OSError as error:
            raise self._failure(error, "appending to") from error
        self._size += len(record)
        self._tail = pointer
        return pointer

    def _roll(self) -> None:
        # The old file is synced before the new one exists: a later sync() touches only the
        # newest file, and a sealed file must be complete.
        if self._fd >= 0:
            self._sync_file()
            os.close(self._fd)
            self._fd = -1
        self._number += 1
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._fd = os.open(self._path(self._number), flags, 0o600)
        self._size = 0
        self._directory_dirty = True

    def sync(self) -> None:
        """Return once every appended record survives power loss; failure is final."""
        self._latch.check()
        try:
            self._sync_file()
            self._sync_directory()
        except OSError as error:
            raise self._failure(error, "syncing") from error

    def _sync_file(self) -> None:
        if self._dirty:
            os.fdatasync(self._fd)
            self.syncs += 1
            self._dirty = False

    def _sync_directory(self) -> None:
        # Without this the file's bytes are safe and its name is not.
        if self._directory_dirty:
            sync_directory(self._directory)
            self._directory_dirty = False

    # --- reading ---------------------------------------------------------------------------

    def tail(self) -> Pointer | None:
        """Return the last record appended, or None while there is none."""
        return self._tail

    def read(self, pointer: Pointer) -> bytes:
        """Return the payload at ``pointer``; raise ``Corrupt`` unless it is as written.

        That does not end writing: a body says nothing that this member promised, its digest
        stands elsewhere, and the same bytes can be had from others.
        """
        where = f"{self._path(pointer.segment).name}:{pointer.offset}"
        size = _HEADER.size + pointer.length
        try:
            with self._readers_lock:
                raw = _read_all(self._reader(pointer.segment), size, pointer.offset)
        except FileNotFoundError as error:
            raise Corrupt("segment file is missing", where=where) from error
        except OSError as error:
            raise self._failure(error, "reading") from error
        return _unframe(raw, pointer, where)

    def iter_records(self, segment: int) -> Iterator[tuple[Pointer, bytes]]:
        """Yield every record of one file in order; raise ``Corrupt`` at the first bad one."""
        path = self._path(segment)
        try:
            with path.open("rb") as file:
                offset = 0
                while header := file.read(_HEADER.size):
                    where = f"{path.name}:{offset}"
                    if len(header) < _HEADER.size:
                        raise Corrupt("half a record header", where=where)
                    pointer = Pointer(segment, offset, _HEADER.unpack(header)[1])
                    payload = file.read(min(pointer.length, self._bytes_max))
                    yield pointer, _unframe(header + payload, pointer, where)
                    offset = pointer.end
        except OSError as error:
            raise self._failure(error, "reading") from error

    def numbers(self) -> list[int]:
        """Return the numbers of the files there are, ascending."""
        names = [path.name for path in self._directory.iterdir()]
        return sorted(int(name[:8]) for name in names if _NAME.fullmatch(name))

    def drop(self, first: int) -> None:
        """Remove the files below number ``first``, which nothing may point to any more."""
        try:
            for number in [n for n in self.numbers() if n < first]:
                assert number != self._number, "the file being written stays"
                with self._readers_lock:
                    fd = self._readers.pop(number, None)
                    if fd is not None:
                        os.close(fd)
                self._path(number).unlink()
                self._directory_dirty = True
            self._sync_directory()
        except OSError as error:
            raise self._failure(error, "removing old") from error

    def rewrite(self, pointer: Pointer, payload: bytes) -> None:
        """Put back the record that stood at ``pointer``, byte by byte the same; durable.

        The caller knows from a digest that ``payload`` is what was written once.  A crash in
        here leaves the record damaged, as it was.  Raises ``StorageFailure``.
        """
        record = _frame(payload)
        assert len(payload) == pointer.length, "a record keeps its length"
        self._latch.check()
        try:
            fd = os.open(
                self._path(pointer.segment), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            try:
                _write_all(fd, record, pointer.offset)
                os.fdatasync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise self._failure(error, "mending") from error

    def bytes_total(self) -> int:
        """Return the size of all files together."""
        try:
            return sum(self._path(number).stat().st_size for number in self.numbers())
        except OSError as error:
            raise self._failure(error, "measuring") from error

    def path(self, number: int) -> Path:
        """Return where the file of that number is, or would be."""
        return self._path(number)

    def close(self) -> None:
        """Release descriptors without syncing; calling twice is harmless."""
        with self._readers_lock:
            for fd in self._readers.values():
                os.close(fd)
            self._readers.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:08d}.seg"

    def _reader(self, number: int) -> int:
        fd = self._readers.get(number)
        if fd is None:
            fd = os.open(self._path(number), os.O_RDONLY | os.O_CLOEXEC)
            self._readers[number] = fd
            if len(self._readers) > READERS_MAX:
                os.close(self._readers.popitem(last=False)[1])
        else:
            self._readers.move_to_end(number)
        return fd

    def _failure(self, error: OSError, doing: str) -> StorageFailure:
        text = f"{doing} segments in {self._directory}: {error.strerror or error}"
        return self._latch.trip(failure_of(error, text))


def sync_directory(directory: Path) -> None:
    """Return once the names in ``directory`` survive power loss; raises ``OSError``."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _frame(payload: bytes) -> bytes:
    return _HEADER.pack(MAGIC, len(payload), _sum(payload)) + payload


def _sum(payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(len(payload).to_bytes(4, "big")))


def _unframe(raw: bytes, pointer: Pointer, where: str) -> bytes:
    if len(raw) < _HEADER.size + pointer.length:
        raise Corrupt(f"record of {pointer.length} bytes is cut short", where=where)
    magic, length, checksum = _HEADER.unpack_from(raw)
    if magic != MAGIC:
        raise Corrupt("no record begins here", where=where)
    if length != pointer.length:
        raise Corrupt(f"record of {length} bytes, pointer says {pointer.length}", where=where)
    payload = raw[_HEADER.size :]
    if _sum(payload) != checksum:
        raise Corrupt("record checksum differs", where=where)
    return payload


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def _read_all(fd: int, size: int, offset: int) -> bytes:
    parts = []
    while size > 0:
        part = os.pread(fd, size, offset)
        if not part:
            break
        parts.append(part)
        size, offset = size - len(part), offset + len(part)
    return b"".join(parts)
