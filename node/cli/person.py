"""Keys of persons and devices on this machine, and what they sign with an institution.

A key file is 32 random bytes as hexadecimal, mode 0600.  Its Ed25519 key signs transactions;
an X25519 key that is derived from the same bytes receives sealed boxes.  One file for each
subject: a key that is used at two institutions would tell everyone that it is one person.

Owns: making and reading key files, the two steps of co-signing.  Refuses: overwriting a key.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import nacl.utils
from nacl.public import PrivateKey

from node.cli.remote import Remote, pick, status_of
from node.errors import ChartsealError
from node.keys import SEED_BYTES, read_seed, write_secret
from node.ledger import transaction
from node.ledger.crypto import Signer

_SEAL: Final = b"chartseal-seal-1"  # BLAKE2 personalisation
_JSON: Final = {"Content-Type": "application/json"}


def make(path: Path) -> Signer:
    """Return a new key once ``path`` durably holds it; never replaces a file."""
    seed = nacl.utils.random(SEED_BYTES)
    write_secret(path, seed.hex().encode() + b"\n")
    return Signer(seed)


def signer_of(path: Path) -> Signer:
    return Signer(read_seed(path))


def seal_key(seed: bytes) -> bytes:
    """Return the public X25519 key that belongs to a key file."""
    secret = blake2b(seed, digest_size=32, person=_SEAL).digest()
    return bytes(PrivateKey(secret).public_key)


def prepared(remote: Remote, ops: list[dict[str, Any]], keys: Sequence[str]) -> dict[str, Any]:
    """Return what the node and the holders of ``keys`` are to sign."""
    body = json.dumps({"ops": ops, "cosigners": list(keys)}).encode()
    answer = remote.request("POST", "/v1/operations:prepare", body=body, headers=_JSON).json()
    return pick(answer, ("payload", "author", "cosigners"))


def message_of(asked: Mapping[str, Any]) -> bytes:
    """Return what a prepared payload's signers sign; it is made here, not taken on trust.

    Raises ``ChartsealError`` (bad-request) for members that are not a prepared payload.
    """
    try:
        keys = [bytes.fromhex(key) for key in (asked["author"], *asked["cosigners"])]
        return transaction.signed_message(bytes.fromhex(asked["payload"]), keys)
    except (ValueError, KeyError, TypeError):
        raise ChartsealError("bad-request", "not what --prepare prints with -o json") from None


def send_cosigned(
    remote: Remote, payload: str, signatures: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Send a payload with its co-signers' (key, signature); return the first status."""
    rows = [{"key": key, "signature": signature} for key, signature in signatures]
    body = json.dumps({"payload": payload, "cosigners": rows}).encode()
    answer = remote.request("POST", "/v1/operations:cosigned", body=body, headers=_JSON)
    return status_of(answer.json())


def sign_with(
    remote: Remote, ops: list[dict[str, Any]], files: Sequence[Path]
) -> dict[str, Any]:
    """Emit ``ops`` signed by the node and by the keys in ``files``; return the status."""
    signers = [signer_of(path) for path in files]
    asked = prepared(remote, ops, [signer.public_key.hex() for signer in signers])
    message = message_of(asked)
    signed = [(item.public_key.hex(), item.sign(message).hex()) for item in signers]
    return send_cosigned(remote, asked["payload"], signed)
