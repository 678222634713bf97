"""Signing for simulated members: a keyed hash by default, real Ed25519 in a few seeds.

The keyed hash is a hundred times cheaper and, because only this module knows the secrets, as
hard to forge for the nodes in the simulation as the real thing.
"""

import hashlib

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from consensus.types import Check


class Keys:
    def __init__(self, seed: int, ids: tuple[str, ...], *, real: bool) -> None:
        self._real = real
        self._secrets = {
            node: hashlib.sha256(f"secret/{seed}/{node}".encode()).digest() for node in ids
        }
        self._signers = {node: SigningKey(secret) for node, secret in self._secrets.items()}
        self.public: dict[str, bytes] = {}
        for node, secret in self._secrets.items():
            if real:
                self.public[node] = bytes(self._signers[node].verify_key)
            else:
                self.public[node] = hashlib.sha256(b"public/" + secret).digest()
        self._by_public = {key: self._secrets[node] for node, key in self.public.items()}
        self._known: dict[Check, bool] = {}

    def sign(self, node: str, message: bytes) -> bytes:
        if self._real:
            return bytes(self._signers[node].sign(message).signature)
        return hashlib.blake2b(message, key=self._secrets[node]).digest()

    def holds(self, check: Check) -> bool:
        known = self._known.get(check)
        if known is None:
            known = self._known[check] = self._verify(check)
        return known

    def _verify(self, check: Check) -> bool:
        if self._real:
            try:
                VerifyKey(check.key).verify(check.message, check.signature)
            except (BadSignatureError, ValueError):
                return False
            return True
        secret = self._by_public.get(check.key)
        if secret is None:
            return False
        return hashlib.blake2b(check.message, key=secret).digest() == check.signature
