"""What the operations on accesses share: the verdict of the consents, and who may be meant.

The verdict on an access is ``consents.evaluate`` over the state as it stands at one block; it
is asked again for every release, so a permit lives only as long as the consent behind it.
``essence`` is what a decision must say word for word.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from consensus import wire
from node.ledger import merkle
from node.ledger.facts import accesses, consents, custody, people, records
from node.ledger.facts.accesses import AccessRow
from node.ledger.facts.people import PatientRow
from node.ledger.facts.records import ERASED, GONE, BatchRow, RecordRow
from node.ledger.payload import ORG_PATTERN
from node.ledger.rules import Context, Refused, Result
from node.ledger.state import Read, load_from

_RESIDUAL_TAG: Final = b"chartseal/residual/v1\x00"
PATH_HASHES_MAX: Final = 20

RID_TAKEN: Final = Result(300, "access-rid-taken", "That random name was used before.")
NO_SUCH_ACCESS: Final = Result(301, "access-unknown", "No such access on the ledger.")
NOT_CUSTODIAN: Final = Result(
    302, "access-not-custodian", "Another institution keeps those records."
)
SUBJECT_UNKNOWN: Final = Result(
    303, "access-subject-unknown", "That institution knows no such patient."
)
PRACTITIONER: Final = Result(306, "access-practitioner-invalid", "No such licence is in force.")
SUBJECT_ENDED: Final = Result(
    314, "access-subject-ended", "The patient is no longer known there."
)
DENIED_GLASS: Final = Result(
    315, "access-glass-refused", "The rules allow no breaking of the glass here."
)
RECORD_UNKNOWN: Final = Result(
    323, "access-record-unknown", "A released record was never anchored."
)
RECORD_OTHERS: Final = Result(
    324, "access-record-not-custodian", "A released record is kept by others."
)
RECORD_GONE: Final = Result(
    325, "access-record-retracted", "A released record was entered in error."
)
PROOF_INVALID: Final = Result(
    326, "access-proof-invalid", "A released record is not in the batch that is named."
)
RECORD_ERASED: Final = Result(338, "access-record-erased", "A released record was erased.")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the consents in force say about an access: what ``access.decide`` has to say."""

    permit: bool
    basis: bytes | None
    basis_version: int
    residual: bytes  # digest of what must be left out
    reason: str

    @property
    def essence(self) -> tuple[bool, bytes | None, int, bytes]:
        return self.permit, self.basis, self.basis_version, self.residual


@dataclass(frozen=True, slots=True)
class BatchItem:
    """That the record ``at`` (its place among the released) is item ``index`` of a batch."""

    at: int
    root: bytes
    index: int
    path: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if len(self.root) != 32 or any(len(item) != 32 for item in self.path):
            raise ValueError("root and path are hashes of 32 bytes")
        if len(self.path) > PATH_HASHES_MAX:
            raise ValueError("path is up to 20 hashes")


def org_id(value: str, what: str) -> None:
    """Raise ``ValueError`` unless ``value`` can be the id of an institution."""
    if not ORG_PATTERN.fullmatch(value):
        raise ValueError(f"{what} is the id of an institution")


def request_of(row: AccessRow) -> consents.Request:
    return consents.Request(
        subject=row.subject,
        custodian=row.custodian,
        requester=row.requester,
        purpose=row.purpose,
        data_class=row.data_class,
        labels=row.labels,
        practitioner=row.practitioner,
        data_from_ms=row.data_from_ms,
        data_until_ms=row.data_until_ms,
        break_glass=row.glass is not None,
    )


def decision(read: Read, row: AccessRow, *, time_ms: int, height: int) -> consents.Decision:
    """Return what the consents say about the access at that height and time."""
    return consents.evaluate(read, request_of(row), time_ms=time_ms, height=height)


def residual_digest(found: consents.Decision) -> bytes:
    """Return SHA-256 of ``chartseal/residual/v1``, a zero byte and the canonical bytes of what
    must be left out."""
    return hashlib.sha256(_RESIDUAL_TAG + wire.encode(found.residual)).digest()


def verdict_at(read: Read, row: AccessRow, *, time_ms: int, height: int) -> Verdict:
    found = decision(read, row, time_ms=time_ms, height=height)
    residual = residual_digest(found)
    return Verdict(found.permit, found.basis, found.basis_version, residual, found.reason)


def verdict(context: Context, row: AccessRow) -> Verdict:
    """Return the verdict at the block that is being applied."""
    return verdict_at(context.view.get, row, time_ms=context.time_ms, height=context.height)


def access_of(context: Context, rid: bytes) -> AccessRow:
    row = accesses.access(context.view.get, rid)
    if row is None:
        raise Refused(NO_SUCH_ACCESS)
    return row


def subject_of(context: Context, subject: bytes, org: str, *, ended: bool) -> PatientRow:
    """Return the patient as ``org`` knows them; ``ended``: also when that is over."""
    row = people.patient(context.view.get, subject)
    if row is None or row.org != org:
        raise Refused(SUBJECT_UNKNOWN)
    if row.status == people.ENDED and not ended:
        raise Refused(SUBJECT_ENDED)
    return row


def licensed(read: Read, licence: bytes | None, now_ms: int) -> bool:
    """Return whether the licence is in force, or none was named."""
    return licence is None or people.licensed(people.practitioner(read, licence), now_ms)


def check_licence(context: Context, licence: bytes | None) -> None:
    if not licensed(context.view.get, licence, context.time_ms):
        raise Refused(PRACTITIONER)


def _of_batch(context: Context, commitment: bytes, item: BatchItem) -> tuple[str, str]:
    """Return institution and status of an item that its path proves."""
    batch = load_from(context.view.get, BatchRow, records.batch_key(item.root))
    if batch is None:
        raise Refused(RECORD_UNKNOWN)
    if not merkle.verify_inclusion(
        merkle.leaf_hash(commitment),
        index=item.index,
        size=batch.count,
        path=item.path,
        root=item.root,
    ):
        raise Refused(PROOF_INVALID)
    key = records.item_key(item.root, commitment)
    row = load_from(context.view.get, RecordRow, key)
    return batch.org, records.LIVE if row is None else row.status


def check_anchored(context: Context, commitment: bytes, item: BatchItem | None) -> None:
    """Refuse a record that the acting institution does not keep, took back, or erased.  Who
    keeps it is who anchored it, until it was handed over."""
    if item is None:
        row = load_from(context.view.get, RecordRow, records.record_key(commitment))
        if row is None:
            raise Refused(RECORD_UNKNOWN)
        org, status = row.org, row.status
    else:
        org, status = _of_batch(context, commitment, item)
    place = custody.place_of(commitment, None if item is None else item.root)
    if (custody.care_of(context.view.get, place).custodian or org) != context.org.id:
        raise Refused(RECORD_OTHERS)
    if status == GONE:
        raise Refused(RECORD_GONE)
    if status == ERASED:
        raise Refused(RECORD_ERASED)
