"""One load with all members alive and with the last one dead, in turns.

Owns: the order.  Cells that are minutes apart differ by how far the ledger has grown and how
fast the machine is just then more than by a member; turns of seconds, one after the other,
have both in common.  Each offers more than the cluster keeps up with, and what it did counts.
"""

import statistics
import time
from dataclasses import asdict
from typing import Any, Final

from tests.bench import machine
from tests.bench.measure import Bench, Load, point
from tests.bench.net import Net

TURNS: Final = 5
OVERLOAD: Final = 1.3  # over what the ramp just before came to
CATCH_UP_S: Final = 60.0
Figures = dict[str, Any]


def alive_and_dead(bench: Bench, load: Load) -> tuple[Figures, Figures]:
    """Return the cell with all alive and that with one dead; all are alive at the end."""
    net = bench.net
    rate = bench.saturation(load)["saturation"]["tx_per_s"] * OVERLOAD
    began_us, at = machine.verify_us(), net.live[-1]
    alive, dead, gaps = [], [], []
    for _ in range(TURNS):
        alive.append(bench.tried(load, rate))
        net.bury(at)
        gaps.append(bench.first_commit_s())
        dead.append(bench.tried(load, rate))
        revive(net, at)
    probe_us = machine.verify_us(began_us)
    fdatasync_us = machine.fdatasync_us(net.directory)
    cells = [
        {
            "mode": load.mode,
            "content": asdict(load.content),
            "saturation": middle(steps),
            "curve": [point(step) for step in steps],
            "probe_us": probe_us,
            "fdatasync_us": fdatasync_us,
        }
        for steps in (alive, dead)
    ]
    waited = [gap for gap in gaps if gap is not None]
    cells[1]["gap_s"] = statistics.median(waited) if len(waited) == TURNS else None
    return cells[0], cells[1]


def middle(steps: list[Figures]) -> Figures:
    """Return the figures of the turn that did the median rate."""
    rate = statistics.median_low([step["tx_per_s"] for step in steps])
    return next(step for step in steps if step["tx_per_s"] == rate)


def revive(net: Net, at: int) -> None:
    """Start a member again, and return when it has applied what the others have."""
    net.cluster.start(at)
    net.cluster.wait_ready(at, CATCH_UP_S)
    name, deadline = "chartseal_ledger_height", time.monotonic() + CATCH_UP_S
    wanted = max(net.page(other)[name] for other in net.live)
    while net.page(at)[name] < wanted:
        assert time.monotonic() < deadline, "a member that was dead does not catch up"
        time.sleep(0.1)
    net.live.append(at)
