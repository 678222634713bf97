"""Outcome contracts in state, and the settlement that every node computes from them.

A contract has measures; each gives bands of its rate (numerator by denominator), and a band
gives a bonus for the provider or a penalty, as a sum or per person counted.  Whether a rate
reaches a band is compared by multiplication: nothing is rounded.  Sums are capped:

    bonus = min(bonus_max, sum of bonuses), penalty likewise; the difference is owed

Bounds: ``MEASURES_MAX`` measures of ``BANDS_MAX`` bands, ``PERIODS_MAX`` periods,
``REVISIONS_MAX`` reports per measure and period, ``DISPUTES_MAX`` disputes per period.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.ledger.facts import money
from node.ledger.facts.claim_evidence import Evidence
from node.ledger.state import Read, load_from

MEASURES_MAX: Final = 50
BANDS_MAX: Final = 20
PERIODS_MAX: Final = 200
REVISIONS_MAX: Final = 16
DISPUTES_MAX: Final = 3
BAND_AMOUNT_MAX: Final = 10**10  # times the largest cohort and 50 measures: below 2^64
COHORT_MIN: Final = 11  # fewer people could be told apart
COHORT_MAX: Final = 10_000_000
MEASURE_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,31}")

OPEN: Final = "open"
SETTLED: Final = "settled"
DISPUTED: Final = "disputed"
FINAL: Final = "final"


@dataclass(frozen=True, slots=True)
class Band:
    """From a rate of ``from_bp`` basis points on: ``bonus`` or ``penalty``, minor units."""

    from_bp: int
    bonus: int = 0
    penalty: int = 0

    def __post_init__(self) -> None:
        if self.from_bp > money.BASIS:
            raise ValueError("from_bp goes up to 10000")
        if max(self.bonus, self.penalty) > BAND_AMOUNT_MAX:
            raise ValueError(f"amounts of a band go up to {BAND_AMOUNT_MAX}")
        if self.bonus and self.penalty:
            raise ValueError("a band has a bonus or a penalty")


@dataclass(frozen=True, slots=True)
class Measure:
    """A quality measure by its public id, for instance a CMS eCQM id such as ``cms122v12``.

    ``bands`` ascend from 0, so each rate falls into one.  ``per_person``: amounts are per
    person in the denominator.
    """

    measure: str
    bands: tuple[Band, ...]
    per_person: bool = False

    def __post_init__(self) -> None:
        measure_id(self.measure)
        starts = [item.from_bp for item in self.bands]
        if not 1 <= len(starts) <= BANDS_MAX or starts != sorted(set(starts)) or starts[0]:
            raise ValueError(f"1 to {BANDS_MAX} bands, ascending from 0")

    def band(self, numerator: int, denominator: int) -> Band:
        """Return the band of a rate: the last one that it reaches."""
        found = self.bands[0]
        for item in self.bands:
            if numerator * money.BASIS >= item.from_bp * denominator:
                found = item
        return found


def measure_id(value: str) -> None:
    if not MEASURE_PATTERN.fullmatch(value):
        raise ValueError("measure must match [a-z0-9][a-z0-9.-]{0,31}")


@dataclass(frozen=True, slots=True)
class ContractRow:
    payer: str
    provider: str
    currency: str
    measures: tuple[Measure, ...]
    bonus_max: int
    penalty_max: int
    from_ms: int
    until_ms: int
    period_ms: int
    dispute_ms: int
    document: bytes
    since_height: int

    def ends_ms(self, period: int) -> int:
        return min(self.until_ms, self.from_ms + (period + 1) * self.period_ms)

    def has(self, period: int) -> bool:
        return self.from_ms + period * self.period_ms < self.until_ms

    def place(self, measure: str) -> int | None:
        """Return the position of a measure in the contract."""
        names = [item.measure for item in self.measures]
        return names.index(measure) if measure in names else None


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """Where one period stands.  ``reports``: how many each measure has had, in order.

    ``final_ms``: when the last settlement can no longer be disputed.
    """

    status: str
    reports: tuple[int, ...]
    settlements: int
    disputes: int
    final_ms: int
    bonus: int
    penalty: int
    paid: int

    @property
    def owed(self) -> int:
        """What the one side still owes the other, once final."""
        return abs(self.bonus - self.penalty) - self.paid


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One report of a measure; ``evidence``: batches of the institution ``by``."""

    numerator: int
    denominator: int
    cohort: bytes
    evidence: tuple[Evidence, ...]
    by: str
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one measure comes to.  ``report``: which report of it was used, from 1."""

    measure: str
    report: int
    from_bp: int
    bonus: int
    penalty: int

    def __post_init__(self) -> None:
        measure_id(self.measure)
        if max(self.bonus, self.penalty) > BAND_AMOUNT_MAX * COHORT_MAX:
            raise ValueError("amounts are beyond what a band can give")


@dataclass(frozen=True, slots=True)
class SettlementRow:
    outcomes: tuple[Outcome, ...]
    bonus: int
    penalty: int
    height: int
    time_ms: int
    txid: bytes


@dataclass(frozen=True, slots=True)
class DisputeRow:
    settlement: int
    by: str
    reason: str
    document: bytes
    time_ms: int


def contract_key(contract: bytes) -> bytes:
    return b"claim-value/" + contract


def period_key(contract: bytes, period: int) -> bytes:
    return b"claim-value-period/" + contract + period.to_bytes(8, "big")


def report_key(contract: bytes, period: int, place: int, number: int) -> bytes:
    """Return where report ``number`` (from 1) of the measure at ``place`` stands."""
    where = period.to_bytes(8, "big") + place.to_bytes(2, "big") + number.to_bytes(8, "big")
    return b"claim-value-report/" + contract + where


def settlement_key(contract: bytes, period: int, number: int) -> bytes:
    where = period.to_bytes(8, "big") + number.to_bytes(8, "big")
    return b"claim-value-settlement/" + contract + where


def dispute_key(contract: bytes, period: int, number: int) -> bytes:
    where = period.to_bytes(8, "big") + number.to_bytes(8, "big")
    return b"claim-value-dispute/" + contract + where


def contract_row(read: Read, contract: bytes) -> ContractRow | None:
    return load_from(read, ContractRow, contract_key(contract))


def period_row(read: Read, contract: bytes, period: int, measures: int) -> PeriodRow:
    """Return where a period stands; one that nobody touched is open."""
    row = load_from(read, PeriodRow, period_key(contract, period))
    return row or PeriodRow(OPEN, (0,) * measures, 0, 0, 0, 0, 0, 0)


def is_final(row: PeriodRow, time_ms: int) -> bool:
    """Return whether a period's settlement stands: the clock may not have rung yet."""
    return row.status == FINAL or (row.status == SETTLED and row.final_ms <= time_ms)


def reported(
    read: Read, contract: bytes, period: int, row: PeriodRow
) -> list[tuple[int, ReportRow]]:
    """Return the number and the report that counts, of each measure that has one."""
    found = []
    for place, number in enumerate(row.reports):
        report = load_from(read, ReportRow, report_key(contract, period, place, number))
        if report is not None:
            found.append((number, report))
    return found


def settle(
    contract: ContractRow, reports: Sequence[tuple[int, ReportRow]]
) -> tuple[tuple[Outcome, ...], int, int]:
    """Return the outcome of each measure, and bonus and penalty with their caps.

    ``reports``: one for each measure of the contract, in its order.
    """
    outcomes = []
    for measure, (number, report) in zip(contract.measures, reports, strict=True):
        band = measure.band(report.numerator, report.denominator)
        times = report.denominator if measure.per_person else 1
        bonus, penalty = band.bonus * times, band.penalty * times
        outcomes.append(Outcome(measure.measure, number, band.from_bp, bonus, penalty))
    bonus = min(contract.bonus_max, sum(item.bonus for item in outcomes))
    penalty = min(contract.penalty_max, sum(item.penalty for item in outcomes))
    return tuple(outcomes), bonus, penalty
