"""Family ``identity``, patients: whose keys speak for a subject, and what if they are lost.

``identity.patient.bind`` ties keys to a subject of the author's institution; the new key
signs too.  ``.rotate`` replaces them, old and new key sign.  ``.guard`` names keys of people
the patient trusts, ``.recover`` lets so many of them replace lost keys at once.  A patient
without guardians goes to the institution: ``identity.recovery.open`` names the new keys,
which take over after ``RECOVERY_WAIT_MS`` unless the old key, or the institution, calls
``identity.recovery.cancel``.  ``.end`` ends a binding for ever.

What a patient's key signs may be brought by any institution: the one that made the binding
cannot hold its patient.

State: ``patient/<subject>`` -> ``PatientRow``, ``patient-change/<subject>`` a numbered list,
``patient-recovery/<subject>`` a numbered list of ``RecoveryRow``.  Bounded: 8 guardians,
``CHANGES_MAX`` changes and as many recoveries, one of them open at a time.
Alarm: ``identity.recovery``, the end of the waiting time.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import keys, numbered, people
from node.ledger.facts.keys import Holder
from node.ledger.facts.people import ACTIVE, ENDED, GUARDIANS_MAX, PatientRow
from node.ledger.facts.recovery import (
    CANCELLED,
    DONE,
    OPEN,
    RecoveryRow,
    open_recovery,
    recoveries,
)
from node.ledger.facts.words import sized
from node.ledger.rules import Alarm, Context, Moment, Operation, Refused, Result

RECOVERY_WAIT_MS: Final = 7 * 86_400_000
CHANGES_MAX: Final = 1000
NEEDED_MAX: Final = 6  # eight may sign: these, the new key, and the institution
LEVELS: Final = (1, 2, 3)

EXISTS: Final = Result(218, "identity-patient-known", "That subject is bound already.")
UNKNOWN: Final = Result(219, "identity-patient-unknown", "No such subject on the ledger.")
NOT_YOURS: Final = Result(
    220, "identity-patient-not-yours", "Another institution knows that subject."
)
OVER: Final = Result(221, "identity-patient-ended", "The binding of that subject has ended.")
UNSIGNED: Final = Result(
    222, "identity-patient-unsigned", "The key that speaks for the subject must sign too."
)
GUARD_FEW: Final = Result(
    223, "identity-patient-guard-few", "Fewer guardians signed than the patient asked for."
)
FULL: Final = Result(224, "identity-patient-full", "That binding has changed too often.")
WAITING: Final = Result(225, "identity-recovery-waiting", "A recovery waits already.")
NOT_WAITING: Final = Result(226, "identity-recovery-none", "No recovery waits.")
RESULTS: Final = (
    EXISTS,
    UNKNOWN,
    NOT_YOURS,
    OVER,
    UNSIGNED,
    GUARD_FEW,
    FULL,
    WAITING,
    NOT_WAITING,
)


@dataclass(frozen=True, slots=True)
class Bind:
    """``subject``: 32 random bytes of this patient here; ``sign_key``: Ed25519, signs too;
    ``seal_key``: X25519; ``level``: assurance, 1 low, 2 substantial, 3 high (eIDAS)."""

    subject: bytes
    sign_key: bytes
    seal_key: bytes
    level: int

    def __post_init__(self) -> None:
        for value, what in ((self.subject, "subject"), (self.sign_key, "sign_key")):
            sized(value, 32, what)
        sized(self.seal_key, 32, "seal_key")
        if self.level not in LEVELS:
            raise ValueError("level is 1, 2 or 3")


@dataclass(frozen=True, slots=True)
class NewKeys:
    """The keys that take over for ``subject``; ``sign_key`` signs too."""

    subject: bytes
    sign_key: bytes
    seal_key: bytes

    def __post_init__(self) -> None:
        for value, what in ((self.subject, "subject"), (self.sign_key, "sign_key")):
            sized(value, 32, what)
        sized(self.seal_key, 32, "seal_key")


@dataclass(frozen=True, slots=True)
class Guardians:
    """``guardians``: Ed25519 keys; ``needed`` of them recover.  None: nobody can."""

    subject: bytes
    guardians: tuple[bytes, ...]
    needed: int

    def __post_init__(self) -> None:
        sized(self.subject, 32, "subject")
        for item in self.guardians:
            sized(item, 32, "a guardian's key")
        if len(set(self.guardians)) != len(self.guardians):
            raise ValueError("guardians are named once")
        if len(self.guardians) > GUARDIANS_MAX:
            raise ValueError("guardians are 8 at most")
        most = min(len(self.guardians), NEEDED_MAX)
        if not min(1, most) <= self.needed <= most:
            raise ValueError("needed must be 1 to 6, and no more than there are guardians")


@dataclass(frozen=True, slots=True)
class Subject:
    subject: bytes

    def __post_init__(self) -> None:
        sized(self.subject, 32, "subject")


# --- what the operations share -------------------------------------------------------------


def _bound(context: Context, subject: bytes) -> PatientRow:
    row = people.patient(context.view.get, subject)
    if row is None:
        raise Refused(UNKNOWN)
    if row.status != ACTIVE:
        raise Refused(OVER)
    return row


def _own(context: Context, subject: bytes) -> PatientRow:
    row = _bound(context, subject)
    if row.org != context.org.id:
        raise Refused(NOT_YOURS)
    return row


def _save(moment: Moment, row: PatientRow, what: str) -> None:
    people.save_patient(moment.view, row, what, height=moment.height, time_ms=moment.time_ms)


def _room(context: Context, subject: bytes) -> None:
    lists = (people.patient_changes(subject), recoveries(subject))
    if any(numbered.length(context.view.get, name) >= CHANGES_MAX for name in lists):
        raise Refused(FULL)


def _hold(context: Context, body: Bind | NewKeys) -> None:
    keys.hold(context, body.sign_key, Holder("patient", body.subject))


def _close_recovery(moment: Moment, subject: bytes, status: str) -> None:
    """Say what became of the recovery that waits, if one does."""
    number, row = open_recovery(moment.view.get, subject)
    if row is not None:
        closed = replace(
            row, status=status, closed_height=moment.height, closed_ms=moment.time_ms
        )
        moment.view.save(numbered.row_key(recoveries(subject), number), closed)


def _new_keys(moment: Moment, row: PatientRow, what: str, keys_: NewKeys | RecoveryRow) -> None:
    changed = replace(
        row, sign_key=keys_.sign_key, seal_key=keys_.seal_key, version=row.version + 1
    )
    _save(moment, changed, what)


# --- the operations ------------------------------------------------------------------------


def _bind(context: Context, body: Bind) -> None:
    if people.patient(context.view.get, body.subject) is not None:
        raise Refused(EXISTS)
    _hold(context, body)
    row = PatientRow(
        subject=body.subject,
        org=context.org.id,
        sign_key=body.sign_key,
        seal_key=body.seal_key,
        level=body.level,
        status=ACTIVE,
        guardians=(),
        guardians_needed=0,
        version=1,
        since_height=context.height,
        since_ms=context.time_ms,
    )
    _save(context, row, "bind")


def _rotate(context: Context, body: NewKeys) -> None:
    row = _bound(context, body.subject)
    if not context.signed_by(row.sign_key):
        raise Refused(UNSIGNED)
    _room(context, body.subject)
    _hold(context, body)
    _close_recovery(context, body.subject, CANCELLED)  # the old key is not lost
    _new_keys(context, row, "rotate", body)


def _guard(context: Context, body: Guardians) -> None:
    row = _bound(context, body.subject)
    if not context.signed_by(row.sign_key):
        raise Refused(UNSIGNED)
    _room(context, body.subject)
    changed = replace(row, guardians=body.guardians, guardians_needed=body.needed)
    _save(context, changed, "guard")


def _recover(context: Context, body: NewKeys) -> None:
    row = _bound(context, body.subject)
    signed = sum(context.signed_by(key) for key in row.guardians)
    if not row.guardians or signed < row.guardians_needed:
        raise Refused(GUARD_FEW)
    _hold(context, body)
    _close_recovery(context, body.subject, CANCELLED)
    _new_keys(context, row, "recover", body)


def _open(context: Context, body: NewKeys) -> None:
    _own(context, body.subject)
    if open_recovery(context.view.get, body.subject)[1] is not None:
        raise Refused(WAITING)
    _room(context, body.subject)
    _hold(context, body)
    due_ms = context.time_ms + RECOVERY_WAIT_MS
    row = RecoveryRow(
        body.sign_key, body.seal_key, OPEN, context.height, context.time_ms, due_ms
    )
    number = numbered.append(context.view, recoveries(body.subject), row)
    key = body.subject + number.to_bytes(4, "big")
    context.alarm("identity.recovery", key, time_ms=due_ms)


def _cancel(context: Context, body: Subject) -> None:
    row = _bound(context, body.subject)
    if row.org != context.org.id and not context.signed_by(row.sign_key):
        raise Refused(UNSIGNED)
    if open_recovery(context.view.get, body.subject)[1] is None:
        raise Refused(NOT_WAITING)
    _close_recovery(context, body.subject, CANCELLED)


def _take_over(moment: Moment, key: bytes) -> None:
    """The waiting time is over and nobody objected: the new keys speak."""
    subject, number = key[:32], int.from_bytes(key[32:], "big")
    at, waits = open_recovery(moment.view.get, subject)
    row = people.patient(moment.view.get, subject)
    if waits is None or at != number or row is None or row.status != ACTIVE:
        return
    _close_recovery(moment, subject, DONE)
    _new_keys(moment, row, "recover", waits)


def _end(context: Context, body: Subject) -> None:
    row = _bound(context, body.subject)
    if row.org != context.org.id and not context.signed_by(row.sign_key):
        raise Refused(NOT_YOURS)
    _close_recovery(context, body.subject, CANCELLED)
    _save(context, replace(row, status=ENDED), "end")


_ANY: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation("identity.patient.bind", Bind, _bind, _ANY, "Bind a patient's keys."),
    Operation("identity.patient.rotate", NewKeys, _rotate, _ANY, "Replace a patient's keys."),
    Operation("identity.patient.guard", Guardians, _guard, _ANY, "Name a patient's guardians."),
    Operation(
        "identity.patient.recover",
        NewKeys,
        _recover,
        _ANY,
        "Replace a patient's lost keys, as guardians.",
    ),
    Operation("identity.patient.end", Subject, _end, _ANY, "End a patient's binding."),
    Operation(
        "identity.recovery.open",
        NewKeys,
        _open,
        _ANY,
        "Name new keys for a patient who lost theirs; they wait.",
    ),
    Operation(
        "identity.recovery.cancel",
        Subject,
        _cancel,
        _ANY,
        "Object to a recovery that waits.",
    ),
)
ALARMS: Final = (Alarm("identity.recovery", _take_over, "A recovery's waiting time is over."),)
