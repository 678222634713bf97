"""Proof that the simulator finds faults: each historical mistake is caught by some seed.

The table counts seeds from 0 (``python tests/sim/mutants.py`` prints it); here each hunt
starts close to the seed that catches it, because a hundred innocent seeds prove nothing.
"""

import pytest

from tests.sim.mutants import MUTANTS, Mutant, hunt, planted
from tests.sim.world import play

pytestmark = pytest.mark.sim


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_simulator_catches(mutant: Mutant) -> None:
    found = hunt(mutant)
    assert found is not None, f"{mutant.name} survived the seeds below {mutant.seeds_max}"
    play(found.seed, mutant.engine, hard=mutant.hard)  # and without it the seed holds


def test_a_mutant_is_taken_out_again() -> None:
    for mutant in MUTANTS:
        before = [getattr(owner, name) for owner, name, _ in mutant.plant()]
        with planted(mutant):
            pass
        assert before == [getattr(owner, name) for owner, name, _ in mutant.plant()]
