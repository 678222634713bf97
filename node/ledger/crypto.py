"""Hashes, signatures and the one rule by which the network accepts them.

Owns: SHA-256 with and without a domain tag, signing, verification.  Verification is ZIP 215
on every node and for every purpose (the rule under which single and batch verification
agree); signing is libsodium's.  Refuses: key generation, because entropy is not pure, and
key storage.
Invariant: a seed never appears in a representation, an error or a comparison.
"""

import hashlib
from typing import Final

from nacl.signing import SigningKey

from node.ledger import accel

SEED_BYTES: Final = 32
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
HASH_BYTES: Final = 32


def sha256(data: bytes) -> bytes:
    """Return the 32-byte SHA-256 of ``data``."""
    return hashlib.sha256(data).digest()


def tagged(tag: bytes, *parts: bytes) -> bytes:
    """Return SHA-256 of ``tag`` followed by ``parts``.

    The tag must end in a zero byte and hold no other, so that no tag is a prefix of another.
    The parts are joined without lengths: a caller passes at most one of variable length.
    """
    assert tag.endswith(b"\x00"), "a domain tag ends in a zero byte"
    assert tag.count(b"\x00") == 1, "a domain tag holds one zero byte, its last"
    return hashlib.sha256(tag + b"".join(parts)).digest()


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether ZIP 215 accepts ``signature``; wrong lengths are False."""
    return accel.verify_batch([(key, message, signature)])[0]


class Signer:
    """An Ed25519 key pair around its 32-byte seed; raises ``ValueError`` for another length."""

    __slots__ = ("_key", "public_key")

    public_key: Final[bytes]

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a seed has {SEED_BYTES} bytes")
        self._key = SigningKey(seed)
        self.public_key = bytes(self._key.verify_key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature over ``message`` (RFC 8032, deterministic)."""
        return bytes(self._key.sign(message).signature)

    def __repr__(self) -> str:
        return f"Signer(public_key={self.public_key.hex()})"
