"""`make bench`: the product's own figures, in bench-results/.

    python tests/bench/run.py --quick             one of everything, about three minutes
    python tests/bench/run.py                     everything
    python tests/bench/run.py --only pbft-4       one cluster, or a group, or micro, or peers
    python tests/bench/run.py --soak 60           memory over an hour
    python tests/bench/run.py --report            tables and plots anew from the last JSON

Writes bench.json (every figure), bench.md (tables, goals first) and plots as PNG and SVG.
Times are never pass or fail; a load that does not commit is.  Traffic goes to 127.0.0.1 only,
and every step is bounded in time and count.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench import machine, micro, peers, plots, posts, report, scenarios, soak  # noqa: E402
from tests.bench.measure import QUICK, Plan  # noqa: E402

RESULTS: Final = ROOT / "bench-results"
KEYS_FULL: Final = (10_000, 100_000, 1_000_000, 10_000_000)
KEYS_QUICK: Final = (10_000, 100_000)


class Run:
    """One result that grows; it is written after each part, so that nothing is lost."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._started = time.monotonic()
        self.failed: list[str] = []
        self.work = RESULTS / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        self.plan = QUICK if options.quick else Plan()
        if options.seconds:
            self.plan = self.plan.scaled(options.seconds)
        self.result: dict[str, Any] = {
            "machine": machine.facts(self.work),
            "settings": {
                "arguments": " ".join(sys.argv[1:]) or "none",
                "seconds of a ramp step": self.plan.step_s,
                "fdatasync of 4 KiB, us": round(machine.fdatasync_us(self.work), 1),
                "one libsodium verification, us": round(machine.verify_us(), 1),
                "one call of this interpreter, ns": round(machine.call_ns(), 1),
            },
            "micro": {},
            "cells": {},
            "peers": {},
            "skipped": [],
        }

    def wants(self, *names: str) -> bool:
        only = self._options.only
        return not only or any(name in only for name in names)

    def save(self) -> None:
        self.result["seconds"] = round(time.monotonic() - self._started, 1)
        text = json.dumps(self.result, indent=2)
        (RESULTS / "bench.json").write_text(text + "\n")

    def skip(self, name: str, why: str) -> None:
        print(f"  {name}: not measured: {why}")
        self.result["skipped"].append({"name": name, "why": why})

    def fail(self, name: str, error: BaseException) -> None:
        self.failed.append(name)
        self.skip(name, f"failed: {type(error).__name__}: {str(error)[:300]}")

    # --- parts -------------------------------------------------------------------------------

    def micro(self) -> None:
        if not self.wants("micro"):
            return
        quick = self._options.quick
        print("one transaction on one node")
        size = micro.QUICK if quick else micro.Size()
        self.result["micro"] |= micro.run(size, self.work)
        rounds, count = (3, 500) if quick else (7, 3000)
        self.result["micro"] |= posts.run(self.work, rounds=rounds, count=count)
        self.save()

    def clusters(self) -> None:
        quick, only = self._options.quick, self._options.only
        sizes = tuple(self._options.keys) or (KEYS_QUICK if quick else KEYS_FULL)
        for scenario in scenarios.scenarios(sizes):
            picked = [] if self.wants(scenario.name, scenario.group) else scenario.picked(only)
            if quick and not scenario.quick and not only:
                continue
            if not picked and not self.wants(scenario.name, scenario.group):
                continue
            if why := scenarios.why_not(scenario, self.work):
                self.skip(scenario.name, why)
                continue
            print(f"{scenario.name}, {scenario.setup}", flush=True)
            try:
                for name, cell in scenarios.run(
                    scenario, self.plan, self.work, only=picked, quick=quick
                ):
                    self.result["cells"][name] = cell
                    self.save()
            except scenarios.FAULTS as error:
                self.fail(scenario.name, error)

    def peers(self) -> None:
        for name, system in peers.systems().items():
            if not self.wants("peers", name):
                continue
            if why := system.missing():
                self.skip(name, why)
                continue
            print(name, flush=True)
            try:
                self.result["peers"] |= system.measure(self.work, quick=self._options.quick)
            except scenarios.FAULTS as error:
                self.fail(name, error)
            self.save()

    def soak(self) -> None:
        self.result["soak"] = soak.run(self.work, minutes=self._options.soak)
        self.save()


def write_report(result: dict[str, Any]) -> None:
    """Write the table and the plots of ``result``."""
    text = report.markdown(result)
    (RESULTS / "bench.md").write_text(text)
    drawn = plots.draw(result, RESULTS)
    print(f"\n{report.goal_table(result)}\n")
    for path in [RESULTS / "bench.json", RESULTS / "bench.md", *drawn]:
        print(f"written: {path.relative_to(ROOT)}")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="about three minutes")
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="NAME", help="parts, groups, clusters or loads"
    )
    parser.add_argument("--seconds", type=float, default=0, help="of one ramp step")
    parser.add_argument("--keys", type=int, nargs="*", default=[], help="sizes of the state")
    parser.add_argument("--soak", type=float, default=0, metavar="MINUTES")
    parser.add_argument("--report", action="store_true", help="only from the last bench.json")
    options = parser.parse_args(arguments)
    known = {"micro", "peers", *peers.systems()}
    for scenario in scenarios.scenarios(tuple(options.keys) or KEYS_FULL):
        known |= scenario.names()
    if strangers := sorted(set(options.only) - known):
        # Half an hour later it would be a row that says "not measured".
        parser.error(f"--only: nothing is named {', '.join(strangers)}")
    return options


def main() -> int:
    options = parse()
    machine.end_on_sigterm()
    if options.report:
        write_report(json.loads((RESULTS / "bench.json").read_text()))
        return 0
    run = Run(options)
    if options.soak:
        run.soak()
    else:
        run.micro()
        run.clusters()
        run.peers()
    run.save()
    write_report(run.result)
    print(f"{run.result['seconds']:.0f} s")
    if run.failed:
        print(f"failed: {', '.join(run.failed)}", file=sys.stderr)
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
