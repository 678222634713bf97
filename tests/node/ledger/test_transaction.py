"""Transactions byte for byte: the golden frames, every refusal, and no second reading."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import codec
from node.ledger import accel, transaction
from node.ledger.transaction import Op, Payload, TransactionMalformed
from tests.support.ledger import digest, key
from tests.vectors import make_formats

pytestmark = pytest.mark.usefixtures("each_backend")

VECTORS = Path(make_formats.__file__).parent
NETWORK = digest("network")
PLAIN: list[Any] = [1, NETWORK, "alder", 1000, bytes(8), [["record.anchor", [bytes(32)]]]]
SIGNERS = (key("one"), key("two"), key("three"))
GOOD = Payload(NETWORK, "alder", 1000, bytes(8), (Op("record.anchor", [bytes(32)]),))


def framed(payload: bytes, *, signers: int = 1) -> bytes:
    """Return ``payload`` in a frame whose signatures hold, whatever the payload is."""
    chosen = SIGNERS[:signers]
    keys = [item.public_key for item in chosen]
    message = transaction.signed_message(payload, keys)
    return transaction.assemble(payload, keys, [item.sign(message) for item in chosen])


def holds(raw: bytes) -> bool:
    return all(accel.verify_batch(transaction.slice_frame(raw).checks))


# --- golden -------------------------------------------------------------------------------


def test_the_golden_file_is_what_the_generator_makes() -> None:
    made = make_formats.files()["transaction.json"]
    assert (VECTORS / "transaction.json").read_text() == made


@pytest.mark.parametrize("signers", [1, 3])
def test_the_golden_frame_is_laid_out_as_specified(signers: int) -> None:
    """Slices by hand, with offsets from the format's definition and no code of ours."""
    golden = json.loads((VECTORS / "transaction.json").read_text())[f"signers_{signers}"]
    raw, payload = bytes.fromhex(golden["raw"]), bytes.fromhex(golden["payload"])
    assert raw[0:2] == bytes((1, signers))
    assert raw[2:4] == len(payload).to_bytes(2, "big")
    assert raw[4 : 4 + len(payload)] == payload
    keys = raw[4 + len(payload) : 4 + len(payload) + 32 * signers]
    assert len(raw) == 4 + len(payload) + 96 * signers
    message = b"chartseal/tx/v1\x00" + bytes((signers,)) + keys + payload
    assert golden["message"] == message.hex()
    assert golden["txid"] == hashlib.sha256(b"\x00" + raw).hexdigest()
    assert msgpack.unpackb(payload)[0] == 1
    assert holds(raw)
    parsed = transaction.parse(raw)
    assert transaction.encode_payload(parsed.payload) == payload
    assert parsed.txid.hex() == golden["txid"]
    assert b"".join(parsed.keys) == keys


def test_sign_and_parse_are_inverse() -> None:
    raw = transaction.sign(GOOD, *SIGNERS)
    parsed = transaction.parse(raw)
    assert (parsed.raw, parsed.payload) == (raw, GOOD)
    assert parsed.keys == tuple(item.public_key for item in SIGNERS)
    assert raw == framed(codec.encode(PLAIN), signers=3)


# --- refusals of the frame ----------------------------------------------------------------


def refused(raw: bytes) -> str:
    with pytest.raises(TransactionMalformed) as refusal:
        transaction.parse(raw)
    return str(refusal.value)


def test_every_truncation_and_every_extension_is_refused() -> None:
    raw = transaction.sign(GOOD, SIGNERS[0])
    for size in range(len(raw)):
        refused(raw[:size])
    refused(raw + b"\x00")


def test_the_frame_has_limits() -> None:
    raw = transaction.sign(GOOD, SIGNERS[0])
    assert "version 2" in refused(b"\x02" + raw[1:])
    assert "0 signers" in refused(raw[:1] + b"\x00" + raw[2:])
    assert "9 signers" in refused(raw[:1] + b"\x09" + raw[2:])
    assert "at most 65535" in refused(raw + bytes(65_536))
    assert "length" in refused(raw[:2] + b"\xff\xff" + raw[4:])


