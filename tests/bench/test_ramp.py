"""The ramp finds the capacity of clusters that behave in known ways, in few steps."""

from collections.abc import Callable

import pytest

from tests.bench.ramp import Ramp, Step


def climb(ramp: Ramp, committed: Callable[[float], float]) -> float:
    while (rate := ramp.next_rate()) is not None:
        ramp.took(Step(rate, committed(rate)))
    return ramp.best


@pytest.mark.parametrize("capacity", [70.0, 799.0, 5000.0, 31_000.0])
def test_it_comes_near_a_fixed_capacity_and_never_above(capacity: float):
    ramp = Ramp(800, steps_max=14)
    found = climb(ramp, lambda offered: min(offered, capacity))
    assert 0.88 * capacity <= found <= capacity / 0.93


def test_a_cluster_that_collapses_under_overload_is_still_measured():
    ramp = Ramp(800, steps_max=14)
    found = climb(ramp, lambda offered: offered if offered <= 3000 else 900)
    assert 2500 <= found <= 3000, "the collapsed figure is no capacity"


def test_it_stops_at_its_ceiling_and_after_its_steps():
    ramp = Ramp(800, ceiling=2000, steps_max=20)
    assert climb(ramp, lambda offered: offered) == 2000
    ramp = Ramp(10, steps_max=3)
    climb(ramp, lambda offered: offered)
    assert len(ramp.steps) == 3


def test_nothing_sustained_is_zero_not_the_last_try():
    ramp = Ramp(800, steps_max=5)
    assert climb(ramp, lambda _offered: 0.0) == 0
    assert [step.offered for step in ramp.steps] == sorted(
        (step.offered for step in ramp.steps), reverse=True
    )


def test_few_steps_leave_a_guess_between_the_best_and_the_overload():
    ramp = Ramp(800, steps_max=2, factor=3.0)
    assert climb(ramp, lambda offered: min(offered, 2000)) == 800
    assert ramp.promising == pytest.approx(0.95 * 2000)
    collapsing = Ramp(800, steps_max=2, factor=3.0)
    climb(collapsing, lambda offered: offered if offered <= 1000 else 100)
    assert collapsing.promising == 800


def test_lagging_by_a_tenth_is_not_keeping_up():
    assert Step(1000, 950).sustained
    assert not Step(1000, 900).sustained
