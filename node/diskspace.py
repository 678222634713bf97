"""Low disk: refuse clients first, keep voting, recover without an operator.

Owns one question, asked at most once a second.  Hysteresis: once low, space must exceed the
limit by a tenth before clients are served again, so the answer does not flutter.
"""

import shutil
import time
from pathlib import Path
from typing import Final

_EVERY_S: Final = 1.0


class DiskSpace:
    """Free space of the file system under ``path`` against ``min_free_bytes``; 0: never low."""

    def __init__(self, path: Path, *, min_free_bytes: int) -> None:
        self._path = path
        self._min = min_free_bytes
        self._asked_s = float("-inf")
        self._low = False
        self.free_bytes = 0

    @property
    def path(self) -> Path:
        """The directory of the ledger's files."""
        return self._path

    def low(self) -> bool:
        """Return whether clients' writes must be refused now."""
        now = time.monotonic()
        if now - self._asked_s >= _EVERY_S:
            self._asked_s = now
            self.free_bytes = shutil.disk_usage(self._path).free
            limit = self._min + self._min // 10 if self._low else self._min
            self._low = self.free_bytes < limit
        return self._low
