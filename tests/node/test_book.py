"""The book: one atomic step per block, the same roots after any failure, at any root rhythm."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.bodies import Body
from node.book import Book, Tip
from node.check import check_ledger
from node.ledger import block as blocks
from node.ledger import merkle, smt
from node.ledger.receipt import verify_receipt
from node.ledger.state import genesis_state, institution_key
from node.publish import policy_of
from node.queries import Queries
from storage.errors import StorageFailure
from storage.fault import Plan, Step, open_faulty
from storage.store import Store
from tests.support.ledger import Chain, amend, anchor, batch, genesis, retract

pytestmark = pytest.mark.usefixtures("each_backend")


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with Chain(tmp_path) as made:
        yield made


def root_of(pairs: dict[bytes, bytes]) -> bytes:
    root, _ = smt.StateTree(lambda _: None).update(dict(pairs))
    return root


def test_before_the_first_block_state_is_genesis(chain: Chain) -> None:
    tip = chain.book.tip
    assert (tip.height, tip.digest, tip.seal_digest) == (0, chain.network, chain.network)
    assert (tip.log_size, tip.log_root) == (0, merkle.EMPTY_ROOT)
    state = genesis_state(chain.genesis)
    assert all(chain.book.read(key) == value for key, value in state.items())
    assert chain.book.read(institution_key("nobody")) is None
    assert chain.book.applied().height == 0


def test_the_first_block_writes_the_genesis_state_under_its_root(chain: Chain) -> None:
    chain.commit(chain.tx(anchor("a")))
    pairs = dict(chain.store.iter_state())
    assert genesis_state(chain.genesis).items() <= pairs.items()
    assert chain.book.tip.state_root == root_of(pairs)
    assert chain.book.tip.state_height == 1


def test_log_seal_and_roots_chain_from_block_to_block(chain: Chain) -> None:
    leaves: list[bytes] = []
    parent_seal = chain.network
    for count in (2, 1, 3):
        first = len(leaves)
        transactions = [chain.tx() for _ in range(count)]
        done = chain.commit(*transactions)
        data = chain.store.seal(done.tip.height)
        assert data is not None
        leaves += [*(item.txid for item in transactions), merkle.leaf_hash(data)]
        seal = blocks.decode_seal(data)
        assert (seal.first_index, seal.count) == (first, count)
        assert seal.parent_seal == parent_seal
        assert seal.body_digest == done.tip.digest
        assert seal.results_root == blocks.results_root(done.codes)
        assert seal.state_root == done.tip.state_root
        parent_seal = blocks.seal_digest(data)
        assert done.tip.seal_digest == parent_seal
        assert (done.tip.log_size, done.tip.log_root) == (len(leaves), merkle.root(leaves))


def test_committed_counts_what_the_block_anchored(chain: Chain) -> None:
    done = chain.commit(
        chain.tx(anchor("a")), chain.tx(batch(["b", "c"])), chain.tx(anchor("a"))
    )
    assert (done.items, len(done.txids)) == (3, 3)
    assert done.codes[:2] == (0, 0)
    assert done.codes[2] != 0


@pytest.mark.parametrize("wrong", ["again", "gap", "parent"])
def test_only_the_next_block_is_applied(chain: Chain, wrong: str) -> None:
    first = chain.body(chain.tx())
    chain.apply(first)
    good = chain.body(chain.tx())
    body = {
        "again": first,
        "gap": Body(replace(good.header, height=3), good.transactions, good.raw),
        "parent": Body(replace(good.header, parent=bytes(32)), good.transactions, good.raw),
    }[wrong]
    tip = chain.book.tip
    with pytest.raises(AssertionError, match="block"):
        chain.apply(body)
    assert chain.book.tip == tip


def test_a_restart_finds_the_same_tip_and_goes_on(tmp_path: Path) -> None:
    with Chain(tmp_path / "whole") as whole, Chain(tmp_path / "cut") as cut:
        bodies = []
        for _ in range(3):
            bodies.append(whole.body(whole.tx(), whole.tx()))
            whole.apply(bodies[-1])
        cut.apply(bodies[0])
        cut.apply(bodies[1])
        tip = cut.book.tip
        cut.book = Book(cut.store, cut.genesis)
        assert cut.book.tip == tip
        cut.apply(bodies[2])
        assert cut.book.tip == whole.book.tip


# --- state roots every few blocks -----------------------------------------------------------


@pytest.mark.parametrize("restart", [False, True])
def test_a_root_every_three_blocks_is_right_at_its_heights(
    tmp_path: Path, restart: bool
) -> None:
    founded = genesis(state_root_every=3)
    ops = [
        anchor("a"),
        amend("a", "b"),
        retract("b"),
        anchor("c"),
        batch(["x", "y"]),
        amend("c", "d"),
        anchor("e"),
    ]
    with Chain(tmp_path, founded) as chain:
        expected = (bytes(32), 0)
        for height, op in enumerate(ops, start=1):
            if restart:
                chain.book = Book(chain.store, founded)
            chain.commit(chain.tx(op))
            if height % 3 == 0:
                expected = (root_of(dict(chain.store.iter_state())), height)
            tip = chain.book.tip
            assert (tip.state_root, tip.state_height) == expected
            data = chain.store.seal(height)
            assert data is not None
            seal = blocks.decode_seal(data)
            assert (seal.state_root, seal.state_height) == expected
            dirty = list(chain.store.index_scan(b"dirty/", b"dirty0"))
            assert bool(dirty) == bool(height % 3)
    assert check_ledger(tmp_path, founded).findings == ()


# --- the failure table ----------------------------------------------------------------------

TABLE: list[tuple[Step, int, bool, bool]] = [
    # step, which call of it, did the bytes land, and whether the next process is at block 2
    ("segment_append", 1, False, False),
    ("segment_append", 1, True, False),
    ("segment_sync", 1, False, False),
    ("segment_sync", 1, True, False),
    ("batch_write", 1, False, False),  # the body's own save
    ("batch_write", 1, True, False),
    ("batch_sync", 1, False, False),
    ("batch_sync", 1, True, False),
    ("batch_write", 2, False, False),  # the block
    ("batch_write", 2, True, True),  # as a time-out after the write landed
    ("batch_sync", 2, False, False),
    ("batch_sync", 2, True, True),
]


@pytest.mark.parametrize(("step", "call", "persisted", "progress"), TABLE)
def test_a_block_is_whole_or_absent_after_failure_of(
    tmp_path: Path, step: Step, call: int, persisted: bool, progress: bool
) -> None:
    founded, data = genesis(), tmp_path / "data"
    with Chain(data, founded) as chain, Chain(tmp_path / "sound", founded) as sound:
        first = chain.body(chain.tx(anchor("a")))
        chain.apply(first)
        old = chain.book.tip
        second = chain.body(chain.tx(amend("a", "b")), chain.tx(batch(["c", "d"])))
        sound.apply(first)
        new = sound.apply(second).tip

    faulty = open_faulty(data, Plan(step, persisted, countdown=call), network=founded.network)
    with Chain(data, founded, store=faulty) as chain:
        with pytest.raises(StorageFailure, match=step):
            chain.apply(second)
        assert chain.book.tip == old  # nothing was promised
        with pytest.raises(StorageFailure, match="refusing"):
            chain.apply(second)

    assert check_ledger(data, founded).findings == ()
    with Chain(data, founded) as chain:
        reached: Tip = chain.book.tip
        assert reached == (new if progress else old)
        if not progress:
            chain.apply(second)
        assert chain.book.tip == new
        chain.commit()
    assert check_ledger(data, founded).findings == ()


@pytest.mark.parametrize("persisted", [False, True])
def test_publishing_may_fail_and_the_block_stands(tmp_path: Path, persisted: bool) -> None:
    """The last step of a commit: the certified checkpoint.  Losing it loses no block, and the
    members' cosignatures give it again after the restart."""
    founded, data = genesis(), tmp_path / "data"
    with Chain(data, founded) as chain:
        chain.commit()
    plan = Plan("batch_write", persisted, countdown=3)  # body, block, then the checkpoint
    faulty = open_faulty(data, plan, network=founded.network)
    with Chain(data, founded, store=faulty) as chain:
        tx = chain.tx(anchor("a"))
        chain.apply(chain.body(tx))
        new = chain.book.tip
        with pytest.raises(StorageFailure, match="batch_write"):
            chain.certify()
    with Chain(data, founded) as chain:
        assert chain.book.tip == new
        assert (chain.store.checkpoint(new.height) is not None) == persisted
        note = chain.certify()
        assert chain.store.latest_checkpoint() == (new.height, note)
        receipt = Queries(chain.store, chain.book).receipt(tx.txid)
        assert receipt is not None
        assert verify_receipt(receipt, policy_of(founded)).height == new.height
    assert check_ledger(data, founded).findings == ()


def test_the_book_is_no_wider_than_one_store(tmp_path: Path) -> None:
    """Two books over rows in memory and on disk agree: nothing hides in the process."""
    founded = genesis()
    memory = Store.in_memory(founded.network, tmp_path)
    with Chain(tmp_path / "disk", founded) as disk, Chain(tmp_path, store=memory) as other:
        for _ in range(3):
            body = disk.body(disk.tx())
            disk.apply(body)
            other.apply(body)
        assert list(other.store.iter_state()) == list(disk.store.iter_state())
        assert other.book.tip == disk.book.tip
