"""Chunks of a backup: files named by the SHA-256 of what they hold.

    chunks/9f/9f86d081...   64 hexadecimal digits

Equal bytes are kept once, whatever backup they belong to; that is the whole of "incremental".
Owns: writing a chunk so that its name never speaks of anything but all of its bytes, reading
it back verified, and sweeping what no manifest names.  Refuses: to overwrite a chunk.
Invariant: a name is there only after its bytes are durable.  A crash leaves at most a file
whose name begins with a dot, which the next sweep removes.
"""

import hashlib
import os
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storage.segments import sync_directory

DIRECTORY: Final = "chunks"
CHUNK_BYTES: Final = 4 << 20
_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """SHA-256 and size in bytes of a piece of a file."""

    digest: bytes
    size: int

    def __post_init__(self) -> None:
        if len(self.digest) != 32:
            raise ValueError("a chunk has a digest of 32 bytes")


class Chunks:
    """The chunks under ``directory``; one writer.  Methods raise ``OSError``."""

    def __init__(self, directory: Path) -> None:
        self._root = directory / DIRECTORY
        self.written_bytes = 0
        """Bytes that were not there before, since this object was made."""

    def path(self, digest: bytes) -> Path:
        """Return where the chunk is, or would be."""
        name = digest.hex()
        return self._root / name[:2] / name

    def has(self, chunk: Chunk) -> bool:
        """Return whether the chunk is there at its full size; its bytes are not read."""
        try:
            return self.path(chunk.digest).stat().st_size == chunk.size
        except FileNotFoundError:
            return False

    def put(self, data: bytes) -> Chunk:
        """Return the chunk of ``data``, durable."""
        chunk = Chunk(hashlib.sha256(data).digest(), len(data))
        if self.has(chunk):
            return chunk
        path = self._room_for(chunk.digest)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
        sync_directory(path.parent)
        self.written_bytes += len(data)
        return chunk

    def link(self, source: Path) -> Chunk:
        """Return the chunk of a whole file that never changes, as a second name of it.

        Raises ``OSError`` where the file system cannot do that.
        """
        digest, size = hashlib.sha256(), 0
        with source.open("rb") as file:
            while part := file.read(_READ_BYTES):
                digest.update(part)
                size += len(part)
        chunk = Chunk(digest.digest(), size)
        if not self.has(chunk):
            path = self._room_for(chunk.digest)
            path.unlink(missing_ok=True)
            path.hardlink_to(source)
            sync_directory(path.parent)
        return chunk

    def _room_for(self, digest: bytes) -> Path:
        path = self.path(digest)
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(self._root)
        return path

    def read(self, chunk: Chunk) -> Iterator[bytes]:
        """Yield the chunk's bytes in parts; raise ``ChunkDamaged`` unless they are its own.

        The verdict comes with the last part: what was yielded before counts only after that.
        """
        path, digest, size = self.path(chunk.digest), hashlib.sha256(), 0
        try:
            with path.open("rb") as file:
                while part := file.read(_READ_BYTES):
                    digest.update(part)
                    size += len(part)
                    yield part
        except FileNotFoundError as error:
            raise ChunkDamaged(path, "missing") from error
        except OSError as error:
            raise ChunkDamaged(path, f"unreadable ({error.strerror})") from error
        if size != chunk.size:
            raise ChunkDamaged(path, f"{size} bytes, {chunk.size} expected")
        if digest.digest() != chunk.digest:
            raise ChunkDamaged(path, "its bytes are not those of its name")

    def sweep(self, keep: Container[bytes]) -> tuple[int, int]:
        """Remove chunks that ``keep`` does not hold; return how many, and their bytes."""
        count = freed = 0
        for path in sorted(self._root.glob("*/*")):
            if not path.name.startswith("."):
                try:
                    if bytes.fromhex(path.name) in keep:
                        continue
                except ValueError:
                    continue  # not ours: leave it alone
                count, freed = count + 1, freed + path.stat().st_size
            path.unlink()
        return count, freed


class ChunkDamaged(Exception):
    """A chunk is not what its name says; ``path`` is the file, ``what`` says how."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path
        self.what = what
