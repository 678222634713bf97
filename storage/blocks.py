"""The rows a block leaves behind, and how they become bytes and come back.

Owns: ``BlockRow``, ``Applied`` and their encodings.  Refuses: the meaning of headers, seals
and transactions; they are bytes with a digest.
Invariant: a row that does not decode is reported as ``Corrupt`` with its place, never skipped.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeVar

from consensus import wire
from consensus.codec import Malformed
from storage.errors import Corrupt
from storage.segments import Segments

ROW_BYTES_MAX: Final = 4 << 20
DIGEST_BYTES: Final = 32
BODY_TAG: Final = b"chartseal/body/v1\0"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Applied:
    """The newest block of this store, written in the same batch as everything it changed."""

    height: int
    digest: bytes  # body digest
    position: int  # the engine's own coordinate of the block
    log_size: int  # leaves, the block's seal included
    log_root: bytes
    state_height: int  # the height ``state_root`` speaks of
    state_root: bytes
    seal_digest: bytes  # sha256 of the seal leaf data: the next block's parent_seal


@dataclass(frozen=True, slots=True)
class BlockRow:
    """What is kept of an applied block besides body, seal and certificate."""

    height: int
    digest: bytes  # body digest: sha256(b"chartseal/body/v1\\0" || header)
    header: bytes
    txids: bytes  # 32 bytes each, in block order
    position: int
    first_index: int  # log index of the first transaction leaf
    count: int  # transaction leaves; the seal leaf has index first_index + count
    results: bytes  # be16 code for each transaction leaf
    log_root: bytes
    state_height: int
    state_root: bytes

    @property
    def log_size(self) -> int:
        """Leaves in the log once this block is applied, its seal included."""
        return self.first_index + self.count + 1


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """One applied block with all its parts, as walks hand it out."""

    row: BlockRow
    body: bytes
    seal: bytes
    certificate: bytes


def body_digest(header: bytes) -> bytes:
    """Return the digest a body is ordered and stored under."""
    return sha256(BODY_TAG + header).digest()


def decode_row(kind: type[T], raw: bytes, *, where: str) -> T:
    """Return our own record ``raw`` as ``kind``; raise ``Corrupt`` at ``where`` otherwise."""
    try:
        return wire.decode(kind, raw, size_max=ROW_BYTES_MAX)
    except Malformed as error:
        raise Corrupt(f"unreadable {kind.__name__} ({error})", where=where) from error


def append_body(segments: Segments, digest: bytes, body: bytes) -> bytes:
    """Append a body and return its encoded pointer; not yet durable.

    The record is digest || body, so segments alone say what they hold: an index lost with
    LevelDB can be rebuilt from them.
    """
    assert len(digest) == DIGEST_BYTES, f"body digest of {len(digest)} bytes"
    return segments.append(digest + body).encode()


def split_body(record: bytes, digest: bytes, *, where: str) -> bytes:
    """Return the body in a segment record; raise ``Corrupt`` if it is another block's."""
    if record[:DIGEST_BYTES] != digest:
        found = record[:DIGEST_BYTES].hex()[:16]
        raise Corrupt(f"body of {found} under the key of {digest.hex()[:16]}", where=where)
    return record[DIGEST_BYTES:]
