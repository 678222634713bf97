"""What people ask about items: where one is and was, whom a recall reaches, how cold it stayed.

All provable.  An item is asked for by its token, which only those can form who hold the key of
its chain; a lot by its product code and token.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts import numbered
from node.ledger.facts.supply import (
    ColdRow,
    HolderName,
    HolderRow,
    ItemRow,
    LotRow,
    RecallRow,
    Step,
    cold_key,
    event_uri,
    holder_key,
    holders_key,
    item_row,
    lot_key,
    recall_in_force,
    recalls_key,
    steps_key,
)
from node.ledger.facts.workdays import DAY_MS
from node.ledger.state import load_from


@dataclass(frozen=True, slots=True)
class AboutItem:
    item: bytes
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class ItemAt:
    item: bytes
    at_height: int


@dataclass(frozen=True, slots=True)
class AboutLot:
    product: str
    lot: bytes
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class AboutProduct:
    product: str
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Happened:
    """One step; ``epcis`` is the event's hash as EPCIS 2.0 writes it."""

    kind: str
    org: str
    holder: str
    to: str | None
    parent: bytes | None
    reason: str | None
    late: bool
    epcis: str
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Custody:
    """An item now and, step by step, how it came there."""

    known: bool
    product: str | None = None
    lot: bytes | None = None
    owner: str | None = None
    status: str | None = None
    to: str | None = None
    parent: bytes | None = None
    packed: int = 0  # how many things are in it
    quarantine: str | None = None
    recalled: bool = False
    breached: bool = False
    steps_total: int = 0
    steps: tuple[Happened, ...] = ()
    next: int | None = None


@dataclass(frozen=True, slots=True)
class HeldBy:
    """Who owned an item at the end of a block; ``known`` is no before it was commissioned."""

    known: bool
    holder: str | None = None
    last_kind: str | None = None  # the last thing that had happened by then
    last_height: int | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """What one holder has of a lot.  ``overdue``: it has or dispensed some of it and did not
    acknowledge the recall within 24 hours."""

    org: str
    held: int
    passed: int
    dispensed: int
    destroyed: int
    acknowledged_ms: int | None
    overdue: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """Everybody who ever had an item of a lot, with counts that add up to ``commissioned``."""

    known: bool
    maker: str | None = None
    expires_ms: int | None = None
    commissioned: int = 0
    recalled: bool = False
    level: int | None = None
    reason: str | None = None
    recalled_by: str | None = None
    recalled_ms: int | None = None
    acknowledge_by_ms: int | None = None
    holders_total: int = 0
    holders: tuple[Reached, ...] = ()
    next: int | None = None


@dataclass(frozen=True, slots=True)
class Recalls:
    total: int
    recalls: tuple[RecallRow, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Cold:
    """The cold chain of an item: every stretch that somebody reported, in ledger order."""

    known: bool
    breached: bool
    total: int
    stretches: tuple[ColdRow, ...]
    next: int | None


def _happened(step: Step) -> Happened:
    return Happened(
        step.kind,
        step.org,
        step.holder,
        step.to,
        step.parent,
        step.reason,
        step.late,
        event_uri(step.event),
        step.height,
        step.time_ms,
    )


def _item(facts: Facts, about: AboutItem) -> Custody:
    row = item_row(facts.get, about.item)
    if row is None:
        return Custody(known=False)
    steps, after = numbered.page(
        facts.get, steps_key(about.item), Step, start=about.start, limit=about.limit
    )
    return Custody(
        known=True,
        product=row.product,
        lot=row.lot,
        owner=row.owner,
        status=row.status,
        to=row.to,
        parent=row.parent,
        packed=row.size - 1,
        quarantine=row.quarantine,
        recalled=_is_recalled(facts, row),
        breached=row.breached,
        steps_total=numbered.length(facts.get, steps_key(about.item)),
        steps=tuple(_happened(step) for step in steps),
        next=after,
    )


def _is_recalled(facts: Facts, row: ItemRow) -> bool:
    if row.product is None:
        return False
    return recall_in_force(facts.get, row.product, row.lot) is not None


def _holder(facts: Facts, about: ItemAt) -> HeldBy:
    """Find the last step up to a height by halving: a proof of log n rows."""
    base = steps_key(about.item)
    low, high = 0, numbered.length(facts.get, base)
    last = None
    while low < high:
        middle = (low + high) // 2
        step = numbered.row(facts.get, base, Step, middle)
        if step.height <= about.at_height:
            low, last = middle + 1, step
        else:
            high = middle
    if last is None:
        return HeldBy(known=False)
    return HeldBy(known=True, holder=last.holder, last_kind=last.kind, last_height=last.height)


def _reach(facts: Facts, about: AboutLot) -> Reach:
    lot = load_from(facts.get, LotRow, lot_key(about.product, about.lot))
    if lot is None:
        return Reach(known=False)
    recall = recall_in_force(facts.get, about.product, about.lot)
    base = holders_key(about.product, about.lot)
    names, after = numbered.page(
        facts.get, base, HolderName, start=about.start, limit=about.limit
    )
    return Reach(
        known=True,
        maker=lot.maker,
        expires_ms=lot.expires_ms,
        commissioned=lot.commissioned,
        recalled=recall is not None,
        level=recall.level if recall else None,
        reason=recall.reason if recall else None,
        recalled_by=recall.org if recall else None,
        recalled_ms=recall.time_ms if recall else None,
        acknowledge_by_ms=recall.time_ms + DAY_MS if recall else None,
        holders_total=numbered.length(facts.get, base),
        holders=tuple(_reached(facts, about, name.org, recall) for name in names),
        next=after,
    )


def _reached(facts: Facts, about: AboutLot, org: str, recall: RecallRow | None) -> Reached:
    row = load_from(facts.get, HolderRow, holder_key(about.product, about.lot, org))
    assert row is not None, "a holder in the list has its row"
    told = row.acknowledged_ms
    if recall is None or (told is not None and told < recall.time_ms):
        told = None
    concerned = row.held + row.dispensed > 0
    overdue = (
        recall is not None
        and told is None
        and concerned
        and org != recall.org
        and facts.time_ms > recall.time_ms + DAY_MS
    )
    return Reached(
        org,
        row.held,
        row.passed,
        row.dispensed,
        row.destroyed,
        told,
        overdue,
    )


def _recalls(facts: Facts, about: AboutProduct) -> Recalls:
    base = recalls_key(about.product)
    rows, after = numbered.page(
        facts.get, base, RecallRow, start=about.start, limit=about.limit
    )
    return Recalls(numbered.length(facts.get, base), rows, after)


def _cold(facts: Facts, about: AboutItem) -> Cold:
    row = item_row(facts.get, about.item)
    base = cold_key(about.item)
    stretches, after = numbered.page(
        facts.get, base, ColdRow, start=about.start, limit=about.limit
    )
    breached = row is not None and row.breached
    return Cold(row is not None, breached, numbered.length(facts.get, base), stretches, after)


QUESTIONS: Final = (
    Question("supply.item", AboutItem, Custody, _item, "Where is this item, and who had it?"),
    Question("supply.holder", ItemAt, HeldBy, _holder, "Who owned this item at a height?"),
    Question("supply.reach", AboutLot, Reach, _reach, "Whom does a recall of this lot reach?"),
    Question(
        "supply.recalls", AboutProduct, Recalls, _recalls, "Which recalls of it were there?"
    ),
    Question("supply.cold", AboutItem, Cold, _cold, "Was the cold chain of this item kept?"),
)
