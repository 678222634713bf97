"""Members and engine change on real processes that are killed meanwhile: no promise breaks."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consensus import wire
from node.book import TxRow
from node.check import check_ledger
from node.cli.cluster import Cluster
from node.errors import ChartsealError
from node.ledger.genesis import Genesis
from storage.store import Store
from tests.support.load import Load, settle
from tests.support.votes import hands_over, late_founding

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


def status(cluster: Cluster, at: int) -> dict[str, Any]:
    found: dict[str, Any] = cluster.client(at).get("/v1/status")
    return found


def until(condition: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
        except ChartsealError:
            pass  # a node that is starting
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.1)


def promises_kept(cluster: Cluster, at: int, load: Load) -> None:
    genesis = Genesis.decode(cluster.genesis_path.read_bytes())
    data_dir = cluster.node_dir(at) / "data"
    report = check_ledger(data_dir, genesis)
    assert report.clean, list(report.findings)
    with Store.open(data_dir, network=genesis.network) as store:
        for tx_id in load.acknowledged:
            raw = store.tx_row(bytes.fromhex(tx_id))
            assert raw is not None, f"acknowledged {tx_id} is lost on node {at}"
            assert wire.decode(TxRow, raw, size_max=256).code == 0


def test_a_fourth_member_joins_and_replaces_one_that_is_killed(tmp_path: Path) -> None:
    made = late_founding(tmp_path / "net", members=4, founders=3, engine="raft")
    with made as cluster:
        for at in (0, 1, 2):
            cluster.start(at)
        for at in (0, 1, 2):
            cluster.wait_ready(at)
        hands = hands_over(cluster)
        with Load(cluster, writers=2) as load:
            load.wait_for(10)
            asyncio.run(hands.register([0, 1, 2], 3))
            asyncio.run(hands.admit([0, 1, 2], 3))
            cluster.start(3)
            until(lambda: status(cluster, 3)["standing"] == "voter")
            until(lambda: len(status(cluster, 0)["voters"]) == 4)
            assert cluster.kill(1)
            load.wait_for(len(load.acknowledged) + 10)
            cluster.start(1)
            cluster.wait_ready(1)
            load.wait_for(len(load.acknowledged) + 5)
        settle(cluster)
        assert cluster.down() == 4, "every node was still alive"
        for at in range(4):
            promises_kept(cluster, at, load)


@pytest.mark.parametrize("engine", ["raft", "pbft"])
def test_the_engine_is_switched_while_a_member_is_killed(tmp_path: Path, engine: str) -> None:
    other = {"raft": "pbft", "pbft": "raft"}[engine]
    made = late_founding(tmp_path / "net", members=4, founders=4, engine=engine)
    with made as cluster:
        cluster.up()
        hands = hands_over(cluster)
        with Load(cluster, writers=3) as load:
            load.wait_for(10)
            for epoch, switched in enumerate((other, engine), start=1):
                victim = epoch
                assert cluster.kill(victim)
                voters = [at for at in range(4) if at != victim]
                asyncio.run(hands.decide(voters, engine=switched))
                cluster.start(victim)
                until(lambda: status(cluster, victim)["epoch"] == epoch)  # noqa: B023
                load.wait_for(len(load.acknowledged) + 10)
                assert status(cluster, 0)["engine"]["name"] == switched
        settle(cluster)
        heads = {
            (found["log_root"], found["state_root"])
            for found in (status(cluster, at) for at in range(4))
        }
        assert len(heads) == 1
        assert cluster.down() == 4, "every node was still alive"
        for at in range(4):
            promises_kept(cluster, at, load)
