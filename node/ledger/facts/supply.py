"""Medicines and devices on their way: items, lots, holders, recalls, as the ledger knows them.

An *item* is 32 bytes: a keyed hash of the serialised product code that only those in the chain
can form, so nobody reads a serial number here or guesses one.  A *product* is the public GTIN
of the class, a *lot* a 32-byte token.  A container (case, pallet) is an item without a product.

Owns: the rows, where they stand, how a container and all within it are walked, and what stops
an item from moving.  Invariants: an item has one owner; what is in a container has the owner
and the status of the container; of a lot, what was commissioned is what its holders hold, have
dispensed or destroyed.

State: ``supply/item/<item>`` -> ``ItemRow``; list ``supply/steps/<item>`` of ``Step``; list
``supply/cold/<item>`` of ``ColdRow``; ``supply/product/<gtin>`` -> ``ProductRow``;
``supply/lot/<gtin><lot>`` -> ``LotRow``; list ``supply/holders/<gtin><lot>`` of ``HolderName``
and ``supply/holder/<gtin><lot><org>`` -> ``HolderRow``; list ``supply/recalls/<gtin>`` of
``RecallRow`` and ``supply/recalled/<gtin>[<lot>]`` -> ``InForce``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import numbered
from node.ledger.genesis import Institution
from node.ledger.rules import Context, Refused, Result
from node.ledger.state import Overlay, Read, load_from

HELD: Final = "held"
SHIPPED: Final = "shipped"
RETURNING: Final = "returning"
DISPENSED: Final = "dispensed"
DESTROYED: Final = "destroyed"
CLEAR: Final = "clear"
SUSPECT: Final = "suspect"
ILLEGITIMATE: Final = "illegitimate"
TRADE: Final = frozenset({"dispenser", "manufacturer", "supplier"})

CHILDREN_MAX: Final = 128
TREE_MAX: Final = 256  # a container with all within it
DEPTH_MAX: Final = 3  # levels of containers: case, bundle, pallet
ROUTE_MAX: Final = 16

UNKNOWN: Final = Result(520, "supply-item-unknown", "No such item on the ledger.")
ENDED: Final = Result(528, "supply-item-ended", "The item was dispensed or destroyed.")
PRODUCT_UNKNOWN: Final = Result(
    570, "supply-product-unknown", "No item of that product or lot was commissioned."
)

_GTIN: Final = re.compile(r"[0-9]{14}")
_EVENT_HEAD: Final = "ni:///sha-256;"
_EVENT_TAIL: Final = "?ver=CBV2.0"


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item or container as it stands now; its history is its list of steps.

    ``route`` names who has owned it, the first owner first and the present one last; a return
    cuts it back.  ``size`` counts the item and all within it, ``depth`` the levels within.
    """

    item: bytes
    product: str | None  # None: a container
    lot: bytes | None
    owner: str
    status: str  # held, shipped, returning, dispensed, destroyed
    to: str | None  # who is to receive it
    parent: bytes | None
    children: tuple[bytes, ...]
    size: int
    depth: int
    quarantine: str  # clear, suspect, illegitimate
    raised_by: str | None
    breached: bool  # its cold chain was broken at some time
    route: tuple[str, ...]
    moved_height: int
    cold_height: int


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to an item; ``holder`` is its owner after it."""

    kind: str  # commission, ship, receive, ...
    org: str
    holder: str
    to: str | None
    parent: bytes | None
    event: bytes  # EPCIS event hash
    reason: str | None
    late: bool
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class ColdRow:
    """Sensor readings of one stretch: ``root`` over ``count`` of them."""

    org: str
    root: bytes
    count: int
    from_ms: int
    until_ms: int
    breach: bool
    event: bytes
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class ProductRow:
    maker: str


@dataclass(frozen=True, slots=True)
class LotRow:
    maker: str
    expires_ms: int | None
    commissioned: int


@dataclass(frozen=True, slots=True)
class HolderName:
    org: str


@dataclass(frozen=True, slots=True)
class HolderRow:
    """What one institution has of one lot: counts of items, never which."""

    org: str
    held: int  # owned, on the way to others included
    passed: int  # given to others
    dispensed: int
    destroyed: int
    since_height: int
    acknowledged_ms: int | None  # when it confirmed the recall that was in force


@dataclass(frozen=True, slots=True)
class RecallRow:
    """A recall; ``late``: announced more than 24 h after it was determined."""

    lot: bytes | None  # None: every lot of the product
    org: str
    level: int
    reason: str
    event: bytes
    determined_ms: int
    late: bool
    height: int
    time_ms: int
    lifted_by: str | None
    lifted_height: int | None
    lifted_ms: int | None


@dataclass(frozen=True, slots=True)
class InForce:
    number: int


def gtin(value: str) -> None:
    """Raise ``ValueError`` unless ``value`` is a GTIN of 14 digits with its check digit (GS1
    General Specifications 7.9: weights 3 and 1 from the left, sum a multiple of ten)."""
    if not _GTIN.fullmatch(value):
        raise ValueError("product is a GTIN of 14 digits")
    if sum(int(digit) * (1 if at % 2 else 3) for at, digit in enumerate(value)) % 10:
        raise ValueError("product has a wrong check digit")


def event_uri(event: bytes) -> str:
    """Return an event hash as EPCIS 2.0 writes it (RFC 6920 with the version of the CBV)."""
    return f"{_EVENT_HEAD}{event.hex()}{_EVENT_TAIL}"


def item_key(item: bytes) -> bytes:
    return b"supply/item/" + item


def steps_key(item: bytes) -> bytes:
    return b"supply/steps/" + item


def cold_key(item: bytes) -> bytes:
    return b"supply/cold/" + item


def product_key(product: str) -> bytes:
    return b"supply/product/" + product.encode()


def lot_key(product: str, lot: bytes) -> bytes:
    return b"supply/lot/" + product.encode() + lot


def holders_key(product: str, lot: bytes) -> bytes:
    return b"supply/holders/" + product.encode() + lot


def holder_key(product: str, lot: bytes, org: str) -> bytes:
    return b"supply/holder/" + product.encode() + lot + org.encode()


def recalls_key(product: str) -> bytes:
    return b"supply/recalls/" + product.encode()


def recalled_key(product: str, lot: bytes | None) -> bytes:
    return b"supply/recalled/" + product.encode() + (lot or b"")


def item_row(read: Read, item: bytes) -> ItemRow | None:
    return load_from(read, ItemRow, item_key(item))


def known_item(read: Read, item: bytes) -> ItemRow:
    """Return the row of an item; refuses one that nobody commissioned."""
    row = item_row(read, item)
    if row is None:
        raise Refused(UNKNOWN)
    return row


def tree(read: Read, top: ItemRow) -> Iterator[ItemRow]:
    """Yield ``top`` and all within it, containers before what is in them."""
    waiting = [top]
    while waiting:
        row = waiting.pop()
        yield row
        waiting += (known_item(read, child) for child in reversed(row.children))


def recall_in_force(read: Read, product: str, lot: bytes | None) -> RecallRow | None:
    """Return the recall of the lot, or else that of the whole product, if one is in force."""
    for scope in (lot, None) if lot is not None else (None,):
        found = load_from(read, InForce, recalled_key(product, scope))
        if found is not None:
            return numbered.row(read, recalls_key(product), RecallRow, found.number)
    return None


def trades(institution: Institution | None) -> bool:
    """Return whether items may be handed to that institution."""
    return institution is not None and bool(TRADE.intersection(institution.roles))


def step(
    context: Context,
    row: ItemRow,
    kind: str,
    event: bytes,
    *,
    reason: str | None = None,
    late: bool = False,
) -> None:
    """Write down what happened to an item, with the row as it stands after it."""
    happened = Step(
        kind,
        context.org.id,
        row.owner,
        row.to,
        row.parent,
        event,
        reason,
        late,
        context.height,
        context.time_ms,
    )
    numbered.append(context.view, steps_key(row.item), happened)


def holder(view: Overlay, product: str, lot: bytes, org: str, height: int) -> HolderRow:
    """Return what ``org`` has of a lot; one that never had any gets its place in the list."""
    row = view.load(HolderRow, holder_key(product, lot, org))
    if row is not None:
        return row
    numbered.append(view, holders_key(product, lot), HolderName(org))
    return HolderRow(org, 0, 0, 0, 0, height, None)


def count_change(context: Context, row: ItemRow, org: str, **changes: int) -> None:
    """Add ``changes`` to what ``org`` has of the item's lot; containers are not counted."""
    if row.product is None or row.lot is None:
        return
    counted = holder(context.view, row.product, row.lot, org, context.height)
    added = {name: getattr(counted, name) + more for name, more in changes.items()}
    context.view.save(holder_key(row.product, row.lot, org), replace(counted, **added))
