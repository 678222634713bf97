"""Pages written behind: whichever block settles, readers see what each block made of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from storage import keys, migrate, pagelog
from storage.errors import Corrupt, StorageFailure
from storage.fault import Plan, Step, open_faulty
from storage.history import Replaced
from storage.layout import KV_NAME
from storage.level import LevelKV
from storage.migrations import way
from storage.pagelog import Newer
from storage.reader import Reader
from storage.store import Store
from tests.storage.chain import NETWORK, Chain, change, differ, lost, page_of

Pages = dict[bytes, bytes]
A_PAGE = page_of(b"a page")


class Writer:
    """Commits blocks that change some of a few pages, and remembers every height's pages."""

    def __init__(self, seed: int, *, blocks: int | None = 100) -> None:
        self.random = Random(seed)
        self.chain = Chain()
        self.blocks = blocks
        self.past: list[Pages] = [{}]

    def commit(self, store: Store, changes: Pages | None = None) -> int:
        now = dict(self.past[-1])
        body, made = self.chain.next()
        made = replace(made, **self._changed(now, changes))
        if self.blocks is None:
            made = replace(made, replaced=None)
        else:
            made = replace(
                made, replaced=Replaced(state=[], pages_lost=lost, blocks=self.blocks)
            )
        store.save([], bodies=[(made.digest, body)], sync=True)
        self.past.append(now)
        store.commit(made)
        return made.height

    def _changed(self, now: Pages, changes: Pages | None) -> dict[str, object]:
        if changes is None:
            drawn = self.random.sample(range(12), self.random.randrange(1, 5))
            changes = {name(at): page_of(self.random.randbytes(20)) for at in drawn}
        parts = []
        for key, page in changes.items():
            gone = key in now and self.random.random() < 0.2
            parts.append(change(key, now.get(key), None if gone else page))
            if gone:
                del now[key]
            else:
                now[key] = page
        return {
            "pages": [pair for part in parts for pair in part["pages"]],
            "pages_were": {k: v for part in parts for k, v in part["pages_were"].items()},
            "page_patches": b"".join(part["page_patches"] for part in parts),
        }


def name(at: int) -> bytes:
    """Return the key of a page, of two depths that lie beside each other."""
    return bytes((at % 2 + 1, at))


def settled_at(store: Store) -> list[int]:
    rows = store.raw_rows(keys.PAGE_LOG)
    return [int.from_bytes(key[1:], "big") for key, raw in rows if len(raw) == 8]


def agrees(reader: Reader, pages: Pages) -> None:
    assert dict(reader.iter_pages()) == pages
    for at in range(12):
        assert reader.page(name(at)) == pages.get(name(at))


