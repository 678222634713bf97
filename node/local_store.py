"""What stays on this node: small facts on patients and records, sealed, under blind names.

Owns: one secret beside the ledger's files (``local.secret``, mode 0600, made at the first use),
from which the names of facts and the key that seals them are derived.  A fact's name is an
HMAC, its value XChaCha20-Poly1305 with the name as associated data: whoever has the database
without the secret learns how many facts there are and how large they are.  With both, one
reads everything: keep the secret out of copies that leave the machine.
Refuses: listing facts, a value that was not sealed under its own name (``Corrupt``), and to go
on with another secret where facts were kept under the first one.
Invariant: ``write`` returns only once the disk has all of its facts.
"""

import hashlib
import hmac
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import nacl.bindings
import nacl.exceptions
import nacl.utils

from consensus import wire
from node.errors import ChartsealError
from node.keys import read_secret, write_secret
from storage.errors import Corrupt
from storage.store import Store

T = TypeVar("T")
SECRET_FILE: Final = "local.secret"  # noqa: S105  # a name
SECRET_BYTES: Final = 32
VALUE_BYTES_MAX: Final = 1 << 20
_PREFIX: Final = b"local/"
_MARK: Final = b"local"  # which secret the facts are kept under
_NONCE_BYTES: Final = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES


@dataclass(frozen=True, slots=True)
class Fact:
    """``record``: a dataclass that ``consensus.wire`` carries; None forgets the fact."""

    kind: str
    name: bytes
    record: object | None


class LocalStore:
    """Reads and writes from any thread; ``directory`` holds the secret."""

    def __init__(self, store: Store, directory: Path) -> None:
        self._store = store
        self._path = directory / SECRET_FILE
        self._made: tuple[bytes, bytes] | None = None
        self._turn = threading.Lock()

    def blind(self, kind: str, name: bytes) -> bytes:
        """Return 32 bytes that stand for ``name`` and tell nobody without the secret what it
        is; other kinds give other bytes."""
        naming, _sealing = self._keys()
        return hmac.digest(naming, kind.encode() + b"\x00" + name, "sha256")

    def get(self, kind: str, name: bytes, record: type[T]) -> T | None:
        """Return the fact of that kind and name; raises ``Corrupt`` when it does not open."""
        key = self._key(kind, name)
        sealed = self._store.meta_get(key)
        if sealed is None:
            return None
        _naming, sealing = self._keys()
        try:
            raw = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
                sealed[_NONCE_BYTES:], key, sealed[:_NONCE_BYTES], sealing
            )
        except nacl.exceptions.CryptoError:
            raise Corrupt("a local fact does not open", where="local") from None
        return wire.decode(record, raw, size_max=VALUE_BYTES_MAX)

    def write(self, facts: Sequence[Fact]) -> None:
        """Return once the disk has all of ``facts``; a crash leaves all or none of them."""
        self._store.meta_write([self._row(fact) for fact in facts])

    def _row(self, fact: Fact) -> tuple[bytes, bytes | None]:
        key = self._key(fact.kind, fact.name)
        if fact.record is None:
            return key, None
        raw = wire.encode(fact.record)
        assert len(raw) <= VALUE_BYTES_MAX, "local facts are small"
        _naming, sealing = self._keys()
        nonce = nacl.utils.random(_NONCE_BYTES)
        sealed = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
            raw, key, nonce, sealing
        )
        return key, nonce + sealed

    def _key(self, kind: str, name: bytes) -> bytes:
        return _PREFIX + kind.encode() + b"/" + self.blind(kind, name)

    def _keys(self) -> tuple[bytes, bytes]:
        """Return the keys for names and for values."""
        with self._turn:
            if self._made is None:
                secret = self._secret()
                self._check(_derived(secret, b"mark"))
                self._made = (_derived(secret, b"names"), _derived(secret, b"values"))
            return self._made

    def _check(self, mark: bytes) -> None:
        known = self._store.meta_get(_MARK)
        if known is None:
            self._store.meta_write([(_MARK, mark)])
        elif known != mark:
            raise ChartsealError(
                "keystore-malformed", f"{self._path} is not the secret of these local facts"
            )

    def _secret(self) -> bytes:
        if not self._path.exists() and self._store.meta_get(_MARK) is None:
            write_secret(self._path, nacl.utils.random(SECRET_BYTES).hex().encode() + b"\n")
        text = read_secret(self._path, bytes_max=256)
        try:
            secret = bytes.fromhex(text.decode("ascii"))
        except ValueError:
            secret = b""
        if len(secret) != SECRET_BYTES:
            raise ChartsealError("keystore-malformed", f"{self._path} has not 32 bytes")
        return secret


def _derived(secret: bytes, use: bytes) -> bytes:
    return hashlib.blake2b(use, digest_size=32, key=secret, person=b"chartseal-local1").digest()
