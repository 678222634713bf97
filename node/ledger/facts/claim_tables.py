"""Rule tables of health plans, and the adjudication that every node computes from them.

A table is data: a class of codes gives an allowed amount per unit or a part of the charge, the
patient's coinsurance, a copay, whether the deductible comes first, whether a pre-authorisation
is needed, and how many units a period has.  ``adjudicate`` is a pure function of the table, the
lines and what the coverage has used so far; integers only, half to even per line, lines in
their order.  Of every line it holds that

    allowed = deductible + copay + coinsurance + beyond + pay  <=  charge

A payer may deny a line for a reason that no table knows (``DISCRETIONARY``); it says so in a
coded word, and the line can be appealed.  It cannot change an amount.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import money
from node.ledger.facts.words import known, sized

TARIFFS_MAX: Final = 500
LINES_MAX: Final = 200
UNITS_MAX: Final = 10_000
TIME_SPAN_MS_MAX: Final = 10 * 366 * 86_400_000  # ten years
OTHERS: Final = "*"  # the tariff of all classes that have none of their own

PLAN_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
CLASS_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,15}")

# Why a line was adjudicated as it was.
COVERED: Final = "covered"
PARTLY: Final = "limit-partly"  # some of its units were left
NOT_COVERED: Final = "not-covered"
NO_PREAUTH: Final = "no-preauth"
LIMIT: Final = "limit-reached"
COMPUTED: Final = (COVERED, PARTLY, NOT_COVERED, NO_PREAUTH, LIMIT)
DOCUMENTS: Final = "documents-missing"
DISCRETIONARY: Final = (
    DOCUMENTS,
    "experimental",
    "not-eligible",
    "not-necessary",
    "other-payer",
    "out-of-network",
)
DENIALS: Final = (NOT_COVERED, NO_PREAUTH, LIMIT, *DISCRETIONARY)
APPEALABLE: Final = (NO_PREAUTH, LIMIT, *DISCRETIONARY)


def plan_id(value: str) -> None:
    if not PLAN_PATTERN.fullmatch(value):
        raise ValueError("plan must match [a-z0-9][a-z0-9-]{0,39}")


def code_class(value: str) -> None:
    if not CLASS_PATTERN.fullmatch(value):
        raise ValueError("code_class must match [a-z0-9][a-z0-9.-]{0,15}")


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a plan does with one class of codes (``*``: all classes without a row).

    Either ``allowed`` minor units per unit, never more than the charge, or ``percent_bp`` basis
    points of the charge.  ``deductible``: it comes first.  ``units_max``: units of the class
    that one coverage has in one period; 0 is no limit.
    """

    code_class: str
    allowed: int | None
    percent_bp: int | None
    coinsurance_bp: int = 0
    copay: int = 0
    deductible: bool = False
    preauth: bool = False
    units_max: int = 0

    def __post_init__(self) -> None:
        if self.code_class != OTHERS:
            code_class(self.code_class)
        if (self.allowed is None) == (self.percent_bp is None):
            raise ValueError("a tariff has either allowed or percent_bp")
        if self.allowed is not None:
            money.amount(self.allowed, "allowed")
        if max(self.percent_bp or 0, self.coinsurance_bp) > money.BASIS:
            raise ValueError("basis points go up to 10000")
        money.amount(self.copay, "copay")
        if self.units_max > 1_000_000:
            raise ValueError("units_max goes up to 1000000")
        if self.code_class == OTHERS and self.units_max:
            raise ValueError("units are limited by class: the row of all others has no limit")


@dataclass(frozen=True, slots=True)
class Table:
    """One version of a plan's rules.

    ``deductible``, ``out_of_pocket_max`` and ``benefit_max`` are per coverage and period, in
    minor units (0: none).  ``answer_ms``: how soon the payer answers a claim or an appeal;
    ``appeal_ms``: how long a denial can be appealed (0: for ever).
    """

    payer: str
    plan: str
    version: int
    currency: str
    tariffs: tuple[Tariff, ...]
    deductible: int
    out_of_pocket_max: int
    benefit_max: int
    answer_ms: int
    appeal_ms: int

    def tariff(self, code: str) -> Tariff | None:
        """Return the row of a class, or that of all others; None: not covered."""
        others = None
        for item in self.tariffs:
            if item.code_class == code:
                return item
            if item.code_class == OTHERS:
                others = item
        return others


@dataclass(frozen=True, slots=True)
class Line:
    """One service: ``charge`` is what the provider asks for all its ``units``.

    ``nullifier``: HMAC-SHA-256 under a key that provider and patient share, over the patient,
    the date, the code and a counter of equal services on that day: the same for whichever payer
    the service is billed to, and meaningless to everybody else.
    """

    code_class: str
    units: int
    charge: int
    nullifier: bytes  # 32 bytes

    def __post_init__(self) -> None:
        code_class(self.code_class)
        sized(self.nullifier, 32, "nullifier")
        if not 1 <= self.units <= UNITS_MAX:
            raise ValueError(f"units must be 1 to {UNITS_MAX}")
        money.amount(self.charge, "charge")


