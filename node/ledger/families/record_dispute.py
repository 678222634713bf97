"""Family ``record``, disputes: somebody says that a record is wrong, and gets an answer.

``record.dispute.open`` brings a request to rectify (GDPR Art. 16, HIPAA 45 CFR 164.526): by a
patient, who co-signs, or by any institution.  It opens a clock of ``ANSWER_MS`` (GDPR Art.
12(3): one month).  The custodian answers with ``record.dispute.close``: granted (the record was
amended, retracted or erased since, and the ledger looks whether that is so) or refused with a
code.  Who brought it may withdraw it.  An unanswered one becomes overdue in the same block
everywhere, and stays open until it is answered.

A patient who signs shows that this subject has to do with this record.  Who does not want that
lets an institution bring the dispute without naming a subject.

State and bounds: see ``facts.custody``.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import custody, numbered, people, sets
from node.ledger.facts.custody import DisputeName, DisputeRow, ItemProof
from node.ledger.facts.records import AMENDED, ERASED, GONE, RecordRow
from node.ledger.facts.words import known, sized
from node.ledger.rules import Alarm, Context, Moment, Operation, Refused, Result

ANSWER_MS: Final = 30 * 86_400_000
GRANTED: Final = (AMENDED, ERASED, GONE)
WITHDRAWN: Final = "withdrawn"
REFUSALS: Final = (
    "accurate",  # the record is accurate and complete
    "not-created-here",  # another institution made it, and is there to be asked
    "not-in-scope",  # not part of what the patient may have rectified
    "unfounded",  # manifestly unfounded or excessive
    "unidentified",  # who asks could not be identified
)
OUTCOMES: Final = (*GRANTED, *REFUSALS, WITHDRAWN)

NOT_OPEN: Final = Result(114, "record-dispute-not-open", "No such dispute is open.")
NOT_BORNE_OUT: Final = Result(
    115, "record-dispute-outcome", "The record's state does not bear that outcome out."
)
RESULTS: Final = (NOT_OPEN, NOT_BORNE_OUT)


@dataclass(frozen=True, slots=True)
class Dispute:
    """``statement``: commitment to what is wrong and how it should read.  ``subject``: the
    patient's handle, when the patient co-signs; ``proof`` for an item of a batch."""

    commitment: bytes
    statement: bytes
    subject: bytes | None = None
    proof: ItemProof | None = None

    def __post_init__(self) -> None:
        sized(self.commitment, 32, "commitment")
        sized(self.statement, 32, "statement")
        sized(self.subject, 32, "subject")


@dataclass(frozen=True, slots=True)
class Close:
    """Answer dispute ``number`` of a record (of an item of the batch with ``root``).

    ``outcome``: amended, retracted or erased when the request is granted; a refusal's code;
    or withdrawn, which only the institution that brought it may say.
    """

    commitment: bytes
    number: int
    outcome: str
    root: bytes | None = None

    def __post_init__(self) -> None:
        sized(self.commitment, 32, "commitment")
        sized(self.root, 32, "root")
        known(self.outcome, OUTCOMES, "outcome")


def _signed(context: Context, subject: bytes) -> None:
    patient = people.patient(context.view.get, subject)
    if patient is None or patient.status != people.ACTIVE:
        raise Refused(custody.UNFIT)
    if not context.signed_by(patient.sign_key):
        raise Refused(custody.UNSIGNED)


def _dispute(context: Context, body: Dispute) -> None:
    if body.subject is not None:
        _signed(context, body.subject)
    view = context.view
    found = custody.standing(view.get, body.commitment, body.proof)
    if found.row.status == ERASED:
        raise Refused(custody.WAS_ERASED)
    if found.row.status == GONE:
        raise Refused(custody.RETRACTED)
    if found.row.successor is not None:
        raise Refused(custody.SUPERSEDED)
    if len(found.care.disputes) == custody.DISPUTES_MAX:
        raise Refused(custody.TOO_MANY)
    due_ms = context.time_ms + ANSWER_MS
    row = DisputeRow(
        context.org.id,
        body.subject,
        body.statement,
        context.height,
        context.time_ms,
        due_ms,
    )
    number = numbered.append(view, custody.disputes_base(found.place), row)
    care = replace(found.care, disputes=(*found.care.disputes, number))
    custody.save_care(view, found, care)
    name = custody.dispute_name(found.place, number)
    sets.enter(view, custody.open_disputes_base(found.custodian), name)
    listed = DisputeName(found.place, number)
    numbered.append(view, custody.disputes_of_base(found.custodian), listed)
    custody.count_disputes(view, found.custodian, opened=1)
    context.alarm("record.dispute", name, time_ms=due_ms)


def _close(context: Context, body: Close) -> None:
    view = context.view
    place = custody.place_of(body.commitment, body.root)
    care = custody.care_of(view.get, place)
    row = view.load(RecordRow, place)
    if row is None or body.number not in care.disputes:
        raise Refused(NOT_OPEN)
    custodian = care.custodian or row.org
    dispute = _run_out(context, place, body.number, custodian)
    answers = dispute.org if body.outcome == WITHDRAWN else custodian
    if context.org.id != answers:
        raise Refused(custody.UNFIT)
    if body.outcome in GRANTED and row.status != body.outcome:
        raise Refused(NOT_BORNE_OUT)
    closed = replace(
        dispute,
        outcome=body.outcome,
        closed_by=context.org.id,
        closed_height=context.height,
        closed_ms=context.time_ms,
    )
    view.save(numbered.row_key(custody.disputes_base(place), body.number), closed)
    left = tuple(number for number in care.disputes if number != body.number)
    view.save(custody.care_key(place), replace(care, disputes=left))
    name = custody.dispute_name(place, body.number)
    sets.leave(view, custody.open_disputes_base(custodian), name)
    granted, withdrawn = body.outcome in GRANTED, body.outcome == WITHDRAWN
    custody.count_disputes(
        view,
        custodian,
        granted=int(granted),
        withdrawn=int(withdrawn),
        refused=int(not granted and not withdrawn),
    )


def _run_out(moment: Moment, place: bytes, number: int, custodian: str) -> DisputeRow:
    """Return an open dispute; one whose month is over is marked, once."""
    key = numbered.row_key(custody.disputes_base(place), number)
    dispute = moment.view.load(DisputeRow, key)
    assert dispute is not None, "an open dispute has its row"
    if dispute.overdue_ms is None and moment.time_ms >= dispute.due_ms:
        dispute = replace(dispute, overdue_ms=moment.time_ms)
        moment.view.save(key, dispute)
        custody.count_disputes(moment.view, custodian, overdue=1)
    return dispute


def _overdue(moment: Moment, name: bytes) -> None:
    listed = custody.dispute_named(name)
    care = custody.care_of(moment.view.get, listed.place)
    row = moment.view.load(RecordRow, listed.place)
    if row is not None and listed.number in care.disputes:
        _run_out(moment, listed.place, listed.number, care.custodian or row.org)


OPERATIONS: Final = (
    Operation(
        "record.dispute.open",
        Dispute,
        _dispute,
        frozenset(),
        "Ask for a record to be rectified.",
    ),
    Operation(
        "record.dispute.close", Close, _close, frozenset(), "Answer or withdraw a dispute."
    ),
)
ALARMS: Final = (
    Alarm("record.dispute", _overdue, "A dispute was not answered within a month."),
)
