"""Family ``record``, what happens to a record after it was anchored: hand-over, legal hold,
retention, erasure.

``record.custody`` hands records to another institution; both sign, and from then on the new
custodian amends, retracts and erases.  ``record.hold`` by a regulator keeps a record from being
erased until ``record.release``; holds are counted, one release does not lift another's.
``record.retention`` publishes how long a class of records must be kept; an anchor that named
the class is bound to it, and so are later versions.  ``record.erase`` says that a custodian
destroyed what opens a commitment; what is left on the ledger tells nothing.  It is final.
Stores and other holders answer with ``record.erasure.confirm``: the erasure certificate lists
who did and who has not.

A hold stands on one version: hold a new version too if it matters.  What the ledger cannot
know is whether anybody really destroyed anything: it keeps who said so, and when.

State and bounds: see ``facts.custody``.
Index: ``c/<commitment><place><number be32>`` -> ``erase``, as family ``record`` keeps it.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import custody, keys, numbered, sets
from node.ledger.facts.custody import (
    ConfirmRow,
    CustodianRow,
    ErasureRow,
    HoldRow,
    ItemProof,
    ReplicaRow,
    RetentionRow,
    Standing,
    check_cited,
    cited,
)
from node.ledger.facts.records import ERASED
from node.ledger.facts.words import known, org_id, sized
from node.ledger.rules import Context, Operation, Refused, Result
from node.ledger.state import institution

AUTHORS: Final = frozenset({"author", "laboratory", "custodian"})
RETENTION_END: Final = "retention-end"
ERASE_BASES: Final = ("GDPR17", "PIPL47", "court", RETENTION_END)
RETENTION_BASES: Final = ("contract", "court", "regulation", "research", "statute")
RETENTION_VERSIONS_MAX: Final = 64
DAY_MS: Final = 86_400_000
RETENTION_MS_MAX: Final = 200 * 366 * DAY_MS

HELD: Final = Result(109, "record-held", "A legal hold stands on that record.")
HOLD_EXISTS: Final = Result(110, "record-hold-exists", "That hold stands already.")
HOLD_UNKNOWN: Final = Result(
    111, "record-hold-unknown", "This institution has no such hold on that record."
)
RETAINED: Final = Result(
    117, "record-retention-running", "The record's retention period is not over."
)
NOTHING_TO_CONFIRM: Final = Result(
    119, "record-not-to-confirm", "No erasure there waits for this institution's word."
)
RESULTS: Final = (
    custody.WAS_ERASED,
    HELD,
    HOLD_EXISTS,
    HOLD_UNKNOWN,
    custody.UNSIGNED,
    custody.UNFIT,
    custody.TOO_MANY,
    RETAINED,
    NOTHING_TO_CONFIRM,
)


@dataclass(frozen=True, slots=True)
class Hold:
    """``case``: commitment to the order of the court or authority.  ``commitments``: 1 to 64
    records; with ``proofs``, one for each, they are items of batches."""

    commitments: tuple[bytes, ...]
    case: bytes
    proofs: tuple[ItemProof, ...] = ()

    def __post_init__(self) -> None:
        check_cited(self.commitments, self.proofs)
        sized(self.case, 32, "case")


@dataclass(frozen=True, slots=True)
class Release(Hold):
    """Lift the hold of the same ``case`` that this regulator put on these records."""


@dataclass(frozen=True, slots=True)
class Custody:
    """Hand records to the institution ``to``, which co-signs with its identity key."""

    commitments: tuple[bytes, ...]
    to: str
    proofs: tuple[ItemProof, ...] = ()

    def __post_init__(self) -> None:
        org_id(self.to, "to")
        check_cited(self.commitments, self.proofs)


@dataclass(frozen=True, slots=True)
class Retention:
    """Publish a retention class, or change it from now on for every record that is in it.

    ``retention``: the class id that anchors name (two bytes); ``period_ms`` counts from the
    anchoring of each version; ``basis``: where the duty to keep comes from.
    """

    retention: int
    period_ms: int
    basis: str

    def __post_init__(self) -> None:
        if self.retention > 0xFFFF:
            raise ValueError("retention is two bytes")
        if not DAY_MS <= self.period_ms <= RETENTION_MS_MAX:
            raise ValueError("period_ms must be one day to 200 years")
        known(self.basis, RETENTION_BASES, "basis")


@dataclass(frozen=True, slots=True)
class Erase:
    """The custodian destroyed content, keys and opening of these records.

    ``basis``: the law's ground.  ``evidence``: commitment to the report of the erasure.
    ``objects``: none, or for each record the root of its ciphertext (empty where it has none):
    the stores that announced it are expected to confirm.
    """

    commitments: tuple[bytes, ...]
    basis: str
    evidence: bytes
    proofs: tuple[ItemProof, ...] = ()
    objects: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        check_cited(self.commitments, self.proofs)
        known(self.basis, ERASE_BASES, "basis")
        sized(self.evidence, 32, "evidence")
        if self.objects and len(self.objects) != len(self.commitments):
            raise ValueError("objects are as many as commitments, or none")
        if any(len(item) not in (0, 32) for item in self.objects):
            raise ValueError("an object's root is 32 bytes, or empty")


@dataclass(frozen=True, slots=True)
class Confirm:
    """This institution has destroyed what it held of these erased records.

    ``root``: the batch's, when they are items of one.
    """

    commitments: tuple[bytes, ...]
    root: bytes | None = None

    def __post_init__(self) -> None:
        check_cited(self.commitments, ())
        sized(self.root, 32, "root")


def _held_by(context: Context, found: Standing, case: bytes) -> int | None:
    """Return the number of the hold that this institution has for ``case``, if it stands."""
    base = custody.holds_base(found.place)
    for number in found.care.holds:
        row = numbered.row(context.view.get, base, HoldRow, number)
        if (row.org, row.case) == (context.org.id, case):
            return number
    return None


def _hold(context: Context, body: Hold) -> None:
    for commitment, proof in cited(body.commitments, body.proofs):
        found = custody.standing(context.view.get, commitment, proof)
        if found.row.status == ERASED:
            raise Refused(custody.WAS_ERASED)
        if _held_by(context, found, body.case) is not None:
            raise Refused(HOLD_EXISTS)
        if len(found.care.holds) == custody.HOLDS_MAX:
            raise Refused(custody.TOO_MANY)
        row = HoldRow(context.org.id, body.case, context.height, context.time_ms, None, None)
        number = numbered.append(context.view, custody.holds_base(found.place), row)
        care = replace(found.care, holds=(*found.care.holds, number))
        custody.save_care(context.view, found, care)


def _release(context: Context, body: Release) -> None:
    for commitment, proof in cited(body.commitments, body.proofs):
        found = custody.standing(context.view.get, commitment, proof)
        number = _held_by(context, found, body.case)
        if number is None:
            raise Refused(HOLD_UNKNOWN)
        key = numbered.row_key(custody.holds_base(found.place), number)
        row = context.view.load(HoldRow, key)
        assert row is not None, "a hold that stands has its row"
        ended = replace(row, until_height=context.height, until_ms=context.time_ms)
        context.view.save(key, ended)
        left = tuple(item for item in found.care.holds if item != number)
        custody.save_care(context.view, found, replace(found.care, holds=left))


def _custody(context: Context, body: Custody) -> None:
    to = institution(context.view, body.to)
    if to is None or to.id == context.org.id or not AUTHORS.intersection(to.roles):
        raise Refused(custody.UNFIT)
    if to.id not in keys.signing_orgs(context):
        raise Refused(custody.UNSIGNED)
    for commitment, proof in cited(body.commitments, body.proofs):
        found = custody.kept(context, commitment, proof)
        row = CustodianRow(to.id, context.txid, context.height, context.time_ms)
        numbered.append(context.view, custody.custodians_base(found.place), row)
        custody.save_care(context.view, found, replace(found.care, custodian=to.id))
        for number in found.care.disputes:
            custody.pass_on(
                context.view, found.place, number, before=context.org.id, after=to.id
            )


def _retention(context: Context, body: Retention) -> None:
    base = custody.retention_base(body.retention)
    if numbered.length(context.view.get, base) == RETENTION_VERSIONS_MAX:
        raise Refused(custody.TOO_MANY)
    row = RetentionRow(
        body.period_ms, body.basis, context.org.id, context.height, context.time_ms
    )
    numbered.append(context.view, base, row)


def _erase(context: Context, body: Erase) -> None:
    objects = body.objects or (b"",) * len(body.commitments)
    for number, (commitment, proof) in enumerate(cited(body.commitments, body.proofs)):
        found = custody.kept(context, commitment, proof)
        if found.care.holds:
            raise Refused(HELD)
        if body.basis == RETENTION_END and not _retention_over(context, found):
            raise Refused(RETAINED)
        object_root = objects[number] or None
        row = ErasureRow(
            org=context.org.id,
            basis=body.basis,
            evidence=body.evidence,
            object_root=object_root,
            status=found.row.status,
            successor=found.row.successor,
            expected=_stores(context, object_root),
            txid=context.txid,
            height=context.height,
            time_ms=context.time_ms,
        )
        context.view.save(custody.erasure_key(found.place), row)
        context.view.save(found.place, replace(found.row, status=ERASED))
        occurrence = b"c/" + commitment + context.place + number.to_bytes(4, "big")
        context.index.append((occurrence, b"erase"))


def _retention_over(context: Context, found: Standing) -> bool:
    if found.care.retention is None:
        return True
    rules = custody.retention_class(context.view.get, found.care.retention)
    return rules is None or found.row.time_ms + rules.period_ms <= context.time_ms


def _stores(context: Context, object_root: bytes | None) -> tuple[str, ...]:
    if object_root is None:
        return ()
    base = custody.stores_base(object_root)
    names, _ = sets.members(context.view.get, base, start=0, limit=custody.STORES_MAX)
    return tuple(sorted(name.decode() for name in names))


def _confirm(context: Context, body: Confirm) -> None:
    for commitment in body.commitments:
        place = custody.place_of(commitment, body.root)
        erasure = context.view.load(ErasureRow, custody.erasure_key(place))
        mark = custody.confirmed_key(place, context.org.id)
        if erasure is None or context.view.get(mark) is not None:
            raise Refused(NOTHING_TO_CONFIRM)
        row = ConfirmRow(context.org.id, context.height, context.time_ms)
        numbered.append(context.view, custody.confirms_base(place), row)
        context.view.save(mark, row)
        if erasure.object_root is not None:
            _drop(context, erasure.object_root)


def _drop(context: Context, object_root: bytes) -> None:
    """A store that confirmed has lost the object on purpose."""
    key = custody.replica_key(object_root, context.org.id)
    replica = context.view.load(ReplicaRow, key)
    if replica is not None:
        lost = replace(replica, ok=False, height=context.height, time_ms=context.time_ms)
        context.view.save(key, lost)


_REGULATOR: Final = frozenset({"regulator"})
_EVERYBODY: Final = frozenset[str]()
OPERATIONS: Final = (
    Operation("record.hold", Hold, _hold, _REGULATOR, "Put a legal hold on records."),
    Operation("record.release", Release, _release, _REGULATOR, "Lift a legal hold."),
    Operation("record.custody", Custody, _custody, AUTHORS, "Hand records to a new custodian."),
    Operation(
        "record.retention", Retention, _retention, _REGULATOR, "Publish a retention class."
    ),
    Operation("record.erase", Erase, _erase, AUTHORS, "State that records were erased."),
    Operation(
        "record.erasure.confirm", Confirm, _confirm, _EVERYBODY, "Confirm an erasure here too."
    ),
)
