"""What institutions of a supply chain ask about their clocks: requests and exceptions.

All provable.  ``left_ms`` counts to the end of the term and is nought afterwards; a term that
ends on a Friday ends on Saturday 00:00 UTC (``node.ledger.facts.workdays``).  What is open is
a set, so pages are in no order and belong to one height.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts import numbered, sets
from node.ledger.facts.supply_cases import (
    OPEN,
    CaseRow,
    RequestRow,
    case_row,
    cases_key,
    request_row,
    requests_key,
)


@dataclass(frozen=True, slots=True)
class AboutOrg:
    org: str
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class AboutRequest:
    request: bytes


@dataclass(frozen=True, slots=True)
class AboutCase:
    case: bytes


@dataclass(frozen=True, slots=True)
class RequestClock:
    """An open request; ``ours``: the institution asked about has to answer it."""

    request: RequestRow
    ours: bool
    left_ms: int
    overdue: bool


@dataclass(frozen=True, slots=True)
class Requests:
    total: int
    requests: tuple[RequestClock, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class CaseClock:
    """An open exception; ``ours``: the institution asked about has to fix it.  The clock
    stands still once it is fixed."""

    case: CaseRow
    ours: bool
    left_ms: int
    overdue: bool


@dataclass(frozen=True, slots=True)
class Cases:
    total: int
    cases: tuple[CaseClock, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class OneRequest:
    known: bool
    overdue: bool
    request: RequestRow | None


@dataclass(frozen=True, slots=True)
class OneCase:
    known: bool
    overdue: bool
    case: CaseRow | None


def _overdue(facts: Facts, status: str, due_ms: int) -> bool:
    return status == OPEN and facts.time_ms > due_ms


def _left(facts: Facts, due_ms: int) -> int:
    return max(0, due_ms - facts.time_ms)


def _requests(facts: Facts, about: AboutOrg) -> Requests:
    base = requests_key(about.org)
    found, after = sets.members(facts.get, base, start=about.start, limit=about.limit)
    rows = [row for item in found if (row := request_row(facts.get, item)) is not None]
    clocks = tuple(
        RequestClock(
            row,
            row.responder == about.org,
            _left(facts, row.due_ms),
            _overdue(facts, row.status, row.due_ms),
        )
        for row in rows
    )
    return Requests(numbered.length(facts.get, base), clocks, after)


def _cases(facts: Facts, about: AboutOrg) -> Cases:
    base = cases_key(about.org)
    found, after = sets.members(facts.get, base, start=about.start, limit=about.limit)
    rows = [row for item in found if (row := case_row(facts.get, item)) is not None]
    clocks = tuple(
        CaseClock(
            row,
            row.against == about.org,
            _left(facts, row.due_ms) if row.status == OPEN else 0,
            _overdue(facts, row.status, row.due_ms),
        )
        for row in rows
    )
    return Cases(numbered.length(facts.get, base), clocks, after)


def _request(facts: Facts, about: AboutRequest) -> OneRequest:
    row = request_row(facts.get, about.request)
    if row is None:
        return OneRequest(known=False, overdue=False, request=None)
    overdue = _overdue(facts, row.status, row.due_ms)
    return OneRequest(known=True, overdue=overdue, request=row)


def _case(facts: Facts, about: AboutCase) -> OneCase:
    row = case_row(facts.get, about.case)
    if row is None:
        return OneCase(known=False, overdue=False, case=None)
    overdue = _overdue(facts, row.status, row.due_ms)
    return OneCase(known=True, overdue=overdue, case=row)


QUESTIONS: Final = (
    Question(
        "supply.requests",
        AboutOrg,
        Requests,
        _requests,
        "Which verification requests of an institution are open?",
    ),
    Question(
        "supply.request", AboutRequest, OneRequest, _request, "What came of this request?"
    ),
    Question(
        "supply.cases", AboutOrg, Cases, _cases, "Which exceptions of an institution are open?"
    ),
    Question("supply.case", AboutCase, OneCase, _case, "What came of this exception?"),
)
