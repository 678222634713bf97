"""The clusters that are measured: one row each, and how a row is run.

Owns: the list, its names (figures are found by them, also by the goals) and the order within
one cluster.  A cluster that cannot be measured is noted with its reason, and the run goes on.
"""

import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from node.errors import ChartsealError
from storage.errors import StorageError
from tests.bench import net as networks
from tests.bench import turns
from tests.bench.loads import Content
from tests.bench.measure import Bench, Feed, Load, Plan
from tests.bench.net import Net, Setup

ONE: Final = Content("anchors", 1)
FIRST: Final = "one"  # how the first load is picked by name
DEAD: Final = "dead"
BYTES_PER_KEY: Final = 1500  # on disk: rows, tree pages, indexes, the block body

# suffix of the cell's name, what is sent
LOADS: Final[dict[str, Load]] = {
    "": Load(ONE, start=800),
    "16": Load(Content("anchors", 16), start=150),
    "500": Load(Content("anchors", 500), start=6),
    "batch": Load(Content("batch", 500), start=30),
    "root": Load(Content("batch", 1000, inline=False), start=500),
    "lines": Load(ONE, mode="lines", start=600),
    "single": Load(ONE, mode="single", start=400),
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """``loads`` by suffix, in order; ``latency``: also half load and one client, for the
    first; ``bury``: at the end the first load is repeated with all members and with one dead,
    in turns."""

    name: str
    group: str
    setup: Setup
    loads: tuple[str, ...] = ("",)
    latency: bool = False
    bury: bool = False
    quick: tuple[str, ...] = ()  # loads of a quick run; none: not in it

    def picked(self, names: Collection[str]) -> list[str]:
        """Return the loads that ``names`` picks: cluster-load, "one" for the first, "dead"."""
        return [label for label in self._labels() if f"{self.name}-{label}" in names]

    def names(self) -> set[str]:
        """Return every name that picks it or a part of it."""
        return {self.name, self.group} | {f"{self.name}-{label}" for label in self._labels()}

    def _labels(self) -> list[str]:
        return [label or FIRST for label in self.loads] + [DEAD] * self.bury


def scenarios(key_sizes: tuple[int, ...]) -> list[Scenario]:
    everything = tuple(LOADS)
    found = [
        Scenario("pbft-4", "engines", Setup(), everything, latency=True, bury=True,
                 quick=everything),
        Scenario("raft-3", "engines", Setup("raft", 3), everything, latency=True, bury=True,
                 quick=("", "batch")),
        Scenario("pbft-4-distinct", "signers", Setup(signers=512), quick=("",)),
        Scenario("raft-3-distinct", "signers", Setup("raft", 3, signers=512)),
        Scenario("pbft-4-liar", "faults", Setup(fault="liar"), quick=("",)),
    ]  # fmt: skip
    found += [
        Scenario(f"{engine}-{count}", "members", Setup(engine, count), latency=True,
                 quick=("",) if (engine, count) == ("pbft", 16) else ())
        for engine, counts in (("pbft", (1, 7, 10, 16)), ("raft", (1, 5, 7, 16)))
        for count in counts
    ]  # fmt: skip
    found += [
        Scenario(f"pbft-4-keys-{keys}", "keys", Setup(keys=keys), quick=("",))
        for keys in key_sizes
    ]
    return found


def run(
    scenario: Scenario,
    plan: Plan,
    directory: Path,
    *,
    only: Collection[str] = (),
    quick: bool = False,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (cell name, figures) as they are measured; ``only``: see ``Scenario.picked``.

    Raises what the cluster raises; what was yielded before stands.
    """
    setup = scenario.setup
    listed = scenario.quick or ("",) if quick else scenario.loads
    labels = [label for label in scenario.loads if (label or FIRST) in only] if only else listed
    latency = scenario.latency and (scenario.group == "engines" or not quick)
    with (
        tempfile.TemporaryDirectory(dir=directory, ignore_cleanup_errors=True) as name,
        Net(Path(name), setup) as net,
        Feed() as feed,
    ):
        start = time.monotonic()
        net.up()
        about = networks.describe(setup) | {"ready_s": round(time.monotonic() - start, 2)}
        bench = Bench(net, feed, plan)
        # With a liar in the lead: how long the others take to remove it.
        gap_s = bench.first_commit_s() if setup.fault else None
        for at, label in enumerate(labels):
            title = f"{scenario.name}-{label}" if label else scenario.name
            print(f"  {title}", flush=True)
            cell = bench.cell(LOADS[label], latency=latency and at == 0 and not label)
            cell |= about
            if gap_s is not None:
                cell["gap_s"] = gap_s
            yield title, cell
        if scenario.bury and (not only or DEAD in only):
            yield from _buried(bench, scenario, about)


def _buried(
    bench: Bench, scenario: Scenario, about: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure the first load once more, on the ledger as it is by now, with all members and
    with the last one dead."""
    print(f"  {scenario.name}-alive and {scenario.name}-dead, in turns", flush=True)
    alive, dead = turns.alive_and_dead(bench, LOADS[scenario.loads[0]])
    yield f"{scenario.name}-alive", alive | about
    yield f"{scenario.name}-dead", dead | about | {"fault": "dead"}


def why_not(scenario: Scenario, directory: Path) -> str | None:
    """Return why this machine cannot run the scenario, None when it can."""
    need = scenario.setup.keys * BYTES_PER_KEY * 2  # the others link most of it
    free = shutil.disk_usage(directory).free
    if need > free * 0.8:
        return f"needs {need / 1e9:.0f} GB of disk, {free / 1e9:.0f} GB are free"
    return None


FAULTS: Final = (ChartsealError, StorageError, AssertionError, OSError)
