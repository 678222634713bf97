"""What a claim or a measure cites: records and batches that an institution anchored itself.

Encounters are cited by the commitment of their record, alone or as an item of a batch with its
RFC 6962 path.  Measures are backed by whole batches, of records or of audit events.  Says no
by name, never by exception.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger import merkle
from node.ledger.facts import audits
from node.ledger.facts.records import (
    LIVE,
    BatchRow,
    RecordRow,
    batch_key,
    item_key,
    record_key,
)
from node.ledger.facts.words import sized
from node.ledger.state import Read, load_from

PATH_HASHES_MAX: Final = 20

FINE: Final = "fine"
UNKNOWN: Final = "unknown"
FOREIGN: Final = "foreign"
STALE: Final = "stale"  # retracted, or amended: the successor is to be cited


@dataclass(frozen=True, slots=True)
class Cited:
    """A record's commitment; ``root``, ``index`` and ``path`` if it is an item of a batch."""

    commitment: bytes  # 32 bytes
    root: bytes | None = None
    index: int = 0
    path: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        sized(self.commitment, 32, "commitment")
        sized(self.root, 32, "root")
        if len(self.path) > PATH_HASHES_MAX or any(len(item) != 32 for item in self.path):
            raise ValueError("path is up to 20 hashes of 32 bytes")
        if self.root is None and (self.path or self.index):
            raise ValueError("index and path belong to a root")


def standing(read: Read, org: str, cited: Cited) -> str:
    """Return how a cited record stands for ``org``: fine, unknown, foreign or stale."""
    if cited.root is None:
        row = load_from(read, RecordRow, record_key(cited.commitment))
        if row is None:
            return UNKNOWN
        return _judged(row, org)
    row = load_from(read, RecordRow, item_key(cited.root, cited.commitment))
    if row is not None:  # amended or retracted since
        return _judged(row, org)
    batch = load_from(read, BatchRow, batch_key(cited.root))
    if batch is None or not merkle.verify_inclusion(
        merkle.leaf_hash(cited.commitment),
        index=cited.index,
        size=batch.count,
        path=list(cited.path),
        root=cited.root,
    ):
        return UNKNOWN
    return FINE if batch.org == org else FOREIGN


def _judged(row: RecordRow, org: str) -> str:
    if row.org != org:
        return FOREIGN
    return FINE if row.status == LIVE else STALE


@dataclass(frozen=True, slots=True)
class Evidence:
    """A batch that an institution put on the ledger itself.

    ``root`` alone: a batch of records.  With ``entry``: that entry (from 0) of its chain of
    audit batches, ``root`` the root of its tree with that batch.
    """

    root: bytes  # 32 bytes
    entry: int | None = None

    def __post_init__(self) -> None:
        sized(self.root, 32, "root")


def backs(read: Read, org: str, evidence: Evidence) -> bool:
    """Return whether this evidence is on the ledger, and is of ``org``'s own making."""
    if evidence.entry is None:
        row = load_from(read, BatchRow, batch_key(evidence.root))
        return row is not None and row.org == org
    chain = audits.chain(read, org)
    if chain is None or evidence.entry >= chain.entries:
        return False
    entry = audits.entry(read, org, evidence.entry)
    return entry.kind == audits.BATCH and entry.root == evidence.root
