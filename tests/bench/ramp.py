"""Finding saturation: the highest offered load that the cluster keeps up with.

Open loop: the feeder sends at a fixed rate whether or not answers come, as independent clients
do.  A step is sustained when everything offered is committed almost as soon as it was offered;
what a closed loop or an overloaded queue shows as a peak is not.

Pure: it says which rate to try and is told what came of it.
"""

import math
from dataclasses import dataclass, field
from typing import Final

KEEPS_UP: Final = 0.93  # committed over offered, drain of the last transaction included
FACTOR: Final = 1.6
NEAR: Final = 1.08  # no further steps between two rates closer than this


@dataclass(frozen=True, slots=True)
class Step:
    """Rates in transactions per second; ``committed`` counts the time to drain."""

    offered: float
    committed: float

    @property
    def sustained(self) -> bool:
        return self.committed >= KEEPS_UP * self.offered


@dataclass(slots=True)
class Ramp:
    """Up by ``factor`` until a step fails, then between; at most ``steps_max`` steps."""

    start: float
    steps_max: int = 8
    factor: float = FACTOR
    ceiling: float = math.inf
    steps: list[Step] = field(default_factory=list)
    _low: float = 0.0
    _high: float = math.inf
    _hint: float = math.inf  # what an overloaded cluster committed: near its capacity

    def next_rate(self) -> float | None:
        """Return the next rate to offer, None when more steps would tell nothing new."""
        if len(self.steps) >= self.steps_max or self._low >= self.ceiling:
            return None
        if not self.steps:
            return min(self.start, self.ceiling)
        if math.isinf(self._high):
            return min(self._low * self.factor, self.ceiling)
        if self._low and self._high / self._low < NEAR:
            return None
        low = self._low or self._high / 4
        hint = self._hint * 0.97
        return hint if low * 1.01 < hint < self._high / 1.01 else math.sqrt(low * self._high)

    def took(self, step: Step) -> None:
        """Take the outcome of the rate that ``next_rate`` gave."""
        self.steps.append(step)
        if step.sustained:
            self._low = max(self._low, step.offered)
        else:
            self._high = min(self._high, step.offered)
            self._hint = step.committed if step.committed < self._hint else math.inf

    @property
    def promising(self) -> float:
        """The rate to hold for longer: the best, or what an overloaded cluster still did.

        A ramp of few steps leaves a wide gap; inside it, that figure is the better guess.
        """
        done = [step.committed for step in self.steps if not step.sustained]
        return max([self._low, *(0.95 * item for item in done)])

    @property
    def best(self) -> float:
        """The highest sustained rate; 0 when no step was sustained."""
        return self._low
