"""How late the event loop runs: everything that waits for a turn waits this long too.

Owns: one timer a tick, and a histogram of how late each fired, in seconds.  Refuses: to judge;
the metrics page shows it and operators set their own alarm.
Memory is one counter a bucket; the cost is one wake-up a tick, about 0.1 % of a core.
"""

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Final

TICK_S: Final = 0.02
STALL_S: Final = 0.25
# Upper bounds in seconds: fine where the goals lie (5 and 10 ms), coarse beyond.
BUCKETS_S: Final = (
    0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.012, 0.015, 0.02, 0.03,
    0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip


class LoopLag:
    """``now_s`` is the loop's monotonic clock."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0
        self.stalls: deque[tuple[float, float]] = deque(maxlen=32)
        """The last times that it stood still: when it went on, and for how long, in seconds."""

    def note(self, late_s: float) -> None:
        """Count one timer that fired ``late_s`` after it was due; early counts as in time."""
        late_s = max(0.0, late_s)
        self._counts[bisect_left(BUCKETS_S, late_s)] += 1
        self.sum_s += late_s
        if late_s >= STALL_S:
            self.stalls.append((self._now_s(), late_s))

    def buckets(self) -> list[tuple[str, float]]:
        """Return (upper bound, timers up to it), cumulative, as Prometheus wants them."""
        found, total = [], 0
        bounds = [*(f"{bound:g}" for bound in BUCKETS_S), "+Inf"]
        for bound, count in zip(bounds, self._counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = self._now_s() + TICK_S
            await asyncio.sleep(TICK_S)
            self.note(self._now_s() - due)
