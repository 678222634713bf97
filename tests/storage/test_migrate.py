"""A directory goes to another layout whole, or stays as it was; and there is a way back."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from consensus import wire
from storage import history, keys, migrate, pagelog, schema, slots
from storage.check import check
from storage.errors import (
    Corrupt,
    DataDirLocked,
    ForeignDataDir,
    MigrationRefused,
    SchemaMismatch,
    StorageError,
)
from storage.kv import KV, MemoryKV
from storage.level import LevelKV
from storage.migrations import STEPS, Row, Step, way
from storage.schema import SCHEMA_VERSION, Schema
from storage.store import Store
from tests.storage.chain import NETWORK, OTHER_NETWORK, Chain, extend
from tests.storage.test_pagelog import Writer

ROWS = 50_000
NOW = SCHEMA_VERSION


def make_old(data_dir: Path, blocks: int = 3) -> Chain:
    """Make a ledger in the founders' layout, as the software of that version wrote it."""
    chain = Chain()
    with (
        patch.object(pagelog, "PAGES_MAX", 1),  # every block stored its pages
        Store.open(data_dir, network=NETWORK, create=True) as store,
    ):
        extend(store, chain, blocks)
    as_version_3(data_dir)
    kv = LevelKV(data_dir / "kv", create=False)
    unknown = [key for key, _ in kv.scan(keys.PAGE_LOG, keys.after(keys.PAGE_LOG))]
    unknown += [keys.LOWEST, keys.PAGES]
    founders = (keys.SCHEMA, wire.encode(Schema(1, NETWORK)))
    kv.write([founders, *((key, None) for key in unknown)], sync=True)
    kv.close()
    return chain


def as_version_3(data_dir: Path) -> dict[bytes, bytes]:
    """Put the rows of pages as the software of version 3 wrote them; return all rows."""
    kv = LevelKV(data_dir / "kv", create=False)
    rows: list[Row] = [(keys.SCHEMA, wire.encode(Schema(3, NETWORK)))]
    nodes = list(kv.scan(keys.NODE, keys.after(keys.NODE)))
    rows += [(b"p" + key, page) for key, page in slots.every(iter(nodes))]
    rows += [(key, None) for key, _ in nodes]
    lost: dict[bytes, list[bytes]] = {}
    for key, raw in list(kv.scan(keys.PAGES_WERE, keys.after(keys.PAGES_WERE))):
        at = key[1:9]
        rows += [(b"q" + page + at, was) for page, was in history.pages_in(raw)]
        lost.setdefault(at, []).extend(b"q" + page for page, _ in history.pages_in(raw))
        rows.append((key, None))
    for key, raw in list(kv.scan(keys.WAS_AT, keys.after(keys.WAS_AT))):
        names = [*lost.get(key[1:], []), *history.split(raw)]
        rows.append((key, b"".join(len(name).to_bytes(2, "big") + name for name in names)))
    kv.write(rows, sync=True)
    kv.close()
    return pairs(data_dir)


def pairs(data_dir: Path) -> dict[bytes, bytes]:
    kv = LevelKV(data_dir / "kv", create=False)
    found = dict(kv.scan(b"", b"\xff"))
    kv.close()
    return found


def version(data_dir: Path) -> int:
    return wire.decode(Schema, pairs(data_dir)[keys.SCHEMA], size_max=256).version


def many(kv: KV, *, fail_at: int = -1) -> Iterator[Row]:
    for at in range(ROWS):
        if at == fail_at:
            raise OSError("power")
        yield b"ux/%08d" % at, b"new"


def none(_kv: KV) -> Iterator[Row]:
    yield from ()


LONG = (*STEPS, Step(NOW, NOW + 1, "many rows", many))


def test_the_founders_layout_learns_its_lowest_height(tmp_path: Path) -> None:
    chain = make_old(tmp_path)
    with pytest.raises(SchemaMismatch) as old:
        Store.open(tmp_path, network=NETWORK)
    assert (old.value.found, old.value.expected) == (1, SCHEMA_VERSION)
    done = migrate.migrate(tmp_path, network=NETWORK)
    assert (done.found, done.target, len(done.steps)) == (1, NOW, NOW - 1)
    with Store.open(tmp_path, network=NETWORK) as store:
        assert store.lowest() == 1
        extend(store, chain, 2)
    assert check(tmp_path).clean


def test_a_new_ledger_is_of_the_newest_layout(tmp_path: Path) -> None:
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        assert store.lowest() == 1
    assert migrate.migrate(tmp_path, network=NETWORK).steps == ()
    assert migrate.snapshots(tmp_path) == []


