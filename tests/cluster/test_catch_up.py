"""Members that were away, real processes: they come back to the same roots by themselves."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import plyvel
import pytest

from consensus import wire
from consensus.guard import PREFIX as GUARD
from node.bodies import RECENT_MAX
from node.check import check_ledger
from node.cli.cluster import Cluster
from node.cli.layout import CONFIG_NAME
from node.error_codes import Exit
from node.errors import ChartsealError
from node.ledger import transaction
from node.ledger.families.record import Anchor
from node.ledger.genesis import Genesis, Parameters
from node.ledger.transaction import Op, Payload
from storage import keys as rows
from tests.support.hostile import configure, genesis_of, keys_of, metric
from tests.support.load import settle

pytestmark = pytest.mark.cluster

AWAY_BLOCKS = 150
ENGINES = [("raft", 3), ("pbft", 4)]
# Elections and view changes of a test need not wait for a hospital's network.
# One transaction a block, so that a bulk request makes many blocks.
QUICK = Parameters(
    election_ms=500,
    heartbeat_ms=60,
    request_ms=800,
    view_change_ms=800,
    block_transactions_max=1,
)
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


def commit_many(cluster: Cluster, at: int, count: int) -> None:
    """Submit ``count`` transactions at once and return when each is in a block of its own."""
    genesis, keys = genesis_of(cluster), keys_of(cluster, at)
    raws = []
    for _ in range(count):
        op = Op("record.anchor", wire.to_value(Anchor(os.urandom(32), os.urandom(16), 2)))
        payload = Payload(genesis.network, keys.node, 10_000, os.urandom(8), (op,))
        raws.append(transaction.sign(payload, keys.identity))
    client = cluster.client(at, timeout_s=40)
    frames = [len(raw).to_bytes(4, "big") + raw for raw in raws]
    path = "/v1/transactions:batch"
    lines = list(
        client.lines("POST", path, chunks=frames, content_type="application/octet-stream")
    )
    assert [json.loads(line)["status"] for line in lines] == ["accepted"] * count
    last = transaction.txid_of(raws[-1]).hex()
    status = client.get(f"/v1/transactions/{last}", wait=30)
    assert status["state"] == "committed", "in order, so all of them are"


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


# --- starting again with an empty directory -------------------------------------------------


def guard_rows(cluster: Cluster, at: int) -> dict[bytes, bytes]:
    """Return a stopped member's memory of what it signed."""
    lo = rows.CONSENSUS + GUARD
    with plyvel.DB(str(cluster.node_dir(at) / "data" / "kv")) as database:
        return dict(database.iterator(prefix=lo))


def reset_mark(cluster: Cluster, at: int, *flags: str) -> subprocess.CompletedProcess[str]:
    config = str(cluster.node_dir(at) / CONFIG_NAME)
    command = [sys.executable, "-m", "node", "key", "reset-mark", "--config", config, *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)


def test_a_wiped_member_stays_out_until_a_person_lets_it_rebuild_the_ledger(
    cluster: Cluster,
) -> None:
    """With ``recovery.on_lost_state = "refuse"``.

    Every block comes back from the others; the memory of what it signed does not.

    So the key's mark keeps the member from starting.  Nothing but a person can know that the
    others are all up and past its last block, as the operations manual asks, and say so.
    """
    for at in range(len(cluster.members)):
        commit(cluster, at)
    top = same_roots(cluster)
    wiped = follower(cluster)
    others = [at for at in range(len(cluster.members)) if at != wiped]
    cluster.stop(wiped)
    assert cluster.exit_code(wiped) == 0, "it stopped when it was told to"
    old = guard_rows(cluster, wiped)
    shutil.rmtree(cluster.node_dir(wiped) / "data")
    configure(cluster, wiped, 'on_lost_state = "refuse"', section="recovery")
    cluster.start(wiped)
    with pytest.raises(ChartsealError, match="sign-state-behind"):
        cluster.wait_ready(wiped)
    assert cluster.exit_code(wiped) == Exit.SIGN_GUARD
    shown = reset_mark(cluster, wiped)
    assert shown.returncode == Exit.NEEDS_YES, shown.stderr
    assert "no ledger" in shown.stdout
    for at in others:  # the others have moved on, as the manual asks
        commit(cluster, at)
        assert height(cluster, at) > top
    assert reset_mark(cluster, wiped, "--yes").returncode == Exit.OK
    cluster.start(wiped)
    cluster.wait_ready(wiped)
    if cluster.engine == "raft":
        _stays_out_of_its_old_term(cluster, wiped, others)
    assert same_roots(cluster) > top
    assert metric(cluster, wiped, "ledger_blocks_total") > top, "every block, from 1"
    for at in range(len(cluster.members)):
        commit(cluster, at)
    same_roots(cluster)
    cluster.stop(wiped)
    assert cluster.exit_code(wiped) == 0, "it stopped when it was told to"
    _contradicts_nothing(cluster, old, guard_rows(cluster, wiped))
    genesis = Genesis.decode(cluster.genesis_path.read_bytes())
    report = check_ledger(cluster.node_dir(wiped) / "data", genesis)
    assert report.clean, list(report.findings)
    cluster.start(wiped)
    cluster.wait_ready(wiped)


def _stays_out_of_its_old_term(cluster: Cluster, wiped: int, others: list[int]) -> None:
    """A Raft leader never takes an acknowledgement back: it waits for what it was promised.

    So the wiped member gets nothing until another term begins; then it starts from block 1.
    """
    first, term = leader(cluster), _term(cluster, others[0])
    for at in others:
        commit(cluster, at)
    stood = height(cluster, wiped)
    if _term(cluster, others[0]) == term:
        assert stood == 0, "without a new term it is not taken back"
    cluster.restart(first)
    cluster.wait_ready(first)
    for at in others:
        commit(cluster, at)
    assert _term(cluster, others[0]) > term


def _term(cluster: Cluster, at: int) -> int:
    return int(cluster.client(at).get("/v1/status")["engine"]["round"])


def _contradicts_nothing(
    cluster: Cluster, old: dict[bytes, bytes], new: dict[bytes, bytes]
) -> None:
    """What it signed since differs in no slot that the lost directory still knew."""
    slots = {key for key in old.keys() & new.keys() if b"guard/slot/" in key}
    assert not [key for key in slots if old[key] != new[key]]
    if cluster.engine == "pbft":
        assert old, "before it was wiped it knew what it had signed"
        assert not old.keys() <= new.keys(), "and that knowledge did not come back"


# --- being away ----------------------------------------------------------------------------


def test_a_member_that_was_away_for_many_blocks_comes_back_by_itself(
    cluster: Cluster,
) -> None:
    """More blocks at once than bodies are kept: none may be dropped before it is saved."""
    away = follower(cluster)
    others = [at for at in range(len(cluster.members)) if at != away]
    before = height(cluster, away)
    assert cluster.kill(away)
    commit_many(cluster, others[0], AWAY_BLOCKS)
    assert height(cluster, others[0]) >= before + AWAY_BLOCKS
    cluster.start(away)
    cluster.wait_ready(away)
    assert same_roots(cluster) >= before + AWAY_BLOCKS
    assert metric(cluster, away, "ledger_blocks_total") >= AWAY_BLOCKS
    # It serves what it missed, and takes part again.
    assert commit(cluster, away)["height"] > before + AWAY_BLOCKS
