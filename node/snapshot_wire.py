"""What members say to one another about snapshots.

One request asks for one thing: the list of what a member offers (no digest), the manifest
(part 0), that member's evidence for it (1), or a chunk (2 and up).  One response answers it;
without payload: not here.
Owns: these forms and their bounds.  Refuses: to believe anything in them.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.statechunk import CHUNKS_MAX, ENCODED_BYTES_MAX

OFFERS_MAX: Final = 8
LIST: Final = b""
MANIFEST_PART: Final = 0
EVIDENCE_PART: Final = 1
FIRST_CHUNK: Final = 2
_PARTS_MAX: Final = 2 * CHUNKS_MAX


def _check(digest: bytes, part: int) -> None:
    if len(digest) not in (0, 32):
        raise ValueError("a snapshot is named by 32 bytes")
    if part > _PARTS_MAX:
        raise ValueError("no snapshot has so many parts")


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    digest: bytes
    part: int

    def __post_init__(self) -> None:
        _check(self.digest, self.part)


@dataclass(frozen=True, slots=True)
class SnapshotResponse:
    digest: bytes
    part: int
    payload: bytes

    def __post_init__(self) -> None:
        _check(self.digest, self.part)
        if len(self.payload) > ENCODED_BYTES_MAX:
            raise ValueError("a part is larger than any may be")


@dataclass(frozen=True, slots=True)
class Offer:
    height: int
    digest: bytes

    def __post_init__(self) -> None:
        if self.height < 1 or len(self.digest) != 32:
            raise ValueError("an offer has a height and a digest of 32 bytes")


@dataclass(frozen=True, slots=True)
class Offers:
    """What a member has: blocks from ``lowest`` to ``tip``, and these snapshots."""

    lowest: int
    tip: int
    offers: tuple[Offer, ...]

    def __post_init__(self) -> None:
        if len(self.offers) > OFFERS_MAX:
            raise ValueError("more snapshots than any member keeps")
