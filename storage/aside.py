"""A stopped node's directory, set aside so that reading it changes nothing in it.

LevelDB rewrites its manifest and its logs whenever it is opened, and segments cut their torn
tail.  So neither is opened where it lies: what those may change is copied, what nobody ever
writes again (tables, sealed segments) is linked where the file system allows it and copied
where not.  Links share bytes and are only ever removed here.

Owns: the copy, and the node's lock for as long as it is looked at: a node that runs is refused,
and cannot start meanwhile.  The lock is shared, so several may look.
A crash leaves scratch files behind and nothing else.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from storage import keys
from storage.errors import DataDirLocked, DataDirMissing, StorageFailure
from storage.layout import KV_NAME, SEGMENTS_NAME
from storage.level import LevelKV
from storage.lock import LOCK_NAME
from storage.segments import Pointer
from storage.store import Store

_NEVER_WRITTEN: Final = {".ldb", ".sst"}
_NOT_READ: Final = {"LOCK", "LOG", "LOG.old"}  # LevelDB's own lock and talk


class Aside:
    """Use as ``with``; ``path`` is a directory that ``Store.open`` takes."""

    def __init__(self, data_dir: Path, *, scratch_dir: Path | None = None) -> None:
        self._data_dir = data_dir
        self._scratch_dir = scratch_dir
        self._lock: int | None = None
        self._made: tempfile.TemporaryDirectory[str] | None = None
        self.linked = 0
        self.copied = 0

    @property
    def path(self) -> Path:
        assert self._made is not None, "used as a context manager"
        return Path(self._made.name)

    def __enter__(self) -> Self:
        """Raises ``DataDirMissing``, ``DataDirLocked``, ``StorageFailure``, ``Corrupt``."""
        source = self._data_dir
        if not (source / KV_NAME / "CURRENT").exists() or not (source / SEGMENTS_NAME).is_dir():
            raise DataDirMissing(source)
        try:
            self._take_lock()
            self._made = tempfile.TemporaryDirectory(
                prefix="chartseal-aside-", dir=self._scratch_dir
            )
            self._set_aside()
        except OSError as error:
            self._end()
            raise StorageFailure(f"cannot set {source} aside: {error.strerror}") from error
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def store(self, network: bytes) -> Store:
        """Open the copy; the caller closes it.  Raises what ``Store.open`` raises."""
        return Store.open(self.path, network=network)

    def _take_lock(self) -> None:
        try:
            self._lock = os.open(self._data_dir / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # no node has ever opened it: a copy, or a directory restored by hand
        try:
            fcntl.flock(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = os.pread(self._lock, 32, 0).strip()
            pid = int(text) if text.isdigit() else None
            raise DataDirLocked(self._data_dir, pid) from error

    def _end(self) -> None:
        if self._made is not None:
            self._made.cleanup()
            self._made = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _set_aside(self) -> None:
        rows, bodies = self.path / KV_NAME, self.path / SEGMENTS_NAME
        rows.mkdir()
        bodies.mkdir()
        for path in sorted((self._data_dir / KV_NAME).iterdir()):
            if path.is_file() and path.name not in _NOT_READ:
                self._bring(path, rows / path.name, link=path.suffix in _NEVER_WRITTEN)
        with closing(LevelKV(rows, create=False)) as level:
            tail = level.get(keys.TAIL)
        last = 0 if tail is None else Pointer.decode(tail).segment
        for path in sorted((self._data_dir / SEGMENTS_NAME).glob("*.seg")):
            number = int(path.stem)
            if number <= last:
                # Only the segment with the tail is cut at its end when a store is opened.
                self._bring(path, bodies / path.name, link=number < last)

    def _bring(self, source: Path, target: Path, *, link: bool) -> None:
        if link:
            try:
                target.hardlink_to(source)
            except OSError:
                pass  # another file system, or links are not allowed here
            else:
                self.linked += 1
                return
        shutil.copyfile(source, target)
        self.copied += 1
