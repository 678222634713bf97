"""A new store from a verified snapshot: everything that a node needs to go on above it.

Rows of state and the log's tiles are put down as they come, pages of the state tree are
computed again, and at the end both roots must be the certified ones: what was verified chunk by
chunk is verified once more as a whole.  Of every earlier transaction its id is kept with its
place in the log (``node.book.before_snapshot``), so that none commits twice.
Index rows of what happened before are not there: no root covers them.  The list of recorded
contradictions is made again from the state.

Owns: which rows such a store has.  Synchronous; reads one chunk at a time.
Refuses: parts that are damaged or do not give the roots.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from consensus import codec, wire
from node.book import LEAF_PREFIX, TxRow
from node.ledger import accel, frame
from node.ledger import block as blocks
from node.ledger import checkpoint as checkpoints
from node.ledger.families import evidence as evidences
from node.ledger.families.evidence import EvidenceRow
from node.ledger.lineage import Link
from node.ledger.pages import PageCorrupt
from node.ledger.smt import StateTree
from node.ledger.snapshot import Contents, Evidence, LogChunk, Manifest, SnapshotRefused
from node.ledger.statechunk import StateChunk
from node.ledger.tiles import TileLog
from storage import keys
from storage.blocks import Applied, BlockRow
from storage.foundation import Foundation, Pair
from storage.snapshots import chunk_name, read_part

_ROW_BYTES_MAX: Final = 1 << 12

Head = tuple[str, int, bytes]
"""Whose tree head, its size and root."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A snapshot whose manifest and evidence were found good; its chunks are in ``directory``.

    ``position``: the engine's own coordinate of the block, from its certificate.
    """

    directory: Path
    manifest: Manifest
    evidence: Evidence
    contents: Contents
    position: int
    links: tuple[Link, ...] = ()

    def applied(self) -> Applied:
        """Return where the ledger stands at the snapshot."""
        manifest, seal = self.manifest, self.contents.seal
        return Applied(
            height=manifest.height,
            digest=seal.body_digest,
            position=self.position,
            log_size=manifest.log_size,
            log_root=manifest.log_root,
            state_height=seal.state_height,
            state_root=seal.state_root,
            seal_digest=blocks.seal_digest(manifest.seal),
        )


def load(verified: Verified, foundation: Foundation, *, heads: Sequence[Head] = ()) -> None:
    """Fill ``foundation`` and finish it; raises ``SnapshotRefused`` when the whole does not
    give the certified roots or does not contain each of ``heads``, ``Corrupt`` for a damaged
    part, ``StorageFailure``."""
    loader = _Loader(verified, foundation)
    loader.log(heads)
    loader.state()
    loader.block()
    foundation.finish(verified.applied(), verified.manifest.body)


class _Loader:
    def __init__(self, verified: Verified, foundation: Foundation) -> None:
        self._verified = verified
        self._manifest = verified.manifest
        self._seal = verified.contents.seal
        self._store = foundation
        self._own: list[bytes] = []  # ids of the snapshot's own block that are new in it
        self._evidence: list[tuple[bytes, bytes]] = []

    def _chunk(self, number: int) -> bytes:
        raw = read_part(self._verified.directory, chunk_name(number))
        if raw is None:
            raise SnapshotRefused(f"chunk {number} is missing")
        return raw

    def log(self, heads: Sequence[Head]) -> None:
        """Put down tiles and ids."""
        log = TileLog(0, lambda level, n: self._store.get(keys.tile(level, n)))
        for number in range(self._manifest.log_chunks):
            hashes = LogChunk.decode(self._chunk(number)).hashes()
            at = log.size
            rows: list[Pair] = [
                (keys.tile(level, n), tile) for level, n, tile in log.extend(hashes)
            ]
            rows += [
                (keys.TRANSACTION + leaf, keys.be64(index))
                for index, leaf in enumerate(hashes, start=at)
            ]
            self._store.put(rows)
            first = max(self._seal.first_index - at, 0)
            last = min(self._seal.first_index + self._seal.count - at, len(hashes))
            self._own += hashes[first : max(last, 0)]
        if log.root() != self._manifest.log_root:
            raise SnapshotRefused("the leaves together do not give the log root")
        for whose, size, root in heads:
            if size > log.size or log.root(size) != root:
                raise SnapshotRefused(f"it contradicts {whose}")

    def state(self) -> None:
        """Put down the state and the pages of its tree."""
        were: dict[bytes, bytes | None] = {}

        def read(names: list[bytes]) -> list[bytes | None]:
            pages = self._store.pages(names)
            were.update(zip(names, pages, strict=True))
            return pages

        tree = StateTree(lambda name: read([name])[0], read)
        root = tree.root()
        for number in range(self._manifest.log_chunks, self._manifest.chunks):
            pairs = StateChunk.decode(self._chunk(number)).pairs()
            try:
                root, pages = tree.update(dict(pairs))
            except PageCorrupt as error:
                raise SnapshotRefused(str(error)) from error
            rows: list[Pair] = [(keys.STATE + key, value) for key, value in sorted(pairs)]
            settled = [(key, were.get(key), page) for key, page in pages]
            rows += accel.page_rows(keys.NODE, settled)
            self._store.put(rows)
            were.clear()
            self._evidence += [
                pair for pair in pairs if pair[0].startswith(evidences.STATE_PREFIX)
            ]
        if root != self._seal.state_root:
            raise SnapshotRefused("the rows together do not give the state root")

    def block(self) -> None:
        """Put down the newest block and what is derived from it and from the state."""
        self._store.put(self._block_rows())
        self._store.put(self._evidence_rows())

    def _block_rows(self) -> Iterator[Pair]:
        manifest, contents, seal = self._manifest, self._verified.contents, self._seal
        height = manifest.height
        txids = [frame.txid_of(raw) for raw in contents.transactions]
        row = BlockRow(
            height=height,
            digest=seal.body_digest,
            header=contents.header.encode(),
            txids=b"".join(txids),
            position=self._verified.position,
            first_index=seal.first_index,
            count=seal.count,
            results=manifest.results,
            log_root=manifest.log_root,
            state_height=seal.state_height,
            state_root=seal.state_root,
        )
        yield keys.block(height), wire.encode(row)
        if manifest.era_seal:
            yield keys.seal(blocks.decode_seal(manifest.era_seal).height), manifest.era_seal
        for link in self._verified.links:
            # The barrier's own block is not here; that it was certified is known all the same.
            barrier, head = link.era.from_height - 1, checkpoints.parse_note(link.note)[0]
            yield keys.checkpoint(barrier), keys.be64(head.size) + link.note
            yield keys.link(link.era.epoch), wire.encode(link)
        yield keys.seal(height), manifest.seal
        yield keys.certificate(height), self._verified.evidence.certificate
        note = self._verified.evidence.note
        yield keys.checkpoint(height), keys.be64(manifest.log_size) + note
        places: dict[bytes, int] = {txid: at for at, txid in enumerate(txids)}
        for at, txid in enumerate(self._own):
            index = seal.first_index + at
            found = TxRow(height, places[txid], index, contents.codes[at])
            yield keys.TRANSACTION + txid, wire.encode(found)
            yield keys.INDEX + LEAF_PREFIX + keys.be64(index), txid

    def _evidence_rows(self) -> Iterator[Pair]:
        """Yield the list of contradictions anew; of several in one transaction the order is
        that of their keys."""
        for number, (key, raw) in enumerate(sorted(self._evidence)):
            row = wire.decode(EvidenceRow, raw, size_max=_ROW_BYTES_MAX)
            place = self._store.get(keys.TRANSACTION + row.txid)
            if place is None:
                raise SnapshotRefused("a recorded contradiction without its transaction")
            if place[:1] != b"\x00":
                place = keys.be64(codec.decode(place, size_max=_ROW_BYTES_MAX)[2])
            at = place + (number & 0xFFFF).to_bytes(2, "big")
            yield keys.INDEX + evidences.INDEX_PREFIX + at, key