@dataclass(frozen=True, slots=True)
class Share:
    """How one line is split.  ``units``: those that count; ``beyond``: allowed, but more than
    the plan pays in the period, so the patient owes it; ``pay``: what the payer owes."""

    reason: str
    units: int
    allowed: int
    deductible: int
    copay: int
    coinsurance: int
    beyond: int
    pay: int

    def __post_init__(self) -> None:
        known(self.reason, (*COMPUTED, *DISCRETIONARY), "reason")
        parts = (self.allowed, self.deductible, self.copay, self.coinsurance, self.beyond)
        for item in (*parts, self.pay):
            money.amount(item, "every amount of a line")

    @property
    def patient(self) -> int:
        return self.deductible + self.copay + self.coinsurance + self.beyond


@dataclass(frozen=True, slots=True)
class UnitsUsed:
    code_class: str
    units: int


@dataclass(frozen=True, slots=True)
class Used:
    """What one coverage has used in one period: the accumulators, in minor units.

    ``units`` holds the classes that were ever limited, in the order of their first use.
    """

    deductible: int = 0
    out_of_pocket: int = 0
    benefit: int = 0
    units: tuple[UnitsUsed, ...] = ()

    def of(self, code: str) -> int:
        return next((item.units for item in self.units if item.code_class == code), 0)

    def with_units(self, code: str, more: int) -> "Used":
        """Return this with ``more`` units of a class."""
        if all(item.code_class != code for item in self.units):
            return replace(self, units=(*self.units, UnitsUsed(code, more)))
        units = tuple(
            replace(item, units=item.units + more) if item.code_class == code else item
            for item in self.units
        )
        return replace(self, units=units)

    def after(self, table: Table, line: Line, share: Share) -> "Used":
        """Return this after one more line."""
        used = replace(
            self,
            deductible=self.deductible + share.deductible,
            out_of_pocket=self.out_of_pocket + share.patient - share.beyond,
            benefit=self.benefit + share.pay,
        )
        tariff = table.tariff(line.code_class)
        if tariff is not None and tariff.units_max and share.units:
            used = used.with_units(line.code_class, share.units)
        return used

    def only(self, codes: Sequence[str]) -> "Used":
        """Return this with the units of ``codes`` alone."""
        units = tuple(item for item in self.units if item.code_class in codes)
        return replace(self, units=units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is adjudicated beside the lines.

    ``denied``: line number (from 0) -> a discretionary reason.  ``granted``: the classes that a
    pre-authorisation covers.  In a second round ``before`` holds the shares of the first and
    ``anew`` the lines whose denial was overturned: only they are computed, and neither reason
    nor pre-authorisation nor limit of units denies them again.
    """

    denied: Mapping[int, str]
    granted: frozenset[str]
    before: tuple[Share, ...] = ()
    anew: frozenset[int] = frozenset()


def nothing(reason: str) -> Share:
    """Return the share of a line that is denied."""
    return Share(reason, 0, 0, 0, 0, 0, 0, 0)


def adjudicate(
    table: Table, lines: Sequence[Line], used: Used, case: Case
) -> tuple[tuple[Share, ...], Used]:
    """Return the share of every line, and what the coverage has used after them."""
    shares = []
    for number, line in enumerate(lines):
        if case.before and number not in case.anew:
            shares.append(case.before[number])
            continue
        share = _share(table, line, used, case, number)
        shares.append(share)
        used = used.after(table, line, share)
    return tuple(shares), used


def _share(table: Table, line: Line, used: Used, case: Case, number: int) -> Share:
    overturned = number in case.anew
    tariff = table.tariff(line.code_class)
    if tariff is None:
        return nothing(NOT_COVERED)
    if number in case.denied and not overturned:
        return nothing(case.denied[number])
    if tariff.preauth and line.code_class not in case.granted and not overturned:
        return nothing(NO_PREAUTH)
    units = line.units
    if tariff.units_max and not overturned:
        units = min(units, max(0, tariff.units_max - used.of(line.code_class)))
    if units == 0:
        return nothing(LIMIT)
    reason = COVERED if units == line.units else PARTLY
    return _split(table, tariff, used, Share(reason, units, _allowed(tariff, line, units),
                                             0, 0, 0, 0, 0))  # fmt: skip


def _allowed(tariff: Tariff, line: Line, units: int) -> int:
    charge = money.half_even(line.charge * units, line.units)
    if tariff.allowed is not None:
        return min(charge, tariff.allowed * units)
    return money.part(charge, tariff.percent_bp or 0)


def _split(table: Table, tariff: Tariff, used: Used, share: Share) -> Share:
    """Split what is allowed: deductible, copay, coinsurance; the two ceilings; the payer."""
    rest = share.allowed
    deductible = 0
    if tariff.deductible:
        deductible = min(rest, max(0, table.deductible - used.deductible))
    rest -= deductible
    copay = min(rest, tariff.copay)
    rest -= copay
    coinsurance = money.part(rest, tariff.coinsurance_bp)
    if table.out_of_pocket_max:
        left = max(0, table.out_of_pocket_max - used.out_of_pocket)
        deductible = min(deductible, left)
        copay = min(copay, left - deductible)
        coinsurance = min(coinsurance, left - deductible - copay)
    pay = share.allowed - deductible - copay - coinsurance
    beyond = 0
    if table.benefit_max:
        beyond = max(0, pay - max(0, table.benefit_max - used.benefit))
    return replace(
        share,
        deductible=deductible,
        copay=copay,
        coinsurance=coinsurance,
        beyond=beyond,
        pay=pay - beyond,
    )


def denied_lines(shares: Sequence[Share]) -> Iterator[int]:
    """Yield the numbers (from 0) of the lines that were denied."""
    return (number for number, share in enumerate(shares) if share.reason in DENIALS)
