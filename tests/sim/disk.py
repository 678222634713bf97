"""A disk that forgets: atomic write batches, of which a crash keeps only a prefix.

``live`` is what a running process reads, ``synced`` what power loss leaves for certain.  A
batch lands whole or not at all, and a sync makes every earlier batch durable too, as LevelDB
with a write-ahead log promises.  The batch behind the kept prefix may be torn: part of it is
on the platter, and ``recover`` has to notice that its length does not fit and drop it.
"""

import random
from typing import Any

from consensus.types import Delete, DeleteRange, Put

Operation = tuple[Any, ...]
Batch = tuple[Operation, ...]


class DiskFailed(Exception):
    """A write or a sync failed: nothing is known about what it should have kept."""


def put(key: bytes, value: Any) -> Operation:
    return ("put", key, value)


def from_records(prefix: bytes, records: tuple[Any, ...]) -> list[Operation]:
    """Return consensus records as operations of one batch, in order."""
    operations: list[Operation] = []
    for record in records:
        kind = type(record)
        if kind is Put:
            operations.append(("put", prefix + record.key, record.value))
        elif kind is Delete:
            operations.append(("delete", prefix + record.key))
        elif kind is DeleteRange:
            operations.append(("range", prefix + record.lo, prefix + record.hi))
        else:
            raise AssertionError(f"not a record: {kind.__name__}")
    return operations


def _apply(store: dict[bytes, Any], batch: Batch) -> None:
    for operation in batch:
        kind = operation[0]
        if kind == "put":
            store[operation[1]] = operation[2]
        elif kind == "delete":
            store.pop(operation[1], None)
        else:
            lo, hi = operation[1], operation[2]
            for key in [key for key in store if lo <= key < hi]:
                del store[key]


class Disk:
    def __init__(self) -> None:
        self.live: dict[bytes, Any] = {}
        self.synced: dict[bytes, Any] = {}
        self.full = False
        self._unsynced: list[Batch] = []
        self._tail: tuple[int, Batch] | None = None  # a torn batch: its length as declared
        self._written = 0
        self._durable = 0

    def write(self, operations: list[Operation]) -> int:
        """Write one batch; return the mark to give to ``sync``.  Full: nothing is written."""
        if self.full:
            raise DiskFailed("no space left")
        batch = tuple(operations)
        _apply(self.live, batch)
        self._unsynced.append(batch)
        self._written += 1
        return self._written

    def sync(self, mark: int) -> None:
        """Everything written up to ``mark`` survives power loss from now on."""
        while self._durable < mark:
            _apply(self.synced, self._unsynced.pop(0))
            self._durable += 1

    def crash(self, rng: random.Random, *, power_loss: bool, torn: bool = False) -> int:
        """Keep a prefix of the unsynced batches (all of them when only the process died).

        Returns how many batches were lost.
        """
        kept = rng.randint(0, len(self._unsynced)) if power_loss else len(self._unsynced)
        lost = len(self._unsynced) - kept
        for batch in self._unsynced[:kept]:
            _apply(self.synced, batch)
        self._tail = None
        if torn and lost and len(self._unsynced[kept]) > 1:
            whole = self._unsynced[kept]
            self._tail = (len(whole), whole[: rng.randrange(1, len(whole))])
        self._unsynced.clear()
        self._durable = self._written
        self.live = dict(self.synced)
        return lost

    def recover(self) -> bool:
        """Replay what the log ends with, as a store does at start; True when it was torn."""
        tail, self._tail = self._tail, None
        if tail is None or not self.whole(*tail):
            return tail is not None
        _apply(self.synced, tail[1])
        self.live = dict(self.synced)
        return False

    @staticmethod
    def whole(declared: int, batch: Batch) -> bool:
        """What a checksum tells: is the last batch of the log complete?"""
        return len(batch) == declared

    def wipe(self) -> None:
        """An empty disk in place of this one."""
        self.live, self.synced = {}, {}
        self._unsynced.clear()
        self._tail = None
        self._durable = self._written

    def pairs(self, prefix: bytes) -> list[tuple[bytes, Any]]:
        """Return what is stored under ``prefix``, ascending by key, prefix removed."""
        size = len(prefix)
        return sorted((k[size:], v) for k, v in self.live.items() if k.startswith(prefix))
