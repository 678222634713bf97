"""Questions to the applied ledger: transactions, blocks, records, receipts, state proofs.

Owns: reading rows and turning them into answers with their proofs.  Synchronous, safe to call
from a worker thread.  Refuses: guesses.  What is not on the ledger is None; a receipt that no
certified checkpoint covers yet raises ``ReceiptPending``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from consensus import wire
from node.answering import Answered, Answering, StateAnswer
from node.book import LEAF_PREFIX, Book, TxRow, before_snapshot
from node.ledger import block as blocks
from node.ledger import transaction
from node.ledger.answers import Answer
from node.ledger.facts import records
from node.ledger.families import evidence, record, record_custody
from node.ledger.families.evidence import EvidenceRow
from node.ledger.receipt import Receipt
from node.ledger.tiles import TileLog
from node.ledger.transaction import OPS_MAX, Transaction
from node.receipts import ReceiptPending, codes_of, item_of, receipt_of
from node.touched import Touched, touched
from storage.errors import Pruned
from storage.store import Store

__all__ = ["Queries", "ReceiptPending"]

RECORD_OCCURRENCES_MAX: Final = 64
_BEGINNINGS: Final = ("anchor", "item")


@dataclass(frozen=True, slots=True)
class BlockView:
    """One applied block for people: heights, digests, times, and its transactions' rows."""

    height: int
    digest: bytes
    parent: bytes
    time_ms: int
    proposer: str
    txids: tuple[bytes, ...]
    results: tuple[int, ...]
    first_index: int
    count: int
    log_size: int
    log_root: bytes
    state_height: int
    state_root: bytes
    certificate_bytes: int


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One place where a commitment stands on the ledger, oldest first in lists."""

    kind: str  # anchor, item, amend, retract
    txid: bytes
    leaf_index: int
    op_index: int
    item_index: int
    height: int
    time_ms: int
    org: str
    code: int


@dataclass(frozen=True, slots=True)
class RecordView:
    """What the ledger says of a commitment.

    ``status``: live, amended, retracted, erased.  ``row`` is the state entry when there is one;
    items of batches get one only when they change.
    """

    commitment: bytes
    status: str
    version: int
    successor: bytes | None
    previous: bytes | None
    occurrences: tuple[Occurrence, ...]


class Queries:
    def __init__(self, store: Store, book: Book) -> None:
        self._store = store
        self.answering = Answering(store, book)

    def tx_row(self, txid: bytes) -> TxRow | None:
        """Return where it stands; raises ``Pruned`` if that is before this node's snapshot."""
        raw = self._store.tx_row(txid)
        if raw is None:
            return None
        if before_snapshot(raw):
            raise Pruned(self._store.lowest())
        return wire.decode(TxRow, raw, size_max=256)

    def _row_in_body(self, txid: bytes) -> TxRow | None:
        """Like ``tx_row`` for a body at hand; None: it repeats what is not here any more."""
        try:
            row = self.tx_row(txid)
        except Pruned:
            return None
        assert row is not None, "a transaction in a body is applied"
        return row

    def outcome_at(self, txid: bytes, height: int) -> int | None:
        """Return the result number of one in the body of ``height``; None: it repeats."""
        row = self._row_in_body(txid)
        return row.code if row is not None and row.height == height else None

    def block(self, height: int) -> BlockView | None:
        row = self._store.block(height)
        if row is None:
            if 0 < height < (lowest := self._store.lowest()):
                raise Pruned(lowest)
            return None
        header = blocks.decode_header(row.header)
        certificate = self._store.certificate(height) or b""
        ids = tuple(row.txids[at : at + 32] for at in range(0, len(row.txids), 32))
        return BlockView(
            height,
            row.digest,
            header.parent,
            header.time_ms,
            header.proposer,
            ids,
            codes_of(row),
            row.first_index,
            row.count,
            row.log_size,
            row.log_root,
            row.state_height,
            row.state_root,
            len(certificate),
        )

    def transaction(self, txid: bytes) -> tuple[TxRow, Transaction] | None:
        """Return where it stands and what it says, from the block body on disk."""
        row = self.tx_row(txid)
        if row is None:
            return None
        return row, self.transactions(row.height)[row.position]

    def transactions(self, height: int) -> list[Transaction]:
        """Return the transactions in the body of an applied block; raises ``Pruned``."""
        body = self._store.body_of(height)
        assert body is not None, "asked for an applied height"
        _header, raws = blocks.decode_body(body, size_max=len(body))
        return [tx for tx, _ in transaction.open_all(raws)]

    def txid_at(self, leaf_index: int) -> bytes | None:
        return self._store.index_get(LEAF_PREFIX + leaf_index.to_bytes(8, "big"))

    # --- receipts ----------------------------------------------------------------------------

    def receipt(
        self,
        txid: bytes,
        *,
        commitment: bytes | None = None,
        given: Transaction | None = None,
    ) -> Receipt | None:
        """Return the receipt of ``txid``; with ``commitment``, for that item of its batch.

        None when the transaction is not on the ledger or holds no such item; raises
        ``ReceiptPending`` while no certified checkpoint covers its block, ``Pruned`` when its
        bytes are not kept here; then whoever has them brings them as ``given``.
        """
        if given is None:
            found = self.transaction(txid)
        else:
            row = self.tx_row(given.txid)
            found = None if row is None or given.txid != txid else (row, given)
        if found is None:
            return None
        where, tx = found
        item = None if commitment is None else item_of(tx, commitment)
        if commitment is not None and item is None:
            return None
        with self._store.snapshot() as view:
            return receipt_of(view, where, tx, item)

    def consistency(self, old: int, new: int) -> tuple[bytes, ...] | None:
        """Return the proof that the log of ``new`` leaves extends that of ``old``."""
        with self._store.snapshot() as view:
            applied = view.applied()
            if applied is None or not 0 < old <= new <= applied.log_size:
                return None
            return tuple(TileLog(applied.log_size, view.tile).consistency_path(old, new))

    # --- records -----------------------------------------------------------------------------

    def record(self, commitment: bytes) -> RecordView | None:
        """Return what is known of a commitment; None when the ledger does not have it.

        A node that began with a snapshot knows occurrences from there on.  Raises ``Pruned``
        unless it saw the record begin.
        """
        prefix = record.commitment_prefix(commitment)
        rows = self._store.index_scan(prefix, prefix + b"\xff", limit=RECORD_OCCURRENCES_MAX)
        occurrences = tuple(self._occurrence(key[len(prefix) :], kind) for key, kind in rows)
        lowest = self._store.lowest()
        if lowest > 1 and (not occurrences or occurrences[0].kind not in _BEGINNINGS):
            raise Pruned(lowest)
        if not occurrences:
            return None
        raw = self._store.state_get(self._row_key(commitment, occurrences[0]))
        if raw is None:
            return RecordView(commitment, records.LIVE, 1, None, None, occurrences)
        row = wire.decode(records.RecordRow, raw, size_max=1 << 16)
        # What is erased has no say on what came after it: the chain is in state for who asks.
        successor = None if row.status == records.ERASED else row.successor
        return RecordView(
            commitment, row.status, row.version, successor, row.previous, occurrences
        )

    def _row_key(self, commitment: bytes, first: Occurrence) -> bytes:
        """Return the state key that rules: the oldest occurrence decides whose record it is."""
        if first.kind not in ("item", "retract", "erase"):
            return records.record_key(commitment)
        found = self.transaction(first.txid)
        assert found is not None, "an indexed transaction is applied"
        body = found[1].payload.ops[first.op_index].body
        if first.kind == "item":
            return records.item_key(wire.from_value(record.Batch, body).root, commitment)
        if first.kind == "erase":
            proofs = wire.from_value(record_custody.Erase, body).proofs
            proof = proofs[first.item_index] if proofs else None
        else:
            proof = wire.from_value(record.Retract, body).proof
        if proof is None:
            return records.record_key(commitment)
        return records.item_key(proof.root, commitment)

    def records_by_tag(self, tag: bytes) -> list[bytes]:
        """Return the commitments anchored under a one-time subject tag, oldest first.

        Raises ``Pruned`` on a node that began with a snapshot: earlier ones are not known.
        """
        if (lowest := self._store.lowest()) > 1:
            raise Pruned(lowest)
        prefix = record.tag_prefix(tag)
        rows = self._store.index_scan(prefix, prefix + b"\xff", limit=RECORD_OCCURRENCES_MAX)
        return [value[:32] for _, value in rows]

    def _occurrence(self, place: bytes, kind: bytes) -> Occurrence:
        leaf_index = int.from_bytes(place[:8], "big")
        txid = self.txid_at(leaf_index)
        assert txid is not None, "an indexed leaf has its transaction"
        found = self.transaction(txid)
        assert found is not None, "an indexed transaction is applied"
        where, tx = found
        row = self._store.block(where.height)
        assert row is not None, "an applied height has its row"
        return Occurrence(
            kind.decode("ascii"),
            txid,
            leaf_index,
            int.from_bytes(place[8:10], "big"),
            int.from_bytes(place[10:14], "big"),
            where.height,
            blocks.decode_header(row.header).time_ms,
            tx.payload.org,
            where.code,
        )

    # --- state -------------------------------------------------------------------------------

    def state(self, key: bytes, *, height: int | None = None) -> StateAnswer | None:
        """See ``Answering.state``."""
        return self.answering.state(key, height=height)

    def ask(self, name: str, params: Any, *, height: int | None = None) -> Answered:
        """See ``Answering.ask``."""
        return self.answering.ask(name, params, height=height)

    def prove(self, name: str, params: Any, *, height: int | None = None) -> Answer:
        """See ``Answering.prove``."""
        return self.answering.prove(name, params, height=height)

    def touched(
        self,
        key: bytes,
        *,
        from_ms: int,
        until_ms: int | None,
        start: tuple[int, int] | None,
        limit: int,
    ) -> Touched:
        """See ``node.touched.touched``."""
        with self._store.snapshot() as view:
            return touched(
                view, key, from_ms=from_ms, until_ms=until_ms, start=start, limit=limit
            )

    # --- evidence ----------------------------------------------------------------------------

    def evidence(self, low: int, limit: int) -> tuple[list[EvidenceRow], int | None]:
        """Return recorded contradictions from log index ``low`` on, and where the next page
        starts.

        A page holds whole transactions, so it may be a little longer than ``limit``.
        """
        prefix = evidence.INDEX_PREFIX
        lo, hi = prefix + low.to_bytes(8, "big"), prefix + b"\xff" * 11
        found: list[EvidenceRow] = []
        last = -1
        for at, key in self._store.index_scan(lo, hi, limit=limit + OPS_MAX):
            leaf = int.from_bytes(at[len(prefix) : len(prefix) + 8], "big")
            if len(found) >= limit and leaf != last:
                return found, leaf
            raw = self._store.state_get(key)
            assert raw is not None, "recorded evidence stays"
            found.append(wire.decode(EvidenceRow, raw, size_max=1 << 12))
            last = leaf
        return found, None

    # --- events ------------------------------------------------------------------------------

    def events(self, height: int, after_index: int) -> Iterator[dict[str, Any]]:
        """Yield the events of an applied block with an index above ``after_index``.

        Event 0 is the block; event n is its n-th transaction.  Read from disk each time: the
        ledger itself is the buffer, so no client can miss one.
        """
        view = self.block(height)
        assert view is not None, "asked for an applied height"
        if after_index < 0:
            yield {
                "cursor": f"{height}.0",
                "type": "block",
                "height": height,
                "digest": view.digest.hex(),
                "time_ms": view.time_ms,
                "transactions": len(view.txids),
                "log_size": view.log_size,
            }
        for position, tx in enumerate(self.transactions(height), start=1):
            if position <= after_index:
                continue
            row = self._row_in_body(tx.txid)
            yield {
                "cursor": f"{height}.{position}",
                "type": "transaction",
                "height": height,
                "tx_id": tx.txid.hex(),
                "org": tx.payload.org,
                "kinds": [op.kind for op in tx.payload.ops],
                "code": None if row is None else row.code,
            }
