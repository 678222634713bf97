"""Questions on one patient's consents: all of them, one through time, what ends, who acts.

All provable: lists are numbered and counted in state, so nothing can be left out of an answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from node.ledger.asking import PAGE_MAX, Facts, Question
from node.ledger.facts import consent_rows as rows
from node.ledger.facts import people
from node.ledger.facts.consent_delegates import DelegateRow, delegates, holds
from node.ledger.facts.consent_rows import REVOKED, ConsentRow


def page(start: int, limit: int, count: int) -> tuple[int, int | None]:
    """Return the end of a page and where the next one begins."""
    end = min(count, start + max(1, min(limit, PAGE_MAX)))
    return end, end if end < count else None


@dataclass(frozen=True, slots=True)
class Consents:
    subject: bytes
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Line:
    """A consent as it stands.  ``status``: active, not-yet, expired, revoked."""

    cid: bytes
    version: int
    status: str
    permit: bool
    purposes: tuple[str, ...]
    how: str
    policy: str | None
    from_ms: int
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class ConsentsAnswer:
    """``count``: consents ever; ``opted_out``: scopes of opt-outs in force."""

    known: bool
    count: int
    opted_out: tuple[str, ...]
    consents: tuple[Line, ...]
    next: int | None


def status(row: ConsentRow, time_ms: int) -> str:
    """Return what became of a consent by its last version."""
    if row.end == REVOKED:
        return "revoked"
    scope = row.rule.scope
    if row.end or (scope.until_ms is not None and scope.until_ms <= time_ms):
        return "expired"
    return "not-yet" if scope.from_ms is not None and time_ms < scope.from_ms else "active"


def _line(row: ConsentRow, time_ms: int) -> Line:
    scope = row.rule.scope
    begins = max(row.from_ms, scope.from_ms or 0)
    return Line(
        row.cid,
        row.version,
        status(row, time_ms),
        row.rule.permit,
        scope.purposes,
        row.how,
        row.policy,
        begins,
        row.ended_ms if row.end == REVOKED else scope.until_ms,
    )


def _last(facts: Facts, cid: bytes) -> ConsentRow:
    head = rows.head(facts.get, cid)
    assert head is not None, "what is listed has a head"
    return rows.version(facts.get, cid, head.versions)


def _list(facts: Facts, params: Consents) -> ConsentsAnswer:
    listed = rows.heads(facts.get, params.subject)
    end, following = page(params.start, params.limit, listed.count)
    numbers = range(params.start, end)
    cids = (rows.listed(facts.get, params.subject, number).cid for number in numbers)
    lines = tuple(_line(_last(facts, cid), facts.time_ms) for cid in cids)
    outs = tuple(
        scope
        for scope in rows.OPT_SCOPES
        if rows.opt_out_at(facts.get, params.subject, scope, facts.height) is not None
    )
    known = people.patient(facts.get, params.subject) is not None
    return ConsentsAnswer(known, listed.count, outs, lines, following)


@dataclass(frozen=True, slots=True)
class History:
    cid: bytes
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class HistoryAnswer:
    known: bool
    subject: bytes | None
    status: str | None
    versions: tuple[ConsentRow, ...]
    next: int | None


def _history(facts: Facts, params: History) -> HistoryAnswer:
    head = rows.head(facts.get, params.cid)
    if head is None:
        return HistoryAnswer(known=False, subject=None, status=None, versions=(), next=None)
    end, following = page(params.start, params.limit, head.versions)
    versions = tuple(
        rows.version(facts.get, params.cid, number + 1) for number in range(params.start, end)
    )
    now = status(_last(facts, params.cid), facts.time_ms)
    return HistoryAnswer(
        known=True, subject=head.subject, status=now, versions=versions, next=following
    )


@dataclass(frozen=True, slots=True)
class Expiring:
    """``within_ms``: how far to look ahead; 30 days unless said."""

    subject: bytes
    within_ms: int = 30 * 86_400_000


@dataclass(frozen=True, slots=True)
class ExpiringAnswer:
    consents: tuple[Line, ...]


def _expiring(facts: Facts, params: Expiring) -> ExpiringAnswer:
    found: Iterator[Line] = (
        _line(_last(facts, cid), facts.time_ms)
        for cid in rows.heads(facts.get, params.subject).open
    )
    horizon = facts.time_ms + params.within_ms
    soon = [
        line
        for line in found
        if line.status in ("active", "not-yet")
        and line.until_ms is not None
        and line.until_ms <= horizon
    ]
    return ExpiringAnswer(tuple(sorted(soon, key=lambda line: (line.until_ms or 0, line.cid))))


@dataclass(frozen=True, slots=True)
class Delegates:
    subject: bytes


@dataclass(frozen=True, slots=True)
class Acting:
    """``now``: whether it is in force."""

    now: bool
    delegate: DelegateRow


@dataclass(frozen=True, slots=True)
class DelegatesAnswer:
    known: bool
    delegates: tuple[Acting, ...]


def _delegates(facts: Facts, params: Delegates) -> DelegatesAnswer:
    known = people.patient(facts.get, params.subject) is not None
    found = delegates(facts.get, params.subject)
    return DelegatesAnswer(
        known, tuple(Acting(holds(item, facts.time_ms), item) for item in found)
    )


QUESTIONS: Final = (
    Question(
        "consent.list", Consents, ConsentsAnswer, _list, "What has this patient said so far?"
    ),
    Question(
        "consent.history", History, HistoryAnswer, _history, "How did this consent change?"
    ),
    Question(
        "consent.expiring", Expiring, ExpiringAnswer, _expiring, "Which consents end soon?"
    ),
    Question(
        "consent.delegates", Delegates, DelegatesAnswer, _delegates, "Who acts for the patient?"
    ),
)
