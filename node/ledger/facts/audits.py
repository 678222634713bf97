"""Local audit logs in state: one chain of batches and declared gaps for each institution.

A chain is an RFC 6962 tree that only grows (each batch proves that the tree before it is a
prefix) and, beside it, a list of *entries* in the order of the time that they account for: a
batch of events, or an outage that was declared.  No entry starts before the one before it
ends, so what neither accounts for is found by looking at neighbours, whoever looks.
Bounded: every entry is one row of fixed size; there are as many as were put on the ledger.

State: ``access-chain/<org>`` -> ``ChainRow``; ``access-chain/<org>/<number be64>`` ->
``EntryRow``; numbers count from 0.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from node.ledger import merkle
from node.ledger.state import Read, load_from

BATCH: Final = "batch"
GAP: Final = "gap"
CADENCE_MS_MIN: Final = 60_000  # a minute
CADENCE_MS_MAX: Final = 31 * 86_400_000
CAUSES: Final = ("disaster", "maintenance", "migration", "network", "power", "software")


@dataclass(frozen=True, slots=True)
class ChainRow:
    """One institution's chain as it stands.

    The next batch is due by ``due_ms``; ``covered_ms`` is the end of the last entry, and
    ``since_ms`` the beginning of what the chain accounts for at all.
    """

    org: str
    entries: int
    size: int  # leaves of the tree
    root: bytes  # of the tree
    cadence_ms: int
    due_ms: int
    since_ms: int
    covered_ms: int


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One batch, or one declared gap; both speak about ``from_ms`` to ``until_ms``."""

    number: int
    kind: str  # batch, gap
    from_ms: int
    until_ms: int
    count: int  # events in this batch
    size: int  # leaves of the tree with it
    root: bytes
    cause: str | None  # of a gap
    late_ms: int  # by how much the batch came after it was due
    time_ms: int  # of the block that brought it
    height: int
    txid: bytes


@dataclass(frozen=True, slots=True)
class Span:
    """A time that no batch accounts for.  ``kind``: ``declared`` (an outage with its cause),
    ``undeclared`` (a hole between two entries, or since the last one)."""

    kind: str
    from_ms: int
    until_ms: int
    cause: str | None
    before: int  # number of the entry that ends it, or the number of entries


def chain_key(org: str) -> bytes:
    return b"access-chain/" + org.encode("ascii")


def entry_key(org: str, number: int) -> bytes:
    return chain_key(org) + b"/" + number.to_bytes(8, "big")


def chain(read: Read, org: str) -> ChainRow | None:
    return load_from(read, ChainRow, chain_key(org))


def entry(read: Read, org: str, number: int) -> EntryRow:
    found = load_from(read, EntryRow, entry_key(org, number))
    assert found is not None, "entries below the count are all there"
    return found


def spans(read: Read, row: ChainRow, *, start: int, end: int) -> Iterator[Span]:
    """Yield what the batches do not account for, as far as entries ``start`` to ``end`` (not
    included) tell: the hole before each of them, and each that is a declared gap itself."""
    if start >= end:
        return
    covered = row.since_ms if start == 0 else entry(read, row.org, start - 1).until_ms
    for number in range(start, end):
        found = entry(read, row.org, number)
        if found.from_ms > covered:
            yield Span("undeclared", covered, found.from_ms, None, number)
        if found.kind == GAP:
            yield Span("declared", found.from_ms, found.until_ms, found.cause, number)
        covered = found.until_ms


def open_span(row: ChainRow, now_ms: int) -> Span | None:
    """Return the undeclared gap that is still open: a batch was due and has not come."""
    if now_ms <= row.due_ms or now_ms <= row.covered_ms:
        return None
    return Span("undeclared", row.covered_ms, now_ms, None, row.entries)


def grow(commitments: Sequence[bytes], old_size: int) -> tuple[bytes, tuple[bytes, ...]]:
    """Return root and consistency path of a batch: what an institution puts into
    ``access.audit`` for the leaves from ``old_size`` on, given all commitments in order."""
    leaves = [merkle.leaf_hash(item) for item in commitments]
    return merkle.root(leaves), tuple(merkle.consistency_path(leaves, old_size, len(leaves)))
