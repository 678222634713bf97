"""Real processes, SIGKILL at random moments under load: no promise is broken.

The quick form runs in every test run; ``make kill-test`` runs 50 kills for each engine
(``CHARTSEAL_KILLS``).  The seed of the moments is printed, so a failure can be tried again.
"""

import os
import random
from pathlib import Path

import pytest

from node.cli.cluster import Cluster
from tests.support.load import Load, settle
from tests.support.promises import promises_kept

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
            promises_kept(cluster, at, load)
