"""Transactions: the bytes an institution signs, and the typed value they become.

The frame (frame.py) lets a verifier slice payload, keys and signatures without parsing; the
payload (payload.py) is what they signed.  The first key is the author's, an identity key of
``org``.  The operations of one transaction are atomic.  ``txid = SHA-256(0x00 || bytes)``, the
RFC 6962 leaf hash: one hash serves de-duplication, the Merkle log, status and receipts.

Owns: making transactions, reading many at once.  What other rooms need of the two modules
above has its name here too.
"""

from collections.abc import Sequence
from typing import Protocol, cast

from consensus import codec
from node.ledger import accel
from node.ledger.frame import (
    FRAME_VERSION,
    HEAD_BYTES,
    SIGNERS_MAX,
    TAG,
    TRANSACTION_BYTES_MAX,
    Frame,
    TransactionMalformed,
    TxId,
    signed_message,
    slice_frame,
    txid_of,
)
from node.ledger.payload import (
    OPS_MAX,
    ORG_PATTERN,
    PAYLOAD_VERSION,
    Op,
    Opened,
    Payload,
    Transaction,
    parse,
    parse_frame,
)

__all__ = [
    "OPS_MAX",
    "ORG_PATTERN",
    "SIGNERS_MAX",
    "TAG",
    "TRANSACTION_BYTES_MAX",
    "Frame",
    "Op",
    "Opened",
    "Payload",
    "Signs",
    "Transaction",
    "TransactionMalformed",
    "TxId",
    "assemble",
    "encode_payload",
    "open_all",
    "open_batch",
    "parse",
    "parse_frame",
    "sign",
    "signed_message",
    "slice_frame",
    "txid_of",
]


class Signs(Protocol):
    """A key that can sign; ``public_key`` is 32 bytes, signatures are 64."""

    @property
    def public_key(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


def open_batch(raws: Sequence[bytes]) -> list[Opened | TransactionMalformed]:
    """Read many transactions at once: each with what its signers signed, or what is wrong.

    The same values and errors as ``parse`` gives one by one; signatures are *not* verified.
    """
    return accel.open_batch(raws)


def open_all(raws: Sequence[bytes]) -> list[Opened]:
    """Like ``open_batch``, but raises the first ``TransactionMalformed``."""
    opened = open_batch(raws)
    for item in opened:
        if isinstance(item, TransactionMalformed):
            raise item
    return cast(list[Opened], opened)


def encode_payload(payload: Payload) -> bytes:
    ops = [[op.kind, op.body] for op in payload.ops]
    fields = [payload.network, payload.org, payload.expires_height, payload.nonce, ops]
    return codec.encode([PAYLOAD_VERSION, *fields])


def assemble(payload: bytes, keys: Sequence[bytes], signatures: Sequence[bytes]) -> bytes:
    """Return the frame; raises ``TransactionMalformed`` when it would be too large."""
    size = HEAD_BYTES + len(payload) + 96 * len(keys)
    if size > TRANSACTION_BYTES_MAX:
        raise TransactionMalformed(f"{size} bytes, at most {TRANSACTION_BYTES_MAX} allowed")
    head = bytes((FRAME_VERSION, len(keys))) + len(payload).to_bytes(2, "big")
    return b"".join((head, payload, *keys, *signatures))


def sign(payload: Payload, *signers: Signs) -> bytes:
    """Return the transaction bytes of ``payload`` signed by ``signers``, author first."""
    raw = encode_payload(payload)
    keys = [signer.public_key for signer in signers]
    if len(raw) > TRANSACTION_BYTES_MAX:
        raise TransactionMalformed(f"payload of {len(raw)} bytes is too large")
    message = signed_message(raw, keys)
    return assemble(raw, keys, [signer.sign(message) for signer in signers])