@pytest.fixture(params=["memory", "leveldb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield Store.in_memory(NETWORK, tmp_path)
        return
    with Store.open(tmp_path, network=NETWORK, create=True) as made:
        yield made


def test_every_view_sees_the_pages_of_its_height(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagelog, "PAGES_MAX", 8)
    monkeypatch.setattr(pagelog, "RECENT_PAGES_MAX", 6)
    monkeypatch.setattr(pagelog, "RECENT_BLOCKS_MIN", 2)
    writer, views = Writer(1), []
    for _ in range(40):
        height = writer.commit(store)
        agrees(store, writer.past[-1])
        views.append((height, store.snapshot()))
    assert len(settled_at(store)) > 4
    assert any(view.pages_base() < height for height, view in views)
    for height, view in views:
        agrees(view, writer.past[height])
        view.close()


@pytest.mark.parametrize("held", [0, 3, 100])
def test_what_is_held_in_memory_is_what_is_stored(
    store: Store, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(pagelog, "PAGES_MAX", 5)
    monkeypatch.setattr(pagelog, "HELD_PAGES_MAX", held)
    writer, random = Writer(11), Random(11)
    for _ in range(60):
        writer.commit(store)
        pages = writer.past[-1]
        asked = [name(at) for at in random.sample(range(14), 6)]
        assert store.pages(asked) == [pages.get(key) for key in asked]
        agrees(store, pages)
    assert len(settled_at(store)) > 8


def test_a_held_page_is_read_from_disk_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(12)
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        for _ in range(20):
            writer.commit(store)
        monkeypatch.setattr(pagelog, "PAGES_MAX", 1)
        writer.commit(store)
    there = sorted(writer.past[-1])
    with Store.open(tmp_path, network=NETWORK) as store:
        read: list[bytes] = []
        get_under = store._kv.get_under

        def noting(asked: Sequence[bytes], limit: int) -> list[list[tuple[bytes, bytes]]]:
            read.extend(asked)
            return get_under(asked, limit)

        monkeypatch.setattr(store._kv, "get_under", noting)
        for _ in range(3):
            assert store.pages(there) == [writer.past[-1][key] for key in there]
        assert read == [keys.NODE + key for key in there]


def test_a_start_puts_the_patches_on_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagelog, "PAGES_MAX", 9)
    writer, once = Writer(2), Writer(2)
    for _ in range(25):
        with Store.open(tmp_path / "often", network=NETWORK, create=True) as store:
            agrees(store, writer.past[-1])
            writer.commit(store)
    with Store.open(tmp_path / "once", network=NETWORK, create=True) as whole:
        for _ in range(25):
            once.commit(whole)
        with Store.open(tmp_path / "often", network=NETWORK) as store:
            assert list(store.scan_all()) == list(whole.scan_all()), "the same blocks settle"


@pytest.mark.parametrize(
    ("bound", "value", "expected"),
    [
        ("PAGES_MAX", 3, [3, 6, 9]),
        ("BLOCKS_MAX", 4, [4, 8]),
        ("LOG_BYTES_MAX", 2 * (1 + 2 + 2 + 6 + len(A_PAGE)), [2, 4, 6, 8, 10]),
    ],
)
def test_each_bound_has_a_block_settle(
    store: Store, monkeypatch: pytest.MonkeyPatch, bound: str, value: int, expected: list[int]
) -> None:
    monkeypatch.setattr(pagelog, bound, value)
    writer = Writer(3)
    for at in range(10):
        writer.commit(store, {name(at): A_PAGE})
    assert settled_at(store) == expected


@pytest.mark.parametrize(
    ("turn", "expected"), [(0, [8, 16]), (1, [6, 14]), (3, [2, 10]), (7, [2, 10])]
)
def test_members_settle_at_different_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turn: int, expected: list[int]
) -> None:
    monkeypatch.setattr(pagelog, "PAGES_MAX", 8)
    writer = Writer(5)
    with Store.open(tmp_path, network=NETWORK, create=True, turn=turn) as store:
        for at in range(16):
            writer.commit(store, {name(at): A_PAGE})
        assert settled_at(store) == expected
        agrees(store, writer.past[-1])


@pytest.mark.parametrize("blocks", [None, 3])
def test_patches_are_dropped_when_no_height_needs_them(
    store: Store, monkeypatch: pytest.MonkeyPatch, blocks: int | None
) -> None:
    monkeypatch.setattr(pagelog, "PAGES_MAX", 6)
    writer = Writer(4, blocks=blocks)
    for _ in range(60):
        height = writer.commit(store)
        history = store.history()
        oldest = height if history is None else history.floor
        needed = range(store.pages_base(oldest) + 1, height + 1)
        left = [int.from_bytes(key[1:], "big") for key, _ in store.raw_rows(keys.PAGE_LOG)]
        assert set(needed) <= set(left)
    assert len(left) < 20


@pytest.mark.parametrize("step", ["batch_write", "batch_sync"])
@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("settles", [False, True])
def test_pages_move_with_their_block_or_not_at_all(
    tmp_path: Path,
    step: Step,
    persisted: bool,
    settles: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = Writer(6)
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        for _ in range(6):
            writer.commit(store)
    monkeypatch.setattr(pagelog, "PAGES_MAX", 1 if settles else 1000)
    faulty = open_faulty(tmp_path, Plan(step, persisted, countdown=2), network=NETWORK)
    with pytest.raises(StorageFailure):
        writer.commit(faulty)
    faulty.close()
    with Store.open(tmp_path, network=NETWORK) as again:
        agrees(again, writer.past[7 if persisted else 6])
        assert (settled_at(again) == [7]) == (persisted and settles)


def test_replaced_pages_are_all_there_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagelog, "PAGES_MAX", 6)
    writer = Writer(7)
    for _ in range(11):
        height = writer.commit(store)
    assert not store.replace_pages([], only_at=height - 1)
    stored = dict(store.iter_stored_pages())
    right = writer.past[-1]
    settled = [(key, stored.get(key), right.get(key)) for key in {*stored, *right}]
    rows = differ(keys.NODE, settled)
    assert store.replace_pages(rows, only_at=height)
    assert dict(store.iter_stored_pages()) == right
    assert list(store.raw_rows(keys.PAGE_LOG)) == []
    history = store.history()
    assert history is not None
    assert (history.floor, history.last) == (height, height)
    for _ in range(5):
        writer.commit(store)
        agrees(store, writer.past[-1])


@pytest.mark.parametrize("cut_short", [False, True])
def test_the_way_back_stores_the_newest_pages(tmp_path: Path, cut_short: bool) -> None:
    writer = Writer(8)
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        for _ in range(9):
            writer.commit(store)
        assert dict(store.iter_stored_pages()) == {}
    assert pagelog.PAGES_MAX < migrate.ROWS_PER_BATCH, "the pages and their height at once"
    if cut_short:
        kv = LevelKV(tmp_path / KV_NAME, create=False)
        (_, rows), *_ = way(3, 2)  # nothing is stored yet: as it was before version 4
        first = list(rows(kv))
        kv.write(first[: [key for key, _ in first].index(keys.PAGES) + 1], sync=True)
        kv.close()
    migrate.migrate(tmp_path, network=NETWORK, target=2)
    migrate.migrate(tmp_path, network=NETWORK)
    with Store.open(tmp_path, network=NETWORK) as store:
        assert dict(store.iter_stored_pages()) == writer.past[-1]
        assert store.history() is None
        for letter in (keys.PAGE_LOG, keys.PAGES_WERE, keys.STATE_WAS, keys.WAS_AT):
            assert list(store.raw_rows(letter)) == []
        writer.commit(store)
        agrees(store, writer.past[-1])


def test_a_height_that_is_too_long_ago_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagelog, "RECENT_BLOCKS_MIN", 2)
    monkeypatch.setattr(pagelog, "RECENT_BLOCKS_MAX", 3)
    newer = Newer(10, {b"a": b"of 10"}, 10)
    for height in range(11, 16):
        newer.add(height, {b"a": b"of %d" % height, b"b": None})
    assert newer.find(b"a", 12) == (True, b"of 12")
    assert newer.find(b"b", 12) == (True, None)
    assert newer.find(b"a", 15) == (True, b"of 15")
    assert newer.find(b"c", 15) == (False, None)
    assert newer.find(b"a", 11) is None
    assert newer.find(b"c", 10) is None


@pytest.mark.parametrize("cut", [1, 9, 15, 30])
def test_a_row_that_is_cut_short_ends_the_start(tmp_path: Path, cut: int) -> None:
    writer = Writer(9)
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        writer.commit(store, {name(1): A_PAGE})
        raw = store.raw_value(keys.page_log(1))
        assert raw is not None
        store.mend([(keys.page_log(1), raw[:-cut])])
    with pytest.raises(Corrupt):
        Store.open(tmp_path, network=NETWORK)
