"""PySyncObj, three processes: Raft in Python, the load inside the leader's process.

    python tests/bench/peer_pysyncobj.py PORT PORT,PORT SECONDS IN_FLIGHT

It verifies nothing and writes nothing to disk before it answers: the ceiling of replication in
Python without signatures and without durability, and no system of record.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from node.cli.cluster import free_ports
from tests.bench import machine, peers
from tests.bench.stats import summary

PERIOD_S: Final = 0.002  # between appends; its default of 0.1 s is its latency
VALUE_BYTES: Final = 250
ABOUT: Final = {"signatures": "none", "durable": "no, memory only"}


def missing() -> str | None:
    return peers.without("pysyncobj")


def measure(directory: Path, *, quick: bool) -> dict[str, Any]:
    """Return the row ``pysyncobj-3``."""
    del directory  # it keeps nothing
    seconds = peers.QUICK_S if quick else peers.FULL_S
    probe_us, points = machine.verify_us(), []
    for in_flight in (1000,) if quick else (1, 100, 2000):
        found = _once(in_flight, seconds)
        print(f"    {in_flight:4} in flight, {found['per_s']:9,.0f}/s", flush=True)
        points.append(found)
    top = max(points, key=lambda item: item["per_s"])
    row = {name: top.get(name) for name in ("per_s", "in_flight", "p50", "p99")}
    idle = next((item for item in points if item["in_flight"] == 1), {})
    row |= {"idle_p50": idle.get("p50"), "points": points}
    row["probe_us"] = machine.verify_us(probe_us)
    return {"pysyncobj-3": ABOUT | row}


def _once(in_flight: int, seconds: float) -> dict[str, Any]:
    """Run three processes; the one that leads prints its figures."""
    ports = free_ports(3)
    commands = [
        [sys.executable, str(Path(__file__)), str(port),
         ",".join(str(item) for item in ports if item != port), str(seconds), str(in_flight)]
        for port in ports
    ]  # fmt: skip
    running = [
        subprocess.Popen(item, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for item in commands
    ]
    try:
        outputs = [item.communicate(timeout=seconds + 60)[0] for item in running]
    finally:
        for item in running:
            item.kill()
            item.wait()
    lines = [
        line for output in outputs for line in output.splitlines() if line.startswith(b"{")
    ]
    assert lines, "nobody led"
    found: dict[str, Any] = json.loads(lines[0])
    return found | {"in_flight": in_flight}


def node(port: int, others: list[int], seconds: float, in_flight: int) -> None:
    """Run one process; load it when it leads."""
    from pysyncobj import SyncObj, SyncObjConf, replicated

    class Counter(SyncObj):  # type: ignore[misc]
        def __init__(self) -> None:
            settings = SyncObjConf(
                appendEntriesPeriod=PERIOD_S, autoTickPeriod=PERIOD_S, commandsQueueSize=200_000
            )
            names = [f"127.0.0.1:{item}" for item in others]
            super().__init__(f"127.0.0.1:{port}", names, settings)
            self.values: dict[int, bytes] = {}

        @replicated
        def put(self, at: int, value: bytes) -> None:
            self.values[at & 0xFFFF] = value

    counter = Counter()
    deadline = time.monotonic() + 20
    while counter._getLeader() is None or not counter._isReady():
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)
    time.sleep(0.5)
    if counter._isLeader():
        print(json.dumps(_load(counter, seconds, in_flight)), flush=True)
        time.sleep(0.5)
    else:
        time.sleep(seconds + 3)
    counter.destroy()


def _load(counter: Any, seconds: float, in_flight: int) -> dict[str, Any]:
    took: list[float] = []
    start = time.perf_counter()
    end, value, number = start + seconds, bytes(VALUE_BYTES), 0

    def ask() -> None:
        nonlocal number
        number += 1
        before = time.perf_counter()

        def done(_result: Any, error: Any) -> None:
            now = time.perf_counter()
            if not error:
                took.append((now - before) * 1000)
            if now < end:
                ask()

        counter.put(number, value, callback=done)

    for _ in range(in_flight):
        ask()
    time.sleep(seconds)
    elapsed = time.perf_counter() - start
    count = len(took)
    return dict(summary(took[:count])) | {"per_s": count / elapsed, "seconds": elapsed}


if __name__ == "__main__":
    _, own, rest, duration, flying = sys.argv
    node(int(own), [int(item) for item in rest.split(",")], float(duration), int(flying))
