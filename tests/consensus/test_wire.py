"""Typed records on the wire: what goes in comes out, and nothing else gets in."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar, NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import codec, wire
from consensus.codec import Malformed
from consensus.types import Proposal

Name = NewType("Name", str)
SIZE_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class Leaf:
    name: Name
    body: bytes
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Branch:
    height: int
    only: Leaf | None
    leaves: tuple[Leaf, ...]
    marks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.height > 1000:
            raise ValueError("too high")


@dataclass(frozen=True, slots=True)
class Other:
    height: int


@dataclass(frozen=True, slots=True)
class Grown:
    GROWN_FROM: ClassVar[int] = 1

    height: int
    label: str | None = None
    marks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Empty:
    pass


KINDS = wire.Tagged({1: Leaf, 2: Branch, 7: Other})

leaves = st.builds(Leaf, st.text(max_size=8).map(Name), st.binary(max_size=8), st.booleans())
branches = st.builds(
    Branch,
    st.integers(0, 1000),
    st.none() | leaves,
    st.lists(leaves, max_size=3).map(tuple),
    st.lists(st.integers(0, wire.U64_MAX), max_size=3).map(tuple),
)


@given(branches)
def test_a_record_survives_bytes(record: Branch) -> None:
    raw = wire.encode(record)
    assert wire.decode(Branch, raw, size_max=SIZE_MAX) == record


@given(branches)
def test_a_record_survives_json(record: Branch) -> None:
    text = json.dumps(wire.to_plain(record))
    assert wire.from_plain(Branch, json.loads(text)) == record


@given(st.one_of(leaves, branches, st.builds(Other, st.integers(0, 9))))
def test_a_tagged_message_comes_back_as_its_own_type(message: Any) -> None:
    again = KINDS.decode(KINDS.encode(message), size_max=SIZE_MAX)
    assert type(again) is type(message)
    assert again == message


@given(st.binary(max_size=120))
def test_any_bytes_are_malformed_or_a_message_with_these_very_bytes(raw: bytes) -> None:
    try:
        message = KINDS.decode(raw, size_max=SIZE_MAX)
    except Malformed:
        return
    assert KINDS.encode(message) == raw


scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.binary(max_size=3) | st.text()


@given(st.recursive(scalars, lambda inner: st.lists(inner, max_size=4), max_leaves=12))
def test_any_canonical_value_is_malformed_or_a_record_of_these_very_bytes(value: Any) -> None:
    raw = codec.encode(value)
    try:
        record = wire.decode(Branch, raw, size_max=SIZE_MAX)
    except Malformed:
        return
    assert wire.encode(record) == raw


GOOD: list[Any] = [3, None, [["a", b"b", True]], [1, 2]]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (GOOD[:-1], "a field too few"),
        ([*GOOD, 1], "a field too many"),
        (["3", *GOOD[1:]], "text for a number"),
        ([True, *GOOD[1:]], "a boolean for a number"),
        ([-1, *GOOD[1:]], "a negative number"),
        ([1001, *GOOD[1:]], "a number that the record itself refuses"),
        ([3, [], *GOOD[2:]], "an empty array for a record"),
        ([3, None, [["a", "b", True]], []], "text for bytes"),
        ([3, None, [[b"a", b"b", True]], []], "bytes for text"),
        ([3, None, [["a", b"b", 1]], []], "a number for a boolean"),
        ([3, None, None, []], "nothing for an array"),
        ({"height": 3}, "a map for a record"),
    ],
)
def test_a_record_refuses(value: Any, what: str) -> None:
    assert wire.from_value(Branch, GOOD).leaves == (Leaf(Name("a"), b"b", True),)
    with pytest.raises(Malformed):
        wire.decode(Branch, codec.encode(value), size_max=SIZE_MAX)


@pytest.mark.parametrize("value", [[9, [1]], [True, ["a", b"", False]], [7], [7, [1], 2], 7])
def test_an_unknown_or_crooked_tag_is_refused(value: Any) -> None:
    with pytest.raises(Malformed):
        KINDS.decode(codec.encode(value), size_max=SIZE_MAX)


@pytest.mark.parametrize(
    ("plain", "what"),
    [
        ({"name": "a", "body": "0g"}, "not hexadecimal"),
        ({"name": "a", "body": 5}, "a number for bytes"),
        ({"name": "a"}, "a field without a default left out"),
        ({"name": "a", "body": "00", "extra": 1}, "a field that does not exist"),
        ({"name": 1, "body": "00"}, "a number for text"),
        ([], "a list for an object"),
    ],
)
def test_json_refuses(plain: Any, what: str) -> None:
    with pytest.raises(Malformed):
        wire.from_plain(Leaf, plain)


def test_json_fills_in_a_field_that_has_a_default() -> None:
    assert wire.from_plain(Leaf, {"name": "a", "body": "00ff"}) == Leaf(Name("a"), b"\x00\xff")


def test_a_proposal_with_a_half_transaction_id_is_malformed() -> None:
    good = Proposal(1, bytes(32), bytes(32), b"", bytes(64))
    raw = wire.encode(good)
    assert wire.decode(Proposal, raw, size_max=SIZE_MAX) == good
    value = codec.decode(raw, size_max=SIZE_MAX)
    value[4] = bytes(63)
    with pytest.raises(Malformed):
        wire.decode(Proposal, codec.encode(value), size_max=SIZE_MAX)


@given(st.integers(0, 9), st.none() | st.text(max_size=3), st.lists(st.integers(0, 3)))
def test_a_record_that_grew_has_one_form_the_shortest(
    height: int, label: str | None, marks: list[int]
) -> None:
    record = Grown(height, label, tuple(marks))
    value = wire.to_value(record)
    assert len(value) == (3 if marks else 2 if label is not None else 1)
    assert wire.decode(Grown, wire.encode(record), size_max=SIZE_MAX) == record
    if not marks:
        longer = [*value, None if len(value) == 1 else []]
        with pytest.raises(Malformed, match="shortest"):
            wire.from_value(Grown, longer)


def test_a_record_that_grew_reads_what_was_written_before() -> None:
    assert wire.encode(Grown(5)) == wire.encode(Other(5))
    assert wire.decode(Grown, wire.encode(Other(5)), size_max=SIZE_MAX) == Grown(5)
    for value in ([], [5, None, [1], 7]):
        with pytest.raises(Malformed):
            wire.from_value(Grown, value)


def test_a_record_without_fields_is_an_empty_array() -> None:
    assert wire.encode(Empty()) == codec.encode([])
    assert wire.decode(Empty, codec.encode([]), size_max=SIZE_MAX) == Empty()


def test_a_type_that_the_wire_cannot_carry_is_our_own_mistake() -> None:
    @dataclass(frozen=True, slots=True)
    class Crooked:
        ratio: float

    with pytest.raises(TypeError, match="cannot carry"):
        wire.from_value(Crooked, [1.0])
