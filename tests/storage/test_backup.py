"""Backups of a store: what they hold and leave out, what a crash or a flipped bit does."""

import os
import random
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from consensus.types import Put
from storage import backup, manifest
from storage.backup import Made, Origin
from storage.check import check
from storage.fence import is_fenced, restored_from
from storage.manifest import BackupInvalid
from storage.restore import RestoreRefused, restore
from storage.store import Store
from tests.storage.chain import NETWORK, Chain, extend

KEY = b"k" * 32
SEGMENT_BYTES = 2048


def sign(message: bytes) -> bytes:
    return sha256(b"signed" + message).digest() * 2


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    return key == KEY and signature == sign(message)


def origin() -> Origin:
    documents = {"genesis.bin": b"genesis", "settings.json": b"{}"}
    return Origin(node="north", software="1", key=KEY, sign=sign, documents=documents)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(
        tmp_path / "data", network=NETWORK, create=True, segment_bytes_max=SEGMENT_BYTES
    ) as opened:
        yield opened


def back_up(store: Store, directory: Path, *, now_ms: int = 1000, link: bool = False) -> Made:
    made = backup.create(store, directory, origin(), network=NETWORK, now_ms=now_ms, link=link)
    assert damaged(directory, made) == []
    return made


def damaged(directory: Path, made: Made) -> list[backup.Damage]:
    return list(backup.damages(directory, made.manifest, progress=lambda *_: None))


def bring_back(directory: Path, made: Made, to: Path) -> None:
    restore(directory, manifest.read(made.path, verify=verify), to, now_ms=5)


def ledger_rows(store: Store) -> list[tuple[bytes, bytes]]:
    return [row for row in store.scan_all() if row[0][:1] in b"bdehiklmpqstvwyz"]


def test_a_restored_directory_has_every_ledger_row_and_body_and_is_fenced(
    store: Store, tmp_path: Path
) -> None:
    extend(store, Chain(), 30)
    store.save([Put(b"vote", b"for 31")], sync=True)
    store.meta_put(b"local/secret fact", b"sealed")
    store.save_links([(1, b"how era 1 began"), (2, b"how era 2 began")])
    assert len(store.segments.numbers()) > 2
    made = back_up(store, tmp_path / "backups")
    bring_back(tmp_path / "backups", made, tmp_path / "again")
    with Store.open(tmp_path / "again", network=NETWORK) as again:
        assert ledger_rows(again) == ledger_rows(store)
        assert (again.link(1), again.link(2)) == (b"how era 1 began", b"how era 2 began")
        assert [b.body for b in again.iter_blocks(1, 99)] == [
            b.body for b in store.iter_blocks(1, 99)
        ]
        assert check(again).clean
        assert list(again.consensus_pairs()) == []
        assert again.meta_get(b"local/secret fact") is None
        assert is_fenced(again)
        fact = restored_from(again)
        assert fact is not None
        assert (fact.source, fact.height, fact.restored_ms) == (made.manifest.name, 30, 5)
    assert not is_fenced(store)
    documents = tmp_path / "again" / "from-backup"
    assert (documents / "genesis.bin").read_bytes() == b"genesis"


def test_no_byte_of_consensus_records_or_local_rows_is_in_a_backup(
    store: Store, tmp_path: Path
) -> None:
    extend(store, Chain(), 3)
    store.save([Put(b"r/log/1", b"PROMISED-VOTE")], sync=True)
    store.meta_put(b"local/x", b"SEALED-LOCAL-VALUE")
    back_up(store, tmp_path / "backups")
    held = b"".join(p.read_bytes() for p in (tmp_path / "backups").rglob("*") if p.is_file())
    assert b"tx 3/1" in held
    assert b"PROMISED-VOTE" not in held
    assert b"SEALED-LOCAL-VALUE" not in held


