"""Family ``governance``, second part: incidents with the law's clocks, and legal grounds.

``governance.incident.report`` starts the clocks of the laws that apply, counted from when the
institution became aware.  ``.update`` adds a report, changes how many are affected, and says
which duties are done or do not apply; ``.close`` needs every duty settled.  A duty that its
clock overtakes is overdue for ever, even if it is done later.  No words: a commitment to each
report, coded kinds and classes.  ``governance.legalbasis`` declares an institution's ground for
one purpose.

Bounded: ``REPORTS_MAX`` reports of one incident, a duty for each code.
State: see ``node.ledger.facts.incidents``.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import incidents as facts
from node.ledger.facts import numbered
from node.ledger.facts.governance import Handle, last_row, limits
from node.ledger.facts.incidents import (
    AFFECTED,
    DONE,
    DUTIES,
    EXEMPT,
    KINDS,
    LATE,
    REGIMES,
    WAITING,
    BasisRow,
    Duty,
    IncidentRow,
    ReportRow,
)
from node.ledger.facts.words import PURPOSES, known, sized
from node.ledger.rules import Alarm, Context, Moment, Operation, Refused, Result

REPORTS_MAX: Final = 1000
ALARM: Final = "governance.duty"
BASES: Final = (  # GDPR Art. 6(1)
    "consent",
    "contract",
    "legal-obligation",
    "legitimate-interests",
    "public-task",
    "vital-interests",
)
CONDITIONS: Final = (  # GDPR Art. 9(2), letter by letter where health data are usual
    "9-2-a",  # explicit consent
    "9-2-b",  # employment and social protection
    "9-2-c",  # vital interests
    "9-2-f",  # legal claims
    "9-2-g",  # substantial public interest
    "9-2-h",  # care
    "9-2-i",  # public health
    "9-2-j",  # research
)

EXISTS: Final = Result(610, "governance-incident-exists", "That handle names an incident.")
UNKNOWN: Final = Result(611, "governance-incident-unknown", "No such incident.")
NOT_YOURS: Final = Result(
    612, "governance-incident-not-yours", "Another institution reported that incident."
)
CLOSED: Final = Result(613, "governance-incident-closed", "That incident is closed.")
OPEN_DUTIES: Final = Result(
    614, "governance-incident-duties-open", "A duty is neither done nor exempt."
)
NO_DUTY: Final = Result(615, "governance-incident-no-duty", "That duty is none of this one's.")
SETTLED: Final = Result(616, "governance-incident-duty-settled", "That duty is settled.")
IN_FUTURE: Final = Result(
    617, "governance-incident-in-future", "One cannot be aware of it from a later time on."
)
FULL: Final = Result(618, "governance-incident-full", "No more reports of that incident fit.")
SAME_BASIS: Final = Result(620, "governance-legalbasis-same", "That is declared already.")
RESULTS: Final = (
    EXISTS,
    UNKNOWN,
    NOT_YOURS,
    CLOSED,
    OPEN_DUTIES,
    NO_DUTY,
    SETTLED,
    IN_FUTURE,
    FULL,
    SAME_BASIS,
)


def _subset(values: tuple[str, ...], words: tuple[str, ...], what: str) -> None:
    if set(values) - set(words) or list(values) != sorted(set(values)):
        raise ValueError(f"{what} must be known, unique and ascending")


@dataclass(frozen=True, slots=True)
class Report:
    """A breach under the random handle ``incident`` (32 bytes).

    ``aware_ms``: when the institution became aware; ``commitment``: to its report, which stays
    with it; ``affected``: a class of numbers of persons; ``key``: a signing key that is in
    wrong hands, if that is what happened.
    """

    incident: bytes
    kind: str
    regimes: tuple[str, ...]
    affected: str
    aware_ms: int
    commitment: bytes
    key: bytes | None = None

    def __post_init__(self) -> None:
        for value, what in ((self.incident, "incident"), (self.commitment, "commitment")):
            sized(value, 32, what)
        sized(self.key, 32, "key")
        known(self.kind, KINDS, "kind")
        known(self.affected, AFFECTED, "affected")
        _subset(self.regimes, REGIMES, "regimes")
        if not self.regimes:
            raise ValueError("at least one regime applies")


@dataclass(frozen=True, slots=True)
class Update:
    """A further report.  ``done``: duties fulfilled; ``exempt``: duties that do not apply, for
    reasons that the report gives; ``affected``: only when the class has changed."""

    incident: bytes
    commitment: bytes
    affected: str | None = None
    done: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        sized(self.incident, 32, "incident")
        sized(self.commitment, 32, "commitment")
        if self.affected is not None:
            known(self.affected, AFFECTED, "affected")
        _subset(self.done, DUTIES, "done")
        _subset(self.exempt, DUTIES, "exempt")
        if set(self.done) & set(self.exempt):
            raise ValueError("a duty is done or exempt, not both")


@dataclass(frozen=True, slots=True)
class Close:
    """The end of an incident, with a commitment to the final report."""

    incident: bytes
    commitment: bytes

    def __post_init__(self) -> None:
        sized(self.incident, 32, "incident")
        sized(self.commitment, 32, "commitment")


@dataclass(frozen=True, slots=True)
class Basis:
    """``basis``: ground of GDPR Art. 6(1); ``condition``: of Art. 9(2).  Without ``basis`` the
    institution no longer works for that purpose."""

    purpose: str
    basis: str | None = None
    condition: str | None = None

    def __post_init__(self) -> None:
        known(self.purpose, PURPOSES, "purpose")
        if self.basis is not None:
            known(self.basis, BASES, "basis")
        if self.condition is not None:
            known(self.condition, CONDITIONS, "condition")
        if self.basis is None and self.condition is not None:
            raise ValueError("a condition stands beside a basis")


def _new_duty(context: Context, incident: bytes, code: str, aware_ms: int) -> Duty:
    due_ms = facts.due_ms(code, aware_ms, limits(context.view.get))
    context.alarm(ALARM, incident + code.encode(), time_ms=due_ms + 1)
    return Duty(code, due_ms, WAITING, context.time_ms > due_ms, None)


def _written(context: Context, incident: bytes, commitment: bytes, affected: str) -> int:
    """Append a report; return how many there are."""
    row = ReportRow(commitment, affected, context.height, context.time_ms, context.txid)
    return numbered.append(context.view, facts.incident_key(incident) + b"/reports", row) + 1


def _report(context: Context, body: Report) -> None:
    view = context.view
    if facts.incident(view.get, body.incident) is not None:
        raise Refused(EXISTS)
    if body.aware_ms > context.time_ms:
        raise Refused(IN_FUTURE)
    codes = facts.duties_of(body.regimes, body.affected)
    row = IncidentRow(
        number=numbered.append(view, facts.NUMBERS, Handle(body.incident)),
        org=context.org.id,
        kind=body.kind,
        regimes=body.regimes,
        affected=body.affected,
        key=body.key,
        aware_ms=body.aware_ms,
        height=context.height,
        time_ms=context.time_ms,
        duties=tuple(_new_duty(context, body.incident, c, body.aware_ms) for c in codes),
        reports=_written(context, body.incident, body.commitment, body.affected),
        closed_ms=None,
    )
    view.save(facts.incident_key(body.incident), row)


def _own(context: Context, incident: bytes) -> IncidentRow:
    row = facts.incident(context.view.get, incident)
    if row is None:
        raise Refused(UNKNOWN)
    if row.org != context.org.id:
        raise Refused(NOT_YOURS)
    if row.closed_ms is not None:
        raise Refused(CLOSED)
    if row.reports >= REPORTS_MAX:
        raise Refused(FULL)
    return row


def _update(context: Context, body: Update) -> None:
    row = _own(context, body.incident)
    affected = row.affected if body.affected is None else body.affected
    duties = {duty.code: duty for duty in row.duties}
    for code in facts.duties_of(row.regimes, affected):
        if code not in duties:
            duties[code] = _new_duty(context, body.incident, code, row.aware_ms)
    for code in (*body.done, *body.exempt):
        if code not in duties:
            raise Refused(NO_DUTY)
        duties[code] = _settled(context, duties[code], exempt=code in body.exempt)
    row = replace(
        row,
        affected=affected,
        duties=tuple(duties[code] for code in sorted(duties)),
        reports=_written(context, body.incident, body.commitment, affected),
    )
    context.view.save(facts.incident_key(body.incident), row)


def _settled(context: Context, duty: Duty, *, exempt: bool) -> Duty:
    if duty.status != WAITING:
        raise Refused(SETTLED)
    late = context.time_ms > duty.due_ms
    status = EXEMPT if exempt else LATE if late else DONE
    overdue = duty.overdue or (late and not exempt)
    return replace(duty, status=status, overdue=overdue, settled_ms=context.time_ms)


def _close(context: Context, body: Close) -> None:
    row = _own(context, body.incident)
    if any(duty.status == WAITING for duty in row.duties):
        raise Refused(OPEN_DUTIES)
    reports = _written(context, body.incident, body.commitment, row.affected)
    row = replace(row, closed_ms=context.time_ms, reports=reports)
    context.view.save(facts.incident_key(body.incident), row)


def _ran_out(moment: Moment, key: bytes) -> None:
    """Mark a duty overdue that is still waiting when its clock runs out."""
    incident, code = key[:32], key[32:].decode()
    row = facts.incident(moment.view.get, incident)
    if row is None:
        return
    duties = tuple(
        replace(duty, overdue=True)
        if duty.code == code and duty.status == WAITING and moment.time_ms > duty.due_ms
        else duty
        for duty in row.duties
    )
    if duties != row.duties:
        moment.view.save(facts.incident_key(incident), replace(row, duties=duties))


def _basis(context: Context, body: Basis) -> None:
    prefix = facts.basis_prefix(context.org.id, body.purpose)
    last = last_row(context.view.get, BasisRow, prefix)
    before = (None, None) if last is None else (last.basis, last.condition)
    if before == (body.basis, body.condition):
        raise Refused(SAME_BASIS)
    row = BasisRow(body.basis, body.condition, context.height, context.time_ms)
    numbered.append(context.view, prefix, row)


_ANYBODY: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation(
        "governance.incident.report",
        Report,
        _report,
        _ANYBODY,
        "Report a breach; start clocks.",
    ),
    Operation(
        "governance.incident.update", Update, _update, _ANYBODY, "Add a report to an incident."
    ),
    Operation("governance.incident.close", Close, _close, _ANYBODY, "Close an incident."),
    Operation(
        "governance.legalbasis", Basis, _basis, _ANYBODY, "Declare the ground for a purpose."
    ),
)
ALARMS: Final = (Alarm(ALARM, _ran_out, "Mark a duty overdue that nobody has fulfilled."),)
