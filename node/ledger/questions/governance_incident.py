"""Questions about incidents and their clocks, and about legal grounds.  All provable."""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.asking import PAGE_MAX, Facts, Question
from node.ledger.facts import incidents as facts
from node.ledger.facts import numbered
from node.ledger.facts.governance import Handle, row_at
from node.ledger.facts.incidents import WAITING, BasisRow, Duty, IncidentRow, ReportRow
from node.ledger.facts.words import PURPOSES
from node.ledger.state import load_from


@dataclass(frozen=True, slots=True)
class Clock:
    """A duty at the time of the answer; ``left_ms`` while it waits in its time."""

    duty: Duty
    left_ms: int | None


@dataclass(frozen=True, slots=True)
class Incident:
    """``key`` is a signing key in wrong hands; ``overdue``: a duty was, or is, too late."""

    known: bool
    incident: bytes
    org: str | None = None
    kind: str | None = None
    regimes: tuple[str, ...] = ()
    affected: str | None = None
    key: bytes | None = None
    aware_ms: int = 0
    reported_height: int = 0
    reported_ms: int = 0
    clocks: tuple[Clock, ...] = ()
    overdue: bool = False
    reports: tuple[ReportRow, ...] = ()
    closed_ms: int | None = None
    next: int | None = None


def _clock(duty: Duty, now_ms: int) -> Clock:
    """An idle network fires no alarm, so time is compared here as well."""
    if duty.status != WAITING:
        return Clock(duty, None)
    if now_ms > duty.due_ms:
        return Clock(replace(duty, overdue=True), None)
    return Clock(duty, duty.due_ms - now_ms)


def _shown(asked: Facts, incident: bytes, row: IncidentRow) -> Incident:
    clocks = tuple(_clock(duty, asked.time_ms) for duty in row.duties)
    return Incident(
        known=True,
        incident=incident,
        org=row.org,
        kind=row.kind,
        regimes=row.regimes,
        affected=row.affected,
        key=row.key,
        aware_ms=row.aware_ms,
        reported_height=row.height,
        reported_ms=row.time_ms,
        clocks=clocks,
        overdue=any(clock.duty.overdue for clock in clocks),
        closed_ms=row.closed_ms,
    )


@dataclass(frozen=True, slots=True)
class ByHandle:
    """``start`` and ``limit`` page through the reports."""

    incident: bytes
    start: int = 0
    limit: int = 100


def _incident(asked: Facts, params: ByHandle) -> Incident:
    row = facts.incident(asked.get, params.incident)
    if row is None:
        return Incident(known=False, incident=params.incident)
    prefix = facts.incident_key(params.incident) + b"/reports"
    end = min(row.reports, params.start + max(1, min(params.limit, PAGE_MAX)))
    found = [
        load_from(asked.get, ReportRow, numbered.row_key(prefix, number))
        for number in range(params.start, end)
    ]
    return replace(
        _shown(asked, params.incident, row),
        reports=tuple(report for report in found if report is not None),
        next=end if end < row.reports else None,
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """``org``: reported by it; ``open_only``: not closed; ``overdue_only``: too late."""

    org: str | None = None
    open_only: bool = True
    overdue_only: bool = False
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Incidents:
    incidents: tuple[Incident, ...]
    next: int | None


def _incidents(asked: Facts, params: Listing) -> Incidents:
    count = numbered.length(asked.get, facts.NUMBERS)
    end = min(count, params.start + max(1, min(params.limit, PAGE_MAX)))
    found = []
    for number in range(params.start, end):
        handle = load_from(asked.get, Handle, numbered.row_key(facts.NUMBERS, number))
        assert handle is not None, "numbers below the count are taken"
        row = facts.incident(asked.get, handle.handle)
        assert row is not None, "every number names an incident"
        shown = _shown(asked, handle.handle, row)
        if params.org not in (None, row.org) or (params.open_only and row.closed_ms):
            continue
        if not params.overdue_only or shown.overdue:
            found.append(shown)
    return Incidents(tuple(found), end if end < count else None)


@dataclass(frozen=True, slots=True)
class OrgAt:
    """``at_height``: after that block; left out: now."""

    org: str
    at_height: int | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    purpose: str
    row: BasisRow


@dataclass(frozen=True, slots=True)
class Grounds:
    org: str
    height: int
    grounds: tuple[Ground, ...]


def _grounds(asked: Facts, params: OrgAt) -> Grounds:
    height = asked.height if params.at_height is None else params.at_height
    found = []
    for purpose in PURPOSES:
        row = row_at(asked.get, BasisRow, facts.basis_prefix(params.org, purpose), height)
        if row is not None and row.basis is not None:
            found.append(Ground(purpose, row))
    return Grounds(params.org, height, tuple(found))


QUESTIONS: Final = (
    Question(
        "governance.breach", ByHandle, Incident, _incident, "What became of this incident?"
    ),
    Question(
        "governance.incidents", Listing, Incidents, _incidents, "Which incidents are open?"
    ),
    Question("governance.grounds", OrgAt, Grounds, _grounds, "On which grounds does it work?"),
)
