"""Family ``access``, handing over: releases, what arrived, and disclosures noted afterwards.

``access.release`` is the custodian's word that it handed over records, each of which it keeps
(it anchored them, or took them over), with the digest of the wrapped content keys.  It needs
a permit that lives *at this block*: the request was permitted, has not ended, who asked still
has a licence, and the consents in force still permit it, leaving out what the custodian says
it left out.
``access.ack`` is the recipient's word on what arrived; one that is missing after
``ACKNOWLEDGE_MS`` is marked by the clock.  ``access.disclose`` notes a disclosure outside
requests (a court, an authority, a payer), so that the patient's accounting is whole (EHDS
Art. 9, 45 CFR 164.528).

That a released record speaks of the patient who was asked for cannot be checked here: tags are
made so that nobody can tell.  The recipient can, and says so by ``mismatch-patient``.
Bounded: ``RELEASES_MAX`` releases of one request, ``ITEMS_MAX`` records in each.

State: see ``node.ledger.facts.accesses``; ``access-disclosure/<did>`` -> ``DisclosureRow``.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import access_rules, accesses, duties
from node.ledger.facts.access_rules import (
    NOT_CUSTODIAN,
    PROOF_INVALID,
    RECORD_ERASED,
    RECORD_GONE,
    RECORD_OTHERS,
    RECORD_UNKNOWN,
    RID_TAKEN,
    BatchItem,
)
from node.ledger.facts.accesses import (
    ITEMS_MAX,
    PERMITTED,
    RELEASES_MAX,
    SENT,
    STOPPED,
    AccessRow,
    Event,
    ReleaseRow,
)
from node.ledger.facts.duties import ACKNOWLEDGE, DutyRow
from node.ledger.facts.words import PURPOSES, known, sized
from node.ledger.rules import Context, Operation, Refused, Result
from node.ledger.state import institution

ACKNOWLEDGE_MS: Final = 86_400_000
ARRIVED: Final = "ok"
OUTCOMES: Final = (
    "mismatch-altered",
    "mismatch-missing",
    "mismatch-patient",
    "mismatch-unreadable",
    ARRIVED,
)
# Who got it, where that is no institution of the ledger: kinds, never a name.
RECIPIENT_KINDS: Final = (
    "authority",
    "court",
    "institution",
    "law-enforcement",
    "patient",
    "payer",
    "provider",
    "registry",
    "representative",
    "research",
)

NOT_PERMITTED: Final = Result(316, "access-not-permitted", "That request was not permitted.")
ENDED: Final = Result(317, "access-expired", "The time for releases is over.")
GONE_PERMIT: Final = Result(
    318, "access-permit-gone", "The consents in force no longer permit it."
)
RESIDUAL: Final = Result(
    319, "access-residual-differs", "The consents in force leave out other data than that."
)
FULL: Final = Result(320, "access-releases-full", "So many releases need a new request.")
GLASS_STOPPED: Final = Result(
    321, "access-glass-stopped", "The review did not find the broken glass justified."
)
NO_RELEASE: Final = Result(322, "access-release-unknown", "No such release of that access.")
NOT_RECIPIENT: Final = Result(
    327, "access-not-recipient", "The release went to another institution."
)
ACKNOWLEDGED: Final = Result(
    328, "access-acknowledged", "That release was acknowledged already."
)
CONTRADICTS: Final = Result(
    329, "access-ack-contradicts", "It cannot be in order: other records arrived."
)
NO_RECIPIENT: Final = Result(
    336, "access-recipient-unknown", "No such institution on the ledger."
)
LATER: Final = Result(
    337, "access-disclosure-future", "A disclosure is noted after it happened."
)
RESULTS: Final = (
    RECORD_UNKNOWN,
    RECORD_OTHERS,
    RECORD_GONE,
    RECORD_ERASED,
    PROOF_INVALID,
    NOT_PERMITTED,
    ENDED,
    GONE_PERMIT,
    RESIDUAL,
    FULL,
    GLASS_STOPPED,
    NO_RELEASE,
    NOT_RECIPIENT,
    ACKNOWLEDGED,
    CONTRADICTS,
    NO_RECIPIENT,
    LATER,
)


@dataclass(frozen=True, slots=True)
class Release:
    """Records handed over for the access ``rid``.

    ``wraps``: digest of the content keys wrapped for the requester; ``residual``: digest of
    what the custodian left out, which must be what the consents leave out now (question
    ``access.verdict``).  A record that was anchored in a batch needs its path in ``proofs``.
    """

    rid: bytes
    commitments: tuple[bytes, ...]
    wraps: bytes
    residual: bytes
    proofs: tuple[BatchItem, ...] = ()

    def __post_init__(self) -> None:
        sized(self.rid, 32, "rid")
        sized(self.wraps, 32, "wraps")
        sized(self.residual, 32, "residual")
        count = len(self.commitments)
        if not 1 <= count <= ITEMS_MAX:
            raise ValueError(f"1 to {ITEMS_MAX} commitments")
        for item in self.commitments:
            sized(item, 32, "commitment")
        if len(set(self.commitments)) != count:
            raise ValueError("every record is released once")
        places = [proof.at for proof in self.proofs]
        if places != sorted(set(places)) or any(at >= count for at in places):
            raise ValueError("proofs are about different commitments, in their order")


@dataclass(frozen=True, slots=True)
class Ack:
    """What arrived of release ``number`` (from 0).  ``arrived``: digest of the commitments of
    what was received, in the order of the release; in order only if it is the release's."""

    rid: bytes
    number: int
    arrived: bytes
    outcome: str  # ok, mismatch-altered, -missing, -patient, -unreadable

    def __post_init__(self) -> None:
        sized(self.rid, 32, "rid")
        sized(self.arrived, 32, "arrived")
        known(self.outcome, OUTCOMES, "outcome")
        if self.number >= RELEASES_MAX:
            raise ValueError(f"number is below {RELEASES_MAX}")


