"""Whose a record is and what stands against changing it: rows beside ``RecordRow``.

``RecordRow`` is written by every anchor and stays small; what few records ever need stands
beside it, under the record's own state key (``place``: ``records.record_key`` or, for an item
of a batch, ``records.item_key``).  No row beside: nothing ever happened to that record.

State: ``record-care/<place>`` -> ``CareRow``; lists (``facts.numbered``)
``record-custodian/<place>`` of ``CustodianRow``, ``record-hold/<place>`` of ``HoldRow``,
``record-dispute/<place>`` of ``DisputeRow``, ``record-confirm/<place>`` of ``ConfirmRow`` (and
``record-confirmed/<org>/<place>`` once it did); ``record-erasure/<place>`` -> ``ErasureRow``;
``record-retention/<id be16>``, a list of ``RetentionRow``: the last rules;
``replica/<object><store>`` -> ``ReplicaRow``, ``replica-of/<object>``, a set of
store names (``facts.sets``).
By institution: the set ``record-dispute-open/<org>``, the list ``record-dispute-of/<org>`` of
``DisputeName`` and ``record-dispute-count/<org>`` -> ``DisputeCounts``.
Bounds: ``HOLDS_MAX`` and ``DISPUTES_MAX`` that stand at a time, ``STORES_MAX`` for an object.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger import merkle
from node.ledger.facts import numbered, records, sets
from node.ledger.facts.records import ERASED, GONE, LIVE, BatchRow, RecordRow
from node.ledger.facts.words import sized
from node.ledger.rules import Context, Refused, Result
from node.ledger.state import Overlay, Read, load_from

PATH_HASHES_MAX: Final = 20
REFERENCES_MAX: Final = 64
HOLDS_MAX: Final = 16
DISPUTES_MAX: Final = 8
STORES_MAX: Final = 32

UNKNOWN: Final = Result(101, "record-unknown", "No such record on the ledger.")
NOT_OWNER: Final = Result(
    102, "record-not-custodian", "Another institution is the custodian of that record."
)
SUPERSEDED: Final = Result(103, "record-superseded", "That version has a successor already.")
RETRACTED: Final = Result(104, "record-retracted", "That record was retracted.")
PROOF_INVALID: Final = Result(107, "record-proof-invalid", "The item is not in that batch.")
WAS_ERASED: Final = Result(108, "record-erased", "That record was erased.")
UNSIGNED: Final = Result(
    112, "record-party-missing", "The other party named in it has not signed."
)
UNFIT: Final = Result(
    113, "record-party-unfit", "The party named in it is unknown or may not take that part."
)
TOO_MANY: Final = Result(116, "record-too-many", "No more of these may stand at one time.")


@dataclass(frozen=True, slots=True)
class ItemProof:
    """That a commitment is item ``index`` of the batch with ``root``."""

    root: bytes
    index: int
    path: tuple[bytes, ...]

    def __post_init__(self) -> None:
        sized(self.root, 32, "root")
        if len(self.path) > PATH_HASHES_MAX or any(len(item) != 32 for item in self.path):
            raise ValueError("path is up to 20 hashes of 32 bytes")


@dataclass(frozen=True, slots=True)
class CareRow:
    """``custodian``: None until it was handed over; then not who anchored it is the custodian.

    ``holds`` and ``disputes`` are the numbers of those that stand now.
    """

    custodian: str | None = None
    holds: tuple[int, ...] = ()
    disputes: tuple[int, ...] = ()
    retention: int | None = None  # a class that was published when the record was anchored


@dataclass(frozen=True, slots=True)
class CustodianRow:
    """A hand-over: custodian from then on."""

    org: str
    txid: bytes
    from_height: int
    from_ms: int


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A legal hold; ``until_*`` are None while it stands."""

    org: str
    case: bytes
    from_height: int
    from_ms: int
    until_height: int | None
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class DisputeRow:
    """A request to rectify.  ``outcome`` is None while it is open; ``overdue_ms`` is the time
    of the block in which its clock ran out unanswered."""

    org: str  # who brought it
    subject: bytes | None  # the patient who signed it, if one did
    statement: bytes
    opened_height: int
    opened_ms: int
    due_ms: int
    overdue_ms: int | None = None
    outcome: str | None = None
    closed_by: str | None = None
    closed_height: int | None = None
    closed_ms: int | None = None


