"""Old bodies leave the disk, whole sealed segments at a time; everything else of a block stays.

Headers, seals, certificates, tiles, checkpoints and the rows of transactions are kept: whoever
has a transaction can still be given its receipt.
Owns: the row ``m pruned`` (lowest height with a body, first segment that is kept) and the order
of leaving: the row, the pointers, the files.  Refuses: the segment being written, bodies that
are not applied, and to judge whether a copy exists; the caller does.
Invariant: a height at or above ``lowest`` has its body; below it no pointer is left once
``finish`` returned.  A crash anywhere is finished by the next start.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from consensus import codec
from consensus.codec import Malformed
from storage import keys
from storage.errors import Corrupt
from storage.kv import KV, Readable
from storage.reader import Floor, Reader
from storage.segments import Pointer, Segments

_BATCH_ROWS: Final = 4096
_BODY_BYTES_MAX: Final = 1 << 30


class Write(Protocol):
    """Writes one batch in its turn."""

    def __call__(self, rows: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What pruning would do: the new floor, and the files that leave."""

    floor: Floor
    segments: tuple[int, ...]
    bytes: int


def plan(store: Reader, segments: Segments, before: int) -> Plan | None:
    """Return how bodies of heights below ``before`` can leave; None when no file can.

    A segment leaves when all its applied bodies are of lower heights and none waits to be
    applied.  Walks all body rows.
    """
    tail, applied = segments.tail(), store.applied()
    if tail is None or applied is None:
        return None
    before = min(before, applied.height)  # the newest body stays
    highest: defaultdict[int, int] = defaultdict(int)
    for digest, pointer in _pointers(store):
        height = store.height_of(digest)
        if height is None:
            height = _waiting_height(store, digest)
            if height <= applied.height:
                continue  # lost against another block: nobody will ask for it
        highest[pointer.segment] = max(highest[pointer.segment], height)
    gone: list[int] = []
    for number in segments.numbers():
        if number >= tail.segment or highest[number] >= before:
            break
        gone.append(number)
    if not gone:
        return None
    lowest = max(store.lowest_body(), max(highest[number] for number in gone) + 1)
    size = sum(segments.path(number).stat().st_size for number in gone)
    return Plan(Floor(lowest, gone[-1] + 1), tuple(gone), size)


def _pointers(store: Reader) -> Iterator[tuple[bytes, Pointer]]:
    for key, raw in store.raw_rows(keys.BODY):
        yield key[1:], Pointer.decode(raw)


def _waiting_height(store: Reader, digest: bytes) -> int:
    """Return the height that a body not applied says it is of; the highest in doubt."""
    try:
        body = store.body(digest)
        header = codec.decode(body or b"", size_max=_BODY_BYTES_MAX)
    except (Corrupt, Malformed):
        return keys.HEIGHT_MAX
    known = type(header) is list and len(header) > 3 and type(header[3]) is int
    return int(header[3]) if known else keys.HEIGHT_MAX


def perform(kv: KV, segments: Segments, floor: Floor, write: Write) -> None:
    """Prune up to ``floor``, durable step by step; raises ``StorageFailure``.

    ``write`` writes a batch; between two of them others may write.
    """
    # From here on readers are told "pruned"; a crash leaves work that ``finish`` does.
    write([(keys.PRUNED, floor.encode())], sync=True)
    finish(kv, segments, write)


def finish(kv: KV, segments: Segments, write: Write) -> None:
    """Remove what the floor says is gone and still there; nothing to do is the usual case."""
    raw = kv.get(keys.PRUNED)
    if raw is None:
        return
    floor = Floor.decode(raw)
    if all(number >= floor.first_segment for number in segments.numbers()):
        return
    batch: list[tuple[bytes, bytes | None]] = []
    for key, pointer in kv.scan(keys.BODY, keys.after(keys.BODY)):
        if _leaves(kv, key, Pointer.decode(pointer), floor):
            batch.append((key, None))
        if len(batch) >= _BATCH_ROWS:
            write(batch, sync=False)
            batch = []
    # Synced before the first file goes: a pointer never speaks of bytes that are not there.
    write(batch, sync=True)
    segments.drop(floor.first_segment)


def _leaves(kv: Readable, key: bytes, pointer: Pointer, floor: Floor) -> bool:
    if pointer.segment < floor.first_segment:
        return True
    height = kv.get(keys.HEIGHT_OF + key[1:])
    return height is not None and int.from_bytes(height, "big") < floor.lowest
