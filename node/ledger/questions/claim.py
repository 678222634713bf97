"""Questions about claims: where they stand, why, what is owed, and whom they wait for.

All of them read state by key, so every answer can be proven.  Amounts are minor units of the
answer's ``currency``; lines count from 1, as people count them.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts import numbered
from node.ledger.facts.claims import (
    WITHDRAWN,
    AppealRow,
    CoverageRow,
    NullifierRow,
    PaymentRow,
    StepRow,
    appeal_key,
    claim_is_late,
    claim_row,
    coverage_row,
    nullifier_key,
    payment_key,
    step_key,
)
from node.ledger.facts.claims import used as used_of
from node.ledger.state import load_from


@dataclass(frozen=True, slots=True)
class Paged:
    claim: bytes
    start: int = 0
    limit: int = 100


# --- one claim -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Timeline:
    known: bool
    status: str = ""
    steps: tuple[StepRow, ...] = ()
    next: int | None = None


def _timeline(facts: Facts, asked: Paged) -> Timeline:
    row = claim_row(facts.get, asked.claim)
    if row is None:
        return Timeline(known=False)
    places, following = numbered.span(row.steps, asked.start, asked.limit)
    steps = [load_from(facts.get, StepRow, step_key(asked.claim, at)) for at in places]
    found = tuple(item for item in steps if item)
    return Timeline(known=True, status=row.status, steps=found, next=following)


@dataclass(frozen=True, slots=True)
class One:
    claim: bytes


@dataclass(frozen=True, slots=True)
class Owed:
    """``owed``: approved and not paid yet.  ``held``: what the provider has of it: paid and not
    taken back.  ``patient``: the patient's share, which the ledger does not collect.
    ``late``: whoever has to act has let the time pass."""

    known: bool
    status: str = ""
    provider: str = ""
    payer: str = ""
    currency: str = ""
    charge: int = 0
    approved: int = 0
    patient: int = 0
    paid: int = 0
    recouped: int = 0
    held: int = 0
    owed: int = 0
    due_ms: int | None = None
    late: bool = False


def _owed(facts: Facts, asked: One) -> Owed:
    row = claim_row(facts.get, asked.claim)
    if row is None:
        return Owed(known=False)
    return Owed(
        known=True,
        status=row.status,
        provider=row.provider,
        payer=row.payer,
        currency=row.currency,
        charge=row.charge,
        approved=row.approved,
        patient=row.patient,
        paid=row.paid,
        recouped=row.recouped,
        held=row.paid - row.recouped,
        owed=row.owed,
        due_ms=row.due_ms,
        late=claim_is_late(row, facts.time_ms),
    )


@dataclass(frozen=True, slots=True)
class AppealSaid:
    level: int
    by: str
    lines: tuple[int, ...]
    status: str
    opened_ms: int
    due_ms: int
    overdue: bool
    decided_ms: int | None
    overturned: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Appeals:
    known: bool
    appeals: tuple[AppealSaid, ...] = ()


def _appeals(facts: Facts, asked: One) -> Appeals:
    row = claim_row(facts.get, asked.claim)
    if row is None:
        return Appeals(known=False)
    said = []
    for number in range(row.appeals):
        item = load_from(facts.get, AppealRow, appeal_key(asked.claim, number))
        assert item is not None, "appeals are numbered without a gap"
        waits = item.status == "open" and 0 < item.due_ms <= facts.time_ms
        said.append(
            AppealSaid(
                level=item.level,
                by=item.by,
                lines=tuple(line + 1 for line in item.lines),
                status=item.status,
                opened_ms=item.opened_ms,
                due_ms=item.due_ms,
                overdue=waits,
                decided_ms=item.decided_ms,
                overturned=tuple(line + 1 for line in item.overturned),
            )
        )
    return Appeals(known=True, appeals=tuple(said))


# --- nullifiers, payments, coverages ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Service:
    nullifier: bytes


@dataclass(frozen=True, slots=True)
class Billed:
    """``billed``: a claim that was not withdrawn has this service, so another is refused."""

    billed: bool
    claim: bytes | None = None
    line: int | None = None
    provider: str = ""
    payer: str = ""
    since_height: int | None = None


def _nullifier(facts: Facts, asked: Service) -> Billed:
    row = load_from(facts.get, NullifierRow, nullifier_key(asked.nullifier))
    claim = None if row is None else claim_row(facts.get, row.claim)
    if row is None or claim is None:
        return Billed(billed=False)
    billed = claim.status != WITHDRAWN
    return Billed(billed, row.claim, row.line + 1, claim.provider, claim.payer, row.height)


@dataclass(frozen=True, slots=True)
class OnePayment:
    payment: bytes


@dataclass(frozen=True, slots=True)
class PaymentSaid:
    known: bool
    payment: PaymentRow | None = None


def _payment(facts: Facts, asked: OnePayment) -> PaymentSaid:
    row = load_from(facts.get, PaymentRow, payment_key(asked.payment))
    return PaymentSaid(row is not None, row)


@dataclass(frozen=True, slots=True)
class CoveragePeriod:
    """``period``: counts from 0; left out: the one that runs now."""

    coverage: bytes
    period: int | None = None


@dataclass(frozen=True, slots=True)
class UnitsSaid:
    code_class: str
    units: int


@dataclass(frozen=True, slots=True)
class Covered:
    """``live``: it has begun and not ended.  The amounts are what the period has used."""

    known: bool
    live: bool = False
    coverage: CoverageRow | None = None
    period: int = 0
    period_from_ms: int = 0
    deductible: int = 0
    out_of_pocket: int = 0
    benefit: int = 0
    units: tuple[UnitsSaid, ...] = ()


def _coverage(facts: Facts, asked: CoveragePeriod) -> Covered:
    row = coverage_row(facts.get, asked.coverage)
    if row is None:
        return Covered(known=False)
    now = min(facts.time_ms, row.end_ms - 1)
    runs = max(0, now - row.from_ms) // row.period_ms
    period = runs if asked.period is None else min(asked.period, 0xFFFF)
    used = used_of(facts.get, asked.coverage, period)
    return Covered(
        known=True,
        live=row.from_ms <= facts.time_ms < row.end_ms,
        coverage=row,
        period=period,
        period_from_ms=row.starts_ms(period),
        deductible=used.deductible,
        out_of_pocket=used.out_of_pocket,
        benefit=used.benefit,
        units=tuple(UnitsSaid(item.code_class, item.units) for item in used.units),
    )


QUESTIONS: Final = (
    Question("claim.timeline", Paged, Timeline, _timeline, "What has happened to a claim?"),
    Question("claim.owed", One, Owed, _owed, "Where does a claim stand, and what is owed?"),
    Question("claim.appeals", One, Appeals, _appeals, "What became of a claim's appeals?"),
    Question("claim.nullifier", Service, Billed, _nullifier, "Was this service billed before?"),
    Question("claim.payment", OnePayment, PaymentSaid, _payment, "What was in a payment?"),
    Question("claim.coverage.state", CoveragePeriod, Covered, _coverage,
             "What has a coverage used in a period?"),
)  # fmt: skip
