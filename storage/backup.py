"""Online backup: one LevelDB snapshot as row files, the segments beside it, a signed manifest.

Theory of operation.  The snapshot is taken first; its tail names the last body that it can
speak of, and bytes before a tail never change, so segments are copied while the node writes on.
Rows go letter by letter into chunks that are cut where the key's hash says so: a row that
changes moves the chunk it is in and no other.  Sealed segments that the previous backup has are
not read again.
Left out on purpose: consensus records (a copy that remembers votes would vote again) and local
rows (they are sealed under a secret that stays with the node).

Owns: what is copied, in which order.  Refuses: keys, marks, secrets; it is given none.
Invariant: chunks, then the manifest.  A crash anywhere leaves the backups that were there, and
chunks that the next prune removes.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storage import keys, manifest, schema
from storage.blocks import Applied
from storage.chunks import CHUNK_BYTES, ChunkDamaged, Chunks
from storage.lock import DirectoryLock
from storage.manifest import BackupInvalid, FileEntry, Found, Manifest, Sign, Verify
from storage.segments import Pointer
from storage.store import Store
from storage.view import Snapshot

LETTERS: Final = (
    keys.BODY,
    keys.HEIGHT_OF,
    keys.CERTIFICATE,
    keys.BLOCK,
    keys.INDEX,
    keys.PAGE_LOG,
    keys.CHECKPOINT,
    keys.TILE,
    b"m",
    keys.NODE,
    keys.PAGES_WERE,
    keys.STATE,
    keys.TRANSACTION,
    keys.STATE_WAS,
    keys.WAS_AT,
    keys.LINEAGE,
    keys.SEAL,
)
CUT_BYTES_MIN: Final = 64 << 10
CUT_MASK: Final = 0x7FF  # one key in 2048 may end a chunk
_END_BYTES: Final = 64

Progress = Callable[[str, int, int], None]  # what, bytes done, bytes known


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who makes the backup, and the files that go with it: genesis, settings, public keys."""

    node: str
    software: str
    key: bytes  # Ed25519, public
    sign: Sign
    documents: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Made:
    manifest: Manifest
    path: Path
    written_bytes: int  # what was not in the directory before


