"""Frames between members: length be32 (of type and body) | type u8 | body.

Owns the frame types, their priorities and the incremental reader.  Refuses, at the earliest
byte that proves it: a length of zero or beyond the limit, a type that is unknown or not
allowed in this phase of the connection.  Knows nothing of what bodies mean.  A ``tolerant``
reader skips unknown types instead: a newer member may have more of them.
Invariant: between two calls the reader holds less than one frame of the allowed size.
"""

from collections.abc import Set
from enum import IntEnum
from typing import Final, NamedTuple

from node.net.faults import FrameFault

LENGTH_BYTES: Final = 4
TYPE_BYTES: Final = 1
HEAD_BYTES: Final = LENGTH_BYTES + TYPE_BYTES
FRAME_BYTES_MAX: Final = 4 << 20  # type and body
HANDSHAKE_FRAME_BYTES_MAX: Final = 4 << 10  # nobody is proven yet: keep strangers cheap


class FrameType(IntEnum):
    HELLO = 1
    PROOF = 2
    CONSENSUS = 16
    SYNC_REQUEST = 32
    SYNC_RESPONSE = 33
    BODY_REQUEST = 34
    BODY_RESPONSE = 35
    LINEAGE_REQUEST = 38
    LINEAGE_RESPONSE = 39
    RANGE_REQUEST = 40
    RANGE_RESPONSE = 41
    ADDRESS = 42
    SNAPSHOT_REQUEST = 36
    SNAPSHOT_RESPONSE = 37
    TRANSACTIONS = 48
    INVENTORY = 49
    WANT = 50
    COSIGNATURES = 51
    PING = 64
    PONG = 65


class Priority(IntEnum):
    """Send order when a link is busy; lower goes first."""

    CONSENSUS = 0
    SYNC = 1
    GOSSIP = 2
    BULK = 3


HANDSHAKE_TYPES: Final = frozenset({FrameType.HELLO, FrameType.PROOF})
SESSION_TYPES: Final = frozenset(FrameType) - HANDSHAKE_TYPES

# A proposal waits for its missing bodies, hence they travel as sync.  Whole block ranges for a
# member that lags are the only bulk: they must never delay those who keep up.
PRIORITIES: Final = {
    FrameType.HELLO: Priority.CONSENSUS,
    FrameType.PROOF: Priority.CONSENSUS,
    FrameType.CONSENSUS: Priority.CONSENSUS,
    FrameType.PING: Priority.CONSENSUS,
    FrameType.PONG: Priority.CONSENSUS,
    FrameType.SYNC_REQUEST: Priority.SYNC,
    FrameType.BODY_REQUEST: Priority.SYNC,
    FrameType.BODY_RESPONSE: Priority.SYNC,
    FrameType.LINEAGE_REQUEST: Priority.SYNC,
    FrameType.RANGE_REQUEST: Priority.SYNC,
    FrameType.SNAPSHOT_REQUEST: Priority.SYNC,
    FrameType.COSIGNATURES: Priority.SYNC,
    FrameType.ADDRESS: Priority.SYNC,
    FrameType.TRANSACTIONS: Priority.GOSSIP,
    FrameType.INVENTORY: Priority.GOSSIP,
    FrameType.WANT: Priority.GOSSIP,
    FrameType.SYNC_RESPONSE: Priority.BULK,
    FrameType.LINEAGE_RESPONSE: Priority.BULK,
    FrameType.RANGE_RESPONSE: Priority.BULK,
    FrameType.SNAPSHOT_RESPONSE: Priority.BULK,
}


_KNOWN: Final = frozenset(int(kind) for kind in FrameType)
_UNKNOWN: Final = -1


class Frame(NamedTuple):
    """One frame, its body still opaque."""

    type: FrameType
    body: bytes


def encode(frame_type: FrameType, body: bytes) -> bytes:
    """Return the bytes of one frame.  A body beyond the limit is our own error: assertion."""
    length = TYPE_BYTES + len(body)
    assert length <= FRAME_BYTES_MAX, f"{length} bytes in a {frame_type.name} frame"
    return length.to_bytes(LENGTH_BYTES, "big") + frame_type.to_bytes(TYPE_BYTES, "big") + body


class FrameReader:
    """Turns arbitrary chunks of a stream into frames.

    ``types`` are the frame types allowed now, ``frame_bytes_max`` bounds type and body.
    After a ``FrameFault`` the reader refuses everything: a stream has no second start.
    """

    def __init__(
        self,
        *,
        types: Set[FrameType] = SESSION_TYPES,
        frame_bytes_max: int = FRAME_BYTES_MAX,
        tolerant: bool = False,
    ) -> None:
        self.skipped = 0
        self._tolerant = tolerant
        self._types = {int(kind): kind for kind in types}
        self._frame_bytes_max = frame_bytes_max
        self._buffer = bytearray()
        self._fault: FrameFault | None = None

    @property
    def buffered_bytes(self) -> int:
        """Bytes of the unfinished frame, its length prefix included."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that ``data`` completes; raise ``FrameFault`` on a broken stream.

        Complete frames that came before the fault in the same chunk are given up with it.
        """
        if self._fault is not None:
            raise self._fault
        self._buffer += data
        try:
            return self._cut()
        except FrameFault as fault:
            self._fault = fault
            self._buffer.clear()
            raise

    def _cut(self) -> list[Frame]:
        frames: list[Frame] = []
        buffer, start, size = self._buffer, 0, len(self._buffer)
        while start < size:
            kind = self._check_head(buffer[start : start + HEAD_BYTES])
            if kind is None:
                break
            body_at = start + HEAD_BYTES
            end = start + LENGTH_BYTES + int.from_bytes(buffer[start : start + LENGTH_BYTES])
            if end > size:
                break
            if kind is _UNKNOWN:
                self.skipped += 1
            else:
                frames.append(Frame(self._types[kind], bytes(buffer[body_at:end])))
            start = end
        if start:
            del buffer[:start]
        return frames

    def _check_head(self, head: bytearray) -> int | None:
        """Judge the first up to five bytes of a frame; return its type once it is there."""
        prefix = head[:LENGTH_BYTES]
        # The bytes of the length still to come can only make it larger.
        length_min = int.from_bytes(prefix) << 8 * (LENGTH_BYTES - len(prefix))
        if length_min > self._frame_bytes_max:
            raise FrameFault("oversize", f"frame beyond {self._frame_bytes_max} bytes")
        if len(prefix) < LENGTH_BYTES:
            return None
        if length_min == 0:
            raise FrameFault("empty", "frame without a type")
        if len(head) < HEAD_BYTES:
            return None
        kind = self._types.get(head[LENGTH_BYTES])
        if kind is None and self._tolerant and head[LENGTH_BYTES] not in _KNOWN:
            return _UNKNOWN
        if kind is None:
            raise FrameFault("unknown-type", f"type {head[LENGTH_BYTES]} is not allowed here")
        return kind
