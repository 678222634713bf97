"""What a transaction says: the records, and the rules by which bytes become them.

Payload is canonical MessagePack
``[version, network, org, expires_height, nonce, [[kind, body], ...]]``.

Owns: the typed value, parsing one transaction.  Refuses: signatures, and what an operation
means (families).  The native accelerator makes the same records from the same bytes and sets
their fields directly, so they have no ``__post_init__``.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from consensus import codec
from consensus.codec import Malformed
from node.ledger.frame import (
    TRANSACTION_BYTES_MAX,
    Check,
    Frame,
    TransactionMalformed,
    TxId,
    slice_frame,
    txid_of,
)

OPS_MAX: Final = 512
ORG_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
PAYLOAD_VERSION: Final = 1
_KIND_PATTERN: Final = re.compile(r"[a-z]+(?:\.[a-z]+)+")
_HEIGHT_MAX: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Op:
    """One operation: ``kind`` names family and verb, ``body`` is its array of fields."""

    kind: str
    body: list[Any]


@dataclass(frozen=True, slots=True)
class Payload:
    network: bytes  # 32-byte digest of genesis
    org: str  # the author's institution
    expires_height: int  # the last height at which it may be applied
    nonce: bytes  # 8 bytes, so that equal content may be sent twice on purpose
    ops: tuple[Op, ...]


@dataclass(frozen=True, slots=True)
class Transaction:
    """A well-formed transaction.  ``raw`` stays the truth; nothing is ever re-encoded."""

    raw: bytes
    txid: TxId
    payload: Payload
    keys: tuple[bytes, ...]


Opened = tuple[Transaction, list[Check]]


def _ops(value: Any) -> tuple[Op, ...]:
    if type(value) is not list or not 1 <= len(value) <= OPS_MAX:
        raise TransactionMalformed(f"1 to {OPS_MAX} operations allowed")
    ops = []
    for item in value:
        if type(item) is not list or len(item) != 2:
            raise TransactionMalformed("an operation is [kind, body]")
        kind, body = item
        if type(kind) is not str or len(kind) > 64 or not _KIND_PATTERN.fullmatch(kind):
            raise TransactionMalformed("operation kind is not family.verb")
        if type(body) is not list:
            raise TransactionMalformed("an operation's body is an array")
        ops.append(Op(kind, body))
    return tuple(ops)


def _payload_of(value: Any) -> Payload:
    if type(value) is not list or len(value) != 6:
        raise TransactionMalformed("payload is not an array of six")
    if type(value[0]) is not int or value[0] != PAYLOAD_VERSION:  # True equals 1 in Python
        raise TransactionMalformed("payload is not of version 1")
    _version, network, org, expires_height, nonce, ops = value
    if type(network) is not bytes or len(network) != 32:
        raise TransactionMalformed("network is 32 bytes")
    if type(org) is not str or not ORG_PATTERN.fullmatch(org):
        raise TransactionMalformed("org is not an institution id")
    if type(expires_height) is not int or not 0 <= expires_height <= _HEIGHT_MAX:
        raise TransactionMalformed("expires_height is out of range")
    if type(nonce) is not bytes or len(nonce) != 8:
        raise TransactionMalformed("nonce is 8 bytes")
    return Payload(network, org, expires_height, nonce, _ops(ops))


def decode_payload(raw: bytes) -> Payload:
    """Return what signers sign as its record; raises ``TransactionMalformed``."""
    try:
        value = codec.decode(raw, size_max=TRANSACTION_BYTES_MAX)
    except Malformed as error:
        raise TransactionMalformed(f"payload: {error}") from error
    return _payload_of(value)


def parse(raw: bytes) -> Transaction:
    """Return ``raw`` as a typed transaction; signatures are *not* verified here.

    Raises ``TransactionMalformed`` and nothing else.
    """
    return parse_frame(raw, slice_frame(raw))


def parse_frame(raw: bytes, frame: Frame) -> Transaction:
    """Like ``parse`` for bytes that are sliced already."""
    return Transaction(raw, txid_of(raw), decode_payload(frame.payload), frame.keys)
