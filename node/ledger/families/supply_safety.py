"""Family ``supply``, safety: quarantine, recalls, the cold chain.

*Suspect* stops an item; *illegitimate* is a finding that a regulator alone takes back.  Both
hold for all that is packed in it, and are taken back item by item.  A
recall stops a lot, or a whole product, wherever it is and from that block on.  Both are to be
announced within 24 hours after they were determined (21 U.S.C. 360eee-1): a later notice takes
effect as well and is marked late.  Holders of a recalled lot have 24 hours to acknowledge; who
has not is an answer to a question, not an alarm.  A broken cold chain makes an item suspect.

Invariants: of a scope (product, or product and lot) one recall is in force at most; recalls
and findings are never deleted.  Bounds: one cold-chain report per item and block.
State: ``node.ledger.facts.supply``.
"""

from dataclasses import replace
from typing import Final

from node.ledger.facts import numbered
from node.ledger.facts.supply import (
    CLEAR,
    DESTROYED,
    DISPENSED,
    ENDED,
    ILLEGITIMATE,
    PRODUCT_UNKNOWN,
    SUSPECT,
    TRADE,
    ColdRow,
    HolderRow,
    InForce,
    ItemRow,
    LotRow,
    ProductRow,
    RecallRow,
    cold_key,
    holder_key,
    item_key,
    known_item,
    lot_key,
    product_key,
    recall_in_force,
    recalled_key,
    recalls_key,
    step,
    tree,
)
from node.ledger.facts.supply_bodies import (
    Acknowledge,
    Clear,
    ColdChain,
    Condemn,
    Doubt,
    Lift,
    Recall,
)
from node.ledger.facts.workdays import DAY_MS
from node.ledger.rules import Context, Operation, Refused, Result

NOT_CONCERNED: Final = Result(
    564,
    "supply-not-concerned",
    "Only the item's owner, receiver or maker, or a regulator may do this.",
)
QUARANTINED_ALREADY: Final = Result(
    565, "supply-quarantined-already", "The item is under quarantine already."
)
NOT_QUARANTINED: Final = Result(
    566, "supply-not-quarantined", "The item is not under quarantine."
)
RECALLED_ALREADY: Final = Result(
    567, "supply-recalled-already", "A recall of that scope is in force."
)
RECALL_NONE: Final = Result(568, "supply-recall-none", "No recall of that scope is in force.")
RECALL_NOT_YOURS: Final = Result(
    569, "supply-recall-not-yours", "Only the product's maker or a regulator may do this."
)
COLD_AGAIN: Final = Result(
    571, "supply-cold-again", "One report for an item and block; put the next in a later block."
)
FUTURE: Final = Result(572, "supply-future", "What was determined or measured lies ahead.")
NOT_HELD: Final = Result(
    573, "supply-lot-not-held", "The institution never had an item of that lot."
)
NOT_CUSTODIAN: Final = Result(
    574, "supply-not-custodian", "Only the item's owner or receiver may report on it."
)
CLEAR_NOT_YOURS: Final = Result(
    575,
    "supply-clear-not-yours",
    "Who raised it, the maker or a regulator clears a suspect item; an illegitimate one only "
    "a regulator.",
)
ACKNOWLEDGED: Final = Result(
    576, "supply-acknowledged", "The institution acknowledged that recall already."
)
RESULTS: Final = (
    NOT_CONCERNED,
    QUARANTINED_ALREADY,
    NOT_QUARANTINED,
    RECALLED_ALREADY,
    RECALL_NONE,
    RECALL_NOT_YOURS,
    COLD_AGAIN,
    FUTURE,
    NOT_HELD,
    NOT_CUSTODIAN,
    CLEAR_NOT_YOURS,
    ACKNOWLEDGED,
)


def _regulates(context: Context) -> bool:
    return "regulator" in context.org.roles


def _concerned(context: Context, item: bytes) -> ItemRow:
    """Return the row of an item that is the institution's business."""
    row = known_item(context.view.get, item)
    if context.org.id not in (row.owner, row.to, row.route[0]) and not _regulates(context):
        raise Refused(NOT_CONCERNED)
    return row


def _suspect(context: Context, body: Doubt) -> None:
    for item in body.items:
        row = _concerned(context, item)
        if row.quarantine != CLEAR:
            raise Refused(QUARANTINED_ALREADY)
        for inner in list(tree(context.view.get, row)):
            if inner.quarantine == CLEAR:
                _mark_suspect(context, inner, body.event, body.reason)


def _mark_suspect(context: Context, row: ItemRow, event: bytes, reason: str) -> None:
    marked = replace(row, quarantine=SUSPECT, raised_by=context.org.id)
    context.view.save(item_key(row.item), marked)
    step(context, marked, "suspect", event, reason=reason)


def _is_late(context: Context, determined_ms: int) -> bool:
    """Return whether more than 24 hours passed since; refuses times ahead."""
    if determined_ms > context.time_ms:
        raise Refused(FUTURE)
    return context.time_ms - determined_ms > DAY_MS


def _illegitimate(context: Context, body: Condemn) -> None:
    late = _is_late(context, body.determined_ms)
    for item in body.items:
        row = _concerned(context, item)
        if row.quarantine == ILLEGITIMATE:
            raise Refused(QUARANTINED_ALREADY)
        for inner in list(tree(context.view.get, row)):
            if inner.quarantine != ILLEGITIMATE:
                _mark_illegitimate(context, inner, body, late=late)


