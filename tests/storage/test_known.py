"""Keys that are surely absent, and reading that does not make LevelDB merge its tables."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import keys, known
from storage.errors import Corrupt
from storage.fault import Plan, open_faulty
from storage.known import KnownKeys
from storage.level import LEARNED_AT_ONCE, LevelKV
from storage.store import Store
from tests.storage.chain import NETWORK


def told(*batches: list[bytes]) -> KnownKeys:
    kept = KnownKeys()
    for batch in batches:
        kept.add(batch)
    kept.completed()
    return kept


@settings(deadline=None)
@given(st.lists(st.lists(st.binary(max_size=40)), max_size=5))
def test_what_was_added_is_never_absent(batches: list[list[bytes]]) -> None:
    kept = told(*batches)
    assert not any(kept.lacks(key) for batch in batches for key in batch)


def test_most_of_what_was_not_added_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "FIRST_KEYS", 1 << 12)
    random = Random(7)
    there = [
        random.randbytes(33) for _ in range(28_000)
    ]  # three filters, the last all but full
    kept = told(there[:5_000], there[5_000:])
    assert not any(map(kept.lacks, there))
    assert kept.bytes_held() == 2 * (7 << 12)
    absent = [random.randbytes(33) for _ in range(10_000)]
    assert sum(map(kept.lacks, absent)) > 9_800


def test_a_key_that_is_written_again_takes_no_more_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known, "FIRST_KEYS", 1 << 10)
    there = [Random(number).randbytes(33) for number in range(500)]
    kept = told(*[there] * 100)
    assert kept.bytes_held() == 2 << 10
    assert not any(map(kept.lacks, there))


def test_it_says_nothing_before_it_is_complete() -> None:
    kept = KnownKeys()
    kept.add([b"a"])
    assert not kept.lacks(b"b")
    assert not kept.complete
    kept.completed()
    assert kept.lacks(b"b")
    assert kept.complete


def test_with_more_keys_than_it_can_hold_it_says_nothing_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known, "FIRST_KEYS", 16)
    monkeypatch.setattr(known, "FILTERS_MAX", 2)
    kept = told([b"%d" % number for number in range(40)])
    absent = [b"none %d" % number for number in range(20)]
    assert any(kept.lacks(key) for key in absent)
    # One that may be there already takes no room: hashes differ from process to process.
    added = next(n for n in range(1_000) if kept.add([b"more %d" % n]) is None and kept.full)
    assert added >= 7
    assert not kept.complete
    assert not any(kept.lacks(key) for key in absent)
    assert kept.bytes_held() == 0
    kept.add([b"and more"])
    assert not kept.lacks(b"and more")


def test_threads_that_add_at_once_lose_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "FIRST_KEYS", 1 << 10)
    random = Random(3)
    parts = [[random.randbytes(8) for _ in range(6_000)] for _ in range(4)]
    kept = KnownKeys()

    def add(part: list[bytes]) -> None:
        for at in range(0, len(part), 50):
            kept.add(part[at : at + 50])

    threads = [threading.Thread(target=add, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept.completed()
    assert not any(kept.lacks(key) for part in parts for key in part)


# --- in front of LevelDB ------------------------------------------------------------------


def nothing() -> None:
    """No rest is needed."""


def rows(letter: bytes, numbers: range) -> list[tuple[bytes, bytes | None]]:
    return [(letter + b"%06d" % number, b"%d" % number) for number in numbers]


@pytest.fixture
def kv(tmp_path: Path) -> Iterator[LevelKV]:
    """A database with rows of before this process."""
    before = LevelKV(tmp_path / "kv", create=True)
    for letter in (keys.STATE, keys.TRANSACTION, keys.INDEX):
        before.write(rows(letter, range(0, 6_000, 2)), sync=False)
    before.close()
    kv = LevelKV(tmp_path / "kv", create=False)
    yield kv
    kv.close()


def asked_of_level(kv: LevelKV, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Note which keys are looked up in LevelDB from now on."""
    asked: list[bytes] = []
    get = kv._source.get

    class Source:
        def get(self, key: bytes, **named: bool) -> bytes | None:
            asked.append(key)
            value: bytes | None = get(key, **named)
            return value

        def __getattr__(self, name: str) -> object:
            return getattr(source, name)

    source = kv._source
    monkeypatch.setattr(kv, "_source", Source())
    return asked


def test_a_new_database_knows_at_once_what_it_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kv = LevelKV(tmp_path / "kv", create=True)
    asked = asked_of_level(kv, monkeypatch)
    kv.write([(b"sa", b"1"), (b"sb", None)], sync=False)
    assert kv.knows()[0]
    assert [kv.get(key) for key in (b"sa", b"sb", b"tx", b"ia")] == [b"1", None, None, None]
    assert asked == [b"sa", b"ia"]
    kv.close()


