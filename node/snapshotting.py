"""Making a snapshot of the ledger from one moment's view of the store, while blocks go on.

The state is read twice: once to learn how large it is, which says how deep it is cut, and once
to sort its rows by their place in the tree.  What does not fit ``SPOOL_BYTES_MAX`` of memory is
spooled to files beside the snapshot.  Every chunk is verified as its receiver would do it
before it is written: a damaged row ends the making and is never handed on.

Owns: the walk and its bounds.  Synchronous, for a thread of its own.
Refuses: a height whose state root is older, and one that no certified checkpoint covers.
"""

import shutil
import struct
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from consensus.codec import Malformed
from node.ledger import block as blocks
from node.ledger import checkpoint as checkpoints
from node.ledger import eras, snapshot, statechunk
from node.ledger import lineage as lineages
from node.ledger.eras import Era
from node.ledger.lineage import Lineage, Link
from node.ledger.pages import PageCorrupt
from node.ledger.snapshot import LOG_CHUNK_LEAVES, Evidence, LogChunk, Manifest
from node.ledger.statechunk import Place, Row
from node.ledger.tiles import TileLog
from node.lineage_keeping import link_from
from storage.blocks import Applied
from storage.errors import Corrupt
from storage.reader import Reader
from storage.snapshots import EVIDENCE, MANIFEST, Draft, Snapshots, chunk_name

SPOOL_BYTES_MAX: Final = 32 << 20
_HEAD: Final = struct.Struct(">II")


class SnapshotUnready(Exception):
    """There is no certified checkpoint over the newest block, or its state has no root yet."""

    code = "snapshot-unready"


def certified_at(view: Reader, applied: Applied | None, note: bytes | None) -> Applied:
    """Return where the ledger stands if a snapshot can be made there; ``note`` is the
    checkpoint over it.  Raises ``SnapshotUnready``."""
    if applied is None or note is None:
        raise SnapshotUnready("no certified checkpoint covers exactly the newest block")
    head, _ = checkpoints.parse_note(note)
    if (head.size, head.root) != (applied.log_size, applied.log_root):
        raise SnapshotUnready("no certified checkpoint covers exactly the newest block")
    if applied.state_height != applied.height:
        raise SnapshotUnready("the newest block has no state root of its own")
    if view.lowest() > applied.height:
        raise SnapshotUnready("the newest block is not kept")
    return applied


def make(view: Reader, snapshots: Snapshots, note: bytes) -> int:
    """Make and publish the snapshot of ``view``; return its height.

    Raises ``SnapshotUnready``, ``Corrupt`` when what is stored does not give the roots that
    were sealed, ``StorageFailure``.
    """
    applied = certified_at(view, view.applied(), note)
    try:
        lineage = _lineage(view, applied)
    except (Malformed, ValueError) as error:
        raise Corrupt(str(error), where="the state's rows of eras") from error
    draft = snapshots.draft(applied.height)
    try:
        _write(view, applied, draft, note, lineage)
    except BaseException:
        draft.abandon()
        raise
    draft.publish()
    return applied.height


def _lineage(view: Reader, applied: Applied) -> bytes:
    """Return the links up to the era that ordered the newest block; nothing for the founders'.

    Raises ``SnapshotUnready`` while this node lacks one of them.
    """
    links: list[Link] = []
    for epoch in range(1, eras.era_from(view.state_get).epoch + 1):
        era = eras.era_of(view.state_get, epoch)
        assert era is not None, "every epoch up to the newest has its row"
        if era.from_height > applied.height:
            break  # begun by the newest block, which the era before it ordered
        link = link_from(view, epoch) or _link(view, applied, era)
        if link is None:
            raise SnapshotUnready(f"the link to epoch {epoch} is not proven here yet")
        links.append(link)
    return lineages.encode(Lineage(tuple(links))) if links else b""


def _link(view: Reader, applied: Applied, era: Era) -> Link | None:
    """Return the link to ``era`` made of what is on disk: the lineage may keep it later."""
    barrier = era.from_height - 1
    note, seal = view.checkpoint(barrier), view.seal(barrier)
    if note is None or seal is None:
        return None
    size = checkpoints.parse_note(note)[0].size
    log = TileLog(applied.log_size, view.tile)
    return Link(note, seal, tuple(log.inclusion_path(size - 1, size)), era)


