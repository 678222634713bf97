"""The first failure is the last word: a latch shared by everything that writes one directory.

Owns: the memory of the first ``StorageFailure``.  Refuses: any write after it.
Invariant: once tripped it never opens again; only a new process, which recovers from what is
really on disk, may write.  Reason: after a failed fsync the kernel marks the pages clean, so
the next fsync succeeds although the data is gone.
"""

from storage.errors import DiskFull, StorageFailure


class Latch:
    """Remember the first failure and refuse writes from then on."""

    def __init__(self) -> None:
        self._first: StorageFailure | None = None

    @property
    def failure(self) -> StorageFailure | None:
        """The failure that closed the latch, or None while writing is allowed."""
        return self._first

    def trip(self, failure: StorageFailure) -> StorageFailure:
        """Close the latch and hand ``failure`` back, so that callers can raise it."""
        if self._first is None:
            self._first = failure
        return failure

    def check(self) -> None:
        """Raise ``StorageFailure`` when something failed before."""
        if self._first is not None:
            # A full disk stays one: it decides whether the node is started again.
            kind = DiskFull if isinstance(self._first, DiskFull) else StorageFailure
            raise kind("refusing to write after a storage failure") from self._first
