"""The network between simulated nodes: directed links that lose, delay, repeat and split.

Reordering needs no fault of its own: each message draws its own latency.
"""

import random

from tests.sim.plan import MS, Plan


class Network:
    """Decides the fate of each message; the world moves the bytes."""

    def __init__(self, plan: Plan, rng: random.Random, ids: tuple[str, ...]) -> None:
        self._plan = plan
        self._rng = rng
        self._ids = ids
        self._blocked: set[tuple[str, str]] = set()  # membership only, never iterated
        self._healed = False
        self.sent = 0

    def fates(self, sender: str, to: str) -> tuple[int, ...]:
        """Return the delay in microseconds of each copy that will arrive."""
        self.sent += 1
        plan, rng = self._plan, self._rng
        if self._healed:
            return (plan.latency_us + int(rng.random() * plan.latency_us),)
        if (sender, to) in self._blocked or rng.random() < plan.loss:
            return ()
        first = self._delay()
        if plan.duplication and rng.random() < plan.duplication:
            return (first, first + self._delay() * rng.randint(1, 20))
        return (first,)

    def _delay(self) -> int:
        plan, rng = self._plan, self._rng
        delay = plan.latency_us
        if plan.latency_spread_us:
            delay += int(rng.expovariate(1.0 / plan.latency_spread_us))
        if plan.slow_message and rng.random() < plan.slow_message:
            delay += rng.randint(20, 1500) * MS
        return delay

    def split(self) -> str:
        """Draw a partition; return a sentence about it."""
        rng, ids = self._rng, list(self._ids)
        rng.shuffle(ids)
        cut = rng.randint(1, len(ids) - 1)
        left, right = ids[:cut], ids[cut:]
        shape = rng.choice(("halves", "one-way", "isolate", "bridge", "deaf"))
        if shape == "isolate":
            left, right = ids[:1], ids[1:]
        if shape == "bridge" and len(ids) >= 3:
            # One member hears both sides, the sides do not hear each other.
            left, right = ids[: len(ids) // 2], ids[len(ids) // 2 + 1 :]
        self._blocked = set()
        for one in left:
            for other in right:
                self._blocked.add((one, other))
                if shape not in ("one-way", "deaf"):
                    self._blocked.add((other, one))
        if shape == "deaf":  # one member is heard by all and hears nobody
            self._blocked = {(other, ids[0]) for other in ids[1:]}
        return f"{shape} {sorted(left)} | {sorted(right)}"

    def isolate(self, node: str) -> None:
        """Cut ``node`` off from everybody, both ways, on top of what is cut already."""
        for other in self._ids:
            if other != node:
                self._blocked.update(((node, other), (other, node)))

    def join(self) -> None:
        self._blocked = set()

    def heal(self) -> None:
        self.join()
        self._healed = True
