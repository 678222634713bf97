"""Members that were away, real processes: they come back to the same roots by themselves."""

import hashlib
import json
import secrets
import shutil
import time
from collections.abc import Iterator
from typing import Any

import plyvel
import pytest

from consensus.guard import PREFIX as GUARD
from node.bodies import RECENT_MAX
from node.check import check_ledger
from node.cli.cluster import Cluster
from node.ledger.genesis import Genesis, Parameters
from storage import keys as rows
from tests.support.hostile import metric
from tests.support.load import settle

pytestmark = pytest.mark.cluster

AWAY_BLOCKS = 150
ENGINES = [("raft", 3), ("pbft", 4)]
# Elections and view changes of a test need not wait for a hospital's network.
QUICK = Parameters(election_ms=400, heartbeat_ms=60, request_ms=700, view_change_ms=700)
assert AWAY_BLOCKS > 4 * RECENT_MAX, "more than the bodies that are kept without a pin"


@pytest.fixture(scope="module", params=ENGINES, ids=[name for name, _ in ENGINES])
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    engine, members = request.param
    directory = tmp_path_factory.mktemp(f"catch-up-{engine}") / "net"
    made = Cluster.create(directory, members=members, engine=engine, params=QUICK)
    with made as running:
        running.up()
        yield running


def post(cluster: Cluster, at: int, *, wait_s: int) -> dict[str, Any]:
    body = {"commitment": secrets.token_hex(32), "tag": secrets.token_hex(16), "canon": 2}
    ops = {"ops": [{"kind": "record.anchor", "body": body}]}
    headers = {"Content-Type": "application/json", "Prefer": f"wait={wait_s}"}
    client = cluster.client(at, timeout_s=40)
    answer: dict[str, Any] = client.request(
        "POST", "/v1/operations", body=json.dumps(ops).encode(), headers=headers
    ).json()
    return answer


def commit(cluster: Cluster, at: int) -> dict[str, Any]:
    answer = post(cluster, at, wait_s=30)
    assert answer["state"] == "committed", answer
    return answer


def height(cluster: Cluster, at: int) -> int:
    return int(cluster.client(at).get("/v1/status")["height"])


def leader(cluster: Cluster) -> int:
    """Return who leads, once two members agree about it."""
    names = [member.id for member in cluster.members]
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        alive = [at for at in range(len(names)) if cluster.alive(at)]
        said = {cluster.client(at).get("/v1/status")["engine"]["leader"] for at in alive}
        if len(said) == 1 and None not in said:
            return names.index(said.pop())
        time.sleep(0.05)
    raise AssertionError("no leader that all know")


def same_roots(cluster: Cluster) -> int:
    """Return the height at which all members stand, after comparing their roots."""
    top = settle(cluster)
    blocks = [cluster.client(at).get(f"/v1/blocks/{top}") for at in range(len(cluster.members))]
    assert len({(item["log_root"], item["state_root"]) for item in blocks}) == 1
    return top


def follower(cluster: Cluster) -> int:
    return (leader(cluster) + 1) % len(cluster.members)


# --- transactions find the one who orders --------------------------------------------------


def test_what_only_a_backup_was_told_is_ordered_by_the_leader(cluster: Cluster) -> None:
    first = leader(cluster)
    for at in range(len(cluster.members)):
        answer = commit(cluster, at)
        block = cluster.client(at).get(f"/v1/blocks/{answer['height']}")
        assert block["proposer"] == cluster.members[first].id
        assert answer["tx_id"] in [item["tx_id"] for item in block["transaction_ids"]]


def test_what_a_backup_was_told_while_the_leader_was_dead_commits_under_the_next(
    cluster: Cluster,
) -> None:
    first = leader(cluster)
    backup = (first + 1) % len(cluster.members)
    assert cluster.kill(first)
    submitted = post(cluster, backup, wait_s=0)
    assert submitted["state"] == "pending"
    path = f"/v1/transactions/{submitted['tx_id']}"
    status = cluster.client(backup, timeout_s=40).get(path, wait=30)
    assert status["state"] == "committed"
    block = cluster.client(backup).get(f"/v1/blocks/{status['height']}")
    assert block["proposer"] != cluster.members[first].id
    cluster.start(first)
    cluster.wait_ready(first)
    same_roots(cluster)
    assert cluster.client(first).get(path)["state"] == "committed"


# --- being away ----------------------------------------------------------------------------


def test_a_member_that_was_away_for_many_blocks_comes_back_by_itself(
    cluster: Cluster,
) -> None:
    """More blocks at once than bodies are kept: none may be dropped before it is saved."""
    away = follower(cluster)
    others = [at for at in range(len(cluster.members)) if at != away]
    before = height(cluster, away)
    assert cluster.kill(away)
    number = 0
    while height(cluster, others[0]) < before + AWAY_BLOCKS:
        commit(cluster, others[number % len(others)])
        number += 1
    cluster.start(away)
    cluster.wait_ready(away)
    assert same_roots(cluster) >= before + AWAY_BLOCKS
    assert metric(cluster, away, "ledger_blocks_total") >= AWAY_BLOCKS
    # It serves what it missed, and takes part again.
    assert commit(cluster, away)["height"] > before + AWAY_BLOCKS


def guard_rows(cluster: Cluster, at: int) -> dict[bytes, bytes]:
    """Return a stopped member's memory of what it signed."""
    lo = rows.CONSENSUS + GUARD
    with plyvel.DB(str(cluster.node_dir(at) / "data" / "kv")) as database:
        return dict(database.iterator(prefix=lo))


def test_a_wiped_member_rebuilds_the_ledger_and_has_forgotten_what_it_signed(
    cluster: Cluster,
) -> None:
    """Every block comes back from the others; the sign guard's memory does not.

    What it signed before is not known to the new directory, so nothing in the node itself
    keeps it from signing otherwise in an old view or term: the operations manual therefore
    asks for one member at a time, with all the others up and past its last block.
    """
    for at in range(len(cluster.members)):
        commit(cluster, at)
    top = same_roots(cluster)
    wiped = follower(cluster)
    cluster.stop(wiped)
    data = cluster.node_dir(wiped) / "data"
    digest = hashlib.sha256((cluster.node_dir(wiped) / "node.key").read_bytes()).digest()
    old = guard_rows(cluster, wiped)
    shutil.rmtree(data)
    # The others have moved on, as the manual asks.
    for _ in range(3):
        commit(cluster, leader_of_others(cluster, wiped))
    cluster.start(wiped)
    cluster.wait_ready(wiped)
    assert same_roots(cluster) >= top + 3
    assert metric(cluster, wiped, "ledger_blocks_total") >= top + 3, "every block, from 1"
    for at in range(len(cluster.members)):
        commit(cluster, at)
    same_roots(cluster)
    kept = hashlib.sha256((cluster.node_dir(wiped) / "node.key").read_bytes()).digest()
    assert kept == digest, "the same member, with the same keys"
    cluster.stop(wiped)
    new = guard_rows(cluster, wiped)
    if cluster.engine == "pbft":
        assert old, "a PBFT member remembers what it signed"
        clash = {key for key in old.keys() & new.keys() if old[key] != new[key]}
        slots = {key for key in clash if b"guard/slot/" in key}
        assert not slots, "and did not contradict it here"
    genesis = Genesis.decode(cluster.genesis_path.read_bytes())
    report = check_ledger(data, genesis)
    assert report.clean, list(report.findings)


def leader_of_others(cluster: Cluster, away: int) -> int:
    return next(at for at in range(len(cluster.members)) if at != away and cluster.alive(at))
