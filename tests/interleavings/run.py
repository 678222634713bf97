"""Play many interleavings of consents and accesses, and say how fast and how broad.

    python tests/interleavings/run.py --count 100000 --seed 1 --processes 2

Each has a seed of its own: ``seed + number``.  A failure prints it; play it again with
``--seed N --count 1``.  One in ``EVERY`` is executed twice more, by a second node and in other
blocks.
"""

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.interleavings.play import check_cuts, check_twice, play

EVERY = 10
CHUNK = 250


def run(seed: int, count: int, *, every: int = EVERY) -> Counter[str]:
    """Play ``count`` interleavings from ``seed`` on; return how often each result came."""
    counts: Counter[str] = Counter()
    for number in range(seed, seed + count):
        try:
            made = play(number)
            if number % every == 0:
                check_twice(made)
                check_cuts(made)
        except Exception:
            print(f"seed {number} fails", file=sys.stderr)
            raise
        counts.update(made.counts)
    return counts


def _chunk(part: tuple[int, int]) -> Counter[str]:
    return run(*part)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--processes", type=int, default=1)
    given = options.parse_args()
    parts = [
        (given.seed + at, min(CHUNK, given.count - at)) for at in range(0, given.count, CHUNK)
    ]
    began = time.perf_counter()
    counts: Counter[str] = Counter()
    if given.processes == 1:
        for part in parts:
            counts.update(run(*part))
    else:
        with multiprocessing.Pool(given.processes) as pool:
            for found in pool.imap_unordered(_chunk, parts):
                counts.update(found)
    seconds = time.perf_counter() - began
    for name, count in sorted(counts.items()):
        print(f"{count:9} {name}")
    total = sum(counts.values())
    print(
        f"{given.count} interleavings, {total} acts, {seconds:.0f} s, "
        f"{given.count / seconds:.0f} a second"
    )


if __name__ == "__main__":
    main()
