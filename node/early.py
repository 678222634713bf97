"""Frames of the era that is about to begin, from members that applied the barrier before us.

Engines repeat what was lost, after a pause; keeping these few for the moment until our own
ledger has the barrier spares the network that pause at each change.
Bounded: ``FRAMES_MAX`` and ``BYTES_MAX`` of all peers together; beyond that they are dropped.
"""

from typing import Final

from consensus.types import NodeId

FRAMES_MAX: Final = 256
BYTES_MAX: Final = 4 << 20


class Early:
    """Raw frames in order of arrival."""

    def __init__(self) -> None:
        self._frames: list[tuple[NodeId, bytes]] = []
        self._bytes = 0

    def keep(self, peer: NodeId, raw: bytes) -> None:
        """Keep ``raw`` of ``peer`` if there is room."""
        if len(self._frames) < FRAMES_MAX and self._bytes + len(raw) <= BYTES_MAX:
            self._frames.append((peer, raw))
            self._bytes += len(raw)

    def take(self) -> list[tuple[NodeId, bytes]]:
        """Return all that was kept, and forget it."""
        frames, self._frames, self._bytes = self._frames, [], 0
        return frames