@dataclass(frozen=True, slots=True)
class DisputeName:
    """Where a dispute stands: the record's place in state and its number there."""

    place: bytes
    number: int


@dataclass(frozen=True, slots=True)
class DisputeCounts:
    """What became of the disputes that an institution had to answer: brought while it was
    the custodian or taken over, answered, or handed over with the record."""

    opened: int = 0
    taken_over: int = 0
    handed_over: int = 0
    granted: int = 0  # amended, retracted or erased
    refused: int = 0
    withdrawn: int = 0
    overdue: int = 0


@dataclass(frozen=True, slots=True)
class ErasureRow:
    """``status`` and ``successor`` are what the record had before.  ``expected`` are the stores
    that had announced the object by then."""

    org: str
    basis: str
    evidence: bytes
    object_root: bytes | None
    status: str
    successor: bytes | None
    expected: tuple[str, ...]
    txid: bytes
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class ConfirmRow:
    org: str
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class RetentionRow:
    """How long a class of records must be kept, from a height on."""

    period_ms: int
    basis: str
    org: str
    from_height: int
    from_ms: int


@dataclass(frozen=True, slots=True)
class ReplicaRow:
    """What a store last said of an object.  ``leaf`` (hash of the challenged chunk) was proven
    against the object's root; ``answer`` is SHA-256(challenge, chunk), for whoever has it."""

    store: str
    ok: bool
    chunks: int
    height: int
    time_ms: int
    proven_ms: int | None
    challenge: bytes | None
    index: int
    leaf: bytes | None
    answer: bytes | None


def care_key(place: bytes) -> bytes:
    return b"record-care/" + place


def custodians_base(place: bytes) -> bytes:
    return b"record-custodian/" + place


def holds_base(place: bytes) -> bytes:
    return b"record-hold/" + place


def disputes_base(place: bytes) -> bytes:
    return b"record-dispute/" + place


def erasure_key(place: bytes) -> bytes:
    return b"record-erasure/" + place


def confirms_base(place: bytes) -> bytes:
    return b"record-confirm/" + place


def confirmed_key(place: bytes, org: str) -> bytes:
    return b"record-confirmed/" + org.encode() + b"/" + place


def retention_base(number: int) -> bytes:
    return b"record-retention/" + number.to_bytes(2, "big")


def replica_key(object_root: bytes, store: str) -> bytes:
    return b"replica/" + object_root + store.encode()


def stores_base(object_root: bytes) -> bytes:
    return b"replica-of/" + object_root


def open_disputes_base(org: str) -> bytes:
    return b"record-dispute-open/" + org.encode()


def disputes_of_base(org: str) -> bytes:
    return b"record-dispute-of/" + org.encode()


def dispute_counts_key(org: str) -> bytes:
    return b"record-dispute-count/" + org.encode()


def place_of(commitment: bytes, root: bytes | None) -> bytes:
    """Return the state key of a record, or of an item of the batch with ``root``."""
    if root is None:
        return records.record_key(commitment)
    return records.item_key(root, commitment)


def dispute_name(place: bytes, number: int) -> bytes:
    """Return a dispute's name as alarms and sets carry it."""
    return place + number.to_bytes(8, "big")


def dispute_named(name: bytes) -> DisputeName:
    """Inverse of ``dispute_name``."""
    return DisputeName(name[:-8], int.from_bytes(name[-8:], "big"))


def care_of(read: Read, place: bytes) -> CareRow:
    return load_from(read, CareRow, care_key(place)) or CareRow()


def count_disputes(view: Overlay, org: str, **more: int) -> None:
    """Add ``more`` to what became of the disputes of ``org``."""
    key = dispute_counts_key(org)
    counts = view.load(DisputeCounts, key) or DisputeCounts()
    added = {name: getattr(counts, name) + count for name, count in more.items()}
    view.save(key, replace(counts, **added))


