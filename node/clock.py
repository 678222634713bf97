"""Wall clocks: how far ours is from the other members', and jumps of it.

    ahead of a member = its clock, as its PONG says, against the middle of that round trip
    skew              = the median over the connected members and ourselves (0)

Owns: that estimate, the memory of jumps, and the time by which this node proposes and judges
fresh proposals.  Refuses: to set a clock, and to change when a block may be final: block times
only have to rise and to be near what most members call now.
Invariant: with most samples honest and right, the skew is within what honest clocks differ by,
whatever the others say.  Too few samples count as none.

A node whose clock is hours wrong would propose blocks that nobody accepts, or refuse everybody
else's.  It goes by the others' clocks then, and says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

JUMP_MS: Final = 500.0  # between two looks; slewing stays below it
TRUST_MS: Final = 1000.0  # our own clock is good enough within this


@dataclass(frozen=True, slots=True)
class Jump:
    """The wall clock moved by ``ms`` against the monotonic one between two looks."""

    ms: float

    @property
    def direction(self) -> str:
        return "forward" if self.ms > 0 else "backward"


class Clock:
    """``ahead_ms()`` gives what members' clocks are ahead of ours, and how exact that is;
    ``quorum()`` how many members must agree.  Both clocks in nanoseconds.

    A jump of our clock has to show in ``ahead_ms()`` at once, also in what was told before it:
    a leader would write the hours of its jump into the ledger, where nothing takes them back.
    """

    def __init__(
        self,
        *,
        wall_ns: Callable[[], int],
        monotonic_ns: Callable[[], int],
        ahead_ms: Callable[[], Mapping[str, tuple[float, float]]],
        quorum: Callable[[], int],
        limit_ms: float,
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._ahead_ms = ahead_ms
        self._quorum = quorum
        self.limit_ms = limit_ms
        """Beyond it other members would refuse our blocks: a warning is due."""
        self._difference_ns = wall_ns() - monotonic_ns()
        self._skew_ms: float | None = None
        self.jumps = {"forward": 0, "backward": 0}

    def look(self) -> Jump | None:
        """Measure again, about once a second; return a jump of our clock since then."""
        difference_ns = self._wall_ns() - self._monotonic_ns()
        moved_ms = (difference_ns - self._difference_ns) / 1e6
        self._difference_ns = difference_ns
        self._skew_ms = self._estimate()
        if abs(moved_ms) < JUMP_MS:
            return None
        jump = Jump(moved_ms)
        self.jumps[jump.direction] += 1
        return jump

    def _estimate(self) -> float | None:
        samples = [ahead for ahead, _ in self._ahead_ms().values()]
        if not samples or len(samples) + 1 < self._quorum():
            return None
        ordered = sorted([0.0, *samples])
        middle = len(ordered) // 2
        if len(ordered) % 2:
            return median(ordered)
        # Of two middle ones that which trusts our own clock more.
        return min(ordered[middle - 1], ordered[middle], key=abs)

    @property
    def skew_ms(self) -> float | None:
        """How far the others are ahead of us; None while too few are connected to say."""
        return self._skew_ms

    @property
    def wrong(self) -> bool:
        """Whether our clock is so far off that others would refuse what we propose."""
        return self._skew_ms is not None and abs(self._skew_ms) > self.limit_ms

    def now_ms(self) -> int:
        """Return the time for new blocks: ours, or when ours is wrong what the others say."""
        own, skew = self._wall_ns() // 1_000_000, self._estimate()
        return own if skew is None or abs(skew) <= TRUST_MS else own + round(skew)
