"""Failure tables: each durable step fails once, with and without taking effect.

For every row: the call raises, the store refuses everything afterwards, and what the next
process finds is either all of the step or nothing of it, in a directory that checks clean.
"""

from pathlib import Path

import pytest

from consensus.types import Put
from storage.check import check
from storage.errors import StorageFailure
from storage.fault import STEPS, FaultyKV, Plan, Step, open_faulty
from storage.kv import MemoryKV
from storage.store import Store
from tests.storage.chain import NETWORK, Chain, extend


def prepared(data_dir: Path) -> tuple[Chain, bytes]:
    """Create a store with one block and one vote; return its chain and the digest applied."""
    chain = Chain()
    with Store.open(data_dir, network=NETWORK, create=True) as store:
        (commit,) = extend(store, chain, 1)
        store.save([Put(b"vote", b"old")], sync=True)
    return chain, commit.digest


SAVE_TABLE: list[tuple[Step, bool, bool]] = [
    # step, persisted, and whether the next process sees what was saved
    ("segment_append", False, False),  # half a record: cut at start
    ("segment_append", True, False),  # a whole record nobody points to: cut at start
    ("segment_sync", False, False),
    ("segment_sync", True, False),
    ("batch_write", False, False),
    ("batch_write", True, True),  # as a time-out after the write landed
    ("batch_sync", False, False),
    ("batch_sync", True, True),
]


def test_the_table_has_every_step_both_ways() -> None:
    assert {row[:2] for row in SAVE_TABLE} == {(s, p) for s in STEPS for p in (False, True)}


@pytest.mark.parametrize(("step", "persisted", "survives"), SAVE_TABLE)
def test_a_save_is_whole_or_absent_after_failure_of(
    tmp_path: Path, step: Step, persisted: bool, survives: bool
) -> None:
    chain, _ = prepared(tmp_path)
    body, commit = chain.next()
    store = open_faulty(tmp_path, Plan(step, persisted), network=NETWORK)
    with pytest.raises(StorageFailure, match=step) as planned:
        store.save([Put(b"vote", b"new")], bodies=[(commit.digest, body)], sync=True)
    assert store.failure is planned.value
    for attempt in (
        lambda: store.save([Put(b"vote", b"retry")], sync=True),
        lambda: store.save([], bodies=[(commit.digest, body)], sync=False),
        lambda: store.commit(commit),
        lambda: store.forget_bodies([commit.digest]),
        lambda: store.meta_put(b"x", b"y"),
        lambda: store.save_checkpoint(1, b"o\n4\nroot\n"),
    ):
        with pytest.raises(StorageFailure, match="refusing to write"):
            attempt()
    store.close()

    with Store.open(tmp_path, network=NETWORK) as again:
        assert list(again.consensus_pairs()) == [(b"vote", b"new" if survives else b"old")]
        assert again.body(commit.digest) == (body if survives else None)
        assert (again.torn_bytes > 0) == (not survives)
        assert check(again).clean
        again.save([], bodies=[(commit.digest, body)], sync=True)
        again.commit(commit)
        assert again.body(commit.digest) == body
        assert check(again).clean


@pytest.mark.parametrize("step", ["batch_write", "batch_sync"])
@pytest.mark.parametrize("persisted", [False, True])
def test_a_commit_is_whole_or_absent_after_failure_of(
    tmp_path: Path, step: Step, persisted: bool
) -> None:
    chain, before = prepared(tmp_path)
    body, commit = chain.next()
    # The body's own save reaches the step first; the commit is the second time.
    store = open_faulty(tmp_path, Plan(step, persisted, countdown=2), network=NETWORK)
    store.save([], bodies=[(commit.digest, body)], sync=True)
    with pytest.raises(StorageFailure, match=step):
        store.commit(commit)
    with pytest.raises(StorageFailure, match="refusing to write"):
        store.commit(commit)
    store.close()

    with Store.open(tmp_path, network=NETWORK) as again:
        applied = again.applied()
        assert applied is not None
        assert applied.digest == (commit.digest if persisted else before)
        assert again.state_get(b"height") == (b"2" if persisted else b"1")
        assert (again.block(2) is not None) == persisted
        assert (again.tx_row(commit.transactions[0][0]) is not None) == persisted
        assert again.body(commit.digest) == body
        assert check(again).clean
        again.commit(commit)  # what the daemon replays after its restart
        assert again.applied() == commit.applied()


def test_an_unsynced_batch_does_not_reach_the_sync_step() -> None:
    plan = Plan("batch_sync", persisted=False)
    kv = FaultyKV(MemoryKV(), plan)
    kv.write([(b"a", b"1")], sync=False)
    with pytest.raises(StorageFailure):
        kv.write([(b"a", b"2")], sync=True)
    assert kv.get(b"a") == b"1"
    kv.write([(b"a", b"3")], sync=True)  # a plan fails once
    assert kv.get(b"a") == b"3"


def test_a_body_is_durable_before_the_batch_that_points_to_it(tmp_path: Path) -> None:
    """Even an unsynced save syncs the segment first: its failure leaves no pointer."""
    chain, _ = prepared(tmp_path)
    body, commit = chain.next()
    store = open_faulty(tmp_path, Plan("segment_sync", persisted=False), network=NETWORK)
    with pytest.raises(StorageFailure, match="segment_sync"):
        store.save([Put(b"k", b"v")], bodies=[(commit.digest, body)], sync=False)
    assert not store.has_body(commit.digest)
    assert dict(store.consensus_pairs()) == {b"vote": b"old"}
    store.close()


def test_the_segment_directory_vanishing_is_a_failure_not_a_crash(tmp_path: Path) -> None:
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        (tmp_path / "segments").rmdir()
        with pytest.raises(StorageFailure, match="appending"):
            store.save([], bodies=[(b"d" * 32, b"body")], sync=True)
        with pytest.raises(StorageFailure, match="refusing"):
            store.save([], sync=True)
