"""Family ``access``: asking for a patient's data, the answer, and the broken glass.

``access.request`` asks a custodian for what it keeps of one patient; ``access.decide`` is the
custodian's answer.  The answer is not the custodian's to choose: every node evaluates the
consents in force (``node.ledger.facts.consents``) at the block that applies the decision, and
one that says anything else is refused.  So nobody can permit what the patient denied, or deny
what the patient permitted, in silence.  ``access.glass`` is for emergencies: where the rules
allow it, it permits at once, and it opens a review that others have to make in time
(``access.review``).  What is handed over is the business of family file ``access_release``.

Who reviews: the custodian of the data, or an institution with the role regulator or ethics;
never the institution that broke the glass.  It is owed by the custodian.  A glass broken in
one's own house is therefore reviewed by a regulator or ethics board.  A finding other than
``justified`` ends the permit.

Clocks: a decision is owed within ``DECIDE_MS``, a review within ``REVIEW_MS``; what is late is
marked in the same block everywhere and stands in the patient's log.
Bounded: fields of fixed size; a request lives at most ``REQUEST_MS_MAX``.

State: see ``node.ledger.facts.accesses`` and ``node.ledger.facts.duties``.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import access_rules, accesses, consent_rows, duties
from node.ledger.facts.access_rules import (
    DENIED_GLASS,
    NO_SUCH_ACCESS,
    NOT_CUSTODIAN,
    PRACTITIONER,
    RID_TAKEN,
    SUBJECT_ENDED,
    SUBJECT_UNKNOWN,
)
from node.ledger.facts.accesses import DENIED, OPEN, PERMITTED, STOPPED, AccessRow
from node.ledger.facts.consent_rule import ordered, spanned
from node.ledger.facts.duties import DECIDE, REVIEW, DutyRow
from node.ledger.facts.words import LABELS, PURPOSES, known, sized
from node.ledger.rules import Alarm, Context, Moment, Operation, Refused, Result

DAY_MS: Final = 86_400_000
DECIDE_MS: Final = 3 * DAY_MS
REVIEW_MS: Final = 7 * DAY_MS
REQUEST_MS: Final = 30 * DAY_MS  # where the request does not say
REQUEST_MS_MAX: Final = 366 * DAY_MS
GLASS_MS: Final = DAY_MS
GLASS: Final = "BTG"
GLASS_REASONS: Final = (
    "danger-to-others",
    "life-threatening",
    "patient-unable",
    "safeguarding",
)
JUSTIFIED: Final = "justified"
FINDINGS: Final = ("breach", "insufficient-evidence", JUSTIFIED, "not-justified")
REVIEWERS: Final = frozenset({"ethics", "regulator"})
_TREATS: Final = frozenset({"author", "custodian", "dispenser", "laboratory"})
# Who may claim a purpose at all; purposes that are not named here are open to everybody.
ROLES_OF_PURPOSE: Final = {
    "ETREAT": _TREATS,
    "HPAYMT": frozenset({"author", "custodian", "payer"}),
    "HRESCH": frozenset({"research"}),
    "PUBHLTH": frozenset({"regulator"}),
    "TREAT": _TREATS,
}

OWN: Final = Result(304, "access-own-records", "The institution keeps those records itself.")
PURPOSE_ROLE: Final = Result(
    305, "access-purpose-role", "The institution lacks a role for that purpose."
)
UNTIL: Final = Result(
    307, "access-until-invalid", "The request must end in the future, within a year."
)
DECIDED: Final = Result(308, "access-decided", "That request was decided already.")
DISAGREES: Final = Result(
    309, "access-decision-disagrees", "The consents in force give another decision."
)
AHEAD: Final = Result(310, "access-height-ahead", "Evaluated at a height that is to come.")
NO_GLASS: Final = Result(311, "access-glass-none", "No glass was broken for that access.")
REVIEWED: Final = Result(312, "access-reviewed", "That broken glass was reviewed already.")
BARRED: Final = Result(
    313, "access-reviewer-barred", "That institution may not review this broken glass."
)
RESULTS: Final = (
    RID_TAKEN,
    NO_SUCH_ACCESS,
    NOT_CUSTODIAN,
    SUBJECT_UNKNOWN,
    SUBJECT_ENDED,
    DENIED_GLASS,
    OWN,
    PURPOSE_ROLE,
    PRACTITIONER,
    UNTIL,
    DECIDED,
    DISAGREES,
    AHEAD,
    NO_GLASS,
    REVIEWED,
    BARRED,
)


def _scope(
    labels: tuple[str, ...], data_class: int | None, span: tuple[int | None, int | None]
) -> None:
    ordered(labels, "labels")
    for label in labels:
        known(label, LABELS, "label")
    if data_class is not None and data_class > 255:
        raise ValueError("data_class is one byte")
    spanned(*span, "data period")


@dataclass(frozen=True, slots=True)
class Request:
    """``rid``: 32 random bytes, the name of this access from now on.

    ``subject`` is the patient as ``custodian`` knows them.  What is asked for: one data class
    or all, records with some confidentiality labels or all, of a period or of all times.
    ``practitioner`` commits to the licence of who asks; ``until_ms``: no release from then on
    (30 days where absent); ``seal_key``: X25519 key for which content keys are to be wrapped.
    """

    rid: bytes
    subject: bytes
    custodian: str
    purpose: str  # HL7 v3 PurposeOfUse; BTG is access.glass
    seal_key: bytes
    data_class: int | None = None
    labels: tuple[str, ...] = ()
    practitioner: bytes | None = None
    data_from_ms: int | None = None
    data_until_ms: int | None = None
    until_ms: int | None = None

    def __post_init__(self) -> None:
        for value, what in (
            (self.rid, "rid"),
            (self.subject, "subject"),
            (self.seal_key, "seal_key"),
            (self.practitioner, "practitioner"),
        ):
            sized(value, 32, what)
        access_rules.org_id(self.custodian, "custodian")
        known(self.purpose, tuple(word for word in PURPOSES if word != GLASS), "purpose")
        _scope(self.labels, self.data_class, (self.data_from_ms, self.data_until_ms))


@dataclass(frozen=True, slots=True)
class Decide:
    """The answer to a request, as the rules give it: see the question ``access.verdict``.

    ``basis`` names the consent, law, policy or opt-out that decided, in its version, absent
    when none did; ``residual`` is the digest of what must be left out; ``height`` is where the
    custodian evaluated.
    """

    rid: bytes
    permit: bool
    residual: bytes
    height: int
    basis: bytes | None = None
    basis_version: int = 0

    def __post_init__(self) -> None:
        sized(self.rid, 32, "rid")
        sized(self.residual, 32, "residual")
        if self.basis is not None and len(self.basis) != consent_rows.CID_BYTES:
            name = self.basis.decode("ascii", "replace")
            if not consent_rows.ID_PATTERN.fullmatch(name):
                raise ValueError("basis is a consent's id, or names a law, policy or opt-out")


@dataclass(frozen=True, slots=True)
class Glass:
    """Break the glass: like a request for everything of a data class or of all, for
    ``reason``, by a licensed ``practitioner``.  It ends by itself after a day."""

    rid: bytes
    subject: bytes
    custodian: str
    reason: str  # danger-to-others, life-threatening, patient-unable, safeguarding
    practitioner: bytes
    seal_key: bytes
    data_class: int | None = None

    def __post_init__(self) -> None:
        for value, what in (
            (self.rid, "rid"),
            (self.subject, "subject"),
            (self.seal_key, "seal_key"),
            (self.practitioner, "practitioner"),
        ):
            sized(value, 32, what)
        access_rules.org_id(self.custodian, "custodian")
        known(self.reason, GLASS_REASONS, "reason")
        _scope((), self.data_class, (None, None))


@dataclass(frozen=True, slots=True)
class Review:
    """What a reviewer finds about a broken glass."""

    rid: bytes
    finding: str  # breach, insufficient-evidence, justified, not-justified

    def __post_init__(self) -> None:
        sized(self.rid, 32, "rid")
        known(self.finding, FINDINGS, "finding")


def _new(context: Context, body: Request | Glass, until_ms: int) -> AccessRow:
    if accesses.access(context.view.get, body.rid) is not None:
        raise Refused(RID_TAKEN)
    access_rules.subject_of(context, body.subject, body.custodian, ended=False)
    asked = isinstance(body, Request)
    return AccessRow(
        rid=body.rid,
        subject=body.subject,
        custodian=body.custodian,
        requester=context.org.id,
        purpose=body.purpose if isinstance(body, Request) else GLASS,
        data_class=body.data_class,
        labels=body.labels if isinstance(body, Request) else (),
        practitioner=body.practitioner,
        data_from_ms=body.data_from_ms if isinstance(body, Request) else None,
        data_until_ms=body.data_until_ms if isinstance(body, Request) else None,
        until_ms=until_ms,
        seal_key=body.seal_key,
        glass=None if isinstance(body, Request) else body.reason,
        status=OPEN if asked else PERMITTED,
        basis=None,
        residual=None,
        releases=0,
        finding=None,
        events=(),
        time_ms=context.time_ms,
        height=context.height,
    )


def _owe(context: Context, row: AccessRow, kind: str, span_ms: int) -> None:
    now_ms = context.time_ms
    duty = DutyRow(kind, row.rid, 0, row.custodian, now_ms, now_ms + span_ms, overdue=False)
    duties.begin(context, duty)


def _request(context: Context, body: Request) -> None:
    if body.custodian == context.org.id:
        raise Refused(OWN)
    roles = ROLES_OF_PURPOSE.get(body.purpose)
    if roles is not None and not roles.intersection(context.org.roles):
        raise Refused(PURPOSE_ROLE)
    until_ms = context.time_ms + REQUEST_MS if body.until_ms is None else body.until_ms
    if not context.time_ms < until_ms <= context.time_ms + REQUEST_MS_MAX:
        raise Refused(UNTIL)
    access_rules.check_licence(context, body.practitioner)
    row = _new(context, body, until_ms)
    happened = accesses.event_of(row, "request", context.org.id, context.txid)
    accesses.save(context, row, happened)
    _owe(context, row, DECIDE, DECIDE_MS)


def _decide(context: Context, body: Decide) -> None:
    row = access_rules.access_of(context, body.rid)
    if row.custodian != context.org.id:
        raise Refused(NOT_CUSTODIAN)
    if row.status != OPEN:
        raise Refused(DECIDED)
    if body.height > context.height:
        raise Refused(AHEAD)
    verdict = access_rules.verdict(context, row)
    said = (body.permit, body.basis, body.basis_version, body.residual)
    if said != verdict.essence:
        raise Refused(DISAGREES)
    row = replace(
        row,
        status=PERMITTED if body.permit else DENIED,
        basis=body.basis,
        residual=body.residual,
    )
    name = "permit" if body.permit else "deny"
    happened = accesses.event_of(row, name, context.org.id, context.txid)
    accesses.save(context, row, replace(happened, reason=verdict.reason, basis=row.basis))
    duties.done(context.view, duties.duty_id(DECIDE, row.rid, 0))


def _glass(context: Context, body: Glass) -> None:
    access_rules.check_licence(context, body.practitioner)
    row = _new(context, body, context.time_ms + GLASS_MS)
    verdict = access_rules.verdict(context, row)
    if not verdict.permit:
        raise Refused(DENIED_GLASS)
    row = replace(row, basis=verdict.basis, residual=verdict.residual)
    happened = accesses.event_of(row, "glass", context.org.id, context.txid)
    accesses.save(context, row, replace(happened, reason=body.reason, basis=row.basis))
    _owe(context, row, REVIEW, REVIEW_MS)


def _review(context: Context, body: Review) -> None:
    row = access_rules.access_of(context, body.rid)
    if row.glass is None:
        raise Refused(NO_GLASS)
    if row.finding is not None:
        raise Refused(REVIEWED)
    custodian = row.custodian == context.org.id
    if row.requester == context.org.id or not (
        custodian or REVIEWERS.intersection(context.org.roles)
    ):
        raise Refused(BARRED)
    status = row.status if body.finding == JUSTIFIED else STOPPED
    row = replace(row, finding=body.finding, status=status)
    happened = accesses.event_of(row, "review", context.org.id, context.txid)
    accesses.save(context, row, replace(happened, reason=body.finding))
    duties.done(context.view, duties.duty_id(REVIEW, row.rid, 0))


def _overdue(moment: Moment, key: bytes) -> None:
    """Mark a duty that was not done in time, and tell the patient's log who did not."""
    duty = duties.mark_overdue(moment.view, key)
    if duty is None:
        return
    row = accesses.access(moment.view.get, duty.rid)
    assert row is not None, "a duty is about an access"
    happened = accesses.event_of(row, "overdue", duty.org, None)
    accesses.save(moment, row, replace(happened, reason=duty.kind))


_ANYBODY: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation("access.request", Request, _request, _ANYBODY, "Ask for a patient's data."),
    Operation(
        "access.decide", Decide, _decide, _ANYBODY, "Answer a request as the consents say."
    ),
    Operation("access.glass", Glass, _glass, _TREATS, "Break the glass in an emergency."),
    Operation("access.review", Review, _review, _ANYBODY, "Judge why a glass was broken."),
)
ALARMS: Final = (
    Alarm("access.undecided", _overdue, "A request was not decided in time."),
    Alarm("access.unacknowledged", _overdue, "A release was not acknowledged in time."),
    Alarm("access.unreviewed", _overdue, "A broken glass was not reviewed in time."),
)
