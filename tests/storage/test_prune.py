"""Bodies leave as whole segments; what readers are told; what a crash in between leaves."""

import threading
from pathlib import Path

import pytest

from storage import keys, prune
from storage.check import Code, check
from storage.errors import Pruned
from storage.reader import Floor
from storage.segments import Segments
from storage.store import Store
from tests.storage.chain import NETWORK, Chain, extend

BLOCKS = 40


def opened(tmp_path: Path) -> Store:
    return Store.open(tmp_path, network=NETWORK, create=True, segment_bytes_max=1024)


def sound(store: Store, lowest: int) -> None:
    """Everything at or above ``lowest`` is there, below it no body, and the rest is whole."""
    assert store.lowest_body() == lowest
    assert check(store).clean
    assert [b.row.height for b in store.iter_blocks(lowest, 99)] == [*range(lowest, BLOCKS + 1)]
    for height in range(1, BLOCKS + 1):
        row = store.block(height)
        assert row is not None
        assert store.seal(height)
        assert store.certificate(height)
        assert store.has_body(row.digest) == (height >= lowest)
    if lowest > 1:
        with pytest.raises(Pruned) as told:
            store.body_of(lowest - 1)
        assert told.value.lowest == lowest
        with pytest.raises(Pruned):
            list(store.iter_blocks(1, 9))


def test_whole_segments_below_a_height_leave_and_everything_else_stays(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        extend(store, Chain(), BLOCKS)
        files, size = store.segments.numbers(), store.segments.bytes_total()
        sound(store, 1)
        assert store.prune(2) is None  # no whole file is below
        dry = store.prune(25, dry=True)
        sound(store, 1)
        done = store.prune(25)
        assert done == dry
        assert done is not None
        assert 15 < done.floor.lowest <= 25
        sound(store, done.floor.lowest)
        assert store.segments.numbers() == files[len(done.segments) :]
        assert store.segments.bytes_total() == size - done.bytes
        assert store.prune(25) is None
        extend_from = done.floor.lowest
    with opened(tmp_path) as again:
        sound(again, extend_from)


def test_the_newest_body_stays_whatever_is_asked(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        extend(store, Chain(), BLOCKS)
        done = store.prune(10_000)
        assert done is not None
        assert store.body_of(BLOCKS) is not None
        sound(store, done.floor.lowest)


def test_a_body_that_waits_keeps_its_segment(tmp_path: Path) -> None:
    chain = Chain()
    with opened(tmp_path) as store:
        extend(store, chain, 10)
        waiting, commit = chain.next()
        store.save([], bodies=[(commit.digest, waiting)], sync=True)
        other = Chain()
        lost, lost_commit = other.next()  # of height 1, and another block was applied there
        store.save([], bodies=[(lost_commit.digest[::-1], b"?" + lost)], sync=True)
        for n in range(60):
            store.save([], bodies=[(bytes([n]) * 32, b"\x00" * 64)], sync=False)
        done = store.prune(10_000)
        assert store.has_body(commit.digest)
        assert done is None or store.body(commit.digest) == waiting


def test_a_reader_and_a_writer_beside_it_see_a_body_or_are_told(tmp_path: Path) -> None:
    chain, seen = Chain(), {"body": 0, "pruned": 0}
    with opened(tmp_path) as store:
        extend(store, chain, BLOCKS)
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                for height in range(1, BLOCKS):
                    try:
                        assert store.body_of(height) is not None
                        seen["body"] += 1
                    except Pruned:
                        seen["pruned"] += 1

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for before in range(2, BLOCKS, 2):
                store.prune(before)
                extend(store, chain, 1)
        finally:
            stop.set()
            reader.join()
        assert store.failure is None
        assert store.lowest_body() > 30
        assert check(store).clean
    assert min(seen.values()) > 0


@pytest.mark.parametrize("died", ["after the floor", "among the pointers", "among the files"])
def test_a_crash_between_the_steps_is_finished_by_the_next_start(
    tmp_path: Path, died: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as store:
        extend(store, Chain(), BLOCKS)
        planned = prune.plan(store, store.segments, 25)
        assert planned is not None
        assert len(planned.segments) > 3
        rows: list[tuple[bytes, bytes | None]] = [(keys.PRUNED, planned.floor.encode())]
        if died != "after the floor":
            gone = [store.block(height) for height in range(1, planned.floor.lowest)]
            rows += [(keys.BODY + row.digest, None) for row in gone if row is not None]
            rows = rows[: len(rows) // 2] if died == "among the pointers" else rows
        store.mend(rows)
        if died == "among the files":
            store.segments.path(planned.segments[1]).unlink()
    with opened(tmp_path) as again:
        sound(again, planned.floor.lowest)
        assert again.segments.numbers()[0] == planned.floor.first_segment


def test_a_floor_of_another_size_is_damage_and_a_left_pointer_a_finding(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as store:
        extend(store, Chain(), 5)
        store.mend([(keys.PRUNED, Floor(3, 1).encode())])
        found = check(store).findings
        assert [item.code for item in found] == [Code.BODY_CORRUPT] * 2


def test_the_file_being_written_is_never_dropped(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    segments.recover(None)
    segments.append(b"x")
    with pytest.raises(AssertionError, match="stays"):
        segments.drop(2)
    segments.close()
