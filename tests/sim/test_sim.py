"""Whole clusters of each engine, seed by seed; ``python tests/sim/run.py`` plays thousands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.world import play

pytestmark = pytest.mark.sim

HERE = Path(__file__).resolve().parent
ENGINES = ("raft", "pbft")
SEEDS = range(60)


def regressions() -> list[tuple[str, int]]:
    """Return (engine, seed) of each line that is not a remark."""
    lines = (HERE / "seeds" / "regressions.txt").read_text(encoding="utf-8").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return [(entry[0], int(entry[1])) for entry in words]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_cluster_keeps_its_promises(engine: str, seed: int) -> None:
    assert play(seed, engine).virtual_us > 0


@pytest.mark.parametrize(("engine", "seed"), regressions())
def test_a_seed_that_once_failed_holds(engine: str, seed: int) -> None:
    play(seed, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_seeds_deliver_blocks_and_not_only_calm(engine: str) -> None:
    outcomes = [play(seed, engine) for seed in range(10)]
    assert sum(outcome.blocks for outcome in outcomes) > 50


PROGRAM = """
import sys
from tests.sim.world import play
for seed in (1, 2, 3):
    print(play(seed, sys.argv[1], fingerprints=True).fingerprint)
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_a_seed_is_the_same_run_under_any_hash_seed(engine: str) -> None:
    printed = []
    for hash_seed in ("0", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, engine],
            cwd=HERE.parents[1],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
        printed.append(done.stdout.split())
    assert printed[0] == printed[1]
    assert len(set(printed[0])) == 3
