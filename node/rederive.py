"""Tiles and state pages computed again from what is whole, proven by a root before writing.

Owns: the second computation and the comparison with the root that the ledger has.  Refuses: to
write when that root does not come out: then the leaves or the pairs themselves are wrong, which
only another member or a backup can mend.
Invariant: rows are written only at the height that they were computed for.
"""

from collections.abc import Iterator
from pathlib import Path

from node.ledger import accel, merkle
from node.ledger.tiles import TILE_BYTES
from node.regrown import Regrown
from node.roots import DIRTY_PREFIX, LEAF_PREFIX, differences
from storage import keys, slots
from storage.reader import Reader
from storage.slots import NoPage
from storage.store import Store

Rows = list[tuple[bytes, bytes | None]]


def tiles_again(store: Store) -> bool | None:
    """Write every tile that its leaves do not give; True when the log's root then holds.

    None: the ledger moved on meanwhile, ask again.  Reads the leaves of the whole log; False
    where the ledger began with a snapshot, because older leaves are nowhere else.
    """
    rows: Rows = []
    with store.snapshot(apart=True) as view:
        applied = view.applied()
        if applied is None:
            return True
        log, level, row = merkle.Frontier(), 0, b""
        tiles = 0
        above: list[bytes] = []
        for leaves in _leaves(view, applied.height):
            log.extend(leaves)
            row += b"".join(leaves)
            while len(row) >= TILE_BYTES:
                _compare(view, level, tiles, row[:TILE_BYTES], rows)
                above.append(accel.row_root(row[:TILE_BYTES]))
                row, tiles = row[TILE_BYTES:], tiles + 1
        if log.size != applied.log_size or log.root() != applied.log_root:
            return False
        _compare(view, 0, tiles, row, rows)
        while above:
            level, joined = level + 1, b"".join(above)
            parts = [joined[at : at + TILE_BYTES] for at in range(0, len(joined), TILE_BYTES)]
            for number, part in enumerate(parts):
                _compare(view, level, number, part, rows)
            above = [accel.row_root(part) for part in parts if len(part) == TILE_BYTES]
    return _write(store, rows, applied.height)


def _leaves(view: Reader, top: int) -> Iterator[list[bytes]]:
    """Yield the leaf hashes of each block: its fresh transactions' ids and its seal."""
    for height in range(1, top + 1):
        row, seal = view.block(height), view.seal(height)
        if row is None or seal is None:
            return
        ids = [
            view.index_get(LEAF_PREFIX + index.to_bytes(8, "big")) or b""
            for index in range(row.first_index, row.first_index + row.count)
        ]
        if any(len(txid) != 32 for txid in ids):
            return
        yield [*ids, merkle.leaf_hash(seal)]


def _compare(view: Reader, level: int, number: int, row: bytes, rows: Rows) -> None:
    if row and view.tile(level, number) != row:
        rows.append((keys.tile(level, number), row))


def pages_again(store: Store, *, scratch_dir: Path | None = None) -> bool | None:
    """Store every page that the state's pairs do not give; True when their root is the
    ledger's.  Where one was wrong, the state of older heights cannot be read any more.

    None: the ledger moved on meanwhile, ask again.  False also while the root speaks of an
    older height than the pairs.
    """
    with store.snapshot(apart=True) as view:
        applied = view.applied()
        if applied is None:
            return True
        lo = DIRTY_PREFIX
        if next(view.index_scan(lo, keys.after(lo), limit=1), None) is not None:
            return False
        rows: Rows = []
        same = True
        tree = Regrown(view.iter_state(), scratch_dir=scratch_dir)
        for share in tree.shares():
            for first, end in share.spans:
                built = share.within(first, end)
                same = same and _are(view.iter_pages(first, end), built)
                # The rows as they are now: what patches there are may be what is wrong.
                stored, due = view.page_rows(first, end), slots.rows_of(built)
                rows += [
                    (key, slots.take_apart(share.pages.get(key[1:-1])).get(key[-1]))
                    for key, _ in differences(stored, due)
                ]
        if tree.root != applied.state_root:
            return False
        if same:
            return True
    return True if store.replace_pages(rows, only_at=applied.height) else None


def _are(pages: Iterator[tuple[bytes, bytes]], built: list[tuple[bytes, bytes]]) -> bool:
    """Return whether the view's pages, patches put on, are these."""
    try:
        return next(differences(pages, iter(built)), None) is None
    except NoPage:
        return False


def _write(store: Store, rows: Rows, height: int) -> bool | None:
    if not rows:
        return True
    return True if store.mend(rows, only_at=height) else None