@dataclass(frozen=True, slots=True)
class Disclose:
    """A disclosure outside requests.  ``did``: 32 random bytes, its name.

    ``recipient``: an institution of the ledger; one that is not on it is told by its ``kind``
    alone, and ``named`` may commit to the name, which the discloser keeps.  ``items`` records
    were handed over, ``digest`` over their commitments in order; ``happened_ms``: when.
    """

    did: bytes
    subject: bytes
    purpose: str
    kind: str  # authority, court, institution, law-enforcement, patient, payer, ...
    items: int
    digest: bytes
    happened_ms: int
    recipient: str | None = None
    named: bytes | None = None
    data_class: int | None = None

    def __post_init__(self) -> None:
        sized(self.did, 32, "did")
        sized(self.subject, 32, "subject")
        sized(self.digest, 32, "digest")
        sized(self.named, 32, "named")
        known(self.purpose, PURPOSES, "purpose")
        known(self.kind, RECIPIENT_KINDS, "kind")
        if (self.recipient is not None) != (self.kind == "institution"):
            raise ValueError("recipient belongs to the kind institution, and only there")
        if self.recipient is not None:
            access_rules.org_id(self.recipient, "recipient")
        if not 1 <= self.items <= 1 << 32:
            raise ValueError("items must be 1 to 2^32")
        if self.data_class is not None and self.data_class > 255:
            raise ValueError("data_class is one byte")


@dataclass(frozen=True, slots=True)
class DisclosureRow:
    """A disclosure that was noted; the patient's log holds it under ``number``."""

    subject: bytes
    org: str
    number: int
    named: bytes | None


def disclosure_key(did: bytes) -> bytes:
    return b"access-disclosure/" + did


