"""Read everything back and say what is wrong: the storage half of the ledger check.

Owns: bytes, pointers, digests, links, counts.  Refuses: rules that need the ledger's own code
(leaf hashes, the state root); callers pass these as ``verifiers``, which walk the store
through ``iter_blocks``, ``tile`` and ``iter_state``.  Refuses to repair anything.
Invariant: damage becomes a finding, never an exception, and every walk carries on as far as
what it found allows.

Rules checked for every height: the row is there and is of that height; body digest =
sha256(tag || header); the header names this network, this height and the parent's digest; the
Merkle root of the txids is the header's; the body's pointer resolves to a record that says it
is this body; the seal names the same height, digest and leaves, the results' root, and the
digest of the previous seal; a certificate is there; leaves are contiguous.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from consensus import codec
from consensus.codec import Malformed
from storage import keys, schema
from storage.blocks import ROW_BYTES_MAX, BlockRow, body_digest
from storage.errors import Corrupt, SchemaMismatch, StorageFailure
from storage.layout import KV_NAME
from storage.level import LevelKV
from storage.store import Store

SEAL_TAG: Final = b"chartseal/seal/v1\0"
TILE_HASHES: Final = 256
_HEADER_FIELDS: Final = 8
_SEAL_FIELDS: Final = 10


class Code(Enum):
    """What a finding says; the values are stable."""

    KV_DAMAGED = "kv-damaged"  # where in LevelDB's files
    KV_UNREADABLE = "kv-unreadable"
    SEGMENT_CORRUPT = "segment-corrupt"
    BLOCK_MISSING = "block-missing"
    BLOCK_UNREADABLE = "block-unreadable"
    DIGEST_WRONG = "digest-wrong"
    HEADER_WRONG = "header-wrong"
    PARENT_BROKEN = "parent-broken"
    TXIDS_WRONG = "txids-wrong"
    BODY_MISSING = "body-missing"
    BODY_CORRUPT = "body-corrupt"
    SEAL_MISSING = "seal-missing"
    SEAL_WRONG = "seal-wrong"
    SEAL_CHAIN_BROKEN = "seal-chain-broken"
    CERTIFICATE_MISSING = "certificate-missing"
    LOG_GAP = "log-gap"
    TILE_WRONG = "tile-wrong"
    APPLIED_WRONG = "applied-wrong"
    LEDGER_WRONG = "ledger-wrong"  # for verifiers
    BYTES_WRONG = "bytes-wrong"  # a file of a copy
    SIGNER_WRONG = "signer-wrong"  # of a copy
    SIGN_MARK_WRONG = "sign-mark-wrong"  # for verifiers


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong at one place; ``detail`` carries sizes and digests, no content."""

    code: Code
    where: str
    detail: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was read and what was found."""

    pairs: int
    records: int
    blocks: int
    tiles: int
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        return not self.findings


Verifier = Callable[[Store], Iterable[Finding]]
Progress = Callable[[str, int, int], None]  # stage, done, total (0: not known)


def check(
    target: Store | Path,
    *,
    verifiers: Sequence[Verifier] = (),
    progress: Progress = lambda _stage, _done, _total: None,
) -> CheckReport:
    """Return what is wrong with a store, or with the data directory of a stopped node.

    A directory is opened for the time of the check, which takes its lock and cuts a torn
    tail as a start would.  Raises ``DataDirLocked``, ``DataDirMissing`` or ``SchemaMismatch``;
    a directory too damaged to open is a finding.
    """
    with ExitStack() as stack:
        if isinstance(target, Store):
            store = target
        else:
            try:
                store = stack.enter_context(_open(target))
            except StorageFailure as failure:
                finding = Finding(Code.KV_UNREADABLE, str(target), str(failure))
                return CheckReport(0, 0, 0, 0, (finding,))
        return _Check(store, progress).run(verifiers)


def _open(data_dir: Path) -> Store:
    kv = LevelKV(data_dir / KV_NAME, create=False)
    try:
        record = schema.read(kv)
    finally:
        kv.close()
    if record is None:
        raise SchemaMismatch(found=None, expected=schema.SCHEMA_VERSION)
    return Store.open(data_dir, network=record.network)


class _Check:
    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._progress = progress
        self._findings: list[Finding] = []
        self._pairs = self._records = self._blocks = self._tiles = 0
        self._network = b""
        self._lowest_body = store.lowest_body()

    def run(self, verifiers: Sequence[Verifier]) -> CheckReport:
        try:
            self._read_pairs()
            self._read_segments()
            self._read_waiting_bodies()
            self._walk_blocks()
            self._count_tiles()
            for verifier in verifiers:
                self._findings.extend(verifier(self._store))
        except StorageFailure as failure:
            # LevelDB itself cannot be read on: what follows would be noise.
            self._found(Code.KV_UNREADABLE, "LevelDB", str(failure))
        return CheckReport(
            self._pairs, self._records, self._blocks, self._tiles, tuple(self._findings)
        )

    def _found(self, code: Code, where: str, detail: str) -> None:
        self._findings.append(Finding(code, where, detail))

    def _read_pairs(self) -> None:
        for key, raw in self._store.scan_all():
            self._pairs += 1
            if key == keys.SCHEMA:
                self._network = codec.decode(raw, size_max=ROW_BYTES_MAX)[1]
            if self._pairs % 4096 == 0:
                self._progress("pairs", self._pairs, 0)

    def _read_segments(self) -> None:
        numbers = self._store.segments.numbers()
        for done, number in enumerate(numbers):
            self._progress("segments", done, len(numbers))
            try:
                for _ in self._store.segments.iter_records(number):
                    self._records += 1
            except Corrupt as damage:
                self._found(Code.SEGMENT_CORRUPT, damage.where, damage.what)

    def _read_waiting_bodies(self) -> None:
        """Resolve the pointers of bodies not applied yet; the walk does the others."""
        for digest in self._store.body_digests():
            if self._store.height_of(digest) is None:
                self._check_body(digest, f"waiting body {digest.hex()[:16]}")

    # --- blocks ----------------------------------------------------------------------------

    def _walk_blocks(self) -> None:
        applied = self._store.applied()
        top = 0 if applied is None else applied.height
        lowest = self._store.lowest()
        # A ledger that began with a snapshot has nothing below its block to compare with.
        parent = parent_seal = self._network if lowest == 1 else b""
        next_index: int | None = None
        row: BlockRow | None = None
        for height in range(lowest, top + 1):
            self._progress("blocks", height, top)
            row = self._row(height)
            if row is None:
                parent = parent_seal = b""
                next_index = None
                continue
            self._blocks += 1
            self._check_header(row, parent)
            self._check_body(row.digest, f"block {height}", height)
            parent_seal = self._check_seal(row, parent_seal)
            if not self._store.certificate(height):
                self._found(Code.CERTIFICATE_MISSING, f"block {height}", "no certificate")
            if next_index is not None and row.first_index != next_index:
                detail = f"leaves from {row.first_index}, expected {next_index}"
                self._found(Code.LOG_GAP, f"block {height}", detail)
            parent, next_index = row.digest, row.log_size
        if self._store.block(top + 1) is not None:
            self._found(Code.APPLIED_WRONG, f"block {top + 1}", "row above the applied height")
        if applied is not None and row is not None:
            reached = (row.height, row.digest, row.log_size, row.log_root, row.state_root)
            stands = (
                applied.height,
                applied.digest,
                applied.log_size,
                applied.log_root,
                applied.state_root,
            )
            if reached != stands or applied.seal_digest != parent_seal:
                self._found(Code.APPLIED_WRONG, f"block {top}", "applied record differs")

    def _row(self, height: int) -> BlockRow | None:
        try:
            row = self._store.block(height)
        except Corrupt as damage:
            self._found(Code.BLOCK_UNREADABLE, damage.where, damage.what)
            return None
        if row is None:
            self._found(Code.BLOCK_MISSING, f"block {height}", "no row")
        elif row.height != height or self._store.height_of(row.digest) != height:
            self._found(Code.BLOCK_UNREADABLE, f"block {height}", "row of another height")
        return row

    def _check_header(self, row: BlockRow, parent: bytes) -> None:
        where = f"block {row.height}"
        if body_digest(row.header) != row.digest:
            detail = f"header gives {body_digest(row.header).hex()[:16]}, row says otherwise"
            self._found(Code.DIGEST_WRONG, where, detail)
        header = _fields(row.header, _HEADER_FIELDS)
        if header is None or header[1] != self._network or header[3] != row.height:
            self._found(Code.HEADER_WRONG, where, "not a header of this network and height")
            return
        if parent and header[4] != parent:
            self._found(Code.PARENT_BROKEN, where, f"parent is not {parent.hex()[:16]}")
        txids = [row.txids[at : at + 32] for at in range(0, len(row.txids), 32)]
        if header[7] != merkle_root(txids):
            self._found(Code.TXIDS_WRONG, where, f"root of {len(txids)} txids differs")

    def _check_body(self, digest: bytes, where: str, height: int | None = None) -> None:
        if height is not None and height < self._lowest_body:
            if self._store.has_body(digest):
                self._found(Code.BODY_CORRUPT, where, "a body below the floor of kept ones")
            return
        try:
            if self._store.body(digest) is None:
                self._found(Code.BODY_MISSING, where, f"no body {digest.hex()[:16]}")
        except Corrupt as damage:
            self._found(Code.BODY_CORRUPT, f"{where}, {damage.where}", damage.what)

    def _check_seal(self, row: BlockRow, parent_seal: bytes) -> bytes:
        """Report on the seal and return its digest, empty when there is none."""
        where = f"block {row.height}"
        data = self._store.seal(row.height)
        if data is None:
            self._found(Code.SEAL_MISSING, where, "no seal")
            return b""
        seal = (
            _fields(data.removeprefix(SEAL_TAG), _SEAL_FIELDS)
            if data.startswith(SEAL_TAG)
            else None
        )
        codes = (row.results[at : at + 2] for at in range(0, len(row.results), 2))
        results_root = merkle_root([sha256(b"\x00" + code).digest() for code in codes])
        if seal is None or [seal[0], seal[2], *seal[4:9]] != [
            row.height,
            row.digest,
            row.first_index,
            row.count,
            results_root,
            row.state_height,
            row.state_root,
        ]:
            self._found(Code.SEAL_WRONG, where, "seal and block row differ")
        elif parent_seal and seal[1] != parent_seal:
            self._found(Code.SEAL_CHAIN_BROKEN, where, f"not after {parent_seal.hex()[:16]}")
        return sha256(data).digest()

    # --- log -------------------------------------------------------------------------------

    def _count_tiles(self) -> None:
        applied = self._store.applied()
        for level, n, hashes in expected_tiles(0 if applied is None else applied.log_size):
            self._tiles += 1
            tile = self._store.tile(level, n)
            found = 0 if tile is None else len(tile)
            if found != 32 * hashes:
                detail = f"{found} bytes, expected {32 * hashes}"
                self._found(Code.TILE_WRONG, f"tile {level}/{n}", detail)
            if self._tiles % 4096 == 0:
                self._progress("tiles", self._tiles, 0)


def expected_tiles(log_size: int) -> Iterator[tuple[int, int, int]]:
    """Yield (level, n, hashes) for every tile a log of ``log_size`` leaves must have."""
    level, hashes = 0, log_size
    while hashes:
        full, rest = divmod(hashes, TILE_HASHES)
        yield from ((level, n, TILE_HASHES) for n in range(full))
        if rest:
            yield level, full, rest
        level, hashes = level + 1, full


def merkle_root(leaves: list[bytes]) -> bytes:
    """Return the RFC 6962 root over leaf hashes (section 2.1)."""
    if not leaves:
        return sha256(b"").digest()
    # Pairing level by level and carrying an odd last node up gives the same tree as the
    # RFC's split at the largest power of two.
    while len(leaves) > 1:
        paired = [
            sha256(b"\x01" + leaves[at] + leaves[at + 1]).digest()
            for at in range(0, len(leaves) - 1, 2)
        ]
        leaves = paired + leaves[len(leaves) - len(leaves) % 2 :]
    return leaves[0]


def _fields(raw: bytes, count: int) -> list[Any] | None:
    try:
        value = codec.decode(raw, size_max=ROW_BYTES_MAX)
    except Malformed:
        return None
    return value if type(value) is list and len(value) == count else None