def pass_on(view: Overlay, place: bytes, number: int, *, before: str, after: str) -> None:
    """Make an open dispute the new custodian's to answer."""
    name = dispute_name(place, number)
    sets.leave(view, open_disputes_base(before), name)
    sets.enter(view, open_disputes_base(after), name)
    numbered.append(view, disputes_of_base(after), DisputeName(place, number))
    count_disputes(view, before, handed_over=1)
    count_disputes(view, after, taken_over=1)


def retention_class(read: Read, number: int) -> RetentionRow | None:
    """Return the class as it rules now; None for one that nobody published."""
    return numbered.last(read, retention_base(number), RetentionRow)


@dataclass(frozen=True, slots=True)
class Standing:
    """A record as it stands: its place in state, its row, and what is beside it."""

    place: bytes
    row: RecordRow
    care: CareRow

    @property
    def custodian(self) -> str:
        return self.care.custodian or self.row.org


def save_care(view: Overlay, found: Standing, care: CareRow) -> None:
    """Keep what is beside a record; an item of a batch gets a row of its own with it."""
    view.save(care_key(found.place), care)
    if found.row.batch_root is not None:
        view.save(found.place, found.row)


def item_row(read: Read, commitment: bytes, proof: ItemProof) -> RecordRow:
    """Return the row that an item has before anything happens to it, made from its batch."""
    batch = load_from(read, BatchRow, records.batch_key(proof.root))
    if batch is None:
        raise Refused(UNKNOWN)
    if not merkle.verify_inclusion(
        merkle.leaf_hash(commitment),
        index=proof.index,
        size=batch.count,
        path=list(proof.path),
        root=proof.root,
    ):
        raise Refused(PROOF_INVALID)
    return RecordRow(
        org=batch.org,
        txid=batch.txid,
        height=batch.height,
        time_ms=batch.time_ms,
        status=LIVE,
        version=1,
        canon=0,
        tag=b"",
        previous=None,
        successor=None,
        batch_root=proof.root,
    )


def standing(read: Read, commitment: bytes, proof: ItemProof | None) -> Standing:
    """Return how ``commitment`` stands; raises ``Refused``: unknown, or not in that batch."""
    place = place_of(commitment, None if proof is None else proof.root)
    row = load_from(read, RecordRow, place)
    if row is None:
        if proof is None:
            raise Refused(UNKNOWN)
        row = item_row(read, commitment, proof)
    return Standing(place, row, care_of(read, place))


def kept(context: Context, commitment: bytes, proof: ItemProof | None) -> Standing:
    """Return how a record stands that is not erased and whose custodian signs."""
    found = standing(context.view.get, commitment, proof)
    if found.custodian != context.org.id:
        raise Refused(NOT_OWNER)
    if found.row.status == ERASED:
        raise Refused(WAS_ERASED)
    return found


def owned(context: Context, commitment: bytes, proof: ItemProof | None) -> Standing:
    """Return how a live record stands whose custodian signs."""
    found = kept(context, commitment, proof)
    if found.row.status == GONE:
        raise Refused(RETRACTED)
    if found.row.successor is not None:
        raise Refused(SUPERSEDED)
    return found


def cited(
    commitments: tuple[bytes, ...], proofs: tuple[ItemProof, ...]
) -> list[tuple[bytes, ItemProof | None]]:
    """Return each commitment with its proof; without proofs all have rows of their own."""
    return list(zip(commitments, proofs or [None] * len(commitments), strict=True))


def check_cited(commitments: tuple[bytes, ...], proofs: tuple[ItemProof, ...]) -> None:
    """Raise ``ValueError`` unless these are 1 to 64 different commitments, all with a proof
    or all without."""
    if not 1 <= len(commitments) <= REFERENCES_MAX:
        raise ValueError("1 to 64 commitments")
    for item in commitments:
        sized(item, 32, "commitment")
    if len(set(commitments)) != len(commitments):
        raise ValueError("a commitment stands twice")
    if proofs and len(proofs) != len(commitments):
        raise ValueError("proofs are as many as commitments, or none")
