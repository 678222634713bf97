"""One process per data directory.

Owns: the file ``LOCK`` and the advisory lock on it.  Refuses: waiting, and guessing whether
the holder is alive: the kernel drops the lock with the holder's last descriptor, so a number
left in the file by a dead process never keeps anybody out.
Invariant: two stores never write one directory, not even inside one process.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from storage.errors import DataDirLocked, failure_of

LOCK_NAME = "LOCK"


class DirectoryLock:
    """Held from construction to ``close``; raises ``DataDirLocked`` naming the holder."""

    def __init__(self, directory: Path) -> None:
        path = directory / LOCK_NAME
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise failure_of(error, f"cannot open {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = _holder(self._fd)
            os.close(self._fd)
            raise DataDirLocked(directory, pid) from error
        except OSError as error:
            os.close(self._fd)
            raise failure_of(error, f"cannot lock {path}: {error.strerror}") from error
        try:
            # Only for the people who read the error of the second process; never synced.
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            os.close(self._fd)
            raise failure_of(error, f"cannot write {path}: {error.strerror}") from error

    def close(self) -> None:
        """Let the next process in; calling twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> "DirectoryLock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _holder(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None