def test_the_second_backup_writes_only_what_changed(store: Store, tmp_path: Path) -> None:
    chain, directory = Chain(), tmp_path / "backups"
    extend(store, chain, 60)
    first = back_up(store, directory)
    same = back_up(store, directory, now_ms=2000)
    assert same.written_bytes == 0
    assert same.manifest.files == first.manifest.files
    assert same.manifest.previous == sha256(first.path.read_bytes()).digest()
    sealed = {item.name: item.chunks for item in first.manifest.files if item.sealed}
    extend(store, chain, 1)
    third = back_up(store, directory, now_ms=3000)
    now = {item.name: item.chunks for item in third.manifest.files}
    assert all(now[name] == chunks for name, chunks in sealed.items())
    for made in (first, third):  # the older one is as good as ever
        bring_back(directory, made, tmp_path / made.manifest.name)
        with Store.open(tmp_path / made.manifest.name, network=NETWORK) as again:
            assert again.sizes()["height"] == made.manifest.height
            assert check(again).clean


def test_linked_segments_are_second_names_of_the_same_file(
    store: Store, tmp_path: Path
) -> None:
    extend(store, Chain(), 30)
    made = back_up(store, tmp_path / "backups", link=True)
    first = next(item for item in made.manifest.files if item.name == "segments/00000001.seg")
    (chunk,) = first.chunks
    place = tmp_path / "backups" / "chunks" / chunk.digest.hex()[:2] / chunk.digest.hex()
    assert place.samefile(store.segments.path(1))
    bring_back(tmp_path / "backups", made, tmp_path / "again")
    restored = tmp_path / "again" / "segments" / "00000001.seg"
    assert not restored.samefile(place)


def test_every_flipped_bit_in_every_file_is_found_and_named(
    store: Store, tmp_path: Path
) -> None:
    extend(store, Chain(), 20)
    directory = tmp_path / "backups"
    made = back_up(store, directory)
    rng = random.Random(7)
    files = [p for p in directory.rglob("*") if p.is_file() and p.name != "LOCK"]
    assert len(files) > 15
    for path in files:
        sound = path.read_bytes()
        for at in {0, len(sound) - 1, rng.randrange(len(sound))}:
            raw = bytearray(sound)
            raw[at] ^= 1 << rng.randrange(8)
            path.write_bytes(raw)
            if path.suffix == manifest.SUFFIX:
                with pytest.raises(BackupInvalid, match=path.name):
                    manifest.read(path, verify=verify)
            else:
                (found,) = damaged(directory, made)
                assert found.path == path
                assert found.belongs.partition(" ")[0] in {f.name for f in made.manifest.files}
        path.write_bytes(sound)
    assert damaged(directory, made) == []


