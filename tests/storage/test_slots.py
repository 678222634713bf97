"""A page goes apart into rows and together again, and what is no page is said to be none."""

from pathlib import Path

import pytest

from storage import keys, slots
from storage.errors import Corrupt
from storage.kv import MemoryKV
from storage.store import Store
from tests.storage.chain import NETWORK, differ, page_of

KEY = b"\x03\xab\xc0"


def rows(kv: MemoryKV) -> list[tuple[bytes, bytes]]:
    return list(kv.scan(keys.NODE, keys.after(keys.NODE)))


def test_pages_beside_one_another_are_read_apart() -> None:
    kv = MemoryKV()
    names = [b"\x00", b"\x01\x00", b"\x01\x10", b"\x02\x01", b"\x03\x01\x00", b"\x03\x01\x10"]
    whole = {name: page_of(name) for name in names}
    kv.write(slots.rows_of(whole.items()), sync=True)
    assert slots.pages(kv, [*names[::-1], b"\x02\x00"]) == [*map(whole.get, names[::-1]), None]
    assert dict(slots.every(iter(rows(kv)))) == whole
    assert slots.page(kv, names[2]) == whole[names[2]]


def test_only_slots_that_changed_are_written_and_a_page_that_goes_leaves_none() -> None:
    kv = MemoryKV()
    before = page_of(b"before")
    kv.write(slots.rows_of([(KEY, before)]), sync=True)
    nodes = slots.take_apart(before) | {7: b"n" * 64}
    now = slots.put_together(b"", [(bytes((at,)), node) for at, node in sorted(nodes.items())])
    changed = differ(keys.NODE, [(KEY, before, now)])
    assert changed == [(keys.NODE + KEY + b"\x07", b"n" * 64)]
    kv.write(changed, sync=True)
    assert slots.page(kv, KEY) == now
    kv.write(differ(keys.NODE, [(KEY, now, None)]), sync=True)
    assert rows(kv) == []
    assert slots.page(kv, KEY) is None


@pytest.mark.parametrize(
    "row",
    [
        (b"\x10", bytes(32)),  # a slot that there is not
        (b"\x03", bytes(33)),
        (b"\x03", b""),
        (b"", bytes(32)),
    ],
)
def test_rows_that_no_page_has_are_damage(tmp_path: Path, row: tuple[bytes, bytes]) -> None:
    store = Store.in_memory(NETWORK, tmp_path)
    after, node = row
    store.mend([(keys.NODE + KEY + b"\x05", bytes(32)), (keys.NODE + KEY + after, node)])
    with pytest.raises(Corrupt, match="no node of a page"):
        store.stored_page(KEY)
    with pytest.raises(Corrupt):
        list(store.iter_stored_pages())


def test_a_row_behind_a_pages_own_is_no_part_of_it_and_not_passed_over(tmp_path: Path) -> None:
    store = Store.in_memory(NETWORK, tmp_path)
    store.mend([(keys.NODE + KEY + b"\x03\x01", bytes(32))])
    with pytest.raises(Corrupt, match="no node of a page"):
        store.stored_page(KEY)
    assert [key for key, _ in store.iter_stored_pages()] == [KEY + b"\x03"]


@pytest.mark.parametrize("cut", [b"", b"\x00", page_of(b"")[:-1], page_of(b"") + b"\x00"])
def test_bytes_that_are_no_page_are_not_taken_apart(cut: bytes) -> None:
    with pytest.raises(Corrupt, match="no page"):
        slots.take_apart(cut)
    assert slots.take_apart(None) == {}
