"""The manifest of a backup: what it holds, of which ledger, at which height, signed.

    manifests/20260102T030405Z-1000.manifest

One canonical record: the manifest's bytes, the Ed25519 key of the node that made it, and the
signature over ``chartseal/backup/v1`` and these bytes.  Every byte of a backup is under it: the
manifest lists files, a file is a row of chunks, a chunk is named by its SHA-256.
Owns: encoding, names, the order of backups.  Refuses: to say whose key may sign; who verifies
knows that.
Invariant: a manifest is there only when every chunk it names was there first.
"""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from consensus import wire
from consensus.codec import Malformed
from storage.chunks import Chunk
from storage.segments import sync_directory

FORMAT: Final = "chartseal/backup/v1"
SIGN_TAG: Final = b"chartseal/backup/v1\0"
DIRECTORY: Final = "manifests"
SUFFIX: Final = ".manifest"
MANIFEST_BYTES_MAX: Final = 1 << 28
_FILE_NAME: Final = re.compile(
    r"rows/[a-z]|segments/[0-9]{8}\.seg|documents/[a-z][a-z.-]{0,62}"
)

Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes, bytes], bool]  # key, message, signature


class BackupInvalid(Exception):
    """The backup cannot be used; ``where`` names the file."""

    code = "backup-invalid"

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: its bytes are those of ``chunks`` in order.  ``sealed``: it grows no more."""

    name: str
    size: int
    sealed: bool
    chunks: tuple[Chunk, ...]

    def __post_init__(self) -> None:
        if not _FILE_NAME.fullmatch(self.name):
            raise ValueError("a file that no backup has")
        if sum(chunk.size for chunk in self.chunks) != self.size:
            raise ValueError("the chunks are not as long as the file")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Where the ledger stood and which files give it back."""

    format: str
    created_ms: int
    node: str
    network: bytes
    software: str
    schema: int
    height: int  # 0: nothing was applied; roots are then empty
    block: bytes  # body digest
    log_size: int
    log_root: bytes
    state_height: int
    state_root: bytes
    lowest_body: int  # bodies of lower heights were pruned before
    checkpoint_height: int  # 0: none was certified yet
    checkpoint: bytes
    previous: bytes  # SHA-256 of the manifest before; empty for the first
    rows: int
    files: tuple[FileEntry, ...]

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError("a backup of an unknown format")
        names = [item.name for item in self.files]
        if names != sorted(set(names)):
            raise ValueError("files stand in the order of their names")

    @property
    def name(self) -> str:
        """Return the backup's name: UTC time and height."""
        return name_of(self.created_ms, self.height)

    @property
    def bytes_total(self) -> int:
        return sum(item.size for item in self.files)

    def chunks(self) -> set[Chunk]:
        """Return every chunk, each once."""
        return {chunk for item in self.files for chunk in item.chunks}


@dataclass(frozen=True, slots=True)
class Signed:
    manifest: bytes
    key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest as it lies in a directory, its signature verified under its own ``key``."""

    manifest: Manifest
    key: bytes
    digest: bytes  # SHA-256 of the file
    path: Path


def name_of(created_ms: int, height: int) -> str:
    moment = datetime.fromtimestamp(created_ms // 1000, UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}-{height}"


def write(directory: Path, manifest: Manifest, *, key: bytes, sign: Sign) -> Path:
    """Put the signed manifest in place, durable; raises ``OSError``.

    A crash in here leaves the backups that were there before.
    """
    raw = wire.encode(manifest)
    signed = wire.encode(Signed(raw, key, sign(SIGN_TAG + raw)))
    place = directory / DIRECTORY
    place.mkdir(mode=0o700, exist_ok=True)
    path = place / (manifest.name + SUFFIX)
    temporary = place / f".{manifest.name}.{os.getpid()}"
    with temporary.open("wb") as file:
        file.write(signed)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(place)
    sync_directory(directory)
    return path


def read(path: Path, *, verify: Verify) -> Found:
    """Return the manifest at ``path``; raises ``BackupInvalid`` unless every byte is signed."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BackupInvalid(str(path), error.strerror or "unreadable") from error
    try:
        signed: Signed = wire.decode(Signed, raw, size_max=MANIFEST_BYTES_MAX)
        manifest: Manifest = wire.decode(Manifest, signed.manifest, size_max=MANIFEST_BYTES_MAX)
    except Malformed as error:
        raise BackupInvalid(str(path), f"not a manifest ({error})") from error
    if not verify(signed.key, SIGN_TAG + signed.manifest, signed.signature):
        raise BackupInvalid(str(path), "the signature does not hold")
    if path.name != manifest.name + SUFFIX:
        raise BackupInvalid(str(path), f"it is the manifest of {manifest.name}")
    return Found(manifest, signed.key, hashlib.sha256(raw).digest(), path)


def paths(directory: Path) -> list[Path]:
    """Return the manifests' files, oldest backup first."""
    place = directory / DIRECTORY
    found = [path for path in place.glob("*" + SUFFIX) if not path.name.startswith(".")]
    return sorted(found, key=_order)


def _order(path: Path) -> tuple[str, int]:
    moment, _, height = path.name.removesuffix(SUFFIX).partition("-")
    return moment, int(height) if height.isdigit() else 0
