"""Proof that the simulator finds faults: each historical mistake is caught by some seed.

``python tests/mutants/run.py`` hunts all of them from seed 0 and prints how many seeds each
takes; here each is played on the one seed that is known to catch it, and the honest code has
to hold on the very same seed.
"""

import pytest

from tests.mutants.planting import Mutant, attempt, hunt, planted
from tests.mutants.run import ENGINES, mutants

pytestmark = pytest.mark.sim

EVERY = [mutant for engine in ENGINES for mutant in mutants(engine)]
QUICK = [mutant for mutant in EVERY if mutant.quick]


def test_every_mutant_has_a_name_of_its_own_and_replaces_something() -> None:
    names = [(mutant.engine, mutant.name) for mutant in EVERY]
    assert len(set(names)) == len(names)
    for mutant in EVERY:
        for owner, name, other in mutant.plant():
            assert getattr(owner, name) is not other


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
