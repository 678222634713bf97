"""The state's tree grown from its pairs alone is the one that grew with the ledger."""

from itertools import pairwise
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node import regrown
from node.ledger import accel, pages
from node.ledger.smt import StateTree
from node.regrown import Regrown, Share
from storage.slots import END

Pairs = dict[bytes, bytes]
PAIRS = st.dictionaries(st.binary(max_size=4), st.binary(max_size=4), max_size=80)
PATH = st.integers(0, 255).map(lambda last: bytes(31) + bytes((last,)))  # hashes never are so


def grow(pairs: Pairs, share_items: int, run_items: int) -> tuple[bytes, list[Share]]:
    tree = Regrown(
        pairs.items(), scratch_dir=None, share_items=share_items, run_items=run_items
    )
    shares = list(tree.shares())
    return tree.root, shares


@settings(max_examples=60, deadline=None)
@given(pairs=PAIRS, share_items=st.integers(1, 9), run_items=st.integers(1, 90))
@pytest.mark.parametrize("levels", [1, 8])  # with 1 most pages are in the last share
def test_root_and_pages_are_those_of_the_tree(
    levels: int, pairs: Pairs, share_items: int, run_items: int
) -> None:
    with patch.object(regrown, "_LEVELS", levels):
        root, shares = grow(pairs, share_items, run_items)
    expected, writes = StateTree(lambda _: None).update(dict(pairs))
    assert root == expected
    found = [item for share in shares for item in share.pages.items()]
    assert sorted(found) == sorted(writes)
    for share in shares:
        within = [item for span in share.spans for item in share.within(*span)]
        assert sorted(within) == sorted(share.pages.items())


@pytest.mark.parametrize("keys", [0, 1, 17, 300])
def test_every_possible_key_lies_in_one_span(keys: int) -> None:
    _, shares = grow({b"%d" % at: b"" for at in range(keys)}, 1, 1000)
    spans = sorted(span for share in shares for span in share.spans)
    assert spans[0][0] == b""
    assert spans[-1][1] == END
    assert all(left[1] == right[0] for left, right in pairwise(spans))


def test_a_large_state_in_many_runs_is_grown_as_it_grew(tmp_path: Path) -> None:
    random, stored = Random(5), dict[bytes, bytes]()
    pairs = {random.randbytes(20): random.randbytes(8) for _ in range(30_000)}
    rests: list[None] = []
    tree = Regrown(
        sorted(pairs.items()),
        scratch_dir=tmp_path,
        rest=lambda: rests.append(None),
        share_items=200,
        run_items=1_700,
    )
    for share in tree.shares():
        assert len(share.pages) < 300
        stored |= share.pages
        assert list(tmp_path.iterdir()) == []  # the file has no name
    root, writes = StateTree(lambda _: None).update(dict(pairs))
    assert tree.root == root
    assert stored == dict(writes)
    assert len(rests) > 30_000 // 1024 + 256


# --- the batch call -----------------------------------------------------------------------


@pytest.fixture(params=["pure", "native"])
def backend(request: pytest.FixtureRequest) -> accel.Backend:
    if request.param == "native" and (reason := accel.native.unusable()):
        pytest.skip(f"the native accelerator was not tried: {reason}")
    chosen: accel.Backend = getattr(accel, request.param)
    return chosen


@settings(max_examples=100, deadline=None)
@given(paths=st.sets(st.binary(min_size=32, max_size=32) | PATH, max_size=30))
def test_a_row_grows_alike_in_both(paths: set[bytes]) -> None:
    if reason := accel.native.unusable():
        pytest.skip(f"the native accelerator was not compared with the pure one: {reason}")
    row = b"".join(path + b"v" * 32 for path in paths)
    node, made = accel.pure.grow_state(row, 0)
    other, same = accel.native.grow_state(row, 0)
    assert (other, sorted(same)) == (node, sorted(made))
    assert len(node) == (0 if not paths else 64 if len(paths) == 1 else 32)


def test_a_share_of_one_key_and_of_two_deep_ones(backend: accel.Backend) -> None:
    item = bytes(31) + b"\x10" + b"v" * 32
    assert backend.grow_state(b"", 5) == (b"", [])
    assert backend.grow_state(item, 5) == (item, [])
    node, made = backend.grow_state(bytes(32) + b"w" * 32 + item, 60)
    assert len(node) == 32
    assert sorted(key[0] for key, _ in made) == [60, 61, 62]
    assert {key[1:] for key, _ in made} == {bytes(30), bytes(31)}


@pytest.mark.parametrize(
    ("row", "depth"),
    [
        (bytes(63), 1),
        (bytes(64), 64),
        (bytes(128), 1),
        (bytes(64) + b"\x01" + bytes(63), 2),
    ],
    ids=["size", "depth", "twice", "places"],
)
def test_what_is_no_share_is_refused(backend: accel.Backend, row: bytes, depth: int) -> None:
    with pytest.raises(ValueError, match="keys"):
        backend.grow_state(row, depth)


def test_the_top_of_a_tree_is_joined_from_its_parts() -> None:
    leaf = b"\x30" + bytes(63)
    nodes = [pages.NOTHING] * 256
    nodes[0x30] = leaf
    node, made = pages.joined(nodes, 2)
    assert node == leaf
    assert [key for key, _ in made] == [b"\x00"]  # only the root's page keeps a lone key
