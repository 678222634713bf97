"""Opening a data directory: whose it is, who holds it, and whether it is whole."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from consensus import wire
from storage import errors, keys, schema
from storage.errors import (
    Corrupt,
    DataDirLocked,
    DataDirMissing,
    ForeignDataDir,
    SchemaMismatch,
    StorageError,
    StorageFailure,
)
from storage.level import LevelKV
from storage.lock import DirectoryLock
from storage.store import Store
from tests.storage.chain import NETWORK, OTHER_NETWORK, Chain, extend


def create(data_dir: Path) -> None:
    Store.open(data_dir, network=NETWORK, create=True).close()


def test_what_was_acknowledged_is_there_after_reopening(tmp_path: Path) -> None:
    chain = Chain()
    with Store.open(tmp_path / "new" / "data", network=NETWORK, create=True) as store:
        commits = extend(store, chain, 3)
    with Store.open(tmp_path / "new" / "data", network=NETWORK) as store:
        assert store.applied() == commits[-1].applied()
        assert store.torn_bytes == 0
        assert len(list(store.iter_blocks(1, 4))) == 3
        extend(store, chain, 1)


def test_directories_are_private(tmp_path: Path) -> None:
    create(tmp_path / "data")
    for directory in (tmp_path / "data", tmp_path / "data" / "segments"):
        assert directory.stat().st_mode & 0o077 == 0


def test_creating_what_is_there_already_keeps_it(tmp_path: Path) -> None:
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        extend(store, Chain(), 1)
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        assert store.block(1) is not None


def test_nothing_is_created_unasked(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataDirMissing):
            Store.open(directory, network=NETWORK)
    create(tmp_path)
    shutil.rmtree(tmp_path / "kv")
    with pytest.raises(DataDirMissing):
        Store.open(tmp_path, network=NETWORK)
    assert not (tmp_path / "kv").exists()


def test_an_interrupted_creation_is_finished_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    LevelKV(tmp_path / "kv", create=True).close()
    with pytest.raises(SchemaMismatch):
        Store.open(tmp_path, network=NETWORK)
    create(tmp_path)
    Store.open(tmp_path, network=NETWORK).close()


def test_another_networks_directory_is_refused(tmp_path: Path) -> None:
    create(tmp_path)
    with pytest.raises(ForeignDataDir) as refusal:
        Store.open(tmp_path, network=OTHER_NETWORK, create=True)
    assert (refusal.value.found, refusal.value.expected) == (NETWORK, OTHER_NETWORK)
    Store.open(tmp_path, network=NETWORK).close()


NEWER = schema.SCHEMA_VERSION + 1


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (
            wire.encode(schema.Schema(schema.SCHEMA_VERSION + 1, NETWORK)),
            schema.SCHEMA_VERSION + 1,
        ),
        (b"not a schema", None),
        (None, None),
    ],
    ids=["newer", "unreadable", "absent"],
)
def test_another_layout_is_refused(
    tmp_path: Path, record: bytes | None, found: int | None
) -> None:
    create(tmp_path)
    kv = LevelKV(tmp_path / "kv", create=False)
    kv.write([(keys.SCHEMA, record), (b"c", b"content")], sync=True)
    kv.close()
    for creating in (False, True):
        with pytest.raises(SchemaMismatch) as refusal:
            Store.open(tmp_path, network=NETWORK, create=creating)
        assert refusal.value.found == found


HOLD = """
import sys
from pathlib import Path
from storage.store import Store
with Store.open(Path(sys.argv[1]), network=bytes.fromhex(sys.argv[2])):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_directory_held_by_another_process_is_refused_by_its_number(tmp_path: Path) -> None:
    create(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), NETWORK.hex()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(DataDirLocked, match=f"process {holder.pid}") as refusal:
            Store.open(tmp_path, network=NETWORK)
        assert refusal.value.pid == holder.pid
        holder.kill()
    Store.open(tmp_path, network=NETWORK).close()


def test_a_directory_is_not_opened_twice_in_one_process(tmp_path: Path) -> None:
    with Store.open(tmp_path, network=NETWORK, create=True):
        with pytest.raises(DataDirLocked):
            Store.open(tmp_path, network=NETWORK)
        with pytest.raises(DataDirLocked):
            LevelKV(tmp_path / "kv", create=False)


def test_a_failed_opening_leaves_the_directory_free(tmp_path: Path) -> None:
    create(tmp_path)
    with pytest.raises(ForeignDataDir):
        Store.open(tmp_path, network=OTHER_NETWORK)
    DirectoryLock(tmp_path).close()
    LevelKV(tmp_path / "kv", create=False).close()