def test_the_plan_changes_nothing(tmp_path: Path) -> None:
    make_old(tmp_path)
    before = pairs(tmp_path)
    planned = migrate.plan(tmp_path, network=NETWORK)
    assert planned.steps == tuple(step.say for step in STEPS)
    assert planned.copy_bytes > 0
    assert pairs(tmp_path) == before
    assert not (tmp_path / migrate.UPGRADE_NAME).exists()


def test_the_snapshot_is_the_ledger_as_it_was(tmp_path: Path) -> None:
    make_old(tmp_path)
    before = pairs(tmp_path)
    done = migrate.migrate(tmp_path, network=NETWORK)
    assert migrate.snapshots(tmp_path) == [done.snapshot]
    assert pairs(done.snapshot) == before
    bodies = [path.name for path in (done.snapshot / "segments").iterdir()]
    assert bodies == ["00000001.seg"]


def test_undo_puts_the_snapshot_back_and_forget_gives_its_room_free(tmp_path: Path) -> None:
    chain = make_old(tmp_path)
    before = pairs(tmp_path)
    migrate.migrate(tmp_path, network=NETWORK)
    with Store.open(tmp_path, network=NETWORK) as store:
        extend(store, chain, 2)
    migrate.undo(tmp_path)
    assert pairs(tmp_path) == before
    migrate.undo(tmp_path)
    assert pairs(tmp_path) == before, "twice is harmless"
    assert migrate.forget(tmp_path) == 1
    assert not (tmp_path / migrate.UPGRADE_NAME).exists()
    with pytest.raises(MigrationRefused, match="no snapshot"):
        migrate.undo(tmp_path)


def test_the_way_back_keeps_what_was_written_since(tmp_path: Path) -> None:
    chain = make_old(tmp_path)
    migrate.migrate(tmp_path, network=NETWORK)
    with Store.open(tmp_path, network=NETWORK) as store:
        extend(store, chain, 2)
    migrate.migrate(tmp_path, network=NETWORK, target=1)
    assert version(tmp_path) == 1
    assert keys.LOWEST not in pairs(tmp_path)
    assert keys.block(5) in pairs(tmp_path)


def test_there_is_no_way_back_for_a_ledger_without_its_first_blocks(tmp_path: Path) -> None:
    make_old(tmp_path)
    migrate.migrate(tmp_path, network=NETWORK)
    kv = LevelKV(tmp_path / "kv", create=False)
    kv.write([(keys.LOWEST, keys.be64(2))], sync=True)
    kv.close()
    with pytest.raises(MigrationRefused, match="removed"):
        migrate.migrate(tmp_path, network=NETWORK, target=1)
    assert version(tmp_path) == SCHEMA_VERSION


def test_what_was_cut_short_opens_for_nobody_and_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_old(tmp_path)
    broken = (*STEPS, Step(NOW, NOW + 1, "fails", lambda kv: many(kv, fail_at=30_000)))
    with pytest.raises(OSError, match="power"):
        migrate.migrate(tmp_path, network=NETWORK, target=NOW + 1, steps=broken)
    assert (version(tmp_path), len([k for k in pairs(tmp_path) if k[:3] == b"ux/"])) == (
        NOW + 1,
        migrate.ROWS_PER_BATCH,
    )
    for expected in (NOW, NOW + 1):
        monkeypatch.setattr(schema, "SCHEMA_VERSION", expected)
        with pytest.raises(SchemaMismatch) as refused:
            Store.open(tmp_path, network=NETWORK)
        assert refused.value.found == NOW
    with pytest.raises(MigrationRefused, match="must end first"):
        migrate.migrate(tmp_path, network=NETWORK, target=1, steps=LONG)
    again = migrate.migrate(tmp_path, network=NETWORK, target=NOW + 1, steps=LONG)
    assert again.interrupted
    Store.open(tmp_path, network=NETWORK).close()
    assert len([key for key in pairs(tmp_path) if key[:3] == b"ux/"]) == ROWS


KILLED = """
import os, signal, sys
from pathlib import Path
from storage import migrate
from tests.storage.chain import NETWORK
from tests.storage.test_migrate import NOW, STEPS, Step, many

def killing(kv):
    for at, row in enumerate(many(kv)):
        if at == 30_000:
            os.kill(os.getpid(), signal.SIGKILL)
        yield row

def stage(word):
    if word == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "linking":
    migrate.sync_directory = lambda _path: os.kill(os.getpid(), signal.SIGKILL)
steps = (*STEPS, Step(NOW, NOW + 1, "many rows", killing))
migrate.migrate(Path(sys.argv[1]), network=NETWORK, target=NOW + 1, steps=steps, stage=stage)
"""


