"""Transactions: the bytes an institution signs, and the typed value they become.

Frame (so that a verifier slices payload, keys and signatures without parsing):

    0x01 | n u8 (1..8) | payload length be16 | payload | n x key (32) | n x signature (64)

Each signer signs ``TAG || n || n keys || payload``: the key list is bound, so nobody on the
way can drop, add or reorder a co-signer and so make a second transaction of the same content.
The first key is the author's, an identity key of ``org``.  Payload is canonical MessagePack
``[version, network, org, expires_height, nonce, [[kind, body], ...]]``.  The operations of one
transaction are atomic.  ``txid = SHA-256(0x00 || bytes)``, the RFC 6962 leaf hash: one hash
serves de-duplication, the Merkle log, status and receipts.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NewType, Protocol

from consensus import codec
from consensus.codec import Malformed

TxId = NewType("TxId", bytes)

TAG: Final = b"chartseal/tx/v1\x00"
TRANSACTION_BYTES_MAX: Final = 65_535  # the entry length of C2SP tiles is a be16
SIGNERS_MAX: Final = 8
OPS_MAX: Final = 512
ORG_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_KIND_PATTERN: Final = re.compile(r"[a-z]+(?:\.[a-z]+)+")
_FRAME_VERSION: Final = 1
_PAYLOAD_VERSION: Final = 1
_HEAD_BYTES: Final = 4
_HEIGHT_MAX: Final = (1 << 63) - 1


class Signs(Protocol):
    """A key that can sign; ``public_key`` is 32 bytes, signatures are 64."""

    @property
    def public_key(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


class TransactionMalformed(Exception):
    """The bytes are not a version 1 transaction.  Never quotes the content."""

    code = "transaction-malformed"


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
class Frame:
    """A transaction sliced, not parsed."""

    payload: bytes
    keys: tuple[bytes, ...]
    signatures: tuple[bytes, ...]

    @property
    def message(self) -> bytes:
        """The bytes that every signer signed."""
        return signed_message(self.payload, self.keys)

    @property
    def checks(self) -> list[tuple[bytes, bytes, bytes]]:
        """``(key, message, signature)`` for each signer, author first."""
        message = self.message
        return [(k, message, s) for k, s in zip(self.keys, self.signatures, strict=True)]


@dataclass(frozen=True, slots=True)
class Transaction:
    """A well-formed transaction.  ``raw`` stays the truth; nothing is ever re-encoded."""

    raw: bytes
    txid: TxId
    payload: Payload
    keys: tuple[bytes, ...]


def txid_of(raw: bytes) -> TxId:
    """Return the transaction id: the RFC 6962 leaf hash of its bytes."""
    return TxId(hashlib.sha256(b"\x00" + raw).digest())


def signed_message(payload: bytes, keys: Sequence[bytes]) -> bytes:
    """Return what each of ``keys`` signs over ``payload``."""
    return b"".join((TAG, bytes((len(keys),)), *keys, payload))


def slice_frame(raw: bytes) -> Frame:
    """Slice ``raw``; raises ``TransactionMalformed`` unless every byte has its place."""
    if not _HEAD_BYTES < len(raw) <= TRANSACTION_BYTES_MAX:
        raise TransactionMalformed(f"{len(raw)} bytes, at most {TRANSACTION_BYTES_MAX} allowed")
    version, count = raw[0], raw[1]
    if version != _FRAME_VERSION:
        raise TransactionMalformed(f"frame version {version}, this node reads 1")
    if not 1 <= count <= SIGNERS_MAX:
        raise TransactionMalformed(f"{count} signers, 1 to {SIGNERS_MAX} allowed")
    keys_at = _HEAD_BYTES + int.from_bytes(raw[2:4], "big")
    signatures_at = keys_at + 32 * count
    if len(raw) != signatures_at + 64 * count:
        raise TransactionMalformed("length does not match the frame")
    keys = tuple(raw[i : i + 32] for i in range(keys_at, signatures_at, 32))
    if len(set(keys)) != count:
        raise TransactionMalformed("a key signs twice")
    signatures = tuple(raw[i : i + 64] for i in range(signatures_at, len(raw), 64))
    return Frame(raw[_HEAD_BYTES:keys_at], keys, signatures)


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


def _parse_payload(raw: bytes) -> Payload:
    try:
        value = codec.decode(raw, size_max=TRANSACTION_BYTES_MAX)
    except Malformed as error:
        raise TransactionMalformed(f"payload: {error}") from error
    if type(value) is not list or len(value) != 6:
        raise TransactionMalformed("payload is not an array of six")
    if type(value[0]) is not int or value[0] != _PAYLOAD_VERSION:  # True equals 1 in Python
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


def parse(raw: bytes) -> Transaction:
    """Return ``raw`` as a typed transaction; signatures are *not* verified here.

    Raises ``TransactionMalformed`` and nothing else.
    """
    return parse_frame(raw, slice_frame(raw))


def parse_frame(raw: bytes, frame: Frame) -> Transaction:
    """Like ``parse`` for bytes that are sliced already."""
    return Transaction(raw, txid_of(raw), _parse_payload(frame.payload), frame.keys)


def encode_payload(payload: Payload) -> bytes:
    ops = [[op.kind, op.body] for op in payload.ops]
    fields = [payload.network, payload.org, payload.expires_height, payload.nonce, ops]
    return codec.encode([_PAYLOAD_VERSION, *fields])


def assemble(payload: bytes, keys: Sequence[bytes], signatures: Sequence[bytes]) -> bytes:
    """Return the frame; raises ``TransactionMalformed`` when it would be too large."""
    size = _HEAD_BYTES + len(payload) + 96 * len(keys)
    if size > TRANSACTION_BYTES_MAX:
        raise TransactionMalformed(f"{size} bytes, at most {TRANSACTION_BYTES_MAX} allowed")
    head = bytes((_FRAME_VERSION, len(keys))) + len(payload).to_bytes(2, "big")
    return b"".join((head, payload, *keys, *signatures))


def sign(payload: Payload, *signers: Signs) -> bytes:
    """Return the transaction bytes of ``payload`` signed by ``signers``, author first."""
    raw = encode_payload(payload)
    keys = [signer.public_key for signer in signers]
    if len(raw) > TRANSACTION_BYTES_MAX:
        raise TransactionMalformed(f"payload of {len(raw)} bytes is too large")
    message = signed_message(raw, keys)
    return assemble(raw, keys, [signer.sign(message) for signer in signers])
