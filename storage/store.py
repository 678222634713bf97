"""One data directory: consensus records, block bodies, and the applied ledger.

    data_dir/LOCK                   who is using it
    data_dir/kv/                    LevelDB: everything that is looked up
    data_dir/segments/00000001.seg  block bodies, append-only

Owns: the order of durable steps.  Refuses: any write after a failure, any knowledge of what
the bytes mean.
Invariant: a pointer in LevelDB never speaks of bytes that are not durable in a segment, and
the applied height never speaks of a block whose state, log or body is not there.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from consensus.types import Delete, Put, Record
from storage import foundation, history, keys, prune, schema, slots
from storage.blocks import append_body
from storage.commit import BlockCommit, BlockWriter, follows
from storage.errors import StorageFailure
from storage.kv import KV, MemoryKV
from storage.latch import Latch
from storage.layout import (
    KV_NAME,
    directories,
    refuse_lost_index,
    refuse_lost_rows,
)
from storage.level import LevelKV
from storage.lock import DirectoryLock
from storage.reader import Reader
from storage.segments import SEGMENT_BYTES_MAX, Pointer, Segments
from storage.view import Snapshot


class Store(Reader):
    """The durable side of one node.  Reads from any thread; writes take turns."""

    def __init__(
        self,
        kv: KV,
        segments: Segments,
        *,
        network: bytes,
        create: bool,
        latch: Latch | None = None,
        lock: DirectoryLock | None = None,
        settles: Callable[[int], bool] | None = None,
        turn: int = 0,
    ) -> None:
        """Check whose store this is and cut the torn tail; takes ownership of the parts.

        ``open`` composes the usual parts; tests and simulations bring their own.  ``settles``:
        at which heights pages are stored, for who has to come to the rows of another store;
        ``turn``: the member's number among them, so that not all do heavy work at once.
        Raises ``SchemaMismatch``, ``ForeignDataDir`` or ``StorageFailure``.
        """
        super().__init__(kv, segments)
        self._kv = kv
        self._latch = latch or Latch()
        self._lock = lock
        self._turn = threading.Lock()
        self._closed = False
        self._kv_syncs = 0
        self.upkeep = threading.Lock()
        """Held by what copies or removes whole segments: one of these at a time."""
        refuse_lost_rows(kv, segments)
        schema.bind(kv, network=network, create=create)
        tail = kv.get(keys.TAIL)
        self.torn_bytes = segments.recover(None if tail is None else Pointer.decode(tail))
        """Bytes cut from the segments at this start: bodies nobody was promised."""
        prune.finish(kv, segments, self._write_batch)
        self._settles = settles
        self._blocks = BlockWriter(kv, settles, turn)
        # The sorted names of all consensus records; engines keep few.  A write that fails may
        # leave it ahead of the disk, and then nothing is written any more.
        self._records = [key for key, _ in self.consensus_pairs()]

    @classmethod
    def open(
        cls,
        data_dir: Path,
        *,
        network: bytes,
        create: bool = False,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        turn: int = 0,
    ) -> "Store":
        """Open the ledger of ``network`` in ``data_dir``; with ``create`` make it if missing.

        Creation is finished by the next ``create`` when a crash interrupts it.  Raises
        ``DataDirMissing``, ``DataDirLocked``, ``SchemaMismatch``, ``ForeignDataDir``,
        ``Corrupt`` or ``StorageFailure``.
        """
        with ExitStack() as undo:
            lock = None
            if foundation.decided(data_dir):
                lock = undo.enter_context(DirectoryLock(data_dir))
                foundation.complete(data_dir)
            segments_dir = directories(data_dir, create=create)
            lock = lock or undo.enter_context(DirectoryLock(data_dir))
            refuse_lost_index(data_dir / KV_NAME, segments_dir)
            latch = Latch()
            kv = LevelKV(data_dir / KV_NAME, create=create, latch=latch, turn=turn)
            undo.callback(kv.close)
            segments = Segments(segments_dir, segment_bytes_max=segment_bytes_max, latch=latch)
            undo.callback(segments.close)
            store = cls(
                kv, segments, network=network, create=create, latch=latch, lock=lock, turn=turn
            )
            undo.pop_all()
        return store

    @classmethod
    def in_memory(cls, network: bytes, directory: Path) -> "Store":
        """Return a store whose rows live in memory and whose bodies go to ``directory``."""
        return cls(MemoryKV(), Segments(directory), network=network, create=True)

    def close(self) -> None:
        """Release everything; what was acknowledged is durable already.  Twice is harmless.

        Waits for a write under way.  Reads in other threads must have ended: LevelDB's
        memory goes away.
        """
        with self._turn:
            self._closed = True
            self._segments.close()
            self._kv.close()
            if self._lock is not None:
                self._lock.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def failure(self) -> StorageFailure | None:
        """The failure after which this store refuses writes, or None."""
        return self._latch.failure

    @property
    def segments(self) -> Segments:
        """The segment files, for checking and copying; only the store appends."""
        return self._segments

    # --- consensus -------------------------------------------------------------------------

    def save(
        self,
        records: Sequence[Record],
        *,
        bodies: Sequence[tuple[bytes, bytes]] = (),
        sync: bool,
    ) -> None:
        """Write engine records and (digest, body) pairs; the records take effect in order.

        With ``sync`` it returns once everything survives power loss.  Without, a crash may
        undo this call and later unsynced ones, never part of it.  Bodies already stored are
        not written again.  Raises ``StorageFailure``: stop the node.
        """
        with self._writing():
            batch = self._flatten(records)
            batch.update(self._append_bodies(bodies))
            if batch or sync:
                self._kv.write(batch.items(), sync=sync)
                self._kv_syncs += sync

    def _append_bodies(self, bodies: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
        pointers: dict[bytes, bytes] = {}
        for digest, body in bodies:
            key = keys.BODY + digest
            if key not in pointers and self._kv.get(key) is None:
                pointers[key] = append_body(self._segments, digest, body)
        if pointers:
            # Bytes before pointers, whatever the caller's ``sync``: a crash here leaves a
            # torn tail that the next start cuts; the other order would leave a pointer to
            # nothing.
            self._segments.sync()
            tail = self._segments.tail()
            assert tail is not None, "a record was appended"
            pointers[keys.TAIL] = tail.encode()
        return pointers

    def _flatten(self, records: Sequence[Record]) -> dict[bytes, bytes | None]:
        """Return the net effect of ``records``; LevelDB itself has no range delete.

        What a range holds is looked up among the names in memory: a scan steps over all that
        was deleted there before, for 0.2 ms a range after 600 blocks and 1.4 ms after 3,000.
        """
        batch: dict[bytes, bytes | None] = {}
        names = self._records
        for record in records:
            if isinstance(record, Put):
                at = bisect_left(names, record.key)
                if at == len(names) or names[at] != record.key:
                    names.insert(at, record.key)
                batch[keys.CONSENSUS + record.key] = record.value
            elif isinstance(record, Delete):
                at = bisect_left(names, record.key)
                if at < len(names) and names[at] == record.key:
                    del names[at]
                batch[keys.CONSENSUS + record.key] = None
            else:
                first, end = bisect_left(names, record.lo), bisect_left(names, record.hi)
                for key in names[first:end]:
                    batch[keys.CONSENSUS + key] = None
                del names[first:end]
        return batch

    def forget_bodies(self, digests: Sequence[bytes]) -> int:
        """Drop the pointers of bodies that were never applied; return how many went.

        Bodies of applied blocks stay whatever is asked.  Not synced: forgetting twice is
        harmless.  The bytes stay in their segment until an archive leaves it behind.
        """
        with self._writing():
            gone: list[tuple[bytes, bytes | None]] = [
                (keys.BODY + digest, None)
                for digest in dict.fromkeys(digests)
                if self.has_body(digest) and self.height_of(digest) is None
            ]
            if gone:
                self._kv.write(gone, sync=False)
        return len(gone)

    # --- ledger ----------------------------------------------------------------------------

    def commit(self, block: BlockCommit) -> None:
        """Return once the block and all it changed survive power loss, as one batch.

        A block that is there already is left alone.  Raises ``AssertionError`` for another
        block at an applied height, a gap, a log that does not continue, or a body that was
        not saved first; ``StorageFailure`` on a disk error.
        """
        with self._writing():
            if follows(self, block):
                self._kv.write(self._blocks.batch(block), sync=True)
                self._kv_syncs += 1

    def save_checkpoint(self, height: int, text: bytes, *, sync: bool = False) -> None:
        """Keep a cosigned checkpoint; its second line is the log size in decimal.

        Losing one costs nothing that peers cannot give again, hence unsynced by default.
        """
        lines = text.split(b"\n", 2)
        assert len(lines) == 3, "checkpoint text has three lines at least"
        assert lines[1].isdigit(), "checkpoint text has no size line"
        with self._writing():
            row = keys.be64(int(lines[1])) + text
            self._kv.write([(keys.checkpoint(height), row)], sync=sync)
            self._kv_syncs += sync

    def save_links(self, links: Sequence[tuple[int, bytes]]) -> None:
        """Keep (epoch, link) for ever: nothing prunes them, backups and snapshots' successors
        hold them.  Returns once they survive power loss."""
        with self._writing():
            self._kv.write([(keys.link(epoch), raw) for epoch, raw in links], sync=True)
            self._kv_syncs += 1

    def meta_put(self, name: bytes, value: bytes | None, *, sync: bool = True) -> None:
        """Keep a small local fact; None forgets it."""
        self.meta_write([(name, value)], sync=sync)

    def meta_write(
        self, facts: Sequence[tuple[bytes, bytes | None]], *, sync: bool = True
    ) -> None:
        """Keep several local facts, all or none of them."""
        with self._writing():
            self._kv.write([(keys.LOCAL + name, value) for name, value in facts], sync=sync)
            self._kv_syncs += sync

    def prune(self, before: int, *, dry: bool = False) -> prune.Plan | None:
        """Drop bodies of heights below ``before`` as whole files; see ``storage.prune``.

        Returns what was done, with ``dry`` what would be; None when no file can leave.
        """
        with self.upkeep:
            planned = prune.plan(self, self._segments, before)
            if planned is not None and not dry:
                prune.perform(self._kv, self._segments, planned.floor, self._write_batch)
        return planned

    def _write_batch(self, rows: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        with self._writing():
            self._kv.write(rows, sync=sync)
            self._kv_syncs += sync

    def mend(
        self, rows: Sequence[tuple[bytes, bytes | None]], *, only_at: int | None = None
    ) -> bool:
        """Write rows under their whole keys, synced: for what repairs and fills in.

        With ``only_at`` nothing is written, and False returned, unless that is still the
        applied height: the rows were derived from the ledger as it was there.
        """
        with self._writing():
            if only_at is not None:
                applied = self.applied()
                if applied is None or applied.height != only_at:
                    return False
            self._kv.write(rows, sync=True)
            self._kv_syncs += 1
        return True

    def replace_pages(
        self, nodes: Sequence[tuple[bytes, bytes | None]], *, only_at: int
    ) -> bool:
        """Write rows of pages of the state tree (``slots``), under their whole keys, that make
        every stored page what it is at the newest height, which ``only_at`` has to be still;
        False when it is not.  Older heights cannot be read any more.

        Whatever patches there are go: they, or what they are for, have turned out wrong.
        """
        with self._writing():
            applied = self.applied()
            if applied is None or applied.height != only_at:
                return False
            rows = list(nodes)
            rows += [(key, None) for key, _ in self.raw_rows(keys.PAGE_LOG)]
            rows += [(keys.PAGES, keys.be64(only_at)), *history.ended(self._kv, only_at)]
            self._kv.write(rows, sync=True)
            self._kv_syncs += 1
            self._blocks = BlockWriter(self._kv, self._settles)
        return True

    # --- views -----------------------------------------------------------------------------

    def snapshot(self, *, apart: bool = False) -> Snapshot:
        """Return a consistent view that later commits do not change; close it.

        ``apart``: for whoever looks for damage; what it meets does not end writing.
        """
        source = self._kv.snapshot(apart=apart)
        return Snapshot(source, self._segments, self._blocks.view_in(source))

    def recent_page(self, key: bytes, height: int) -> tuple[bool, bytes | None] | None:
        return self._blocks.log.newer.find(key, height)

    def page(self, key: bytes) -> bytes | None:
        return self._blocks.log.page(key)

    def pages(self, page_keys: Sequence[bytes]) -> list[bytes | None]:
        """Return pages of the state tree, for the thread that commits."""
        return self._blocks.log.pages(page_keys)

    def iter_pages(self, first: bytes = b"", end: bytes = slots.END) -> Iterator[slots.Whole]:
        with self.snapshot() as view:
            yield from view.iter_pages(first, end)

    def scan_all(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every raw pair there is, checksums verified: for checking and export."""
        return self._kv.scan(b"", b"\xff")

    def learn(self, rest: Callable[[], None]) -> None:
        """See ``KV.learn``."""
        self._kv.learn(rest)

    def sizes(self) -> dict[str, int]:
        """Return figures for metrics: bytes on disk, segment files, height, log leaves, whether
        keys are known (``KV.knows``) and in how many bytes."""
        applied, (known, known_bytes) = self.applied(), self._kv.knows()
        return {
            "kv_bytes": self._kv.approximate_bytes(),
            "segment_bytes": self._segments.bytes_total(),
            "segments": len(self._segments.numbers()),
            "height": 0 if applied is None else applied.height,
            "log_size": 0 if applied is None else applied.log_size,
            "keys_known": int(known),
            "keys_bytes": known_bytes,
        }

    def syncs(self) -> dict[str, int]:
        """Return how often since opening this store waited for the disk, by what it wrote.

        What LevelDB syncs by itself (tables, at compaction) is not counted.
        """
        return {"kv": self._kv_syncs, "segments": self._segments.syncs}

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._turn:
            assert not self._closed, "the store is closed"
            self._latch.check()
            try:
                yield
            except StorageFailure as failure:
                self._latch.trip(failure)
                raise
