"""Play seeds: ``python tests/sim/run.py --seeds 2000 --engine both [--start K] [--trace]``.

Each failure prints its seed and the command that replays it.  One seed in a hundred is played
twice and must come to the same fingerprint.
"""

import argparse
import gc
import multiprocessing
import os
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.sim.plan import draw, harsh  # noqa: E402
from tests.sim.world import Outcome, play  # noqa: E402 - the path comes first

ENGINES = ("raft", "pbft")
CHUNK_SEEDS = 10


@dataclass(frozen=True, slots=True)
class Failure:
    seed: int
    engine: str
    what: str
    where: str
    hard: bool

    def replay(self) -> str:
        if self.hard:
            script = "python tests/sim/run.py --hard"
            return f"{script} --start {self.seed} --seeds 1 --engine {self.engine}"
        return f"make sim FROM={self.seed} SEEDS=1 ENGINE={self.engine}"


def attempt(job: tuple[str, int, bool]) -> Outcome | Failure:
    """Play one seed; an exception of any kind is the seed's failure."""
    engine, seed, hard = job
    twice = seed % 100 == 0
    gc.disable()  # a seed is short, and its cycles die with it
    try:
        outcome = play(seed, engine, fingerprints=twice, hard=hard)
        if twice:
            again = play(seed, engine, fingerprints=True, hard=hard)
            if again != outcome:
                return Failure(
                    seed, engine, "determinism: two runs of one seed differ", "", hard
                )
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} in {at.name}: {error}"
        return Failure(seed, engine, what, traceback.format_exc(limit=-6), hard)
    finally:
        if seed % CHUNK_SEEDS == 0:
            gc.collect()
        gc.enable()
    return outcome


def play_all(engine: str, first: int, count: int, jobs: int, *, hard: bool) -> list[Failure]:
    """Play ``count`` seeds from ``first``; print failures as they come and a summary."""
    began = time.monotonic()
    events = blocks = virtual_us = done = slowest_us = 0
    failures: list[Failure] = []
    work = [(engine, seed, hard) for seed in range(first, first + count)]
    with multiprocessing.Pool(min(jobs, max(1, count))) as pool:
        for result in pool.imap_unordered(attempt, work, chunksize=CHUNK_SEEDS):
            done += 1
            if isinstance(result, Failure):
                failures.append(result)
                print(f"FAIL {engine} seed {result.seed}: {result.what}\n  {result.replay()}")
                continue
            events += result.events
            blocks += result.blocks
            virtual_us += result.virtual_us
            slowest_us = max(slowest_us, result.recovery_us)
    spent = time.monotonic() - began
    print(
        f"{engine}: {done} seeds, {len(failures)} failed, {spent:.1f} s,"
        f" {done / spent:.1f} seeds/s, {events / spent:.0f} events/s, {blocks} blocks,"
        f" {virtual_us / 1e6:.0f} virtual s, slowest recovery {slowest_us / 1e6:.1f} s",
        flush=True,
    )
    return failures


def tell_one(engine: str, seed: int, *, hard: bool) -> bool:
    """Play one seed and print its whole story; return True when it holds."""
    print(harsh(seed, engine) if hard else draw(seed, engine))
    try:
        print(play(seed, engine, story=print, hard=hard))
    except Exception:
        traceback.print_exc()
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--engine", choices=(*ENGINES, "both", "oneleader"), default="both")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--hard", action="store_true", help="play the harsh plans")
    parser.add_argument("--trace", action="store_true", help="tell the story of each seed")
    options = parser.parse_args()
    engines = ENGINES if options.engine == "both" else (options.engine,)
    if options.trace:
        seeds = range(options.start, options.start + options.seeds)
        told = [tell_one(name, seed, hard=options.hard) for name in engines for seed in seeds]
        return 0 if all(told) else 1
    failures = []
    for engine in engines:
        failures += play_all(
            engine, options.start, options.seeds, options.jobs, hard=options.hard
        )
    for failure in failures[:5]:
        print(f"\n{failure.engine} seed {failure.seed}: {failure.what}\n{failure.where}")
        print(f"replay: {failure.replay()}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
