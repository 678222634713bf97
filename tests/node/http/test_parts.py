"""The pure parts: cutting streams, counting requests, weighing media types."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import ChartsealError
from node.http import strict_json
from node.http.answers import _weight
from node.http.cutter import Frames, Lines
from node.http.throttle import Buckets, InFlight


def fed(cutter: Lines | Frames, data: bytes, cuts: list[int]) -> list[bytes | str]:
    points = sorted({min(cut, len(data)) for cut in cuts})
    found = []
    for low, high in zip([0, *points], [*points, len(data)], strict=True):
        found += cutter.feed(data[low:high])
    return found + cutter.end()


CUTS = st.lists(st.integers(0, 200), max_size=8)


@given(st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")), max_size=9), CUTS)
def test_lines_are_the_same_however_they_arrive(lines: list[bytes], cuts: list[int]) -> None:
    expected = [
        "line-too-long" if len(line) > 8 else line.strip() for line in lines if line.strip()
    ]
    spaces = [line for line in lines if not line.strip() and len(line) > 8]
    if not spaces:
        assert fed(Lines(8), b"\n".join(lines), cuts) == expected


@given(st.lists(st.binary(max_size=12), max_size=9), st.binary(max_size=3), CUTS)
def test_frames_are_the_same_however_they_arrive(
    raws: list[bytes], tail: bytes, cuts: list[int]
) -> None:
    data = b"".join(len(raw).to_bytes(4, "big") + raw for raw in raws) + tail
    expected: list[bytes | str] = [
        "transaction-malformed" if len(raw) > 8 else raw for raw in raws
    ]
    assert fed(Frames(8), data, cuts) == expected + (["frame-malformed"] if tail else [])


def test_a_cutter_holds_no_more_than_one_item() -> None:
    lines = Lines(100)
    for _ in range(1000):
        lines.feed(b"x" * 64)
    assert len(lines._rest) <= 100
    frames = Frames(100)
    frames.feed(b"\xff\xff\xff\xff")
    for _ in range(1000):
        frames.feed(b"x" * 64)
    assert len(frames._rest) == 0


def test_a_bucket_fills_with_time_and_not_beyond_its_size() -> None:
    buckets = Buckets(per_second=2, burst=3)
    assert [buckets.take("a", 0.0).allowed for _ in range(4)] == [True, True, True, False]
    assert buckets.take("a", 0.0).wait_s == pytest.approx(0.5)
    assert buckets.take("b", 0.0).allowed
    assert buckets.take("a", 0.5).allowed
    assert not buckets.take("a", 0.5).allowed
    assert [buckets.take("a", 100.0).remaining for _ in range(3)] == [2, 1, 0]


def test_callers_are_forgotten_beyond_the_bound_oldest_first() -> None:
    buckets = Buckets(per_second=0.001, burst=1, callers_max=2)
    assert buckets.take("a", 0.0).allowed
    assert buckets.take("b", 0.0).allowed
    assert not buckets.take("a", 0.0).allowed
    assert buckets.take("c", 0.0).allowed
    assert len(buckets) == 2
    assert not buckets.take("a", 0.0).allowed
    assert buckets.take("b", 0.0).allowed


def test_a_room_counts() -> None:
    room = InFlight(1)
    assert room.enter()
    assert not room.enter()
    room.leave()
    assert room.enter()


@pytest.mark.parametrize(
    ("header", "weight"),
    [
        ("*/*", 1.0),
        ("text/*;q=0.5", 0.5),
        ("text/plain;q=0, */*", 0.0),
        ("application/json", 0.0),
        ("text/plain;q=0.25, text/*;q=0.9", 0.25),
        ("text/plain;q=wrong", 0.0),
    ],
)
def test_the_most_specific_range_counts(header: str, weight: float) -> None:
    assert _weight(header, "text/plain") == weight


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(0, 1 << 64) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_strict_json_reads_what_every_reader_reads(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False).encode()
    assert strict_json.read(text) == value


@given(st.binary(max_size=40))
def test_strict_json_answers_anything_with_a_value_or_a_code(raw: bytes) -> None:
    code, value = "", None
    try:
        value = strict_json.read(raw)
    except ChartsealError as error:
        code = error.code
    assert code.startswith("json-") or value == json.loads(raw)


def test_depth_is_counted_exactly() -> None:
    assert strict_json.read(b"[" * 32 + b"1" + b"]" * 32)
    with pytest.raises(ChartsealError, match="json-depth"):
        strict_json.read(b"[" * 33 + b"]" * 33)
