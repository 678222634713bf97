"""Frames waiting for one member, in four bounded classes.

Owns what is sent next and what is given up.  A full class refuses the new frame, unless old
frames can make room: one that waited longer than ``queue_stale_ms`` helps nobody, because
engines resend and gossip announces again.
Invariant: a class holds at most its byte limit (or a single frame) and its frame limit.
"""

from collections import deque
from typing import NamedTuple

from node.net.frame import PRIORITIES, FrameType, Priority
from node.net.limits import NetLimits
from node.net.statistics import Statistics


class Waiting(NamedTuple):
    type: FrameType
    encoded: bytes
    since_ms: int


class SendQueue:
    def __init__(self, limits: NetLimits, statistics: Statistics) -> None:
        self._limits = limits
        self._statistics = statistics
        self._classes: dict[Priority, deque[Waiting]] = {each: deque() for each in Priority}
        self._bytes = dict.fromkeys(Priority, 0)

    @property
    def waiting_bytes(self) -> int:
        return sum(self._bytes.values())

    @property
    def waiting_frames(self) -> int:
        return sum(map(len, self._classes.values()))

    def offer(self, frame_type: FrameType, encoded: bytes, *, now_ms: int) -> bool:
        """Take the frame, or count it as dropped and return ``False``."""
        priority = PRIORITIES[frame_type]
        if not self._fits(priority, len(encoded)):
            self._drop_stale(priority, now_ms)
            if not self._fits(priority, len(encoded)):
                self._statistics.dropped["full"] += 1
                return False
        self._classes[priority].append(Waiting(frame_type, encoded, now_ms))
        self._bytes[priority] += len(encoded)
        return True

    def take(self, bytes_max: int) -> list[Waiting]:
        """Remove what goes into the next write, most urgent first.

        Fills ``bytes_max`` in order of priority, then adds one frame of each class that got
        nothing: a member that lags must catch up however busy gossip is.
        """
        batch: list[Waiting] = []
        room = bytes_max
        for priority, waiting in self._classes.items():
            first = True
            while waiting and (first or len(waiting[0].encoded) <= room):
                frame = waiting.popleft()
                self._bytes[priority] -= len(frame.encoded)
                room -= len(frame.encoded)
                batch.append(frame)
                first = False
        return batch

    def drop_stale(self, now_ms: int) -> None:
        """Give up what waited too long; a new connection starts with news, not with history."""
        for priority in Priority:
            self._drop_stale(priority, now_ms)

    def _fits(self, priority: Priority, size: int) -> bool:
        waiting = self._classes[priority]
        return not waiting or (
            len(waiting) < self._limits.queue_frames_max
            and self._bytes[priority] + size <= self._limits.queue_bytes_max(priority)
        )

    def _drop_stale(self, priority: Priority, now_ms: int) -> None:
        waiting = self._classes[priority]
        while waiting and now_ms - waiting[0].since_ms > self._limits.queue_stale_ms:
            self._bytes[priority] -= len(waiting.popleft().encoded)
            self._statistics.dropped["stale"] += 1
