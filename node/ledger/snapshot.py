"""A snapshot of the ledger: what a node needs that never saw the blocks before it, all proven.

Theory of operation.  A snapshot is made after one block, at a height whose state has a root of
its own.  Its ``Manifest`` holds that block with its outcomes and says how state and log are cut
into chunks; equal ledgers give equal bytes, so what several members serve under one digest can
be fetched from all of them at once.  What differs from member to member (which cosignatures,
which commit certificate) is ``Evidence`` and stands beside it.  A certified checkpoint proves
the log; the block's seal, its last leaf, proves the block and the state root; chunks of state
are proven against that root, chunks of the log against the log root.

The log comes whole: every leaf hash, 32 bytes each.  The frontier alone would let a node go
on appending; but leaf hashes are transaction ids, and which ids the chain holds decides what
an applied block is.  A body may repeat any transaction, also one that has expired: whoever
knew only those that can still be applied would give an old one a leaf that the others do not.

Owns: these forms, their verification, the chunks of the log.  Refuses: I/O, and to trust a
member: the policy is the caller's, from genesis and the chain of eras.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, TypeVar

from consensus import wire
from consensus.codec import Malformed
from node.ledger import block as blocks
from node.ledger import checkpoint as checkpoints
from node.ledger import merkle, statechunk
from node.ledger.block import BlockMalformed, Header, Seal
from node.ledger.checkpoint import CheckpointMalformed, Policy
from node.ledger.statechunk import ChunkRefused

T = TypeVar("T")
VERSION: Final = 1
TAG: Final = b"chartseal/snapshot/v1\x00"
LOG_CHUNK_LEAVES: Final = 1 << 14  # 512 KiB of hashes
# Each travels in a frame of at most 4 MiB.
MANIFEST_BYTES_MAX: Final = statechunk.ENCODED_BYTES_MAX
EVIDENCE_BYTES_MAX: Final = statechunk.ENCODED_BYTES_MAX
_PATH_MAX: Final = 64


class SnapshotRefused(Exception):
    """A manifest, its evidence or a chunk of the log is not what it claims to be."""

    code = "snapshot-invalid"


@dataclass(frozen=True, slots=True)
class Manifest:
    """``body`` is of the block at ``height``, ``results`` its outcomes (be16 each), ``seal``
    the last of ``log_size`` leaves.  ``state_depths``: a byte for each chunk of state, from the
    left of the tree.  ``era_seal``: the seal of the block that began the era in force there;
    empty for the founders' era.
    """

    version: int
    network: bytes
    height: int
    log_size: int
    log_root: bytes
    body: bytes
    results: bytes
    seal: bytes
    seal_path: tuple[bytes, ...]
    era_seal: bytes
    era_path: tuple[bytes, ...]
    state_depths: bytes

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise ValueError("unknown version")
        if self.height < 1 or not 1 <= self.log_size <= checkpoints.TREE_SIZE_MAX:
            raise ValueError("heights and log sizes begin at 1")
        if max(len(self.seal_path), len(self.era_path)) > _PATH_MAX:
            raise ValueError("a path is longer than any tree is high")
        if not 1 <= len(self.state_depths) <= statechunk.CHUNKS_MAX:
            raise ValueError("a state has 1 to 2^20 chunks")

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return wire.encode(self)

    @classmethod
    def decode(cls, raw: bytes) -> "Manifest":
        """Inverse of ``encode``; raises ``SnapshotRefused``."""
        return _decode(cls, raw, MANIFEST_BYTES_MAX)

    @property
    def log_chunks(self) -> int:
        return -(-self.log_size // LOG_CHUNK_LEAVES)

    @property
    def state_chunks(self) -> int:
        return len(self.state_depths)

    @property
    def chunks(self) -> int:
        """All chunks; those of the log come first."""
        return self.log_chunks + self.state_chunks


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why one member may be believed: the certified checkpoint over the manifest's log, the
    block's commit certificate, and how the signers of the checkpoint follow from genesis
    (empty: they are the founders)."""

    note: bytes
    certificate: bytes
    lineage: bytes

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return wire.encode(self)

    @classmethod
    def decode(cls, raw: bytes) -> "Evidence":
        """Inverse of ``encode``; raises ``SnapshotRefused``."""
        return _decode(cls, raw, EVIDENCE_BYTES_MAX)


def _decode(kind: type[T], raw: bytes, size_max: int) -> T:
    try:
        return wire.decode(kind, raw, size_max=size_max)
    except Malformed as error:
        raise SnapshotRefused(str(error)) from error


def digest_of(manifest: bytes) -> bytes:
    """Return the name of a snapshot: the digest of its manifest's bytes."""
    return hashlib.sha256(TAG + manifest).digest()


# --- verification -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Contents:
    """What a manifest says of its block, opened and found consistent."""

    seal: Seal
    header: Header
    transactions: tuple[bytes, ...]
    codes: tuple[int, ...]


