"""Framing: the same frames however the stream is cut, a typed fault at the first bad byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.net.faults import FrameFault
from node.net.frame import (
    FRAME_BYTES_MAX,
    HANDSHAKE_TYPES,
    PRIORITIES,
    SESSION_TYPES,
    Frame,
    FrameReader,
    FrameType,
    Priority,
    encode,
)

frames = st.lists(
    st.builds(Frame, st.sampled_from(sorted(SESSION_TYPES)), st.binary(max_size=300)),
    max_size=8,
)


@given(frames, st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_any_chunking_gives_the_same_frames(sent: list[Frame], sizes: list[int]) -> None:
    stream = b"".join(encode(frame.type, frame.body) for frame in sent)
    reader, got, at, turn = FrameReader(), list[Frame](), 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        got += reader.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert got == sent
    assert reader.buffered_bytes == 0


@given(st.binary(max_size=400), st.integers(1, 64))
def test_garbage_gives_frames_or_a_frame_fault_and_bounded_memory(
    data: bytes, size: int
) -> None:
    reader, code = FrameReader(frame_bytes_max=128), ""
    for at in range(0, len(data), size):
        try:
            got = reader.feed(data[at : at + size])
        except FrameFault as fault:
            code = fault.code
            break
        assert all(len(frame.body) < 128 for frame in got)
        assert reader.buffered_bytes < 4 + 128
    if code:
        assert code in {"oversize", "empty", "unknown-type"}
        with pytest.raises(FrameFault, match=code):
            reader.feed(b"")


def test_a_frame_is_length_type_and_body() -> None:
    assert encode(FrameType.CONSENSUS, b"ab") == bytes([0, 0, 0, 3, 16]) + b"ab"
    assert FrameReader().feed(bytes([0, 0, 0, 1, 64])) == [Frame(FrameType.PING, b"")]


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"\x01", "oversize"),
        (b"\x00\x40\x01", "oversize"),
        (b"\x00\x40\x00\x01", "oversize"),
        (b"\x00\x00\x00\x00", "empty"),
        (b"\x00\x00\x00\x05\xff", "unknown-type"),
        (b"\x00\x00\x00\x05\x01", "unknown-type"),  # HELLO has no place in a session
    ],
)
def test_a_fault_is_found_at_the_earliest_byte(head: bytes, code: str) -> None:
    reader = FrameReader()
    assert reader.feed(head[:-1]) == []
    with pytest.raises(FrameFault) as fault:
        reader.feed(head[-1:])
    assert fault.value.code == code


def test_the_largest_frame_passes_and_a_larger_one_is_our_own_error() -> None:
    body = bytes(FRAME_BYTES_MAX - 1)
    assert FrameReader().feed(encode(FrameType.SYNC_RESPONSE, body)) == [
        Frame(FrameType.SYNC_RESPONSE, body)
    ]
    with pytest.raises(AssertionError):
        encode(FrameType.SYNC_RESPONSE, body + b"x")


def test_every_type_has_a_phase_and_a_priority() -> None:
    assert set(PRIORITIES) == set(FrameType) == HANDSHAKE_TYPES | SESSION_TYPES
    assert PRIORITIES[FrameType.CONSENSUS] < PRIORITIES[FrameType.BODY_RESPONSE]
    assert PRIORITIES[FrameType.BODY_RESPONSE] < PRIORITIES[FrameType.TRANSACTIONS]
    assert PRIORITIES[FrameType.SYNC_RESPONSE] is Priority.BULK
