"""Signing for simulated members: a keyed hash by default, real Ed25519 in a few seeds.

The keyed hash is a hundred times cheaper and, because only this module knows the secrets, as
hard to forge for the nodes in the simulation as the real thing.
"""

import hashlib
from functools import cache

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from consensus.types import Check


@cache
def _secret(node: str) -> bytes:
    return hashlib.sha256(f"secret/{node}".encode()).digest()


@cache
def _public(node: str) -> bytes:
    return hashlib.sha256(b"public/" + _secret(node)).digest()


class Keys:
    def __init__(self, ids: tuple[str, ...], *, real: bool) -> None:
        self._real = real
        self._signers: dict[str, SigningKey] = {}
        self.public = {node: _public(node) for node in ids}
        if real:
            self._signers = {node: SigningKey(_secret(node)) for node in ids}
            self.public = {n: bytes(key.verify_key) for n, key in self._signers.items()}
        self._by_public = {key: _secret(node) for node, key in self.public.items()}
        self._known: dict[Check, bool] = {}

    def rotated(self, node: str, version: int) -> bytes:
        """Return another public key of ``node``; with keyed hashes only."""
        secret = _secret(f"{node}/{version}")
        public = hashlib.sha256(b"public/" + secret).digest()
        self._by_public[public] = secret
        return public

    def sign_as(self, public: bytes, message: bytes) -> bytes:
        """Sign with the keyed hash whose public half is ``public``."""
        return hashlib.blake2b(message, key=self._by_public[public]).digest()

    def sign(self, node: str, message: bytes) -> bytes:
        if self._real:
            return bytes(self._signers[node].sign(message).signature)
        return hashlib.blake2b(message, key=_secret(node)).digest()

    def holds(self, check: Check) -> bool:
        if not self._real:
            secret = self._by_public.get(check.key)
            if secret is None:
                return False
            return hashlib.blake2b(check.message, key=secret).digest() == check.signature
        known = self._known.get(check)
        if known is None:
            known = self._known[check] = _verify(check)
        return known


def _verify(check: Check) -> bool:
    try:
        VerifyKey(check.key).verify(check.message, check.signature)
    except (BadSignatureError, ValueError):
        return False
    return True
