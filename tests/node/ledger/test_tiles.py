"""The log in tiles gives what the tree in memory gives, and notices what is missing."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.ledger import merkle, tiles

pytestmark = pytest.mark.usefixtures("each_backend")

LEAVES = [merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(67_000)]


class Store:
    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.reads = 0

    def read(self, level: int, number: int) -> bytes | None:
        self.reads += 1
        return self.tiles.get((level, number))

    def open(self, size: int) -> tiles.TileLog:
        return tiles.TileLog(size, self.read)

    def write(self, changed: list[tuple[int, int, bytes]]) -> None:
        self.tiles.update({(level, number): raw for level, number, raw in changed})


@pytest.fixture(scope="module")
def grown() -> Store:
    random, store = Random(7), Store()
    log = store.open(0)
    while log.size < len(LEAVES):
        step = random.choice((1, 3, 255, 256, 257, 4_000))
        store.write(log.extend(LEAVES[log.size : log.size + step]))
    return store


def test_a_log_has_the_tiles_of_the_format(grown: Store) -> None:
    width = {key: len(raw) // 32 for key, raw in grown.tiles.items()}
    assert [width[0, 261], width[1, 0], width[1, 1], width[2, 0]] == [184, 256, 5, 1]
    assert all(width[0, number] == 256 for number in range(261))
    assert len(width) == 262 + 2 + 1
    assert grown.tiles[1, 0][:32] == merkle.root(LEAVES[:256])
    assert grown.tiles[2, 0] == merkle.root(LEAVES[:65_536])


def test_roots_and_paths_at_any_size_are_those_of_the_tree(grown: Store) -> None:
    random, log = Random(8), grown.open(len(LEAVES))
    assert log.root() == merkle.root(LEAVES)
    edges = (0, 1, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, len(LEAVES))
    for size in (*edges, *(random.randrange(3_000) for _ in range(30))):
        root = log.root(size)
        assert root == merkle.root(LEAVES[:size])
        if size == 0:
            continue
        index, old = random.randrange(size), random.randrange(size + 1)
        assert merkle.verify_inclusion(
            LEAVES[index],
            index=index,
            size=size,
            path=log.inclusion_path(index, size),
            root=root,
        )
        assert merkle.verify_consistency(
            old_size=old,
            new_size=size,
            old_root=log.root(old),
            new_root=root,
            path=log.consistency_path(old, size),
        )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=6), st.data())
def test_paths_equal_those_computed_from_the_leaves(
    steps: list[int], data: st.DataObject
) -> None:
    store = Store()
    log = store.open(0)
    for step in steps:
        store.write(log.extend(LEAVES[log.size : log.size + step]))
        assert log.root() == merkle.root(LEAVES[: log.size])
    size = data.draw(st.integers(0, log.size))
    old = data.draw(st.integers(0, size))
    again = store.open(log.size)
    assert again.consistency_path(old, size) == merkle.consistency_path(LEAVES, old, size)
    if size:
        index = data.draw(st.integers(0, size - 1))
        assert again.inclusion_path(index, size) == merkle.inclusion_path(LEAVES[:size], index)


def test_growing_and_the_root_do_not_wait_for_storage() -> None:
    store = Store()
    log = store.open(0)
    for start in range(0, 1_000, 50):
        log.extend(LEAVES[start : start + 50])  # nothing is stored in between
        assert log.root() == merkle.root(LEAVES[: start + 50])
    assert store.reads == 0


def test_a_proof_reads_few_tiles_and_a_second_one_none(grown: Store) -> None:
    log = grown.open(len(LEAVES))
    grown.reads = 0
    log.inclusion_path(1_234, len(LEAVES))
    assert grown.reads <= 6
    grown.reads = 0
    log.inclusion_path(1_235, len(LEAVES))
    assert grown.reads == 0


def test_the_cache_is_bounded(grown: Store) -> None:
    log = grown.open(len(LEAVES))
    for index in range(0, 60_000, 300):
        log.inclusion_path(index, len(LEAVES))
    assert len(log._cache) == tiles.CACHE_TILES


def test_surplus_of_a_crash_is_ignored_and_overwritten() -> None:
    store = Store()
    store.write(store.open(0).extend(LEAVES[:600]))
    behind = store.open(300)  # tiles reached the disk, the size did not
    assert behind.root() == merkle.root(LEAVES[:300])
    other = [merkle.leaf_hash(b"other %d" % number) for number in range(250)]
    changed = behind.extend(other)
    assert behind.root() == merkle.root(LEAVES[:300] + other)
    store.write(changed)
    assert store.open(550).root() == merkle.root(LEAVES[:300] + other)
    path = behind.inclusion_path(520, 550)
    assert path == merkle.inclusion_path(LEAVES[:300] + other, 520)


@pytest.mark.parametrize(
    "damage",
    [lambda raw: None, lambda raw: raw[:-32], lambda raw: raw[:-1], lambda raw: raw + b"x"],
    ids=["missing", "short", "cut", "ragged"],
)
@pytest.mark.parametrize("tile", [(0, 2), (0, 0), (1, 0)])
def test_a_tile_that_is_not_whole_is_an_error(
    tile: tuple[int, int], damage: Callable[[bytes], bytes | None]
) -> None:
    store = Store()
    store.write(store.open(0).extend(LEAVES[:600]))
    raw = damage(store.tiles.pop(tile))
    if raw is not None:
        store.tiles[tile] = raw
    log = store.open(600)
    with pytest.raises(tiles.TileMissing):
        _ = [log.inclusion_path(index, 600) for index in (0, 599)]


def test_what_is_not_in_the_log_is_refused() -> None:
    log = Store().open(0)
    log.extend(LEAVES[:10])
    with pytest.raises(ValueError, match="no root at 11"):
        log.root(11)
    with pytest.raises(ValueError, match="tree of 11 asked of a log of 10"):
        log.inclusion_path(0, 11)
    with pytest.raises(ValueError, match="no leaf 10"):
        log.inclusion_path(10, 10)
    with pytest.raises(ValueError, match="tree of 11"):
        log.consistency_path(1, 11)
