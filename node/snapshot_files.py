"""Snapshots handled by people: verified where they lie, carried as one file, put into place.

A file of a snapshot is an uncompressed tar of its parts as they are on disk.
Owns: reading and writing such files within bounds, and the whole verification of a directory.
Refuses: names that are no part of a snapshot, and to install what it has not verified itself.
"""

import re
import tarfile
from pathlib import Path
from typing import Final

from node.engines import dialects
from node.errors import ChartsealError
from node.ledger.checkpoint import Checkpoint
from node.ledger.genesis import Genesis
from node.ledger.merkle import EMPTY_ROOT
from node.ledger.snapshot import Chunks, Evidence, Manifest, SnapshotRefused
from node.ledger.statechunk import ENCODED_BYTES_MAX
from node.snapshot_install import Installer
from node.snapshot_load import Verified
from node.snapshot_trust import Trust
from storage.errors import Corrupt
from storage.snapshots import EVIDENCE, MANIFEST, chunk_name, make_directory, read_part
from storage.store import Store

_PART: Final = re.compile(r"manifest|evidence|chunk-[0-9]{6,7}")
_PART_BYTES_MAX: Final = ENCODED_BYTES_MAX + 64


def verify(directory: Path, genesis: Genesis, *, pinned: Checkpoint | None = None) -> Verified:
    """Return the snapshot in ``directory`` once all of it is proven from ``genesis``.

    Raises ``SnapshotRefused`` saying which part does not hold.
    """
    try:
        raw, why = read_part(directory, MANIFEST), read_part(directory, EVIDENCE)
        if raw is None or why is None:
            raise SnapshotRefused("there is no manifest, or no evidence for it")
        manifest = Manifest.decode(raw)
        trust = Trust(genesis, dialects(genesis), pinned)
        verified = trust.verify(directory, manifest, Evidence.decode(why))
        chunks = Chunks(manifest, verified.contents.seal.state_root)
        for number in range(manifest.chunks):
            _verify_chunk(directory, chunks, number)
    except Corrupt as damage:
        raise SnapshotRefused(f"{damage.where}: {damage.what}") from damage
    return verified


def _verify_chunk(directory: Path, chunks: Chunks, number: int) -> None:
    name = chunk_name(number)
    part = read_part(directory, name)
    if part is None:
        raise SnapshotRefused(f"{name} is missing")
    try:
        chunks.check(number, part)
    except SnapshotRefused as refused:
        raise SnapshotRefused(f"{name}: {refused}") from refused


def export(directory: Path, target: Path) -> int:
    """Write the snapshot in ``directory`` to the file ``target``; return its size in bytes.

    Raises ``ChartsealError`` when there is such a file already.
    """
    try:
        with target.open("xb") as file, tarfile.open(fileobj=file, mode="w") as tar:
            for path in sorted(directory.iterdir()):
                if _PART.fullmatch(path.name):
                    tar.add(path, arcname=path.name, filter=_plain)
    except FileExistsError as error:
        raise ChartsealError("conflict", f"{target} is there already") from error
    return target.stat().st_size


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who made it where: equal snapshots give equal files."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def unpack(source: Path, directory: Path) -> None:
    """Put the parts in the file ``source`` into ``directory``; raises ``SnapshotRefused``."""
    make_directory(directory)
    try:
        with tarfile.open(source, mode="r:") as tar:
            for member in tar:
                if not (member.isreg() and _PART.fullmatch(member.name)):
                    raise SnapshotRefused("the file holds what is no part of a snapshot")
                if member.size > _PART_BYTES_MAX:
                    raise SnapshotRefused(f"{member.name} is larger than any part may be")
                content = tar.extractfile(member)
                assert content is not None, "a regular file"
                (directory / member.name).write_bytes(content.read())
    except (tarfile.TarError, EOFError) as error:
        raise SnapshotRefused(f"{source}: not a snapshot's file") from error


def install(
    verified: Verified, data_dir: Path, genesis: Genesis, segment_bytes_max: int
) -> bool:
    """Put a verified snapshot in the place of a stopped node's ledger; False when the ledger
    there is as far ahead already.

    Consensus records and local facts stay.  Raises ``SnapshotRefused`` when the ledger there
    contradicts it, ``DataDirLocked`` while the node runs.
    """
    with Store.open(data_dir, network=genesis.network, create=True) as store:
        applied = store.applied()
        if applied is not None and applied.height >= verified.manifest.height:
            return False
        own = (0, EMPTY_ROOT) if applied is None else (applied.log_size, applied.log_root)
        installer = Installer(
            data_dir, genesis, segment_bytes_max=segment_bytes_max, pinned=None, own=lambda: own
        )
        installer.fill(verified)
        installer.ready = True
        installer.switch(store)
    Store.open(data_dir, network=genesis.network).close()
    return True
