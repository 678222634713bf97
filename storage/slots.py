"""Pages of the state tree as rows: of a page only the slots that changed are written anew.

    n   page key, slot u8   the node in that slot: 32 or 64 bytes

A page's key begins with its depth, which gives its length, so that no page's rows lie among
another's.  In memory, in patches and wherever a page goes from hand to hand it is one string:

    be16 slots taken | be16 slots of 64 bytes | the nodes | be32 CRC-32

Some 500 bytes, of which a new key changes one slot: with a million keys hardly two of those
that come between two settling blocks (``pagelog``) share a page, and pages as rows were most
of what LevelDB had to write again.

Owns: these rows, taking a page apart and putting it together.  Refuses: to know what a node is
and whether a page is right; whoever reads one checks it.  To find what differs between two is
for the accelerator, which the caller brings.
Bounded: sixteen rows of a page are read; more are not its own.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Final

from storage import keys
from storage.errors import Corrupt
from storage.kv import Readable

SLOTS: Final = 16
END: Final = b"\xff" * 34  # behind every page's key
_NODE_BYTES: Final = (32, 64)
_HEAD_BYTES: Final = 4
_CRC_BYTES: Final = 4


class NoPage(Corrupt):
    """Rows, or bytes, that no page of the state tree has."""


Pair = tuple[bytes, bytes | None]
Whole = tuple[bytes, bytes]  # page key, page
Settled = Sequence[tuple[bytes, bytes | None, bytes | None]]  # page key, stored before, now
# The rows, the first argument in front of each key, that make what is stored of each page what
# it is now, in the order of pages and slots; None deletes.
Differ = Callable[[bytes, Settled], list[Pair]]


def take_apart(page: bytes | None) -> dict[int, bytes]:
    """Return a page's nodes by slot, none for no page; raises ``NoPage`` for what is none."""
    if page is None:
        return {}
    taken, double = int.from_bytes(page[:2], "big"), int.from_bytes(page[2:4], "big")
    size = 32 * (taken.bit_count() + double.bit_count()) + _HEAD_BYTES + _CRC_BYTES
    if len(page) != size or double & ~taken:
        raise NoPage(f"{len(page)} bytes are no page of the state tree", where="page")
    nodes: dict[int, bytes] = {}
    at = _HEAD_BYTES
    for slot in range(SLOTS):
        if taken >> slot & 1:
            end = at + _NODE_BYTES[double >> slot & 1]
            nodes[slot] = page[at:end]
            at = end
    return nodes


def put_together(key: bytes, rows: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """Return the page of these rows, ascending, whose keys all begin with ``key``; None when
    there are none.  Raises ``NoPage`` for rows that no page has."""
    if not rows:
        return None
    taken = double = 0
    at = len(key)
    for name, node in rows:
        slot = name[at] if len(name) == at + 1 else SLOTS
        if slot >= SLOTS or len(node) not in _NODE_BYTES:
            raise NoPage("a row that is no node of a page", where=f"page {key[1:].hex()}")
        taken |= 1 << slot
        double |= (len(node) == 64) << slot
    head = (taken << 16 | double).to_bytes(_HEAD_BYTES, "big")
    body = head + b"".join([node for _, node in rows])
    return body + zlib.crc32(body).to_bytes(_CRC_BYTES, "big")


# --- reading ------------------------------------------------------------------------------


def page(source: Readable, key: bytes) -> bytes | None:
    """Return a stored page; raises ``NoPage``."""
    return pages(source, (key,))[0]


def pages(source: Readable, page_keys: Sequence[bytes]) -> list[bytes | None]:
    """Return stored pages in the order of their keys as given; raises ``NoPage``."""
    names = [keys.NODE + key for key in page_keys]
    found = source.get_under(names, SLOTS + 1)
    return [put_together(name, rows) for name, rows in zip(names, found, strict=True)]


def every(rows: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield (page key, page) of all pages whose rows these are, in key order; raises
    ``NoPage``."""
    for name, group in groupby(rows, key=lambda row: row[0][:-1]):
        whole = put_together(name, list(islice(group, SLOTS + 1)))
        assert whole is not None, "a group has rows"
        yield name[1:], whole


def rows_of(whole: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the rows of pages in the order in which they come."""
    for key, raw in whole:
        for slot, node in take_apart(raw).items():
            yield keys.NODE + key + bytes((slot,)), node
