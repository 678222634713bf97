"""What an archive gives back: bodies to a ledger that pruned them, receipts to anybody.

Owns: putting a body together from leaves and header, importing downwards from the lowest kept
height, and receipts from files alone.  Refuses: blocks that are not the ledger's own: every
body must give the digest of the row that the ledger kept.
Invariant: after each step of an import all bodies from the new floor on are there.
"""

from pathlib import Path
from typing import Final

from node.archive import layout
from node.archive.layout import ArchivedBlock, ArchiveInvalid, Head
from node.archive.write import Progress
from node.errors import ChartsealError
from node.ledger import accel, checkpoint, merkle
from node.ledger import block as ledger_blocks
from node.ledger.block import BlockMalformed
from node.ledger.checkpoint import CheckpointMalformed
from node.ledger.receipt import Receipt
from node.ledger.tiles import TileLog, TileMissing
from storage import keys
from storage.reader import Floor
from storage.store import Store

STEP_BLOCKS: Final = 64


def body_of(root: Path, head: Head, block: ArchivedBlock) -> bytes:
    """Return a block's body as it was ordered; raises ``ArchiveInvalid``."""
    end = block.first_index + block.count
    raws = [*layout.leaves(root, head, block.first_index, end), *block.repeats]
    by_id = dict(zip(accel.txids(raws), raws, strict=True))
    ids = [block.txids[at : at + 32] for at in range(0, len(block.txids), 32)]
    try:
        header = ledger_blocks.decode_header(block.header)
        body = ledger_blocks.encode_body(header, [by_id[txid] for txid in ids])
        ledger_blocks.decode_body(body, size_max=len(body))
    except (BlockMalformed, KeyError) as error:
        path = root / "block"
        raise ArchiveInvalid(path, f"block {block.height} cannot be put together") from error
    return body


def import_blocks(
    store: Store,
    root: Path,
    *,
    down_to: int = 1,
    progress: Progress = lambda _what, _done, _total: None,
) -> int:
    """Bring pruned bodies back, from the lowest kept one down to ``down_to``; return how many.

    Verify the archive first; here each body is compared with the ledger's own digest.  Raises
    ``ArchiveInvalid``, ``ChartsealError`` (foreign-data-dir, not-found), ``StorageFailure``.
    """
    head = layout.need_head(root)
    applied = store.applied()
    top = store.lowest_body() - 1
    down_to = max(down_to, store.lowest())  # below it there are no rows to compare with
    if applied is None or top < down_to:
        return 0
    if head.height < top:
        detail = f"the archive ends at {head.height}, height {top} is needed"
        raise ChartsealError("not-found", detail)
    count = 0
    while top >= down_to:
        first = max(down_to, top - STEP_BLOCKS + 1)
        _step(store, root, head, first, top)
        count += top - first + 1
        progress("block", count, store.lowest_body() - down_to + count)
        top = first - 1
    return count


def _step(store: Store, root: Path, head: Head, first: int, last: int) -> None:
    bodies = []
    for height in range(first, last + 1):
        block, row = layout.block_at(root, head, height), store.block(height)
        if row is None or ledger_blocks.body_digest(block.header) != row.digest:
            detail = f"block {height} of {root} is not this ledger's"
            raise ChartsealError("foreign-data-dir", detail)
        bodies.append((row.digest, body_of(root, head, block)))
    store.save([], bodies=bodies, sync=True)
    # A crash before this leaves bodies below the floor, which the next import finds there.
    raw = store.raw_value(keys.PRUNED)
    first_segment = 1 if raw is None else Floor.decode(raw).first_segment
    store.mend([(keys.PRUNED, Floor(first, first_segment).encode())])


# --- receipts -----------------------------------------------------------------------------


def find(root: Path, head: Head, txid: bytes) -> ArchivedBlock | None:
    """Return the block that put ``txid`` into the log, or None; reads the blocks in turn."""
    for _path, blocks in layout.blocks(root, head.height):
        for block in blocks:
            repeated = txid in accel.txids(block.repeats)
            ids = [block.txids[at : at + 32] for at in range(0, len(block.txids), 32)]
            if txid in ids and not repeated:
                return block
    return None


def receipt(root: Path, txid: bytes) -> Receipt | None:
    """Return the receipt of a transaction from the archive's files, None if it is not there.

    Raises ``ArchiveInvalid``.  A receipt is evidence only once it is verified.
    """
    head = layout.need_head(root)
    block = find(root, head, txid)
    if block is None:
        return None
    seal_index = block.first_index + block.count
    leaves = layout.leaves(root, head, block.first_index, seal_index + 1)
    index = block.first_index + accel.txids(leaves[:-1]).index(txid)
    codes = [block.results[at : at + 2] for at in range(0, len(block.results), 2)]
    outcomes = [merkle.leaf_hash(code) for code in codes]
    note_path = root / layout.CHECKPOINT_NAME
    note = layout.read(note_path)
    try:
        size = checkpoint.parse_note(note)[0].size
        log = TileLog(head.log_size, _ReadTile(root, head))
        return Receipt(
            transaction=leaves[index - block.first_index],
            leaf_index=index,
            inclusion_path=tuple(log.inclusion_path(index, size)),
            seal=leaves[-1],
            seal_path=tuple(log.inclusion_path(seal_index, size)),
            code=int.from_bytes(codes[index - block.first_index], "big"),
            result_path=tuple(merkle.inclusion_path(outcomes, index - block.first_index)),
            checkpoint=note,
            item=None,
        )
    except (CheckpointMalformed, TileMissing, ValueError) as error:
        raise ArchiveInvalid(note_path, str(error)) from error


class _ReadTile:
    """Reads tiles of an archive as ``TileLog`` asks for them."""

    def __init__(self, root: Path, head: Head) -> None:
        self._root = root
        self._size = head.log_size

    def __call__(self, level: int, number: int) -> bytes | None:
        entries = self._size >> 8 * level
        width = min(layout.WIDTH, entries - number * layout.WIDTH)
        if width <= 0:
            return None
        return layout.read(layout.path_of(self._root, f"tile/{level}", number, width))
