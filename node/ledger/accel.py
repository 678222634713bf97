"""The seam of the hot path: everything that is done to many transactions at once.

Owns: batch signature verification by the ZIP 215 rule, batch hashing, Merkle roots.  Callers
hand over whole batches of raw bytes, so that a native backend can take each call in one step
and without the interpreter lock.  This module is the pure backend: hashlib, and the wheel
around the crate ed25519-zebra, whose every call HOLDS the interpreter lock.  Callers that
share a thread with an event loop therefore pass at most ``CHUNK`` items at a time (about
4 ms of signatures) and give the loop a turn between chunks.
Refuses: policy.  Whether a key may sign at all is asked elsewhere.
Invariant: every backend returns the same answers for the same bytes; the accept set over the
Ed25519 edge cases is pinned by a digest in the conformance tests.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import ed25519_zebra

BACKEND: Final[str] = "pure"
CHUNK: Final = 64  # items per call that keep one call near 4 ms

EMPTY_ROOT: Final = sha256(b"").digest()  # RFC 9162, 2.1.1: the hash of an empty list

_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64

Item = tuple[bytes, bytes, bytes]  # key, message, signature


def verify_batch(items: Sequence[Item]) -> list[bool]:
    """Return for each (key, message, signature) whether ZIP 215 accepts it.

    Wrong lengths and garbage are False; nothing is raised for any bytes.
    """
    check = ed25519_zebra.ed_verify
    return [
        len(key) == _KEY_BYTES
        and len(signature) == _SIGNATURE_BYTES
        and bool(check(signature, message, key))
        for key, message, signature in items
    ]


def leaf_hashes(leaves: Sequence[bytes]) -> list[bytes]:
    """Return the RFC 6962 leaf hash of each leaf's data."""
    return [sha256(b"\x00" + leaf).digest() for leaf in leaves]


def txids(raws: Sequence[bytes]) -> list[bytes]:
    """Return the ids of whole transactions: the leaf hash of each one's bytes."""
    return leaf_hashes(raws)


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    """Return the RFC 6962 root over leaf hashes; ``EMPTY_ROOT`` for none.

    Level by level: an odd last node rises unchanged, which gives the same tree as the RFC's
    split at the largest power of two.
    """
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        last = level[-1] if len(level) & 1 else None
        nodes = iter(level)
        level = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(nodes, nodes, strict=False)
        ]
        if last is not None:
            level.append(last)
    return level[0]
