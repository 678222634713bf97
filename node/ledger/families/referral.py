"""Family ``referral``: a patient is sent on, and somebody notices if nothing comes back.

``referral.open`` names the institution that is asked and until when; what is asked stands
behind a commitment (FHIR ServiceRequest).  The other accepts or declines; who sent may cancel.
``referral.complete`` closes the loop: it cites a record that the completing institution
anchored after the referral was opened, so "done" without a report is not possible.  A referral
whose deadline runs out is overdue from the same block on everywhere, and stays open until
somebody closes it.

No patient is named: the handle is random, and the record is known by its commitment.  Which
institution refers to which, when and how urgently is visible to members.

State: see ``facts.referrals``.  Bounds: a deadline lies at most ``DEADLINE_MS_MAX`` ahead.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import custody
from node.ledger.facts import referrals as facts
from node.ledger.facts.custody import ItemProof
from node.ledger.facts.records import ERASED, GONE
from node.ledger.facts.referrals import EventRow, ReferralRow
from node.ledger.facts.words import known, org_id, sized
from node.ledger.rules import Alarm, Context, Moment, Operation, Refused, Result
from node.ledger.state import institution

DEADLINE_MS_MAX: Final = 2 * 366 * 86_400_000
PRIORITIES: Final = ("asap", "routine", "stat", "urgent")  # FHIR request-priority
DECLINE_REASONS: Final = (
    "capacity",
    "incomplete",
    "out-of-scope",
    "patient-declined",
    "patient-not-reached",
)
CANCEL_REASONS: Final = ("duplicate", "entered-in-error", "not-needed", "patient-wish")

EXISTS: Final = Result(380, "referral-exists", "That referral is on the ledger already.")
UNKNOWN: Final = Result(381, "referral-unknown", "No such referral on the ledger.")
PARTY_UNKNOWN: Final = Result(
    382, "referral-party-unknown", "No such other institution to refer to."
)
NOT_YOURS: Final = Result(383, "referral-not-yours", "Another institution has to say that.")
CLOSED: Final = Result(384, "referral-closed", "That referral is closed.")
BAD_DEADLINE: Final = Result(
    385, "referral-deadline-unfit", "The deadline is past, or more than two years ahead."
)
RECORD_FOREIGN: Final = Result(
    386, "referral-record-foreign", "Another institution anchored the record that is cited."
)
RECORD_OLDER: Final = Result(
    387, "referral-record-older", "The record that is cited is older than the referral."
)
RECORD_VOID: Final = Result(
    388, "referral-record-void", "The record that is cited was retracted or erased."
)
ACCEPTED: Final = Result(389, "referral-accepted", "That referral was accepted already.")
RESULTS: Final = (
    EXISTS,
    UNKNOWN,
    PARTY_UNKNOWN,
    NOT_YOURS,
    CLOSED,
    BAD_DEADLINE,
    RECORD_FOREIGN,
    RECORD_OLDER,
    RECORD_VOID,
    ACCEPTED,
)


@dataclass(frozen=True, slots=True)
class Open:
    """``referral``: 32 random bytes, its name from now on; ``to``: who is asked; ``request``:
    commitment to the ServiceRequest; ``deadline_ms``: until when a report is expected."""

    referral: bytes
    to: str
    request: bytes
    deadline_ms: int
    priority: str = "routine"

    def __post_init__(self) -> None:
        org_id(self.to, "to")
        sized(self.referral, 32, "referral")
        sized(self.request, 32, "request")
        known(self.priority, PRIORITIES, "priority")


@dataclass(frozen=True, slots=True)
class Accept:
    referral: bytes

    def __post_init__(self) -> None:
        sized(self.referral, 32, "referral")


@dataclass(frozen=True, slots=True)
class Decline:
    referral: bytes
    reason: str

    def __post_init__(self) -> None:
        sized(self.referral, 32, "referral")
        known(self.reason, DECLINE_REASONS, "reason")


@dataclass(frozen=True, slots=True)
class Complete:
    """``record``: commitment of the report; ``proof`` when it is an item of a batch."""

    referral: bytes
    record: bytes
    proof: ItemProof | None = None

    def __post_init__(self) -> None:
        sized(self.referral, 32, "referral")
        sized(self.record, 32, "record")


@dataclass(frozen=True, slots=True)
class Cancel:
    referral: bytes
    reason: str

    def __post_init__(self) -> None:
        sized(self.referral, 32, "referral")
        known(self.reason, CANCEL_REASONS, "reason")


def _open(context: Context, body: Open) -> None:
    if facts.referral_of(context.view.get, body.referral) is not None:
        raise Refused(EXISTS)
    to = institution(context.view, body.to)
    if to is None or to.id == context.org.id:
        raise Refused(PARTY_UNKNOWN)
    now_ms = context.time_ms
    if not now_ms < body.deadline_ms <= now_ms + DEADLINE_MS_MAX:
        raise Refused(BAD_DEADLINE)
    row = ReferralRow(
        referral=body.referral,
        sender=context.org.id,
        to=to.id,
        request=body.request,
        priority=body.priority,
        opened_height=context.height,
        opened_ms=now_ms,
        deadline_ms=body.deadline_ms,
        status=facts.OPEN,
    )
    _keep(context, row, "opened")
    context.alarm("referral.deadline", body.referral, time_ms=body.deadline_ms)


def _keep(context: Context, row: ReferralRow, word: str) -> None:
    event = EventRow(row.status, context.org.id, context.txid, context.height, context.time_ms)
    facts.keep(context.view, row, event, word)


def _pending(context: Context, referral: bytes, side: str) -> ReferralRow:
    """Return a referral that is not closed and has the author on ``side``."""
    row = facts.referral_of(context.view.get, referral)
    if row is None:
        raise Refused(UNKNOWN)
    if row.of(side) != context.org.id:
        raise Refused(NOT_YOURS)
    if row.closed:
        raise Refused(CLOSED)
    return _run_out(context, row)


def _close(context: Context, row: ReferralRow) -> None:
    _keep(context, replace(row, closed_ms=context.time_ms), row.status)


def _accept(context: Context, body: Accept) -> None:
    row = _pending(context, body.referral, facts.RECEIVED)
    if row.status == facts.ACCEPTED:
        raise Refused(ACCEPTED)
    _keep(context, replace(row, status=facts.ACCEPTED), "accepted")


def _decline(context: Context, body: Decline) -> None:
    row = _pending(context, body.referral, facts.RECEIVED)
    _close(context, replace(row, status=facts.DECLINED, reason=body.reason))


def _complete(context: Context, body: Complete) -> None:
    row = _pending(context, body.referral, facts.RECEIVED)
    found = custody.standing(context.view.get, body.record, body.proof)
    if found.row.org != context.org.id:
        raise Refused(RECORD_FOREIGN)
    if found.row.status in (GONE, ERASED):
        raise Refused(RECORD_VOID)
    if found.row.height < row.opened_height:
        raise Refused(RECORD_OLDER)
    root = None if body.proof is None else body.proof.root
    done = replace(row, status=facts.COMPLETED, record=body.record, root=root)
    _close(context, done)


def _cancel(context: Context, body: Cancel) -> None:
    row = _pending(context, body.referral, facts.SENT)
    _close(context, replace(row, status=facts.CANCELLED, reason=body.reason))


def _run_out(moment: Moment, row: ReferralRow) -> ReferralRow:
    """Mark a pending referral whose deadline has run out, once."""
    if row.overdue_ms is not None or moment.time_ms < row.deadline_ms:
        return row
    marked = replace(row, overdue_ms=moment.time_ms)
    event = EventRow("overdue", None, None, moment.height, moment.time_ms)
    facts.keep(moment.view, marked, event, "overdue")
    return marked


def _deadline(moment: Moment, referral: bytes) -> None:
    row = facts.referral_of(moment.view.get, referral)
    if row is not None and not row.closed:
        _run_out(moment, row)


_EVERYBODY: Final = frozenset[str]()
OPERATIONS: Final = (
    Operation("referral.open", Open, _open, _EVERYBODY, "Refer a patient to an institution."),
    Operation("referral.accept", Accept, _accept, _EVERYBODY, "Accept a referral."),
    Operation("referral.decline", Decline, _decline, _EVERYBODY, "Decline a referral."),
    Operation(
        "referral.complete", Complete, _complete, _EVERYBODY, "Close a referral with a report."
    ),
    Operation("referral.cancel", Cancel, _cancel, _EVERYBODY, "Take back a referral."),
)
ALARMS: Final = (
    Alarm("referral.deadline", _deadline, "A referral was not closed by its deadline."),
)
