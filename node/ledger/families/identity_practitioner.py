"""Family ``identity``, practitioners: licences that somebody vouches for, and their status.

A licence is on the ledger as a commitment to a credential (a W3C Verifiable Credential, say)
that its holder keeps and shows; no name, no number.  Its issuer suspends, resumes and ends it;
a regulator may do so with any.  Whoever suspended it is the one who may resume it: a
hospital cannot undo what a regulator did.

Every change of status is a row of its own with height and time, also those that time makes
(``pending`` to ``active`` to ``expired``): "licensed at height h" is read from rows.

State: ``practitioner/<licence>`` -> ``PractitionerRow``; ``practitioner-change/<licence>`` a
numbered list of ``LicenceChange``.  Bounded: ``CHANGES_MAX`` of one licence by hand, and the
end is always possible.  Alarm: ``identity.licence``, when its time begins and when it is over.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import numbered
from node.ledger.facts.people import (
    ACTIVE,
    ENDED,
    EXPIRED,
    LICENCE_UNKNOWN,
    PENDING,
    SUSPENDED,
    LicenceChange,
    PractitionerRow,
    licence_changes,
    practitioner,
    practitioner_key,
)
from node.ledger.facts.words import known, sized
from node.ledger.facts.words_identity import PROFESSIONS
from node.ledger.rules import Alarm, Context, Moment, Operation, Refused, Result

CHANGES_MAX: Final = 200
PERIOD_MS_MAX: Final = 50 * 366 * 86_400_000
CHANGES: Final = ("suspend", "resume", "end")
_TIME_MS_MAX: Final = (1 << 63) - 1

EXISTS: Final = Result(212, "identity-licence-known", "That licence is on the ledger already.")
NOT_YOURS: Final = Result(
    214, "identity-licence-not-yours", "Another institution decides about that licence."
)
MISFIT: Final = Result(
    215, "identity-licence-misfit", "That change does not fit how the licence stands."
)
OVER: Final = Result(216, "identity-licence-over", "The licence would be over already.")
FULL: Final = Result(217, "identity-licence-full", "Its status changed too often; end it.")
RESULTS: Final = (EXISTS, LICENCE_UNKNOWN, NOT_YOURS, MISFIT, OVER, FULL)


@dataclass(frozen=True, slots=True)
class Issue:
    """``licence``: commitment to the credential, 32 bytes; valid ``from_ms`` (inclusive) to
    ``until_ms`` (exclusive)."""

    licence: bytes
    profession: str
    from_ms: int
    until_ms: int

    def __post_init__(self) -> None:
        sized(self.licence, 32, "licence")
        known(self.profession, tuple(PROFESSIONS), "profession")
        if not self.from_ms < self.until_ms <= _TIME_MS_MAX:
            raise ValueError("until_ms must be after from_ms")
        if self.until_ms - self.from_ms > PERIOD_MS_MAX:
            raise ValueError("a licence is valid for 50 years at most")


@dataclass(frozen=True, slots=True)
class Status:
    """``change``: suspend, resume or end.  ``reason``: commitment to a document, 32 bytes."""

    licence: bytes
    change: str
    reason: bytes | None = None

    def __post_init__(self) -> None:
        sized(self.licence, 32, "licence")
        sized(self.reason, 32, "reason")
        known(self.change, CHANGES, "change")


def _note(
    moment: Moment, row: PractitionerRow, status: str, by: str, reason: bytes | None
) -> None:
    """Write ``row``, and ``status`` at the end of the licence's history."""
    moment.view.save(practitioner_key(row.licence), row)
    change = LicenceChange(status, by, reason, moment.height, moment.time_ms)
    numbered.append(moment.view, licence_changes(row.licence), change)


def _in_time(row: PractitionerRow, now_ms: int) -> str:
    """Return how a licence stands that is neither suspended nor ended."""
    return PENDING if now_ms < row.from_ms else ACTIVE


def _issue(context: Context, body: Issue) -> None:
    if practitioner(context.view.get, body.licence) is not None:
        raise Refused(EXISTS)
    if body.until_ms <= context.time_ms:
        raise Refused(OVER)
    org = context.org.id
    row = PractitionerRow(
        body.licence,
        org,
        body.profession,
        ACTIVE,
        body.from_ms,
        body.until_ms,
        context.height,
        org,
    )
    _note(context, row, _in_time(row, context.time_ms), org, None)
    if context.time_ms < body.from_ms:
        context.alarm("identity.licence", body.licence, time_ms=body.from_ms)
    context.alarm("identity.licence", body.licence, time_ms=body.until_ms)


def _status(context: Context, body: Status) -> None:
    row = practitioner(context.view.get, body.licence)
    if row is None:
        raise Refused(LICENCE_UNKNOWN)
    org = context.org
    if row.issuer != org.id and "regulator" not in org.roles:
        raise Refused(NOT_YOURS)
    wanted = SUSPENDED if body.change == "resume" else ACTIVE
    if row.status != wanted and not (body.change == "end" and row.status == SUSPENDED):
        raise Refused(MISFIT)
    if body.change == "resume" and row.by != org.id:
        raise Refused(NOT_YOURS)
    changes = numbered.length(context.view.get, licence_changes(body.licence))
    if body.change != "end" and changes >= CHANGES_MAX:
        raise Refused(FULL)
    made = {"suspend": SUSPENDED, "resume": ACTIVE, "end": ENDED}[body.change]
    changed = replace(row, status=made, by=org.id)
    shown = _in_time(row, context.time_ms) if made == ACTIVE else made
    _note(context, changed, shown, org.id, body.reason)


def _time_came(moment: Moment, licence: bytes) -> None:
    """Write down that a licence's time has begun, or that it is over."""
    row = practitioner(moment.view.get, licence)
    if row is None or row.status == ENDED:
        return
    if row.until_ms <= moment.time_ms:
        _note(moment, replace(row, status=ENDED), EXPIRED, row.issuer, None)
        return
    last = numbered.last(moment.view.get, licence_changes(licence), LicenceChange)
    if last is not None and last.status == PENDING:
        _note(moment, row, ACTIVE, row.issuer, None)


_ISSUERS: Final = frozenset({"author", "custodian", "dispenser", "laboratory", "regulator"})
OPERATIONS: Final = (
    Operation(
        "identity.practitioner.issue",
        Issue,
        _issue,
        _ISSUERS,
        "Vouch for a practitioner's licence, known by its commitment.",
    ),
    Operation(
        "identity.practitioner.status",
        Status,
        _status,
        _ISSUERS,
        "Suspend, resume or end a licence.",
    ),
)
ALARMS: Final = (
    Alarm("identity.licence", _time_came, "A licence's time has begun, or is over."),
)