def _live(context: Context, row: AccessRow, residual: bytes) -> None:
    """Refuse a release that is not permitted here and now."""
    if row.custodian != context.org.id:
        raise Refused(NOT_CUSTODIAN)
    if row.status == STOPPED:
        raise Refused(GLASS_STOPPED)
    if row.status != PERMITTED:
        raise Refused(NOT_PERMITTED)
    if context.time_ms >= row.until_ms:
        raise Refused(ENDED)
    if row.releases >= RELEASES_MAX:
        raise Refused(FULL)
    access_rules.check_licence(context, row.practitioner)
    verdict = access_rules.verdict(context, row)
    if not verdict.permit:
        raise Refused(GONE_PERMIT)
    if verdict.residual != residual:
        raise Refused(RESIDUAL)


def _release(context: Context, body: Release) -> None:
    row = access_rules.access_of(context, body.rid)
    _live(context, row, body.residual)
    proofs = {proof.at: proof for proof in body.proofs}
    for at, commitment in enumerate(body.commitments):
        access_rules.check_anchored(context, commitment, proofs.get(at))
    released = ReleaseRow(
        rid=body.rid,
        number=row.releases,
        commitments=body.commitments,
        digest=accesses.items_digest(body.commitments),
        wraps=body.wraps,
        status=SENT,
        arrived=None,
        time_ms=context.time_ms,
        height=context.height,
    )
    context.view.save(accesses.release_key(body.rid, row.releases), released)
    happened = replace(
        accesses.event_of(row, "release", context.org.id, context.txid),
        items=len(body.commitments),
        digest=released.digest,
    )
    now_ms = context.time_ms
    accesses.save(context, replace(row, releases=row.releases + 1), happened)
    duties.begin(
        context,
        DutyRow(
            kind=ACKNOWLEDGE,
            rid=body.rid,
            part=row.releases,
            org=row.requester,
            since_ms=now_ms,
            due_ms=now_ms + ACKNOWLEDGE_MS,
            overdue=False,
        ),
    )


def _ack(context: Context, body: Ack) -> None:
    row = access_rules.access_of(context, body.rid)
    if row.requester != context.org.id:
        raise Refused(NOT_RECIPIENT)
    released = accesses.release(context.view.get, body.rid, body.number)
    if released is None:
        raise Refused(NO_RELEASE)
    if released.status != SENT:
        raise Refused(ACKNOWLEDGED)
    if body.outcome == ARRIVED and body.arrived != released.digest:
        raise Refused(CONTRADICTS)
    context.view.save(
        accesses.release_key(body.rid, body.number),
        replace(released, status=body.outcome, arrived=body.arrived),
    )
    happened = replace(
        accesses.event_of(row, "receipt", context.org.id, context.txid),
        reason=body.outcome,
        items=len(released.commitments),
        digest=body.arrived,
    )
    accesses.save(context, row, happened)
    duties.done(context.view, duties.duty_id(ACKNOWLEDGE, body.rid, body.number))


def _disclose(context: Context, body: Disclose) -> None:
    key = disclosure_key(body.did)
    if context.view.get(key) is not None:
        raise Refused(RID_TAKEN)
    access_rules.subject_of(context, body.subject, context.org.id, ended=True)
    if body.recipient is not None and institution(context.view, body.recipient) is None:
        raise Refused(NO_RECIPIENT)
    if body.happened_ms > context.time_ms:
        raise Refused(LATER)
    happened = Event(
        number=0,
        event="disclosure",
        rid=body.did,
        org=context.org.id,
        custodian=context.org.id,
        recipient=body.recipient,
        practitioner=None,
        purpose=body.purpose,
        data_class=body.data_class,
        reason=body.kind,
        basis=None,
        items=body.items,
        digest=body.digest,
        happened_ms=body.happened_ms,
        time_ms=0,
        height=0,
        txid=context.txid,
    )
    number = accesses.note(context, body.subject, happened)
    context.view.save(key, DisclosureRow(body.subject, context.org.id, number, body.named))


_ANYBODY: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation("access.release", Release, _release, _ANYBODY, "Hand over records."),
    Operation("access.ack", Ack, _ack, _ANYBODY, "Say what arrived of a release."),
    Operation(
        "access.disclose", Disclose, _disclose, _ANYBODY, "Note a disclosure made elsewhere."
    ),
)
