"""Which slots of pages changed: both backends, storage and the tree say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger import pages, undo
from node.ledger.accel import native, pure
from storage import slots


@pytest.fixture(scope="module")
def both() -> None:
    if reason := native.unusable():
        pytest.skip(f"the native accelerator was not compared with the pure one: {reason}")


SLOT = st.sampled_from([b"", b"a" * 32, b"b" * 32, b"c" * 64, b"d" * 64])
PAGE = st.lists(SLOT, min_size=16, max_size=16).filter(any).map(pages.encode_page)


@pytest.mark.usefixtures("both")
@given(pairs=st.lists(st.tuples(PAGE, st.none() | PAGE), max_size=8))
def test_what_pages_lost_is_the_same_in_both(pairs: list[tuple[bytes, bytes | None]]) -> None:
    assert native.pages_lost(pairs) == pure.pages_lost(pairs)


@pytest.mark.usefixtures("both")
@given(
    settled=st.lists(st.tuples(st.binary(max_size=9), st.none() | PAGE, st.none() | PAGE)),
    head=st.binary(max_size=2),
)
def test_which_slots_differ_is_the_same_in_both_and_makes_one_page_of_the_other(
    settled: list[tuple[bytes, bytes | None, bytes | None]], head: bytes
) -> None:
    rows = pure.page_rows(head, settled)
    assert native.page_rows(head, settled) == rows
    for key, before, now in settled:
        made = slots.take_apart(before)
        for name, node in pure.page_rows(head, [(key, before, now)]):
            assert name[:-1] == head + key
            assert made.get(name[-1]) != node
            if node is None:
                del made[name[-1]]
            else:
                made[name[-1]] = node
        assert made == slots.take_apart(now)
    assert len(rows) == sum(len(pure.page_rows(head, [one])) for one in settled)


@given(page=PAGE)
def test_storage_and_the_tree_mean_the_same_by_a_page(page: bytes) -> None:
    nodes = slots.take_apart(page)
    assert [nodes.get(slot, b"") for slot in range(16)] == list(undo.cut(page))
    assert slots.put_together(b"", [(bytes((at,)), node) for at, node in nodes.items()]) == page
