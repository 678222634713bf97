"""What the succession keeps on disk: whose records the engines' are, where Raft logs ended.

  succession/era            EraRecord: the epoch of ``raft/`` and ``pbft/`` (none: 0)
  succession/ended/<be64>   Base: where the Raft log of that epoch ended

The records of an era are dropped, and the first of these is written, in the first batch of the
next era: so they never disagree.  Bases are kept for laggards, ``ENDED_KEPT`` eras back.
A damaged record raises ``Malformed``: whoever guesses what it once promised may break it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from consensus import wire
from consensus.pbft.records import PREFIX as PBFT_PREFIX
from consensus.raft.log import Base
from consensus.raft.records import PREFIX as RAFT_PREFIX
from consensus.types import DeleteRange, Put, Record

PREFIX: Final = b"succession/"
ERA_KEY: Final = PREFIX + b"era"
ENDED_PREFIX: Final = PREFIX + b"ended/"
ENDED_KEPT: Final = 64
_RECORD_BYTES_MAX: Final = 256

Pair = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class EraRecord:
    """Which epoch the records under ``raft/`` and ``pbft/`` belong to."""

    epoch: int


def _ended_key(epoch: int) -> bytes:
    return ENDED_PREFIX + epoch.to_bytes(8, "big")


class Annals:
    """``epoch``: whose the stored engine records are; ``ended``: bases by epoch."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self.epoch = 0
        self.ended: dict[int, Base] = {}
        for key, value in pairs:
            if key == ERA_KEY:
                self.epoch = wire.decode(EraRecord, value, size_max=_RECORD_BYTES_MAX).epoch
            elif key.startswith(ENDED_PREFIX):
                base = wire.decode(Base, value, size_max=_RECORD_BYTES_MAX)
                self.ended[int.from_bytes(key[len(ENDED_PREFIX) :], "big")] = base

    def end(self, base: Base | None) -> list[Record]:
        """Note that the log of ``epoch`` ended at ``base``, if it had one and we know it."""
        if base is None:
            return []
        self.ended[self.epoch] = base
        records: list[Record] = [Put(_ended_key(self.epoch), wire.encode(base))]
        if len(self.ended) > ENDED_KEPT:
            oldest = min(self.ended)
            del self.ended[oldest]
            records.append(DeleteRange(_ended_key(0), _ended_key(oldest + 1)))
        return records

    def begin(self, epoch: int) -> list[Record]:
        """Drop the engines' records of older eras and name the one whose follow."""
        self.epoch = epoch
        dropped = [
            DeleteRange(prefix, prefix[:-1] + b"0")  # "0" follows "/"
            for prefix in (RAFT_PREFIX, PBFT_PREFIX)
        ]
        return [*dropped, Put(ERA_KEY, wire.encode(EraRecord(epoch)))]
