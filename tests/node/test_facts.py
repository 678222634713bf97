"""State as of older heights: always what was there then, with the proof that then held."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from node import config
from node.book import Book
from node.check import check_ledger
from node.facts import FactsAt, HeightUnavailable, StateAt, ValueAhead, base_at
from node.ledger.asking import NotProvable
from node.ledger.facts.records import record_key
from node.ledger.smt import verify_state
from node.ledger.state import PARAMETERS_KEY
from node.ledger.transaction import Op
from node.wiring import build_book
from storage import keys, pagelog
from storage.errors import Corrupt, StorageFailure
from storage.fault import Plan, Step, open_faulty
from tests.support.ledger import Chain, amend, anchor, batch, digest, genesis, retract

pytestmark = pytest.mark.usefixtures("each_backend")

State = dict[bytes, bytes]


def some_ops(random: Random, height: int) -> Iterator[Op]:
    """Operations on a few records: some are refused, some follow one another in a block."""
    for number in range(random.randrange(1, 6)):
        name = f"r{random.randrange(12)}"
        match random.randrange(4):
            case 0:
                yield anchor(name)
            case 1:
                yield amend(name, f"{name} of {height} {number}")
            case 2:
                yield retract(name)
            case _:
                yield batch([f"{name} in {height} {number}"])


def grow(chain: Chain, random: Random, past: dict[int, State]) -> None:
    height = chain.book.tip.height + 1
    chain.commit(*[chain.tx(op) for op in some_ops(random, height)])
    past[height] = dict(chain.store.iter_state())


def state_at(chain: Chain, height: int) -> StateAt:
    return StateAt(chain.store, base_at(chain.store, height))


def agrees(chain: Chain, height: int, then: State, every_key: set[bytes]) -> None:
    base = base_at(chain.store, height)
    state = StateAt(chain.store, base)
    for key in every_key:
        value, proof = state.prove(key)
        assert value == then.get(key), (height, key)
        assert verify_state(base.state_root, key, value, proof)


@pytest.mark.usefixtures("settling")
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_every_kept_height_reads_as_it_was(tmp_path: Path, seed: int, every: int) -> None:
    random, past = Random(seed), dict[int, State]()
    with Chain(tmp_path, genesis(state_root_every=every)) as chain:
        for _ in range(20):
            grow(chain, random, past)
        every_key = {key for state in past.values() for key in state} | {b"never there"}
        for height in range(every, 21):
            root_height = height - height % every
            assert base_at(chain.store, height).height == root_height
            agrees(chain, height, past[root_height], every_key)


@pytest.mark.usefixtures("settling")
def test_a_shorter_history_refuses_what_it_dropped(tmp_path: Path) -> None:
    random, past = Random(7), dict[int, State]()
    with Chain(tmp_path) as chain:
        chain.book = Book(chain.store, chain.genesis, history_blocks=4)
        for _ in range(15):
            grow(chain, random, past)
        every_key = {key for state in past.values() for key in state}
        for height in range(11, 16):
            agrees(chain, height, past[height], every_key)
        for height in (1, 10):
            with pytest.raises(HeightUnavailable, match="kept from 11 on"):
                state_at(chain, height)
        with pytest.raises(HeightUnavailable):
            base_at(chain.store, 16)


@pytest.mark.usefixtures("settling")
def test_history_begins_where_it_is_switched_on_and_ends_where_it_is_switched_off(
    tmp_path: Path,
) -> None:
    random, past = Random(8), dict[int, State]()
    with Chain(tmp_path) as chain:
        for blocks in (0, 100, 0, 100):
            chain.book = Book(chain.store, chain.genesis, history_blocks=blocks)
            for _ in range(4):
                grow(chain, random, past)
            tip = chain.book.tip.height
            every_key = {key for state in past.values() for key in state}
            agrees(chain, tip, past[tip], every_key)
            if blocks:
                for height in range(tip - 4, tip):
                    agrees(chain, height, past[height], every_key)
            with pytest.raises(HeightUnavailable):
                state_at(chain, tip - 5 if tip > 5 else tip - 1)


@pytest.mark.usefixtures("settling")
def test_a_key_that_goes_and_comes_back_is_read_in_each_of_its_lives(tmp_path: Path) -> None:
    """Driven through the tree alone: no family deletes and recreates yet."""
    lives = [b"one", None, b"two", b"two", None, None, b"three"]
    with Chain(tmp_path) as chain:
        for value in lives:
            body = chain.body(chain.tx())
            outcome_of(chain, {b"x/phoenix": value}, body)
        for height, value in enumerate(lives, start=1):
            found, proof = state_at(chain, height).prove(b"x/phoenix")
            assert found == value
            root = base_at(chain.store, height).state_root
            assert verify_state(root, b"x/phoenix", found, proof)


def outcome_of(chain: Chain, more: dict[bytes, bytes | None], body) -> None:
    import node.book

    whole = node.book.execute

    def execute(*arguments, **named):
        outcome = whole(*arguments, **named)
        outcome.writes.update(more)
        return outcome

    node.book.execute = execute
    try:
        chain.apply(body)
    finally:
        node.book.execute = whole


def test_a_fresh_record_costs_rows_of_pages_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagelog, "PAGES_MAX", 1)
    with Chain(tmp_path) as chain:
        for _ in range(3):
            chain.commit(*[chain.tx() for _ in range(200)])
        rows = [
            key
            for key, _ in chain.store.scan_all()
            if (key[:1] in (keys.STATE_WAS, keys.WAS_AT) and key.endswith(keys.be64(3)))
            or key.startswith(keys.pages_were(3))
        ]
        values = [key for key in rows if key[:1] == keys.STATE_WAS]
        assert values == []  # every key of the block is new
        assert 2 <= len(rows) < 0.1 * 200
        written = sum(
            len(key) + len(raw) for key, raw in chain.store.scan_all() if key in set(rows)
        )
        assert 10 < written / 200 < 60  # bytes for each transaction


def test_without_history_the_newest_height_is_read_and_no_other(tmp_path: Path) -> None:
    with Chain(tmp_path, genesis(state_root_every=2)) as chain:
        chain.book = Book(chain.store, chain.genesis, history_blocks=0)
        for _ in range(3):
            chain.commit(chain.tx(anchor("a")))
        chain.commit(chain.tx(retract("a")))
        assert state_at(chain, 4).prove(PARAMETERS_KEY)[0] is not None
        chain.commit(chain.tx(anchor("b")), chain.tx(amend("a", "c")))
        assert state_at(chain, 5).prove(record_key(digest("b")))[0] is None  # not in the root
        with pytest.raises(HeightUnavailable):
            state_at(chain, 3)
    with Chain(tmp_path / "ahead", genesis(state_root_every=2)) as chain:
        chain.book = Book(chain.store, chain.genesis, history_blocks=0)
        chain.commit(chain.tx(anchor("a")))
        chain.commit()
        chain.commit(chain.tx(retract("a")))
        with pytest.raises(ValueAhead):
            state_at(chain, 3).prove(record_key(digest("a")))


@pytest.mark.usefixtures("settling")
@pytest.mark.parametrize("step", ["batch_write", "batch_sync"])
@pytest.mark.parametrize("persisted", [False, True])
def test_a_crash_in_a_commit_costs_no_height(
    tmp_path: Path, step: Step, persisted: bool
) -> None:
    random, past, founded = Random(9), dict[int, State](), genesis()
    with Chain(tmp_path, founded) as chain:
        for _ in range(6):
            grow(chain, random, past)
    faulty = open_faulty(tmp_path, Plan(step, persisted, countdown=2), network=founded.network)
    broken = Chain(tmp_path, founded, store=faulty)
    with pytest.raises(StorageFailure):
        broken.commit(broken.tx(anchor("lost or not")), broken.tx(retract("r1")))
    broken.close()
    with Chain(tmp_path, founded) as chain:
        assert chain.book.tip.height == (7 if persisted else 6)
        if persisted:
            past[7] = dict(chain.store.iter_state())
        for _ in range(3):
            grow(chain, random, past)
        every_key = {key for state in past.values() for key in state}
        for height, then in past.items():
            agrees(chain, height, then, every_key)
    assert check_ledger(tmp_path, founded).clean


@pytest.mark.parametrize("letter", [keys.STATE_WAS, keys.PAGES_WERE])
def test_a_damaged_row_stops_the_answer(
    tmp_path: Path, letter: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagelog, "PAGES_MAX", 1)
    with Chain(tmp_path) as chain:
        chain.commit(chain.tx(anchor("a")))
        chain.commit()
        chain.commit(chain.tx(retract("a")))
        found = [key for key, _ in chain.store.scan_all() if key[:1] == letter]
        for key in found:
            raw = bytearray(chain.store._kv.get(key) or b"")
            raw[-1] ^= 1
            chain.store._kv.write([(key, bytes(raw))], sync=True)
        with pytest.raises(Corrupt):
            state_at(chain, 2).prove(record_key(digest("a")))


@pytest.mark.parametrize(("blocks", "floor"), [("2", 4), ("0", None), ("10000", 1)])
def test_a_node_keeps_as_much_as_its_settings_say(
    tmp_path: Path, blocks: str, floor: int | None
) -> None:
    flags = {"node.id": "alder", "storage.state_history_blocks": blocks}
    chosen = config.load(None, environment={}, flags=flags)
    with Chain(tmp_path) as chain:
        chain.book = build_book(chosen, chain.genesis, chain.store)
        for _ in range(6):
            chain.commit()
        history = chain.store.history()
        assert (None if history is None else history.floor) == floor


def test_facts_read_the_index_only_where_nothing_is_proven(tmp_path: Path) -> None:
    with Chain(tmp_path) as chain:
        chain.commit()
        loose = FactsAt(chain.store, height=1, time_ms=0, state=None, scans=True)
        rows = list(loose.scan(b"leaf/", limit=9))
        assert rows
        assert list(loose.scan(b"leaf/", start=bytes(7) + b"\x01", limit=9)) == []
        strict = FactsAt(chain.store, height=1, time_ms=0, state=None, scans=False)
        with pytest.raises(NotProvable):
            strict.scan(b"leaf/", limit=9)