def open_manifest(manifest: Manifest, network: bytes, *, body_bytes_max: int) -> Contents:
    """Return the block of ``manifest``; raises ``SnapshotRefused`` unless everything in it
    follows from its log root."""
    try:
        seal = blocks.decode_seal(manifest.seal)
        header, raws = blocks.decode_body(manifest.body, size_max=body_bytes_max)
        list(statechunk.places(manifest.state_depths))
    except (BlockMalformed, ChunkRefused) as error:
        raise SnapshotRefused(str(error)) from error
    raw = manifest.results
    codes = tuple(int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2))
    last = manifest.log_size - 1
    wrong = (
        (manifest.network != network, "another network's"),
        (header.network != network, "its block is another network's"),
        (seal.height != manifest.height or header.height != seal.height, "heights differ"),
        (seal.state_height != seal.height, "its state has no root of its own"),
        (seal.first_index + seal.count != last, "its seal is not the last leaf"),
        (seal.body_digest != blocks.body_digest(header.encode()), "another block's body"),
        (seal.time_ms != header.time_ms, "times differ"),
        (len(raw) != 2 * seal.count, "outcomes are missing"),
        (seal.results_root != blocks.results_root(list(codes)), "other outcomes"),
        (not _in_log(manifest, manifest.seal, last, manifest.seal_path), "seal not in the log"),
        (not _era_in_log(manifest), "the era's seal is not in the log"),
    )
    for failed, why in wrong:
        if failed:
            raise SnapshotRefused(why)
    return Contents(seal, header, tuple(raws), codes)


def _in_log(manifest: Manifest, seal: bytes, index: int, path: tuple[bytes, ...]) -> bool:
    return merkle.verify_inclusion(
        merkle.leaf_hash(seal),
        index=index,
        size=manifest.log_size,
        path=path,
        root=manifest.log_root,
    )


def _era_in_log(manifest: Manifest) -> bool:
    if not manifest.era_seal:
        return not manifest.era_path
    try:
        seal = blocks.decode_seal(manifest.era_seal)
    except BlockMalformed:
        return False
    index = seal.first_index + seal.count
    return _in_log(manifest, manifest.era_seal, index, manifest.era_path)


def check_evidence(manifest: Manifest, evidence: Evidence, policy: Policy) -> None:
    """Raise ``SnapshotRefused`` unless a quorum of ``policy`` cosigned the manifest's log."""
    try:
        head, _ = checkpoints.parse_note(evidence.note)
        signers = checkpoints.count_valid(evidence.note, policy)
    except CheckpointMalformed as error:
        raise SnapshotRefused(str(error)) from error
    if len(signers) < policy.quorum:
        raise SnapshotRefused(f"{len(signers)} valid cosignatures, {policy.quorum} needed")
    if (head.size, head.root) != (manifest.log_size, manifest.log_root):
        raise SnapshotRefused("the checkpoint is over another log")


# --- chunks -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogChunk:
    """``leaves``: up to ``LOG_CHUNK_LEAVES`` leaf hashes; ``path``: from the root over them
    to that of the log."""

    leaves: bytes
    path: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not 32 <= len(self.leaves) <= 32 * LOG_CHUNK_LEAVES or len(self.leaves) % 32:
            raise ValueError("a chunk has 1 to 16384 hashes of 32 bytes")
        if len(self.path) > _PATH_MAX:
            raise ValueError("a path is longer than any tree is high")

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return wire.encode(self)

    @classmethod
    def decode(cls, raw: bytes) -> "LogChunk":
        """Inverse of ``encode``; raises ``SnapshotRefused``."""
        return _decode(cls, raw, statechunk.ENCODED_BYTES_MAX)

    def hashes(self) -> list[bytes]:
        """Return the leaf hashes one by one."""
        return [self.leaves[at : at + 32] for at in range(0, len(self.leaves), 32)]


class Chunks:
    """Verifies the chunks of one manifest that ``open_manifest`` took."""

    def __init__(self, manifest: Manifest, state_root: bytes) -> None:
        self._manifest = manifest
        self._state_root = state_root
        self._places = list(statechunk.places(manifest.state_depths))

    def check(self, number: int, raw: bytes) -> None:
        """Raise ``SnapshotRefused`` unless ``raw`` is chunk ``number`` of the snapshot."""
        first = self._manifest.log_chunks
        if number < first:
            _check_log_chunk(self._manifest, number, LogChunk.decode(raw))
            return
        place = self._places[number - first]
        try:
            chunk = statechunk.StateChunk.decode(raw)
            statechunk.verify_chunk(
                self._state_root, place.prefix, place.depth, chunk.pairs(), chunk.siblings
            )
        except ChunkRefused as error:
            raise SnapshotRefused(str(error)) from error


def _check_log_chunk(manifest: Manifest, number: int, chunk: LogChunk) -> None:
    start = number * LOG_CHUNK_LEAVES
    count = min(LOG_CHUNK_LEAVES, manifest.log_size - start)
    if len(chunk.leaves) != 32 * count:
        raise SnapshotRefused("a chunk of the log with a wrong number of leaves")
    # Chunks are aligned, so their roots are the leaves of the same tree over fewer leaves.
    if not merkle.verify_inclusion(
        merkle.root(chunk.hashes()),
        index=number,
        size=manifest.log_chunks,
        path=chunk.path,
        root=manifest.log_root,
    ):
        raise SnapshotRefused("leaves and path do not give the log root")
