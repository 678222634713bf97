"""Other systems, measured on the same machine in the same run, each with its own client.

Owns: how a peer is driven: closed loop with more and more in flight, the best rate counts.
That is kinder than what our own clusters get (open loop, sustained), so ratios to peers are low
rather than high.  What each peer does and does not do stands in its result.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psutil

from tests.bench import machine

DRIVER: Final = Path(__file__).with_name("drive.py")
QUICK_S: Final = 1.0
FULL_S: Final = 8.0
INSTALL: Final = "make bench-peers installs it"


@dataclass(frozen=True, slots=True)
class System:
    """``missing`` says why it cannot be measured here, None when it can."""

    missing: Callable[[], str | None]
    measure: Callable[..., dict[str, Any]]


def without(*modules: str) -> str | None:
    """Return what to do about the first Python package that is not there."""
    gone = [name for name in modules if find_spec(name) is None]
    return f"no Python package {gone[0]}: {INSTALL}" if gone else None


def drive(
    kind: str, options: Mapping[str, Any], *, in_flight: int, seconds: float
) -> dict[str, Any]:
    """Run the client process once; return rate, latencies in ms and the client's CPU."""
    job = json.dumps({**options, "in_flight": in_flight, "seconds": seconds})
    done = subprocess.run(
        [sys.executable, str(DRIVER), kind, job],
        capture_output=True, text=True, check=False, timeout=seconds + 60,
    )  # fmt: skip
    assert done.returncode == 0, f"client of {kind}: {done.stderr[-400:]}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def best(
    kind: str,
    options: Mapping[str, Any],
    servers: Sequence[psutil.Process],
    *,
    levels: Sequence[int],
    quick: bool,
    per_request: int = 1,
) -> dict[str, Any]:
    """Return the best rate over ``levels`` of requests in flight, and latency with one."""
    seconds = QUICK_S if quick else FULL_S
    probe_us, points, idle = machine.verify_us(), [], None
    for in_flight in levels:
        before, start = _cpu(servers), time.monotonic()
        found = drive(kind, options, in_flight=in_flight, seconds=seconds)
        writes = found["count"] * per_request
        found["in_flight"] = in_flight
        found["per_s"] = writes / found["seconds"]
        found["cpu_us_servers"] = (_cpu(servers) - before) / max(1, writes) * 1e6
        found["cpu_us_client"] = found.pop("cpu_s") / max(1, writes) * 1e6
        found["took_s"] = time.monotonic() - start
        print(f"    {in_flight:4} in flight, {found['per_s']:9,.0f}/s", flush=True)
        points.append(found)
        idle = found if in_flight == 1 else idle
    top = max(points, key=lambda item: item["per_s"])
    figures = {
        name: top.get(name)
        for name in ("per_s", "in_flight", "p50", "p99", "cpu_us_servers", "cpu_us_client")
    }
    figures |= {"points": points, "probe_us": machine.verify_us(probe_us)}
    if idle is not None:
        figures |= {"idle_p50": idle.get("p50"), "idle_p99": idle.get("p99")}
    return figures


def _cpu(servers: Sequence[psutil.Process]) -> float:
    """Return CPU seconds of the servers and of what they started."""
    return sum(
        machine.cpu_s(item) for server in servers for item in (server, *_children(server))
    )


def _children(server: psutil.Process) -> list[psutil.Process]:
    try:
        return server.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@contextmanager
def running(commands: Sequence[Sequence[str]], log: Path) -> Iterator[list[psutil.Process]]:
    """Run the servers, end them at the end whatever happens."""
    started: list[subprocess.Popen[bytes]] = []
    with log.open("ab") as out:
        try:
            for command in commands:
                started.append(subprocess.Popen(command, stdout=out, stderr=out))
            yield [psutil.Process(item.pid) for item in started]
        finally:
            for item in started:
                item.terminate()
            for item in started:
                try:
                    item.wait(10)
                except subprocess.TimeoutExpired:
                    item.kill()
                    item.wait()


def until(what: Callable[[], bool], say: str, *, timeout_s: float = 30) -> None:
    """Return once ``what`` holds."""
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {say}"
        time.sleep(0.1)


def systems() -> dict[str, System]:
    from tests.bench import peer_etcd, peer_postgres, peer_pysyncobj

    return {
        "etcd": System(peer_etcd.missing, peer_etcd.measure),
        "postgres": System(peer_postgres.missing, peer_postgres.measure),
        "pysyncobj": System(peer_pysyncobj.missing, peer_pysyncobj.measure),
    }