def _mark_illegitimate(context: Context, row: ItemRow, body: Condemn, *, late: bool) -> None:
    marked = replace(row, quarantine=ILLEGITIMATE, raised_by=context.org.id)
    context.view.save(item_key(row.item), marked)
    step(context, marked, "illegitimate", body.event, reason=body.reason, late=late)


def _clear(context: Context, body: Clear) -> None:
    for item in body.items:
        row = known_item(context.view.get, item)
        if row.quarantine == CLEAR:
            raise Refused(NOT_QUARANTINED)
        may = _regulates(context)
        if row.quarantine == SUSPECT:
            may = may or context.org.id in (row.raised_by, row.route[0])
        if not may:
            raise Refused(CLEAR_NOT_YOURS)
        free = replace(row, quarantine=CLEAR, raised_by=None)
        context.view.save(item_key(item), free)
        step(context, free, "clear", body.event)


def _may_recall(context: Context, product: str, lot: bytes | None) -> None:
    made = context.view.load(ProductRow, product_key(product))
    if made is None:
        raise Refused(PRODUCT_UNKNOWN)
    if lot is not None and context.view.load(LotRow, lot_key(product, lot)) is None:
        raise Refused(PRODUCT_UNKNOWN)
    if made.maker != context.org.id and not _regulates(context):
        raise Refused(RECALL_NOT_YOURS)


def _recall(context: Context, body: Recall) -> None:
    _may_recall(context, body.product, body.lot)
    scope = recalled_key(body.product, body.lot)
    if context.view.get(scope) is not None:
        raise Refused(RECALLED_ALREADY)
    row = RecallRow(
        lot=body.lot,
        org=context.org.id,
        level=body.level,
        reason=body.reason,
        event=body.event,
        determined_ms=body.determined_ms,
        late=_is_late(context, body.determined_ms),
        height=context.height,
        time_ms=context.time_ms,
        lifted_by=None,
        lifted_height=None,
        lifted_ms=None,
    )
    number = numbered.append(context.view, recalls_key(body.product), row)
    context.view.save(scope, InForce(number))


def _lift(context: Context, body: Lift) -> None:
    """End a recall; one that a regulator ordered is ended by a regulator."""
    _may_recall(context, body.product, body.lot)
    scope = recalled_key(body.product, body.lot)
    found = context.view.load(InForce, scope)
    if found is None:
        raise Refused(RECALL_NONE)
    key = numbered.row_key(recalls_key(body.product), found.number)
    row = context.view.load(RecallRow, key)
    assert row is not None, "a recall in force has its row"
    if row.org != context.org.id and not _regulates(context):
        raise Refused(RECALL_NOT_YOURS)
    ended = replace(
        row,
        lifted_by=context.org.id,
        lifted_height=context.height,
        lifted_ms=context.time_ms,
    )
    context.view.save(key, ended)
    context.view.delete(scope)


def _acknowledge(context: Context, body: Acknowledge) -> None:
    view = context.view
    recall = recall_in_force(view.get, body.product, body.lot)
    if recall is None:
        raise Refused(RECALL_NONE)
    key = holder_key(body.product, body.lot, context.org.id)
    row = view.load(HolderRow, key)
    if row is None:
        raise Refused(NOT_HELD)
    if row.acknowledged_ms is not None and row.acknowledged_ms >= recall.time_ms:
        raise Refused(ACKNOWLEDGED)
    view.save(key, replace(row, acknowledged_ms=context.time_ms))


def _coldchain(context: Context, body: ColdChain) -> None:
    top = known_item(context.view.get, body.item)
    if context.org.id not in (top.owner, top.to):
        raise Refused(NOT_CUSTODIAN)
    if top.status in (DISPENSED, DESTROYED):
        raise Refused(ENDED)
    if body.until_ms > context.time_ms:
        raise Refused(FUTURE)
    read = ColdRow(
        org=context.org.id,
        root=body.root,
        count=body.count,
        from_ms=body.from_ms,
        until_ms=body.until_ms,
        breach=body.breach,
        event=body.event,
        height=context.height,
        time_ms=context.time_ms,
    )
    for row in list(tree(context.view.get, top)):
        # Otherwise one transaction could write a pallet's readings hundreds of times.
        if row.cold_height == context.height:
            raise Refused(COLD_AGAIN)
        told = replace(row, cold_height=context.height, breached=row.breached or body.breach)
        context.view.save(item_key(row.item), told)
        numbered.append(context.view, cold_key(row.item), read)
        if body.breach and row.quarantine == CLEAR:
            _mark_suspect(context, told, body.event, "cold-chain")


_WATCH: Final = TRADE | {"regulator"}
_RECALLERS: Final = frozenset({"manufacturer", "regulator"})
OPERATIONS: Final = (
    Operation("supply.suspect", Doubt, _suspect, _WATCH, "Put suspect items in quarantine."),
    Operation(
        "supply.illegitimate", Condemn, _illegitimate, _WATCH, "Find items illegitimate."
    ),
    Operation("supply.clear", Clear, _clear, _WATCH, "Release items from quarantine."),
    Operation("supply.recall", Recall, _recall, _RECALLERS, "Recall a lot or a product."),
    Operation("supply.lift", Lift, _lift, _RECALLERS, "End a recall."),
    Operation(
        "supply.acknowledge", Acknowledge, _acknowledge, TRADE, "Confirm knowledge of a recall."
    ),
    Operation(
        "supply.coldchain",
        ColdChain,
        _coldchain,
        TRADE,
        "Commit to a stretch's sensor readings.",
    ),
)
