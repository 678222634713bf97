"""Snapshots on disk: directories of checksummed parts that are there whole or not at all.

    data_dir/snapshots/00000000000000c8/     height, 16 hexadecimal digits
        manifest, evidence, chunk-000000, chunk-000001, ...
    data_dir/snapshots/.making-*             unfinished; swept at the next start

A part is ``magic(8) || payload || SHA-256(payload)``.
Owns: these files, their order of durability, how many snapshots stay.  Refuses: to know what a
payload says.
Invariant: a directory whose name is a height is complete: its parts were durable before it got
the name.  A crash in the making leaves a directory that nobody reads.
"""

import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Final

from storage.errors import Corrupt, StorageFailure
from storage.segments import sync_directory

DIRECTORY: Final = "snapshots"
MANIFEST: Final = "manifest"
EVIDENCE: Final = "evidence"
MAGIC: Final = b"CSSNAP1\n"
_SUM_BYTES: Final = 32
_MAKING: Final = ".making-"
_NAME: Final = re.compile(r"[0-9a-f]{16}")


def chunk_name(number: int) -> str:
    """Return the file name of chunk ``number``."""
    return f"chunk-{number:06d}"


# --- parts --------------------------------------------------------------------------------


def write_part(directory: Path, name: str, payload: bytes) -> None:
    """Write one part so that it survives power loss once its directory is synced.

    It gets its name when its bytes are durable: a name never speaks of half a part.
    """
    unfinished = directory / f".{name}"
    try:
        with unfinished.open("wb") as file:
            file.write(MAGIC + payload + hashlib.sha256(payload).digest())
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(directory / name)
    except OSError as error:
        raise StorageFailure(f"cannot write {directory / name}: {error.strerror}") from error


def read_part(directory: Path, name: str) -> bytes | None:
    """Return the payload of a part, None when there is none; raises ``Corrupt`` if damaged."""
    try:
        raw = (directory / name).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageFailure(f"cannot read {directory / name}: {error.strerror}") from error
    payload = raw[len(MAGIC) : -_SUM_BYTES]
    if (
        not raw.startswith(MAGIC)
        or len(raw) < len(MAGIC) + _SUM_BYTES
        or hashlib.sha256(payload).digest() != raw[-_SUM_BYTES:]
    ):
        raise Corrupt("a part of a snapshot is damaged", where=f"{directory.name}/{name}")
    return payload


def make_directory(path: Path) -> None:
    """Make a private directory and those above it, durable; one that is there is left alone."""
    if path.is_dir():
        return
    make_directory(path.parent)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise StorageFailure(f"cannot create {path}: {error.strerror}") from error


# --- snapshots ----------------------------------------------------------------------------


class Draft:
    """A snapshot in the making; ``publish`` or ``abandon`` it."""

    def __init__(self, root: Path, height: int) -> None:
        self._root = root
        self._height = height
        self.path = root / f"{_MAKING}{height:016x}"
        shutil.rmtree(self.path, ignore_errors=True)
        make_directory(self.path)

    def write(self, name: str, payload: bytes) -> None:
        """Add a part."""
        write_part(self.path, name, payload)

    def publish(self) -> Path:
        """Give it its name; returns once it would be found after power loss.

        A snapshot of this height that is there already stays: equal ledgers give equal ones.
        """
        target = self._root / f"{self._height:016x}"
        if target.exists():
            self.abandon()
            return target
        try:
            sync_directory(self.path)
            self.path.rename(target)
            sync_directory(self._root)
        except OSError as error:
            raise StorageFailure(f"cannot publish {target}: {error.strerror}") from error
        return target

    def abandon(self) -> None:
        """Remove what was written."""
        shutil.rmtree(self.path, ignore_errors=True)


class Snapshots:
    """The snapshots of one data directory.  Reads from any thread; one maker at a time."""

    def __init__(self, data_dir: Path) -> None:
        self.root = data_dir / DIRECTORY

    def heights(self) -> list[int]:
        """Return the heights of all complete snapshots, ascending."""
        try:
            names = [path.name for path in self.root.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageFailure(f"cannot read {self.root}: {error.strerror}") from error
        return sorted(int(name, 16) for name in names if _NAME.fullmatch(name))

    def path(self, height: int) -> Path:
        """Return where the snapshot of ``height`` is, or would be."""
        return self.root / f"{height:016x}"

    def read(self, height: int, name: str) -> bytes | None:
        """Return a part of a snapshot; see ``read_part``."""
        return read_part(self.path(height), name)

    def bytes_of(self, height: int) -> int:
        """Return the size of its files together, in bytes; 0 once it is gone."""
        try:
            return sum(path.stat().st_size for path in self.path(height).iterdir())
        except FileNotFoundError:
            return 0

    def draft(self, height: int) -> Draft:
        """Begin the snapshot of ``height``."""
        make_directory(self.root)
        return Draft(self.root, height)

    def take(self, directory: Path, height: int) -> None:
        """Make the parts in ``directory`` the snapshot of ``height``, to be offered on."""
        make_directory(self.root)
        unfinished = self.root / f"{_MAKING}{height:016x}"
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            shutil.move(directory, unfinished)
            if self.path(height).exists():
                shutil.rmtree(unfinished, ignore_errors=True)
                return
            sync_directory(unfinished)
            unfinished.rename(self.path(height))
            sync_directory(self.root)
        except OSError as error:
            text = f"cannot keep the snapshot of {height}: {error.strerror}"
            raise StorageFailure(text) from error

    def keep(self, newest: int) -> list[int]:
        """Remove all but the ``newest`` snapshots; return the heights that went.

        A snapshot loses its name first, so that a crash leaves none half removed.
        """
        gone = self.heights()[: -newest or None]
        for height in gone:
            self.remove(height)
        return gone

    def remove(self, height: int) -> None:
        """Remove one snapshot."""
        path = self.path(height)
        unnamed = self.root / f"{_MAKING}old-{height:016x}"
        try:
            shutil.rmtree(unnamed, ignore_errors=True)
            path.rename(unnamed)
            sync_directory(self.root)
        except OSError as error:
            raise StorageFailure(f"cannot remove {path}: {error.strerror}") from error
        shutil.rmtree(unnamed, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what a crash left unfinished; for the start of a process."""
        if not self.root.is_dir():
            return
        for path in self.root.iterdir():
            if path.name.startswith(_MAKING):
                shutil.rmtree(path, ignore_errors=True)
