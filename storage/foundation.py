"""A new store beside the one in use, and the switch from one to the other.

    data_dir/incoming/kv, segments    the new store, until the switch
    data_dir/SWITCH                   it is complete and takes over; nothing else decides

Theory of operation.  The new store is built while the old one serves.  When nothing writes any
more, ``adopt`` copies what belongs to this member and to no ledger (consensus records, local
facts, bodies that wait to be applied), makes everything durable and writes ``SWITCH``.  From
then on the new store is the one: ``complete`` moves the directories, and every start does so
first.  A crash before ``SWITCH`` leaves the old store and rubbish beside it; a crash after it
leaves moves that the next start goes on with.

Owns: this order.  Refuses: to know what makes a store complete; the caller has verified it.
Invariant: there is never a moment at which neither store is whole.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from consensus import wire
from consensus.types import Delete, DeleteRange, Put, Record
from storage import keys, schema, slots
from storage.blocks import Applied, append_body
from storage.errors import StorageFailure
from storage.level import LevelKV
from storage.reader import Reader
from storage.segments import SEGMENT_BYTES_MAX, Pointer, Segments, sync_directory

INCOMING: Final = "incoming"
REPLACED: Final = "replaced"
SWITCH: Final = "SWITCH"
PARTS: Final = ("kv", "segments")
_COPIED_ROWS: Final = 4096

Pair = tuple[bytes, bytes | None]


class Foundation:
    """The store being built; ``rows`` are whole keys, as ``storage.keys`` writes them."""

    def __init__(self, data_dir: Path, network: bytes, *, segment_bytes_max: int) -> None:
        """Begin anew: what an earlier attempt left is removed."""
        self._root = root = data_dir / INCOMING
        try:
            shutil.rmtree(root, ignore_errors=True)
            (root / PARTS[1]).mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise StorageFailure(f"cannot create {root}: {error.strerror}") from error
        self._kv = LevelKV(root / PARTS[0], create=True)
        schema.bind(self._kv, network=network, create=True)
        self._segments = Segments(root / PARTS[1], segment_bytes_max=segment_bytes_max)
        self._segments.recover(None)

    def put(self, rows: Iterable[Pair]) -> None:
        """Add rows; durable once ``finish`` returned."""
        self._kv.write(rows, sync=False)

    def get(self, key: bytes) -> bytes | None:
        """Return a row that was put."""
        return self._kv.get(key)

    def pages(self, page_keys: Sequence[bytes]) -> list[bytes | None]:
        """Return pages of the state tree that were put."""
        return slots.pages(self._kv, page_keys)

    def finish(self, applied: Applied, body: bytes) -> None:
        """State where the ledger stands, with the body of that block, and make all durable."""
        pointer = append_body(self._segments, applied.digest, body)
        self._segments.sync()
        rows: list[Pair] = [
            (keys.BODY + applied.digest, pointer),
            (keys.HEIGHT_OF + applied.digest, keys.be64(applied.height)),
            (keys.TAIL, pointer),
            (keys.LOWEST, keys.be64(applied.height)),
            (keys.APPLIED, wire.encode(applied)),
        ]
        self._kv.write(rows, sync=True)

    def close(self) -> None:
        """Release it; calling twice is harmless."""
        self._segments.close()
        self._kv.close()

    def discard(self) -> None:
        """Give it up and free its room."""
        self.close()
        shutil.rmtree(self._root, ignore_errors=True)


def adopt(
    data_dir: Path,
    old: Reader,
    records: Sequence[Record],
    *,
    segment_bytes_max: int = SEGMENT_BYTES_MAX,
) -> None:
    """Hand what is this member's own to the finished new store, and decide for it.

    ``old`` must not be written any more.  ``records`` are consensus records to be put over
    those that are copied, in their order.
    """
    root = data_dir / INCOMING
    kv = LevelKV(root / PARTS[0], create=False)
    segments = Segments(root / PARTS[1], segment_bytes_max=segment_bytes_max)
    try:
        raw = kv.get(keys.TAIL)
        assert raw is not None, "a finished store has a body"
        segments.recover(Pointer.decode(raw))
        batch: list[Pair] = []
        for letter in (keys.CONSENSUS, keys.LOCAL, keys.LINEAGE):
            for row in old.raw_rows(letter):
                batch.append(row)
                if len(batch) >= _COPIED_ROWS:
                    kv.write(batch, sync=False)
                    batch = []
        kv.write(batch, sync=False)
        kv.write(_waiting(old, kv, segments), sync=False)
        for record in records:
            kv.write(_rows_of(kv, record), sync=False)
        kv.write([], sync=True)
    finally:
        segments.close()
        kv.close()
    _sync_tree(root)
    _decide(data_dir)


def _waiting(old: Reader, kv: LevelKV, segments: Segments) -> list[Pair]:
    """Copy bodies that consensus records may speak of: those that were never applied."""
    rows: list[Pair] = []
    for digest in old.body_digests():
        if old.height_of(digest) is None and kv.get(keys.BODY + digest) is None:
            body = old.body(digest)
            assert body is not None, "a pointer has its body"
            rows.append((keys.BODY + digest, append_body(segments, digest, body)))
    segments.sync()
    tail = segments.tail()
    assert tail is not None, "the newest body is there"
    return [*rows, (keys.TAIL, tail.encode())]


def _rows_of(kv: LevelKV, record: Record) -> list[Pair]:
    match record:
        case Put():
            return [(keys.CONSENSUS + record.key, record.value)]
        case Delete():
            return [(keys.CONSENSUS + record.key, None)]
        case DeleteRange():
            lo, hi = keys.CONSENSUS + record.lo, keys.CONSENSUS + record.hi
            return [(key, None) for key, _ in kv.scan(lo, hi)]


def _sync_tree(root: Path) -> None:
    """Make every file below ``root`` durable: LevelDB leaves some of that to the kernel."""
    try:
        for directory, _, names in os.walk(root):
            for name in names:
                fd = os.open(Path(directory) / name, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
            sync_directory(Path(directory))
        sync_directory(root.parent)
    except OSError as error:
        raise StorageFailure(f"cannot sync {root}: {error.strerror}") from error


def _decide(data_dir: Path) -> None:
    shutil.rmtree(data_dir / REPLACED, ignore_errors=True)
    try:
        fd = os.open(data_dir / SWITCH, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(fd)
        sync_directory(data_dir)
    except OSError as error:
        raise StorageFailure(f"cannot write {data_dir / SWITCH}: {error.strerror}") from error


def decided(data_dir: Path) -> bool:
    """Return whether the new store is to take over."""
    return (data_dir / SWITCH).exists()


def complete(data_dir: Path) -> None:
    """Let the new store take over, as was decided.

    The caller holds the directory's lock.  Repeats nothing that was done: the part that is
    still incoming moves, after the one that it replaces.
    """
    assert decided(data_dir), "no new store is complete"
    incoming, replaced = data_dir / INCOMING, data_dir / REPLACED
    try:
        replaced.mkdir(mode=0o700, exist_ok=True)
        for name in PARTS:
            if not (incoming / name).exists():
                continue
            if (data_dir / name).exists():
                (data_dir / name).rename(replaced / name)
            (incoming / name).rename(data_dir / name)
        for directory in (incoming, replaced, data_dir):
            sync_directory(directory)
        (data_dir / SWITCH).unlink()
        sync_directory(data_dir)
    except OSError as error:
        raise StorageFailure(f"cannot switch in {data_dir}: {error.strerror}") from error
    # From here on both are rubbish; a crash leaves them to the next switch or build.
    for directory in (incoming, replaced):
        shutil.rmtree(directory, ignore_errors=True)
