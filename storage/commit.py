"""One applied block as one batch.

Owns: the list of everything a block writes.  Refuses: writing any part of it separately.
Invariant: block, seal, certificate, log, state, indexes and the applied height move together;
a crash before the batch replays the block from the consensus log, a crash after it finds the
height already moved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from consensus import wire
from storage import keys
from storage.blocks import DIGEST_BYTES, Applied, BlockRow
from storage.history import Replaced

Pairs = Sequence[tuple[bytes, bytes | None]]


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
    state_pages: Pairs
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


def batch_of(commit: BlockCommit) -> list[tuple[bytes, bytes | None]]:
    """Return every pair the block writes, the applied height among them."""
    height = commit.height
    batch: list[tuple[bytes, bytes | None]] = [
        (keys.block(height), wire.encode(commit.row())),
        (keys.HEIGHT_OF + commit.digest, keys.be64(height)),
        (keys.seal(height), commit.seal),
        (keys.certificate(height), commit.certificate),
    ]
    batch += [(keys.tile(level, n), hashes) for level, n, hashes in commit.log_tiles]
    batch += [(keys.STATE + key, value) for key, value in commit.state]
    batch += [(keys.PAGE + key, value) for key, value in commit.state_pages]
    batch += [(keys.TRANSACTION + txid, row) for txid, row in commit.transactions]
    batch += commit.index
    batch.append((keys.APPLIED, wire.encode(commit.applied())))
    return batch
