"""Sentences of the Raft paper on clients (section 8): who is asked, and how reads stay fresh.

Ongaro and Ousterhout 2014, extended version; in our words, one test each.  That a request is
executed once is not the engine's affair here: the ledger refuses a transaction it already has.
"""

import pytest

from consensus.effects import ProposeResult, ReadReady
from consensus.raft.core import Role
from consensus.raft.messages import Heartbeat, HeartbeatResponse
from consensus.types import NodeId
from tests.consensus.raft.bench import EPOCH, N2, N3, Bench, ack
from tests.consensus.raft.harness import NETWORK, Cluster, block


def test_8_a_member_that_does_not_lead_refuses_a_request_and_names_the_leader() -> None:
    cluster = Cluster(3)
    cluster.elect("n2")
    cluster.run(300)
    for name in ("n1", "n3"):
        engine = cluster[name].engine
        assert engine.propose(block(1, NETWORK)) is ProposeResult.NOT_LEADER
        assert engine.status().leader == N2


def test_8_when_the_leader_is_gone_clients_find_another_one() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.order(1)
    cluster.run(300)
    cluster.crash("n1")
    cluster.run(10_000)
    leader = cluster.leader().id
    others = [node for node in cluster.nodes.values() if node.up]
    assert {node.engine.status().leader for node in others} == {leader}
    cluster.order(1)


def test_8_a_new_leader_learns_what_is_committed_by_an_entry_of_its_own_term() -> None:
    bench = Bench(log=[1, 1])
    bench.lead()
    assert bench.engine.read(1)
    bench.step(HeartbeatResponse(EPOCH, 2, N2, 1))
    bench.step(HeartbeatResponse(EPOCH, 2, N3, 1))
    assert bench.node.reads == [], "nothing of its term is committed yet"
    bench.step(ack(2, N2, 3))
    bench.step(HeartbeatResponse(EPOCH, 2, N2, 1))
    assert bench.node.reads == [ReadReady(1, 1)]


@pytest.mark.parametrize("size", [3, 5])
def test_8_a_leader_answers_a_read_after_a_majority_answered_its_heartbeat(size: int) -> None:
    bench = Bench(size)
    bench.lead()
    followers = bench.peers[: size // 2]
    for peer in followers:
        bench.step(ack(1, peer, 1))
    assert bench.engine.read(4)
    asked = {to for to, m in bench.said() if isinstance(m, Heartbeat)}
    assert asked == set(bench.peers)
    for peer in followers:
        assert bench.node.reads == []
        bench.step(HeartbeatResponse(EPOCH, 1, peer, 1))
    assert bench.node.reads == [ReadReady(4, 0)]


def test_8_a_deposed_leader_that_thinks_it_leads_answers_no_read() -> None:
    bench = Bench(5)
    bench.lead()
    for peer in bench.peers[:2]:
        bench.step(ack(1, peer, 1))
    assert bench.engine.read(1)
    bench.step(HeartbeatResponse(EPOCH, 1, N2, 1))  # the other three follow somebody else
    assert bench.core.role is Role.LEADER
    assert bench.node.reads == []
    bench.tick(1_000)
    assert bench.node.reads == [ReadReady(1, None)]


@pytest.mark.parametrize("name", ["n1", "n2", "n3"])
def test_8_a_read_sees_every_write_that_was_answered_before_it(name: str) -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    for height in range(1, 6):
        cluster.order(1)
        node = cluster[name]
        assert node.engine.read(height)
        cluster.run(200)
        assert node.reads[-1] == ReadReady(height, height)


def test_8_a_read_writes_nothing_into_the_log() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.order(1)
    cluster.run(300)
    before = [node.engine._core.log.last for node in cluster.nodes.values()]
    for node in cluster.nodes.values():
        assert node.engine.read(1)
    cluster.run(300)
    assert all(node.reads == [ReadReady(1, 1)] for node in cluster.nodes.values())
    assert [node.engine._core.log.last for node in cluster.nodes.values()] == before


def test_8_a_lease_answers_without_messages_and_relies_on_clocks() -> None:
    cluster = Cluster(3, lease_reads=True)
    cluster.elect("n1")
    cluster.order(1)
    cluster.run(300)
    cluster.isolate("n1")
    node = cluster[NodeId("n1")]
    assert node.engine.read(1)
    cluster.settle()
    assert node.reads == [ReadReady(1, 1)]
