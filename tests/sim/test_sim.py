"""Whole clusters of each engine, seed by seed; ``python tests/sim/run.py`` plays thousands.

A fixed share of the seeds is the same on every machine; a random share is new with every run
of the tests, and whoever finds a failure prints the command that replays it.
"""

import os
from pathlib import Path

import pytest

from tests.sim.plan import CALM, SIZES, Plan, draw, dump
from tests.sim.run import (
    Failure,
    attempt,
    digest_under,
    play_all,
    regressions,
    replay_regression,
    save_regression,
)
from tests.sim.world import World

pytestmark = pytest.mark.sim

ENGINES = ("raft", "pbft", "eras")
CHUNK = 10
FIXED_FIRST = range(0, 60, CHUNK)
RANDOM_CHUNKS = 2
RANDOM_BASE = 1_000_000 + int.from_bytes(os.urandom(4), "big")


def failures(engine: str, first: int) -> list[str]:
    """Play a chunk of seeds; return what failed, with the commands that replay it."""
    results = [attempt((engine, seed, False)) for seed in range(first, first + CHUNK)]
    failed = [each for each in results if isinstance(each, Failure)]
    return [f"seed {each.seed}: {each.what}; replay: {each.replay()}" for each in failed]


@pytest.mark.parametrize("first", FIXED_FIRST)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_cluster_keeps_its_promises(engine: str, first: int) -> None:
    assert failures(engine, first) == []


@pytest.mark.parametrize("chunk", range(RANDOM_CHUNKS))
@pytest.mark.parametrize("engine", ENGINES)
def test_a_cluster_keeps_its_promises_in_seeds_never_seen(engine: str, chunk: int) -> None:
    assert failures(engine, RANDOM_BASE + chunk * CHUNK) == []


@pytest.mark.parametrize("path", regressions(), ids=lambda path: path.stem)
def test_a_seed_that_once_failed_holds(path: Path) -> None:
    replay_regression(path)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_failed_seed_is_kept_as_data(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.sim.run.REGRESSIONS", tmp_path)
    kept = save_regression(Failure(7, engine, "agreement: two\nlines", "", False))
    assert regressions() == [kept]
    assert kept.read_text().splitlines()[0] == "# agreement: two lines"
    assert kept.read_text().endswith(dump(draw(7, engine)))
    assert replay_regression(kept) == World(draw(7, engine)).run()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_is_the_same_for_any_number_of_processes_and_any_hash_seed(engine: str) -> None:
    report, failed = play_all(engine, 3, 20, 2, hard=False)
    assert failed == []
    assert digest_under(0, engine, 3, 20) == report.digest
    assert digest_under(4242, engine, 3, 20) == report.digest
    assert report.blocks > 40
    assert report.seeds == 20


def test_a_failing_seed_says_how_to_replay_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sim.world.EVENTS_MAX", 10)
    found = attempt(("raft", 5, False))
    assert isinstance(found, Failure)
    assert found.what.startswith("Violation in run_until: storm")
    assert "--engine raft --start 5 --seeds 1" in found.replay()


# Each must happen in some of the first few hundred seeds, or a fault has been lost.
EVERYWHERE = (
    "calm", "clog", "core cut", "core deaf", "crash", "deposed", "disk-full", "fetch",
    "dies after the sync, before it sends", "dies after the sync, before the mark",
    "dies after writing, before the sync", "dies before it writes", "dies between two sends",
    "dies while it applies", "isolated", "mark-one-short", "partition bridge",
    "partition chain", "partition deaf", "partition halves", "partition isolate",
    "partition one-way", "partition scattered", "pause", "read", "read-answered", "slow-sync",
    "stable", "sync-failed", "torn-batch", "unreachable", "wall-jump", "wiped", "write-lost",
)  # fmt: skip
# A change of eras needs everybody, and a disk that is lost takes a voter for good.
NOT_OF_ERAS = ("calm", "core cut", "core deaf", "wiped")
OF_ENGINE = {
    "raft": ("hand-over", "member-change"),
    "pbft": ("epoch-change", "evidence", "refused", "lie twins", "lie silent", "lie forger"),
    "eras": (
        "era raft",
        "era pbft",
        "epoch-change",
        "observers-change",
        "hand-over",
        "left behind",
        "lie false-standing",
        "read-lost",
    ),
}


# What only few plans have: seeds without it cannot help to find it.
RARE = {
    "disk-full": "disk_full_us", "sync-failed": "sync_failure", "wiped": "wipe",
    "wall-jump": "wall_jump_us", "clog": "clog_us", "hand-over": "handover_us",
    "member-change": "member_changes", "epoch-change": "member_changes", "pause": "pause_us",
    "core cut": "core", "core deaf": "core", "stable": "cosign_blocks", "read": "reads_us",
    "unreachable": "unreachable_us", "slow-sync": "slow_sync", "read-answered": "reads_us",
}  # fmt: skip
LIES = ("lie twins", "lie silent", "lie forger", "lie false-standing")


def may_help(plan: Plan, missing: set[str]) -> bool:
    """True when a run of ``plan`` may do what is still missing."""
    lies = {f"lie {script}" for _, script in plan.byzantine}
    for name in missing:
        if name in LIES:
            possible = name in lies
        elif name == "calm":
            possible = all(getattr(plan, field) == value for field, value in CALM.items())
        else:
            possible = name not in RARE or bool(getattr(plan, RARE[name]))
        if possible:
            return True
    return False


@pytest.mark.parametrize("engine", ENGINES)
def test_every_fault_strikes_in_some_seed(engine: str) -> None:
    missing, seed = {*EVERYWHERE, *OF_ENGINE[engine]}, 200
    if engine == "eras":
        missing -= {*NOT_OF_ERAS}
    while missing and seed < 2000:
        plan = draw(seed, engine)
        if plan.members <= 4 and may_help(plan, missing):
            missing -= World(plan).run().counts.keys()
        seed += 1
    assert missing == set()


def test_seeds_differ_in_size_and_in_faults() -> None:
    plans = [draw(seed, "pbft") for seed in range(400)]
    assert {plan.members for plan in plans} == set(SIZES["pbft"])
    assert {plan.window for plan in plans} == {1, 2, 4, 8}
    assert {plan.rotation_blocks for plan in plans} == {0, 1, 2}
    assert {script for plan in plans for _, script in plan.byzantine} > {"twins", "silent"}
    for name in ("loss", "crash_us", "partition_us", "pause_us", "crash_point", "byzantine"):
        shares = sum(1 for plan in plans if getattr(plan, name)) / len(plans)
        assert 0.1 < shares < 0.9, name
    for plan in plans:
        assert len(plan.byzantine) + plan.wipe <= (plan.members - 1) // 3
