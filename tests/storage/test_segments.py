"""Segment files: what is appended comes back, damage is noticed, torn tails are cut."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage.segments
from storage.errors import Corrupt, StorageFailure
from storage.segments import Pointer, Segments


@pytest.fixture
def segments(tmp_path: Path) -> Iterator[Segments]:
    opened = reopen(tmp_path, None)
    yield opened
    opened.close()


def reopen(directory: Path, tail: Pointer | None, *, cut: int | None = None) -> Segments:
    segments = Segments(directory, segment_bytes_max=100)
    dropped = segments.recover(tail)
    assert cut is None or dropped == cut
    return segments


def test_records_come_back_in_any_order(segments: Segments) -> None:
    pointers = [segments.append(b"record %d" % n) for n in range(20)]
    segments.sync()
    for n in (3, 19, 0, 7):
        assert segments.read(pointers[n]) == b"record %d" % n
    assert segments.tail() == pointers[19]


def test_an_unsynced_record_can_be_read_already(segments: Segments) -> None:
    assert segments.read(segments.append(b"")) == b""


def test_a_full_file_is_sealed_and_the_next_number_begins(
    segments: Segments, tmp_path: Path
) -> None:
    pointers = [segments.append(b"x" * 38) for _ in range(5)]  # 50 bytes each with header
    assert [pointer.segment for pointer in pointers] == [1, 1, 2, 2, 3]
    assert [pointer.offset for pointer in pointers] == [0, 50, 0, 50, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "00000001.seg",
        "00000002.seg",
        "00000003.seg",
    ]
    assert segments.numbers() == [1, 2, 3]
    assert segments.bytes_total() == 250


def test_a_record_larger_than_a_file_is_the_callers_fault(segments: Segments) -> None:
    segments.append(b"x" * 88)
    with pytest.raises(AssertionError, match="89 bytes"):
        segments.append(b"x" * 89)


def test_walking_a_file_yields_every_record(segments: Segments) -> None:
    pointers = [segments.append(b"%d" % n) for n in range(9)]
    walked = [record for number in (1, 2) for record in segments.iter_records(number)]
    assert walked == [(pointer, b"%d" % n) for n, pointer in enumerate(pointers)]


def test_appending_goes_on_behind_the_recovered_tail(tmp_path: Path) -> None:
    with_two = reopen(tmp_path, None)
    first = with_two.append(b"first")
    with_two.append(b"never pointed to")
    with_two.close()
    again = reopen(tmp_path, first, cut=12 + 16)
    second = again.append(b"second")
    assert second.offset == first.end
    again.close()
    final = reopen(tmp_path, second, cut=0)
    assert [payload for _, payload in final.iter_records(1)] == [b"first", b"second"]
    final.close()


@pytest.mark.parametrize(
    "torn",
    [b"\x00" * 40, b"garbage", b"CSR1", b"CSR1\x00\x00\x00\x05\x00\x00\x00\x00hello", b""],
    ids=["zeros", "garbage", "half header", "wrong checksum", "nothing"],
)
def test_a_torn_tail_is_cut_at_start(tmp_path: Path, torn: bytes) -> None:
    segments = reopen(tmp_path, None)
    tail = segments.append(b"acknowledged")
    segments.close()
    path = tmp_path / "00000001.seg"
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    again = reopen(tmp_path, tail, cut=len(torn))
    assert path.read_bytes() == whole
    assert again.read(tail) == b"acknowledged"
    again.close()


def test_files_behind_the_tail_are_removed_at_start(tmp_path: Path) -> None:
    segments = reopen(tmp_path, None)
    pointers = [segments.append(b"x" * 80) for _ in range(3)]
    segments.close()
    again = reopen(tmp_path, pointers[0], cut=2 * 92)
    assert again.numbers() == [1]
    assert again.append(b"y" * 80).segment == 2
    again.close()


def test_without_a_tail_nothing_is_kept(tmp_path: Path) -> None:
    segments = reopen(tmp_path, None)
    segments.append(b"never pointed to")
    segments.close()
    again = reopen(tmp_path, None, cut=28)
    assert again.numbers() == []
    assert again.tail() is None
    again.close()


def test_a_tail_that_is_not_there_in_full_is_corruption(tmp_path: Path) -> None:
    segments = reopen(tmp_path, None)
    tail = segments.append(b"acknowledged")
    segments.close()
    path = tmp_path / "00000001.seg"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Corrupt, match=r"cut short at 00000001\.seg:0"):
        reopen(tmp_path, tail)
    path.unlink()
    with pytest.raises(Corrupt, match="missing"):
        reopen(tmp_path, tail)


@pytest.mark.parametrize("byte", range(12 + 7))
def test_a_flipped_byte_anywhere_in_a_record_is_noticed(
    segments: Segments, tmp_path: Path, byte: int
) -> None:
    pointer = segments.append(b"payload")
    path = tmp_path / "00000001.seg"
    raw = bytearray(path.read_bytes())
    raw[byte] ^= 0x10
    path.write_bytes(raw)
    with pytest.raises(Corrupt, match=r"00000001\.seg:0"):
        segments.read(pointer)
    with pytest.raises(Corrupt, match=r"00000001\.seg:0"):
        list(segments.iter_records(1))


def test_a_pointer_into_the_middle_of_a_record_is_refused(segments: Segments) -> None:
    pointer = segments.append(b"payload" * 5)
    with pytest.raises(Corrupt, match="no record begins here"):
        segments.read(Pointer(1, pointer.offset + 1, 10))


def test_nothing_is_written_after_a_failure(segments: Segments, tmp_path: Path) -> None:
    pointer = segments.append(b"payload")
    (tmp_path / "00000001.seg").unlink()
    (tmp_path / "00000001.seg").mkdir()
    with pytest.raises(StorageFailure, match="reading"):
        segments.read(pointer)
    for attempt in (lambda: segments.append(b"more"), segments.sync):
        with pytest.raises(StorageFailure, match="refusing to write"):
            attempt()


def test_files_open_for_reading_are_bounded(
    segments: Segments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.segments, "READERS_MAX", 2)
    pointers = [segments.append(b"x" * 80) for _ in range(6)]
    for pointer in [*pointers, *pointers]:
        assert segments.read(pointer) == b"x" * 80
    targets = list(Path("/proc/self/fd").iterdir())
    ours = [t for t in targets if t.is_symlink() and tmp_path in t.readlink().parents]
    assert len(ours) == 2 + 1  # and the one being written


u64 = st.integers(0, 2**64 - 1)


@given(segment=u64, offset=u64, length=st.integers(0, 2**32 - 1))
def test_a_pointer_is_twenty_bytes_and_comes_back(
    segment: int, offset: int, length: int
) -> None:
    pointer = Pointer(segment, offset, length)
    assert len(pointer.encode()) == 20
    assert Pointer.decode(pointer.encode()) == pointer


def test_a_pointer_of_another_size_is_corruption() -> None:
    with pytest.raises(Corrupt, match="19 bytes"):
        Pointer.decode(b"\x00" * 19)
