"""Subject tags: pinned values, no visible relation without the secret, refusals."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger.subject import find, tag, tags

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors/canon.json").read_text(encoding="ascii")
)["tags"]
ANNA, BERT = bytes(range(32)), bytes(32)
secrets = st.binary(min_size=32, max_size=32)
indexes = st.integers(0, (1 << 64) - 1)


def test_tags_are_the_pinned_ones() -> None:
    assert len(VECTORS) == 12
    for row in VECTORS:
        assert tag(bytes.fromhex(row["secret"]), row["i"]).hex() == row["tag"]
    assert tag(ANNA, 0).hex() == "550a4ced2db0d76ac3abd223ed0790dc"


@given(secrets, indexes, secrets, indexes)
def test_two_tags_differ_unless_secret_and_index_are_the_same(
    secret: bytes, i: int, other_secret: bytes, other_i: int
) -> None:
    one, two = tag(secret, i), tag(other_secret, other_i)
    assert len(one) == len(two) == 16
    assert (one == two) == ((secret, i) == (other_secret, other_i))


def test_tags_of_one_patient_look_like_tags_of_many() -> None:
    """Without the secret the only thing to compare is the bits, and they tell nothing.

    Among 1,000 tags of one patient and 1,000 of as many patients the mean distance of
    neighbours is 64 of 128 bits; the bounds are more than eight standard deviations wide.
    """
    one = list(tags(ANNA, count=1000))
    many = [tag(i.to_bytes(32, "big"), 0) for i in range(1000)]
    for series in (one, many):
        distances = [
            (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count()
            for a, b in pairwise(series)
        ]
        assert 62.5 < sum(distances) / len(distances) < 65.5
    assert len({*one, *many}) == 2000


def test_the_holder_of_the_secret_enumerates_and_finds_his_own() -> None:
    assert list(tags(ANNA, start=3, count=2)) == [tag(ANNA, 3), tag(ANNA, 4)]
    ledger = {tag(ANNA, 0), tag(ANNA, 5), tag(BERT, 1), tag(ANNA, 9)}
    assert find(ANNA, ledger, count=9) == {0: tag(ANNA, 0), 5: tag(ANNA, 5)}
    assert find(BERT, ledger, count=9) == {1: tag(BERT, 1)}
    assert find(bytes([7]) * 32, ledger, count=9) == {}
    assert list(tags(ANNA, count=0)) == []


@pytest.mark.parametrize("size", [0, 1, 16, 31, 33, 64, 65])
def test_a_secret_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        tag(bytes(size), 0)


@pytest.mark.parametrize("i", [-1, 1 << 64])
def test_an_index_outside_64_bits_is_refused(i: int) -> None:
    with pytest.raises(ValueError, match="index"):
        tag(ANNA, i)
