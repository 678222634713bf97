"""Questions about outcome contracts: their terms, and how a settlement came about."""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts.claim_value import (
    DISPUTED,
    FINAL,
    OPEN,
    PERIODS_MAX,
    ContractRow,
    DisputeRow,
    Outcome,
    ReportRow,
    SettlementRow,
    contract_row,
    dispute_key,
    is_final,
    period_row,
    report_key,
    reported,
    settle,
    settlement_key,
)
from node.ledger.state import load_from


@dataclass(frozen=True, slots=True)
class ContractAsked:
    contract: bytes


@dataclass(frozen=True, slots=True)
class ContractSaid:
    known: bool
    contract: ContractRow | None = None
    periods: int = 0


def _terms(facts: Facts, asked: ContractAsked) -> ContractSaid:
    row = contract_row(facts.get, asked.contract)
    if row is None:
        return ContractSaid(known=False)
    periods = (row.until_ms - row.from_ms - 1) // row.period_ms + 1
    return ContractSaid(known=True, contract=row, periods=periods)


@dataclass(frozen=True, slots=True)
class PeriodAsked:
    """``period`` counts from 0."""

    contract: bytes
    period: int


@dataclass(frozen=True, slots=True)
class MeasureSaid:
    """One measure: the report that the settlement used, the band that its rate reached, what
    that came to.  ``rate_bp``: rounded down, to read; the band was found without rounding."""

    measure: str
    outcome: Outcome
    report: ReportRow
    rate_bp: int
    per_person: bool


@dataclass(frozen=True, slots=True)
class Settlement:
    """``bonus`` and ``penalty`` have their caps; ``uncapped_bonus`` and ``uncapped_penalty``
    have not.  ``debtor`` owes ``owed`` once the settlement is final."""

    known: bool
    status: str = ""
    currency: str = ""
    settlements: int = 0
    final_ms: int = 0
    measures: tuple[MeasureSaid, ...] = ()
    uncapped_bonus: int = 0
    uncapped_penalty: int = 0
    bonus: int = 0
    penalty: int = 0
    debtor: str = ""
    owed: int = 0
    paid: int = 0
    disputes: tuple[DisputeRow, ...] = ()


def _explained(facts: Facts, asked: PeriodAsked) -> Settlement:
    contract = contract_row(facts.get, asked.contract)
    if contract is None or asked.period >= PERIODS_MAX or not contract.has(asked.period):
        return Settlement(known=False)
    row = period_row(facts.get, asked.contract, asked.period, len(contract.measures))
    key = settlement_key(asked.contract, asked.period, row.settlements)
    made = load_from(facts.get, SettlementRow, key)
    if made is None:
        return Settlement(known=True, status=OPEN, currency=contract.currency)
    owes = row.status != DISPUTED and row.bonus != row.penalty
    debtor = contract.payer if row.bonus > row.penalty else contract.provider
    return Settlement(
        known=True,
        status=FINAL if is_final(row, facts.time_ms) else row.status,
        currency=contract.currency,
        settlements=row.settlements,
        final_ms=row.final_ms,
        measures=_measures(facts, asked, contract, made),
        uncapped_bonus=sum(item.bonus for item in made.outcomes),
        uncapped_penalty=sum(item.penalty for item in made.outcomes),
        bonus=made.bonus,
        penalty=made.penalty,
        debtor=debtor if owes else "",
        owed=row.owed if owes else 0,
        paid=row.paid,
        disputes=_disputes(facts, asked, row.disputes),
    )


def _measures(
    facts: Facts, asked: PeriodAsked, contract: ContractRow, made: SettlementRow
) -> tuple[MeasureSaid, ...]:
    said = []
    for place, outcome in enumerate(made.outcomes):
        key = report_key(asked.contract, asked.period, place, outcome.report)
        report = load_from(facts.get, ReportRow, key)
        assert report is not None, "a settlement names reports that exist"
        said.append(
            MeasureSaid(
                measure=outcome.measure,
                outcome=outcome,
                report=report,
                rate_bp=report.numerator * 10_000 // report.denominator,
                per_person=contract.measures[place].per_person,
            )
        )
    return tuple(said)


def _disputes(facts: Facts, asked: PeriodAsked, count: int) -> tuple[DisputeRow, ...]:
    keys = (dispute_key(asked.contract, asked.period, number) for number in range(count))
    rows = (load_from(facts.get, DisputeRow, key) for key in keys)
    return tuple(row for row in rows if row is not None)


@dataclass(frozen=True, slots=True)
class Due:
    """What ``claim.value.settle`` has to say now; ``missing``: measures without a report."""

    known: bool
    missing: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    bonus: int = 0
    penalty: int = 0


def _computed(facts: Facts, asked: PeriodAsked) -> Due:
    contract = contract_row(facts.get, asked.contract)
    if contract is None or asked.period >= PERIODS_MAX or not contract.has(asked.period):
        return Due(known=False)
    row = period_row(facts.get, asked.contract, asked.period, len(contract.measures))
    pairs = zip(contract.measures, row.reports, strict=True)
    missing = tuple(item.measure for item, count in pairs if not count)
    if missing:
        return Due(known=True, missing=missing)
    reports = reported(facts.get, asked.contract, asked.period, row)
    outcomes, bonus, penalty = settle(contract, reports)
    return Due(known=True, outcomes=outcomes, bonus=bonus, penalty=penalty)


QUESTIONS: Final = (
    Question("claim.value.terms", ContractAsked, ContractSaid, _terms,
             "What does an outcome contract say?"),
    Question("claim.value.explained", PeriodAsked, Settlement, _explained,
             "How did a settlement come about, and what is owed?"),
    Question("claim.value.computed", PeriodAsked, Due, _computed,
             "Which settlement does the formula give now?"),
)  # fmt: skip
