"""The scrub: damage is located, mended from others byte by byte, or named with what it is."""

import asyncio
import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from consensus.types import NodeId, Put
from node.blocksync import SyncBlock, SyncRequest, SyncResponse
from node.check import check_ledger
from node.mending import PeerBodies
from node.scrub import Scrub
from storage import keys, pagelog, slots
from storage.layout import DAMAGED_NAME
from storage.segments import Pointer
from storage.store import Store
from tests.support.ledger import Chain, genesis

BLOCKS = 80


def built(directory: Path) -> None:
    """Leave a directory of several segments, with a repeated transaction and a waiting body."""
    founded = genesis("pbft")
    store = Store.open(
        directory, network=founded.network, create=True, segment_bytes_max=1 << 14
    )
    with (
        patch.object(pagelog, "PAGES_MAX", 40),
        Chain(directory, founded, store=store) as chain,
    ):
        before = chain.tx()
        for _ in range(BLOCKS):
            fresh = [chain.tx() for _ in range(3)]
            chain.commit(*fresh, before)
            before = fresh[0]
        chain.certify()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole")
    built(directory)
    return directory


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "data")
    return tmp_path / "data"


class Members:
    """Peers that answer from another directory; some of them lie, some say nothing."""

    def __init__(self, twin: Store, kinds: tuple[str, ...]) -> None:
        self._twin = twin
        self._kinds = kinds
        self.bodies = PeerBodies(self._ask, lambda: kinds, answer_s=0.05)
        self.asked: list[tuple[str, int]] = []

    def _ask(self, peer: str, request: SyncRequest) -> None:
        self.asked.append((peer, request.lo))
        if peer == "silent":
            return
        (block,) = self._twin.iter_blocks(request.lo, request.lo + 1)
        body = block.body
        if peer == "liar":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if peer == "confused":
            (other,) = self._twin.iter_blocks(request.lo % BLOCKS + 1, request.lo % BLOCKS + 2)
            body = other.body
        found = () if peer == "pruned" else (SyncBlock(block.row.header, b"", body),)
        response = SyncResponse(request.lo, found)
        loop = asyncio.get_running_loop()
        loop.call_soon(self.bodies.received, NodeId(peer), response)


@contextmanager
def scrubbing(data: Path, whole: Path, *kinds: str) -> Iterator[tuple[Store, Scrub, Members]]:
    network = genesis("pbft").network
    with Store.open(data, network=network) as store, twin_of(whole, data) as twin:
        members = Members(twin, kinds or ("honest",))
        yield store, Scrub(store, data, members.bodies, rate=0, free_bytes=0), members


@contextmanager
def twin_of(whole: Path, data: Path) -> Iterator[Store]:
    place = data.with_name("twin")
    shutil.copytree(whole, place)
    with Store.open(place, network=genesis("pbft").network) as twin:
        yield twin


def flip(path: Path, at: int, bit: int = 0) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1 << bit
    path.write_bytes(raw)


def segments_of(directory: Path) -> list[Path]:
    return sorted((directory / "segments").glob("*.seg"))


def same(data: Path, whole: Path) -> bool:
    return [p.read_bytes() for p in segments_of(data)] == [
        p.read_bytes() for p in segments_of(whole)
    ]


async def test_what_is_whole_is_left_alone(data: Path, whole: Path) -> None:
    with scrubbing(data, whole) as (store, scrub, members):
        await scrub.round()
        assert (dict(scrub.found), dict(scrub.mended), members.asked) == ({}, {}, [])
        assert scrub.rounds == 1
        assert scrub.bytes_read > store.segments.bytes_total()
    assert not (data / DAMAGED_NAME).exists()


@pytest.mark.parametrize("seed", range(8))
async def test_a_flipped_bit_anywhere_in_any_segment_is_mended_byte_by_byte(
    data: Path, whole: Path, seed: int
) -> None:
    rng = random.Random(seed)
    files = segments_of(data)
    assert len(files) > 3
    for path in files:
        flip(path, rng.randrange(path.stat().st_size), rng.randrange(8))
    with scrubbing(data, whole) as (store, scrub, members):
        assert store.failure is None  # also the last record may be damaged at a start
        await scrub.round()
        assert scrub.found["segment"] == scrub.mended["segment"] == len(files)
        assert same(data, whole)
        assert len(members.asked) == len(files)
        await scrub.round()
        assert scrub.found["segment"] == len(files)
        assert store.failure is None
    aside = list((data / DAMAGED_NAME).iterdir())
    assert len(aside) == len(files)
    assert all(path.name[:8].isdigit() for path in aside)
    assert check_ledger(data, genesis("pbft")).clean