def _write(view: Reader, applied: Applied, draft: Draft, note: bytes, lineage: bytes) -> None:
    log = TileLog(applied.log_size, view.tile)
    number = 0
    for start in range(0, log.size, LOG_CHUNK_LEAVES):
        end = min(start + LOG_CHUNK_LEAVES, log.size)
        chunk = LogChunk(log.leaves(start, end), tuple(log.node_path(start, end)))
        draft.write(chunk_name(number), chunk.encode())
        number += 1
    depths = bytearray()
    try:
        for place, rows in _cut(view, draft.path):
            draft.write(chunk_name(number), _chunk(view, applied, place, rows))
            depths.append(place.depth)
            number += 1
    except (PageCorrupt, statechunk.ChunkRefused) as error:
        raise Corrupt(str(error), where="the state") from error
    manifest = _manifest(view, applied, log, bytes(depths))
    certificate = view.certificate(applied.height)
    assert certificate is not None, "one batch"
    draft.write(EVIDENCE, Evidence(note, certificate, lineage).encode())
    draft.write(MANIFEST, manifest.encode())


def _chunk(view: Reader, applied: Applied, place: Place, rows: list[Row]) -> bytes:
    siblings = statechunk.siblings_of(view.page, place.prefix, place.depth)
    chunk = statechunk.chunk_of(siblings, rows)
    statechunk.verify_chunk(
        applied.state_root, place.prefix, place.depth, chunk.pairs(), siblings
    )
    return chunk.encode()


def _manifest(view: Reader, applied: Applied, log: TileLog, depths: bytes) -> Manifest:
    row, seal, body = (
        view.block(applied.height),
        view.seal(applied.height),
        view.body(applied.digest),
    )
    assert row is not None, "one batch"
    assert seal is not None, "one batch"
    assert body is not None, "the newest block keeps its body"
    era = eras.era_from(view.state_get)
    era_seal = b""
    era_path: tuple[bytes, ...] = ()
    if era.epoch:
        era_seal = view.seal(era.from_height - 1) or b""
        assert era_seal, "the block that began the era is kept"
        opened = blocks.decode_seal(era_seal)
        index = opened.first_index + opened.count
        era_path = tuple(log.inclusion_path(index, log.size))
    return Manifest(
        version=snapshot.VERSION,
        network=blocks.decode_header(row.header).network,
        height=applied.height,
        log_size=applied.log_size,
        log_root=applied.log_root,
        body=body,
        results=row.results,
        seal=seal,
        seal_path=tuple(log.inclusion_path(log.size - 1, log.size)),
        era_seal=era_seal,
        era_path=era_path,
        state_depths=depths,
    )


# --- the state by place -------------------------------------------------------------------


def _cut(view: Reader, directory: Path) -> Iterator[tuple[Place, list[Row]]]:
    """Yield every place with its rows, from the left of the tree."""
    total = sum(len(key) + len(value) for key, value in view.iter_state())
    depth = statechunk.depth_for(total)
    spool = _Spool(directory / "spool", depth)
    try:
        for key, value in view.iter_state():
            spool.add(key, value)
        for prefix in range(1 << depth):
            yield from statechunk.cut(Place(prefix, depth), spool.take(prefix))
    finally:
        spool.close()


class _Spool:
    """Rows by the first bits of their place; the largest part of them on disk."""

    def __init__(self, directory: Path, depth: int) -> None:
        self._directory = directory
        self._shift = 256 - depth
        self._held: dict[int, bytearray] = {}
        self._bytes = 0

    def add(self, key: bytes, value: bytes) -> None:
        prefix = int.from_bytes(sha256(key).digest(), "big") >> self._shift
        held = self._held.get(prefix)
        if held is None:
            held = self._held[prefix] = bytearray()
        held += _HEAD.pack(len(key), len(value)) + key + value
        self._bytes += _HEAD.size + len(key) + len(value)
        if self._bytes > SPOOL_BYTES_MAX:
            self._spill()

    def _spill(self) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        for prefix, held in self._held.items():
            with self._path(prefix).open("ab") as file:
                file.write(held)
        self._held, self._bytes = {}, 0

    def take(self, prefix: int) -> list[Row]:
        path = self._path(prefix)
        raw = bytes(self._held.pop(prefix, b""))
        if path.exists():
            raw = path.read_bytes() + raw
            path.unlink()
        rows: list[Row] = []
        at = 0
        while at < len(raw):
            key_bytes, value_bytes = _HEAD.unpack_from(raw, at)
            at += _HEAD.size
            middle, end = at + key_bytes, at + key_bytes + value_bytes
            rows.append((raw[at:middle], raw[middle:end]))
            at = end
        return rows

    def _path(self, prefix: int) -> Path:
        return self._directory / f"{prefix:010x}"

    def close(self) -> None:
        """Remove the files: they are no part of the snapshot."""
        shutil.rmtree(self._directory, ignore_errors=True)
