"""Play seeds: ``python tests/sim/run.py --seeds 2000 --engine both [--start K] [--trace]``.

Prints how fast it went, how many seeds met which fault, and one digest over all outcomes in
the order of the seeds: the same for any number of processes.  Each failure prints its seed and
the command that replays it.  One seed in a hundred is played twice, with the engines' own
fingerprints after every turn, and must come to the same.
"""

import argparse
import gc
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if sys.path[0] != str(ROOT):  # our directory has a module called node as well
    sys.path.insert(0, str(ROOT))

from tests.sim.plan import Plan, draw, dump, harsh, load  # noqa: E402 - the path comes first
from tests.sim.world import Outcome, World, play  # noqa: E402

ENGINES = ("raft", "pbft")
CHUNK_SEEDS = 10
TWICE_EVERY = 100
TELL_EVERY = 10_000
REGRESSIONS = Path(__file__).resolve().parent / "regressions"


@dataclass(frozen=True, slots=True)
class Failure:
    seed: int
    engine: str
    what: str
    where: str
    hard: bool

    def replay(self) -> str:
        hard = " --hard" if self.hard else ""
        return (
            f"python tests/sim/run.py --engine {self.engine} --start {self.seed}"
            f" --seeds 1 --trace{hard}"
        )


@dataclass
class Report:
    """What a run of one engine came to; ``digest`` covers every outcome in seed order."""

    engine: str
    first: int
    seeds: int = 0
    failed: int = 0
    seconds: float = 0.0
    seeds_per_second: float = 0.0
    events: int = 0
    events_per_second: float = 0.0
    blocks: int = 0
    messages: int = 0
    virtual_s: float = 0.0
    rounds_max: int = 0
    round_changes: int = 0
    slowest_recovery_ms: int = 0
    digest: str = ""
    features: dict[str, int] = field(default_factory=dict)  # seeds in which it happened
    happened: dict[str, int] = field(default_factory=dict)  # how often, over all seeds


def plan_of(engine: str, seed: int, *, hard: bool) -> Plan:
    return harsh(seed, engine) if hard else draw(seed, engine)


def attempt(job: tuple[str, int, bool]) -> Outcome | Failure:
    """Play one seed; an exception of any kind is the seed's failure."""
    engine, seed, hard = job
    twice = seed % TWICE_EVERY == 0
    gc.disable()  # a seed is short, and its cycles die with it
    try:
        outcome = play(seed, engine, hard=hard)
        if twice and not repeats(plan_of(engine, seed, hard=hard)):
            what = "determinism: two runs of one seed differ"
            return Failure(seed, engine, what, "", hard)
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} in {at.name}: {error}"
        return Failure(seed, engine, what, traceback.format_exc(limit=-6), hard)
    finally:
        if seed % CHUNK_SEEDS == 0:
            gc.collect()
    return outcome


def repeats(plan: Plan) -> bool:
    """True when two runs of ``plan`` agree after every turn."""
    return World(plan, fingerprints=True).run() == World(plan, fingerprints=True).run()


def _start_worker() -> None:
    gc.collect()
    gc.freeze()  # what is there before the first seed stays for ever


def results(
    engine: str, first: int, count: int, jobs: int, *, hard: bool
) -> Iterator[Outcome | Failure]:
    """Yield what each seed came to, in the order of the seeds."""
    work = [(engine, seed, hard) for seed in range(first, first + count)]
    if min(jobs, count) <= 1:
        yield from map(attempt, work)
        return
    with multiprocessing.Pool(min(jobs, count), initializer=_start_worker) as pool:
        yield from pool.imap(attempt, work, chunksize=CHUNK_SEEDS)


def play_all(
    engine: str, first: int, count: int, jobs: int, *, hard: bool
) -> tuple[Report, list[Failure]]:
    """Play ``count`` seeds from ``first``; print failures as they come."""
    began = time.monotonic()
    report, failures = Report(engine, first), []
    chain = hashlib.sha256()
    features: Counter[str] = Counter()
    happened: Counter[str] = Counter()
    for result in results(engine, first, count, jobs, hard=hard):
        report.seeds += 1
        if report.seeds % TELL_EVERY == 0:
            took, failed = time.monotonic() - began, len(failures)
            done = f"{engine}: {report.seeds} of {count} seeds, {failed} failed, {took:.0f} s"
            print(done, file=sys.stderr, flush=True)
        if isinstance(result, Failure):
            failures.append(result)
            chain.update(b"%d failed\n" % result.seed)
            print(f"FAIL {engine} seed {result.seed}: {result.what}\n  {result.replay()}")
            continue
        chain.update(b"%d %s\n" % (result.seed, result.fingerprint.encode()))
        happened.update(result.counts)
        features.update(dict.fromkeys(result.counts, 1))
        _add(report, result)
    report.failed, report.seconds = len(failures), time.monotonic() - began
    report.seeds_per_second = report.seeds / report.seconds
    report.events_per_second = report.events / report.seconds
    report.digest = chain.hexdigest()
    report.features = dict(sorted(features.items()))
    report.happened = dict(sorted(happened.items()))
    return report, failures