@pytest.mark.parametrize("at", range(12))
async def test_a_flip_in_a_records_head_does_not_hide_the_records_behind_it(
    data: Path, whole: Path, at: int
) -> None:
    flip(segments_of(data)[1], at, 7)
    flip(segments_of(data)[1], segments_of(data)[1].stat().st_size - 3)
    with scrubbing(data, whole) as (_store, scrub, _members):
        await scrub.segments()
        assert scrub.mended["segment"] == 2
    assert same(data, whole)


async def test_a_liar_costs_a_question_and_nothing_is_written_that_was_not_proven(
    data: Path, whole: Path
) -> None:
    flip(segments_of(data)[0], 700)
    kinds = ("silent", "pruned", "liar", "confused")
    with scrubbing(data, whole, *kinds) as (_store, scrub, members):
        before = segments_of(data)[0].read_bytes()
        await scrub.segments()
        assert [peer for peer, _ in members.asked] == list(kinds)
        assert segments_of(data)[0].read_bytes() == before
        assert (scrub.found["segment"], scrub.mended["segment"]) == (1, 0)
        await scrub.segments()
        assert scrub.found["segment"] == 1  # told once
    shutil.rmtree(data.with_name("twin"))
    with scrubbing(data, whole, *kinds, "honest") as (_store, scrub, _members):
        await scrub.segments()
        assert scrub.mended["segment"] == 1
    assert same(data, whole)


@pytest.mark.parametrize("left", [None, 5000])
async def test_a_closed_file_that_is_gone_or_cut_is_filled_again(
    data: Path, whole: Path, left: int | None
) -> None:
    path = segments_of(data)[1]
    if left is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:left])
    with scrubbing(data, whole) as (_store, scrub, _members):
        await scrub.segments()
        assert scrub.mended["segment"] > 1
    assert same(data, whole)


async def test_a_damaged_body_that_is_not_applied_is_forgotten_and_may_come_again(
    data: Path, whole: Path
) -> None:
    digest = b"\x07" * 32
    with Store.open(data, network=genesis("pbft").network, segment_bytes_max=1 << 20) as store:
        store.save([], bodies=[(digest, b"a proposal's body")], sync=True)
        tail = store.segments.tail()
        assert tail is not None
    flip(segments_of(data)[tail.segment - 1], tail.offset + 50)
    with scrubbing(data, whole) as (store, scrub, members):
        assert store.has_body(digest)
        await scrub.segments()
        assert members.asked == []
        assert not store.has_body(digest)
        store.save([], bodies=[(digest, b"a proposal's body")], sync=True)
        assert store.body(digest) == b"a proposal's body"


async def test_bytes_that_belong_to_nobody_are_told_once(data: Path, whole: Path) -> None:
    digest = b"\x08" * 32
    with Store.open(data, network=genesis("pbft").network, segment_bytes_max=1 << 20) as store:
        store.save([], bodies=[(digest, b"x" * 100)], sync=True)
        tail = store.segments.tail()
        assert tail is not None
        store.save([], bodies=[(digest[::-1], b"behind it"), (b"\x09" * 32, b"2")], sync=True)
        store.forget_bodies([digest])
    flip(segments_of(data)[tail.segment - 1], tail.offset + 60)
    with scrubbing(data, whole) as (_store, scrub, members):
        await scrub.segments()
        await scrub.segments()
        assert (scrub.found["segment"], scrub.mended["segment"]) == (1, 0)
        assert members.asked == []


# --- rows ---------------------------------------------------------------------------------


def wrong_tile(store: Store) -> list[tuple[bytes, bytes | None]]:
    raw = bytearray(store.tile(0, 0) or b"")
    raw[33] ^= 1
    return [(keys.tile(0, 0), bytes(raw))]


def no_tile(_store: Store) -> list[tuple[bytes, bytes | None]]:
    return [(keys.tile(1, 0), None)]


def wrong_page(store: Store) -> list[tuple[bytes, bytes | None]]:
    stored = store.iter_stored_pages()
    key, page = next((key, page) for key, page in stored if store.page(key) == page)
    slot, node = next(iter(slots.take_apart(page).items()))
    raw = bytearray(node)
    raw[-1] ^= 1
    return [(keys.NODE + key + bytes((slot,)), bytes(raw))]


def page_without_a_slot(store: Store) -> list[tuple[bytes, bytes | None]]:
    (key, _), *_ = wrong_page(store)
    return [(key, None)]


def extra_page(_store: Store) -> list[tuple[bytes, bytes | None]]:
    return [(keys.NODE + b"\x20" + b"\xee" * 16 + b"\x03", bytes(32))]


def no_page(_store: Store) -> list[tuple[bytes, bytes | None]]:
    return [(keys.NODE + b"\x20" + b"\xee" * 32, b"?")]


