"""What can go wrong on disk, as one tree.

    StorageError
    +-- StorageFailure      disk or LevelDB failed, what is on disk is unknown: stop the node
    |   +-- DiskFull        a write failed for lack of space; nothing of it was promised
    |   +-- Corrupt         bytes that were written are not the bytes that came back
    +-- DataDirLocked       another process (or another store in this one) holds the directory
    +-- DataDirMissing      there is no ledger in the directory and creation was not asked for
    +-- SchemaMismatch      the directory was laid out by another version of this software
    +-- MigrationRefused    the directory cannot be brought to the version that was asked for
    +-- ForeignDataDir      the directory belongs to another network
    +-- Pruned              an old block is not on this node's disk

Owns: the names and their stable codes.  Refuses: retrying; after a failed sync the kernel may
have dropped the dirty pages, so a second attempt that succeeds proves nothing.
Invariant: no message carries stored content, only places, sizes, digests and versions.
"""

import errno
from pathlib import Path
from typing import ClassVar


class StorageError(Exception):
    """Root of everything this package raises on purpose."""

    code: ClassVar[str] = "storage-error"


class StorageFailure(StorageError):
    """The disk failed; the caller must stop the node, restart recovers a consistent state."""

    code: ClassVar[str] = "storage-failure"


class DiskFull(StorageFailure):
    """There was no room for a write: stop the node, start it again when there is."""

    code: ClassVar[str] = "storage-full"


class Corrupt(StorageFailure):
    """``what`` at ``where`` does not read back as it was written."""

    code: ClassVar[str] = "storage-corrupt"

    def __init__(self, what: str, *, where: str) -> None:
        super().__init__(f"{what} at {where}")
        self.what = what
        self.where = where


class Pruned(StorageError):
    """Blocks below ``lowest`` are not kept here."""

    code: ClassVar[str] = "pruned"

    def __init__(self, lowest: int) -> None:
        super().__init__(f"blocks are kept from height {lowest} on")
        self.lowest = lowest


class DataDirLocked(StorageError):
    """The directory is in use by process ``pid`` (None when the holder left no number)."""

    code: ClassVar[str] = "data-dir-locked"

    def __init__(self, directory: Path, pid: int | None) -> None:
        holder = "another process" if pid is None else f"process {pid}"
        super().__init__(f"{directory} is in use by {holder}")
        self.directory = directory
        self.pid = pid


class DataDirMissing(StorageError):
    """``directory`` holds no ledger; create one with the command that initialises a node."""

    code: ClassVar[str] = "data-dir-missing"

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory} holds no ledger")
        self.directory = directory


class SchemaMismatch(StorageError):
    """The layout on disk is ``found`` (None: no readable version), we need ``expected``."""

    code: ClassVar[str] = "schema-mismatch"

    def __init__(self, *, found: int | None, expected: int) -> None:
        shown = "unmarked" if found is None else f"version {found}"
        super().__init__(f"data directory is {shown}, this software needs version {expected}")
        self.found = found
        self.expected = expected


class MigrationRefused(StorageError):
    """There is no way to the wanted version, or no room for the snapshot before it."""

    code: ClassVar[str] = "migration-refused"


class ForeignDataDir(StorageError):
    """The directory belongs to network ``found``, the node was started for ``expected``."""

    code: ClassVar[str] = "foreign-data-dir"

    def __init__(self, *, found: bytes, expected: bytes) -> None:
        super().__init__(
            f"data directory of network {found.hex()[:16]}, node of {expected.hex()[:16]}"
        )
        self.found = found
        self.expected = expected


def failure_of(error: OSError, text: str) -> StorageFailure:
    """Return ``error`` as a failure that says ``text``; a full disk or quota has its own."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return DiskFull(text) if full else StorageFailure(text)