def test_a_transaction_may_have_65535_bytes_and_no_more() -> None:
    def of(size: int) -> Payload:
        return replace(GOOD, ops=(Op("record.anchor", [bytes(size)]),))

    room = 65_535 - len(transaction.sign(of(60_000), SIGNERS[0])) + 60_000
    assert len(transaction.parse(transaction.sign(of(room), SIGNERS[0])).raw) == 65_535
    with pytest.raises(TransactionMalformed, match="65536 bytes"):
        transaction.sign(of(room + 1), SIGNERS[0])
    with pytest.raises(TransactionMalformed, match="too large"):
        transaction.sign(of(70_000), SIGNERS[0])


def test_a_key_signs_once() -> None:
    payload = codec.encode(PLAIN)
    keys = [SIGNERS[0].public_key] * 2
    signature = SIGNERS[0].sign(transaction.signed_message(payload, keys))
    assert "twice" in refused(transaction.assemble(payload, keys, [signature] * 2))


@pytest.mark.parametrize("kept", [(0, 1), (0, 2), (1, 2), (0,), (1, 0, 2), (2, 1, 0)])
def test_a_cosigner_cannot_be_dropped_or_moved(kept: tuple[int, ...]) -> None:
    whole = transaction.slice_frame(transaction.sign(GOOD, *SIGNERS))
    raw = transaction.assemble(
        whole.payload,
        [whole.keys[at] for at in kept],
        [whole.signatures[at] for at in kept],
    )
    transaction.parse(raw)  # well-formed, so only the signatures stand against it
    assert not any(accel.verify_batch(transaction.slice_frame(raw).checks))


def test_a_cosigner_cannot_be_added() -> None:
    whole = transaction.slice_frame(transaction.sign(GOOD, SIGNERS[0]))
    keys = [*whole.keys, SIGNERS[1].public_key]
    added = SIGNERS[1].sign(transaction.signed_message(whole.payload, keys))
    raw = transaction.assemble(whole.payload, keys, [*whole.signatures, added])
    assert accel.verify_batch(transaction.slice_frame(raw).checks) == [False, True]


# --- refusals of the payload --------------------------------------------------------------


def changed(at: int, value: Any) -> list[Any]:
    return [*PLAIN[:at], value, *PLAIN[at + 1 :]]


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


WRONG_FIELDS: list[tuple[str, Any]] = [
    ("not an array", 7),
    ("five fields", PLAIN[:5]),
    ("seven fields", [*PLAIN, None]),
    ("version 2", changed(0, 2)),
    ("version as a boolean", changed(0, True)),
    ("network of 31 bytes", changed(1, bytes(31))),
    ("network as text", changed(1, "a" * 32)),
    ("org as bytes", changed(2, b"alder")),
    ("org with a capital", changed(2, "Alder")),
    ("org with a newline", changed(2, "alder\n")),
    ("org of 64 characters", changed(2, "a" * 64)),
    ("org empty", changed(2, "")),
    ("expiry negative", changed(3, -1)),
    ("expiry beyond 63 bits", changed(3, 1 << 63)),
    ("expiry as a boolean", changed(3, True)),
    ("nonce of 7 bytes", changed(4, bytes(7))),
    ("nonce as a number", changed(4, 8)),
    ("no operation", changed(5, [])),
    ("513 operations", changed(5, [["a.b", []]] * 513)),
    ("operations as a map", changed(5, {"a": []})),
    ("operation of three", changed(5, [["a.b", [], []]])),
    ("operation as text", changed(5, ["a.b"])),
    ("kind without a family", changed(5, [["anchor", []]])),
    ("kind as bytes", changed(5, [[b"a.b", []]])),
    ("kind of 65 characters", changed(5, [["a." + "b" * 63, []]])),
    ("body as a map", changed(5, [["a.b", {}]])),
    ("nested too deep", changed(5, [["a.b", nested(14)]])),
]


@pytest.mark.parametrize(("what", "value"), WRONG_FIELDS, ids=[row[0] for row in WRONG_FIELDS])
def test_a_payload_with_a_wrong_field_is_refused(what: str, value: Any) -> None:
    refused(framed(msgpack.packb(value, use_bin_type=True)))