def test_an_old_one_looks_until_it_has_learned(
    kv: LevelKV, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asked_of_level(kv, monkeypatch)
    assert kv.get(b"s000001") is None
    assert asked == [b"s000001"]
    assert kv.knows() == (False, 0)
    during: list[int] = []

    def rest() -> None:
        """A block is written while keys are learned."""
        during.append(len(during))
        kv.write(
            rows(keys.TRANSACTION, range(10_000 + len(during), 10_001 + len(during))),
            sync=False,
        )

    kv.learn(rest)
    assert len(during) == 2 * -(-3_000 // LEARNED_AT_ONCE)
    complete, held = kv.knows()
    assert complete
    assert held == 2 * known.FIRST_KEYS
    asked.clear()
    for letter in (keys.STATE, keys.TRANSACTION):
        for number in range(0, 6_000, 2):
            assert kv.get(letter + b"%06d" % number) == b"%d" % number
    for number in during:
        assert kv.get(keys.TRANSACTION + b"%06d" % (10_001 + number)) is not None
    there = len(asked)
    assert sum(kv.get(b"s%06d" % number) is not None for number in range(1, 6_000, 2)) == 0
    assert len(asked) - there < 60
    with pytest.raises(ZeroDivisionError):
        kv.learn(lambda: print(1 / 0))


def test_a_snapshot_answers_as_of_its_moment(kv: LevelKV) -> None:
    kv.learn(nothing)
    view = kv.snapshot()
    kv.write([(b"snew", b"1"), (b"s000000", None)], sync=False)
    assert view.get(b"snew") is None
    assert view.get(b"s000000") == b"0"
    assert view.get_many([b"snew", b"s000000", b"tnone"]) == [None, b"0", None]
    assert kv.get_many([b"snew", b"s000000", b"tnone"]) == [b"1", None, None]
    view.close()


def test_with_too_many_keys_the_answers_are_the_same(
    kv: LevelKV, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "FIRST_KEYS", 64)
    monkeypatch.setattr(known, "FILTERS_MAX", 2)
    kv.learn(nothing)
    assert kv.knows() == (False, 0)
    assert kv.get(b"s000002") == b"2"
    assert kv.get(b"s000003") is None


@pytest.mark.parametrize("where", [500, 967])  # of a thousand: in the middle, the last block
def test_damage_that_is_met_ends_learning_and_nothing_else(tmp_path: Path, where: int) -> None:
    path = tmp_path / "kv"
    before = LevelKV(path, create=True)
    before.write([(b"t%06d" % n, Random(n).randbytes(100)) for n in range(500)], sync=False)
    before._source.compact_range()
    before.close()
    (table,) = path.glob("*.ldb")
    content = bytearray(table.read_bytes())
    content[len(content) * where // 1000] ^= 0x40
    table.write_bytes(content)
    kv = LevelKV(path, create=False)
    with pytest.raises(Corrupt):
        kv.learn(nothing)
    assert not kv.knows()[0]
    kv.write([(b"s", b"goes on")], sync=True)
    assert kv.get(b"s") == b"goes on"
    found = 0
    for number in range(500):
        key = b"t%06d" % number
        try:
            (value,) = kv.get_many([key])
        except Corrupt:
            continue
        assert value == Random(number).randbytes(100), "never silently absent"
        found += 1
    assert 400 < found < 500
    kv.close()


def test_a_store_hands_it_on(tmp_path: Path) -> None:
    Store.open(tmp_path, network=NETWORK, create=True).close()
    plan = Plan("batch_write", persisted=False, countdown=1_000)
    with open_faulty(tmp_path, network=NETWORK, plan=plan) as store:
        assert not store.sizes()["keys_known"]
        store.learn(nothing)
        assert store.sizes()["keys_known"]


# --- what LevelDB does for a look ---------------------------------------------------------

ROUNDS_MAX = 2_000


def rounds(path: Path, look: Callable[[LevelKV, list[bytes]], object], most: int) -> int:
    """Return after how many rounds of looking for absent keys LevelDB merges tables."""
    for _ in range(2):  # what a start finds in the log becomes a table of its own
        kv = LevelKV(path, create=True)
        kv.write(rows(keys.NODE, range(0, 2_000, 2)), sync=True)
        kv.close()
    kv = LevelKV(path, create=False)
    absent = [keys.NODE + b"%06d" % number for number in range(1, 1_999, 2)]
    done = 0
    while done < most and "Compacting" not in (path / "LOG").read_text():
        look(kv, absent)
        done += 1
    kv.close()
    return done


def test_one_iterator_counts_no_table_out_where_single_looks_do(tmp_path: Path) -> None:
    """If single looks stop doing it, in another LevelDB, much of ``known`` is not needed."""
    single = rounds(
        tmp_path / "a", lambda kv, asked: [kv.get(key) for key in asked], ROUNDS_MAX
    )
    assert single < ROUNDS_MAX
    most = 10 * single + 10
    assert rounds(tmp_path / "b", lambda kv, asked: kv.get_many(asked), most) == most
