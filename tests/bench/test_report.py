"""From a result to goals, tables and plots; what was not measured stays empty."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.bench import goals, plots, report
from tests.bench.soak import verdict


def cell(tx_per_s: float, *, probe_us: float = 50.0, **more: Any) -> dict[str, Any]:
    return {
        "content": {"kind": "anchors", "count": 1, "inline": True},
        "saturation": {
            "tx_per_s": tx_per_s,
            "commitments_per_s": tx_per_s,
            "cpu_us_per_tx_node": 100.0,
            "loop_lag_p99_ms": 7.0,
            "rss_mb_max": 120.0,
            "own_mb_max": 110.0,
        },
        "probe_us": probe_us,
        "members": 4,
        "curve": [
            {"tx_per_s": 10.0, "p50": 5.0, "p99": 9.0},
            {"tx_per_s": 20.0, "p50": 8.0, "p99": 30.0},
        ],
        **more,
    }


RESULT: dict[str, Any] = {
    "machine": {"processor": "a processor", "versions": {"python": "3.11"}},
    "settings": {"arguments": "--quick"},
    "micro": {"merkle_append": {"us": 0.6, "limit_us": 0.4, "over_limit": 1.5, "limit": "SHA"}},
    "cells": {
        "pbft-4": cell(5000, half={"p50": 20.0, "p99": 120.0}, idle={"p50": 4.0}),
        "pbft-4-alive": cell(4700),
        "pbft-4-dead": cell(4600, fault="dead", gap_s=1.25),
        "pbft-4-keys-10000": cell(4000, keys=10_000),
        "pbft-4-keys-1000000": cell(1800, keys=1_000_000, probe_us=100.0),
        "pbft-16": cell(1000, probe_us=100.0) | {"members": 16},
        "pbft-4-root": cell(300) | {"content": {"kind": "batch", "count": 1000}},
    },
    "peers": {"etcd-3": {"per_s": 4000.0, "p50": 3.0, "probe_us": 40.0, "signatures": "none"}},
    "skipped": [{"name": "postgres", "why": "no PostgreSQL"}],
}


def value(name: str, result: dict[str, Any] = RESULT) -> float | None:
    return next(row.value for row in goals.rows(result) if row.goal.name.startswith(name))


def test_rates_taken_apart_are_compared_on_equal_terms():
    assert value("PBFT 4, tx/s over etcd") == pytest.approx(5000 * 50 / (4000 * 40))
    assert value("most keys over") == pytest.approx(1800 * 100 / (4000 * 50))
    assert value("PBFT 16 over PBFT 4, CPU") == pytest.approx(0.5), "a slow core costs more"
    without = deepcopy(RESULT)
    del without["peers"]["etcd-3"]["probe_us"]
    assert value("PBFT 4, tx/s over etcd", without) == pytest.approx(5000 / 4000)


def test_a_goal_that_was_not_measured_has_no_verdict_of_success():
    assert value("Raft 3, tx/s over etcd") is None
    assert {row.verdict for row in goals.rows({})} == {"not measured"}
    one_size = {"cells": {"pbft-4-keys-10000": RESULT["cells"]["pbft-4-keys-10000"]}}
    assert value("most keys over", one_size) is None


def test_verdicts_know_which_side_is_good():
    verdicts = {row.goal.name: row.verdict for row in goals.rows(RESULT)}
    assert verdicts["PBFT 4, commit latency at half load, p50"] == "met"
    assert verdicts["PBFT 4, commit latency at half load, p99"] == "missed"
    assert verdicts["PBFT 4, one client, idle, p50"] == "aim"
    assert verdicts["PBFT 4, one member dead over all alive, tx/s"] == "met"
    assert verdicts["PBFT 4, loop lag at saturation, p99"] == "met"
    assert verdicts["Merkle append over raw SHA-256"] == "aim"
    assert verdicts["PBFT 4, tx/s over etcd x3 puts/s"] == "missed"


def test_the_report_shows_what_there_is_and_says_what_is_not():
    text = report.markdown(RESULT)
    assert "| PBFT 4, commit latency at half load, p99 | <= 100 ms | <= 50 ms | 120.0 |" in text
    assert "| pbft-4-dead | dead | 1.25 |" in text
    assert "| merkle_append | 0.600 | 0.400 | 1.50 | SHA |" in text
    assert "- postgres: no PostgreSQL" in text
    assert "## Memory over time" not in text
    assert " 0.000 |" not in text, "a figure that is missing is no zero"


@pytest.mark.parametrize(
    ("number", "said"),
    [(None, ""), (0.0456, "0.046"), (4.567, "4.57"), (123.4, "123.4"), (12_345.6, "12,346")],
)
def test_numbers_have_the_digits_that_mean_something(number: float | None, said: str):
    assert report.number(number) == said


def test_plots_are_made_of_the_json_alone_and_only_with_data(tmp_path: Path):
    drawn = {path.name for path in plots.draw(RESULT, tmp_path)}
    assert {"latency.png", "latency.svg", "throughput.svg", "peers.png"} <= drawn
    assert "members.svg" in drawn
    assert not {name for name in drawn if name.startswith("memory")}
    assert (tmp_path / "latency.png").read_bytes()[:4] == b"\x89PNG"
    assert plots.draw({}, tmp_path) == []


def test_the_same_figures_give_the_same_plot_for_every_peer_and_ours(tmp_path: Path):
    ours = {k: v for k, v in RESULT["cells"]["pbft-4"].items() if k != "content"}
    told = {"peers": RESULT["peers"], "cells": {"pbft-4": ours}}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        plots.draw(told, tmp_path / name)
    first = (tmp_path / "a" / "peers.svg").read_text()
    assert "chartseal pbft-4" in first
    assert "etcd-3" in first
    assert (tmp_path / "b" / "peers.svg").read_text() == first


def test_memory_that_rises_in_the_second_half_is_not_flat():
    warm = [(float(at), 100.0 + min(at, 50) * 0.5) for at in range(101)]
    assert verdict(warm)["flat"], "warm-up ended before the second half"
    leak = [(36.0 * at, 100.0 + at) for at in range(101)]
    found = verdict(leak)
    assert found["mb_per_h"] == pytest.approx(100)
    assert not found["flat"]
    assert (found["first_mb"], found["last_mb"]) == (100, 200)


def test_a_soak_is_reported_with_own_memory_apart_from_mapped_files():
    soak = {"nodes": {"alder": verdict([(0.0, 90.0), (60.0, 90.0)])}, "resident_mb_max": 512.0}
    text = report.markdown({**RESULT, "soak": {**soak, "own_mb_max": 90.0}})
    assert "| alder | 90.00 | 90.00 | 0.000 | flat |" in text
    assert "mapped tables 512.0 MB at most" in text