def test_the_limits_themselves_are_allowed() -> None:
    for value in (
        changed(3, (1 << 63) - 1),
        changed(3, 0),
        changed(5, [["a.b", []]] * 512),
        changed(2, "a" * 63),
        changed(5, [["a." + "b" * 62, nested(11)]]),
    ):
        transaction.parse(framed(codec.encode(value)))


NOT_CANONICAL: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("version as uint8", lambda raw: raw[:1] + b"\xcc\x01" + raw[2:]),
    ("outer array as array16", lambda raw: b"\xdc\x00\x06" + raw[1:]),
    ("trailing byte", lambda raw: raw + b"\xc0"),
    ("text as str8", lambda raw: raw.replace(b"\xa5alder", b"\xd9\x05alder")),
    ("float version", lambda raw: raw[:1] + msgpack.packb(1.0) + raw[2:]),
    ("extension", lambda raw: raw[:1] + msgpack.packb(msgpack.ExtType(5, b"x")) + raw[2:]),
    ("invalid UTF-8", lambda raw: raw.replace(b"alder", b"\xff\xfe\xfd\xfc\xfb")),
]


@pytest.mark.parametrize(
    ("what", "change"), NOT_CANONICAL, ids=[row[0] for row in NOT_CANONICAL]
)
def test_another_encoding_of_the_same_content_is_refused(
    what: str, change: Callable[[bytes], bytes]
) -> None:
    payload = codec.encode(PLAIN)
    assert change(payload) != payload
    refused(framed(change(payload)))


@pytest.mark.parametrize("pairs", [b"\x82\xa1a\x01\xa1a\x02", b"\x82\xa1b\x01\xa1a\x02"])
def test_maps_inside_bodies_have_unique_and_ascending_keys(pairs: bytes) -> None:
    good = codec.encode(changed(5, [["a.b", [{"a": 1, "b": 2}]]]))
    transaction.parse(framed(good))
    bad = good.replace(b"\x82\xa1a\x01\xa1b\x02", pairs)
    assert bad != good
    refused(framed(bad))


def test_a_refusal_never_quotes_the_content() -> None:
    text = refused(framed(codec.encode(changed(2, "SECRET NAME"))))
    assert "SECRET" not in text


# --- properties ---------------------------------------------------------------------------


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_only_malformed(raw: bytes) -> None:
    try:
        transaction.parse(raw)
    except TransactionMalformed:
        return


@given(st.binary(max_size=300))
def test_arbitrary_payloads_in_a_good_frame_raise_only_malformed(payload: bytes) -> None:
    try:
        transaction.parse(framed(payload))
    except TransactionMalformed:
        return


_SIGNED = transaction.sign(GOOD, *SIGNERS[:2])


@given(at=st.integers(0, len(_SIGNED) - 1), mask=st.integers(1, 255))
def test_no_flipped_byte_is_accepted(at: int, mask: int) -> None:
    """So no relay can turn a transaction into a second one by the same signers."""
    raw = bytearray(_SIGNED)
    raw[at] ^= mask
    try:
        transaction.parse(bytes(raw))
    except TransactionMalformed:
        return
    assert not holds(bytes(raw))


def test_the_untouched_bytes_are_accepted() -> None:
    assert holds(_SIGNED)


_BODIES = st.recursive(
    st.none() | st.booleans() | st.integers(0, (1 << 64) - 1) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@given(
    expires=st.integers(0, (1 << 63) - 1),
    nonce=st.binary(min_size=8, max_size=8),
    bodies=st.lists(st.lists(_BODIES, max_size=3), min_size=1, max_size=4),
)
def test_every_payload_has_one_encoding(
    expires: int, nonce: bytes, bodies: list[list[Any]]
) -> None:
    ops = tuple(Op("some.kind", body) for body in bodies)
    payload = Payload(NETWORK, "alder", expires, nonce, ops)
    raw = transaction.encode_payload(payload)
    parsed = transaction.parse(framed(raw))
    assert parsed.payload == payload
    assert transaction.encode_payload(parsed.payload) == raw