def create(
    store: Store,
    directory: Path,
    origin: Origin,
    *,
    network: bytes,
    now_ms: int,
    link: bool = False,
    progress: Progress = lambda _what, _done, _total: None,
) -> Made:
    """Add a backup of ``store`` to ``directory`` and return it, durable.

    ``link``: sealed segments become second names of the store's own files where the file system
    can do that; such a copy is lost together with the disk.  Works beside a running node.
    Raises ``OSError``, ``DataDirLocked`` when another backup is under way, ``StorageFailure``.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with DirectoryLock(directory), store.upkeep, store.snapshot() as view:
        maker = _Maker(store, view, directory, link=link, progress=progress)
        files = [*maker.rows(), *maker.segments()]
        files += [
            maker.document(f"documents/{name}", raw) for name, raw in origin.documents.items()
        ]
        made = _manifest(view, files, origin, maker, network=network, now_ms=now_ms)
        path = manifest.write(directory, made, key=origin.key, sign=origin.sign)
        return Made(made, path, maker.chunks.written_bytes)


def _manifest(
    view: Snapshot,
    files: list[FileEntry],
    origin: Origin,
    maker: "_Maker",
    *,
    network: bytes,
    now_ms: int,
) -> Manifest:
    applied = view.applied() or Applied(0, b"", 0, 0, b"", 0, b"", b"")
    newest = view.latest_checkpoint()
    taken = {path.name for path in maker.known}
    while manifest.name_of(now_ms, applied.height) + manifest.SUFFIX in taken:
        now_ms += 1000  # two within a second: names are unique and in order
    return Manifest(
        format=manifest.FORMAT,
        created_ms=now_ms,
        node=origin.node,
        network=network,
        software=origin.software,
        schema=schema.SCHEMA_VERSION,
        height=applied.height,
        block=applied.digest,
        log_size=applied.log_size,
        log_root=applied.log_root,
        state_height=applied.state_height,
        state_root=applied.state_root,
        lowest_body=view.lowest_body(),
        checkpoint_height=0 if newest is None else newest[0],
        checkpoint=b"" if newest is None else newest[1],
        previous=maker.previous_digest,
        rows=maker.count,
        files=tuple(sorted(files, key=lambda item: item.name)),
    )


class _Maker:
    def __init__(
        self, store: Store, view: Snapshot, directory: Path, *, link: bool, progress: Progress
    ) -> None:
        self._store = store
        self._view = view
        self._link = link
        self._progress = progress
        self.chunks = Chunks(directory)
        self.count = 0
        self.known = manifest.paths(directory)
        self.previous_digest, self._before = self._previous()

    def _previous(self) -> tuple[bytes, dict[str, FileEntry]]:
        """Return the newest readable manifest's digest and files.

        Only a saving rests on it, and whoever could write there could also change the chunks:
        no signature is asked for here.
        """
        for path in reversed(self.known):
            with suppress(BackupInvalid):
                found = manifest.read(path, verify=lambda _key, _said, _by: True)
                return found.digest, {item.name: item for item in found.manifest.files}
        return b"", {}

    def document(self, name: str, raw: bytes) -> FileEntry:
        return FileEntry(name, len(raw), sealed=True, chunks=(self.chunks.put(raw),))

    # --- rows --------------------------------------------------------------------------------

    def rows(self) -> Iterator[FileEntry]:
        for letter in LETTERS:
            chunks = tuple(self.chunks.put(part) for part in self._cut(letter))
            size = sum(chunk.size for chunk in chunks)
            name = f"rows/{letter.decode('ascii')}"
            self._progress(name, size, 0)
            yield FileEntry(name, size, sealed=False, chunks=chunks)

    def _cut(self, letter: bytes) -> Iterator[bytes]:
        parts: list[bytes] = []
        size = 0
        for key, value in self._view.raw_rows(letter):
            self.count += 1
            parts += (len(key).to_bytes(4, "big"), key, len(value).to_bytes(4, "big"), value)
            size += 8 + len(key) + len(value)
            ends = size >= CUT_BYTES_MIN and not zlib.crc32(key) & CUT_MASK
            if ends or size >= CHUNK_BYTES:
                yield b"".join(parts)
                parts, size = [], 0
        if parts:
            yield b"".join(parts)

    # --- segments ----------------------------------------------------------------------------

    def segments(self) -> Iterator[FileEntry]:
        raw = self._view.raw_value(keys.TAIL)
        if raw is None:
            return
        tail = Pointer.decode(raw)
        numbers = [n for n in self._store.segments.numbers() if n <= tail.segment]
        for number in numbers:
            path = self._store.segments.path(number)
            sealed = number < tail.segment
            size = path.stat().st_size if sealed else tail.end
            self._progress(f"segment {number}", number, tail.segment)
            yield self._segment(path, size, sealed=sealed)

    def _segment(self, path: Path, size: int, *, sealed: bool) -> FileEntry:
        name = f"segments/{path.name}"
        before = self._before.get(name)
        if sealed and before is not None and self._same(path, before, size):
            return before
        if sealed and self._link:
            with suppress(OSError):
                return FileEntry(name, size, sealed, (self.chunks.link(path),))
        chunks = []
        with path.open("rb") as file:
            left = size
            while left > 0:
                part = file.read(min(left, CHUNK_BYTES))
                if not part:
                    raise OSError(f"{path} is shorter than {size} bytes")
                chunks.append(self.chunks.put(part))
                left -= len(part)
        return FileEntry(name, size, sealed, tuple(chunks))

    def _same(self, path: Path, before: FileEntry, size: int) -> bool:
        """Return whether the previous backup has this sealed file.

        Sealed when it was copied, as long as now, and with the same end: after a power cut a
        file that was sealed may have been cut back and grown again.
        """
        if not before.sealed or before.size != size or not before.chunks:
            return False
        if not all(map(self.chunks.has, before.chunks)):
            return False
        return _end(path) == _end(self.chunks.path(before.chunks[-1].digest))


def _end(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _END_BYTES))
        return file.read()


# --- what is there ------------------------------------------------------------------------


def found(directory: Path, *, verify: Verify) -> tuple[list[Found], list[BackupInvalid]]:
    """Return the backups in ``directory``, oldest first, and the manifests that are none."""
    good: list[Found] = []
    bad: list[BackupInvalid] = []
    for path in manifest.paths(directory):
        try:
            good.append(manifest.read(path, verify=verify))
        except BackupInvalid as invalid:
            bad.append(invalid)
    return good, bad


@dataclass(frozen=True, slots=True)
class Damage:
    """``path`` is the file with wrong bytes; ``belongs``: to what, and from which byte on."""

    path: Path
    belongs: str
    what: str


def damages(directory: Path, made: Manifest, *, progress: Progress) -> Iterator[Damage]:
    """Read every byte of a backup and yield what is not as the manifest says."""
    chunks, done = Chunks(directory), 0
    total = made.bytes_total
    seen: set[bytes] = set()
    for item in made.files:
        offset = 0
        for chunk in item.chunks:
            if chunk.digest not in seen:
                seen.add(chunk.digest)
                try:
                    for _ in chunks.read(chunk):
                        pass
                except ChunkDamaged as damage:
                    belongs = f"{item.name} from byte {offset}"
                    yield Damage(damage.path, belongs, damage.what)
            offset += chunk.size
            done += chunk.size
            progress(item.name, done, total)


@dataclass(frozen=True, slots=True)
class Pruned:
    names: tuple[str, ...]
    chunks: int
    bytes: int


def prune(directory: Path, *, keep: int, verify: Verify, dry: bool = False) -> Pruned:
    """Keep the newest ``keep`` backups (at least one) and remove the others' own chunks.

    A manifest that cannot be read stops it: its chunks would look like nobody's.  Raises
    ``BackupInvalid``, ``DataDirLocked``, ``OSError``.  A crash in here leaves some chunks that
    the next prune removes; every manifest that is left is whole.
    """
    assert keep >= 1, "the newest backup stays"
    with DirectoryLock(directory):
        good, bad = found(directory, verify=verify)
        if bad:
            raise bad[0]
        gone, kept = good[:-keep], good[-keep:]
        names = tuple(item.manifest.name for item in gone)
        if dry:
            return Pruned(names, 0, 0)
        for item in gone:
            item.path.unlink()
        for path in (directory / manifest.DIRECTORY).glob(".*"):
            path.unlink()
        named = {chunk.digest for item in kept for chunk in item.manifest.chunks()}
        return Pruned(names, *Chunks(directory).sweep(named))


def read_file(directory: Path, item: FileEntry) -> Iterator[bytes]:
    """Yield the bytes of one file; raises ``ChunkDamaged``."""
    chunks = Chunks(directory)
    for chunk in item.chunks:
        yield from chunks.read(chunk)


def document(directory: Path, made: Manifest, name: str) -> bytes:
    """Return one of the documents; raises ``BackupInvalid`` when there is none."""
    for item in made.files:
        if item.name == f"documents/{name}":
            try:
                return b"".join(read_file(directory, item))
            except ChunkDamaged as damage:
                raise BackupInvalid(str(damage.path), damage.what) from damage
    raise BackupInvalid(made.name, f"has no {name}")
