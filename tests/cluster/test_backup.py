"""Real processes: a backup of a running node, a rehearsal, and a copy that cannot vote."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.check import check_ledger
from node.cli.cluster import Cluster
from node.cli.layout import KEY_NAME
from node.error_codes import Exit
from storage.fence import is_fenced
from storage.mark import mark_path
from storage.store import Store
from tests.support.hostile import configure, genesis_of, metric
from tests.support.load import settle

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # many commands, one by one


@pytest.fixture(params=["raft", "pbft"])
def net(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    engine = str(request.param)
    with Cluster.create(tmp_path / "net", members=4, engine=engine) as cluster:
        for at in range(4):
            configure(cluster, at, 'path = "../backups"', section="backup")
            configure(cluster, at, "every_hours = 0", section="backup")
            configure(cluster, at, 'path = "../archive"', section="archive")
        cluster.up()
        yield cluster


def commit(net: Cluster, at: int = 0) -> None:
    body = {"commitment": secrets.token_hex(32), "tag": secrets.token_hex(16), "canon": 2}
    ops = {"ops": [{"kind": "record.anchor", "body": body}]}
    headers = {"Content-Type": "application/json", "Prefer": "wait=20"}
    answer = net.client(at, timeout_s=30).request(
        "POST", "/v1/operations", body=json.dumps(ops).encode(), headers=headers
    )
    assert answer.json()["state"] == "committed"


def chartseal(net: Cluster, *words: object, exit_code: int = 0) -> Any:
    """Run a command as an operator does, against the first member; return its JSON."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CHARTSEAL_")}
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "node", "-o", "json"),
            *("--endpoint", net.endpoint(0), "--token-file", str(net.token_path)),
            *map(str, words),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert ended.returncode == exit_code, ended.stderr
    return json.loads(ended.stdout) if ended.stdout else ended.stderr


def test_yesterdays_backup_beside_its_running_twin_cannot_vote(
    net: Cluster, tmp_path: Path
) -> None:
    backups = net.directory / "backups"
    for _ in range(3):
        commit(net)
    made = chartseal(net, "backup", "create")
    assert made["height"] >= 3
    genesis = net.genesis_path
    verdict = chartseal(
        net, "backup", "verify", backups, "--genesis", genesis, "--depth", "full"
    )
    assert verdict["clean"], verdict
    for _ in range(4):
        commit(net)
    drill = chartseal(net, "restore", backups, "--drill", "--live", "--genesis", genesis)
    assert drill["clean"], drill
    assert drill["lost_blocks"] >= 4
    assert drill["lost_leaves"] >= 8

    copy = tmp_path / "copy"
    done = chartseal(net, "restore", backups, "--to", copy, "--genesis", genesis)
    assert done["clean"], done
    with Store.open(copy, network=genesis_of(net).network) as store:
        assert is_fenced(store)
        assert list(store.consensus_pairs()) == []
    shutil.copytree(net.node_dir(0), tmp_path / "again")
    for lost in ("the mark is there", "the mark is lost"):
        said = run_on(tmp_path / "again", copy)
        assert re.search(r"^error: .*: data-dir-restored$", said, re.M), (lost, said)
        assert made["name"] in said
        mark_path(tmp_path / "again" / KEY_NAME).unlink(missing_ok=True)
    commit(net)
    settle(net)
    assert [metric(net, at, "chartseal_evidence_recorded") for at in range(4)] == [0] * 4
    for at in range(4):
        assert net.stop(at)
    for at in range(4):
        assert check_ledger(net.node_dir(at) / "data", genesis_of(net)).clean


def run_on(node_dir: Path, data: Path) -> str:
    """Start a daemon with a node's own keys on ``data``; it must refuse.  Returns stderr."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CHARTSEAL_")}
    genesis = node_dir.parent / "net" / "genesis.bin"
    settings = [f"node.data_dir={data}", f"network.genesis={genesis}"]
    settings += [f"{section}.listen=127.0.0.1:0" for section in ("p2p", "api", "ops")]
    settings += ["recovery.on_lost_state=refuse"]  # else it comes back under new keys
    words = [item for setting in settings for item in ("--set", setting)]
    ended = subprocess.run(
        [sys.executable, "-m", "node", "run", "--config", node_dir / "config.toml", *words],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env=environment,
    )
    assert ended.returncode == Exit.SIGN_GUARD, ended.stderr
    return ended.stderr


def test_archive_prune_and_import_on_a_running_node(net: Cluster) -> None:
    for _ in range(4):
        commit(net)
    archive, genesis = net.directory / "archive", net.genesis_path
    done = chartseal(net, "archive", "create")
    assert done["height"] >= 1
    verdict = chartseal(net, "archive", "verify", archive, "--genesis", genesis)
    assert verdict["clean"], verdict
    looked = chartseal(net, "prune", "--before", 3)
    assert looked["segments"] == 0  # one file is open, and it is the only one
    assert net.stop(0)
    config = net.node_dir(0) / "config.toml"
    brought = chartseal(net, "archive", "import", archive, "--config", config)
    assert brought == {"imported": 0, "lowest_body": 1}
