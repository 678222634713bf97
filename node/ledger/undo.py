"""What a page of the state tree lost in a block, and the page as it was before.

    be16 slots that changed | be16 of these, taken before | be16 of these, one key | old slots

Only the slots that changed: a block of one transaction changes one slot of the root page and
not the fifteen others.  A page that a block made lost nothing and has no such bytes; a page
that a block dropped lost all its slots.

Owns: this encoding, and putting a page together from what later blocks took from it.  Refuses:
to say that the result is right; whoever proves from it compares with the root that members
signed (``smt.StateTree.prove`` checks each page against the one above).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import compress
from operator import ne
from struct import Struct
from typing import Final

from node.ledger.pages import (
    EMPTY,
    NOTHING,
    SLOTS,
    Node,
    PageCorrupt,
    decode_page,
    encode_page,
)

_U32: Final[Callable[[bytes], tuple[int]]] = Struct(">I").unpack_from
_HEAD_BYTES: Final = 6
_ALL: Final = (1 << SLOTS) - 1
_EMPTY_SLOTS: Final[tuple[Node, ...]] = (NOTHING,) * SLOTS


def lost(before: bytes, after: bytes | None) -> bytes:
    """Return what a page lost when it became ``after`` (None: it was dropped).

    Both as the tree reads and writes them; what is not a page gives bytes without meaning.
    """
    if after is None:
        return b"\xff\xff" + before[:-4]
    if before[:4] != after[:4] and (one := _lost_of_one(before, after)):
        return one
    return _lost_of(cut(before), cut(after))


def cut(page: bytes) -> tuple[Node, ...]:
    """Return the sixteen slots of a page that the tree update has read or written: nothing is
    checked here."""
    return _cutter(page[:4])(page)


def differing(before: bytes | None, after: bytes | None) -> Iterator[tuple[int, Node]]:
    """Yield each slot in which two pages differ, None for no page, and what the second has."""
    old = _EMPTY_SLOTS if before is None else cut(before)
    new = _EMPTY_SLOTS if after is None else cut(after)
    return ((slot, new[slot]) for slot in compress(range(SLOTS), map(ne, old, new)))


def _lost_of(old: tuple[Node, ...], new: tuple[Node, ...]) -> bytes:
    changed = taken = single = 0
    parts = []
    # The pairs that are equal, nearly all, never reach the interpreter.
    for slot in compress(range(SLOTS), map(ne, old, new)):
        bit, node = 1 << slot, old[slot]
        changed |= bit
        if node:
            taken |= bit
            parts.append(node)
            if len(node) != 32:
                single |= bit
    head = changed << 2 * SLOTS | taken << SLOTS | single
    return head.to_bytes(_HEAD_BYTES, "big") + b"".join(parts)


@lru_cache(maxsize=4096)
def _cutter(head: bytes) -> Callable[[bytes], tuple[bytes, ...]]:
    """Return what cuts a page with these first four bytes into its sixteen slots; unchecked,
    for the tree update has just read and checked it.  Shapes recur, above all full ones."""
    taken, single = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:], "big")
    sizes = (32 * ((taken >> slot & 1) + (single >> slot & 1)) for slot in range(SLOTS))
    return Struct(">4x" + "".join(f"{size}s" for size in sizes) + "4x").unpack


def _lost_of_one(before: bytes, after: bytes) -> bytes | None:
    """Return the same when one slot changed its kind and no other slot changed: a new key.
    So it is with most pages of a block of anchors, and their shapes do not recur."""
    (head,), (now,) = _U32(before), _U32(after)
    kinds = head ^ now
    bit = (kinds >> SLOTS | kinds) & _ALL
    if not bit or bit & (bit - 1):
        return None
    below = bit - 1
    below |= below << SLOTS
    start = 4 + 32 * (head & below).bit_count()
    mask = bit << SLOTS | bit
    end = start + 32 * (head & mask).bit_count()
    if before[4:start] != after[4:start]:
        return None
    if before[end:-4] != after[start + 32 * (now & mask).bit_count() : -4]:
        return None
    return (bit << 2 * SLOTS | head & mask).to_bytes(_HEAD_BYTES, "big") + before[start:end]


def _cut(raw: bytes, at: int, taken: int, single: int) -> list[Node]:
    slots = []
    for _ in range(SLOTS):
        if taken & 1:
            end = at + (64 if single & 1 else 32)
            slots.append(raw[at:end])
            at = end
        else:
            slots.append(NOTHING)
        taken >>= 1
        single >>= 1
    return slots


def before(page_key: bytes, current: bytes | None, later: Iterable[bytes]) -> bytes | None:
    """Return the page as it was before all of ``later``, what blocks took, oldest first.

    ``current`` is the page as it stands now.  Of each slot the oldest bytes count; reading
    ends when every slot has its own, which after a few dozen blocks is the usual case.
    Raises ``PageCorrupt``.
    """
    found: dict[int, Node] = {}
    for raw in later:
        changed, taken, single = (int.from_bytes(raw[at : at + 2], "big") for at in (0, 2, 4))
        size = _HEAD_BYTES + 32 * (taken.bit_count() + single.bit_count())
        if len(raw) != size or taken & ~changed or single & ~taken:
            raise PageCorrupt(f"what page {page_key.hex()} lost has {len(raw)} bytes")
        nodes = _cut(raw, _HEAD_BYTES, taken, single)
        for slot in range(SLOTS):
            if changed >> slot & 1:
                found.setdefault(slot, nodes[slot])
        if len(found) == SLOTS:
            break
    if not found:
        return current
    slots = [NOTHING] * SLOTS
    if current is not None and len(found) < SLOTS:
        slots = decode_page(current, (page_key[1:] + EMPTY)[:32], page_key[0])
    for slot, node in found.items():
        slots[slot] = node
    return encode_page(slots) if any(slots) else None
