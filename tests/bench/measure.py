"""One load on one cluster: steps, the ramp to saturation, half load, one client alone.

Owns: when a step counts.  Everything that was offered must be accepted and applied by every
live member; a rate is what was applied over the time from the first byte to the last member.
Bounded: every step ends by itself, a load that does not drain ends after ``DRAIN_S``.
"""

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.bench import loads, machine, stats
from tests.bench.feeder import Job
from tests.bench.loads import Content
from tests.bench.net import Net, Snapshot, used
from tests.bench.ramp import FACTOR, Ramp, Step

DRAIN_S: Final = 40.0
OWN_S: Final = 0.35  # what the last transaction takes at any load, and our looking at it
SETTLE_S: Final = 0.4  # from the order to the first byte: the feeder reads its files
PROBES_PER_S: Final = 40.0
EXPIRY_AHEAD: Final = 50_000
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent and how; ``start`` is the first rate of the ramp, in transactions/s."""

    content: Content
    mode: str = "binary"
    start: float = 800.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds of one ramp step, of confirmation and half load; steps of the ramp at most."""

    step_s: float = 4.0
    confirm_s: float = 10.0
    half_s: float = 30.0
    idle_s: float = 10.0
    steps_max: int = 8
    factor: float = FACTOR

    def scaled(self, step_s: float) -> "Plan":
        share = step_s / self.step_s
        return replace(
            self,
            step_s=step_s,
            confirm_s=self.confirm_s * share,
            half_s=self.half_s * share,
            idle_s=self.idle_s * share,
        )


QUICK: Final = Plan(step_s=1.0, confirm_s=2.0, half_s=3.0, idle_s=1.5, steps_max=2, factor=3.0)


class Feed:
    """The feeding process; one job at a time.  Use as a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("feeder.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._outcomes: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._outcomes.put(json.loads(line))

    def start(self, job: Job) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        self._process.stdin.flush()

    def outcome(self, timeout_s: float) -> dict[str, Any] | None:
        """Return the job's outcome, None while there is none; raises when the feeder died."""
        try:
            return self._outcomes.get(timeout=timeout_s)
        except queue.Empty:
            assert self._process.poll() is None, "the feeder died"
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None, "both are pipes"
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


