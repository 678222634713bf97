"""`make profile`: where the microseconds of a transaction go, hop by hop, and a flame graph.

    python tests/bench/profile.py [--engine pbft] [--seconds 15] [--rate N]

Four PBFT members (or three Raft) under ``--rate`` transactions per second, or 70 % of a quick
look at saturation; the first leads, the second follows, both are sampled.  Writes
profile-*.svg, profile.json and profile.md into bench-results/.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench import flame, machine, micro, report  # noqa: E402
from tests.bench.loads import Content  # noqa: E402
from tests.bench.measure import QUICK, Bench, Feed, Load, settled_file  # noqa: E402
from tests.bench.net import Net, Setup  # noqa: E402

RESULTS: Final = ROOT / "bench-results"
ROLES: Final = ("leader", "follower")
SHARE: Final = 0.7
# Hops whose physical limit is measured beside them: row of the microbenchmarks.
LIMITS: Final = {
    "signatures": "validate_few",
    "apply: Merkle log": "merkle_append",
    "LevelDB: write": "block_commit",
}


def sampled(bench: Bench, load: Load, rate: float, seconds: float) -> dict[str, Any]:
    """Run the load; the first two nodes sample themselves while it arrives."""
    pids = [process.pid for process in bench.net.processes()[:2]]

    def signals() -> None:
        time.sleep(1.5)  # signing and the first blocks
        for number, wait_s in ((signal.SIGUSR1, seconds), (signal.SIGUSR2, 0.0)):
            for pid in pids:
                os.kill(pid, number)
            time.sleep(wait_s)

    beside = threading.Thread(target=signals)
    beside.start()
    figures = bench.step(load, rate, seconds + 2, probes=False)
    beside.join()
    return figures


def hop_rows(
    hops: dict[str, list[int]], transactions: float, limits: dict[str, float]
) -> list[dict[str, Any]]:
    """Return hops with microseconds and calls per transaction, heaviest first."""
    whole = sum(ns for ns, _ in hops.values()) or 1
    return [
        {
            "hop": hop,
            "us_per_tx": ns / 1000 / transactions,
            "calls_per_tx": calls / transactions,
            "share": ns / whole,
            "limit_us": limits.get(hop),
        }
        for hop, (ns, calls) in sorted(hops.items(), key=lambda item: -item[1][0])
    ]


def run(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    limits_of = micro.run(micro.QUICK, work)
    limits = {hop: limits_of[row]["limit_us"] for hop, row in LIMITS.items()}
    members = 4 if options.engine == "pbft" else 3
    load = Load(Content("anchors", 1), start=800)
    with tempfile.TemporaryDirectory(dir=work, ignore_cleanup_errors=True) as name:
        place = Path(name)
        paths = {at: place / f"{role}.stacks" for at, role in enumerate(ROLES)}
        setup = Setup(options.engine, members)
        with Net(place, setup, sample=paths) as net, Feed() as feed:
            net.up()
            bench = Bench(net, feed, QUICK)
            rate = options.rate or bench.saturation(load)["saturation"]["tx_per_s"] * SHARE
            print(f"sampling at {rate:,.0f}/s for {options.seconds:g} s", flush=True)
            figures = sampled(bench, load, rate, options.seconds)
            texts = {ROLES[at]: settled_file(path) for at, path in paths.items()}
            clocks = {
                ROLES[at]: json.loads(path.with_suffix(".hops").read_text())
                for at, path in paths.items()
            }
    nodes = {}
    for role, text in texts.items():
        stacks = flame.parse(text)
        done = figures["tx_per_s"] * options.seconds
        rows = hop_rows(clocks[role], done, limits)
        nodes[role] = {
            "us_per_tx": sum(row["us_per_tx"] for row in rows),
            "hops": rows,
        }
        title = f"{options.engine}, {role}, {figures['tx_per_s']:,.0f} transactions/s, CPU time"
        (RESULTS / f"profile-{role}.svg").write_text(flame.svg(stacks, title))
        (RESULTS / f"profile-{role}.stacks").write_text(text)
    return {"machine": machine.facts(work), "load": figures, "nodes": nodes}


def markdown(result: dict[str, Any]) -> str:
    """Return the hops of each role."""
    parts = ["# Where the time goes", "CPU microseconds per transaction on one node."]
    for role, node in result["nodes"].items():
        rows = [
            [row["hop"], report.number(row["us_per_tx"]), f"{row['share']:.1%}",
             f"{row['calls_per_tx']:.3f}" if row["calls_per_tx"] else "",
             report.number(row["limit_us"])]
            for row in node["hops"]
        ]  # fmt: skip
        rows.append(["all", report.number(node["us_per_tx"]), "", "", ""])
        head = ("hop", "us per transaction", "share", "calls", "physical limit, us")
        parts += [f"## {role.capitalize()}", report.table(head, rows)]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--engine", choices=["pbft", "raft"], default="pbft")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rate", type=float, default=0)
    options = parser.parse_args()
    machine.end_on_sigterm()
    work = RESULTS / "work"
    work.mkdir(parents=True, exist_ok=True)
    result = run(options, work)
    (RESULTS / "profile.json").write_text(json.dumps(result, indent=2) + "\n")
    (RESULTS / "profile.md").write_text(markdown(result))
    print(markdown(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
