"""Family ``access``, local logs: batches of audit events that cannot be rewritten or left out.

An institution keeps its audit events itself (FHIR AuditEvent, IHE BALP) and puts the root of
all of them on the ledger, again and again: ``access.audit``.  Each batch proves by an RFC 6962
consistency path that the tree before it is a prefix, so nothing that was in is changed or gone
without being seen.  Batches are due at least every ``cadence_ms`` of ledger time, which the
institution declares (``access.cadence``, or with its first batch); a batch without events
says that nothing happened.  An outage is declared by ``access.gap``, before the batch that
follows it.  What neither accounts for is not declared by anybody: it is computed, by the
question ``access.gaps``.

Refuses: what overlaps an earlier entry, speaks about the future, or forks the tree.
Bounded: 2^20 events in a batch, 64 hashes in a path; a cadence of a minute to 31 days.
Invariant: entries of one institution are in order of time and do not overlap; tree sizes
never fall.  A longer cadence holds from the next batch on: what is due stays due.

State: see ``node.ledger.facts.audits``.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger import merkle
from node.ledger.facts import audits
from node.ledger.facts.audits import BATCH, CAUSES, GAP, ChainRow, EntryRow
from node.ledger.facts.words import known, sized
from node.ledger.rules import Context, Operation, Refused, Result

BATCH_EVENTS_MAX: Final = 1 << 20
PATH_HASHES_MAX: Final = 64

NO_CADENCE: Final = Result(
    330, "access-cadence-missing", "The first batch says how often batches will come."
)
FORK: Final = Result(331, "access-audit-fork", "The batch does not build on the last one.")
INCONSISTENT: Final = Result(
    332, "access-audit-inconsistent", "Earlier events are not a prefix of the new tree."
)
OVERLAP: Final = Result(
    333, "access-audit-overlap", "That time is accounted for already by an earlier entry."
)
FUTURE: Final = Result(334, "access-audit-future", "It speaks about a time that is to come.")
NO_CHAIN: Final = Result(
    335, "access-chain-missing", "The institution has not begun a chain of batches."
)
RESULTS: Final = (NO_CADENCE, FORK, INCONSISTENT, OVERLAP, FUTURE, NO_CHAIN)


def _cadence(value: int) -> None:
    if not audits.CADENCE_MS_MIN <= value <= audits.CADENCE_MS_MAX:
        raise ValueError("cadence_ms must be a minute to 31 days")


@dataclass(frozen=True, slots=True)
class Audit:
    """``count`` more local events, which happened from ``from_ms`` to ``until_ms``.

    ``root`` is the RFC 6962 root over the commitments of *all* events of this institution
    since its first batch, ``previous`` the root of its last batch (of the empty tree, SHA-256
    of nothing, for the first), ``path`` the consistency path between the two (RFC 9162,
    2.1.4).  A ``count`` of 0 says that nothing happened in that time.  ``cadence_ms``: at
    most so much ledger time until the next batch; the first batch needs it, later ones may
    change it.
    """

    root: bytes
    count: int
    from_ms: int
    until_ms: int
    previous: bytes
    path: tuple[bytes, ...]
    cadence_ms: int | None = None

    def __post_init__(self) -> None:
        sized(self.root, 32, "root")
        sized(self.previous, 32, "previous")
        if self.count > BATCH_EVENTS_MAX:
            raise ValueError("count must be 0 to 2^20")
        if self.from_ms > self.until_ms:
            raise ValueError("from_ms must not lie after until_ms")
        if len(self.path) > PATH_HASHES_MAX or any(len(item) != 32 for item in self.path):
            raise ValueError("path is up to 64 hashes of 32 bytes")
        if self.cadence_ms is not None:
            _cadence(self.cadence_ms)


@dataclass(frozen=True, slots=True)
class Gap:
    """No events were kept from ``from_ms`` to ``until_ms``, for a ``cause`` of the list."""

    from_ms: int
    until_ms: int
    cause: str  # disaster, maintenance, migration, network, power, software

    def __post_init__(self) -> None:
        if self.from_ms >= self.until_ms:
            raise ValueError("from_ms must lie before until_ms")
        known(self.cause, CAUSES, "cause")


@dataclass(frozen=True, slots=True)
class Cadence:
    """Batches come at least every ``cadence_ms`` of ledger time, the next one included unless
    it was due earlier."""

    cadence_ms: int

    def __post_init__(self) -> None:
        _cadence(self.cadence_ms)


def _save(context: Context, chain: ChainRow, entry: EntryRow) -> None:
    context.view.save(audits.entry_key(chain.org, entry.number), entry)
    grown = replace(
        chain,
        since_ms=min(chain.since_ms, entry.from_ms),
        entries=entry.number + 1,
        size=entry.size,
        root=entry.root,
        covered_ms=entry.until_ms,
    )
    context.view.save(audits.chain_key(chain.org), grown)


def _entry(
    context: Context, chain: ChainRow, body: Audit | Gap, *, root: bytes, late_ms: int
) -> EntryRow:
    if chain.entries and body.from_ms < chain.covered_ms:
        raise Refused(OVERLAP)
    if body.until_ms > context.time_ms:
        raise Refused(FUTURE)
    count = body.count if isinstance(body, Audit) else 0
    return EntryRow(
        number=chain.entries,
        kind=BATCH if isinstance(body, Audit) else GAP,
        from_ms=body.from_ms,
        until_ms=body.until_ms,
        count=count,
        size=chain.size + count,
        root=root,
        cause=None if isinstance(body, Audit) else body.cause,
        late_ms=late_ms,
        time_ms=context.time_ms,
        height=context.height,
        txid=context.txid,
    )


def _begun(context: Context, cadence_ms: int, since_ms: int) -> ChainRow:
    """Return the chain that starts here: nothing in it, a first batch due in a cadence."""
    due_ms = context.time_ms + cadence_ms
    root = merkle.EMPTY_ROOT
    return ChainRow(context.org.id, 0, 0, root, cadence_ms, due_ms, since_ms, since_ms)


def _audit(context: Context, body: Audit) -> None:
    chain = audits.chain(context.view.get, context.org.id)
    if chain is None:
        if body.cadence_ms is None:
            raise Refused(NO_CADENCE)
        chain = _begun(context, body.cadence_ms, body.from_ms)
    if body.previous != chain.root:
        raise Refused(FORK)
    late_ms = max(0, context.time_ms - chain.due_ms)
    entry = _entry(context, chain, body, root=body.root, late_ms=late_ms)
    if not merkle.verify_consistency(
        old_size=chain.size,
        new_size=entry.size,
        old_root=chain.root,
        new_root=body.root,
        path=body.path,
    ):
        raise Refused(INCONSISTENT)
    cadence_ms = body.cadence_ms or chain.cadence_ms
    chain = replace(chain, cadence_ms=cadence_ms, due_ms=context.time_ms + cadence_ms)
    _save(context, chain, entry)


def _gap(context: Context, body: Gap) -> None:
    chain = audits.chain(context.view.get, context.org.id)
    if chain is None:
        raise Refused(NO_CHAIN)
    _save(context, chain, _entry(context, chain, body, root=chain.root, late_ms=0))


def _set_cadence(context: Context, body: Cadence) -> None:
    chain = audits.chain(context.view.get, context.org.id)
    if chain is None:
        row = _begun(context, body.cadence_ms, context.time_ms)
    else:
        due_ms = min(chain.due_ms, context.time_ms + body.cadence_ms)
        row = replace(chain, cadence_ms=body.cadence_ms, due_ms=due_ms)
    context.view.save(audits.chain_key(row.org), row)


_ANYBODY: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation("access.audit", Audit, _audit, _ANYBODY, "Chain in a batch of local events."),
    Operation("access.gap", Gap, _gap, _ANYBODY, "Declare that no events were kept."),
    Operation("access.cadence", Cadence, _set_cadence, _ANYBODY, "Say how often batches come."),
)
