"""Where what stands in an archive: C2SP tlog-tiles, and blocks beside it.

    checkpoint                  the newest certified tree head of the archive (C2SP signed note)
    tile/<L>/<N>[.p/<W>]        256 hashes of level L, or the W that there are
    tile/entries/<N>[.p/<W>]    256 leaves: each its length in two bytes and its bytes
    block/<N>[.p/<W>]           256 blocks: each a length of four bytes, an ``ArchivedBlock``;
                                then the SHA-256 of what is before it
    genesis.bin                 the founding document
    lineage.bin                 how each later era began: proven from the founders on
    chartseal.json              format, network, height, log size

N is written in groups of three digits, all but the last after an x: 1234067 is x001/x234/067.
A leaf is a transaction's bytes or a seal's data; its leaf hash is SHA-256 of a zero byte and
these bytes, as RFC 6962 says, so nothing here needs a dialect.
Owns: paths, the form of bundles, durable writing.  Refuses: to judge what it reads.
Invariant: a file appears under its name whole or not at all.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from consensus import wire
from consensus.codec import Malformed
from node.errors import ChartsealError
from storage.segments import sync_directory

FORMAT: Final = "chartseal/archive/v1"
WIDTH: Final = 256
HEAD_NAME: Final = "chartseal.json"
CHECKPOINT_NAME: Final = "checkpoint"
GENESIS_NAME: Final = "genesis.bin"
LINEAGE_NAME: Final = "lineage.bin"
BLOCK_BYTES_MAX: Final = 64 << 20
ENTRY_LENGTH_BYTES: Final = 2
BLOCK_LENGTH_BYTES: Final = 4
_HEAD_BYTES_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Head:
    """How far the archive goes: height 1 to ``height``, ``log_size`` leaves."""

    format: str
    network: bytes
    origin: str
    height: int
    log_size: int


@dataclass(frozen=True, slots=True)
class ArchivedBlock:
    """A block without its fresh transactions and its seal: these are leaves of the log.

    ``repeats``: transactions of the body that an earlier block had put into the log.
    """

    height: int
    header: bytes
    txids: bytes
    first_index: int
    count: int
    results: bytes
    certificate: bytes
    checkpoint: bytes  # certified note over this block's log; empty where none was kept
    repeats: tuple[bytes, ...]


class ArchiveInvalid(Exception):
    """``where`` is the file that is not what the layout promises."""

    code = "archive-invalid"

    def __init__(self, where: Path, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what


def path_of(root: Path, kind: str, number: int, width: int) -> Path:
    """Return where bundle or tile ``number`` of ``kind`` (tile/0, tile/entries, block) is."""
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.insert(0, f"x{number % 1000:03d}")
    path = root / kind
    for group in groups[:-1]:
        path /= group
    return path / groups[-1] if width == WIDTH else path / f"{groups[-1]}.p" / str(width)


def bundles(total: int) -> Iterator[tuple[int, int]]:
    """Yield (number, width) of every bundle that ``total`` items take."""
    full, rest = divmod(total, WIDTH)
    yield from ((number, WIDTH) for number in range(full))
    if rest:
        yield full, rest


def put(path: Path, data: bytes) -> None:
    """Write a file whole and durable; raises ``ChartsealError`` (file-unreadable)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise ChartsealError("file-unreadable", f"{path}: {error.strerror}") from error


