"""Records in state: what became of each commitment, and where its rows stand."""

from typing import Final

from consensus.frozen import dataclass

LIVE: Final = "live"
AMENDED: Final = "amended"
GONE: Final = "retracted"
ERASED: Final = "erased"


@dataclass(frozen=True, slots=True)
class RecordRow:
    """State of one record version."""

    org: str
    txid: bytes
    height: int
    time_ms: int
    status: str  # live, amended, retracted, erased
    version: int
    canon: int
    tag: bytes
    previous: bytes | None
    successor: bytes | None
    batch_root: bytes | None


@dataclass(frozen=True, slots=True)
class BatchRow:
    """State of one batch."""

    org: str
    txid: bytes
    height: int
    time_ms: int
    count: int


def record_key(commitment: bytes) -> bytes:
    return b"record/" + commitment


def item_key(root: bytes, commitment: bytes) -> bytes:
    return b"record-item/" + root + commitment


def batch_key(root: bytes) -> bytes:
    return b"record-batch/" + root
