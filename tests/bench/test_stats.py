"""The benchmark's arithmetic: percentiles, slopes, histograms, metrics pages."""

import math

import pytest

from tests.bench import stats


def test_percentiles_are_values_that_were_measured():
    ordered = [float(at) for at in range(1, 101)]
    assert stats.percentile(ordered, 0.5) == 50
    assert stats.percentile(ordered, 0.99) == 99
    assert stats.percentile(ordered, 1.0) == 100
    assert stats.percentile([7.0], 0.999) == 7
    with pytest.raises(ValueError, match="no samples"):
        stats.percentile([], 0.5)


def test_a_summary_says_only_what_its_samples_can():
    few = stats.summary([3.0, 1.0, 2.0])
    assert few == {"count": 3, "mean": 2.0, "max": 3.0, "p50": 2.0}
    many = stats.summary([float(at) for at in range(1000, 0, -1)])
    assert (many["p95"], many["p99"], many["p99_9"]) == (950, 990, 999)
    assert "p99_9" not in stats.summary([1.0] * 999)
    assert stats.summary([]) == {"count": 0}


def test_the_slope_is_that_of_the_line_through_the_points():
    line = stats.fit([(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)])
    assert line.per_x == pytest.approx(2)
    assert line.at_zero == pytest.approx(5)
    noisy = stats.fit([(0.0, 1.0), (1.0, -1.0), (2.0, 1.0), (3.0, -1.0), (4.0, 1.0)])
    assert noisy.per_x == pytest.approx(0)
    assert stats.fit([(2.0, 4.0), (2.0, 6.0)]) == stats.Line(0.0, 5.0)


def test_a_quantile_lies_within_its_bucket():
    buckets = [(1.0, 0.0), (2.0, 50.0), (4.0, 100.0), (math.inf, 100.0)]
    assert stats.histogram_quantile(buckets, 0.25) == pytest.approx(1.5)
    assert stats.histogram_quantile(buckets, 0.75) == pytest.approx(3.0)
    assert stats.histogram_quantile(buckets, 1.0) == pytest.approx(4.0)
    beyond = [(1.0, 10.0), (math.inf, 100.0)]
    assert stats.histogram_quantile(beyond, 0.99) == 1.0, "at least"
    with pytest.raises(ValueError, match="empty"):
        stats.histogram_quantile([(1.0, 0.0), (math.inf, 0.0)], 0.5)


PAGE = """# HELP a_total x
# TYPE a_total counter
a_total{kind="kv"} 3.0
a_total{kind="mark"} 4.0
ab_total 9.0
lag_bucket{le="0.01"} 1.0
lag_bucket{le="+Inf"} 2.0
lag_bucket{le="0.005"} 0.0
"""


def test_a_metrics_page_is_read_summed_and_compared():
    values = stats.parse_metrics(PAGE)
    assert stats.total(values, "a_total") == 7, "and not ab_total"
    assert stats.total(values, "ab_total") == 9
    assert stats.buckets_of(values, "lag") == [(0.005, 0), (0.01, 1), (math.inf, 2)]
    moved = stats.delta(values, {'a_total{kind="kv"}': 1.0})
    assert moved['a_total{kind="kv"}'] == 2
    assert moved["ab_total"] == 9, "what is new counts from zero"
