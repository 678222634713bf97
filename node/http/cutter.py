"""A stream of bytes cut into lines or frames, within bounds and without I/O.

Owns: what a line and a frame is, and how to find the next after a bad one.  Refuses: items
beyond their size; their bytes are skipped, not kept, and the item becomes an error code at its
place.  Bounded: one item's bytes are held, plus what one ``feed`` brought.
"""

from typing import Protocol

Item = bytes | str  # the item's bytes, or the code of why it is none


class Cutter(Protocol):
    def feed(self, data: bytes) -> list[Item]: ...

    def end(self) -> list[Item]: ...


class Lines:
    """Lines end with LF or CR LF; the last may lack it.  Blank lines do not count."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._rest = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[Item]:
        """Return the items that ``data`` completes, in order."""
        items: list[Item] = []
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._extend(part, items)
            self._finish(items)
        self._extend(rest, items)
        return items

    def end(self) -> list[Item]:
        """Return the last item, if the stream does not end with a line end."""
        items: list[Item] = []
        self._finish(items)
        return items

    def _extend(self, part: bytes, items: list[Item]) -> None:
        if self._skipping:
            return
        self._rest += part
        if len(self._rest) > self._size_max:
            items.append("line-too-long")
            self._rest.clear()
            self._skipping = True

    def _finish(self, items: list[Item]) -> None:
        line = bytes(self._rest).strip()
        if line and not self._skipping:
            items.append(line)
        self._rest.clear()
        self._skipping = False


class Frames:
    """Frames are a length (u32, big-endian) and so many bytes."""

    _HEAD = 4

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._rest = bytearray()
        self._skip = 0

    def feed(self, data: bytes) -> list[Item]:
        """Return the items that ``data`` completes, in order."""
        items: list[Item] = []
        rest = self._rest
        rest += data
        at = 0
        while True:
            skipped = min(self._skip, len(rest) - at)
            at += skipped
            self._skip -= skipped
            if self._skip or len(rest) - at < self._HEAD:
                break
            size = int.from_bytes(rest[at : at + self._HEAD], "big")
            if size > self._size_max:
                items.append("transaction-malformed")
                at += self._HEAD
                self._skip = size
                continue
            if len(rest) - at - self._HEAD < size:
                break
            items.append(bytes(rest[at + self._HEAD : at + self._HEAD + size]))
            at += self._HEAD + size
        del rest[:at]
        return items

    def end(self) -> list[Item]:
        """Return the error of a stream that ends inside a frame, if it does."""
        return ["frame-malformed"] if self._rest or self._skip else []
