"""Which turn stands for the others."""

from tests.bench.turns import middle


def test_the_middle_turn_stands_for_all():
    rates = [3000.0, 2900.0, 100.0, 5000.0, 2950.0]
    steps = [{"tx_per_s": rate, "number": number} for number, rate in enumerate(rates)]
    assert middle(steps) == steps[4]
    assert middle(steps[:2]) == steps[1], "of two the lower one"
