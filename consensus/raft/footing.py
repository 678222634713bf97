"""A log that goes on above a block which the ledger has without it.

A member that took a snapshot of the ledger holds block and state, not the entries that led
there.  Its log then starts at that block, with the term that its certificate states.
Owns: the records that say so.  Refuses: entries of the old log above the block are kept only
where the log holds the very entry of that block; then others may count on them.
"""

from collections.abc import Iterable

from consensus import wire
from consensus.raft.log import Base, Entry
from consensus.raft.messages import INDEX_MAX
from consensus.raft.records import (
    RECORD_BYTES_MAX,
    TARGET_KEY,
    base_record,
    decode_certificate,
    log_key,
    synced_key,
)
from consensus.types import Applied, Delete, DeleteRange, Record


def footing(
    pairs: Iterable[tuple[bytes, bytes]], applied: Applied, certificate: bytes
) -> list[Record]:
    """Return what to write over the stored ``pairs``; raises ``Malformed``."""
    term, index = decode_certificate(certificate)
    place = log_key(index)
    found = [value for key, value in pairs if key == place]
    entries: list[Entry] = [
        wire.decode(Entry, value, size_max=RECORD_BYTES_MAX) for value in found
    ]
    joins = any(entry.term == term for entry in entries)
    end = index + 1 if joins else INDEX_MAX
    return [
        base_record(Base(index, term, applied.height, applied.digest)),
        DeleteRange(log_key(0), log_key(end)),
        DeleteRange(synced_key(0), synced_key(INDEX_MAX)),
        Delete(TARGET_KEY),
    ]
