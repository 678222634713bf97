"""Questions about records: how one stands, who kept it, holds, disputes, erasure, replicas.

An item of a batch is named by its commitment and the batch's ``root``.  One that nothing has
happened to has no row; with its number (``index``) and ``path`` it is proven on the spot.
All of them read state by key: complete, and provable.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts import custody, numbered, sets
from node.ledger.facts.custody import (
    ConfirmRow,
    CustodianRow,
    DisputeCounts,
    DisputeName,
    DisputeRow,
    ErasureRow,
    HoldRow,
    ItemProof,
    ReplicaRow,
    RetentionRow,
    Standing,
)
from node.ledger.facts.records import ERASED
from node.ledger.facts.words import known as one_of
from node.ledger.facts.words import sized
from node.ledger.rules import Refused
from node.ledger.state import load_from

WHICH: Final = ("all", "open", "overdue")


@dataclass(frozen=True, slots=True)
class Asked:
    """A record; with ``root`` an item of that batch, with ``index`` and ``path`` proven."""

    commitment: bytes
    root: bytes | None = None
    index: int = 0
    path: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        sized(self.commitment, 32, "commitment")
        sized(self.root, 32, "root")
        if self.root is not None:
            ItemProof(self.root, self.index, self.path)


@dataclass(frozen=True, slots=True)
class Listed:
    """A record (an item of the batch with ``root``), and which page of its list."""

    commitment: bytes
    root: bytes | None = None
    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        sized(self.commitment, 32, "commitment")
        sized(self.root, 32, "root")


def _standing(facts: Facts, asked: Asked) -> Standing | None:
    proof = None if asked.root is None else ItemProof(asked.root, asked.index, asked.path)
    try:
        return custody.standing(facts.get, asked.commitment, proof)
    except Refused:
        return None


# --- how it stands ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Status:
    """``author`` anchored it, ``custodian`` has the say now.  ``holds`` and ``disputes`` stand
    now, ``disputed`` is how many there ever were.  ``retained_until_ms``: by its class."""

    known: bool
    status: str = "unknown"
    author: str | None = None
    custodian: str | None = None
    version: int = 0
    previous: bytes | None = None
    successor: bytes | None = None
    anchored_height: int = 0
    anchored_ms: int = 0
    handovers: int = 0
    holds: int = 0
    disputes: int = 0
    disputed: int = 0
    retention: int | None = None
    retained_until_ms: int | None = None
    erasable: bool = False  # no hold, not erased; the retention period may still run


def _status(facts: Facts, asked: Asked) -> Status:
    found = _standing(facts, asked)
    if found is None:
        return Status(known=False)
    row, care = found.row, found.care
    rules = None
    if care.retention is not None:
        rules = custody.retention_class(facts.get, care.retention)
    return Status(
        known=True,
        status=row.status,
        author=row.org,
        custodian=found.custodian,
        version=row.version,
        previous=row.previous,
        successor=row.successor,
        anchored_height=row.height,
        anchored_ms=row.time_ms,
        handovers=numbered.length(facts.get, custody.custodians_base(found.place)),
        holds=len(care.holds),
        disputes=len(care.disputes),
        disputed=numbered.length(facts.get, custody.disputes_base(found.place)),
        retention=care.retention,
        retained_until_ms=None if rules is None else row.time_ms + rules.period_ms,
        erasable=row.status != ERASED and not care.holds,
    )


# --- erasure ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Certificate:
    """An erasure certificate: who erased it when and on what ground, and who confirmed.

    ``waiting`` are stores that had announced the object and have not confirmed yet.
    """

    erased: bool
    org: str | None = None
    basis: str | None = None
    evidence: bytes | None = None
    object_root: bytes | None = None
    txid: bytes | None = None
    height: int = 0
    time_ms: int = 0
    waiting: tuple[str, ...] = ()
    confirmed: tuple[ConfirmRow, ...] = ()
    next: int | None = None


def _certificate(facts: Facts, asked: Listed) -> Certificate:
    place = custody.place_of(asked.commitment, asked.root)
    row = load_from(facts.get, ErasureRow, custody.erasure_key(place))
    if row is None:
        return Certificate(erased=False)
    confirmed, after = numbered.page(
        facts.get,
        custody.confirms_base(place),
        ConfirmRow,
        start=asked.start,
        limit=asked.limit,
    )
    waiting = tuple(
        store
        for store in row.expected
        if facts.get(custody.confirmed_key(place, store)) is None
    )
    return Certificate(
        erased=True,
        org=row.org,
        basis=row.basis,
        evidence=row.evidence,
        object_root=row.object_root,
        txid=row.txid,
        height=row.height,
        time_ms=row.time_ms,
        waiting=waiting,
        confirmed=confirmed,
        next=after,
    )


# --- lists of one record ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Holds:
    holds: tuple[HoldRow, ...]
    next: int | None = None


@dataclass(frozen=True, slots=True)
class Custodians:
    custodians: tuple[CustodianRow, ...]
    next: int | None = None


@dataclass(frozen=True, slots=True)
class Disputed:
    disputes: tuple[DisputeRow, ...]
    next: int | None = None


def _holds(facts: Facts, asked: Listed) -> Holds:
    base = custody.holds_base(custody.place_of(asked.commitment, asked.root))
    return Holds(*numbered.page(facts.get, base, HoldRow, start=asked.start, limit=asked.limit))


def _custodians(facts: Facts, asked: Listed) -> Custodians:
    base = custody.custodians_base(custody.place_of(asked.commitment, asked.root))
    return Custodians(
        *numbered.page(facts.get, base, CustodianRow, start=asked.start, limit=asked.limit)
    )


def _disputed(facts: Facts, asked: Listed) -> Disputed:
    base = custody.disputes_base(custody.place_of(asked.commitment, asked.root))
    return Disputed(
        *numbered.page(facts.get, base, DisputeRow, start=asked.start, limit=asked.limit)
    )


# --- disputes of an institution -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answering:
    """``org`` has to answer; ``which``: open, overdue, or all that it ever had to."""

    org: str
    which: str = "open"
    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        one_of(self.which, WHICH, "which")


@dataclass(frozen=True, slots=True)
class DisputeLine:
    """``root`` is None for a record of its own; ``overdue`` by the clock, answered or not."""

    commitment: bytes
    root: bytes | None
    number: int
    by: str
    opened_ms: int
    due_ms: int
    overdue: bool
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Disputes:
    """``next`` counts places of the list that was read, not lines that were kept."""

    disputes: tuple[DisputeLine, ...]
    open: int
    counts: DisputeCounts
    next: int | None = None


def _line(facts: Facts, name: DisputeName) -> DisputeLine:
    base = custody.disputes_base(name.place)
    row = numbered.row(facts.get, base, DisputeRow, name.number)
    digests = name.place.partition(b"/")[2]
    until_ms = facts.time_ms if row.closed_ms is None else row.closed_ms
    return DisputeLine(
        commitment=digests[-32:],
        root=digests[:32] if len(digests) == 64 else None,
        number=name.number,
        by=row.org,
        opened_ms=row.opened_ms,
        due_ms=row.due_ms,
        overdue=until_ms >= row.due_ms,
        outcome=row.outcome,
    )


def _disputes(facts: Facts, asked: Answering) -> Disputes:
    opened = custody.open_disputes_base(asked.org)
    if asked.which == "all":
        base = custody.disputes_of_base(asked.org)
        names, after = numbered.page(
            facts.get, base, DisputeName, start=asked.start, limit=asked.limit
        )
    else:
        members, after = sets.members(facts.get, opened, start=asked.start, limit=asked.limit)
        names = tuple(custody.dispute_named(item) for item in members)
    lines = tuple(_line(facts, name) for name in names)
    if asked.which == "overdue":
        lines = tuple(line for line in lines if line.overdue)
    counts = load_from(facts.get, DisputeCounts, custody.dispute_counts_key(asked.org))
    return Disputes(lines, numbered.length(facts.get, opened), counts or DisputeCounts(), after)


# --- objects and classes ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OfObject:
    object_root: bytes

    def __post_init__(self) -> None:
        sized(self.object_root, 32, "object_root")


@dataclass(frozen=True, slots=True)
class Replicas:
    """The latest word of every store that ever announced it; ``ok``: how many have it."""

    ok: int
    replicas: tuple[ReplicaRow, ...]


def _replicas(facts: Facts, asked: OfObject) -> Replicas:
    base = custody.stores_base(asked.object_root)
    stores, _ = sets.members(facts.get, base, start=0, limit=custody.STORES_MAX)
    rows = []
    for store in sorted(stores):
        key = custody.replica_key(asked.object_root, store.decode())
        row = load_from(facts.get, ReplicaRow, key)
        assert row is not None, "a store that announced has its row"
        rows.append(row)
    return Replicas(sum(row.ok for row in rows), tuple(rows))


@dataclass(frozen=True, slots=True)
class OfClass:
    retention: int


@dataclass(frozen=True, slots=True)
class RetentionClass:
    """All that was ever published for a class; the last rules."""

    published: bool
    versions: tuple[RetentionRow, ...]


def _class(facts: Facts, asked: OfClass) -> RetentionClass:
    if asked.retention > 0xFFFF:
        return RetentionClass(published=False, versions=())
    base = custody.retention_base(asked.retention)
    versions, _ = numbered.page(facts.get, base, RetentionRow, start=0, limit=100)
    return RetentionClass(bool(versions), versions)


QUESTIONS: Final = (
    Question(
        "record.status", Asked, Status, _status, "How does a record stand, and whose is it?"
    ),
    Question(
        "record.certificate",
        Listed,
        Certificate,
        _certificate,
        "Who erased a record, who confirmed it?",
    ),
    Question("record.holds", Listed, Holds, _holds, "Which legal holds were put on a record?"),
    Question(
        "record.custodians",
        Listed,
        Custodians,
        _custodians,
        "To whom was a record handed over?",
    ),
    Question(
        "record.disputed",
        Listed,
        Disputed,
        _disputed,
        "Who disputed a record, and what came of it?",
    ),
    Question(
        "record.disputes",
        Answering,
        Disputes,
        _disputes,
        "Which disputes has an institution to answer, which are overdue?",
    ),
    Question("record.replicas", OfObject, Replicas, _replicas, "Which stores have an object?"),
    Question(
        "record.retained", OfClass, RetentionClass, _class, "How long must a class be kept?"
    ),
)
