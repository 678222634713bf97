"""Family ``consent``, acting for others: delegates of a patient, and when that ends.

``consent.delegate`` lets a key act for a patient: a parent for a minor, an attorney whom the
patient chose, whom a court named.  The patient, or a delegate who may delegate, co-signs; or
the institution that knows the patient attests a document.  ``consent.undelegate`` ends it: by
the patient, by the delegate, or by that institution.  A parent's delegation always ends at a
time (``consent_delegates`` says on which grid and why); from then on the patient signs.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import people
from node.ledger.facts.consent_delegates import (
    DEEDS,
    DELEGATE,
    DELEGATE_KINDS,
    DELEGATES_EVER_MAX,
    MAJORITY_GRID_MS,
    PARENT,
    DelegateRow,
    authority,
    delegate_key,
    delegates,
    delegates_key,
    holds,
)
from node.ledger.facts.consent_rows import Count, count_of
from node.ledger.facts.consent_rule import TIME_MS_MAX, ordered
from node.ledger.facts.people import PatientRow
from node.ledger.facts.words import known, sized
from node.ledger.rules import Context, Operation, Refused, Result

SUBJECT_UNKNOWN: Final = Result(270, "consent-proxy-subject", "No such patient to act for.")
NOT_ALLOWED: Final = Result(
    271,
    "consent-proxy-not-allowed",
    "Only the patient, a delegate who may, or the patient's institution by document does that.",
)
EXISTS: Final = Result(272, "consent-proxy-exists", "That key acts for the patient already.")
UNKNOWN: Final = Result(273, "consent-proxy-unknown", "That key does not act for the patient.")
OVER: Final = Result(274, "consent-proxy-over", "The delegation would be over already.")
FULL: Final = Result(275, "consent-proxy-full", "The patient had too many delegates.")
BEYOND: Final = Result(
    276, "consent-proxy-beyond", "A delegate cannot give more, or for longer, than it has."
)
RESULTS: Final = (SUBJECT_UNKNOWN, NOT_ALLOWED, EXISTS, UNKNOWN, OVER, FULL, BEYOND)


@dataclass(frozen=True, slots=True)
class Delegate:
    """``key`` may act for ``subject``.

    ``key``: Ed25519, made for this subject only; ``deeds``: grant, revoke, opt, delegate,
    ascending; ``until_ms``: when it ends, needed for a parent and then a multiple of 91 days
    since 1970; ``document``: commitment to the paper, by which the patient's institution
    attests the delegation without a signature.
    """

    subject: bytes
    key: bytes
    kind: str
    deeds: tuple[str, ...]
    until_ms: int | None = None
    document: bytes | None = None

    def __post_init__(self) -> None:
        sized(self.subject, 32, "subject")
        sized(self.key, 32, "key")
        sized(self.document, 32, "document")
        known(self.kind, DELEGATE_KINDS, "kind")
        ordered(self.deeds, "deeds")
        if not self.deeds:
            raise ValueError("a delegate may do something")
        for deed in self.deeds:
            known(deed, DEEDS, "deed")
        if self.until_ms is not None and self.until_ms > TIME_MS_MAX:
            raise ValueError("until_ms lies beyond the year 9999")
        if self.kind == PARENT and (self.until_ms is None or self.until_ms % MAJORITY_GRID_MS):
            raise ValueError("a parent's delegation ends at a multiple of 91 days since 1970")


@dataclass(frozen=True, slots=True)
class Undelegate:
    """``key`` acts for ``subject`` no longer.  ``document``: as in consent.delegate."""

    subject: bytes
    key: bytes
    document: bytes | None = None

    def __post_init__(self) -> None:
        sized(self.subject, 32, "subject")
        sized(self.key, 32, "key")
        sized(self.document, 32, "document")


def _patient(context: Context, subject: bytes) -> PatientRow:
    patient = people.patient(context.view.get, subject)
    if patient is None or patient.status == people.ENDED:
        raise Refused(SUBJECT_UNKNOWN)
    return patient


def _current(context: Context, subject: bytes, key: bytes) -> DelegateRow | None:
    found = [
        item
        for item in delegates(context.view.get, subject)
        if item.key == key and holds(item, context.time_ms)
    ]
    return found[-1] if found else None


def _signer(context: Context, patient: PatientRow, document: bytes | None) -> bytes | None:
    """Return the key by which it is delegated; None: by the institution's document."""
    if document is not None and context.org.id == patient.org:
        return None
    found = authority(
        context.view.get, patient, context.keys, deed=DELEGATE, time_ms=context.time_ms
    )
    if found.signer is None:
        raise Refused(NOT_ALLOWED)
    return found.signer


def _delegate(context: Context, body: Delegate) -> None:
    patient = _patient(context, body.subject)
    signer = _signer(context, patient, body.document)
    if body.kind in ("court", PARENT) and signer is not None:
        raise Refused(NOT_ALLOWED)  # nobody declares a patient a minor or a ward but by paper
    if body.until_ms is not None and body.until_ms <= context.time_ms:
        raise Refused(OVER)
    if _current(context, body.subject, body.key) is not None:
        raise Refused(EXISTS)
    if signer is not None and signer != patient.sign_key:
        giver = _current(context, body.subject, signer)
        assert giver is not None, "a key that may delegate is a delegate's"
        longer = giver.until_ms is not None and (
            body.until_ms is None or body.until_ms > giver.until_ms
        )
        if longer or not set(body.deeds) <= set(giver.deeds):
            raise Refused(BEYOND)
    number = count_of(context.view.get, delegates_key(body.subject))
    if number >= DELEGATES_EVER_MAX:
        raise Refused(FULL)
    row = DelegateRow(
        subject=body.subject,
        number=number,
        key=body.key,
        kind=body.kind,
        deeds=body.deeds,
        until_ms=body.until_ms,
        signer=signer,
        org=context.org.id,
        source=body.document,
        from_height=context.height,
        from_ms=context.time_ms,
    )
    context.view.save(delegate_key(body.subject, number), row)
    context.view.save(delegates_key(body.subject), Count(number + 1))


def _undelegate(context: Context, body: Undelegate) -> None:
    patient = _patient(context, body.subject)
    row = _current(context, body.subject, body.key)
    if row is None:
        raise Refused(UNKNOWN)
    if not context.signed_by(body.key):
        signer = _signer(context, patient, body.document)
        if row.kind == "court" and signer is not None:
            raise Refused(NOT_ALLOWED)  # what a court named ends by a court's paper
    ended = replace(row, until_height=context.height, ended_ms=context.time_ms)
    context.view.save(delegate_key(body.subject, row.number), ended)


_ANYBODY: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation(
        "consent.delegate", Delegate, _delegate, _ANYBODY, "Let a key act for a patient."
    ),
    Operation(
        "consent.undelegate", Undelegate, _undelegate, _ANYBODY, "End that a key acts for one."
    ),
)
