"""Snapshots between real processes: a member that lost its disk, killed on its way back."""

import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from node.cli.cluster import Cluster
from node.cli.layout import CONFIG_NAME
from node.cli.main import cli
from node.errors import ChartsealError
from node.ledger.genesis import Parameters
from storage.mark import mark_path
from tests.support.load import settle

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

QUICK = Parameters(
    election_ms=500,
    heartbeat_ms=60,
    request_ms=800,
    view_change_ms=800,
    expires_heights_max=5000,
)
SETTINGS = {
    "every_blocks = 50000": "every_blocks = 8",
    "snapshot_gap_blocks = 10000": "snapshot_gap_blocks = 8",
}


@pytest.fixture(params=[("raft", 3), ("pbft", 4)], ids=["raft", "pbft"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    engine, members = request.param
    made = Cluster.create(tmp_path / "net", members=members, engine=engine, params=QUICK)
    for at in range(members):
        path = made.node_dir(at) / CONFIG_NAME
        text = path.read_text()
        for default, value in SETTINGS.items():
            assert f"# {default}" in text
            text = text.replace(f"# {default}", value)
        path.write_text(text)
    with made as running:
        running.up()
        yield running


def commit(cluster: Cluster, at: int) -> dict[str, Any]:
    body = {"commitment": secrets.token_hex(32), "tag": secrets.token_hex(16), "canon": 2}
    ops = {"ops": [{"kind": "record.anchor", "body": body}]}
    headers = {"Content-Type": "application/json", "Prefer": "wait=30"}
    client = cluster.client(at, timeout_s=40)
    answer: dict[str, Any] = client.request(
        "POST", "/v1/operations", body=json.dumps(ops).encode(), headers=headers
    ).json()
    assert answer["state"] == "committed", answer
    return answer


def status(cluster: Cluster, at: int) -> dict[str, Any]:
    found: dict[str, Any] = cluster.client(at).request("GET", "/v1/status").json()
    return found


def run(cluster: Cluster, at: int, *words: str) -> str:
    return invoke(
        "--endpoint",
        cluster.endpoint(at),
        "--token-file",
        str(cluster.token_path),
        "--timeout",
        "60",
        *words,
    )


def test_a_network_goes_on_from_one_snapshot_and_a_member_without_anything_joins_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    """All but one begin with a file; the last is killed at every stage of its own way there."""
    members = range(len(cluster.members))
    last = members[-1]
    first = commit(cluster, last)["tx_id"]
    for _ in range(20):
        commit(cluster, 0)
    assert json.loads(run(cluster, 0, "snapshot", "create"))["height"] >= 16
    assert json.loads(run(cluster, 0, "snapshot", "list"))
    settle(cluster)
    cluster.down()
    made = json.loads(offline(cluster, 0, "snapshot", "create"))
    file = tmp_path / "one.tar"
    offline(cluster, 0, "snapshot", "export", str(made["height"]), str(file))
    verified = invoke("snapshot", "verify", str(file), "--genesis", str(cluster.genesis_path))
    assert json.loads(verified)["height"] == made["height"]
    for at in members:
        wipe(cluster, at)
        if at != last:
            offline(cluster, at, "snapshot", "import", str(file), "--yes")
            cluster.start(at)
    for at in members[:-1]:
        cluster.wait_ready(at)
    commit(cluster, 0)
    for stage in ("statesync", "incoming", "snapshots"):
        cluster.start(last)
        until(lambda at=stage: (cluster.node_dir(last) / "data" / at).exists())  # type: ignore[misc]
        cluster.kill(last)
    cluster.start(last)
    cluster.wait_ready(last)
    until(lambda: status(cluster, last)["height"] >= status(cluster, 0)["height"])
    new = commit(cluster, last)["tx_id"]
    settle(cluster)
    found = [status(cluster, at) for at in members]
    assert len({(s["height"], s["log_root"], s["state_root"]) for s in found}) == 1
    assert {s["lowest_height"] for s in found} == {made["height"]}
    for at in members:
        with pytest.raises(ChartsealError, match="pruned") as refused:
            cluster.client(at).request("GET", f"/v1/transactions/{first}")
        assert str(made["height"]) in str(refused.value)
    receipt = tmp_path / "new.tlog-proof"
    run(cluster, last, "receipt", "get", new, "--out", str(receipt))
    policy = str(cluster.policy_path)
    invoke("receipt", "verify", str(receipt), "--policy", policy)
    cluster.down()
    for at in members:
        report = json.loads(offline(cluster, at, "check"))
        assert report["clean"], report


def wipe(cluster: Cluster, at: int) -> None:
    """Lose the ledger, and what its key has signed with it: the whole network is at rest."""
    home = cluster.node_dir(at)
    shutil.rmtree(home / "data")
    mark_path(home / "node.key").unlink()


def until(condition: Callable[[], bool], *, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.002)


def invoke(*words: str) -> str:
    result = CliRunner().invoke(cli, ["-o", "json", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def offline(cluster: Cluster, at: int, *words: str) -> str:
    """Run a command on the directory of a stopped node."""
    return invoke(*words, "--config", str(cluster.node_dir(at) / CONFIG_NAME))