def but_pages(rows: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Leave out how pages are kept: when one was wrong, all are stored, older heights end."""
    left_out = (keys.NODE, keys.PAGE_LOG, keys.PAGES, keys.HISTORY)
    return [(key, value) for key, value in rows if not key.startswith(left_out)]


@pytest.mark.parametrize(
    "damage", [wrong_tile, no_tile, wrong_page, page_without_a_slot, extra_page, no_page]
)
async def test_tiles_and_pages_are_computed_again_and_proven_by_their_root(
    data: Path,
    whole: Path,
    damage: Callable[[Store], list[tuple[bytes, bytes | None]]],
) -> None:
    with scrubbing(data, whole) as (store, scrub, _members):
        before, pages = list(store.scan_all()), list(store.iter_pages())
        store.mend(damage(store))
        assert list(store.scan_all()) != before
        await scrub.derived()
        assert but_pages(store.scan_all()) == but_pages(before)
        assert list(store.iter_pages()) == pages
        kind = "pages" if "page" in damage.__name__ else "tiles"
        assert scrub.mended[kind] == scrub.found[kind] > 0


@pytest.mark.parametrize("row", [keys.STATE, keys.SEAL])
async def test_when_the_root_does_not_come_out_nothing_is_written(
    data: Path, whole: Path, row: bytes
) -> None:
    with scrubbing(data, whole) as (store, scrub, _members):
        key, value = next(store.raw_rows(row))
        store.mend([(key, value[:-1] + bytes([value[-1] ^ 1]))])
        before = list(store.scan_all())
        await scrub.derived()
        assert sum(scrub.found.values()) > 0
        assert sum(scrub.mended.values()) == 0
        assert list(store.scan_all()) == before


async def test_levels_own_damage_is_named_and_does_not_end_the_node(
    data: Path, whole: Path
) -> None:
    with Store.open(data, network=genesis("pbft").network):
        pass  # the start moves the log's rows into a table
    table = max((data / "kv").glob("*.ldb"), key=lambda path: path.stat().st_size)
    flip(table, table.stat().st_size // 8)
    with scrubbing(data, whole) as (store, scrub, _members):
        await scrub.round()
        await scrub.round()
        assert scrub.found["leveldb"] == 1
        assert store.failure is None
        store.save([Put(b"vote", b"goes on")], sync=True)


async def test_long_looks_rest_nine_times_as_long_as_they_work(data: Path, whole: Path) -> None:
    """Each small piece of work takes one second here, so each is followed by a rest."""
    clock, rests = 0.0, list[float]()

    def wait(seconds: float) -> bool:
        nonlocal clock
        rests.append(seconds)
        clock += seconds
        return False

    def monotonic() -> float:
        nonlocal clock
        clock += 1
        return clock

    with scrubbing(data, whole) as (_store, scrub, _members):
        with (
            patch.object(scrub._stop, "wait", wait),
            patch("node.scrub.time", SimpleNamespace(monotonic=monotonic)),
        ):
            await scrub.derived()
        assert len(rests) > BLOCKS + 16  # for each block of the log, each share of the state
        assert set(rests) == {9.0}
        assert sum(scrub.found.values()) == 0


async def test_work_of_a_moment_is_not_rested_after(data: Path, whole: Path) -> None:
    with scrubbing(data, whole) as (_store, scrub, _members):
        with (
            patch.object(scrub._stop, "wait", pytest.fail),
            patch("node.scrub.time", SimpleNamespace(monotonic=lambda: 7.0)),
        ):
            await scrub.derived()
        assert sum(scrub.found.values()) == 0


async def test_a_look_with_a_file_of_its_own_leaves_the_disk_to_the_ledger(
    data: Path, whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with scrubbing(data, whole) as (store, scrub, _members):
        store.mend([*wrong_page(store), *no_tile(store)])
        scrub._free_bytes = 1 << 62
        await scrub.derived()
        assert set(scrub.mended) == {"tiles"}
        assert "scrub.postponed" in caplog.text
        scrub._free_bytes = 0
        await scrub.derived()
        assert set(scrub.mended) == {"tiles", "pages"}


def test_pointers_of_the_fixture_cover_several_files(whole: Path) -> None:
    with Store.open(whole, network=genesis("pbft").network) as store:
        numbers = {Pointer.decode(raw).segment for _, raw in store.raw_rows(keys.BODY)}
    assert len(numbers) > 3


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST", "a table's end"])
async def test_files_that_leveldb_reads_at_a_start_only_are_looked_at_beside_it(
    data: Path, whole: Path, name: str
) -> None:
    """Found now, while the node runs and its peers can fill a new directory."""
    with scrubbing(data, whole) as (store, scrub, _members):
        await scrub.round()
        assert scrub.found["leveldb"] == 0
        if name == "a table's end":
            path = max((data / "kv").glob("*.ldb"), key=lambda p: p.stat().st_size)
            flip(path, path.stat().st_size - 60)
            os.utime(path, (1, 1))  # long finished
        else:
            (path,) = (data / "kv").glob(f"{name}*")
            flip(path, 9)
        await scrub.round()
        await scrub.round()
        assert scrub.found["leveldb"] == 1
        assert store.failure is None
