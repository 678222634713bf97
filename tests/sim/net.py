"""The network between simulated nodes: directed links that lose, delay, repeat, clog and split.

Unless the plan orders links, reordering needs no fault of its own: each message draws its own
latency.  A link with a capacity serves one message after the other and drops what no longer
fits, as a bounded send queue does.
"""

import random
from collections.abc import Callable, Iterable
from math import log

from tests.sim.plan import MS, Plan

Link = tuple[str, str]


class Network:
    """Decides the fate of each message; the world moves the bytes."""

    def __init__(self, plan: Plan, rng: random.Random, ids: tuple[str, ...]) -> None:
        self._plan = plan
        self._rng = rng
        self._random = rng.random
        self._ids = ids
        self._blocked: set[Link] = set()  # membership only, never iterated
        self._cut: set[Link] = set()  # what stays cut until everything heals
        self._healed = False
        self._free_at: dict[Link, int] = {}
        self._last_at: dict[Link, int] = {}
        self._clogged_until: dict[Link, int] = {}
        self._plain = not (plan.capacity or plan.ordered_links or plan.clog_us)
        self.sent = 0
        self.dropped = 0

    def fates(self, link: Link, now: int) -> tuple[int, ...]:
        """Return the delay in microseconds of each copy that will arrive."""
        self.sent += 1
        plan = self._plan
        if self._healed:
            if link in self._cut:
                return ()
            return (plan.latency_us + int(self._random() * plan.latency_us),)
        if link in self._blocked or (plan.loss and self._random() < plan.loss):
            return ()
        first = self._delay()
        if not self._plain:
            first = self._queue(link, now, first)
            if first < 0:
                return ()
        if plan.duplication and self._random() < plan.duplication:
            return (first, first + self._delay() * self._rng.randint(1, 20))
        return (first,)

    def _delay(self) -> int:
        plan = self._plan
        delay = plan.latency_us
        if plan.latency_spread_us:
            delay -= int(log(1.0 - self._random()) * plan.latency_spread_us)
        if plan.slow_message and self._random() < plan.slow_message:
            delay += self._rng.randint(10 * MS, plan.slow_message_us)
        return delay

    def _queue(self, link: Link, now: int, delay: int) -> int:
        """Return the delay behind what is in ``link`` already; -1 when it is full."""
        plan = self._plan
        if plan.capacity:
            free_at = max(now, self._free_at.get(link, 0))
            if free_at - now > plan.capacity * plan.service_us:
                self.dropped += 1
                return -1
            self._free_at[link] = free_at + plan.service_us
            delay += free_at + plan.service_us - now
        arrives = max(now + delay, self._clogged_until.get(link, 0))
        if plan.ordered_links:
            arrives = max(arrives, self._last_at.get(link, 0) + 1)
            self._last_at[link] = arrives
        return arrives - now

    def clog(self, now: int) -> Link:
        """Stall one link for a while: what it carries arrives late, and all at once."""
        sender, to = self._rng.sample(self._ids, 2)
        stall = int(self._rng.expovariate(1.0 / self._plan.clogged_us))
        self._clogged_until[sender, to] = now + stall
        return sender, to

    def split(self) -> tuple[str, str]:
        """Draw a partition; return its shape and a sentence about it."""
        rng, ids = self._rng, list(self._ids)
        rng.shuffle(ids)
        shape = rng.choice(SHAPE_NAMES)
        self._blocked = set(SHAPES[shape](ids, rng))
        return shape, f"{shape} of {' '.join(ids)}"

    def isolate(self, node: str) -> None:
        """Cut ``node`` off from everybody, both ways, on top of what is cut already."""
        for other in self._ids:
            if other != node:
                self._blocked.update(((node, other), (other, node)))

    def join(self) -> None:
        self._blocked = set()

    def heal(self, *, core: Iterable[str] = (), deaf: bool = False) -> None:
        """Nothing is lost or late any more; with a ``core``, only among those.

        ``deaf``: the others hear nothing, but what they say still reaches the core.
        """
        self.join()
        self._healed = True
        inside = tuple(core)
        outside = [node for node in self._ids if node not in inside] if inside else []
        self._cut = {(inner, outer) for inner in inside for outer in outside}
        if not deaf:
            self._cut |= {(outer, inner) for inner in inside for outer in outside}


def _both(pairs: Iterable[Link]) -> list[Link]:
    return [link for one, other in pairs for link in ((one, other), (other, one))]


def _halves(ids: list[str], rng: random.Random) -> list[Link]:
    cut = rng.randint(1, len(ids) - 1)
    return _both((one, other) for one in ids[:cut] for other in ids[cut:])


def _one_way(ids: list[str], rng: random.Random) -> list[Link]:
    cut = rng.randint(1, len(ids) - 1)
    return [(one, other) for one in ids[:cut] for other in ids[cut:]]


def _isolate(ids: list[str], rng: random.Random) -> list[Link]:
    return _both((ids[0], other) for other in ids[1:])


def _deaf(ids: list[str], rng: random.Random) -> list[Link]:
    """One member is heard by all and hears nobody."""
    return [(other, ids[0]) for other in ids[1:]]


def _bridge(ids: list[str], rng: random.Random) -> list[Link]:
    """One member hears both sides, the sides do not hear each other."""
    half = len(ids) // 2
    return _both((one, other) for one in ids[:half] for other in ids[half + 1 :])


def _chain(ids: list[str], rng: random.Random) -> list[Link]:
    """Each member hears its neighbours only."""
    return _both((one, other) for at, one in enumerate(ids) for other in ids[at + 2 :])


def _scattered(ids: list[str], rng: random.Random) -> list[Link]:
    """Each directed link is cut or not, by itself."""
    return [(a, b) for a in ids for b in ids if a != b and rng.random() < 0.4]


SHAPES: dict[str, Callable[[list[str], random.Random], list[Link]]] = {
    "halves": _halves,
    "one-way": _one_way,
    "isolate": _isolate,
    "deaf": _deaf,
    "bridge": _bridge,
    "chain": _chain,
    "scattered": _scattered,
}
SHAPE_NAMES = tuple(SHAPES)
