"""Receipts put together from rows of one snapshot of the store.

Owns: which rows a receipt is made of, and the way of an item within its batch.  Refuses: a
receipt that no certified checkpoint covers yet (``ReceiptPending``).
"""

from consensus import wire
from consensus.codec import Malformed
from node.book import TxRow
from node.ledger import block as blocks
from node.ledger import checkpoint as checkpoints
from node.ledger import merkle
from node.ledger.families import record
from node.ledger.receipt import Item, Receipt
from node.ledger.tiles import TileLog
from node.ledger.transaction import Transaction
from node.lineage_keeping import links_for
from storage.blocks import BlockRow
from storage.reader import Reader


class ReceiptPending(Exception):
    """The transaction is applied; a quorum has not cosigned a tree head over it yet."""

    code = "receipt-pending"


def codes_of(row: BlockRow) -> tuple[int, ...]:
    """Return the result numbers of a block's new transactions, in order."""
    raw = row.results
    return tuple(int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2))


def item_of(tx: Transaction, commitment: bytes) -> Item | None:
    """Return the path of ``commitment`` in a batch of ``tx`` whose leaves are inline."""
    for op in tx.payload.ops:
        if op.kind != "record.batch":
            continue
        try:
            body = wire.from_value(record.Batch, op.body)
        except Malformed:  # a transaction that failed for it is on the ledger all the same
            continue
        leaves = [body.leaves[at : at + 32] for at in range(0, len(body.leaves), 32)]
        if commitment not in leaves:
            continue
        index = leaves.index(commitment)
        hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
        if merkle.root(hashes) != body.root:
            continue
        path = merkle.inclusion_path(hashes, index)
        return Item(commitment, index, body.count, tuple(path))
    return None


def receipt_of(view: Reader, where: TxRow, tx: Transaction, item: Item | None) -> Receipt:
    """Return the receipt of ``tx``; raises ``ReceiptPending``."""
    row, seal, applied = view.block(where.height), view.seal(where.height), view.applied()
    assert row is not None and seal is not None and applied is not None, "one batch"  # noqa: PT018
    seal_index = row.first_index + row.count
    newest = view.latest_checkpoint(covering=seal_index)
    if newest is None:
        raise ReceiptPending(f"height {where.height}")
    note = newest[1]
    head, _signatures = checkpoints.parse_note(note)
    log = TileLog(applied.log_size, view.tile)
    outcomes = [merkle.leaf_hash(blocks.result_leaf(code)) for code in codes_of(row)]
    return Receipt(
        transaction=tx.raw,
        leaf_index=where.leaf_index,
        inclusion_path=tuple(log.inclusion_path(where.leaf_index, head.size)),
        seal=seal,
        seal_path=tuple(log.inclusion_path(seal_index, head.size)),
        code=where.code,
        result_path=tuple(merkle.inclusion_path(outcomes, where.leaf_index - row.first_index)),
        checkpoint=note,
        item=item,
        lineage=links_for(view, note),
    )
