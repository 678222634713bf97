"""Memory of every node over time, under a load it keeps up with: flat, or how steep.

What is judged is a node's own memory; with LevelDB's tables, which are mapped and stay in
memory while there is room, it is "resident".  The first half is warm-up (caches, LevelDB's
buffers, the pools of the allocator); the slope is that of the second half.
"""

import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from tests.bench import machine, stats
from tests.bench.loads import Content
from tests.bench.measure import Bench, Feed, Load, Plan
from tests.bench.net import Net, Setup

FLAT_MB_PER_H: Final = 10.0
SAMPLE_S: Final = 2.0
ROUND_S: Final = 20.0
SHARE: Final = 0.5  # of saturation
Series = list[tuple[float, float]]  # seconds since the start, megabytes


class Watch:
    """Samples the nodes' own memory beside the load, and how much was resident at most."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.series: dict[str, Series] = {net.cluster.members[at].id: [] for at in net.live}
        self.resident_mb = 0.0

    def _run(self) -> None:
        start, processes = time.monotonic(), self._net.processes()
        while not self._stop.wait(SAMPLE_S):
            passed = time.monotonic() - start
            for series, process in zip(self.series.values(), processes, strict=True):
                resident, own = machine.memory_mb(process)
                self.resident_mb = max(self.resident_mb, resident)
                series.append((passed, own))

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def verdict(series: Series) -> dict[str, Any]:
    """Return a node's figures: slope of the second half in MB/h, and whether that is flat.

    Flat: less than ``FLAT_MB_PER_H``, or less than one percent over the whole second half
    (a short soak cannot tell a slow leak from the noise of the allocator, and says so by its
    length).
    """
    half = [point for point in series if point[0] >= series[-1][0] / 2]
    line = stats.fit(half)
    per_h, grown = line.per_x * 3600, line.per_x * (half[-1][0] - half[0][0])
    return {
        "first_mb": series[0][1],
        "last_mb": series[-1][1],
        "mb_per_h": per_h,
        "flat": per_h < FLAT_MB_PER_H or grown < 0.01 * half[0][1],
        "series": [[round(x, 1), round(y, 2)] for x, y in series],
    }


def run(directory: Path, *, minutes: float) -> dict[str, Any]:
    """Load PBFT of four at half its saturation for ``minutes``."""
    plan = Plan(step_s=3, confirm_s=5, steps_max=6)
    load = Load(Content("anchors", 1))
    with (
        tempfile.TemporaryDirectory(dir=directory, ignore_cleanup_errors=True) as name,
        Net(Path(name), Setup()) as net,
        Feed() as feed,
    ):
        net.up()
        bench = Bench(net, feed, plan)
        rate = bench.saturation(load)["saturation"]["tx_per_s"] * SHARE
        print(f"soak at {rate:,.0f}/s for {minutes:g} minutes", flush=True)
        end, done, steps = time.monotonic() + minutes * 60, 0, []
        with Watch(net) as watch:
            while (left := end - time.monotonic()) > 0:
                figures = bench.step(load, rate, min(ROUND_S, max(left, 1.0)))
                done += figures["accepted"]
                steps.append(figures["latency_ms"].get("p99", 0.0))
        height = net.height()
    nodes = {name: verdict(series) for name, series in watch.series.items() if series}
    return {
        "minutes": minutes,
        "rate_per_s": rate,
        "transactions": done,
        "height": height,
        "p99_ms_by_round": steps,
        "nodes": nodes,
        "own_mb_max": max(mb for node in nodes.values() for _, mb in node["series"]),
        "resident_mb_max": watch.resident_mb,
        "slope_mb_per_h_max": max(node["mb_per_h"] for node in nodes.values()),
    }
