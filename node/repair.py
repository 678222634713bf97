"""Repair of a stopped node's directory, from a backup, an archive or another node's directory.

Two cases.  LevelDB reads all of its rows: damaged bodies are put back from the sources, tiles
and pages are computed again, each proven before it is written, and the node goes on as it was;
where a part of a table is damaged that rows do not need, all rows move to new tables.  LevelDB
does not: the directory is replaced by what a source holds, or by an empty one that fetches
everything from peers, and fenced, because nobody can say which vote the damaged part held.
The old files stay in ``damaged/``.
Owns: this decision and the order of replacing.  Refuses: LevelDB's own repair.
Invariant: a crash leaves a directory that a start refuses and that can be repaired again.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from node import backups
from node.archive import layout, use
from node.archive.layout import ArchiveInvalid
from node.errors import ChartsealError
from node.ledger.crypto import Signer
from node.ledger.genesis import Genesis
from node.mending import proven, write_back
from node.rederive import pages_again, tiles_again
from storage import fence, manifest, tables
from storage.backup import Origin
from storage.backup import create as make_backup
from storage.errors import Corrupt, StorageFailure
from storage.fence import Restored
from storage.layout import DAMAGED_NAME, KV_NAME, SEGMENTS_NAME
from storage.level import LevelKV
from storage.restore import restore
from storage.scrub import LETTERS, BadRecord, BadRows, segment_ends, walk_rows, walk_segment
from storage.segments import sync_directory
from storage.store import Store

BodyAt = Callable[[int], bytes | None]
_ROWS_PER_BATCH: Final = 4096
EMPTY: Final = "nothing: it fetches everything from its peers"


@dataclass(frozen=True, slots=True)
class Step:
    """What was or would be done: ``done`` False when no source had what it takes."""

    what: str
    where: str
    done: bool


def unreadable(data_dir: Path, genesis: Genesis) -> str | None:
    """Return why LevelDB cannot read all rows, None when it can.

    Raises ``DataDirMissing``, ``DataDirLocked``, ``SchemaMismatch``, ``ForeignDataDir``.
    """
    try:
        with Store.open(data_dir, network=genesis.network) as store:
            for letter in LETTERS:
                with store.snapshot(apart=True) as view:
                    for step in walk_rows(view, letter):
                        if isinstance(step, BadRows):
                            return f"rows {step.letter}: {step.what}"
    except StorageFailure as failure:
        return str(failure)
    return None


# --- LevelDB is whole ---------------------------------------------------------------------


def mend(
    data_dir: Path, genesis: Genesis, sources: Sequence[Path], *, scratch_dir: Path | None
) -> list[Step]:
    """Mend bodies, tiles and pages of a directory whose rows can be read."""
    steps = _new_tables(data_dir)
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(data_dir, network=genesis.network))
        bad = list(damaged_bodies(store))
        if bad:
            bodies = [_bodies(stack, source, genesis, scratch_dir) for source in sources]
            steps += [_mend_body(store, data_dir, item, bodies) for item in bad]
        for what, again in (("tiles", tiles_again), ("pages", pages_again)):
            before = store.syncs()
            done = again(store)
            if not done or store.syncs() != before:
                steps.append(Step(f"{what} computed again", what, bool(done)))
    return steps


def _new_tables(data_dir: Path) -> list[Step]:
    """Copy every row into new files when the old ones are damaged beside the rows."""
    kv_dir = data_dir / KV_NAME
    found = list(tables.locate(kv_dir, deep=False))
    if not found:
        return []
    fresh = data_dir / (KV_NAME + ".new")
    if fresh.exists():
        shutil.rmtree(fresh)
    old, new = LevelKV(kv_dir, create=False), LevelKV(fresh, create=True)
    try:
        rows = old.scan(b"", b"\xff")
        while batch := list(islice(rows, _ROWS_PER_BATCH)):
            new.write(batch, sync=False)
        new.write([], sync=True)
    finally:
        old.close()
        new.close()
    aside = _aside(data_dir)
    kv_dir.rename(aside / KV_NAME)
    fresh.rename(kv_dir)
    sync_directory(data_dir)
    return [
        Step(
            f"{item.what}: rows moved to new tables",
            f"{item.path.name}:{item.offset}",
            done=True,
        )
        for item in found
    ]


def _aside(data_dir: Path) -> Path:
    aside = data_dir / DAMAGED_NAME / f"replaced-{_now_ms()}"
    aside.mkdir(mode=0o700, parents=True)
    return aside


def damaged_bodies(store: Store) -> Iterator[BadRecord]:
    """Yield every damaged record that is somebody's."""
    with store.snapshot(apart=True) as view:
        for number, end in sorted(segment_ends(view, store.segments).items()):
            for step in walk_segment(view, store.segments, number, end):
                if isinstance(step, BadRecord) and step.digest is not None:
                    yield step


