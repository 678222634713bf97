"""What pages lose: any page comes back from what later blocks took from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger import pages, undo
from node.ledger.pages import PageCorrupt

CHANGES = st.lists(
    st.dictionaries(
        st.integers(0, 400), st.none() | st.integers(0, 9), min_size=1, max_size=40
    ),
    min_size=1,
    max_size=12,
)


@given(CHANGES)
def test_every_page_of_every_block_comes_back(blocks: list[dict[int, int | None]]) -> None:
    stored: dict[bytes, bytes] = {}
    past: list[dict[bytes, bytes]] = []
    taken: list[dict[bytes, bytes]] = []
    for block in blocks:
        past.append(dict(stored))
        named = [(b"%d" % k, None if v is None else b"%d" % v) for k, v in block.items()]
        _, writes = pages.update(named, stored.get)
        taken.append({})
        for key, after in writes:
            if key in stored:
                taken[-1][key] = undo.lost(stored[key], after)
            if after is None:
                del stored[key]
            else:
                stored[key] = after
    for height, then in enumerate(past):
        for key, page in then.items():
            later = [took[key] for took in taken[height:] if key in took]
            assert undo.before(key, stored.get(key), later) == page


def test_one_changed_slot_costs_that_slot() -> None:
    slots = [bytes([number]) * 32 for number in range(1, 17)]
    before = pages.encode_page(slots)
    after = pages.encode_page([*slots[:7], b"x" * 32, *slots[8:]])
    assert undo.lost(before, after) == b"\x00\x80\x00\x80\x00\x00" + slots[7]
    emptied = pages.encode_page([*slots[:7], b"", *slots[8:]])
    assert undo.lost(emptied, before) == b"\x00\x80\x00\x00\x00\x00"


def test_reading_ends_when_every_slot_is_known() -> None:
    slots = [bytes([number]) * 32 for number in range(1, 17)]
    before = pages.encode_page(slots)

    def later():
        yield undo.lost(before, None)
        raise AssertionError("nothing more is needed")

    assert undo.before(b"\x00", None, later()) == before


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\x01\x00\x01\x00\x00" + bytes(31),
        b"\x00\x01\x00\x02\x00\x00" + bytes(32),  # a slot taken that did not change
        b"\x00\x01\x00\x00\x00\x01",  # one key in an empty slot
    ],
)
def test_what_no_page_lost_is_refused(raw: bytes) -> None:
    with pytest.raises(PageCorrupt):
        undo.before(b"\x00", None, [raw])
