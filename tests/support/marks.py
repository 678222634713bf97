"""A mark without a file, for drivers whose disk is simulated."""

from consensus.driver import Turn
from consensus.mark import NOTHING, Mark, Standing, compare


class MemoryMark:
    """The mark of one identity; lives as long as a key would, whatever becomes of the disk."""

    def __init__(self) -> None:
        self.mark: Mark = NOTHING

    @property
    def sequence(self) -> int:
        return self.mark.sequence

    def level(self, stored: Mark) -> Standing:
        """Compare as a start does, and make good the write that a crash cut off."""
        standing = compare(stored=stored, marked=self.mark)
        if standing is Standing.ONE_SHORT:
            self.mark = stored
        return standing

    def take(self, turn: Turn) -> None:
        """Keep the mark of ``turn``, whose records are durable."""
        if turn.mark is not None:
            assert turn.mark.sequence == self.mark.sequence + 1, "marks are taken one by one"
            self.mark = turn.mark