@pytest.mark.parametrize("where", ["snapshot", "linking", "rows", "within"])
def test_a_migration_survives_a_kill_at_every_stage(tmp_path: Path, where: str) -> None:
    make_old(tmp_path)
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), where],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    done = migrate.migrate(tmp_path, network=NETWORK, target=NOW + 1, steps=LONG)
    assert done.interrupted == (where == "within")
    found = pairs(tmp_path)
    assert len([key for key in found if key[:3] == b"ux/"]) == ROWS
    assert keys.MIGRATING not in found
    assert version(tmp_path) == NOW + 1
    (snapshot,) = migrate.snapshots(tmp_path)
    assert version(snapshot) == 1
    assert list((tmp_path / migrate.UPGRADE_NAME).glob("*.partial")) == []


def test_without_room_for_the_snapshot_nothing_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_old(tmp_path)
    full = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: full)
    with pytest.raises(MigrationRefused, match="bytes free"):
        migrate.migrate(tmp_path, network=NETWORK)
    assert version(tmp_path) == 1


@pytest.mark.parametrize(
    ("network", "target", "kind"),
    [(OTHER_NETWORK, 2, ForeignDataDir), (NETWORK, 9, MigrationRefused)],
)
def test_what_cannot_be_done_is_refused(
    tmp_path: Path, network: bytes, target: int, kind: type[StorageError]
) -> None:
    make_old(tmp_path)
    with pytest.raises(kind):
        migrate.migrate(tmp_path, network=network, target=target)
    assert version(tmp_path) == 1


def test_a_running_nodes_directory_is_left_alone(tmp_path: Path) -> None:
    with Store.open(tmp_path, network=NETWORK, create=True), pytest.raises(DataDirLocked):
        migrate.migrate(tmp_path, network=NETWORK, target=1)


def test_every_version_since_the_founders_has_a_way_to_ours() -> None:
    for found in range(1, SCHEMA_VERSION):
        assert [step.source for step, _ in way(found, SCHEMA_VERSION)] == list(
            range(found, SCHEMA_VERSION)
        )


# --- version 4: slots of pages --------------------------------------------------------------


@pytest.mark.parametrize("up", [True, False])
def test_pages_are_taken_apart_and_put_together_wherever_it_was_cut_short(
    tmp_path: Path, up: bool
) -> None:
    chain = Chain(history_blocks=100)
    with (
        patch.object(pagelog, "PAGES_MAX", 2),
        Store.open(tmp_path, network=NETWORK, create=True) as store,
    ):
        writer = Writer(31, blocks=100)
        writer.chain = chain
        for _ in range(14):
            writer.commit(store)
    new = pairs(tmp_path)
    old = as_version_3(tmp_path)
    letters = {key[:1] for key in old}
    assert letters >= {b"p", b"q", b"w", b"j"}
    assert not letters & {keys.NODE, keys.PAGES_WERE}
    if not up:
        migrate.migrate(tmp_path, network=NETWORK)
        assert pairs(tmp_path) == new
    before, after = (old, new) if up else (new, old)
    ((_, rows),) = way(3, 4) if up else way(4, 3)
    kv = MemoryKV()
    kv.write(before.items(), sync=True)
    whole = list(rows(kv))
    touched = {key[:1] for key, _ in whole}
    assert touched == {b"p", b"q", b"w", keys.NODE, keys.PAGES_WERE}
    for cut in range(len(whole) + 1):
        kv = MemoryKV()
        kv.write(before.items(), sync=True)
        kv.write(whole[:cut], sync=True)
        kv.write(list(rows(kv)), sync=True)
        kv.write([(keys.SCHEMA, after[keys.SCHEMA])], sync=True)
        assert dict(kv.scan(b"", b"\xff")) == after, cut
    migrate.migrate(tmp_path, network=NETWORK, target=4 if up else 3)
    assert pairs(tmp_path) == after


def test_a_page_that_is_none_stays_as_it_is(tmp_path: Path) -> None:
    extend_one(tmp_path)
    old = as_version_3(tmp_path)
    kv = LevelKV(tmp_path / "kv", create=False)
    kv.write([(b"p\x00", b"no page")], sync=True)
    kv.close()
    with pytest.raises(Corrupt, match="no page of the state tree"):
        migrate.migrate(tmp_path, network=NETWORK)
    migrate.undo(tmp_path)
    assert pairs(tmp_path) == {**old, b"p\x00": b"no page"}


def extend_one(data_dir: Path) -> None:
    with (
        patch.object(pagelog, "PAGES_MAX", 1),
        Store.open(data_dir, network=NETWORK, create=True) as store,
    ):
        extend(store, Chain(), 1)