def test_a_holder_that_left_no_number_is_still_a_holder(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path) as lock:
        (tmp_path / "LOCK").write_bytes(b"")
        with pytest.raises(DataDirLocked, match="another process") as refusal:
            DirectoryLock(tmp_path)
        assert refusal.value.pid is None
        lock.close()
        DirectoryLock(tmp_path).close()


def test_a_directory_that_cannot_be_made_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailure, match="cannot create"):
        Store.open(tmp_path / "file" / "data", network=NETWORK, create=True)
    with pytest.raises(StorageFailure, match="cannot open"):
        DirectoryLock(tmp_path / "absent")


def flip(path: Path, at: float) -> None:
    raw = bytearray(path.read_bytes())
    raw[int(len(raw) * at)] ^= 0x01
    path.write_bytes(raw)


def filled(data_dir: Path) -> Path:
    """Create a store whose LevelDB has table files, and return its directory."""
    create(data_dir)
    kv = LevelKV(data_dir / "kv", create=False)
    kv.write([(b"s%05d" % n, b"value %d" % n) for n in range(2000)], sync=True)
    kv._source.compact_range()
    kv.close()
    return data_dir / "kv"


def test_a_damaged_table_is_noticed_by_whoever_reads_it(tmp_path: Path) -> None:
    directory = filled(tmp_path)
    for path in directory.glob("*.ldb"):
        flip(path, 0.4)
    with pytest.raises(Corrupt, match="kv"), Store.open(tmp_path, network=NETWORK) as store:
        list(store.iter_state())


SOME_KEYS = [b"s%05d" % n for n in range(2000)]
READINGS: dict[str, Callable[[LevelKV], object]] = {
    "get": lambda kv: [kv.get(key) for key in SOME_KEYS],
    "get_many": lambda kv: kv.get_many(SOME_KEYS),
    "scan": lambda kv: list(kv.scan(b"s", b"t")),
    "scan backwards": lambda kv: list(kv.scan(b"s", b"t", reverse=True)),
    "snapshot": lambda kv: kv.snapshot().get_many(SOME_KEYS),
}


@pytest.mark.parametrize("reading", READINGS)
def test_one_flipped_bit_in_a_value_is_noticed_and_closes_the_store_for_writing(
    tmp_path: Path, reading: str
) -> None:
    kv = LevelKV(tmp_path, create=True)
    # Incompressible, so that only the checksum can tell.
    kv.write([(key, sha256(key).digest() * 3) for key in SOME_KEYS], sync=True)
    kv._source.compact_range()
    kv.close()
    (table,) = tmp_path.glob("*.ldb")
    raw = bytearray(table.read_bytes())
    raw[raw.index(sha256(SOME_KEYS[900]).digest()) + 40] ^= 1
    table.write_bytes(raw)
    kv = LevelKV(tmp_path, create=False)
    with pytest.raises(Corrupt, match="checksum"):
        READINGS[reading](kv)
    with pytest.raises(StorageFailure, match="refusing to write"):
        kv.write([(b"a", b"b")], sync=False)
    kv.close()


def test_a_damaged_manifest_keeps_the_store_shut(tmp_path: Path) -> None:
    directory = filled(tmp_path)
    (manifest,) = directory.glob("MANIFEST-*")
    flip(manifest, 0.3)
    with pytest.raises(Corrupt):
        Store.open(tmp_path, network=NETWORK)


def test_a_damaged_log_is_not_skipped_in_silence(tmp_path: Path) -> None:
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        extend(store, Chain(), 3)
    (log,) = (tmp_path / "kv").glob("*.log")
    flip(log, 0.3)
    with pytest.raises(Corrupt):
        Store.open(tmp_path, network=NETWORK)


def test_a_half_written_last_log_record_is_no_damage(tmp_path: Path) -> None:
    chain = Chain()
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        extend(store, chain, 2)
        body, third = chain.next()
        store.save([], bodies=[(third.digest, body)], sync=True)
        store.commit(third)
    (log,) = (tmp_path / "kv").glob("*.log")
    log.write_bytes(log.read_bytes()[:-100])
    with Store.open(tmp_path, network=NETWORK) as store:
        applied = store.applied()
        assert applied is not None
        assert applied.height == 2
        assert store.body(third.digest) == body
        store.commit(third)


def test_every_error_has_a_code_of_its_own() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, StorageError)
    ]
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(kinds) == 10
    tree = errors.__doc__ or ""
    assert all(kind.__name__ in tree for kind in kinds)
    assert all(code == code.lower() and " " not in code for code in codes)
