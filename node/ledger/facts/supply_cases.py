"""Verification requests and exceptions between two institutions of a supply chain.

Both run against a clock and both stay on record when they are over.  What is open is kept in a
set for each institution, for the one that asked as for the one that is asked.

State: ``supply/request/<request>`` -> ``RequestRow``; ``supply/case/<case>`` -> ``CaseRow``;
sets ``supply/requests/<org>`` and ``supply/cases/<org>`` of what is open.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.state import Read, load_from

OPEN: Final = "open"
ANSWERED: Final = "answered"
FIXED: Final = "fixed"
CLOSED: Final = "closed"


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A saleable-return verification: is this item what it says it is?"""

    request: bytes
    org: str  # who asks
    responder: str
    item: bytes
    product: str
    lot: bytes | None
    status: str  # open, answered
    opened_height: int
    opened_ms: int
    due_ms: int
    verified: bool
    reason: str | None
    answered_height: int | None
    answered_ms: int | None
    late: bool  # answered, or found unanswered, after it was due


@dataclass(frozen=True, slots=True)
class CaseRow:
    """An exception: what arrived and what was announced do not agree."""

    case: bytes
    kind: str
    org: str  # who opened it
    against: str  # who has to fix it
    item: bytes | None
    event: bytes
    quantity: int
    status: str  # open, fixed, closed
    opened_height: int
    opened_ms: int
    due_ms: int
    fix_event: bytes | None
    fixed_height: int | None
    fixed_ms: int | None
    outcome: str | None
    closed_height: int | None
    closed_ms: int | None
    late: bool  # fixed, or found unfixed, after it was due


def request_key(request: bytes) -> bytes:
    return b"supply/request/" + request


def requests_key(org: str) -> bytes:
    return b"supply/requests/" + org.encode()


def case_key(case: bytes) -> bytes:
    return b"supply/case/" + case


def cases_key(org: str) -> bytes:
    return b"supply/cases/" + org.encode()


def request_row(read: Read, request: bytes) -> RequestRow | None:
    return load_from(read, RequestRow, request_key(request))


def case_row(read: Read, case: bytes) -> CaseRow | None:
    return load_from(read, CaseRow, case_key(case))
