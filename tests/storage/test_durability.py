"""Which bytes are synced before which, and what a disk that says no leads to.

The disk here is the real one, told to refuse by the kernel (file size limit) or by a system
call that fails once; nothing of ours is replaced.
"""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from consensus.types import Put
from storage.check import check
from storage.errors import StorageFailure
from storage.level import LevelKV
from storage.segments import Segments
from storage.store import Store
from tests.storage.chain import NETWORK, Chain, extend


class Journal:
    """Records the syncs and batches of a store in the order they happened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        fdatasync, fsync = os.fdatasync, os.fsync

        def data(fd: int) -> None:
            self.steps.append("file")
            fdatasync(fd)

        def names(fd: int) -> None:
            self.steps.append("directory")
            fsync(fd)

        monkeypatch.setattr(os, "fdatasync", data)
        monkeypatch.setattr(os, "fsync", names)

    def watch(self, kv: LevelKV) -> None:
        kv._source = _Database(kv._source, self.steps)

    def take(self) -> list[str]:
        steps, self.steps[:] = list(self.steps), []
        return steps


class _Database:
    """The plyvel database, with every batch written down first."""

    def __init__(self, inner: Any, steps: list[str]) -> None:
        self._inner = inner
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write_batch(self, *, sync: bool) -> Any:
        self._steps.append("synced batch" if sync else "batch")
        return self._inner.write_batch(sync=sync)


def test_bytes_then_names_then_pointers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(monkeypatch)
    (tmp_path / "segments").mkdir()
    kv = LevelKV(tmp_path / "kv", create=True)
    journal.watch(kv)
    segments = Segments(tmp_path / "segments", segment_bytes_max=150)
    store = Store(kv, segments, network=NETWORK, create=True)
    assert journal.take() == ["synced batch"]  # the schema
    store.save([Put(b"k", b"v")], sync=True)
    assert journal.take() == ["synced batch"]
    store.save([Put(b"k", b"v")], sync=False)
    assert journal.take() == ["batch"]
    store.save([], bodies=[(b"1" * 32, b"body")], sync=False)
    assert journal.take() == ["file", "directory", "batch"]
    store.save([], bodies=[(b"2" * 32, b"body"), (b"3" * 32, b"body")], sync=True)
    assert journal.take() == ["file", "synced batch"]
    store.save([], bodies=[(b"4" * 32, b"body")], sync=True)  # begins the second file
    assert journal.take() == ["file", "directory", "synced batch"]
    store.save([], bodies=[(b"4" * 32, b"body")], sync=True)  # stored already
    assert journal.take() == ["synced batch"]
    store.save([], sync=True)  # covers earlier unsynced saves
    assert journal.take() == ["synced batch"]
    store.save([], sync=False)
    assert journal.take() == []
    chain = Chain()
    body, commit = chain.next()
    store.save([], bodies=[(commit.digest, body[:80])], sync=True)
    journal.take()
    store.commit(commit)
    assert journal.take() == ["synced batch"]
    store.commit(commit)
    assert journal.take() == []
    store.close()


def test_a_file_is_synced_before_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(monkeypatch)
    segments = Segments(tmp_path, segment_bytes_max=100)
    segments.recover(None)
    segments.append(b"x" * 80)
    assert journal.take() == []
    segments.append(b"x" * 80)
    assert journal.take() == ["file"]
    segments.sync()
    assert journal.take() == ["file", "directory"]
    segments.sync()
    assert journal.take() == []
    segments.close()


def test_cutting_a_torn_tail_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = Segments(tmp_path, segment_bytes_max=100)
    segments.recover(None)
    tail = segments.append(b"kept")
    segments.append(b"torn")
    segments.append(b"x" * 80)
    segments.close()
    journal = Journal(monkeypatch)
    again = Segments(tmp_path, segment_bytes_max=100)
    again.recover(tail)
    assert journal.take() == ["file", "directory"]
    again.close()


def test_creating_a_directory_makes_its_names_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(monkeypatch)
    Store.open(tmp_path / "data", network=NETWORK, create=True).close()
    assert journal.take() == ["directory", "directory"]


def test_the_first_failed_sync_is_final_even_if_the_next_would_succeed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path, network=NETWORK, create=True)
    extend(store, Chain(), 1)
    failing = iter([True])
    fdatasync = os.fdatasync

    def once(fd: int) -> None:
        if next(failing, False):
            raise OSError(errno.EIO, "Input/output error")
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", once)
    body = (b"d" * 32, b"body")
    with pytest.raises(StorageFailure, match=r"syncing segments .* Input/output error"):
        store.save([], bodies=[body], sync=True)
    with pytest.raises(StorageFailure, match="refusing to write"):
        store.save([], bodies=[body], sync=True)
    assert store.body(body[0]) is None
    store.close()
    with Store.open(tmp_path, network=NETWORK) as again:
        assert again.torn_bytes == 12 + 32 + 4
        again.save([], bodies=[body], sync=True)
        assert again.body(body[0]) == b"body"


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("target", ["segment", "leveldb"])
def test_a_disk_without_room_is_a_failure_and_costs_nothing_acknowledged(
    tmp_path: Path, target: str
) -> None:
    chain = Chain()
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        (commit,) = extend(store, chain, 1)
        store.save([Put(b"vote", b"old")], sync=True)
        big = bytes(range(256)) * 1024
        records, bodies = [Put(b"vote", b"new")], []
        if target == "segment":
            bodies.append((b"d" * 32, big))
        else:
            records.append(Put(b"big", big))
        with files_of_at_most(100_000), pytest.raises(StorageFailure, match="File too large"):
            store.save(records, bodies=bodies, sync=True)
        with pytest.raises(StorageFailure, match="refusing to write"):
            store.save([Put(b"vote", b"now there is room")], sync=True)
    with Store.open(tmp_path, network=NETWORK) as again:
        assert again.applied() == commit.applied()
        assert dict(again.consensus_pairs()) == {b"vote": b"old"}
        assert not again.has_body(b"d" * 32)
        assert check(again).clean
        extend(again, chain, 1)


def test_a_closed_store_writes_nothing(tmp_path: Path) -> None:
    store = Store.in_memory(NETWORK, tmp_path)
    store.close()
    store.close()
    with pytest.raises(AssertionError, match="closed"):
        store.save([], bodies=[(b"d" * 32, b"body")], sync=True)
    assert list(tmp_path.iterdir()) == []
