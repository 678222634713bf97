"""Transactions as JSON: from structured members to the exact signed bytes, and back.

Owns: typing the bodies of operations by the ledger's registry of operations, so that a client
writes names and hexadecimal and the node writes the canonical array.  Refuses: signatures;
intake verifies them over the assembled bytes, so a wrong member shows as a bad signature.
"""

import base64
import binascii
from typing import Any

from consensus import codec, wire
from consensus.codec import Malformed
from node.errors import ChartsealError
from node.http import strict_json, types
from node.ledger import registry, transaction
from node.ledger.execute import typed_body
from node.ledger.rules import Refused
from node.ledger.transaction import Op, Payload, Transaction


def read_ops(items: list[types.Operation]) -> tuple[Op, ...]:
    """Return typed operations; raises ``ChartsealError`` (op-unknown, op-malformed)."""
    ops = []
    for position, item in enumerate(items):
        operation = registry.OPERATIONS.get(item.kind)
        if operation is None:
            raise ChartsealError("op-unknown", f"operation {position}")
        try:
            body = wire.to_value(wire.from_plain(operation.body, item.body))
        except Malformed as error:
            raise ChartsealError("op-malformed", f"operation {position}: {error}") from error
        ops.append(Op(item.kind, body))
    return tuple(ops)


def read_transaction(raw: bytes) -> bytes:
    """Return the transaction bytes that a JSON text names, in either form."""
    tree = strict_json.read(raw)
    if type(tree) is dict and "transaction" in tree:
        return _decoded(strict_json.typed(types.EncodedTransaction, tree).transaction)
    given = strict_json.typed(types.StructuredTransaction, tree)
    payload = Payload(
        bytes.fromhex(given.network),
        given.org,
        given.expires_height,
        bytes.fromhex(given.nonce),
        read_ops(given.ops),
    )
    return transaction.assemble(
        payload_bytes(payload),
        [bytes.fromhex(item.key) for item in given.signers],
        [bytes.fromhex(item.signature) for item in given.signers],
    )


def payload_bytes(payload: Payload) -> bytes:
    raw = transaction.encode_payload(payload)
    if len(raw) > transaction.TRANSACTION_BYTES_MAX:
        raise ChartsealError("transaction-malformed", f"payload of {len(raw)} bytes")
    return raw


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ChartsealError("bad-request", "transaction must be base64") from None


def show(tx: Transaction) -> types.DecodedTransaction:
    """Return what ``tx`` says."""
    frame = transaction.slice_frame(tx.raw)
    return types.DecodedTransaction(
        version=1,
        network=tx.payload.network.hex(),
        org=tx.payload.org,
        expires_height=tx.payload.expires_height,
        nonce=tx.payload.nonce.hex(),
        ops=[_show_op(op) for op in tx.payload.ops],
        signers=[
            types.Signature(key.hex(), signature.hex())
            for key, signature in zip(frame.keys, frame.signatures, strict=True)
        ],
    )


def _show_op(op: Op) -> types.DecodedOperation:
    body: Any
    try:
        body = wire.to_plain(typed_body(op))
    except Refused:
        body = None  # ordered and recorded as failed: it has no typed form
    return types.DecodedOperation(op.kind, body, codec.encode(op.body).hex())
