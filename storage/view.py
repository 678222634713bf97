"""The ledger as it was at one moment.

Owns: reading pages of the state tree beside a snapshot of LevelDB.  Refuses: writing.
"""

from types import TracebackType

from storage.kv import KVSnapshot
from storage.pagelog import View
from storage.reader import Reader
from storage.segments import Segments


class Snapshot(Reader):
    """The ledger as it was at one moment; bodies are immutable and read in place."""

    def __init__(self, source: KVSnapshot, segments: Segments, view: View | None) -> None:
        """``view``: pages newer than the stored ones; None when only the rows say."""
        super().__init__(source, segments)
        self._snapshot = source
        self._view = view

    def recent_page(self, key: bytes, height: int) -> tuple[bool, bytes | None] | None:
        return None if self._view is None else self._view.newer.find(key, height)

    def page(self, key: bytes) -> bytes | None:
        found = None if self._view is None else self.recent_page(key, self._view.height)
        if found is None:
            return super().page(key)
        newer, page = found
        return page if newer else self.stored_page(key)

    def close(self) -> None:
        """Release it; an open snapshot keeps LevelDB from dropping old versions."""
        self._snapshot.close()

    def __enter__(self) -> "Snapshot":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
