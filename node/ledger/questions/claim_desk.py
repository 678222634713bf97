"""Questions of an institution's desk: its open claims by age, what was denied to it or by it.

The lists are kept in state, numbered and counted, so a proven answer leaves nothing out.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts import bags, numbered
from node.ledger.facts.claims import (
    SIDES,
    ClaimRow,
    DenialRow,
    claim_is_late,
    claim_row,
    denial_list,
    open_list,
)

DAY_MS: Final = 86_400_000
_AGES: Final = ((30, "0-30 days"), (60, "31-60 days"), (90, "61-90 days"))
_OLDEST: Final = "over 90 days"


@dataclass(frozen=True, slots=True)
class Mine:
    """``side``: as ``provider`` or as ``payer``."""

    org: str
    side: str
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class OpenClaim:
    claim: bytes
    other: str  # the institution on the other side
    status: str
    days: int  # since it was submitted
    owed: int
    currency: str
    due_ms: int | None
    late: bool


@dataclass(frozen=True, slots=True)
class Age:
    age: str
    claims: int


@dataclass(frozen=True, slots=True)
class Aging:
    """``count``: all open claims; ``ages`` counts those of this page."""

    count: int
    claims: tuple[OpenClaim, ...]
    ages: tuple[Age, ...]
    next: int | None


def _age(days: int) -> str:
    return next((name for most, name in _AGES if days <= most), _OLDEST)


def _open_claim(facts: Facts, side: str, claim: bytes, row: ClaimRow) -> OpenClaim:
    return OpenClaim(
        claim=claim,
        other=row.payer if side == "provider" else row.provider,
        status=row.status,
        days=(facts.time_ms - row.submitted_ms) // DAY_MS,
        owed=row.owed,
        currency=row.currency,
        due_ms=row.due_ms,
        late=claim_is_late(row, facts.time_ms),
    )


def _aging(facts: Facts, asked: Mine) -> Aging:
    name = open_list(asked.side, asked.org)
    count = numbered.length(facts.get, name) if asked.side in SIDES else 0
    places, following = numbered.span(count, asked.start, asked.limit)
    claims = []
    for place in places:
        claim = bags.item_at(facts.get, name, place)
        row = claim_row(facts.get, claim)
        assert row is not None, "the list names claims that exist"
        claims.append(_open_claim(facts, asked.side, claim, row))
    found = [_age(item.days) for item in claims]
    names = [*(name for _, name in _AGES), _OLDEST]
    ages = tuple(Age(item, found.count(item)) for item in names)
    return Aging(count, tuple(claims), ages, following)


@dataclass(frozen=True, slots=True)
class Period:
    """Denials of an institution as ``provider`` or ``payer``, from ``from_ms`` until before
    ``until_ms`` (0: now).  ``start`` counts from the first denial of the period."""

    org: str
    side: str
    from_ms: int = 0
    until_ms: int = 0
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Denied:
    claim: bytes
    line: int
    code_class: str
    reason: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Reason:
    reason: str
    lines: int


@dataclass(frozen=True, slots=True)
class Denials:
    """``adjudications``: those of the whole period that denied something; ``reasons`` counts
    the denied lines of this page, most frequent first.  A page counts adjudications."""

    adjudications: int
    reasons: tuple[Reason, ...]
    denied: tuple[Denied, ...]
    next: int | None


def _first_at(facts: Facts, name: bytes, count: int, time_ms: int) -> int:
    """Return the number of the first denial at or after ``time_ms``; times only grow."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if numbered.row(facts.get, name, DenialRow, middle).time_ms < time_ms:
            low = middle + 1
        else:
            high = middle
    return low


def _denials(facts: Facts, asked: Period) -> Denials:
    name = denial_list(asked.side, asked.org)
    count = numbered.length(facts.get, name) if asked.side in SIDES else 0
    first = _first_at(facts, name, count, asked.from_ms)
    last = _first_at(facts, name, count, asked.until_ms) if asked.until_ms else count
    total = max(0, last - first)
    places, following = numbered.span(total, asked.start, asked.limit)
    denied = []
    for place in places:
        row = numbered.row(facts.get, name, DenialRow, first + place)
        denied += [
            Denied(row.claim, item.line + 1, item.code_class, item.reason, row.time_ms)
            for item in row.lines
        ]
    found = [item.reason for item in denied]
    reasons = [Reason(item, found.count(item)) for item in sorted(set(found))]
    reasons.sort(key=lambda item: -item.lines)
    return Denials(total, tuple(reasons), tuple(denied), following)


QUESTIONS: Final = (
    Question("claim.aging", Mine, Aging, _aging, "Which of our claims are open, how long?"),
    Question("claim.denials", Period, Denials, _denials, "What was denied to us, or by us?"),
)
