"""Real processes, SIGKILL at random moments under load: no promise is broken.

The quick form runs in every test run; ``make kill-test`` runs 50 kills for each engine
(``CHARTSEAL_KILLS``).  The seed of the moments is printed, so a failure can be tried again.
"""

import os
import random
from pathlib import Path

import pytest

from consensus import wire
from node.book import TxRow
from node.check import check_ledger
from node.cli.cluster import Cluster
from node.ledger.families import record
from node.ledger.genesis import Genesis
from storage.store import Store
from tests.support.load import Load, settle

KILLS = int(os.environ.get("CHARTSEAL_KILLS", "5"))


@pytest.mark.cluster
@pytest.mark.timeout(120 + 20 * KILLS)
@pytest.mark.parametrize(("engine", "members"), [("raft", 3), ("pbft", 4)])
def test_kills_under_load_break_no_promise(engine: str, members: int, tmp_path: Path) -> None:
    seed = int(os.environ.get("CHARTSEAL_SEED", random.randrange(1 << 32)))
    print(f"CHARTSEAL_SEED={seed} CHARTSEAL_KILLS={KILLS} engine {engine}")
    moments = random.Random(seed)
    with Cluster.create(tmp_path / "net", members=members, engine=engine) as cluster:
        cluster.up()
        with Load(cluster) as load:
            load.wait_for(5)
            for kill in range(KILLS):
                victim = moments.randrange(members)
                load.wait_for(len(load.acknowledged) + moments.randrange(1, 12))
                assert cluster.kill(victim), f"node {victim} was down at kill {kill}"
                if moments.random() < 0.5:
                    load.wait_for(len(load.acknowledged) + moments.randrange(1, 6))
                cluster.start(victim)
                cluster.wait_ready(victim)
            load.wait_for(len(load.acknowledged) + 5)
        height = settle(cluster)
        heads = [cluster.client(at).get(f"/v1/blocks/{height}") for at in range(members)]
        assert len({(head["log_root"], head["state_root"]) for head in heads}) == 1
        assert cluster.down() == members, "every node was still alive"
        for at in range(members):
            _promises_kept(cluster, at, load)


def _promises_kept(cluster: Cluster, at: int, load: Load) -> None:
    genesis = Genesis.decode(cluster.genesis_path.read_bytes())
    data_dir = cluster.node_dir(at) / "data"
    report = check_ledger(data_dir, genesis)
    assert report.clean, list(report.findings)
    with Store.open(data_dir, network=genesis.network) as store:
        for tx_id, commitments in load.acknowledged.items():
            raw = store.tx_row(bytes.fromhex(tx_id))
            assert raw is not None, f"acknowledged {tx_id} is lost on node {at}"
            assert wire.decode(TxRow, raw, size_max=256).code == 0
            for name in commitments:
                prefix = record.commitment_prefix(bytes.fromhex(name))
                places = list(store.index_scan(prefix, prefix + b"\xff"))
                assert len(places) == 1, f"{name} stands {len(places)} times on node {at}"
