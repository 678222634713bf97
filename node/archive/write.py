"""Writing and extending an archive from a ledger.

Owns: the order: leaves, blocks, tiles; then the checkpoint, then the head; then what the old
end of the archive needed and the new one does not.  Refuses: to go on from an archive of
another network, and past a checkpoint that no quorum cosigned.
Invariant: at every moment the files under the head that is in place are all there.  A crash
leaves files that the next attempt writes again.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from consensus import wire
from node.archive import layout
from node.archive.layout import WIDTH, ArchivedBlock, Head
from node.book import TxRow
from node.errors import ChartsealError
from node.ledger import accel, lineage
from node.ledger import block as ledger_blocks
from node.ledger.genesis import Genesis
from node.ledger.lineage import Lineage, Link
from node.lineage_keeping import lineage_of
from storage.check import expected_tiles
from storage.errors import Corrupt, Pruned
from storage.reader import Reader

Progress = Callable[[str, int, int], None]
_TX_ROW_BYTES_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Written:
    """From which height on the archive was extended, and how far it goes now."""

    first: int
    height: int
    log_size: int


def write(
    store: Reader,
    genesis: Genesis,
    root: Path,
    *,
    up_to: int | None,
    progress: Progress = lambda _what, _done, _total: None,
) -> Written:
    """Extend the archive in ``root`` to the newest certified height not above ``up_to``.

    Works beside a running node (from a snapshot).  Raises ``ArchiveInvalid``, ``Pruned`` when
    blocks after the archive's end are gone from ``store``, ``ChartsealError`` (not-found:
    nothing is certified; foreign-data-dir; file-unreadable), ``StorageFailure``.
    """
    found = store.newest_checkpoint(up_to)
    if found is None:
        raise ChartsealError("not-found", "no certified checkpoint to end the archive with")
    height, note = found
    row = store.block(height)
    if row is None:
        raise Corrupt("a checkpoint without its block", where=f"block {height}")
    old = layout.read_head(root) or Head(layout.FORMAT, genesis.network, genesis.origin, 0, 0)
    if old.network != genesis.network:
        raise ChartsealError("foreign-data-dir", f"{root} is another network's archive")
    if old.height >= height:
        return Written(height + 1, old.height, old.log_size)
    if old.height + 1 < store.lowest():
        raise Pruned(store.lowest())  # this ledger began with a snapshot above that
    new = Head(layout.FORMAT, genesis.network, genesis.origin, height, row.log_size)
    links = _links(store, height)
    _Writer(store, root, old, new, progress).run()
    layout.put(root / layout.LINEAGE_NAME, lineage.encode(Lineage(links)))
    layout.put(root / layout.GENESIS_NAME, genesis.encode())
    # Whoever reads the checkpoint finds every tile under it; whoever reads the head, too.
    layout.put(root / layout.CHECKPOINT_NAME, note)
    layout.put(root / layout.HEAD_NAME, layout.head_text(new))
    _drop_partial(root, old, new)
    return Written(old.height + 1, height, row.log_size)


def _links(store: Reader, height: int) -> tuple[Link, ...]:
    """Return how the eras up to ``height`` began."""
    known = lineage_of(store)
    if known is None:
        raise ChartsealError("not-found", "the checkpoint of an era's last block is missing")
    return tuple(link for link in known.links if link.era.from_height <= height + 1)


class _Writer:
    def __init__(
        self, store: Reader, root: Path, old: Head, new: Head, progress: Progress
    ) -> None:
        self._store = store
        self._root = root
        self._old = old
        self._new = new
        self._progress = progress
        self._entries = self._begun("tile/entries", old.log_size, layout.ENTRY_LENGTH_BYTES)
        self._blocks = self._begun("block", old.height, layout.BLOCK_LENGTH_BYTES)
        self._leaf = old.log_size - len(self._entries)
        self._block = old.height - len(self._blocks)

    def _begun(self, kind: str, total: int, length_bytes: int) -> list[bytes]:
        """Return the items of the unfinished bundle that the archive ends with."""
        number, width = divmod(total, WIDTH)
        if not width:
            return []
        path = layout.path_of(self._root, kind, number, width)
        return layout.split(path, width, length_bytes)

    def run(self) -> None:
        for height in range(self._old.height + 1, self._new.height + 1):
            self._progress("block", height, self._new.height)
            self._take(height)
            self._flush(last=False)
        self._flush(last=True)
        self._tiles()

    def _take(self, height: int) -> None:
        (stored,) = islice(self._store.iter_blocks(height, height + 1), 1)
        row = stored.row
        _, raws = ledger_blocks.decode_body(stored.body, size_max=len(stored.body))
        fresh: list[bytes] = []
        repeats: list[bytes] = []
        for raw, txid in zip(raws, accel.txids(raws), strict=True):
            place = self._store.tx_row(txid)
            if place is None:
                raise Corrupt("a transaction without its row", where=f"block {height}")
            where: TxRow = wire.decode(TxRow, place, size_max=_TX_ROW_BYTES_MAX)
            (fresh if where.height == height else repeats).append(raw)
        self._entries += [*fresh, stored.seal]
        block = ArchivedBlock(
            height,
            row.header,
            row.txids,
            row.first_index,
            row.count,
            row.results,
            stored.certificate,
            self._store.checkpoint(height) or b"",
            tuple(repeats),
        )
        self._blocks.append(wire.encode(block))

    def _flush(self, *, last: bool) -> None:
        self._leaf = self._write(
            "tile/entries", self._entries, self._leaf, layout.ENTRY_LENGTH_BYTES, last=last
        )
        self._block = self._write(
            "block", self._blocks, self._block, layout.BLOCK_LENGTH_BYTES, last=last
        )

    def _write(
        self, kind: str, items: list[bytes], first: int, length_bytes: int, *, last: bool
    ) -> int:
        while len(items) >= WIDTH or (last and items):
            part = items[:WIDTH]
            path = layout.path_of(self._root, kind, first // WIDTH, len(part))
            layout.put(path, layout.join(part, length_bytes))
            del items[:WIDTH]
            first += len(part)
        return first

    def _tiles(self) -> None:
        known = {
            (level, number)
            for level, number, hashes in expected_tiles(self._old.log_size)
            if hashes == WIDTH
        }
        for level, number, hashes in expected_tiles(self._new.log_size):
            if (level, number) in known:
                continue
            tile = self._store.tile(level, number) or b""
            if len(tile) < 32 * hashes:
                raise Corrupt("a tile is short", where=f"tile {level}/{number}")
            path = layout.path_of(self._root, f"tile/{level}", number, hashes)
            layout.put(path, tile[: 32 * hashes])


def _drop_partial(root: Path, old: Head, new: Head) -> None:
    """Remove unfinished bundles and tiles that longer ones have replaced."""
    now = set(_partials(root, new))
    for path in _partials(root, old):
        if path not in now:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # another width of this tile is still there
                path.parent.rmdir()


def _partials(root: Path, head: Head) -> Iterator[Path]:
    for kind, total in (("tile/entries", head.log_size), ("block", head.height)):
        number, width = divmod(total, WIDTH)
        if width:
            yield layout.path_of(root, kind, number, width)
    for level, number, hashes in expected_tiles(head.log_size):
        if hashes != WIDTH:
            yield layout.path_of(root, f"tile/{level}", number, hashes)
