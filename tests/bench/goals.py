"""The goals as ratios within one run, and how near a result comes to each.

Owns: the table of goals and where its figures stand in a result.  Refuses: absolute speeds;
the same machine drifts by half, two figures of one run do not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """``figure`` returns None when the run did not measure it; ``higher`` is the good side."""

    name: str
    unit: str  # "x" is a ratio
    required: float
    aim: float
    higher: bool
    figure: Callable[[Result], float | None]

    def verdict(self, value: float | None) -> str:
        """Return aim, met, missed or not measured."""
        if value is None:
            return "not measured"
        for limit, word in ((self.aim, "aim"), (self.required, "met")):
            if value >= limit if self.higher else value <= limit:
                return word
        return "missed"


@dataclass(frozen=True, slots=True)
class Row:
    goal: Goal
    value: float | None

    @property
    def verdict(self) -> str:
        return self.goal.verdict(self.value)


def dig(result: Any, *path: str) -> float | None:
    """Return the number at ``path``; None when any part of it is missing."""
    for name in path:
        if not isinstance(result, Mapping) or name not in result:
            return None
        result = result[name]
    return float(result) if isinstance(result, int | float) else None


def over(above: Sequence[str], below: Sequence[str]) -> Callable[[Result], float | None]:
    """Return a figure that divides one by another."""

    def figure(result: Result) -> float | None:
        top, bottom = dig(result, *above), dig(result, *below)
        return None if top is None or not bottom else top / bottom

    return figure


def compared(above: Sequence[str], below: Sequence[str]) -> Callable[[Result], float | None]:
    """Return a figure that divides two rates taken minutes apart, on equal terms.

    Each is multiplied by what one libsodium verification took beside it, so that a processor
    that drifted meanwhile cancels out.  ``above`` and ``below`` begin with the place of the
    cell or peer, two names long, where its ``probe_us`` stands.
    """

    def figure(result: Result) -> float | None:
        top, bottom = dig(result, *above), dig(result, *below)
        if top is None or not bottom:
            return None
        probes = [dig(result, *path[:2], "probe_us") for path in (above, below)]
        fast, slow = probes
        return top / bottom if not fast or not slow else top * fast / (bottom * slow)

    return figure


def per_cost(above: Sequence[str], below: Sequence[str]) -> Callable[[Result], float | None]:
    """Return a figure that divides two costs, corrected the other way round."""

    def figure(result: Result) -> float | None:
        ratio = over(above, below)(result)
        fast, slow = (dig(result, *path[:2], "probe_us") for path in (above, below))
        return ratio if ratio is None or not fast or not slow else ratio * slow / fast

    return figure


def at(*path: str) -> Callable[[Result], float | None]:
    return lambda result: dig(result, *path)


def _cell(name: str, *path: str) -> tuple[str, ...]:
    return ("cells", name, *path)


def _tx(name: str) -> tuple[str, ...]:
    return _cell(name, "saturation", "tx_per_s")


def _commitments(name: str) -> tuple[str, ...]:
    return _cell(name, "saturation", "commitments_per_s")


def _keys(result: Result) -> float | None:
    """Return tx/s with the most keys over tx/s with the fewest; None unless two sizes ran."""
    sizes = {
        int(keys): name
        for name, cell in result.get("cells", {}).items()
        if (keys := dig(cell, "keys")) and dig(cell, "saturation", "tx_per_s")
    }
    if len(sizes) < 2:
        return None
    return compared(_tx(sizes[max(sizes)]), _tx(sizes[min(sizes)]))(result)


def _largest(*figures: Callable[[Result], float | None]) -> Callable[[Result], float | None]:
    def figure(result: Result) -> float | None:
        known = [value for item in figures if (value := item(result)) is not None]
        return max(known, default=None)

    return figure


def goals() -> list[Goal]:
    return [
        Goal("PBFT 4, tx/s over etcd x3 puts/s", "x", 2, 3, True,
             compared(_tx("pbft-4"), ("peers", "etcd-3", "per_s"))),
        Goal("Raft 3, tx/s over etcd x3 puts/s", "x", 3, 5, True,
             compared(_tx("raft-3"), ("peers", "etcd-3", "per_s"))),
        Goal("PBFT 4, commitments/s, one signature for many", "1/s", 150_000, 500_000, True,
             at(*_commitments("pbft-4-root"))),
        Goal("PBFT 4, commitments/s, each indexed", "1/s", 100_000, 200_000, True,
             at(*_commitments("pbft-4-batch"))),
        Goal("validation over the raw batch limit, 4 signers", "x", 1.3, 1.15, False,
             at("micro", "validate_few", "over_limit")),
        Goal("validation over the raw batch limit, all distinct", "x", 1.3, 1.15, False,
             at("micro", "validate_distinct", "over_limit")),
        Goal("PyNaCl loop over batch verification, 4 signers", "x", 6, 8, True,
             at("micro", "verify_few", "pynacl_over_ours")),
        Goal("Merkle append over raw SHA-256", "x", 2, 1.5, False,
             at("micro", "merkle_append", "over_limit")),
        Goal("PBFT 4, commit latency at half load, p50", "ms", 25, 10, False,
             at(*_cell("pbft-4", "half", "p50"))),
        Goal("PBFT 4, commit latency at half load, p99", "ms", 100, 50, False,
             at(*_cell("pbft-4", "half", "p99"))),
        Goal("PBFT 4, one client, idle, p50", "ms", 10, 4, False,
             at(*_cell("pbft-4", "idle", "p50"))),
        Goal("Raft 3, one client, idle, p50", "ms", 5, 2, False,
             at(*_cell("raft-3", "idle", "p50"))),
        Goal("PBFT 16 over PBFT 4, CPU per tx per node", "x", 1.3, 1.15, False,
             per_cost(_cell("pbft-16", "saturation", "cpu_us_per_tx_node"),
                      _cell("pbft-4", "saturation", "cpu_us_per_tx_node"))),
        Goal("most keys over 10^4 keys, tx/s", "x", 0.8, 0.9, True,
             _keys),
        Goal("PBFT 4, one member dead over all alive, tx/s", "x", 0.9, 1, True,
             compared(_tx("pbft-4-dead"), _tx("pbft-4-alive"))),
        Goal("PBFT 4, loop lag at saturation, p99", "ms", 10, 5, False,
             at(*_cell("pbft-4", "saturation", "loop_lag_p99_ms"))),
        Goal("memory of its own, per node", "MB", 400, 250, False,
             _largest(at(*_cell("pbft-4", "saturation", "own_mb_max")),
                      at("soak", "own_mb_max"))),
        Goal("memory growth per hour, from the soak", "MB", 10, 2, False,
             at("soak", "slope_mb_per_h_max")),
    ]  # fmt: skip


GOALS: Final = goals()


def rows(result: Result) -> list[Row]:
    """Return every goal with what ``result`` has for it."""
    return [Row(goal, goal.figure(result)) for goal in GOALS]
