"""Bringing a stopped node's directory to another layout, and back.

    data_dir/upgrade/schema-1/kv/        LevelDB as it was before the migration from version 1
    data_dir/upgrade/schema-1/segments/  the block files of that moment
    data_dir/upgrade/replaced-kv/        what ``undo`` put aside

Owns: the order snapshot, rows, version; and the way back.  Refuses: to touch a directory that
is in use, of another network, or without room for the snapshot.
Invariant: the directory opens as one version or not at all.  A crash while the snapshot is made
leaves a ``.partial`` that the next attempt removes; a crash between rows leaves
``m migrating``, which only the repetition of the same step clears; a crash within ``undo``
leaves no LevelDB in its place, which no start takes for a new ledger, and ``undo`` again
finishes it.

Tables of LevelDB and closed block files are never written again, so the snapshot shares them by
hard links; everything else is copied.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from consensus import wire
from storage import keys, schema
from storage.errors import ForeignDataDir, MigrationRefused, SchemaMismatch, StorageFailure
from storage.kv import KV
from storage.level import LevelKV
from storage.lock import DirectoryLock
from storage.migrations import STEPS, Row, Step, way
from storage.schema import SCHEMA_VERSION, Schema
from storage.segments import sync_directory

UPGRADE_NAME: Final = "upgrade"
ROWS_PER_BATCH: Final = 20_000
ROOM_MIN_BYTES: Final = 64 << 20  # beside what is copied: a migration writes too
_KV: Final = "kv"
_SEGMENTS: Final = "segments"
_PARTIAL: Final = ".partial"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a migration would do; ``interrupted``: it was begun before and must end."""

    found: int
    target: int
    steps: tuple[str, ...]
    copy_bytes: int
    free_bytes: int
    snapshot: Path
    interrupted: bool


def plan(data_dir: Path, *, network: bytes, target: int = SCHEMA_VERSION) -> Plan:
    """Return what ``migrate`` would do; writes nothing of its own.

    Opening LevelDB to ask may still move its log into a table, as every start does.  Raises
    like ``migrate``.
    """
    with DirectoryLock(data_dir):
        return _plan(data_dir, network, target, STEPS)


def migrate(
    data_dir: Path,
    *,
    network: bytes,
    target: int = SCHEMA_VERSION,
    steps: tuple[Step, ...] = STEPS,
    stage: Callable[[str], None] = lambda _stage: None,
) -> Plan:
    """Take a snapshot, bring the directory to version ``target``; return what was done.

    ``stage`` hears ``snapshot``, ``rows``, ``done``.  Durable when it returns.  Raises
    ``MigrationRefused``, ``SchemaMismatch`` (no readable version), ``ForeignDataDir``,
    ``DataDirLocked``, ``DataDirMissing`` or ``StorageFailure``.
    """
    with DirectoryLock(data_dir):
        found = _plan(data_dir, network, target, steps)
        if not found.steps:
            return found
        if not found.interrupted:
            if found.free_bytes < found.copy_bytes + ROOM_MIN_BYTES:
                need = found.copy_bytes + ROOM_MIN_BYTES
                raise MigrationRefused(f"{found.free_bytes} bytes free, {need} needed")
            stage("snapshot")
            take_snapshot(data_dir, found.snapshot)
        stage("rows")
        kv = LevelKV(data_dir / _KV, create=False)
        try:
            if target < found.found:
                for step, _ in way(found.found, target, steps):
                    step.may_go_back(kv)
            for step, rows in way(found.found, target, steps):
                reached = step.target if target > found.found else step.source
                left = step.source if target > found.found else step.target
                _perform(kv, rows(kv), Schema(left, network), Schema(reached, network))
        finally:
            kv.close()
        stage("done")
        return found


def undo(data_dir: Path) -> Path:
    """Put the newest snapshot back in the place of LevelDB; return which it was.

    What the node wrote after the snapshot is gone then.  If it signed anything since, the mark
    beside its key refuses the next start, as it must.  Raises ``MigrationRefused``.
    """
    with DirectoryLock(data_dir):
        found = snapshots(data_dir)
        if not found:
            raise MigrationRefused(f"there is no snapshot in {data_dir / UPGRADE_NAME}")
        try:
            _put_back(data_dir, found[-1])
        except OSError as error:
            raise StorageFailure(f"cannot restore {found[-1]}: {error.strerror}") from error
        return found[-1]


