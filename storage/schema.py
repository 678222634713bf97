"""Which layout a directory has and whose ledger it is.

Owns: the record ``m schema``, written before anything else; only ``migrate`` changes it.
Refuses: stores of another version, also one whose migration was cut short.
Invariant: a store that opened is of our version and of the asked-for network.

    1   as founded
    2   ``m lowest``: the lowest height whose block is kept, be64
    3   pages of the state tree written behind, see ``pagelog``
    4   of these pages the slots as rows, see ``slots``; what they lost by height
"""

from dataclasses import dataclass
from typing import Final

from consensus import wire
from consensus.codec import Malformed
from storage import keys
from storage.errors import ForeignDataDir, SchemaMismatch
from storage.kv import KV

SCHEMA_VERSION: Final = 4
LOWEST_HEIGHT: Final = 1  # of a ledger that nobody shortened
_RECORD_BYTES_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Schema:
    """Layout version and the network digest (32 bytes) the directory belongs to."""

    version: int
    network: bytes


def read(kv: KV) -> Schema | None:
    """Return the record, None when the store has none; an unreadable one is a mismatch."""
    raw = kv.get(keys.SCHEMA)
    if raw is None:
        return None
    try:
        return wire.decode(Schema, raw, size_max=_RECORD_BYTES_MAX)
    except Malformed as error:
        raise SchemaMismatch(found=None, expected=SCHEMA_VERSION) from error


def bind(kv: KV, *, network: bytes, create: bool) -> None:
    """Check the record, or with ``create`` write it durably into an empty store.

    Raises ``SchemaMismatch`` (also for a store with content and no record) or
    ``ForeignDataDir``.  A crash before the write leaves an empty store to create again.
    """
    found = read(kv)
    if found is None:
        empty = next(kv.scan(b"", b"\xff", limit=1), None) is None
        if not (create and empty):
            raise SchemaMismatch(found=None, expected=SCHEMA_VERSION)
        record = wire.encode(Schema(SCHEMA_VERSION, network))
        lowest = (keys.LOWEST, keys.be64(LOWEST_HEIGHT))
        kv.write([(keys.SCHEMA, record), lowest], sync=True)
        return
    if (half := kv.get(keys.MIGRATING)) is not None:
        # Rows of two versions lie beside each other: only the migration may go on.
        raise SchemaMismatch(found=int.from_bytes(half[:8], "big"), expected=SCHEMA_VERSION)
    if found.version != SCHEMA_VERSION:
        raise SchemaMismatch(found=found.version, expected=SCHEMA_VERSION)
    if found.network != network:
        raise ForeignDataDir(found=found.network, expected=network)
