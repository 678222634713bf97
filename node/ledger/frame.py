"""The frame of a transaction: bytes sliced, not parsed.

    0x01 | n u8 (1..8) | payload length be16 | payload | n x key (32) | n x signature (64)

Each signer signs ``TAG || n || n keys || payload``: the key list is bound, so nobody on the
way can drop, add or reorder a co-signer and so make a second transaction of the same content.

Owns: slicing, what is signed, the id.  Refuses: the payload's meaning (transaction.py).
"""

import hashlib
from collections.abc import Sequence
from typing import Final, NewType

from consensus.frozen import dataclass

TxId = NewType("TxId", bytes)

TAG: Final = b"chartseal/tx/v1\x00"
TRANSACTION_BYTES_MAX: Final = 65_535  # the entry length of C2SP tiles is a be16
SIGNERS_MAX: Final = 8
FRAME_VERSION: Final = 1
HEAD_BYTES: Final = 4

Check = tuple[bytes, bytes, bytes]  # key, message, signature


class TransactionMalformed(Exception):
    """The bytes are not a version 1 transaction.  Never quotes the content."""

    code = "transaction-malformed"


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
    def checks(self) -> list[Check]:
        """``(key, message, signature)`` for each signer, author first."""
        message = self.message
        return [(k, message, s) for k, s in zip(self.keys, self.signatures, strict=True)]


def txid_of(raw: bytes) -> TxId:
    """Return the transaction id: the RFC 6962 leaf hash of its bytes."""
    return TxId(hashlib.sha256(b"\x00" + raw).digest())


def signed_message(payload: bytes, keys: Sequence[bytes]) -> bytes:
    """Return what each of ``keys`` signs over ``payload``."""
    return b"".join((TAG, bytes((len(keys),)), *keys, payload))


def slice_frame(raw: bytes) -> Frame:
    """Slice ``raw``; raises ``TransactionMalformed`` unless every byte has its place."""
    if not HEAD_BYTES < len(raw) <= TRANSACTION_BYTES_MAX:
        raise TransactionMalformed(f"{len(raw)} bytes, at most {TRANSACTION_BYTES_MAX} allowed")
    version, count = raw[0], raw[1]
    if version != FRAME_VERSION:
        raise TransactionMalformed(f"frame version {version}, this node reads 1")
    if not 1 <= count <= SIGNERS_MAX:
        raise TransactionMalformed(f"{count} signers, 1 to {SIGNERS_MAX} allowed")
    keys_at = HEAD_BYTES + int.from_bytes(raw[2:4], "big")
    signatures_at = keys_at + 32 * count
    if len(raw) != signatures_at + 64 * count:
        raise TransactionMalformed("length does not match the frame")
    keys = tuple(raw[i : i + 32] for i in range(keys_at, signatures_at, 32))
    if len(set(keys)) != count:
        raise TransactionMalformed("a key signs twice")
    signatures = tuple(raw[i : i + 64] for i in range(signatures_at, len(raw), 64))
    return Frame(raw[HEAD_BYTES:keys_at], keys, signatures)
