"""One applied block as one batch.

Owns: the list of everything a block writes, and the pages that are newer than the stored ones.
Refuses: writing any part of it separately.
Invariant: block, seal, certificate, log, state, indexes and the applied height move together;
a crash before the batch replays the block from the consensus log, a crash after it finds the
height already moved.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from consensus import wire
from storage import history, keys, pagelog
from storage.blocks import DIGEST_BYTES, Applied, BlockRow
from storage.history import Replaced
from storage.kv import Readable
from storage.pagelog import PageLog, View
from storage.reader import Reader
from storage.slots import Differ

VIEWS: Final = 8  # heights for whose snapshots pages are at hand

Pairs = Sequence[tuple[bytes, bytes | None]]
Batch = list[tuple[bytes, bytes | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCommit:
    """Everything that applying one block changes; in pairs a value of None deletes the key."""

    height: int
    digest: bytes  # body digest; the body itself is stored earlier, by ``Store.save``
    header: bytes
    txids: bytes  # 32 bytes each, in block order
    certificate: bytes  # what proves that the block was ordered, in the engine's format
    position: int  # the engine's own coordinate of the block
    seal: bytes  # seal leaf data
    first_index: int  # log index of the first transaction leaf
    count: int  # transaction leaves
    results: bytes  # be16 code for each transaction leaf
    log_tiles: Sequence[tuple[int, int, bytes]]  # (level, n, hashes); partial ones overwritten
    state: Pairs
    pages: Pairs  # of the state tree
    pages_were: Mapping[bytes, bytes | None]  # what they were; not there: no page
    page_patches: bytes  # what makes the ones out of the others, see ``pagelog``
    differ: Differ  # which rows of a page change
    state_root: bytes
    state_height: int
    log_size: int  # leaves, the seal included
    log_root: bytes
    transactions: Sequence[tuple[bytes, bytes]]  # (txid, row)
    index: Pairs  # under their whole keys, in order: a put takes 0.83 us then, else 1.3
    replaced: Replaced | None = None  # None: no history is kept

    def __post_init__(self) -> None:
        assert self.height >= 1, "heights begin at 1"
        assert len(self.digest) == DIGEST_BYTES, f"body digest of {len(self.digest)} bytes"
        assert len(self.txids) % 32 == 0, "txids are 32 bytes each"
        assert len(self.results) == 2 * self.count, (
            f"{len(self.results)} result bytes for {self.count} leaves"
        )
        assert self.log_size == self.first_index + self.count + 1, (
            f"log size {self.log_size}, leaves end at {self.first_index + self.count + 1}"
        )

    def applied(self) -> Applied:
        """Return where the ledger stands once this is committed."""
        return Applied(
            height=self.height,
            digest=self.digest,
            position=self.position,
            log_size=self.log_size,
            log_root=self.log_root,
            state_height=self.state_height,
            state_root=self.state_root,
            seal_digest=sha256(self.seal).digest(),
        )

    def row(self) -> BlockRow:
        """Return the block row."""
        return BlockRow(
            height=self.height,
            digest=self.digest,
            header=self.header,
            txids=self.txids,
            position=self.position,
            first_index=self.first_index,
            count=self.count,
            results=self.results,
            log_root=self.log_root,
            state_height=self.state_height,
            state_root=self.state_root,
        )


class BlockWriter:
    """Makes the batches of one block after the other, on the thread that commits.

    ``settles``: at which heights pages are stored; None: when the log of pages says so, which
    ``turn`` shifts.
    """

    def __init__(
        self, source: Readable, settles: Callable[[int], bool] | None, turn: int = 0
    ) -> None:
        """Take up where ``source`` stands; raises ``Corrupt``."""
        self._source = source
        self._settles = settles
        self.log = PageLog(source, turn)
        newest = View(self.log.newer, pagelog.newest_height(source))
        self._views = {source.get(keys.APPLIED): newest}

    def view_in(self, snapshot: Readable) -> View | None:
        """Return the pages that are newer than the stored ones in a snapshot just taken; None
        when ``VIEWS`` blocks have come since."""
        return self._views.get(snapshot.get(keys.APPLIED))

    def batch(self, block: BlockCommit) -> Batch:
        """Return everything the block writes and drops; when it cannot be written, it was the
        last one."""
        height, log = block.height, self.log
        batch = batch_of(block)
        _, applied = batch[-1]
        lost: list[tuple[bytes, bytes]] = []
        if block.state_height == height:
            settle = None if self._settles is None else self._settles(height)
            step = log.step(height, block, settle=settle)
            batch += step.rows
            if block.replaced is not None and step.settled:
                lost = block.replaced.of_pages(step.settled)
        rows, floor = history.batch(self._source, height, block.replaced, lost)
        batch += rows
        kept_above = log.newer.base
        if floor is not None and floor < kept_above:
            kept_above = pagelog.base_at(self._source, floor)
        batch += log.dropped(kept_above)
        # Before the batch is written: a snapshot finds its pages on either side of it.
        kept = list(self._views.items())[1 - VIEWS :]
        self._views = dict([*kept, (applied, View(log.newer, height))])
        return batch


def follows(ledger: Reader, block: BlockCommit) -> bool:
    """Return False for a repeat; assert that anything else continues ``ledger``."""
    applied = ledger.applied()
    reached = 0 if applied is None else applied.height
    if block.height <= reached:
        row = ledger.block(block.height)
        assert row is not None, f"applied block {block.height} has no row"
        assert row.digest == block.digest, (
            f"block {block.height} is {row.digest.hex()}, not {block.digest.hex()}"
        )
        return False
    assert block.height == reached + 1, f"block {block.height} after {reached}"
    if applied is not None:
        assert block.first_index == applied.log_size, (
            f"leaves from {block.first_index}, log has {applied.log_size}"
        )
    assert ledger.has_body(block.digest), f"body of block {block.height} is not stored"
    return True


def batch_of(commit: BlockCommit) -> Batch:
    """Return what the block writes whatever was there before, the applied height last: all but
    pages and history."""
    height = commit.height
    batch: Batch = [
        (keys.block(height), wire.encode(commit.row())),
        (keys.HEIGHT_OF + commit.digest, keys.be64(height)),
        (keys.seal(height), commit.seal),
        (keys.certificate(height), commit.certificate),
    ]
    batch += [(keys.tile(level, n), hashes) for level, n, hashes in commit.log_tiles]
    batch += [(keys.STATE + key, value) for key, value in commit.state]
    batch += [(keys.TRANSACTION + txid, row) for txid, row in commit.transactions]
    batch += commit.index
    batch.append((keys.APPLIED, wire.encode(commit.applied())))
    return batch
