"""LevelDB behind the seam, through plyvel.

Owns: the engine's options and the translation of every engine error, in one place.
Refuses: repair.  LevelDB's own repair keeps what it can read and drops the rest in silence;
a dropped vote lets a member sign twice, so a corrupt directory is rebuilt from peers instead.
Invariant: no plyvel exception leaves this module.

Paranoid checks are on: without them a damaged log record is skipped at start, and with it
batches that were acknowledged.  A torn last record (process killed, power lost while an
unsynced write was under way) is not damage and opens normally.
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

import plyvel

from storage import keys as letters
from storage.errors import Corrupt, DataDirLocked, DataDirMissing, DiskFull, StorageFailure
from storage.known import KnownKeys
from storage.kv import TURNS
from storage.latch import Latch

# LevelDB maps its first 1,000 tables, which the system pages; only blocks of what lies beyond
# them come into this cache.  With 64 MiB a member held 72 MB more when it had that many, and
# took as much of the processor as with 8 (README, "Memory").
CACHE_BYTES_MAX: Final = 8 << 20
# With 16 MiB compaction took 10 % of a core after a minute at 2000 tx/s and rising, and the
# median commit 390 ms; with 32 MiB it stays at 5 % and 60 ms.  64 MiB: longer stalls.
WRITE_BUFFER_BYTES: Final = 32 << 20
# Less of it for every second to fourth member: with equal ones all merge their lower levels in
# the same seconds, and a quorum waits.  Four members on two cores with a million records and
# more, at 1,970/s: p99 of 0.2 to 1.2 s in rounds of 20 s, and 280 MB, where it was 0.3 to 4.6 s
# and 314 MB.  It takes no processor time away.
WRITE_BUFFER_STEP: Final = 3 << 20
# What a new table overlaps below it is written anew with it: four members wrote 600 MB at
# compaction for 318,000 records each with tables of 2 MiB, and 1,000 MB with 8.  With 4 MiB
# they write 3 % more than with 2, and twice as large a ledger stays mapped: see above.
TABLE_BYTES_MAX: Final = 4 << 20
OPEN_FILES_MAX: Final = 1536  # beyond the mapped ones some 100 KB of index and filter each
BLOOM_BITS_PER_KEY: Final = 10  # about 1 % false positives, 1.25 bytes a key

# Of these each block asks for new ones: see ``known``.
_MOSTLY_NEW: Final = (letters.STATE, letters.TRANSACTION)
LEARNED_AT_ONCE: Final = 1024

# LevelDB hands on the system's words and no number.
_FULL: Final = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))
_ENGINE_ERRORS: Final = (plyvel.Error, OSError)


class _Reader:
    """Reads on a database or a snapshot; both are plyvel objects with the same two calls."""

    def __init__(self, source: Any, path: Path, latch: Latch, known: KnownKeys) -> None:
        self._source = source
        self._path = path
        self._latch = latch
        self._known = known

    def _failure(self, error: Exception, doing: str) -> StorageFailure:
        return self._latch.trip(_translate(error, doing, self._path))

    def get(self, key: bytes) -> bytes | None:
        if key.startswith(_MOSTLY_NEW):
            if self._known.lacks(key):
                return None
            if self._known.full:
                return self.get_many([key])[0]
        try:
            value: bytes | None = self._source.get(key, verify_checksums=True)
        except _ENGINE_ERRORS as error:
            raise self._failure(error, "reading") from error
        return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Ask for keys in their order through one iterator: 7 to 13 us for each, beside 4 to 11
        of a ``Get``, but no table is counted out for it (see ``known``)."""
        lacks = self._known.lacks
        ordered = sorted(
            key for key in keys if not (key.startswith(_MOSTLY_NEW) and lacks(key))
        )
        found: dict[bytes, bytes] = {}
        try:
            if ordered:
                with self._source.raw_iterator(verify_checksums=True) as at:
                    for key in ordered:
                        at.seek(key)
                        if at.valid() and at.key() == key:
                            found[key] = at.value()
        except _ENGINE_ERRORS as error:
            raise self._failure(error, "reading") from error
        return [found.get(key) for key in keys]

    def get_under(
        self, prefixes: Sequence[bytes], limit: int
    ) -> list[list[tuple[bytes, bytes]]]:
        """Ask through one iterator, as ``get_many``: some 20 us for sixteen short pairs."""
        found: dict[bytes, list[tuple[bytes, bytes]]] = {}
        try:
            with self._source.raw_iterator(verify_checksums=True) as at:
                for prefix in sorted(prefixes):
                    at.seek(prefix)
                    pairs = found[prefix] = []
                    while len(pairs) < limit and at.valid():
                        pair = at.item()
                        if not pair[0].startswith(prefix):
                            break
                        pairs.append(pair)
                        at.next()
        except _ENGINE_ERRORS as error:
            raise self._failure(error, "reading") from error
        return [found[prefix] for prefix in prefixes]

    def scan(
        self, lo: bytes, hi: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        if hi <= lo or (limit is not None and limit <= 0):
            return iter(())
        try:
            # Opened here and not at the first pair: the view is that of the call.
            # Backwards without a start: given one, plyvel 1.5.1 finds nothing when the only
            # key in the range is the start itself; _drain ends at ``lo`` instead.
            pairs = self._source.iterator(
                start=None if reverse else lo, stop=hi, reverse=reverse, verify_checksums=True
            )
        except _ENGINE_ERRORS as error:
            raise self._failure(error, "scanning") from error
        return self._drain(pairs, lo, limit)

    def _drain(self, pairs: Any, lo: bytes, limit: int | None) -> Iterator[tuple[bytes, bytes]]:
        left = -1 if limit is None else limit
        try:
            for pair in pairs:
                if pair[0] < lo:
                    return
                yield pair
                left -= 1
                if left == 0:
                    return
            # plyvel asks LevelDB for damage only while there is a next pair: a damaged last
            # block would end the scan early in silence.  One step back makes it ask again.
            with suppress(StopIteration):
                pairs.prev()
        except _ENGINE_ERRORS as error:
            raise self._failure(error, "scanning") from error
        finally:
            pairs.close()


class LevelSnapshot(_Reader):
    """A consistent view; holds back compaction of what it can see until closed."""

    def names(self, lo: bytes, hi: bytes, count: int) -> Iterator[list[bytes]]:
        """Yield the keys ``lo <= key < hi``, ``count`` at a time, leaving the cache alone."""
        try:
            with self._source.iterator(
                start=lo, stop=hi, include_value=False, verify_checksums=True, fill_cache=False
            ) as pairs:
                while found := list(islice(pairs, count)):
                    yield found
                with suppress(StopIteration):  # as in _drain: is there damage behind the last?
                    pairs.prev()
        except _ENGINE_ERRORS as error:
            raise self._failure(error, "scanning") from error

    def close(self) -> None:
        self._source.close()


class LevelKV(_Reader):
    """One LevelDB directory, open for reading and writing by this process only.

    ``turn``: the member's number among the members, so that not all compact at once.
    Raises ``DataDirMissing`` (nothing there and not ``create``), ``DataDirLocked``,
    ``Corrupt`` or ``StorageFailure`` on opening.
    """

    def __init__(
        self, path: Path, *, create: bool, latch: Latch | None = None, turn: int = 0
    ) -> None:
        # CURRENT is the file LevelDB itself looks for; asking here keeps a missing
        # directory from reading like a damaged one.
        there = (path / "CURRENT").exists()
        if not create and not there:
            raise DataDirMissing(path)
        try:
            database = plyvel.DB(
                str(path),
                create_if_missing=create,
                paranoid_checks=True,
                lru_cache_size=CACHE_BYTES_MAX,
                write_buffer_size=WRITE_BUFFER_BYTES - turn % TURNS * WRITE_BUFFER_STEP,
                max_file_size=TABLE_BYTES_MAX,
                max_open_files=OPEN_FILES_MAX,
                bloom_filter_bits=BLOOM_BITS_PER_KEY,
                compression=None,  # hashes do not compress; Snappy took 13 % under batches
            )
        except _ENGINE_ERRORS as error:
            if "lock " in str(error) or "already held" in str(error):
                raise DataDirLocked(path, None) from error
            raise _translate(error, "opening", path) from error
        super().__init__(database, path, latch or Latch(), KnownKeys())
        if not there:
            self._known.completed()

    def learn(self, rest: Callable[[], None]) -> None:
        """Get to know every key that is asked for mostly in vain; until then all of them are
        looked up.  Beside reading and writing; ``rest`` is called between two steps, and may
        raise.  Damage that is met ends it, and nothing else.
        """
        with closing(self.snapshot(apart=True)) as view:
            for letter in _MOSTLY_NEW:
                for keys in view.names(letter, letters.after(letter), LEARNED_AT_ONCE):
                    self._known.add(keys)
                    if self._known.full:
                        return
                    rest()
        self._known.completed()

    def knows(self) -> tuple[bool, int]:
        """Return whether absent keys are known without a look, and the bytes that it takes."""
        return self._known.complete, self._known.bytes_held()

    def write(self, puts: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        self._latch.check()
        batch = self._source.write_batch(sync=sync)
        put, delete = batch.put, batch.delete
        mostly_new = []
        for key, value in puts:
            if value is None:
                delete(key)
            else:
                put(key, value)
                if key[:1] in _MOSTLY_NEW:
                    mostly_new.append(key)
        self._known.add(mostly_new)  # before they are there
        try:
            batch.write()
        except _ENGINE_ERRORS as error:
            raise self._failure(error, "writing") from error

    def snapshot(self, *, apart: bool = False) -> LevelSnapshot:
        latch = Latch() if apart else self._latch
        try:
            return LevelSnapshot(self._source.snapshot(), self._path, latch, self._known)
        except _ENGINE_ERRORS as error:
            raise self._failure(error, "taking a snapshot of") from error

    def approximate_bytes(self) -> int:
        total = 0
        try:
            with os.scandir(self._path) as entries:
                for entry in entries:
                    try:
                        total += entry.stat().st_size
                    except FileNotFoundError:
                        continue  # compaction removed it between the listing and the question
        except OSError as error:
            raise self._failure(error, "measuring") from error
        return total

    def close(self) -> None:
        self._source.close()


def _translate(error: Exception, doing: str, path: Path) -> StorageFailure:
    said = error.args[0] if error.args else str(error)
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(error)
    if isinstance(error, plyvel.CorruptionError) or "orruption" in text:
        return Corrupt(f"LevelDB found damage while {doing} ({text})", where=str(path))
    if any(words in text for words in _FULL):
        return DiskFull(f"LevelDB found no room while {doing} {path}: {text}")
    return StorageFailure(f"LevelDB failed while {doing} {path}: {text}")
