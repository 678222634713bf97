"""Whole clusters in memory: they elect, order, lose members and catch up."""

import pytest

from consensus.raft.core import Role
from tests.consensus.raft.harness import Cluster, role


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7])
def test_a_cluster_elects_one_leader_and_orders_blocks(size: int) -> None:
    cluster = Cluster(size)
    cluster.run(5_000)
    assert [role(node) for node in cluster.nodes.values()].count(Role.LEADER) == 1
    cluster.order(5)
    cluster.run(500)
    assert [node.heights for node in cluster.nodes.values()] == [5] * size