class Bench:
    """Measures loads on a cluster that is up."""

    def __init__(self, net: Net, feed: Feed, plan: Plan) -> None:
        self.net = net
        self._feed = feed
        self._plan = plan

    # --- one step ----------------------------------------------------------------------------

    def step(
        self, load: Load, rate: float, seconds: float, *, probes: bool = True
    ) -> dict[str, Any]:
        """Offer ``rate`` for ``seconds``; return what came of it and what it cost."""
        job = self._job(load, rate, seconds, probes=probes)
        before = self.net.snapshot()
        job = replace(job, start_s=time.monotonic() + SETTLE_S)
        self._feed.start(job)
        outcome, after, drained = self._drain(job, before)
        elapsed = after.at_s - job.start_s
        done = after.applied() - before.applied()
        wanted = outcome["accepted"] + outcome["committed_probes"]
        planned = max(1, int(rate * seconds))
        figures: dict[str, Any] = {
            "offered_per_s": rate,
            "tx_per_s": min(done, wanted) / max(elapsed, seconds),
            "kept_per_s": min(done, wanted) / max(elapsed - OWN_S, seconds),
            "seconds": elapsed,
            "drained": drained and outcome["accepted"] >= 0.999 * planned,
            "sent": outcome["sent"],
            "accepted": outcome["accepted"],
            "refused": outcome["refused"],
            "failed": outcome["failed"],
            "feeder_late_p99_ms": outcome["feeder_late_p99_ms"],
            "said": outcome["said"],
            "latency_ms": stats.summary(outcome["probes_ms"]),
        }
        return figures | used(before, after, done)

    def _job(self, load: Load, rate: float, seconds: float, *, probes: bool) -> Job:
        net = self.net
        path, probe_path = net.directory / "load", net.directory / "probes"
        expires = net.height() + EXPIRY_AHEAD
        count = max(1, int(rate * seconds))
        lines = load.mode == "lines"
        network = net.genesis.network
        loads.write(
            path, network, net.authors, load.content, count, expires_height=expires, lines=lines
        )
        probe_rate = min(PROBES_PER_S, rate / 10) if probes else 0.0
        if probe_rate:
            one = Content("anchors", 1)
            probed = max(1, int(probe_rate * seconds))
            loads.write(probe_path, network, net.authors, one, probed, expires_height=expires)
        return Job(
            ports=net.ports,
            token=net.cluster.token,
            mode=load.mode,
            load=str(path),
            rate=rate,
            seconds=seconds,
            start_s=0.0,
            probe_load=str(probe_path) if probe_rate else "",
            probe_rate=probe_rate,
        )

    def _drain(self, job: Job, before: Snapshot) -> tuple[dict[str, Any], Snapshot, bool]:
        """Wait for the feeder and until everything accepted is applied by every live member."""
        time.sleep(max(0.0, job.start_s + job.seconds - time.monotonic()))
        deadline = time.monotonic() + DRAIN_S
        outcome: dict[str, Any] | None = None
        while True:
            outcome = self._feed.outcome(_POLL_S) if outcome is None else outcome
            if outcome is not None and self._all_applied(outcome, before):
                return outcome, self.net.snapshot(), True
            if outcome is not None:
                time.sleep(_POLL_S)
            if time.monotonic() > deadline:
                outcome = outcome or self._feed.outcome(DRAIN_S)
                assert outcome is not None, "the feeder does not end"
                return outcome, self.net.snapshot(), False

    def _all_applied(self, outcome: dict[str, Any], before: Snapshot) -> bool:
        """Return whether every live node applied what was taken.

        Asks them one by one and stops at the first that did not: a look costs a node
        milliseconds, and it is still busy then.
        """
        wanted = outcome["accepted"] + outcome["committed_probes"]
        for place, at in enumerate(self.net.live):
            name = "chartseal_ledger_transactions_total"
            done = stats.total(self.net.page(at), name) - stats.total(
                before.metrics[place], name
            )
            if done < wanted:
                return False
        return True

    def settle(self) -> None:
        """Wait until no transaction waits anywhere, at most ``DRAIN_S``."""
        deadline = time.monotonic() + DRAIN_S
        while time.monotonic() < deadline:
            pages = [self.net.page(at) for at in self.net.live]
            if not any(page["chartseal_mempool_transactions"] for page in pages):
                return
            time.sleep(0.2)

    # --- the whole -------------------------------------------------------------------------

    def saturation(self, load: Load) -> dict[str, Any]:
        """Ramp up, then hold the best rate for longer; return the curve and that figure."""
        plan, curve = self._plan, []
        ramp = Ramp(load.start, steps_max=plan.steps_max, factor=plan.factor)
        while (rate := ramp.next_rate()) is not None:
            figures = self.tried(load, rate, plan.step_s)
            curve.append(figures)
            ramp.took(Step(rate, _kept(figures)))
        rate = ramp.promising or max(item["tx_per_s"] for item in curve) * 0.9
        for _ in range(4):
            figures = self.tried(load, rate, plan.confirm_s)
            if Step(rate, _kept(figures)).sustained:
                break
            rate = min(rate * 0.9, figures["tx_per_s"])
        content = load.content
        figures["sustained"] = Step(figures["offered_per_s"], _kept(figures)).sustained
        figures["ops_per_s"] = figures["tx_per_s"] * content.ops
        figures["commitments_per_s"] = figures["tx_per_s"] * content.commitments
        points = [point(item) for item in [*curve, figures]]
        return {"saturation": figures, "curve": points}

    def tried(self, load: Load, rate: float, seconds: float | None = None) -> dict[str, Any]:
        """Like ``step``, then wait until nothing is left of it, and say what came of it."""
        figures = self.step(load, rate, seconds or self._plan.step_s)
        self.settle()
        kept = "kept up" if Step(rate, _kept(figures)).sustained else "fell behind"
        said = f" ({figures['said']})" if figures["said"] else ""
        print(f"    {rate:9,.0f}/s offered, {figures['tx_per_s']:9,.0f}/s done, {kept}{said}")
        return figures

    def half(self, load: Load, saturation: float) -> dict[str, Any]:
        """Return latency at half of ``saturation``."""
        figures = self.step(load, saturation / 2, self._plan.half_s)
        self.settle()
        return {
            "offered_per_s": saturation / 2,
            "cpu_us_per_tx_node": figures["cpu_us_per_tx_node"],
            "loop_lag_p99_ms": figures.get("loop_lag_p99_ms"),
            **figures["latency_ms"],
        }

    def idle(self) -> dict[str, Any]:
        """Return latency of one client that has the cluster for itself."""
        seconds = self._plan.idle_s
        load = Load(Content("anchors", 1), mode="alone")
        job = self._job(load, 400.0, seconds, probes=False)
        self._feed.start(replace(job, start_s=time.monotonic() + SETTLE_S))
        outcome = self._feed.outcome(seconds + DRAIN_S)
        assert outcome is not None, "one client alone is not served"
        figures = stats.summary(outcome["probes_ms"])
        if outcome["failed"]:
            figures["failed"] = outcome["failed"]
        return figures

    def first_commit_s(self) -> float | None:
        """Return how long one transaction takes now; None when it is not committed."""
        job = self._job(Load(Content("anchors", 1), mode="alone"), 1.0, 1.0, probes=False)
        self._feed.start(replace(job, start_s=time.monotonic()))
        outcome = self._feed.outcome(DRAIN_S)
        took = outcome["probes_ms"] if outcome else []
        return took[0] / 1000 if took else None

    def cell(self, load: Load, *, latency: bool = True) -> dict[str, Any]:
        """Return everything about ``load``; ``latency`` adds half load and one client."""
        found: dict[str, Any] = {"mode": load.mode, "content": asdict(load.content)}
        before_us = machine.verify_us()
        found["fdatasync_us"] = machine.fdatasync_us(self.net.directory)
        if latency:
            found["idle"] = self.idle()
        found |= self.saturation(load)
        if latency:
            found["half"] = self.half(load, found["saturation"]["tx_per_s"])
        found["fdatasync_us_after"] = machine.fdatasync_us(self.net.directory)
        found["probe_us"] = machine.verify_us(before_us)
        return found


def settled_file(path: Path, *, timeout_s: float = 10) -> str:
    """Return the text of a file that another process is about to put there."""
    deadline = time.monotonic() + timeout_s
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} does not come"
        time.sleep(0.05)
    return path.read_text()


def _kept(figures: dict[str, Any]) -> float:
    """Return the rate that counts for the ramp: nothing when something was not committed."""
    return float(figures["kept_per_s"]) if figures["drained"] else 0.0


def point(figures: dict[str, Any]) -> dict[str, Any]:
    """Return one point of the curve."""
    latency = figures["latency_ms"]
    return {
        "offered_per_s": figures["offered_per_s"],
        "tx_per_s": figures["tx_per_s"],
        "kept_up": Step(figures["offered_per_s"], _kept(figures)).sustained,
        "p50": latency.get("p50"),
        "p99": latency.get("p99", latency.get("max")),
        "cpu_us_per_tx_node": figures["cpu_us_per_tx_node"],
    }
