"""The hash tree: roots, paths, and every way a path may be wrong."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger import merkle

pytestmark = pytest.mark.usefixtures("each_backend")

LEAVES = [merkle.leaf_hash(bytes([number])) for number in range(70)]
VECTORS = Path(__file__).parents[2] / "vectors"


def reference_root(leaf_hashes: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1, word for word."""
    if not leaf_hashes:
        return sha256(b"").digest()
    if len(leaf_hashes) == 1:
        return leaf_hashes[0]
    split = 1
    while split * 2 < len(leaf_hashes):
        split *= 2
    left, right = reference_root(leaf_hashes[:split]), reference_root(leaf_hashes[split:])
    return sha256(b"\x01" + left + right).digest()


def test_leaves_and_nodes_are_hashed_under_different_first_bytes() -> None:
    assert merkle.leaf_hash(b"abc") == sha256(b"\x00abc").digest()
    assert (
        merkle.node_hash(b"a" * 32, b"b" * 32)
        == sha256(b"\x01" + b"a" * 32 + b"b" * 32).digest()
    )


def test_the_fast_root_is_the_recursive_one_at_every_size() -> None:
    for size in range(len(LEAVES) + 1):
        assert merkle.root(LEAVES[:size]) == reference_root(LEAVES[:size])


def test_roots_match_the_golden_file() -> None:
    golden = json.loads((VECTORS / "merkle.json").read_text())
    leaves = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in golden["leaves"]]
    assert [merkle.root(leaves[:size]).hex() for size in range(9)] == golden["roots"]


def test_every_leaf_of_every_size_is_proven() -> None:
    for size in range(1, 40):
        root = merkle.root(LEAVES[:size])
        for index in range(size):
            path = merkle.inclusion_path(LEAVES[:size], index)
            assert merkle.verify_inclusion(
                LEAVES[index], index=index, size=size, path=path, root=root
            )


def test_every_pair_of_sizes_is_consistent() -> None:
    for new in range(40):
        for old in range(new + 1):
            assert merkle.verify_consistency(
                old_size=old,
                new_size=new,
                old_root=merkle.root(LEAVES[:old]),
                new_root=merkle.root(LEAVES[:new]),
                path=merkle.consistency_path(LEAVES, old, new),
            )


@given(
    size=st.integers(1, 60),
    data=st.data(),
)
def test_an_inclusion_proof_with_anything_changed_fails(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    path, root = merkle.inclusion_path(LEAVES[:size], index), merkle.root(LEAVES[:size])

    def holds(
        leaf: bytes = LEAVES[index],
        *,
        index: int = index,
        size: int = size,
        path: list[bytes] = path,
        root: bytes = root,
    ) -> bool:
        return merkle.verify_inclusion(leaf, index=index, size=size, path=path, root=root)

    assert holds()
    assert not holds(LEAVES[index + 1])
    assert not holds(root=merkle.leaf_hash(root))
    assert not holds(path=[*path, root])
    assert not holds(path=[root, *path])
    if path:
        assert not holds(path=path[:-1])
        assert not holds(path=path[1:])
        assert not holds(path=[path[0][:31], *path[1:]])
    other = data.draw(st.integers(-1, size + 1).filter(lambda number: number != index))
    assert not holds(index=other)


@given(new=st.integers(2, 60), data=st.data())
def test_a_consistency_proof_with_anything_changed_fails(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new - 1))
    path = merkle.consistency_path(LEAVES, old, new)
    old_root, new_root = merkle.root(LEAVES[:old]), merkle.root(LEAVES[:new])

    def holds(
        path: list[bytes],
        *,
        old: int = old,
        new: int = new,
        old_root: bytes = old_root,
        new_root: bytes = new_root,
    ) -> bool:
        return merkle.verify_consistency(
            old_size=old, new_size=new, old_root=old_root, new_root=new_root, path=path
        )

    assert holds(path)
    assert not holds([])
    assert not holds(path[:-1])
    assert not holds([*path, new_root])
    assert not holds([old_root, *path])
    assert not holds(path, old_root=new_root)
    assert not holds(path, new_root=old_root)
    assert not holds(path, old=new, new=old)
    assert not holds(path, old=0)


def test_trivial_consistency_takes_an_empty_path_and_right_roots_only() -> None:
    root = merkle.root(LEAVES[:5])
    same = {"old_size": 5, "new_size": 5, "old_root": root, "new_root": root}
    assert merkle.verify_consistency(**same, path=[])
    assert not merkle.verify_consistency(**same, path=[root])
    assert not merkle.verify_consistency(**{**same, "old_root": LEAVES[0]}, path=[])
    empty = {"old_size": 0, "new_size": 5, "old_root": merkle.EMPTY_ROOT, "new_root": root}
    assert merkle.verify_consistency(**empty, path=[])
    assert not merkle.verify_consistency(**{**empty, "old_root": root}, path=[])


def test_asking_for_what_is_not_in_the_tree_is_an_error() -> None:
    with pytest.raises(ValueError, match="no leaf 3 in a tree of 3"):
        merkle.inclusion_path(LEAVES[:3], 3)
    with pytest.raises(ValueError, match="no consistency from 4 to 3"):
        merkle.consistency_path(LEAVES, 4, 3)
    with pytest.raises(ValueError, match="tree of 71 asked of 70 leaves"):
        merkle.consistency_path(LEAVES, 4, 71)


@given(st.lists(st.integers(0, 20), max_size=8))
def test_a_frontier_grown_in_any_steps_has_the_root_and_survives_storage(
    steps: list[int],
) -> None:
    frontier = merkle.Frontier()
    for step in steps:
        at = frontier.size
        leaves = [
            merkle.leaf_hash(number.to_bytes(2, "big")) for number in range(at, at + step)
        ]
        if step == 1:
            frontier.append(leaves[0])
        else:
            frontier.extend(leaves)
        frontier = merkle.Frontier.from_bytes(frontier.to_bytes())
    everything = [merkle.leaf_hash(number.to_bytes(2, "big")) for number in range(sum(steps))]
    assert frontier.size == len(everything)
    assert frontier.root() == merkle.root(everything)


def test_stored_frontiers_of_the_wrong_length_are_refused() -> None:
    frontier = merkle.Frontier()
    frontier.extend(LEAVES[:6])
    raw = frontier.to_bytes()
    assert len(raw) == 8 + 2 * 32
    for damaged in (b"", raw[:-1], raw + b"\x00", b"\x01" + raw[1:]):
        with pytest.raises(merkle.FrontierMalformed):
            merkle.Frontier.from_bytes(damaged)
