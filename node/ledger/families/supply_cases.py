"""Family ``supply``, clocks between partners: verification requests and exceptions.

A verification request is to be answered within 24 hours (GS1 Lightweight Messaging for the
verification of product identifiers; 21 U.S.C. 360eee-1).  "Verified" is refused for an item
that the ledger knows as recalled, quarantined, dispensed, destroyed or of another product.
An exception (data without product, wrong quantity, ...) is to be fixed by the partner within
three business days: 72 hours of business time, which runs from Monday 00:00 to Saturday 00:00
UTC without holidays (``node.ledger.facts.workdays``).  Who opened it closes it; "fixed" only
after a fix.  A late answer or fix counts and stays marked late.

Alarms: ``supply.request`` and ``supply.case`` mark what is still open when it was due.
State: ``node.ledger.facts.supply_cases``.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import sets
from node.ledger.facts.supply import (
    CLEAR,
    DESTROYED,
    DISPENSED,
    TRADE,
    gtin,
    item_row,
    recall_in_force,
    trades,
)
from node.ledger.facts.supply_bodies import org_fits
from node.ledger.facts.supply_cases import (
    ANSWERED,
    CLOSED,
    FIXED,
    OPEN,
    CaseRow,
    RequestRow,
    case_key,
    case_row,
    cases_key,
    request_key,
    request_row,
    requests_key,
)
from node.ledger.facts.words import known, sized
from node.ledger.facts.workdays import DAY_MS, business_deadline
from node.ledger.rules import Alarm, Context, Moment, Operation, Refused, Result
from node.ledger.state import institution

ANSWER_MS: Final = DAY_MS
FIX_DAYS: Final = 3
QUANTITY_MAX: Final = 1 << 32
REASONS: Final = (
    "expired",
    "illegitimate",
    "mismatch",
    "not-for-sale",
    "recalled",
    "suspect",
    "unknown-item",
)
KINDS: Final = (
    "damaged",
    "data-without-product",
    "label-mismatch",
    "product-without-data",
    "wrong-partner",
    "wrong-product",
    "wrong-quantity",
)
OUTCOMES: Final = ("fixed", "illegitimate", "returned", "withdrawn")

REQUEST_EXISTS: Final = Result(
    550, "supply-request-exists", "A request of that number is on the ledger."
)
REQUEST_UNKNOWN: Final = Result(551, "supply-request-unknown", "No such request.")
REQUEST_NOT_YOURS: Final = Result(
    552, "supply-request-not-yours", "Another institution is asked to answer that."
)
REQUEST_ANSWERED: Final = Result(553, "supply-request-answered", "That request is answered.")
CONTRADICTS: Final = Result(
    554, "supply-answer-contradicts", "The ledger knows why that item is not good for sale."
)
PARTNER_UNFIT: Final = Result(
    555, "supply-partner-unfit", "The partner must be another institution of the trade."
)
CASE_EXISTS: Final = Result(
    556, "supply-exception-exists", "An exception of that number is on the ledger."
)
CASE_UNKNOWN: Final = Result(557, "supply-exception-unknown", "No such exception.")
NOT_RESPONSIBLE: Final = Result(
    558, "supply-exception-not-responsible", "Another institution has to fix that."
)
NOT_OPENER: Final = Result(
    559, "supply-exception-not-opener", "Only who opened an exception closes it."
)
NOT_OPEN: Final = Result(
    560, "supply-exception-not-open", "That exception is fixed or closed already."
)
UNFIXED: Final = Result(561, "supply-exception-unfixed", "Nobody has fixed that exception.")
RESULTS: Final = (
    REQUEST_EXISTS,
    REQUEST_UNKNOWN,
    REQUEST_NOT_YOURS,
    REQUEST_ANSWERED,
    CONTRADICTS,
    PARTNER_UNFIT,
    CASE_EXISTS,
    CASE_UNKNOWN,
    NOT_RESPONSIBLE,
    NOT_OPENER,
    NOT_OPEN,
    UNFIXED,
)


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask ``responder``, usually the maker, whether an item is genuine.  ``request`` is a
    random number; the item need not be on the ledger: a forged one is not."""

    request: bytes
    responder: str
    item: bytes
    product: str
    lot: bytes | None = None

    def __post_init__(self) -> None:
        sized(self.request, 32, "request")
        sized(self.item, 32, "item")
        sized(self.lot, 32, "lot")
        gtin(self.product)
        org_fits(self.responder, "responder")


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer a request; ``reason`` says why an item is not verified and only then."""

    request: bytes
    verified: bool
    reason: str | None = None

    def __post_init__(self) -> None:
        sized(self.request, 32, "request")
        if self.verified == (self.reason is not None):
            raise ValueError("a reason is for items that are not verified")
        if self.reason is not None:
            known(self.reason, REASONS, "reason")


@dataclass(frozen=True, slots=True)
class Open:
    """Open an exception against a partner.  ``case`` is a random number, ``event`` the hash of
    the event in question, ``quantity`` how many pieces are concerned."""

    case: bytes
    kind: str
    against: str
    event: bytes
    quantity: int = 1
    item: bytes | None = None

    def __post_init__(self) -> None:
        sized(self.case, 32, "case")
        sized(self.event, 32, "event")
        sized(self.item, 32, "item")
        known(self.kind, KINDS, "kind")
        org_fits(self.against, "against")
        if not 1 <= self.quantity <= QUANTITY_MAX:
            raise ValueError("quantity must be 1 to 2^32")


@dataclass(frozen=True, slots=True)
class Fix:
    """Say that the exception is fixed; ``event`` is the hash of the corrected event."""

    case: bytes
    event: bytes

    def __post_init__(self) -> None:
        sized(self.case, 32, "case")
        sized(self.event, 32, "event")


@dataclass(frozen=True, slots=True)
class Close:
    """Close an exception of ours; "fixed" needs a fix, the other outcomes do not."""

    case: bytes
    outcome: str  # fixed, illegitimate, returned, withdrawn

    def __post_init__(self) -> None:
        sized(self.case, 32, "case")
        known(self.outcome, OUTCOMES, "outcome")


def _partner(context: Context, org: str) -> None:
    if org == context.org.id or not trades(institution(context.view, org)):
        raise Refused(PARTNER_UNFIT)


def _ask(context: Context, body: Ask) -> None:
    view = context.view
    if view.get(request_key(body.request)) is not None:
        raise Refused(REQUEST_EXISTS)
    _partner(context, body.responder)
    row = RequestRow(
        request=body.request,
        org=context.org.id,
        responder=body.responder,
        item=body.item,
        product=body.product,
        lot=body.lot,
        status=OPEN,
        opened_height=context.height,
        opened_ms=context.time_ms,
        due_ms=context.time_ms + ANSWER_MS,
        verified=False,
        reason=None,
        answered_height=None,
        answered_ms=None,
        late=False,
    )
    view.save(request_key(body.request), row)
    for org in (row.org, row.responder):
        sets.enter(view, requests_key(org), body.request)
    context.alarm("supply.request", body.request, time_ms=row.due_ms + 1)


def _contradicted(context: Context, row: RequestRow) -> bool:
    """Return whether the ledger knows better than to call the item verified."""
    if recall_in_force(context.view.get, row.product, row.lot) is not None:
        return True
    item = item_row(context.view.get, row.item)
    if item is None:
        return False
    if item.product != row.product or row.lot not in (None, item.lot):
        return True
    if recall_in_force(context.view.get, row.product, item.lot) is not None:
        return True
    return item.quarantine != CLEAR or item.status in (DISPENSED, DESTROYED)


def _answer(context: Context, body: Answer) -> None:
    view = context.view
    row = request_row(view.get, body.request)
    if row is None:
        raise Refused(REQUEST_UNKNOWN)
    if row.responder != context.org.id:
        raise Refused(REQUEST_NOT_YOURS)
    if row.status != OPEN:
        raise Refused(REQUEST_ANSWERED)
    if body.verified and _contradicted(context, row):
        raise Refused(CONTRADICTS)
    answered = replace(
        row,
        status=ANSWERED,
        verified=body.verified,
        reason=body.reason,
        answered_height=context.height,
        answered_ms=context.time_ms,
        late=context.time_ms > row.due_ms,
    )
    view.save(request_key(body.request), answered)
    for org in (row.org, row.responder):
        sets.leave(view, requests_key(org), body.request)


def _open(context: Context, body: Open) -> None:
    view = context.view
    if view.get(case_key(body.case)) is not None:
        raise Refused(CASE_EXISTS)
    _partner(context, body.against)
    row = CaseRow(
        case=body.case,
        kind=body.kind,
        org=context.org.id,
        against=body.against,
        item=body.item,
        event=body.event,
        quantity=body.quantity,
        status=OPEN,
        opened_height=context.height,
        opened_ms=context.time_ms,
        due_ms=business_deadline(context.time_ms, FIX_DAYS),
        fix_event=None,
        fixed_height=None,
        fixed_ms=None,
        outcome=None,
        closed_height=None,
        closed_ms=None,
        late=False,
    )
    view.save(case_key(body.case), row)
    for org in (row.org, row.against):
        sets.enter(view, cases_key(org), body.case)
    context.alarm("supply.case", body.case, time_ms=row.due_ms + 1)


def _fix(context: Context, body: Fix) -> None:
    row = case_row(context.view.get, body.case)
    if row is None:
        raise Refused(CASE_UNKNOWN)
    if row.against != context.org.id:
        raise Refused(NOT_RESPONSIBLE)
    if row.status != OPEN:
        raise Refused(NOT_OPEN)
    fixed = replace(
        row,
        status=FIXED,
        fix_event=body.event,
        fixed_height=context.height,
        fixed_ms=context.time_ms,
        late=context.time_ms > row.due_ms,
    )
    context.view.save(case_key(body.case), fixed)


def _close(context: Context, body: Close) -> None:
    row = case_row(context.view.get, body.case)
    if row is None:
        raise Refused(CASE_UNKNOWN)
    if row.org != context.org.id:
        raise Refused(NOT_OPENER)
    if row.status == CLOSED:
        raise Refused(NOT_OPEN)
    if body.outcome == "fixed" and row.status != FIXED:
        raise Refused(UNFIXED)
    closed = replace(
        row,
        status=CLOSED,
        outcome=body.outcome,
        closed_height=context.height,
        closed_ms=context.time_ms,
        late=row.late or (row.status == OPEN and context.time_ms > row.due_ms),
    )
    context.view.save(case_key(body.case), closed)
    for org in (row.org, row.against):
        sets.leave(context.view, cases_key(org), body.case)


def _request_due(moment: Moment, key: bytes) -> None:
    row = request_row(moment.view.get, key)
    if row is not None and row.status == OPEN:
        moment.view.save(request_key(key), replace(row, late=True))


def _case_due(moment: Moment, key: bytes) -> None:
    row = case_row(moment.view.get, key)
    if row is not None and row.status == OPEN:
        moment.view.save(case_key(key), replace(row, late=True))


OPERATIONS: Final = (
    Operation("supply.verify.request", Ask, _ask, TRADE, "Ask whether an item is genuine."),
    Operation(
        "supply.verify.answer", Answer, _answer, TRADE, "Say whether an item is genuine."
    ),
    Operation(
        "supply.exception.open", Open, _open, TRADE, "Report that goods and data differ."
    ),
    Operation("supply.exception.fix", Fix, _fix, TRADE, "Say that an exception is fixed."),
    Operation("supply.exception.close", Close, _close, TRADE, "Close an exception of ours."),
)
ALARMS: Final = (
    Alarm("supply.request", _request_due, "A verification request was due."),
    Alarm("supply.case", _case_due, "An exception was to be fixed."),
)
