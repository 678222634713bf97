"""Lets a test move the calendar of real node processes: Python imports this when it starts.

With ``STORY_CALENDAR`` naming a file of eight bytes (milliseconds ahead, big-endian), the wall
clock of this process runs that far ahead of the real one; the file may change at any moment.
Only the calendar moves: ``time.monotonic`` and every timer stay as they are.
"""

import mmap
import os
import time
from pathlib import Path

if "STORY_CALENDAR" in os.environ:
    with Path(os.environ["STORY_CALENDAR"]).open("rb") as _file:
        _ahead = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
    _real_ns = time.time_ns

    def _time_ns() -> int:
        return _real_ns() + int.from_bytes(_ahead[:8], "big") * 1_000_000

    if "STORY_TOGETHER" in os.environ:
        # All members jump at once: what they measured of one another just before says nothing.
        import node.clock

        node.clock.TRUST_MS = float("inf")
    time.time_ns = _time_ns
    time.time = lambda: _time_ns() / 1e9
