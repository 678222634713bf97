"""Family ``supply``, custody: who owns an item now, who owned it, what it is packed in.

One owner at a time.  A shipment names its receiver and leaves the item with the sender until
exactly that institution receives it from exactly that sender; a second transfer in between, or
by one who gave the item away before, is refused as what it is.  Dispensed and destroyed items
are at their end.  Recalled and quarantined items are not shipped and not dispensed; they are
returned, received and destroyed.  A container moves with all within it, is packed and unpacked
only while nothing holds it, and stays within 256 items and 3 levels.

Bounds: ``node.ledger.facts.supply_bodies``.  State: ``node.ledger.facts.supply``.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from node.ledger.facts.supply import (
    CHILDREN_MAX,
    CLEAR,
    DEPTH_MAX,
    DESTROYED,
    DISPENSED,
    ENDED,
    HELD,
    PRODUCT_UNKNOWN,
    RETURNING,
    ROUTE_MAX,
    SHIPPED,
    TRADE,
    TREE_MAX,
    UNKNOWN,
    ItemRow,
    LotRow,
    ProductRow,
    count_change,
    item_key,
    known_item,
    lot_key,
    product_key,
    recall_in_force,
    step,
    trades,
    tree,
)
from node.ledger.facts.supply_bodies import (
    Aggregate,
    Commission,
    Destroy,
    Disaggregate,
    Dispense,
    Receive,
    Return,
    Ship,
    Void,
)
from node.ledger.rules import Context, Operation, Refused, Result
from node.ledger.state import Overlay, institution

EXISTS: Final = Result(521, "supply-item-exists", "That item is on the ledger already.")
NOT_OWNER: Final = Result(522, "supply-not-owner", "Another institution owns that item.")
DOUBLE: Final = Result(
    523, "supply-double-transfer", "The item was handed on already: it has one owner at a time."
)
NOT_SHIPPED: Final = Result(524, "supply-not-in-transit", "The item is not on its way.")
NOT_RECEIVER: Final = Result(
    525, "supply-not-receiver", "The item is on its way to another institution."
)
SENDER_DIFFERS: Final = Result(
    526, "supply-sender-differs", "Another institution than that one sent the item."
)
RECEIVER_UNFIT: Final = Result(
    527, "supply-receiver-unfit", "Items go to another institution of the trade only."
)
RECALLED: Final = Result(529, "supply-item-recalled", "The item's lot is recalled.")
QUARANTINED: Final = Result(530, "supply-item-quarantined", "The item is under quarantine.")
PACKED: Final = Result(531, "supply-item-packed", "The item is packed in a container.")
NOT_CONTAINER: Final = Result(
    532, "supply-not-container", "The item is a product and no container."
)
NOT_PRODUCT: Final = Result(533, "supply-not-product", "A container cannot be dispensed.")
TOO_LARGE: Final = Result(
    534, "supply-container-full", "A container holds 128 things, 255 with what is in them."
)
TOO_DEEP: Final = Result(535, "supply-container-deep", "Containers nest in three levels.")
NOT_INSIDE: Final = Result(536, "supply-not-inside", "The item is not in that container.")
OTHERS_PRODUCT: Final = Result(
    537, "supply-product-of-another", "Another manufacturer makes that product."
)
LOT_DIFFERS: Final = Result(538, "supply-lot-differs", "That lot has another expiry.")
ROUTE_FULL: Final = Result(539, "supply-route-full", "The item had sixteen owners already.")
NO_WAY_BACK: Final = Result(
    540, "supply-return-no-way", "The item did not come from that institution."
)
EXPIRED: Final = Result(541, "supply-item-expired", "The item's lot has expired.")
VOID_EARLY: Final = Result(
    542, "supply-void-early", "A shipment is voided in a later block than its own."
)
IN_TRANSIT: Final = Result(543, "supply-item-in-transit", "The item is on its way.")
RESULTS: Final = (
    UNKNOWN,
    EXISTS,
    NOT_OWNER,
    DOUBLE,
    NOT_SHIPPED,
    NOT_RECEIVER,
    SENDER_DIFFERS,
    RECEIVER_UNFIT,
    ENDED,
    RECALLED,
    QUARANTINED,
    PACKED,
    NOT_CONTAINER,
    NOT_PRODUCT,
    TOO_LARGE,
    TOO_DEEP,
    NOT_INSIDE,
    OTHERS_PRODUCT,
    LOT_DIFFERS,
    ROUTE_FULL,
    NO_WAY_BACK,
    EXPIRED,
    VOID_EARLY,
    IN_TRANSIT,
    PRODUCT_UNKNOWN,
)


def _new(context: Context, item: bytes, product: str | None, lot: bytes | None) -> ItemRow:
    if context.view.get(item_key(item)) is not None:
        raise Refused(EXISTS)
    org = context.org.id
    return ItemRow(
        item=item,
        product=product,
        lot=lot,
        owner=org,
        status=HELD,
        to=None,
        parent=None,
        children=(),
        size=1,
        depth=0,
        quarantine=CLEAR,
        raised_by=None,
        breached=False,
        route=(org,),
        moved_height=context.height,
        cold_height=0,
    )


def _save(view: Overlay, row: ItemRow) -> None:
    view.save(item_key(row.item), row)


def _ours(context: Context, item: bytes, *, away: Result) -> ItemRow:
    """Return an item that we own, that is here (else ``away``) and in no container."""
    row = known_item(context.view.get, item)
    if row.status in (DISPENSED, DESTROYED):
        raise Refused(ENDED)
    if row.owner != context.org.id:
        raise Refused(DOUBLE if context.org.id in row.route else NOT_OWNER)
    if row.status != HELD:
        raise Refused(away)
    if row.parent is not None:
        raise Refused(PACKED)
    return row


def _free(view: Overlay, rows: list[ItemRow]) -> None:
    """Refuse what may not reach anybody: recalled or under quarantine."""
    lots = set()
    for row in rows:
        if row.quarantine != CLEAR:
            raise Refused(QUARANTINED)
        if row.product is not None and (row.product, row.lot) not in lots:
            lots.add((row.product, row.lot))
            if recall_in_force(view.get, row.product, row.lot) is not None:
                raise Refused(RECALLED)


def _commission(context: Context, body: Commission) -> None:
    view, org = context.view, context.org.id
    product = view.load(ProductRow, product_key(body.product))
    if product is None:
        view.save(product_key(body.product), ProductRow(org))
    elif product.maker != org:
        raise Refused(OTHERS_PRODUCT)
    lot = view.load(LotRow, lot_key(body.product, body.lot))
    if lot is None:
        lot = LotRow(org, body.expires_ms, 0)
    elif lot.expires_ms != body.expires_ms:
        raise Refused(LOT_DIFFERS)
    counted = replace(lot, commissioned=lot.commissioned + len(body.items))
    view.save(lot_key(body.product, body.lot), counted)
    for item in body.items:
        row = _new(context, item, body.product, body.lot)
        _save(view, row)
        step(context, row, "commission", body.event)
        count_change(context, row, org, held=1)


def _aggregate(context: Context, body: Aggregate) -> None:
    view = context.view
    if view.get(item_key(body.parent)) is None:
        parent = _new(context, body.parent, None, None)
        step(context, parent, "commission", body.event)
    else:
        parent = _ours(context, body.parent, away=IN_TRANSIT)
        if parent.product is not None:
            raise Refused(NOT_CONTAINER)
    size, depth = parent.size, parent.depth
    for item in body.children:
        child = replace(_ours(context, item, away=IN_TRANSIT), parent=body.parent)
        size, depth = size + child.size, max(depth, child.depth + 1)
        _save(view, child)
        step(context, child, "aggregate", body.event)
    children = parent.children + body.children
    if len(children) > CHILDREN_MAX or size > TREE_MAX:
        raise Refused(TOO_LARGE)
    if depth > DEPTH_MAX:
        raise Refused(TOO_DEEP)
    _save(view, replace(parent, children=children, size=size, depth=depth))


def _disaggregate(context: Context, body: Disaggregate) -> None:
    view = context.view
    parent = _ours(context, body.parent, away=IN_TRANSIT)
    if parent.product is not None:
        raise Refused(NOT_CONTAINER)
    taken = body.children or parent.children
    if not set(taken).issubset(parent.children):
        raise Refused(NOT_INSIDE)
    for item in taken:
        child = replace(known_item(view.get, item), parent=None)
        _save(view, child)
        step(context, child, "disaggregate", body.event)
    left = tuple(item for item in parent.children if item not in set(taken))
    rows = [known_item(view.get, item) for item in left]
    size = 1 + sum(row.size for row in rows)
    depth = max((row.depth + 1 for row in rows), default=0)
    _save(view, replace(parent, children=left, size=size, depth=depth))


def _send(context: Context, rows: list[ItemRow], body: Ship | Return) -> None:
    """Put rows on their way; what is within a container goes with it."""
    back = body.reason if isinstance(body, Return) else None
    status, kind = (SHIPPED, "ship") if back is None else (RETURNING, "return")
    for row in rows:
        sent = replace(row, status=status, to=body.to, moved_height=context.height)
        _save(context.view, sent)
        step(context, sent, kind, body.event, reason=back)


def _receiver(context: Context, to: str) -> None:
    if to == context.org.id or not trades(institution(context.view, to)):
        raise Refused(RECEIVER_UNFIT)


def _whole(context: Context, items: tuple[bytes, ...], away: Result) -> Iterator[list[ItemRow]]:
    """Yield each named item of ours together with all within it."""
    for item in items:
        yield list(tree(context.view.get, _ours(context, item, away=away)))


def _ship(context: Context, body: Ship) -> None:
    _receiver(context, body.to)
    for rows in _whole(context, body.items, DOUBLE):
        _free(context.view, rows)
        if any(len(row.route) >= ROUTE_MAX for row in rows):
            raise Refused(ROUTE_FULL)
        _send(context, rows, body)


def _return(context: Context, body: Return) -> None:
    _receiver(context, body.to)
    for rows in _whole(context, body.items, DOUBLE):
        if any(body.to not in row.route for row in rows):
            raise Refused(NO_WAY_BACK)
        _send(context, rows, body)


def _travelling(context: Context, item: bytes) -> ItemRow:
    row = known_item(context.view.get, item)
    if row.status in (DISPENSED, DESTROYED):
        raise Refused(ENDED)
    if row.status == HELD:
        raise Refused(NOT_SHIPPED)
    if row.parent is not None:
        raise Refused(PACKED)
    return row


def _receive(context: Context, body: Receive) -> None:
    for item in body.items:
        top = _travelling(context, item)
        if top.to != context.org.id:
            raise Refused(NOT_RECEIVER)
        if top.owner != body.sender:
            raise Refused(SENDER_DIFFERS)
        for row in list(tree(context.view.get, top)):
            _take_over(context, row, body.event)


def _take_over(context: Context, row: ItemRow, event: bytes) -> None:
    org = context.org.id
    if row.status == RETURNING:
        route = row.route[: row.route.index(org) + 1]
    else:
        route = (*row.route, org)
    ours = replace(row, owner=org, status=HELD, to=None, route=route)
    _save(context.view, replace(ours, moved_height=context.height))
    step(context, ours, "receive", event)
    count_change(context, row, row.owner, held=-1, passed=1)
    count_change(context, row, org, held=1)


def _void(context: Context, body: Void) -> None:
    for item in body.items:
        top = _travelling(context, item)
        if top.owner != context.org.id:
            raise Refused(NOT_OWNER)
        # Otherwise one transaction could send and take back a pallet hundreds of times.
        if top.moved_height == context.height:
            raise Refused(VOID_EARLY)
        for row in list(tree(context.view.get, top)):
            back = replace(row, status=HELD, to=None, moved_height=context.height)
            _save(context.view, back)
            step(context, back, "void", body.event)


def _dispense(context: Context, body: Dispense) -> None:
    for item in body.items:
        row = _ours(context, item, away=IN_TRANSIT)
        if row.product is None or row.lot is None:
            raise Refused(NOT_PRODUCT)
        _free(context.view, [row])
        lot = context.view.load(LotRow, lot_key(row.product, row.lot))
        assert lot is not None, "an item's lot was made with it"
        if lot.expires_ms is not None and lot.expires_ms <= context.time_ms:
            raise Refused(EXPIRED)
        done = replace(row, status=DISPENSED)
        _save(context.view, done)
        step(context, done, "dispense", body.event)
        count_change(context, row, context.org.id, held=-1, dispensed=1)


def _destroy(context: Context, body: Destroy) -> None:
    for rows in _whole(context, body.items, IN_TRANSIT):
        for row in rows:
            done = replace(row, status=DESTROYED)
            _save(context.view, done)
            step(context, done, "destroy", body.event, reason=body.reason)
            count_change(context, row, context.org.id, held=-1, destroyed=1)


_MAKERS: Final = frozenset({"manufacturer"})
_DISPENSERS: Final = frozenset({"dispenser"})
OPERATIONS: Final = (
    Operation(
        "supply.commission",
        Commission,
        _commission,
        _MAKERS,
        "Put new items of a lot on record.",
    ),
    Operation("supply.aggregate", Aggregate, _aggregate, TRADE, "Pack items into a container."),
    Operation("supply.disaggregate", Disaggregate, _disaggregate, TRADE, "Unpack items again."),
    Operation("supply.ship", Ship, _ship, TRADE, "Send items to another institution."),
    Operation("supply.receive", Receive, _receive, TRADE, "Take over items sent to us."),
    Operation("supply.return", Return, _return, TRADE, "Send items back where they came from."),
    Operation("supply.void", Void, _void, TRADE, "Take back a shipment that did not happen."),
    Operation("supply.dispense", Dispense, _dispense, _DISPENSERS, "Hand items to patients."),
    Operation("supply.destroy", Destroy, _destroy, TRADE, "Destroy items."),
)
