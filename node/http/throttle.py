"""How much one caller may ask, and how much all together.

Owns: a token bucket per caller, the count of requests and streams in flight.  Time is passed
in.  Bounded: ``CALLERS_MAX`` buckets; the one unused for longest is forgotten first, so a flood
of new callers costs nobody a bucket in use.
"""

from collections import OrderedDict
from dataclasses import dataclass

from node.http.limits import CALLERS_MAX


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass; ``remaining`` more may follow at once."""

    allowed: bool
    remaining: int
    wait_s: float  # until the next one may pass


class Buckets:
    def __init__(
        self, *, per_second: float, burst: int, callers_max: int = CALLERS_MAX
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._callers_max = callers_max
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # level, seen at

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, caller: str, now_s: float) -> Verdict:
        """Take one request from the caller's bucket, if it holds one."""
        level, seen = self._levels.pop(caller, (float(self._burst), now_s))
        level = min(float(self._burst), level + max(0.0, now_s - seen) * self._per_second)
        allowed = level >= 1
        if allowed:
            level -= 1
        self._levels[caller] = (level, now_s)
        while len(self._levels) > self._callers_max:
            self._levels.popitem(last=False)
        wait = 0.0 if level >= 1 else (1 - level) / self._per_second
        return Verdict(allowed, int(level), wait)


class InFlight:
    """A counted room.  ``enter`` is False when it is full."""

    def __init__(self, count_max: int) -> None:
        self.count_max = count_max
        self.count = 0
        self.refused = 0

    def enter(self) -> bool:
        if self.count >= self.count_max:
            self.refused += 1
            return False
        self.count += 1
        return True

    def leave(self) -> None:
        assert self.count > 0
        self.count -= 1
