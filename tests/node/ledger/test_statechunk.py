"""Chunks of the state: every row that is missing, added or changed is noticed."""

import random
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger import statechunk
from node.ledger.smt import StateTree
from node.ledger.statechunk import (
    ChunkRefused,
    Place,
    StateChunk,
    chunk_of,
    cut,
    depth_for,
    path_from,
    places,
    siblings_of,
    verify_chunk,
    within,
)

Rows = dict[bytes, bytes]


def tree_of(rows: Rows) -> tuple[bytes, dict[bytes, bytes]]:
    """Return the root of ``rows`` and the pages of their tree."""
    pages: dict[bytes, bytes] = {}
    root, writes = StateTree(pages.get).update(dict(rows))
    pages.update((key, page) for key, page in writes if page is not None)
    return root, pages


def chunk_at(rows: Rows, place: Place) -> tuple[bytes, StateChunk]:
    root, pages = tree_of(rows)
    inside = [
        row
        for row in rows.items()
        if within(sha256(row[0]).digest(), place.prefix, place.depth)
    ]
    return root, chunk_of(siblings_of(pages.get, place.prefix, place.depth), inside)


def verify(root: bytes, place: Place, chunk: StateChunk) -> None:
    verify_chunk(root, place.prefix, place.depth, chunk.pairs(), chunk.siblings)


def some_rows(count: int, seed: int = 1) -> Rows:
    drawn = random.Random(seed)
    return {
        b"k/" + drawn.randbytes(4) + bytes([at & 255]): drawn.randbytes(drawn.randrange(40))
        for at in range(count)
    }


@given(
    count=st.integers(0, 60),
    depth=st.integers(0, 12),
    at=st.integers(0, 4095),
    seed=st.integers(),
)
def test_every_chunk_of_every_state_verifies(
    count: int, depth: int, at: int, seed: int
) -> None:
    place = Place(at >> (12 - depth), depth)
    root, chunk = chunk_at(some_rows(count, seed), place)
    verify(root, place, StateChunk.decode(chunk.encode()))


@pytest.mark.parametrize("depth", [0, 1, 3, 4, 5, 8])
def test_a_missing_an_added_and_a_changed_row_are_refused(depth: int) -> None:
    rows = some_rows(3000)
    place = Place(0, depth)
    root, chunk = chunk_at(rows, place)
    pairs = chunk.pairs()
    key, value = pairs[0]
    stranger = next(
        name
        for name in (b"new/%d" % at for at in range(100_000))
        if within(sha256(name).digest(), 0, depth)
    )
    bad = {
        "missing": pairs[1:],
        "none": [],
        "changed": [(key, value + b"x"), *pairs[1:]],
        "renamed": [(key + b"x", value), *pairs[1:]],
        "added": chunk_of((), [*pairs, (stranger, b"")]).pairs(),
        "twice": [pairs[0], *pairs],
        "out of order": [*pairs[1:], pairs[0]],
    }
    for name, changed in bad.items():
        with pytest.raises(ChunkRefused):
            verify_chunk(root, 0, depth, changed, chunk.siblings)
        assert changed != pairs, name


def test_a_row_of_the_neighbour_is_refused() -> None:
    rows = some_rows(100)
    root, left = chunk_at(rows, Place(0, 1))
    _, right = chunk_at(rows, Place(1, 1))
    with pytest.raises(ChunkRefused, match="another place"):
        verify_chunk(root, 0, 1, [*left.pairs(), right.pairs()[0]], left.siblings)


def test_the_only_key_cannot_be_passed_off_as_the_neighbours() -> None:
    """It rises unhashed to the root: its place alone says on which side it is."""
    rows = {b"alone": b"v"}
    path = sha256(b"alone").digest()
    side = path[0] >> 7
    root, _ = tree_of(rows)
    leaf = path + sha256(b"v").digest()
    verify_chunk(root, side ^ 1, 1, [], [leaf])
    with pytest.raises(ChunkRefused, match="where it belongs"):
        verify_chunk(root, side, 1, [], [leaf])


@given(st.integers(0, 200), st.data())
def test_every_flipped_byte_is_detected(seed: int, data: st.DataObject) -> None:
    place = Place(1, 2)
    root, chunk = chunk_at(some_rows(40, seed), place)
    raw = bytearray(chunk.encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ChunkRefused):
        verify(root, place, StateChunk.decode(bytes(raw)))


def test_a_flipped_byte_anywhere_in_a_small_chunk_is_detected() -> None:
    place = Place(1, 2)
    root, chunk = chunk_at(some_rows(40), place)
    raw = chunk.encode()
    for at in range(len(raw)):
        flipped = raw[:at] + bytes([raw[at] ^ 0x40]) + raw[at + 1 :]
        with pytest.raises(ChunkRefused):
            verify(root, place, StateChunk.decode(flipped))


def test_both_backends_give_the_same_verdict(each_backend: str) -> None:
    place = Place(5, 4)
    root, chunk = chunk_at(some_rows(3000), place)
    verify(root, place, chunk)
    assert len(chunk.rows) > 50, each_backend


@pytest.mark.parametrize(
    "depths", [b"", b"\x01", b"\x01\x01\x01", b"\x02\x01\x02", b"\x01\x02", b"\x29"]
)
def test_places_that_do_not_cover_the_state_are_refused(depths: bytes) -> None:
    with pytest.raises(ChunkRefused):
        list(places(depths))


def test_places_cover_the_state() -> None:
    assert list(places(b"\x00")) == [Place(0, 0)]
    assert list(places(b"\x01\x02\x02")) == [Place(0, 1), Place(2, 2), Place(3, 2)]


def test_a_crowded_place_is_cut_until_its_parts_are_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statechunk, "CHUNK_BYTES_MAX", 500)
    rows = list(some_rows(300).items())
    parts = list(cut(Place(0, 0), rows))
    assert sorted(row for _, part in parts for row in part) == sorted(rows)
    assert all(sum(len(k) + len(v) for k, v in part) <= 500 for _, part in parts)
    assert list(places(bytes(place.depth for place, _ in parts))) == [p for p, _ in parts]
    for place, part in parts:
        assert all(within(sha256(key).digest(), place.prefix, place.depth) for key, _ in part)


def test_the_first_cut_follows_the_size() -> None:
    assert [depth_for(size) for size in (0, 512 << 10, (512 << 10) + 1, 100 << 20)] == [
        0,
        0,
        1,
        8,
    ]
    assert path_from(3, 2)[0] == 0xC0
