"""Gossip bodies come back as they went, and nothing else comes back at all."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import codec
from consensus.codec import Malformed
from node.gossip.encoding import (
    INVENTORY_IDS_MAX,
    TRANSACTION_BYTES_MAX,
    TRANSACTIONS_BODY_BYTES_MAX,
    batches,
    decode_ids,
    decode_transactions,
    encode_ids,
    encode_transactions,
)

raws = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20)
ids = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=20, unique=True)


@given(raws)
def test_transactions_come_back(sent: list[bytes]) -> None:
    assert decode_transactions(encode_transactions(sent)) == tuple(sent)


@given(ids)
def test_ids_come_back(sent: list[bytes]) -> None:
    assert decode_ids(encode_ids(sent)) == tuple(sent)


@given(st.lists(st.integers(1, TRANSACTION_BYTES_MAX), min_size=1, max_size=40))
def test_batches_keep_order_and_fit_their_frame(sizes: list[int]) -> None:
    sent = [bytes([number]) * size for number, size in enumerate(sizes)]
    groups = list(batches(sent))
    assert [raw for group in groups for raw in group] == sent
    for group in groups:
        body = encode_transactions(group)
        assert len(body) <= TRANSACTIONS_BODY_BYTES_MAX
        assert decode_transactions(body) == group


def test_the_largest_inventory_fits() -> None:
    full = [number.to_bytes(32, "big") for number in range(INVENTORY_IDS_MAX)]
    assert decode_ids(encode_ids(full)) == tuple(full)
    one_more = codec.encode(b"".join([*full, b"\xff" * 32]))
    with pytest.raises(Malformed):
        decode_ids(one_more)


@pytest.mark.parametrize("value", [b"", b"x" * 31, b"x" * 64, "text", [], None])
def test_ids_that_are_none_are_refused(value: codec.Value) -> None:
    with pytest.raises(Malformed):
        decode_ids(codec.encode(value))


@pytest.mark.parametrize("value", [[], [b""], ["x"], b"x", [b"x" * 65_536], {"a": b"x"}])
def test_transactions_that_are_none_are_refused(value: codec.Value) -> None:
    with pytest.raises(Malformed):
        decode_transactions(codec.encode(value))


@given(st.binary(max_size=200))
def test_garbage_raises_malformed_only(body: bytes) -> None:
    for decode in (decode_ids, decode_transactions):
        with contextlib.suppress(Malformed):
            decode(body)