@pytest.mark.parametrize("change", ["missing", "short", "renamed"])
def test_a_chunk_that_is_missing_or_short_and_a_renamed_manifest_are_found(
    store: Store, tmp_path: Path, change: str
) -> None:
    extend(store, Chain(), 3)
    directory = tmp_path / "backups"
    made = back_up(store, directory)
    if change == "renamed":
        other = made.path.with_name("20990101T000000Z-9.manifest")
        made.path.rename(other)
        with pytest.raises(BackupInvalid, match="it is the manifest of"):
            manifest.read(other, verify=verify)
        return
    (path,) = [p for p in directory.rglob("*") if p.is_file() and p.read_bytes() == b"genesis"]
    path.unlink() if change == "missing" else path.write_bytes(b"gen")
    (found,) = damaged(directory, made)
    assert found.belongs == "documents/genesis.bin from byte 0"
    with pytest.raises(BackupInvalid):
        bring_back(directory, made, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_an_attempt_that_died_before_its_manifest_leaves_the_backup_before_it_whole(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, chain = tmp_path / "backups", Chain()
    extend(store, chain, 10)
    first = back_up(store, directory)
    extend(store, chain, 10)
    real = os.fsync
    for survives in range(0, 40, 3):
        left = survives

        def dying(fd: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(5, "the power is gone")
            real(fd)

        monkeypatch.setattr(os, "fsync", dying)
        try:
            backup.create(store, directory, origin(), network=NETWORK, now_ms=9000)
        except OSError:
            pass
        else:
            break
        monkeypatch.setattr(os, "fsync", real)
        good, bad = backup.found(directory, verify=verify)
        assert ([item.manifest for item in good], bad) == ([first.manifest], [])
        assert damaged(directory, first) == []
    assert survives > 3
    monkeypatch.setattr(os, "fsync", real)
    second = back_up(store, directory, now_ms=10_000)
    bring_back(directory, second, tmp_path / "again")
    with Store.open(tmp_path / "again", network=NETWORK) as again:
        assert check(again).clean


def test_backups_beside_a_writer_are_each_of_one_moment(store: Store, tmp_path: Path) -> None:
    chain, directory = Chain(), tmp_path / "backups"
    extend(store, chain, 5)
    stop = threading.Event()

    def write_on() -> None:
        while not stop.is_set():
            extend(store, chain, 1)

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        made = [back_up(store, directory, now_ms=1000 * n) for n in range(1, 8)]
    finally:
        stop.set()
        writer.join()
    heights = [item.manifest.height for item in made]
    assert heights == sorted(heights)
    assert heights[0] < heights[-1] <= chain.height
    for item in made:
        bring_back(directory, item, tmp_path / item.manifest.name)
        with Store.open(tmp_path / item.manifest.name, network=NETWORK) as again:
            assert again.sizes()["height"] == item.manifest.height
            assert check(again).clean


def test_prune_keeps_the_newest_and_everything_they_need(store: Store, tmp_path: Path) -> None:
    directory, chain = tmp_path / "backups", Chain()
    made = []
    for at in range(4):
        extend(store, chain, 10)
        made.append(back_up(store, directory, now_ms=1000 * (at + 1)))
    (directory / "chunks" / "00").mkdir(exist_ok=True)
    (directory / "chunks" / "00" / f".{'0' * 64}.1").write_bytes(b"half a chunk")
    dry = backup.prune(directory, keep=2, verify=verify, dry=True)
    done = backup.prune(directory, keep=2, verify=verify)
    assert dry.names == done.names == tuple(item.manifest.name for item in made[:2])
    assert done.chunks > 0
    good, _ = backup.found(directory, verify=verify)
    assert [item.manifest for item in good] == [item.manifest for item in made[2:]]
    assert [damaged(directory, item) for item in made[2:]] == [[], []]
    named = {chunk for item in made[2:] for chunk in item.manifest.chunks()}
    assert len(list((directory / "chunks").glob("*/*"))) == len(named)
    assert backup.prune(directory, keep=2, verify=verify).names == ()


def test_prune_stops_at_a_manifest_that_it_cannot_read(store: Store, tmp_path: Path) -> None:
    directory = tmp_path / "backups"
    extend(store, Chain(), 3)
    first = back_up(store, directory)
    back_up(store, directory, now_ms=2000)
    first.path.write_bytes(b"?")
    before = sorted(directory.rglob("*"))
    with pytest.raises(BackupInvalid):
        backup.prune(directory, keep=1, verify=verify)
    assert sorted(directory.rglob("*")) == before


def test_a_restore_never_writes_over_a_directory_and_forgets_a_torn_attempt(
    store: Store, tmp_path: Path
) -> None:
    extend(store, Chain(), 3)
    made = back_up(store, tmp_path / "backups")
    with pytest.raises(RestoreRefused):
        bring_back(tmp_path / "backups", made, tmp_path / "data")
    torn = tmp_path / "again.restoring"
    torn.mkdir()
    (torn / "half").write_bytes(b"")
    (tmp_path / "again").mkdir()  # empty: a mount point, for instance
    bring_back(tmp_path / "backups", made, tmp_path / "again")
    assert not torn.exists()
    assert not (tmp_path / "again" / "half").exists()


def test_a_backup_that_brings_consensus_records_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extend(store, Chain(), 1)
    store.save([Put(b"vote", b"forged")], sync=True)
    monkeypatch.setattr(backup, "LETTERS", (*backup.LETTERS, b"c"))
    made = backup.create(store, tmp_path / "b", origin(), network=NETWORK, now_ms=1)
    with pytest.raises(BackupInvalid, match="rows that no backup holds"):
        bring_back(tmp_path / "b", made, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_backup_of_a_ledger_without_blocks_restores(store: Store, tmp_path: Path) -> None:
    made = back_up(store, tmp_path / "backups")
    assert made.manifest.height == 0
    bring_back(tmp_path / "backups", made, tmp_path / "again")
    with Store.open(tmp_path / "again", network=NETWORK) as again:
        assert again.applied() is None
        assert is_fenced(again)
