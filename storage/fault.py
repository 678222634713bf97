"""A disk that fails at a named step, for tests and whole-cluster simulations.

Owns: ``Plan`` (which step, which call, did the bytes land) and the two parts that obey it.
Refuses: to be built unless somebody asks; ``Store.open`` never does.
Invariant: a planned failure happens once and raises ``StorageFailure`` exactly as the real
disk would; what is on disk afterwards is either all or none of that step (a failed append
leaves half a record, as a real one does).

Steps of ``Store.save``: ``segment_append``, ``segment_sync``, then ``batch_write`` and, when
synced, ``batch_sync``.  ``Store.commit`` has the last two.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from storage.errors import StorageFailure
from storage.kv import KV, KVSnapshot
from storage.layout import KV_NAME, SEGMENTS_NAME
from storage.level import LevelKV
from storage.segments import Pointer, Segments
from storage.store import Store

Step = Literal["segment_append", "segment_sync", "batch_write", "batch_sync"]
STEPS: Final[tuple[Step, ...]] = (
    "segment_append",
    "segment_sync",
    "batch_write",
    "batch_sync",
)


@dataclass(slots=True)
class Plan:
    """Fail at the ``countdown``-th ``step``, with ``persisted`` after it took effect."""

    step: Step
    persisted: bool
    countdown: int = 1

    def strikes(self, step: Step) -> bool:
        """Return whether this call of ``step`` is the one that fails."""
        if step != self.step or self.countdown <= 0:
            return False
        self.countdown -= 1
        return self.countdown == 0


class FaultyKV:
    """A KV whose batches fail as planned; everything else goes to the real one."""

    def __init__(self, inner: KV, plan: Plan) -> None:
        self._inner = inner
        self._plan = plan

    def get(self, key: bytes) -> bytes | None:
        return self._inner.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return self._inner.get_many(keys)

    def get_under(
        self, prefixes: Sequence[bytes], limit: int
    ) -> list[list[tuple[bytes, bytes]]]:
        return self._inner.get_under(prefixes, limit)

    def scan(
        self, lo: bytes, hi: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._inner.scan(lo, hi, reverse=reverse, limit=limit)

    def write(self, puts: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        strikes = self._plan.strikes("batch_write") or (
            sync and self._plan.strikes("batch_sync")
        )
        if not strikes:
            self._inner.write(puts, sync=sync)
            return
        if self._plan.persisted:
            self._inner.write(puts, sync=True)
        raise StorageFailure(f"planned failure of {self._plan.step}")

    def snapshot(self, *, apart: bool = False) -> KVSnapshot:
        return self._inner.snapshot(apart=apart)

    def learn(self, rest: Callable[[], None]) -> None:
        self._inner.learn(rest)

    def knows(self) -> tuple[bool, int]:
        return self._inner.knows()

    def approximate_bytes(self) -> int:
        return self._inner.approximate_bytes()

    def close(self) -> None:
        self._inner.close()


class FaultySegments(Segments):
    """Segments whose appends and syncs fail as planned."""

    def __init__(self, directory: Path, plan: Plan) -> None:
        super().__init__(directory)
        self._plan = plan

    def append(self, payload: bytes) -> Pointer:
        strikes = self._plan.strikes("segment_append")
        pointer = super().append(payload)
        if strikes:
            if not self._plan.persisted:
                self._tear(pointer)
            raise StorageFailure("planned failure of segment_append")
        return pointer

    def sync(self) -> None:
        if not self._plan.strikes("segment_sync"):
            super().sync()
            return
        tail = self.tail()
        if self._plan.persisted:
            super().sync()
        elif tail is not None:
            self._tear(tail)
        raise StorageFailure("planned failure of segment_sync")

    def _tear(self, pointer: Pointer) -> None:
        with self._path(pointer.segment).open("r+b") as file:
            file.truncate(pointer.end - (pointer.length + 1) // 2)


def open_faulty(data_dir: Path, plan: Plan, *, network: bytes) -> Store:
    """Open an existing store whose disk follows ``plan``; the directory lock is not taken."""
    kv = FaultyKV(LevelKV(data_dir / KV_NAME, create=False), plan)
    segments = FaultySegments(data_dir / SEGMENTS_NAME, plan)
    return Store(kv, segments, network=network, create=False)
