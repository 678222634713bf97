"""Resources that become transactions: openings kept first, one outcome whatever is repeated.

Owns: what is kept on this node for each resource (its opening, its tag, in which transaction it
went), and which transaction answers a repetition.  The content itself is not kept.
Refuses: a name for repetitions that was used for other content (``idempotency-key-reused``).
Invariant: openings, spent tags, names for repetitions and the signed bytes are durable in one
batch before the transaction leaves; so a crash at any moment and a restart lead to the same
commitments, and nothing is anchored that nobody can open.  Only when a transaction expired
before it was ordered is it signed anew, over the same operations.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import nacl.utils

from consensus import wire
from node.errors import ChartsealError, lookup
from node.ledger import transaction
from node.ledger.canon import CanonRefused
from node.ledger.commitment import Opening, commitment, open_record
from node.ledger.families.record import Anchor
from node.ledger.transaction import OPS_MAX, Op, TransactionMalformed
from node.local_store import Fact, LocalStore
from node.patients import Patients
from node.record_files import refusal
from node.records import random_tags
from node.service import Service, TxStatus

MEDIA_TYPE: Final = "application/fhir+json"
JOB_BYTES: Final = 16
_OPENING: Final = "fhir-opening"
_RETRY: Final = "fhir-retry"
_JOB: Final = "fhir-job"
More = Callable[[bytes], Sequence[Op]]


@dataclass(frozen=True, slots=True)
class Held:
    """What this node keeps of a resource: enough to open its commitment and to find it."""

    opening: Opening
    tag: bytes | None
    type: str
    subject: bytes | None
    job: bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """What a name for repetitions stands for; ``fingerprint`` is of the exact content."""

    fingerprint: bytes
    commitment: bytes
    job: bytes


@dataclass(frozen=True, slots=True)
class Job:
    """The signed bytes of a transaction."""

    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A resource to be anchored.

    ``octets`` as they came; ``subject``: whose it is, when this node knows the patient;
    ``retry``: name under which a repetition is known; ``more``: operations that go into the
    same transaction, made from the commitment.
    """

    octets: bytes
    type: str
    subject: bytes | None = None
    retry: bytes | None = None
    more: More | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a resource went.  ``repeated``: it had been placed before."""

    commitment: bytes
    job: bytes
    repeated: bool


@dataclass(slots=True)
class _Draft:
    """A transaction in the making."""

    job: bytes
    ops: list[Op] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    tags: dict[bytes, list[bytes]] = field(default_factory=dict)  # by subject, unused ones


class Desk:
    """``place`` reads and writes the disk, on any thread; ``follow`` belongs to the loop."""

    def __init__(self, service: Service, local: LocalStore, patients: Patients) -> None:
        self._service = service
        self._local = local
        self._patients = patients
        self._turn = threading.Lock()

    def held(self, name: bytes) -> Held | None:
        """Return what this node keeps of the resource with that commitment."""
        return self._local.get(_OPENING, name, Held)

    def place(self, items: Sequence[Item]) -> list[Placed]:
        """Return where each of ``items`` goes: all new ones in one transaction, made and kept
        durably but not yet submitted.

        Raises ``ChartsealError``: content-refused, idempotency-key-reused, body-too-large.
        """
        with self._turn:
            known = [self._known(item) for item in items]
            fresh = [item for item, found in zip(items, known, strict=True) if found is None]
            made = iter(self._draft(fresh)) if fresh else iter(())
            return [found if found is not None else next(made) for found in known]

    def _known(self, item: Item) -> Placed | None:
        if item.retry is None:
            return None
        found = self._local.get(_RETRY, item.retry, Sent)
        if found is None:
            return None
        if found.fingerprint != self._fingerprint(item):
            raise ChartsealError("idempotency-key-reused", "it was used for other content")
        return Placed(found.commitment, found.job, repeated=True)

    def _fingerprint(self, item: Item) -> bytes:
        return self._local.blind("fhir-content", item.octets)

    def _draft(self, items: Sequence[Item]) -> list[Placed]:
        draft = _Draft(nacl.utils.random(JOB_BYTES))
        for subject in {item.subject for item in items if item.subject is not None}:
            count = sum(item.subject == subject for item in items)
            draft.tags[subject], spent = self._patients.spend(subject, count)
            draft.facts += spent
        placed = [self._add(draft, item) for item in items]
        if len(draft.ops) > OPS_MAX:
            raise ChartsealError("body-too-large", f"more than {OPS_MAX} operations")
        try:
            raw = self._service.sign(draft.ops)
        except TransactionMalformed:
            raise ChartsealError("body-too-large", "more than one transaction takes") from None
        draft.facts.append(Fact(_JOB, draft.job, Job(raw)))
        self._local.write(draft.facts)
        return placed

    def _add(self, draft: _Draft, item: Item) -> Placed:
        try:
            opening = open_record(item.octets, media_type=MEDIA_TYPE, r=nacl.utils.random(32))
        except CanonRefused as refused:
            raise refusal(refused) from None
        name = commitment(opening)
        tag = random_tags(1)[0] if item.subject is None else draft.tags[item.subject].pop(0)
        anchor = Anchor(name, tag, opening.canon)
        draft.ops.append(Op("record.anchor", wire.to_value(anchor)))
        draft.ops += item.more(name) if item.more is not None else ()
        kept = Held(opening, tag, item.type, item.subject, draft.job)
        draft.facts.append(Fact(_OPENING, name, kept))
        if item.retry is not None:
            sent = Sent(self._fingerprint(item), name, draft.job)
            draft.facts.append(Fact(_RETRY, item.retry, sent))
        return Placed(name, draft.job, repeated=False)

    # --- on the loop -------------------------------------------------------------------------

    async def follow(self, job: bytes, *, timeout_s: float) -> TxStatus:
        """Submit a placed transaction, unless it is on its way, and return what became of it.

        Raises ``ChartsealError`` when it was refused, with the rule's code.
        """
        if self._service.stopping:
            raise ChartsealError("shutting-down")
        status = await self._submitted(self._raw(job))
        if status.state == "expired" or status.code == "transaction-expired":
            status = await self._submitted(self._renewed(job))
        if status.state in ("pending", "unknown"):
            status = await self._service.wait(status.txid, timeout_s=timeout_s)
        if status.state in ("rejected", "expired"):
            raise refused(status)
        return status

    @staticmethod
    def kept(job: bytes, raw: bytes) -> Fact:
        """Return the fact by which a transaction can be followed under the name ``job``."""
        return Fact(_JOB, job, Job(raw))

    def _raw(self, job: bytes) -> bytes:
        found = self._local.get(_JOB, job, Job)
        assert found is not None, "what was placed has its transaction"
        return found.raw

    async def _submitted(self, raw: bytes) -> TxStatus:
        txid = transaction.txid_of(raw)
        status = self._service.status(txid)
        if status.state in ("committed", "pending") or status.height is not None:
            return status
        (answer,) = await self._service.submit([raw])
        if answer.taken:
            return self._service.status(txid)
        status = self._service.status(txid)
        if status.height is not None:
            return status
        return TxStatus(txid, "rejected", answer.code, answer.detail)

    def _renewed(self, job: bytes) -> bytes:
        """Sign the operations of an expired transaction again; keep that before it leaves."""
        with self._turn:
            ops = transaction.parse(self._raw(job)).payload.ops
            raw = self._service.sign(ops)
            self._local.write([Fact(_JOB, job, Job(raw))])
        return raw


def refused(status: TxStatus) -> ChartsealError:
    """Return why a transaction was not applied, as a condition for people."""
    if lookup(status.code) is None:
        return ChartsealError("op-refused", f"{status.code}: {status.say}")
    return ChartsealError(status.code, status.say)
