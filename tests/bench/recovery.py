"""How a network gets over things: catch-up of a wiped member, gaps at kills and switches.

    python tests/bench/recovery.py                       both engines, all of it: 10 minutes
    python tests/bench/recovery.py --engine raft --only gaps --rounds 20

``catch-up``: one member is down and wiped while the others commit at their saturation; then it
is started, with nothing else going on.  Its rate, from the start of its process to the last
block, over the rate at which the others committed.
``gaps``: clients commit one small transaction after the other through the members that live;
the gap is the longest time without any commit that begins before and ends after the member that
leads was killed, or that follows the execution of a switch of engines.  ``steady`` is the
longest such time with nothing going on, for comparison.
"""

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from node.chaos import meeting
from node.chaos.clients import Registers
from node.chaos.runner import founded
from node.chaos.wires import Wires
from node.chaos.world import World
from node.errors import ChartsealError
from tests.bench import machine, stats
from tests.bench.loads import Content
from tests.bench.measure import Bench, Feed, Load, Plan
from tests.bench.net import Net, Setup

CLIENTS: Final = 4
AFTER_S: Final = 6.0  # looked at after each event, at least
PATIENCE_S: Final = 120.0
MEMBERS: Final = {"pbft": 4, "raft": 3}
RESULTS: Final = Path("bench-results/recovery.json")


class Pulse:
    """Clients that amend one register each; remembers when each commit was answered."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._registers = Registers(world.cluster, count=CLIENTS)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._at_s: list[float] = []
        self._threads = [
            threading.Thread(target=self._beat, args=(key,), daemon=True)
            for key in range(CLIENTS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _beat(self, key: int) -> None:
        registers, known, turn = self._registers, self._registers.first[key], key
        while not self._stop.is_set():
            turn += 1
            node = self._world.voters[turn % len(self._world.voters)]
            newest = registers.amend(key, node, key, known)
            if newest is not None:
                known = newest
                with self._lock:
                    self._at_s.append(time.monotonic())
                continue
            # Unknown outcome: start again from what the ledger says.
            found = registers.read(key, node, key, known, {})
            known = known if found is None else found

    def gap_s(self, since_s: float) -> float:
        """Return the longest time without a commit from ``since_s`` on.

        Looks until ``AFTER_S`` have passed and commits came after that.  Raises
        ``TimeoutError`` when they do not.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with self._lock:
                seen = list(self._at_s)
            if seen and seen[-1] > since_s + AFTER_S:
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"no commit {PATIENCE_S:g} s after the event")
            time.sleep(0.05)
        before = max((at for at in seen if at <= since_s), default=since_s)
        times = [before, *(at for at in seen if at > since_s)]
        return max(b - a for a, b in pairwise(times))


def gaps(engine: str, directory: Path, rounds: int) -> dict[str, Any]:
    """Return the gaps of service, in ms: steady, at the leader's kill, at a switch."""
    cluster = founded(directory / "net", engine=engine, voters=MEMBERS[engine], spares=0)
    with cluster, Wires(cluster) as wires:
        world = World(cluster, wires, voters=MEMBERS[engine])
        cluster.up(timeout=PATIENCE_S)
        with Pulse(world) as pulse:
            time.sleep(AFTER_S)
            steady = _each(rounds, lambda: pulse.gap_s(time.monotonic()))
            kills = _each(rounds, lambda: _killed(world, pulse))
            switches = _each(rounds, lambda: _switched(world, pulse))
        cluster.down()
    return {"steady": steady, "leader_killed": kills, "engine_switched": switches}


def _each(rounds: int, once: Callable[[], float]) -> dict[str, Any]:
    ordered = sorted(once() * 1000 for _ in range(rounds))
    return {
        "rounds": rounds,
        "p50_ms": stats.percentile(ordered, 0.5),
        "p99_ms": stats.percentile(ordered, 0.99),
        "all_ms": [round(item, 1) for item in ordered],
    }


def _killed(world: World, pulse: Pulse) -> float:
    leader = world.leader()
    moment = time.monotonic()
    world.cluster.kill(leader)
    world.voters.remove(leader)
    try:
        return pulse.gap_s(moment)
    finally:
        world.start(leader)
        world.voters.append(leader)
        world.voters.sort()
        world.level()


def _switched(world: World, pulse: Pulse) -> float:
    moment = time.monotonic()
    meeting.switch(world, 0, _NO_CHANCE)
    return pulse.gap_s(moment)


_NO_CHANCE: Any = None  # a switch leaves nothing to chance


def catch_up(engine: str, directory: Path, seconds: float) -> dict[str, Any]:
    """Return rates in transactions/s: of the others while it was away, and of its return."""
    plan = Plan(step_s=3, confirm_s=5, steps_max=5)
    load = Load(Content("anchors", 1))
    with Net(directory, Setup(engine=engine, members=MEMBERS[engine])) as net, Feed() as feed:
        net.up()
        away = MEMBERS[engine] - 1
        net.bury(away)
        shutil.rmtree(net.cluster.node_dir(away) / "data")
        bench = Bench(net, feed, plan)
        live = bench.saturation(load)["saturation"]["tx_per_s"]
        bench.step(load, 0.8 * live, seconds, probes=False)
        others = net.page(net.live[0])
        goal = others["chartseal_ledger_height"]
        total = stats.total(others, "chartseal_ledger_transactions_total")
        began = time.monotonic()
        net.cluster.start(away)
        while _height(net, away) < goal:
            if time.monotonic() - began > 10 * PATIENCE_S:
                raise TimeoutError(f"member {away} does not catch up to {goal}")
            time.sleep(0.1)
        took = time.monotonic() - began
    return {
        "transactions": total,
        "blocks": goal,
        "live_per_s": live,
        "catch_up_per_s": total / took,
        "seconds": took,
        "ratio": total / took / live,
    }


def _height(net: Net, at: int) -> float:
    try:
        return net.page(at)["chartseal_ledger_height"]
    except (ChartsealError, KeyError):
        return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--engine", choices=("pbft", "raft"), action="append")
    parser.add_argument("--only", choices=("gaps", "catch-up"), action="append")
    parser.add_argument("--rounds", type=int, default=10, help="of each event")
    parser.add_argument("--seconds", type=float, default=20, help="of load while one is away")
    wanted = parser.parse_args()
    machine.end_on_sigterm()
    results: dict[str, Any] = {}
    for engine in wanted.engine or ("pbft", "raft"):
        cell: dict[str, Any] = results.setdefault(engine, {})
        for name in wanted.only or ("gaps", "catch-up"):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
                if name == "gaps":
                    cell["gaps"] = gaps(engine, Path(place), wanted.rounds)
                else:
                    cell["catch_up"] = catch_up(engine, Path(place), wanted.seconds)
            print(engine, name, json.dumps(cell[name.replace("-", "_")]), flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(f"written: {RESULTS}")


if __name__ == "__main__":
    main()
