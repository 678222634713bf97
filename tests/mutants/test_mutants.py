"""Proof that the simulator finds faults: each historical mistake is caught by some seed.

``python tests/mutants/run.py`` hunts all of them from seed 0 and prints how many seeds each
takes; here each is played on the one seed that is known to catch it, and the honest code has
to hold on the very same seed.
"""

from pathlib import Path

import pytest

from tests.mutants.planting import Found, Mutant, attempt, hunt, planted
from tests.mutants.run import ENGINES, HEADS, Hunted, hunt_one, mutants

pytestmark = pytest.mark.sim

EVERY = [mutant for engine in ENGINES for mutant in mutants(engine)]
QUICK = [mutant for mutant in EVERY if mutant.quick]


def test_every_mutant_has_a_name_of_its_own_and_replaces_something() -> None:
    names = [(mutant.engine, mutant.name) for mutant in EVERY]
    assert len(set(names)) == len(names)
    for mutant in EVERY:
        for owner, name, other in mutant.plant():
            assert getattr(owner, name) is not other


def test_the_published_table_has_every_mutant_and_no_other() -> None:
    page = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
    table = [(row[0].removeprefix("| "), row[1]) for row in rows if len(row) == len(HEADS)]
    assert table[1:] == [(mutant.engine, mutant.name) for mutant in EVERY]


@pytest.mark.parametrize("mutant", QUICK, ids=lambda mutant: f"{mutant.engine}: {mutant.name}")
def test_a_known_seed_catches(mutant: Mutant) -> None:
    with planted(mutant):
        assert attempt(mutant, mutant.known) is not None, f"{mutant.name} survives its seed"
    assert attempt(mutant, mutant.known) is None, "the honest code holds on that seed"


def test_a_mutant_is_taken_out_again() -> None:
    for mutant in EVERY:
        places = [(owner, name) for owner, name, _ in mutant.plant()]
        before = [getattr(owner, name) for owner, name in places]
        with planted(mutant):
            pass
        assert before == [getattr(owner, name) for owner, name in places]


def test_a_seed_that_fails_either_way_is_no_proof() -> None:
    class Rule:
        broken = False

    def play(seed: int) -> None:
        assert seed != 1, "whatever is planted"
        assert not (Rule.broken and seed == 3)

    mutant = Mutant("none", "raft", "here", lambda: [(Rule, "broken", True)], 3, play=play)
    found = hunt(mutant)
    assert found is not None
    assert (found.seed, found.seeds) == (3, 4)
    assert hunt(mutant, seeds_max=3) is None


def test_a_row_tells_both_hunts() -> None:
    found = Found(3, 2, "Violation in x: a|b", 0.1)
    hunted = Hunted("raft", "some", "there", "leaders", 50, found, None, everywhere=True)
    told = "Violation in x: a/b"
    assert hunted.row() == f"| raft | some | there | leaders | 3 | > 50 | {told} |"
    assert hunted.found == found
    aimed = Hunted("raft", "some", "there", "leaders", 50, found, None)
    assert aimed.row() == f"| raft | some | there | leaders | 3 | - | {told} |"
    own = Hunted("raft", "some", "there", "own", 50, None, None)
    assert own.row() == "| raft | some | there | own | > 50 | - | not found |"
    plain = Hunted("pbft", "some", "there", "", 50, None, found)
    assert plain.row() == f"| pbft | some | there | - | - | 3 | {told} |"


def test_a_hunt_plays_the_family_and_on_demand_the_seeds_of_everybody() -> None:
    name = "acknowledge before the write"
    assert hunt_one(("raft", name, 4, False)).ordinary is not None
    hunted = hunt_one(("raft", "lease without check-quorum", 8, False))
    assert (hunted.family, hunted.aimed is not None, hunted.ordinary) == ("reads", True, None)
    assert hunt_one(("raft", "lease without check-quorum", 1, True)).everywhere
    own = hunt_one(("raft", "acknowledge the whole log", 2, True))
    assert (own.family, own.aimed is not None, own.everywhere) == ("own", True, False)
