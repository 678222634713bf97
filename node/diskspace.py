"""Low disk: refuse clients first, keep voting, recover without an operator.

    free < min_free_bytes            clients are refused; votes, blocks and reads go on
    free > min_free_bytes + a tenth  clients are served again
    a write fails for lack of space  the node ends with exit code 83, nothing half promised
    too little room for a start      the reserve is given up; without one the start is refused

Owns: that question, asked at most once a second, and the reserve: a file of real blocks that
exists only to be removed.  It comes back by itself when there is room for it and the limit.
Invariant: the reserve never makes the disk low.  A crash while it is made leaves a shorter
file, which counts with what it has and is made again.
"""

import logging
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from node.errors import ChartsealError
from node.log import event

_EVERY_S: Final = 1.0
RESERVE_NAME: Final = "reserve"
START_BYTES: Final = 16 << 20  # beside LevelDB's log, which a start rewrites as a table


class DiskSpace:
    """Free space of the file system under ``path`` against ``min_free_bytes``; 0: never low."""

    def __init__(self, path: Path, *, min_free_bytes: int, reserve_bytes: int = 0) -> None:
        self._path = path
        self._min = min_free_bytes
        self._reserve = reserve_bytes
        self._asked_s = float("-inf")
        self._low = False
        self.free_bytes = 0

    @property
    def path(self) -> Path:
        """The directory of the ledger's files."""
        return self._path

    @property
    def min_free_bytes(self) -> int:
        return self._min

    def low(self) -> bool:
        """Return whether clients' writes must be refused now."""
        now = time.monotonic()
        if now - self._asked_s >= _EVERY_S:
            self._asked_s = now
            self.free_bytes = shutil.disk_usage(self._path).free
            limit = self._min + self._min // 10 if self._low else self._min
            self._low = self.free_bytes < limit
        return self._low

    @property
    def reserve_bytes(self) -> int:
        """The size of the reserve there is."""
        try:
            return (self._path / RESERVE_NAME).stat().st_size
        except FileNotFoundError:
            return 0

    def keep_reserve(self) -> bool:
        """Make the reserve when there is room for it; return whether it was made now."""
        if not self._reserve or self.reserve_bytes >= self._reserve:
            return False
        if shutil.disk_usage(self._path).free < self._reserve + self._min + self._min // 10:
            return False
        path = self._path / RESERVE_NAME
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, self._reserve)
            finally:
                os.close(fd)
        except OSError:
            # Somebody else was faster.  The room is needed for the ledger, not for this.
            with suppress(OSError):
                path.unlink()
            return False
        return True


def room_to_start(path: Path) -> None:
    """Make sure that a start can write under ``path``, with the reserve if it must be.

    Raises ``ChartsealError`` (disk-exhausted): the ledger was not touched.
    """
    if not path.is_dir():
        return
    need = START_BYTES + sum(log.stat().st_size for log in path.glob("kv/*.log"))
    if shutil.disk_usage(path).free >= need:
        return
    reserve = path / RESERVE_NAME
    if reserve.exists():
        size = reserve.stat().st_size
        reserve.unlink()
        event("disk.reserve-released", level=logging.WARNING, bytes=size)
    free = shutil.disk_usage(path).free
    if free < need:
        raise ChartsealError("disk-exhausted", f"{free} bytes free under {path}, {need} needed")
