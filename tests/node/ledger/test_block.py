"""Headers, bodies and seals byte for byte, and nothing else is accepted for them."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import codec, wire
from node.ledger import block as blocks
from node.ledger.block import BlockMalformed, Header, Seal
from tests.support.ledger import digest
from tests.vectors import make_formats

VECTORS = Path(make_formats.__file__).parent
HEADER = make_formats.golden_header()
SEAL = make_formats.golden_seal()
RAWS = [make_formats.golden_transaction(count) for count in (1, 3)]
SIZE_MAX = 1 << 20


def golden() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((VECTORS / "block.json").read_text())
    return loaded


def test_the_golden_file_is_what_the_generator_makes() -> None:
    assert (VECTORS / "block.json").read_text() == make_formats.files()["block.json"]


def test_the_golden_header_and_digest_follow_their_definition() -> None:
    raw = bytes.fromhex(golden()["header"])
    assert msgpack.unpackb(raw) == [
        1,
        HEADER.network,
        0,
        1,
        HEADER.parent,
        1_767_225_601_000,
        "alder",
        HEADER.txids_root,
    ]
    assert golden()["body_digest"] == hashlib.sha256(b"chartseal/body/v1\0" + raw).hexdigest()
    assert blocks.decode_header(raw) == HEADER
    left, right = (hashlib.sha256(b"\x00" + item).digest() for item in RAWS)
    assert HEADER.txids_root == hashlib.sha256(b"\x01" + left + right).digest()


def test_the_golden_body_is_the_headers_fields_and_the_transactions() -> None:
    raw = bytes.fromhex(golden()["body"])
    assert msgpack.unpackb(raw) == [*msgpack.unpackb(HEADER.encode()), RAWS]
    assert blocks.decode_body(raw, size_max=SIZE_MAX) == (HEADER, RAWS)


def test_the_golden_seal_follows_its_definition() -> None:
    data = bytes.fromhex(golden()["seal"])
    tag = b"chartseal/seal/v1\0"
    assert data.startswith(tag)
    assert msgpack.unpackb(data[len(tag) :]) == [
        1,
        SEAL.parent_seal,
        SEAL.body_digest,
        1_767_225_601_000,
        0,
        2,
        SEAL.results_root,
        1,
        SEAL.state_root,
        SEAL.members_digest,
    ]
    assert golden()["seal_digest"] == hashlib.sha256(data).hexdigest()
    assert blocks.decode_seal(data) == SEAL


def test_results_root_is_over_be16_codes() -> None:
    leaves = [hashlib.sha256(b"\x00" + code.to_bytes(2, "big")).digest() for code in (0, 100)]
    root = hashlib.sha256(b"\x01" + leaves[0] + leaves[1]).hexdigest()
    assert golden()["results_root"] == root
    assert golden()["results_root_empty"] == hashlib.sha256(b"").hexdigest()
    assert blocks.txids_root([]) == hashlib.sha256(b"").digest()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"height": 0},
        {"height": 1 << 63},
        {"time_ms": 1 << 63},
        {"network": bytes(31)},
        {"parent": bytes(33)},
        {"txids_root": b""},
        {"proposer": "a" * 64},
        {"proposer": b"alder"},
        {"epoch": -1},
        {"epoch": None},
    ],
)
def test_a_header_with_a_wrong_field_is_refused(change: dict[str, Any]) -> None:
    names = list(Header.__dataclass_fields__)
    fields = [change.get(name, getattr(HEADER, name)) for name in names]
    with pytest.raises(BlockMalformed, match="header"):
        blocks.decode_header(msgpack.packb(fields, use_bin_type=True))


def test_a_header_has_one_encoding() -> None:
    raw = HEADER.encode()
    for other in (raw + b"\xc0", b"\xdc\x00\x08" + raw[1:], raw[:-1], b"", bytes(600)):
        with pytest.raises(BlockMalformed):
            blocks.decode_header(other)


@pytest.mark.parametrize(
    ("what", "raws"),
    [
        ("one missing", RAWS[:1]),
        ("another order", RAWS[::-1]),
        ("none", []),
        ("one twice", [*RAWS, RAWS[1]]),
        ("one changed", [RAWS[0], RAWS[1] + b"x"]),
    ],
)
def test_a_body_that_does_not_give_the_root_is_refused(what: str, raws: list[bytes]) -> None:
    with pytest.raises(BlockMalformed, match="do not match"):
        blocks.decode_body(blocks.encode_body(HEADER, raws), size_max=SIZE_MAX)


@pytest.mark.parametrize(
    "last", [None, [1], ["text"], [bytes(65_536)], b"bytes", [RAWS[0], [RAWS[1]]]]
)
def test_a_bodys_transactions_are_byte_strings_of_allowed_size(last: Any) -> None:
    raw = codec.encode([*wire.to_value(HEADER), last])
    with pytest.raises(BlockMalformed, match="body"):
        blocks.decode_body(raw, size_max=SIZE_MAX)


def test_a_body_beyond_the_callers_limit_is_refused() -> None:
    raw = blocks.encode_body(HEADER, RAWS)
    with pytest.raises(BlockMalformed, match="at most"):
        blocks.decode_body(raw, size_max=len(raw) - 1)


def test_a_body_is_an_array_of_nine() -> None:
    for raw in (HEADER.encode(), codec.encode([*wire.to_value(HEADER), [], []])):
        with pytest.raises(BlockMalformed):
            blocks.decode_body(raw, size_max=SIZE_MAX)


@pytest.mark.parametrize(
    "data",
    [
        SEAL.encode()[len(blocks.SEAL_TAG) :],
        blocks.BODY_TAG + SEAL.encode()[len(blocks.SEAL_TAG) :],
        SEAL.encode() + b"\x00",
        SEAL.encode()[:-1],
        blocks.SEAL_TAG + codec.encode([1] * 10),
    ],
)
def test_what_is_no_seal_is_refused(data: bytes) -> None:
    with pytest.raises(BlockMalformed, match="seal"):
        blocks.decode_seal(data)


def test_a_seal_refuses_short_digests() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        replace(SEAL, state_root=b"")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_malformed(raw: bytes) -> None:
    for read in (
        blocks.decode_header,
        blocks.decode_seal,
        lambda data: blocks.decode_seal(blocks.SEAL_TAG + data),
        lambda data: blocks.decode_body(data, size_max=SIZE_MAX),
    ):
        with pytest.raises(BlockMalformed):
            read(raw)


@given(st.integers(0, len(HEADER.encode()) - 1), st.integers(1, 255))
def test_a_changed_header_is_another_header_or_none(at: int, mask: int) -> None:
    raw = bytearray(HEADER.encode())
    raw[at] ^= mask
    try:
        read = blocks.decode_header(bytes(raw))
    except BlockMalformed:
        return
    assert read != HEADER
    assert read.encode() == bytes(raw)
    assert blocks.body_digest(bytes(raw)) != blocks.body_digest(HEADER.encode())


@given(
    numbers=st.lists(st.integers(0, (1 << 64) - 1), min_size=5, max_size=5),
    names=st.lists(st.text(max_size=4), min_size=5, max_size=5),
)
def test_every_seal_comes_back(numbers: list[int], names: list[str]) -> None:
    height, time_ms, first_index, count, state_height = numbers
    a, b, c, d, e = (digest(name) for name in names)
    seal = Seal(height, a, b, time_ms, first_index, count, c, state_height, d, e)
    assert blocks.decode_seal(seal.encode()) == seal