def read(path: Path) -> bytes:
    """Return a file's bytes; raises ``ArchiveInvalid``."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArchiveInvalid(path, error.strerror or "unreadable") from error


# --- bundles ------------------------------------------------------------------------------


def join(items: Sequence[bytes], length_bytes: int) -> bytes:
    """Return each item behind its length; blocks with their checksum."""
    raw = b"".join([len(item).to_bytes(length_bytes, "big") + item for item in items])
    return raw + hashlib.sha256(raw).digest() if length_bytes == BLOCK_LENGTH_BYTES else raw


def split(path: Path, width: int, length_bytes: int) -> list[bytes]:
    """Return the ``width`` items of the bundle at ``path``; raises ``ArchiveInvalid``."""
    raw, items, at = read(path), [], 0
    if length_bytes == BLOCK_LENGTH_BYTES:
        raw, checksum = raw[:-32], raw[-32:]
        if hashlib.sha256(raw).digest() != checksum:
            raise ArchiveInvalid(path, "its bytes are not those that were written")
    while at < len(raw):
        start = at + length_bytes
        end = start + int.from_bytes(raw[at:start], "big")
        if end > len(raw) or start > len(raw):
            raise ArchiveInvalid(path, "an item is cut short")
        items.append(raw[start:end])
        at = end
    if len(items) != width:
        raise ArchiveInvalid(path, f"{len(items)} items, {width} expected")
    return items


def entries(root: Path, log_size: int) -> Iterator[tuple[Path, list[bytes]]]:
    """Yield the leaves of the log, bundle by bundle."""
    for number, width in bundles(log_size):
        path = path_of(root, "tile/entries", number, width)
        yield path, split(path, width, ENTRY_LENGTH_BYTES)


def blocks(root: Path, height: int) -> Iterator[tuple[Path, list[ArchivedBlock]]]:
    """Yield the blocks, bundle by bundle."""
    for number, width in bundles(height):
        yield _blocks(root, number, width)


def _blocks(root: Path, number: int, width: int) -> tuple[Path, list[ArchivedBlock]]:
    path = path_of(root, "block", number, width)
    try:
        found = [
            wire.decode(ArchivedBlock, raw, size_max=BLOCK_BYTES_MAX)
            for raw in split(path, width, BLOCK_LENGTH_BYTES)
        ]
    except Malformed as error:
        raise ArchiveInvalid(path, f"not a block ({error})") from error
    heights = [item.height for item in found]
    first = number * WIDTH + 1
    if heights != list(range(first, first + width)):
        raise ArchiveInvalid(path, "blocks of other heights")
    return path, found


def block_at(root: Path, head: Head, height: int) -> ArchivedBlock:
    """Return one block; raises ``ArchiveInvalid``."""
    number, at = divmod(height - 1, WIDTH)
    width = min(WIDTH, head.height - number * WIDTH)
    return _blocks(root, number, width)[1][at]


def leaves(root: Path, head: Head, start: int, end: int) -> list[bytes]:
    """Return leaves ``start`` to ``end`` (exclusive); raises ``ArchiveInvalid``."""
    found: list[bytes] = []
    for number in range(start // WIDTH, -(-end // WIDTH)):
        base = number * WIDTH
        width = min(WIDTH, head.log_size - base)
        items = split(path_of(root, "tile/entries", number, width), width, ENTRY_LENGTH_BYTES)
        found += items[max(0, start - base) : end - base]
    return found


# --- the head -----------------------------------------------------------------------------


def head_text(head: Head) -> bytes:
    return json.dumps(wire.to_plain(head), indent=2).encode() + b"\n"


def read_head(root: Path) -> Head | None:
    """Return how far the archive goes, None where there is none.

    Raises ``ArchiveInvalid``.
    """
    path = root / HEAD_NAME
    if not path.exists():
        return None
    raw = read(path)
    try:
        if len(raw) > _HEAD_BYTES_MAX:
            raise ArchiveInvalid(path, f"{len(raw)} bytes")
        value: Any = json.loads(raw)
        head: Head = wire.from_plain(Head, value)
    except (ValueError, Malformed) as error:
        raise ArchiveInvalid(path, "not the head of an archive") from error
    if head.format != FORMAT or head_text(head) != raw:
        raise ArchiveInvalid(path, "an archive of another format")
    return head


def need_head(root: Path) -> Head:
    """Return how far the archive goes; raises ``ArchiveInvalid`` where there is none."""
    head = read_head(root)
    if head is None:
        raise ArchiveInvalid(root / HEAD_NAME, "missing")
    return head
