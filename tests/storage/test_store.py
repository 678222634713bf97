"""The store: saving, committing, reading back, on LevelDB and in memory."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from consensus.types import Delete, DeleteRange, Put
from storage import keys
from storage.errors import Corrupt, StorageFailure
from storage.store import Store
from tests.storage.chain import NETWORK, Chain, change, extend, page_of


@pytest.fixture(params=["memory", "leveldb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = (
        Store.in_memory(NETWORK, tmp_path)
        if request.param == "memory"
        else Store.open(tmp_path / "data", network=NETWORK, create=True)
    )
    with opened:
        yield opened


def test_records_take_effect_in_order_and_come_back_in_key_order(store: Store) -> None:
    store.save([Put(b"r/2", b"two"), Put(b"r/1", b"one"), Put(b"v", b"vote")], sync=True)
    store.save([Delete(b"r/2"), Put(b"r/3", b"three")], sync=False)
    assert list(store.consensus_pairs()) == [
        (b"r/1", b"one"),
        (b"r/3", b"three"),
        (b"v", b"vote"),
    ]


def test_a_range_delete_takes_stored_and_just_put_keys_and_spares_later_puts(
    store: Store,
) -> None:
    store.save([Put(b"log/%d" % n, b"old") for n in range(5)], sync=True)
    store.save(
        [
            Put(b"log/7", b"same batch"),
            DeleteRange(b"log/2", b"log/9"),
            Put(b"log/3", b"new"),
        ],
        sync=True,
    )
    assert list(store.consensus_pairs()) == [
        (b"log/0", b"old"),
        (b"log/1", b"old"),
        (b"log/3", b"new"),
    ]


def test_engine_keys_do_not_touch_anything_else(store: Store) -> None:
    extend(store, Chain(), 2)
    store.save([Put(b"", b"empty key"), Put(b"\xff" * 9, b"high key")], sync=True)
    store.save([DeleteRange(b"", b"\xff" * 10)], sync=True)
    assert list(store.consensus_pairs()) == []
    assert store.block(2) is not None


def test_bodies_are_stored_once_under_their_digest(store: Store) -> None:
    digest = sha256(b"x").digest()
    assert store.body(digest) is None
    assert not store.has_body(digest)
    store.save([], bodies=[(digest, b"body"), (digest, b"body")], sync=True)
    size = store.sizes()["segment_bytes"]
    store.save([Put(b"k", b"v")], bodies=[(digest, b"body")], sync=True)
    assert store.body(digest) == b"body"
    assert store.sizes()["segment_bytes"] == size == 12 + 32 + 4


def test_forgetting_drops_waiting_bodies_and_spares_applied_ones(store: Store) -> None:
    (applied,) = extend(store, Chain(), 1)
    waiting = sha256(b"waiting").digest()
    store.save([], bodies=[(waiting, b"body")], sync=True)
    absent = sha256(b"absent").digest()
    assert store.forget_bodies([waiting, waiting, applied.digest, absent]) == 1
    assert store.body(waiting) is None
    assert store.body(applied.digest) is not None
    store.save([], bodies=[(waiting, b"body")], sync=True)
    assert store.body(waiting) == b"body"


def test_a_body_under_another_blocks_key_is_corruption(store: Store) -> None:
    ours, theirs = sha256(b"ours").digest(), sha256(b"theirs").digest()
    store.save([], bodies=[(ours, b"body")], sync=True)
    pointer = store._kv.get(b"b" + ours)
    store._kv.write([(b"b" + theirs, pointer)], sync=True)
    with pytest.raises(Corrupt, match="under the key of"):
        store.body(theirs)


def test_a_new_store_stands_nowhere(store: Store) -> None:
    assert store.applied() is None
    assert store.block(1) is None
    assert store.latest_checkpoint() is None
    assert list(store.iter_blocks(0, 9)) == []
    assert store.sizes()["height"] == store.sizes()["log_size"] == 0


def test_a_commit_shows_everywhere_at_once(store: Store) -> None:
    chain = Chain()
    body, commit = chain.next()
    store.save([], bodies=[(commit.digest, body)], sync=True)
    store.commit(commit)
    assert store.applied() == commit.applied()
    assert store.applied().seal_digest == sha256(commit.seal).digest()  # type: ignore[union-attr]
    assert store.block(1) == commit.row()
    assert commit.row().log_size == commit.log_size == 4
    assert store.height_of(commit.digest) == 1
    assert store.seal(1) == commit.seal
    assert store.certificate(1) == b"certificate 1"
    assert store.tile(0, 0) == b"".join(chain.leaves)
    assert store.state_get(b"height") == b"1"
    assert store.page(b"page") == page_of(b"of 1")
    assert store.page(b"none") is None
    txids = [txid for txid, _ in commit.transactions]
    assert store.tx_rows([*txids, b"?"]) == [b"row of 1"] * 3 + [None]
    assert store.tx_row(txids[0]) == b"row of 1"
    assert store.index_get(b"by-height/00000001") == commit.digest
    sizes = store.sizes()
    assert (sizes["height"], sizes["log_size"], sizes["segments"]) == (1, 4, 1)
    assert sizes["kv_bytes"] > 0


def test_later_commits_overwrite_and_delete_state(store: Store) -> None:
    chain = Chain()
    extend(store, chain, 1)
    body, commit = chain.next()
    store.save([], bodies=[(commit.digest, body)], sync=True)
    store.commit(
        replace(
            commit,
            state=[(b"at/1", None), (b"at/2", b"y")],
            **change(b"page", b"of 1", None),
            index=[(keys.INDEX + b"by-height/00000001", None)],
        )
    )
    assert list(store.state_scan(b"at/")) == [(b"at/2", b"y")]
    assert store.state_get_many([b"at/1", b"height"]) == [None, b"1"]
    assert list(store.iter_state()) == [(b"at/2", b"y"), (b"height", b"1")]
    assert list(store.iter_pages()) == []
    assert store.index_get(b"by-height/00000001") is None


def test_the_same_block_again_is_left_alone(store: Store) -> None:
    first, second = extend(store, Chain(), 2)
    store.commit(replace(first, state=[(b"height", b"rolled back")]))
    store.commit(second)
    assert store.applied() == second.applied()
    assert store.state_get(b"height") == b"2"


def test_what_does_not_continue_the_ledger_is_refused(store: Store) -> None:
    chain = Chain()
    _, second = extend(store, chain, 2)
    body, third = chain.next()
    with pytest.raises(AssertionError, match="body of block 3 is not stored"):
        store.commit(third)
    store.save([], bodies=[(third.digest, body)], sync=True)
    for wrong, message in [
        (replace(second, digest=third.digest), "block 2 is"),
        (replace(third, height=4), "block 4 after 2"),
        (replace(third, first_index=9, log_size=13), "leaves from 9, log has 8"),
    ]:
        with pytest.raises(AssertionError, match=message):
            store.commit(wrong)
    assert store.applied() == second.applied()
    store.commit(third)
    assert store.applied() == third.applied()


@pytest.mark.parametrize(
    "change",
    [{"results": b"\0"}, {"log_size": 5}, {"height": 0}, {"txids": b"?"}, {"digest": b"?"}],
    ids=str,
)
def test_a_commit_that_contradicts_itself_cannot_be_made(change: dict[str, object]) -> None:
    _, commit = Chain().next()
    with pytest.raises(AssertionError):
        replace(commit, **change)  # type: ignore[arg-type]


def test_blocks_are_walked_with_all_their_parts(store: Store) -> None:
    commits = extend(store, Chain(), 4)
    blocks = list(store.iter_blocks(2, 4))
    assert [block.row for block in blocks] == [commit.row() for commit in commits[1:3]]
    assert [block.body for block in blocks] == [store.body(c.digest) for c in commits[1:3]]
    assert [(b.seal, b.certificate) for b in blocks] == [
        (commit.seal, commit.certificate) for commit in commits[1:3]
    ]
    assert len(list(store.iter_blocks(1, 100))) == 4
    store._kv.write([(b"e" + (3).to_bytes(8, "big"), None)], sync=True)
    with pytest.raises(Corrupt, match="block 3"):
        list(store.iter_blocks(1, 5))


def test_indexes_are_scanned_both_ways(store: Store) -> None:
    commits = extend(store, Chain(), 4)
    lo, hi = b"by-height/00000001", b"by-height/00000004"
    digests = [commit.digest for commit in commits]
    assert [value for _, value in store.index_scan(lo, hi)] == digests[:3]
    assert list(store.index_scan(lo, hi, reverse=True, limit=1)) == [
        (b"by-height/00000003", digests[2])
    ]


def checkpoint(size: int) -> bytes:
    return b"chartseal/demo/0011223344556677\n%d\nAAAA\n\n- sig\n" % size


def test_the_newest_checkpoint_is_found_and_only_if_it_covers(store: Store) -> None:
    for height, size in [(9, 90), (300, 3000), (10, 100)]:
        store.save_checkpoint(height, checkpoint(size), sync=True)
    assert store.checkpoint(10) == checkpoint(100)
    assert store.checkpoint(11) is None
    assert store.latest_checkpoint() == (300, checkpoint(3000))
    assert store.latest_checkpoint(covering=2999) == (300, checkpoint(3000))
    assert store.latest_checkpoint(covering=3000) is None


@pytest.mark.parametrize("text", [b"", b"origin\nsize\nroot\n", b"origin\n7"])
def test_a_checkpoint_without_a_size_is_the_callers_fault(store: Store, text: bytes) -> None:
    with pytest.raises(AssertionError, match="checkpoint text"):
        store.save_checkpoint(1, text)


def test_local_facts_are_kept_and_forgotten(store: Store) -> None:
    store.meta_put(b"backup.last", b"7")
    assert store.meta_get(b"backup.last") == b"7"
    store.meta_put(b"backup.last", None)
    assert store.meta_get(b"backup.last") is None


def test_a_snapshot_does_not_see_later_commits(store: Store) -> None:
    chain = Chain()
    (first,) = extend(store, chain, 1)
    with store.snapshot() as snapshot:
        extend(store, chain, 1)
        assert snapshot.applied() == first.applied()
        assert snapshot.state_get(b"height") == b"1"
        assert len(list(snapshot.iter_blocks(1, 9))) == 1
    assert store.state_get(b"height") == b"2"


def test_a_damaged_body_is_told_and_does_not_end_writing(tmp_path: Path) -> None:
    """Its digest stands elsewhere and others have the same bytes: it can be mended."""
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        (commit,) = extend(store, Chain(), 1)
        path = tmp_path / "segments" / "00000001.seg"
        raw = bytearray(path.read_bytes())
        raw[60] ^= 1
        path.write_bytes(raw)
        with pytest.raises(Corrupt):
            store.body(commit.digest)
        assert store.failure is None
        store.save([Put(b"k", b"v")], sync=True)
        assert store.applied() == commit.applied()


def test_after_levels_own_damage_was_read_nothing_more_is_written(tmp_path: Path) -> None:
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        extend(store, Chain(), 60)
    with Store.open(tmp_path, network=NETWORK):
        pass  # the start moves the log's rows into a table
    (table,) = (tmp_path / "kv").glob("*.ldb")
    raw = bytearray(table.read_bytes())
    raw[raw.index(b"row of 30")] ^= 1  # of a transaction, which no start reads
    table.write_bytes(raw)
    with Store.open(tmp_path, network=NETWORK) as store:
        with pytest.raises(Corrupt):
            list(store.scan_all())
        assert isinstance(store.failure, Corrupt)
        with pytest.raises(StorageFailure, match="refusing to write") as refusal:
            store.save([Put(b"k", b"v")], sync=True)
        assert refusal.value.__cause__ is store.failure


def test_every_wait_for_the_disk_is_counted(store: Store) -> None:
    before = store.syncs()
    store.save([Put(b"a", b"1")], sync=False)
    assert store.syncs() == before
    store.save([Put(b"a", b"2")], sync=True)
    store.save([], bodies=[(sha256(b"x").digest(), b"body")], sync=False)
    after = store.syncs()
    assert after["kv"] == before["kv"] + 1
    assert after["segments"] == before["segments"] + 1, "a body is durable before its pointer"
    extend(store, Chain(), 1)
    assert store.syncs()["kv"] > after["kv"]
