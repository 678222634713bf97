"""status: one screen, its JSON, and watching the ledger move."""

import json
import threading

import pytest

from node.ledger import accel
from tests.support.served_ledger import ServedLedger, run

KEYS = [
    "node", "network", "network_digest", "height", "time_ms", "log_size", "time",
    "standing", "epoch", "era_from_height", "voters", "observers", "engine",
    "role", "round", "leader", "committed", "delivered", "quorum", "members", "heard",
    "low_watermark", "window", "in_flight", "peers", "quorum_connected", "waiting",
    "waiting_bytes", "contradictions", "log_root", "state_root", "accelerator", "stopping",
    "phase", "disk_low", "disk_free_bytes", "disk_reserve_bytes", "clock_others_ahead_ms",
    "clock_wrong", "certificate_days_left",
    "cause", "wrong",
]  # fmt: skip


@pytest.fixture
def node(tmp_path):
    with ServedLedger(tmp_path) as served:
        served.call(served.ledger.commit)
        yield served


def test_json_always_has_every_member(node):
    row = node.json("status")
    assert list(row) == KEYS
    assert (row["node"], row["height"], row["engine"], row["leader"]) == (
        "alder",
        1,
        "raft",
        "alder",
    )
    assert row["quorum_connected"] is True
    assert row["accelerator"] == accel.backend()
    assert row["time"] == "2026-01-01T00:00:01.000Z"


def test_the_short_screen_and_all_of_it(node):
    short = node.run("status").stdout.splitlines()
    assert [line.split()[0] for line in short] == [
        "node", "network", "height", "time", "standing", "epoch", "engine", "role", "leader",
        "peers", "quorum_connected", "waiting", "contradictions", "phase", "disk_low",
        "clock_others_ahead_ms", "certificate_days_left", "accelerator", "wrong",
    ]  # fmt: skip
    everything = node.run("status", "--all").stdout.splitlines()
    assert [line.split()[0] for line in everything] == KEYS


def test_check_is_exit_9_without_a_quorum(node):
    node.run("status", "--check")
    node.call(node.ledger.peers.clear)
    assert "no" in node.run("status", "--check", exit_code=9).stdout


def test_watch_shows_each_state_once_per_block(node):
    later = threading.Timer(0.4, lambda: node.call(node.ledger.commit))
    later.start()
    result = node.run("-o", "json", "status", "--watch", "--count", 2)
    later.join()
    assert [json.loads(line)["height"] for line in result.stdout.splitlines()] == [1, 2]


def test_a_node_that_is_gone_names_endpoint_and_next_step():
    result = run("--endpoint", "http://127.0.0.1:1", "status", exit_code=6)
    assert "http://127.0.0.1:1" in result.stderr
    assert "next:" in result.stderr
