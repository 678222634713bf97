"""From a commitment to the proof that it is an item of a batch: asked of a node, checked here.

Owns: reading the node's answer about the record and its receipt.  Refuses: to guess which batch
is meant; the oldest occurrence decides, as it does for the ledger.
"""

from consensus import wire
from node import records
from node.cli import verdict as verdicts
from node.cli.remote import Remote
from node.errors import ChartsealError
from node.ledger.families.record import Batch, ItemProof
from node.ledger.transaction import parse


def batch_proof(remote: Remote, commitment: bytes) -> ItemProof | None:
    """Return the proof that a record is an item of a batch; None when it stands alone.

    Raises ``ChartsealError`` (record-unknown, answer-malformed).
    """
    try:
        answer = remote.get(f"/v1/records/{commitment.hex()}")
    except ChartsealError as error:
        if error.code == "not-found":
            raise ChartsealError("record-unknown", commitment.hex()) from error
        raise
    first = verdicts.first_occurrence(answer)
    if first["kind"] != "item":
        return None
    raw = remote.receipt(
        first["tx_id"], commitment=commitment.hex(), form="application/json", wait_s=20
    )
    receipt = verdicts.parse_receipt(raw, "the node's receipt")
    if receipt.item is None:
        raise ChartsealError("answer-malformed", "a receipt without the item")
    for op in parse(receipt.transaction).payload.ops:
        if op.kind == "record.batch":
            batch = wire.from_value(Batch, op.body)
            if commitment in records.leaves_of(batch):
                return ItemProof(batch.root, receipt.item.index, receipt.item.path)
    raise ChartsealError("answer-malformed", "a receipt of another transaction")