def _add(report: Report, result: Outcome) -> None:
    report.events += result.events
    report.blocks += result.blocks
    report.messages += result.messages
    report.virtual_s += result.virtual_us / 1e6
    report.round_changes += result.rounds
    report.rounds_max = max(report.rounds_max, result.rounds)
    report.slowest_recovery_ms = max(report.slowest_recovery_ms, result.recovery_us // 1000)


def print_report(report: Report, *, features: bool) -> None:
    print(
        f"{report.engine}: {report.seeds} seeds from {report.first}, {report.failed} failed,"
        f" {report.seconds:.1f} s, {report.seeds_per_second:.1f} seeds/s,"
        f" {report.events_per_second:.0f} events/s, {report.blocks} blocks,"
        f" {report.round_changes} rounds, {report.virtual_s:.0f} virtual s,"
        f" slowest recovery {report.slowest_recovery_ms} ms"
    )
    print(f"{report.engine}: digest {report.digest}", flush=True)
    if features:
        for name, seeds in report.features.items():
            print(f"  {name:36}{seeds:8} seeds{report.happened[name]:10} times")


def tell_one(engine: str, seed: int, *, hard: bool) -> bool:
    """Play one seed and print its whole story; return True when it holds."""
    print(dump(plan_of(engine, seed, hard=hard)))
    try:
        print(play(seed, engine, story=print, hard=hard))
    except Exception:
        traceback.print_exc()
        return False
    return True


# --- seeds that once failed ------------------------------------------------------------------


def save_regression(failure: Failure) -> Path:
    """Keep the plan of a failed seed as data; returns where."""
    REGRESSIONS.mkdir(exist_ok=True)
    hard = "-hard" if failure.hard else ""
    path = REGRESSIONS / f"{failure.engine}-{failure.seed}{hard}.toml"
    words = " ".join(failure.what.split())[:90]
    text = dump(plan_of(failure.engine, failure.seed, hard=failure.hard))
    path.write_text(f"# {words}\n{text}", encoding="utf-8")
    return path


def regressions() -> list[Path]:
    return sorted(REGRESSIONS.glob("*.toml"))


def replay_regression(path: Path) -> Outcome:
    return World(load(path.read_text(encoding="utf-8"))).run()


# --- one seed, one run, whatever Python hashes -----------------------------------------------


def digest_under(hash_seed: int, engine: str, first: int, count: int) -> str:
    """Return the digest that another process comes to under ``PYTHONHASHSEED``."""
    command = [
        sys.executable, __file__, "--seeds", str(count), "--start", str(first),
        "--engine", engine, "--jobs", "1",
    ]  # fmt: skip
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if ": digest " in line]
    return lines[0].rpartition(" ")[2] if lines else f"no digest: {done.stderr[-200:]}"


def check_hash_seeds(engines: tuple[str, ...], first: int, count: int) -> bool:
    agreed = True
    for engine in engines:
        digests = [digest_under(seed, engine, first, count) for seed in (0, 4242)]
        print(
            f"{engine}: {digests[0]} {'=' if digests[0] == digests[1] else '!='} {digests[1]}"
        )
        agreed = agreed and digests[0] == digests[1]
    return agreed


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument(
        "--engine", choices=(*ENGINES, "both", "eras", "oneleader"), default="both"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--hard", action="store_true", help="play the harsh plans")
    parser.add_argument("--trace", action="store_true", help="tell the story of each seed")
    parser.add_argument("--features", action="store_true", help="print what happened how often")
    parser.add_argument("--report", type=Path, help="write the reports as JSON")
    parser.add_argument(
        "--save-regression", action="store_true", help="keep the plans of seeds that fail"
    )
    parser.add_argument(
        "--check-hash-seeds",
        action="store_true",
        help="compare the digests under two values of PYTHONHASHSEED",
    )
    return parser.parse_args()


def main() -> int:
    wanted = options()
    engines = (*ENGINES, "eras") if wanted.engine == "both" else (wanted.engine,)
    if wanted.check_hash_seeds:
        return 0 if check_hash_seeds(engines, wanted.start, wanted.seeds) else 1
    if wanted.trace:
        seeds = range(wanted.start, wanted.start + wanted.seeds)
        told = [tell_one(name, seed, hard=wanted.hard) for name in engines for seed in seeds]
        return 0 if all(told) else 1
    reports: list[dict[str, Any]] = []
    failures: list[Failure] = []
    for engine in engines:
        report, failed = play_all(
            engine, wanted.start, wanted.seeds, wanted.jobs, hard=wanted.hard
        )
        print_report(report, features=wanted.features)
        reports.append(asdict(report))
        failures += failed
    if wanted.report is not None:
        wanted.report.write_text(json.dumps(reports, indent=1) + "\n", encoding="utf-8")
    for failure in failures[:5]:
        print(f"\n{failure.engine} seed {failure.seed}: {failure.what}\n{failure.where}")
        print(f"replay: {failure.replay()}")
    if wanted.save_regression:
        for failure in failures:
            print(f"kept {save_regression(failure).relative_to(ROOT)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