def _mend_body(store: Store, data_dir: Path, bad: BadRecord, bodies: Sequence[BodyAt]) -> Step:
    where = f"{store.segments.path(bad.pointer.segment).name}:{bad.pointer.offset}"
    if bad.height is None:
        assert bad.digest is not None, "somebody's"
        store.forget_bodies([bad.digest])
        return Step("body that is not applied forgotten", where, done=True)
    for body_at in bodies:
        body = body_at(bad.height)
        if body is not None and proven(store, bad, body):
            write_back(store, data_dir, bad, body)
            return Step(f"body of block {bad.height} put back", where, done=True)
    return Step(f"body of block {bad.height}: no source has it", where, done=False)


def _bodies(
    stack: ExitStack, source: Path, genesis: Genesis, scratch_dir: Path | None
) -> BodyAt:
    """Return a reader of bodies by height from a source of any kind."""
    if (source / layout.HEAD_NAME).exists():
        head = layout.need_head(source)

        def archived(height: int) -> bytes | None:
            if height > head.height:
                return None
            try:
                return use.body_of(source, head, layout.block_at(source, head, height))
            except ArchiveInvalid:
                return None

        return archived
    if (source / manifest.DIRECTORY).is_dir():
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=scratch_dir)))
        found = backups.choose(source, None)
        restore(source, found, place / "data", now_ms=_now_ms())
        source = place / "data"
    other = stack.enter_context(Store.open(source, network=genesis.network))

    def stored(height: int) -> bytes | None:
        row = other.block(height)
        try:
            return None if row is None else other.body(row.digest)
        except Corrupt:
            return None

    return stored


# --- LevelDB is not -----------------------------------------------------------------------


def replace(
    data_dir: Path, genesis: Genesis, source: Path | None, *, scratch_dir: Path | None
) -> list[Step]:
    """Put a fenced directory from ``source`` in place of a damaged one; None: an empty one.

    Raises ``BackupInvalid``, ``ChartsealError`` (not-found), ``StorageFailure``, ``OSError``;
    then the directory is as it was.
    """
    fresh = data_dir.with_name(data_dir.name + ".repaired")
    if fresh.exists():
        raise ChartsealError("exists-already", str(fresh))
    if source is None:
        _empty(fresh, genesis)
    elif (source / manifest.DIRECTORY).is_dir():
        restore(source, backups.choose(source, None), fresh, now_ms=_now_ms())
    elif (source / KV_NAME).is_dir():
        _copy(source, fresh, genesis, scratch_dir)
    else:
        raise ChartsealError("not-found", f"{source} is neither a backup nor a node's data")
    aside = _aside(data_dir)
    for name in (KV_NAME, SEGMENTS_NAME):
        # In this order a crash leaves a directory without CURRENT, which a start refuses.
        if (data_dir / name).exists():
            (data_dir / name).rename(aside / name)
    for name in (SEGMENTS_NAME, KV_NAME):
        (fresh / name).rename(data_dir / name)
    sync_directory(data_dir)
    told = EMPTY if source is None else str(source)
    return [Step(f"replaced from {told}; the old files are in {aside}", "kv", done=True)]


def _empty(to: Path, genesis: Genesis) -> None:
    with Store.open(to, network=genesis.network, create=True) as store:
        store.mend([fence.fence_row(Restored("nothing", b"", 0, _now_ms()))])


def _copy(source: Path, to: Path, genesis: Genesis, scratch_dir: Path | None) -> None:
    """Copy another node's ledger as a backup that nobody keeps: its own records stay out."""
    nobody = Signer(bytes(32))
    origin = Origin(
        node="copy", software="", key=nobody.public_key, sign=nobody.sign, documents={}
    )
    with tempfile.TemporaryDirectory(dir=scratch_dir) as where:
        place = Path(where) / "backup"
        with Store.open(source, network=genesis.network) as store:
            make_backup(store, place, origin, network=genesis.network, now_ms=_now_ms())
        restore(place, backups.choose(place, None), to, now_ms=_now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
