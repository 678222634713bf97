"""The seam to the ordered key-value engine, and its twin in memory.

Owns: the handful of calls everything above is written against.  Refuses: knowledge of what
keys and values mean, and any call that only one engine could offer.
Invariant: a batch is visible entirely or not at all, to readers of this process and to the
next process; batches become durable in the order they were written.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from storage.keys import after

TURNS: Final = 4  # of members, by number, that are not to do heavy work at the same time


class Readable(Protocol):
    """What the live store and a snapshot of it have in common."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key``, or None; raise ``StorageFailure`` on a disk error."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of ``keys`` in their order, None for each absent one."""

    def get_under(
        self, prefixes: Sequence[bytes], limit: int
    ) -> list[list[tuple[bytes, bytes]]]:
        """Return for each of ``prefixes`` the pairs whose keys begin with it, in key order, at
        most ``limit`` of each."""

    def scan(
        self, lo: bytes, hi: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield pairs with ``lo <= key < hi`` in key order, as of the moment of the call.

        ``reverse`` starts at the greatest key; at most ``limit`` pairs are yielded.
        """


class KVSnapshot(Readable, Protocol):
    """The store as it was at one moment; close it, or its files cannot be compacted away."""

    def close(self) -> None:
        """Release the snapshot; calling twice is harmless."""


class KV(Readable, Protocol):
    """An ordered map of byte strings with atomic durable batches; one writer at a time."""

    def write(self, puts: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        """Apply all ``puts`` or none; None deletes; the last pair for a key wins.

        With ``sync`` it returns once the batch and all earlier ones survive power loss.
        Raises ``StorageFailure``; the caller must then stop: the batch may or may not be there.
        """

    def snapshot(self, *, apart: bool = False) -> KVSnapshot:
        """Return a view that later writes do not change.

        ``apart``: damage that is met in it is told to the reader and does not end writing.
        """

    def learn(self, rest: Callable[[], None]) -> None:
        """Do once, beside reading and writing, what makes later reads cheap; ``rest`` is called
        between two steps and may raise.  Answers are the same without it."""

    def knows(self) -> tuple[bool, int]:
        """Return whether ``learn`` has ended well, and the bytes of memory that it takes."""

    def approximate_bytes(self) -> int:
        """Return about how many bytes the store occupies on disk."""

    def close(self) -> None:
        """Release everything; calling twice is harmless."""


class MemorySnapshot:
    """A frozen copy; also the read half of ``MemoryKV``."""

    def __init__(self, pairs: dict[bytes, bytes]) -> None:
        self._pairs = pairs
        self._order: list[bytes] | None = None

    def get(self, key: bytes) -> bytes | None:
        return self._pairs.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self._pairs.get(key) for key in keys]

    def get_under(
        self, prefixes: Sequence[bytes], limit: int
    ) -> list[list[tuple[bytes, bytes]]]:
        return [list(self.scan(key, after(key), limit=limit)) for key in prefixes]

    def scan(
        self, lo: bytes, hi: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        if self._order is None:
            self._order = sorted(self._pairs)
        keys = self._order[bisect_left(self._order, lo) : bisect_left(self._order, hi)]
        if reverse:
            keys.reverse()
        return iter([(key, self._pairs[key]) for key in keys[:limit]])

    def close(self) -> None:
        """Nothing to release."""


class MemoryKV(MemorySnapshot):
    """The twin for tests and simulations: same contract, nothing survives the process."""

    def __init__(self) -> None:
        super().__init__({})

    def write(self, puts: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        del sync  # memory is as durable as this twin gets
        for key, value in list(puts):  # drawn first: a generator that raises changes nothing
            if value is None:
                if self._pairs.pop(key, None) is not None:
                    self._order = None
            else:
                if key not in self._pairs:
                    self._order = None
                self._pairs[key] = value

    def snapshot(self, *, apart: bool = False) -> MemorySnapshot:
        del apart  # memory meets no damage
        return MemorySnapshot(dict(self._pairs))

    def learn(self, rest: Callable[[], None]) -> None:
        """Memory has nothing to learn."""

    def knows(self) -> tuple[bool, int]:
        return True, 0

    def approximate_bytes(self) -> int:
        return sum(len(key) + len(value) for key, value in self._pairs.items())
