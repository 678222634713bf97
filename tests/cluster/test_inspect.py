"""A stopped node's directory answers as the node did, and not a byte of it moves."""

import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consensus import wire
from node.cli.client import Client
from node.cli.cluster import Cluster
from node.cli.layout import CONFIG_NAME
from node.errors import ChartsealError, Exit
from node.ledger.families.record import Anchor

pytestmark = pytest.mark.cluster


def contents(directory: Path) -> dict[str, tuple[int, int, str]]:
    """Return mode, time of last change and digest of every file."""
    return {
        str(path.relative_to(directory)): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@contextmanager
def inspected(cluster: Cluster, at: int, *more: str) -> Iterator[Client]:
    config = str(cluster.node_dir(at) / CONFIG_NAME)
    command = [sys.executable, "-m", "node", "-o", "json", "inspect", "--config", config, *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = []
        while (line := process.stdout.readline()) and line.strip() != "}":
            lines.append(line)
        yield Client(json.loads("".join([*lines, "}"]))["endpoint"])
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        process.stdout.close()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, list[str]]]:
    """Return a network whose one node has twelve anchors, and was killed."""
    directory = tmp_path_factory.mktemp("inspect") / "net"
    with Cluster.create(directory, members=1) as cluster:
        cluster.up()
        client, ids = cluster.client(0), []
        for _ in range(12):
            body = wire.to_plain(Anchor(secrets.token_bytes(32), secrets.token_bytes(16), 2))
            document = {"ops": [{"kind": "record.anchor", "body": body}]}
            headers = {"Content-Type": "application/json", "Prefer": "wait=20"}
            raw = json.dumps(document).encode()
            answer = client.request("POST", "/v1/operations", body=raw, headers=headers).json()
            ids.append(answer["tx_id"])
        cluster.kill(0)
        yield cluster, ids


def test_it_answers_as_the_node_did_and_changes_nothing(
    ledger: tuple[Cluster, list[str]], tmp_path: Path
) -> None:
    cluster, ids = ledger
    before = contents(cluster.node_dir(0))
    for scratch in (tmp_path, cluster.directory):  # copied, or linked
        with inspected(cluster, 0, "--scratch-dir", str(scratch)) as client:
            status = client.get("/v1/status")
            assert status["inspect"] is True
            assert status["engine"]["role"] == "stopped"
            assert status["height"] >= 1
            block = client.get(f"/v1/blocks/{status['height']}")
            assert block["height"] == status["height"]
            for tx_id in ids:
                assert client.get(f"/v1/transactions/{tx_id}")["state"] == "committed"
            receipt = client.request("GET", f"/v1/transactions/{ids[0]}/receipt")
            assert receipt.body
            asked = client.get("/v1/ask/network.members")
            assert asked
    assert contents(cluster.node_dir(0)) == before
    assert not [path for path in cluster.directory.iterdir() if "aside" in path.name]


def test_what_would_change_something_is_not_there(ledger: tuple[Cluster, list[str]]) -> None:
    cluster, _ = ledger
    with inspected(cluster, 0) as client:
        for path in ("/v1/transactions", "/v1/operations"):
            with pytest.raises(ChartsealError) as refused:
                client.request("POST", path, body=b"{}")
            assert refused.value.code in ("method-not-allowed", "not-found")


def test_a_node_cannot_start_while_it_is_looked_at_and_the_other_way_round(
    ledger: tuple[Cluster, list[str]],
) -> None:
    cluster, _ = ledger
    with inspected(cluster, 0):
        cluster.start(0)
        with pytest.raises(ChartsealError, match="process-failed"):
            cluster.wait_ready(0)
        assert cluster.exit_code(0) == Exit.DATA_DIR_LOCKED
    cluster.start(0)
    cluster.wait_ready(0)
    config = str(cluster.node_dir(0) / CONFIG_NAME)
    run = subprocess.run(
        [sys.executable, "-m", "node", "inspect", "--config", config],
        capture_output=True, text=True, timeout=60, env=dict(os.environ), check=False,
    )  # fmt: skip
    assert run.returncode == Exit.DATA_DIR_LOCKED, run.stderr
    cluster.kill(0)


def test_only_this_machine_may_ask(ledger: tuple[Cluster, list[str]]) -> None:
    cluster, _ = ledger
    config = str(cluster.node_dir(0) / CONFIG_NAME)
    run = subprocess.run(
        [sys.executable, "-m", "node", "inspect", "--config", config, "--listen", "0.0.0.0:0"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == Exit.BAD_CONFIG
    assert "config-insecure" in run.stderr
