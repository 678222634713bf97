"""History of state: rows come and go with their block, whole or not at all."""

from dataclasses import replace
from pathlib import Path

import pytest

from storage import keys, pagelog
from storage.errors import Corrupt, StorageFailure
from storage.fault import Plan, Step, open_faulty
from storage.history import PRUNED_PER_BLOCK, History, Replaced
from storage.store import Store
from tests.storage.chain import NETWORK, Chain, lost, page_of

LETTERS = (keys.STATE_WAS, keys.PAGES_WERE, keys.WAS_AT)


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block stores its pages, so that each replaces one."""
    monkeypatch.setattr(pagelog, "PAGES_MAX", 1)


def commit(store: Store, chain: Chain, blocks: int | None) -> int:
    """Apply a block that replaces one value and one page; ``blocks`` None: history is off."""
    body, made = chain.next()
    before = b"%d" % (made.height - 1)
    replaced = None
    if blocks is not None:
        replaced = Replaced(state=[(b"height", before)], pages_lost=lost, blocks=blocks)
    store.save([], bodies=[(made.digest, body)], sync=True)
    store.commit(replace(made, replaced=replaced))
    return made.height


def of_page(height: int) -> bytes:
    return lost([(page_of(b"of %d" % height), None)])[0]


def rows(store: Store) -> list[bytes]:
    return [key for key, _ in store.scan_all() if key[:1] in LETTERS]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.in_memory(NETWORK, tmp_path)


def test_the_first_change_above_a_height_says_what_was_there(store: Store) -> None:
    chain = Chain()
    for _ in range(6):
        commit(store, chain, 100)
    for height in range(1, 6):
        assert store.state_after(b"height", height) == b"%d" % height
        assert next(store.pages_after(b"page", height)) == of_page(height)
    assert store.state_after(b"height", 6) is None
    assert list(store.pages_after(b"page", 3)) == [of_page(at) for at in (3, 4, 5)]
    assert store.history() == History(2, 1, 6)


def test_no_key_reads_the_rows_of_another_that_begins_like_it(store: Store) -> None:
    chain = Chain()
    commit(store, chain, 9)
    body, made = chain.next()
    store.save([], bodies=[(made.digest, body)], sync=True)
    names = [b"a", b"a" + bytes(8), b"a" + b"\xff" * 8, b"a" + keys.be64(2), b""]
    state = [(name, b"of " + name) for name in names]
    names = [b"\x00", b"\x01\x00", b"\x01\x10", b"\x02\x00", b"\x03\x00\x00"]
    pages = [(name, page_of(name)) for name in names]
    replaced = Replaced(state=state, pages_lost=lost, blocks=9)
    changes = {"pages": [(key, None) for key, _ in pages], "pages_were": dict(pages)}
    store.commit(replace(made, replaced=replaced, page_patches=b"", **changes))
    for name, before in state:
        assert store.state_after(name, 1) == before
        assert store.state_after(name, 2) is None
    for name, before in pages:
        assert list(store.pages_after(name, 1)) == lost([(before, None)])
    assert store.state_after(b"b", 1) is None


def test_what_lies_further_back_than_asked_for_is_dropped(store: Store) -> None:
    chain = Chain()
    for _ in range(9):
        commit(store, chain, 3)
    history = store.history()
    assert history == History(7, 6, 9)
    assert rows(store) == sorted(
        key
        for height in (7, 8, 9)
        for key in (
            keys.state_was(b"height") + keys.be64(height),
            keys.pages_were(height) + b"page",
            keys.was_at(height),
        )
    )


def test_a_shorter_history_is_reached_a_few_blocks_at_a_time(store: Store) -> None:
    chain = Chain()
    for _ in range(12):
        commit(store, chain, 100)
    before = len(rows(store))
    commit(store, chain, 1)
    assert store.history() == History(2 + PRUNED_PER_BLOCK, 12, 13)
    assert len(rows(store)) == before + 3 - 3 * PRUNED_PER_BLOCK
    for _ in range(12):
        commit(store, chain, 1)
    assert store.history() == History(25, 24, 25)
    assert len(rows(store)) == 3


def test_blocks_without_history_end_it_and_sweep_up(store: Store) -> None:
    chain = Chain()
    for _ in range(5):
        commit(store, chain, 100)
    commit(store, chain, None)
    assert store.history() == History(2 + PRUNED_PER_BLOCK, 1, 5)  # no longer up to the tip
    commit(store, chain, 100)
    assert store.history() == History(2 + 2 * PRUNED_PER_BLOCK, 6, 7)
    assert store.state_after(b"height", 6) == b"6"
    for _ in range(4):
        commit(store, chain, None)
    assert store.history() is None
    assert rows(store) == []


def test_a_directory_that_never_kept_history_is_left_alone(store: Store) -> None:
    chain = Chain()
    for _ in range(3):
        commit(store, chain, None)
    assert store.history() is None
    assert rows(store) == []
    commit(store, chain, 100)
    assert store.history() == History(4, 3, 4)


@pytest.mark.parametrize("step", ["batch_write", "batch_sync"])
@pytest.mark.parametrize("persisted", [False, True])
def test_history_moves_with_its_block_or_not_at_all(
    tmp_path: Path, step: Step, persisted: bool
) -> None:
    chain = Chain()
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        for _ in range(4):
            commit(store, chain, 2)
        before, bounds = rows(store), store.history()
    faulty = open_faulty(tmp_path, Plan(step, persisted, countdown=2), network=NETWORK)
    with pytest.raises(StorageFailure):
        commit(faulty, chain, 2)
    faulty.close()
    with Store.open(tmp_path, network=NETWORK) as again:
        applied = again.applied()
        assert applied is not None
        assert applied.height == (5 if persisted else 4)
        assert (rows(again) == before) == (not persisted)
        assert (again.history() == bounds) == (not persisted)
        history = again.history()
        assert history is not None
        assert history.last == applied.height
        assert again.state_after(b"height", history.floor) == b"%d" % history.floor


def test_damaged_bounds_are_no_bounds(tmp_path: Path) -> None:
    store = Store.in_memory(NETWORK, tmp_path)
    for raw in (b"", bytes(24), History(1, 5, 4).encode(), History(1, 1, 2).encode() + b"\0"):
        store._kv.write([(keys.HISTORY, raw)], sync=True)
        with pytest.raises(Corrupt):
            store.history()


def test_a_damaged_list_of_rows_stops_the_node_and_drops_nothing_else(tmp_path: Path) -> None:
    store, chain = Store.in_memory(NETWORK, tmp_path), Chain()
    for _ in range(4):
        commit(store, chain, 2)
    store._kv.write([(keys.was_at(3), b"\x00\x09short")], sync=True)
    before = list(store.scan_all())
    with pytest.raises(Corrupt):
        commit(store, chain, 2)
    assert [row for row in store.scan_all() if row[0][:1] in LETTERS] == [
        row for row in before if row[0][:1] in LETTERS
    ]
