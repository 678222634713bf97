"""The canonical codec: one value has one encoding, and everything else is refused."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import codec
from consensus.codec import DEPTH_MAX, Malformed

SIZE_MAX = 1 << 20

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.binary(max_size=40)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=20,
)


@given(values)
def test_what_is_encoded_decodes_to_the_same_value(value: Any) -> None:
    raw = codec.encode(value)
    again = codec.decode(raw, size_max=SIZE_MAX)
    assert again == value
    assert codec.encode(again) == raw


@given(st.binary(max_size=200))
def test_any_bytes_are_either_malformed_or_the_one_encoding_of_a_value(raw: bytes) -> None:
    try:
        value = codec.decode(raw, size_max=SIZE_MAX)
    except Malformed:
        return
    assert codec.encode(value) == raw


@given(values, st.data())
def test_a_flipped_byte_never_gives_the_same_value(value: Any, data: st.DataObject) -> None:
    raw = codec.encode(value)
    at = data.draw(st.integers(0, len(raw) - 1))
    bent = bytearray(raw)
    bent[at] ^= data.draw(st.integers(1, 255))
    try:
        other = codec.decode(bytes(bent), size_max=SIZE_MAX)
    except Malformed:
        return
    assert codec.encode(other) == bytes(bent) != raw


def test_the_order_of_a_maps_keys_does_not_reach_the_bytes() -> None:
    assert codec.encode({"b": 1, "a": 2}) == codec.encode({"a": 2, "b": 1})
    assert codec.encode({"b": 1, "a": 2}) == b"\x82\xa1a\x02\xa1b\x01"


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"\xcc\x05", "5 in two bytes"),
        (b"\xcd\x00\xff", "255 in three bytes"),
        (b"\xce\x00\x00\xff\xff", "65535 in five bytes"),
        (b"\xcf\x00\x00\x00\x00\x00\x00\x00\x01", "1 in nine bytes"),
        (b"\xd0\x05", "5 as a signed byte"),
        (b"\xd1\xff\xff", "-1 in three bytes"),
        (b"\xd9\x01a", "short text with a long length"),
        (b"\xc5\x00\x01a", "short bytes with a long length"),
        (b"\xdc\x00\x01\x01", "short array with a long length"),
        (b"\xde\x00\x01\xa1a\x01", "short map with a long length"),
        (b"\x82\xa1b\x01\xa1a\x02", "keys out of order"),
        (b"\x82\xa1a\x01\xa1a\x02", "a key twice"),
        (b"\x81\x01\x02", "a number as key"),
        (b"\x81\xc4\x01a\x02", "bytes as key"),
        (b"\xca\x3f\x80\x00\x00", "a 32-bit float"),
        (b"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", "a 64-bit float"),
        (b"\xd4\x05\x00", "an extension"),
        (b"\xd6\xff\x00\x00\x00\x01", "a timestamp of four bytes"),
        (b"\xd7\xff\x00\x00\x00\x00\x00\x00\x00\x01", "a timestamp of eight bytes"),
        (b"\xc7\x00\x01", "an empty extension"),
        (b"\xc1", "the byte that MessagePack never uses"),
        (b"\xa1\xff", "text that is not UTF-8"),
        (b"\xa3\xed\xa0\x80", "a lone surrogate"),
        (b"\x01\x01", "bytes behind the value"),
        (b"\x92\x01", "an array cut short"),
        (b"\xdd\xff\xff\xff\xff", "an array of four billion"),
        (b"", "nothing"),
    ],
)
def test_decode_refuses(raw: bytes, what: str) -> None:
    with pytest.raises(Malformed):
        codec.decode(raw, size_max=SIZE_MAX)


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a"])
@pytest.mark.parametrize("depth", [DEPTH_MAX + 1, 1000, 100_000])
def test_deep_nesting_is_refused_and_does_not_exhaust_the_stack(
    opening: bytes, depth: int
) -> None:
    with pytest.raises(Malformed):
        codec.decode(opening * depth + b"\xc0", size_max=SIZE_MAX)


def test_nesting_up_to_the_limit_is_a_value() -> None:
    raw = b"\x91" * DEPTH_MAX + b"\x01"
    assert codec.encode(codec.decode(raw, size_max=SIZE_MAX)) == raw


def test_more_bytes_than_allowed_are_refused_before_they_are_parsed() -> None:
    raw = codec.encode(b"x" * 100)
    assert codec.decode(raw, size_max=len(raw)) == b"x" * 100
    with pytest.raises(Malformed, match="at most"):
        codec.decode(raw, size_max=len(raw) - 1)


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        {1: "a"},
        {b"a": 1},
        [object()],
        1 << 64,
        -(1 << 63) - 1,
        msgpack.ExtType(5, b""),
        msgpack.Timestamp(1, 0),
        {"a": {1, 2}},
        "\ud800",
        {"\ud800": 1},
    ],
)
def test_encode_refuses_what_has_no_canonical_form(value: Any) -> None:
    with pytest.raises(Malformed):
        codec.encode(value)


def test_an_error_does_not_repeat_what_it_was_given() -> None:
    with pytest.raises(Malformed) as caught:
        codec.decode(b"\xc4\x06secret\x01", size_max=SIZE_MAX)
    assert "secret" not in str(caught.value)