def _put_back(data_dir: Path, snapshot: Path) -> None:
    upgrade = data_dir / UPGRADE_NAME
    made, aside = upgrade / f"restored{_PARTIAL}", upgrade / "replaced-kv"
    shutil.rmtree(made, ignore_errors=True)
    _mirror(snapshot / _KV, made, shared=_immutable_table)
    if (data_dir / _KV).exists():
        shutil.rmtree(aside, ignore_errors=True)
        (data_dir / _KV).rename(aside)
    made.rename(data_dir / _KV)
    # Block files only grow: what is there holds all that the snapshot points to.
    for path in sorted((snapshot / _SEGMENTS).iterdir()):
        if not (data_dir / _SEGMENTS / path.name).exists():
            os.link(path, data_dir / _SEGMENTS / path.name)
    for directory in (data_dir / _SEGMENTS, upgrade, data_dir):
        sync_directory(directory)


def forget(data_dir: Path) -> int:
    """Remove every snapshot and what was put aside; return how many snapshots went."""
    with DirectoryLock(data_dir):
        found = snapshots(data_dir)
        shutil.rmtree(data_dir / UPGRADE_NAME, ignore_errors=True)
        return len(found)


def snapshots(data_dir: Path) -> list[Path]:
    """Return the complete snapshots there are, oldest version first."""
    found = [path for path in (data_dir / UPGRADE_NAME).glob("schema-*") if path.is_dir()]
    whole = [path for path in found if path.suffix != _PARTIAL]
    return sorted(whole, key=lambda path: int(path.name.removeprefix("schema-")))


# --- the parts ----------------------------------------------------------------------------


def _plan(data_dir: Path, network: bytes, target: int, steps: tuple[Step, ...]) -> Plan:
    kv = LevelKV(data_dir / _KV, create=False)
    try:
        record, half = schema.read(kv), kv.get(keys.MIGRATING)
    finally:
        kv.close()
    if record is None:
        raise SchemaMismatch(found=None, expected=target)
    if record.network != network:
        raise ForeignDataDir(found=record.network, expected=network)
    version = record.version
    if half is not None:
        version, begun = int.from_bytes(half[:8], "big"), int.from_bytes(half[8:], "big")
        if (target > version) != (begun > version):
            raise MigrationRefused(f"a migration from {version} to {begun} must end first")
    return Plan(
        version,
        target,
        tuple(step.say for step, _ in way(version, target, steps)),
        sum(path.stat().st_size for path in _copied(data_dir)),
        shutil.disk_usage(data_dir).free,
        data_dir / UPGRADE_NAME / f"schema-{version}",
        half is not None,
    )


def _perform(kv: KV, rows: Iterator[Row], left: Schema, reached: Schema) -> None:
    """Write ``rows`` and the version: in one batch, or behind the mark that it is not whole."""
    version = (keys.SCHEMA, wire.encode(reached))
    batch = list(islice(rows, ROWS_PER_BATCH))
    if len(batch) == ROWS_PER_BATCH:
        # Older software must refuse from the first row on, hence the new version at once.
        half = keys.be64(left.version) + keys.be64(reached.version)
        kv.write([version, (keys.MIGRATING, half)], sync=True)
        while len(batch) == ROWS_PER_BATCH:
            kv.write(batch, sync=True)
            batch = list(islice(rows, ROWS_PER_BATCH))
    kv.write([*batch, version, (keys.MIGRATING, None)], sync=True)


def take_snapshot(data_dir: Path, where: Path) -> None:
    """Make ``where`` hold LevelDB and block files as they are; the directory is not in use.

    Durable when it returns.  An older snapshot of the same version gives way.
    """
    made = where.with_name(where.name + _PARTIAL)
    try:
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True, mode=0o700)
        _mirror(data_dir / _KV, made / _KV, shared=_immutable_table)
        newest = max((data_dir / _SEGMENTS).glob("*.seg"), default=None)
        _mirror(data_dir / _SEGMENTS, made / _SEGMENTS, shared=lambda path: path != newest)
        sync_directory(made)
        shutil.rmtree(where, ignore_errors=True)
        made.rename(where)
        sync_directory(where.parent)
        sync_directory(data_dir)
    except OSError as error:
        raise StorageFailure(f"cannot make {where}: {error.strerror or error}") from error


def _immutable_table(path: Path) -> bool:
    return path.suffix == ".ldb"


def _copied(data_dir: Path) -> list[Path]:
    tables = [path for path in (data_dir / _KV).iterdir() if not _immutable_table(path)]
    newest = max((data_dir / _SEGMENTS).glob("*.seg"), default=None)
    return [*tables, *([] if newest is None else [newest])]


def _mirror(source: Path, target: Path, *, shared: Callable[[Path], bool]) -> None:
    """Link what is ``shared``, copy the rest, and return when names and bytes are durable."""
    target.mkdir(mode=0o700)
    for path in sorted(source.iterdir()):
        if path.name == "LOCK":
            continue  # LevelDB makes its own
        if shared(path):
            os.link(path, target / path.name)
            continue
        shutil.copyfile(path, target / path.name)
        with (target / path.name).open("rb") as file:
            os.fsync(file.fileno())
    sync_directory(target)
