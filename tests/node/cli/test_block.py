"""block: list, get, tail against a real ledger."""

import json
import threading

import pytest

from tests.support.served_ledger import ServedLedger

LIST_KEYS = ["height", "time", "transactions", "log_size", "proposer", "digest"]
BLOCK_KEYS = [
    "height", "digest", "parent", "time_ms", "proposer", "transactions", "first_index",
    "log_size", "log_root", "state_height", "state_root", "certificate_bytes", "time",
    "transaction_ids",
]  # fmt: skip


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with ServedLedger(tmp_path_factory.mktemp("node")) as served:
        for _ in range(5):
            served.call(lambda: served.ledger.commit(served.ledger.sign()))
        yield served


def test_the_newest_blocks_in_ascending_order(node):
    rows = node.json("block", "list", "--limit", 3)
    assert [list(row) for row in rows] == [LIST_KEYS] * 3
    assert [row["height"] for row in rows] == [3, 4, 5]
    assert [row["height"] for row in node.json("block", "list", "--from", 2, "--limit", 2)] == [
        2,
        3,
    ]
    table = node.run("block", "list").stdout.splitlines()
    assert table[0].split() == [name.upper() for name in LIST_KEYS]
    assert len(table) == 6


def test_one_block_with_its_transactions(node):
    block = node.json("block", "get", "latest")
    assert list(block) == BLOCK_KEYS
    assert (block["height"], block["proposer"]) == (5, "alder")
    (tx,) = block["transaction_ids"]
    assert list(tx) == ["tx_id", "code"]
    assert tx["code"] == "applied"
    assert node.json("block", "get", 4)["digest"] == block["parent"]
    assert tx["tx_id"] in node.run("block", "get", 5).stdout


def test_heights_that_are_not_there_and_no_heights(node):
    assert "height-unavailable" in node.run("block", "get", 99, exit_code=3).stderr
    node.run("block", "get", "newest", exit_code=2)


def test_tail_replays_from_a_cursor_without_gaps(node):
    result = node.run("-o", "json", "block", "tail", "--from", "earliest", "--count", 10)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["cursor"] for event in events] == [
        f"{height}.{index}" for height in range(1, 6) for index in (0, 1)
    ]
    blocks = node.run("block", "tail", "--from", "2.1", "--type", "block", "--count", 3).stdout
    assert [line.split()[0] for line in blocks.splitlines()] == ["3.0", "4.0", "5.0"]
    assert "cursor-invalid" in node.run("block", "tail", "--from", "x", exit_code=2).stderr


def test_tail_sees_a_block_that_comes_later(tmp_path):
    with ServedLedger(tmp_path) as node:
        node.call(lambda: node.ledger.commit())
        later = threading.Timer(0.3, lambda: node.call(lambda: node.ledger.commit()))
        later.start()
        result = node.run("-o", "json", "block", "tail", "--from", "1.0", "--count", 1)
        later.join()
        assert json.loads(result.stdout)["cursor"] == "2.0"


def test_curl(node):
    assert (
        "/v1/events?from=latest&type=block"
        in node.run("block", "tail", "--type", "block", "--curl").stdout
    )
    assert (
        "/v1/blocks?from=1&limit=20" in node.run("block", "list", "--from", 1, "--curl").stdout
    )
