"""Family ``research``: studies that a board approved, patients who joined, uses that add up.

A patient's permit for a study is the join itself: the patient's key signs it together with a
commitment to what participants are told.  A patient leaves at any time, without a reason, and
through whichever institution passes it on.  Refuses: studies without another institution's
board, joining for somebody, joining what is over.
State and invariants: ``node.ledger.facts.research``; datasets: ``research_data``.
"""

from dataclasses import replace
from typing import Final

from node.ledger.facts import deeds, keys, numbered, people
from node.ledger.facts.research import (
    NO_HEAD,
    NOT_SPONSOR,
    OVER,
    STAYS_MAX,
    STUDY_UNKNOWN,
    ChangeRow,
    StayRow,
    StudyName,
    StudyRow,
    changes_key,
    known_study,
    next_head,
    running,
    stays,
    stays_key,
    studies_key,
    study_key,
)
from node.ledger.facts.research_bodies import End, Join, Leave, Register
from node.ledger.rules import Context, Operation, Refused, Result
from node.ledger.state import institution

STUDY_EXISTS: Final = Result(460, "research-study-exists", "That study is on the ledger.")
ETHICS_UNSIGNED: Final = Result(
    462, "research-ethics-unsigned", "The ethics institution has not signed."
)
ETHICS_UNFIT: Final = Result(
    463,
    "research-ethics-unfit",
    "Approval comes from another institution, with the role ethics.",
)
SUBJECT_UNKNOWN: Final = Result(465, "research-subject-unknown", "No such patient is bound.")
SUBJECT_ELSEWHERE: Final = Result(
    466, "research-subject-elsewhere", "Another institution knows that patient."
)
SUBJECT_UNSIGNED: Final = Result(
    467, "research-subject-unsigned", "The patient's key has not signed."
)
JOINED: Final = Result(468, "research-joined-already", "The patient is in the study already.")
NOT_JOINED: Final = Result(469, "research-not-joined", "The patient is not in the study.")
UNTIL_PAST: Final = Result(482, "research-until-past", "The study would be over already.")
SUBJECT_ENDED: Final = Result(483, "research-subject-ended", "The patient's binding has ended.")
JOINS_FULL: Final = Result(
    484, "research-joins-full", "The patient joined that study sixteen times."
)
TERMS_DIFFER: Final = Result(
    485, "research-terms-differ", "The patient signed other terms than the study's."
)
RESULTS: Final = (
    STUDY_EXISTS,
    STUDY_UNKNOWN,
    ETHICS_UNSIGNED,
    ETHICS_UNFIT,
    OVER,
    SUBJECT_UNKNOWN,
    SUBJECT_ELSEWHERE,
    SUBJECT_UNSIGNED,
    JOINED,
    NOT_JOINED,
    NOT_SPONSOR,
    UNTIL_PAST,
    SUBJECT_ENDED,
    JOINS_FULL,
    TERMS_DIFFER,
)


def _register(context: Context, body: Register) -> None:
    view = context.view
    if view.get(study_key(body.study)) is not None:
        raise Refused(STUDY_EXISTS)
    board = institution(view, body.ethics)
    if board is None or "ethics" not in board.roles or board.id == context.org.id:
        raise Refused(ETHICS_UNFIT)
    if board.id not in keys.signing_orgs(context):
        raise Refused(ETHICS_UNSIGNED)
    if body.until_ms <= context.time_ms:
        raise Refused(UNTIL_PAST)
    row = StudyRow(
        study=body.study,
        org=context.org.id,
        ethics=body.ethics,
        approval=body.approval,
        terms=body.terms,
        purposes=body.purposes,
        until_ms=body.until_ms,
        budget_micro=body.budget_micro,
        spent_micro=0,
        members=0,
        changes=0,
        last_leave=0,
        head=NO_HEAD,
        height=context.height,
        time_ms=context.time_ms,
        ended_by=None,
        ended_height=None,
        ended_ms=None,
    )
    view.save(study_key(body.study), row)


def _end(context: Context, body: End) -> None:
    row = running(context, body.study)
    if context.org.id not in (row.org, row.ethics):
        raise Refused(NOT_SPONSOR)
    ended = replace(
        row,
        ended_by=context.org.id,
        ended_height=context.height,
        ended_ms=context.time_ms,
    )
    context.view.save(study_key(row.study), ended)


def _change(context: Context, study: StudyRow, subject: bytes, *, joined: bool) -> int:
    """Put a change of membership at the end of the study's log; return its number."""
    number = study.changes + 1
    members = study.members + 1 if joined else study.members - 1
    head = next_head(study.head, subject, joined=joined)
    row = ChangeRow(subject, joined, members, head, context.height, context.time_ms)
    numbered.append(context.view, changes_key(study.study), row)
    changed = replace(
        study,
        members=members,
        changes=number,
        last_leave=study.last_leave if joined else number,
        head=head,
    )
    context.view.save(study_key(study.study), changed)
    return number


def _join(context: Context, body: Join) -> None:
    view = context.view
    study = running(context, body.study)
    patient = people.patient(view.get, body.subject)
    if patient is None:
        raise Refused(SUBJECT_UNKNOWN)
    if patient.org != context.org.id:
        raise Refused(SUBJECT_ELSEWHERE)
    if patient.status != people.ACTIVE:
        raise Refused(SUBJECT_ENDED)
    if not context.signed_by(patient.sign_key):
        raise Refused(SUBJECT_UNSIGNED)
    if body.terms != study.terms:
        raise Refused(TERMS_DIFFER)
    before = stays(view.get, body.study, body.subject)
    if before and before[-1].left is None:
        raise Refused(JOINED)
    if len(before) == STAYS_MAX:
        raise Refused(JOINS_FULL)
    number = _change(context, study, body.subject, joined=True)
    stay = StayRow(context.org.id, number, context.height, context.time_ms, None, None, None)
    numbered.append(view, stays_key(body.study, body.subject), stay)
    if not before:  # who leaves and joins again has joined once, for rewards too
        numbered.append(view, studies_key(body.subject), StudyName(body.study))
        deeds.done(context, "research.join", body.study, with_org=study.org, slots=1)


def _leave(context: Context, body: Leave) -> None:
    """Leaving is possible after the end, and through any institution that passes it on; for a
    patient whose binding has ended, the institution that knew them does it."""
    view = context.view
    study = known_study(context, body.study)
    before = stays(view.get, body.study, body.subject)
    if not before or before[-1].left is not None:
        raise Refused(NOT_JOINED)
    patient = people.patient(view.get, body.subject)
    if patient is not None and patient.status == people.ACTIVE:
        if not context.signed_by(patient.sign_key):
            raise Refused(SUBJECT_UNSIGNED)
    elif before[-1].org != context.org.id:
        raise Refused(SUBJECT_ELSEWHERE)
    number = _change(context, study, body.subject, joined=False)
    left = replace(before[-1], left=number, left_height=context.height, left_ms=context.time_ms)
    base = stays_key(body.study, body.subject)
    view.save(numbered.row_key(base, len(before) - 1), left)


_RESEARCH: Final = frozenset({"research"})
_STOPS: Final = frozenset({"ethics", "research"})
_ALL: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation(
        "research.study.register", Register, _register, _RESEARCH, "Register an approved study."
    ),
    Operation("research.study.end", End, _end, _STOPS, "End a study before its time."),
    Operation("research.join", Join, _join, _ALL, "Let a patient join a study."),
    Operation("research.leave", Leave, _leave, _ALL, "Let a patient leave a study."),
)
