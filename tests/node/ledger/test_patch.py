"""Patches of pages: the store makes every page of every block out of the ones before."""

import pytest
from hypothesis import given

from node.ledger import pages, patch
from node.ledger.accel import pure
from storage.errors import Corrupt
from storage.pagelog import decode, patched
from tests.node.ledger.test_undo import CHANGES


@given(CHANGES)
def test_the_pages_of_each_block_come_out_of_its_patches(
    blocks: list[dict[int, int | None]],
) -> None:
    stored: dict[bytes, bytes] = {}
    for block in blocks:
        changes = [(b"%d" % k, None if v is None else b"%d" % v) for k, v in block.items()]
        _, writes, row = pure.update_state(changes, pages.one_by_one(stored.get))
        base, layer = decode(bytes(8) + row)
        assert base == 0
        assert set(layer) == {key for key, _ in writes}
        for key, after in writes:
            assert patched(stored.get(key), layer[key]) == after
            if after is None:
                del stored[key]
            else:
                stored[key] = after


SLOTS = [bytes([number]) * 32 for number in range(1, 17)]
FULL = pages.encode_page(SLOTS)


def test_one_changed_slot_costs_that_slot_and_the_checksum() -> None:
    after = pages.encode_page([*SLOTS[:7], b"x" * 32, *SLOTS[8:]])
    made = patch.of(FULL, after)
    assert len(made) == 2 * 6 + 32 + 4
    assert patched(FULL, made) == after


@pytest.mark.parametrize("stood", [None, b"", b"something else"])
def test_a_new_page_takes_the_place_of_whatever_is_there(stood: bytes | None) -> None:
    assert patched(stood, patch.of(None, FULL)) == FULL
    assert patched(stood, patch.of(FULL, None)) is None


def test_a_patch_of_another_page_is_refused() -> None:
    made = patch.of(FULL, pages.encode_page([b"x" * 32, *SLOTS[1:]]))
    for page in (None, FULL[:-1], FULL + b"?"):
        with pytest.raises(Corrupt):
            patched(page, made)
    for cut in range(1, len(made)):
        with pytest.raises(Corrupt):
            patched(FULL, made[:cut])
