"""Sentences of the Raft paper on membership (section 6) and log compaction (section 7).

Ongaro and Ousterhout 2014, extended version; in our words, one test each.  Where we differ: a
configuration is in force from the moment its entry is applied, not appended (so the next change
waits for that), and a snapshot is a pointer; the blocks come from the ledgers of peers.
"""

import pytest

from consensus.effects import ProposeResult
from consensus.raft.core import Role
from consensus.raft.membership import (
    ADD_LEARNER,
    ADD_VOTER,
    EXPLICIT,
    REMOVE,
    Change,
    Members,
    Step,
)
from consensus.raft.messages import Append, Snapshot
from consensus.types import NodeId
from tests.consensus.raft.bench import N1, N2, N3, Bench, append_of, vote_request
from tests.consensus.raft.harness import Cluster, Node, block, role

N4, N5 = NodeId("n4"), NodeId("n5")
LEAVE = Change(0, ())


def changed(*steps: tuple[int, NodeId], transition: int = 0) -> Change:
    return Change(transition, tuple(Step(kind, node) for kind, node in steps))


JOINT = changed(
    (ADD_VOTER, N4), (ADD_VOTER, N5), (REMOVE, N2), (REMOVE, N3), transition=EXPLICIT
)


def started(**options: int) -> Cluster:
    """Five nodes, of which n1, n2 and n3 are the group; n1 leads and one block is applied."""
    cluster = Cluster(5, voters=(N1, N2, N3), **options)
    cluster.elect("n1")
    cluster.order(1)
    cluster.run(300)
    return cluster


def joint() -> Cluster:
    """The group n1, n2, n3 on its way to n1, n4, n5, in the joint configuration."""
    cluster = started()
    assert cluster["n1"].engine.propose_membership(JOINT) is ProposeResult.ACCEPTED
    cluster.run(500)
    return cluster


def members(node: Node) -> Members:
    known: Members = node.engine._core.tracker.members
    return known


def propose(cluster: Cluster) -> None:
    """Let the leader propose one block; it need not be committed."""
    leader = cluster.leader()
    wanted = leader.engine.want()
    assert wanted is not None
    assert leader.engine.propose(block(wanted.height, wanted.parent)) is ProposeResult.ACCEPTED
    cluster.settle()


def cut(cluster: Cluster, *lost: str) -> None:
    for name in lost:
        cluster.isolate(name)


# --- 6 cluster membership changes -----------------------------------------------------------


def test_6_in_a_joint_configuration_entries_go_to_the_members_of_both() -> None:
    cluster = joint()
    cluster.seen.clear()
    cluster.order(1)
    carried = {to for _, to, m in cluster.seen if isinstance(m, Append) and m.entries}
    assert carried == {N2, N3, N4, N5}


@pytest.mark.parametrize("name", ["n3", "n5"])
def test_6_any_member_of_either_configuration_may_lead(name: str) -> None:
    cluster = joint()
    cluster.crash("n1")
    cluster.run(20)
    assert cluster.elect(name).id == name


@pytest.mark.parametrize(
    ("lost", "commits"),
    [(("n3", "n5"), True), (("n2", "n3"), False), (("n4", "n5"), False)],
)
def test_6_a_commit_needs_a_majority_of_the_old_and_one_of_the_new(
    lost: tuple[str, ...], commits: bool
) -> None:
    cluster = joint()
    cut(cluster, *lost)
    propose(cluster)
    assert (cluster["n1"].heights == 2) is commits


@pytest.mark.parametrize(
    ("lost", "wins"),
    [(("n1",), True), (("n1", "n2"), False), (("n1", "n4"), False)],
)
def test_6_an_election_needs_a_majority_of_the_old_and_one_of_the_new(
    lost: tuple[str, ...], wins: bool
) -> None:
    cluster = joint()
    for name in lost:
        cluster.crash(name)
    cluster.run(20_000)
    leaders = [node for node in cluster.nodes.values() if node.up and role(node) is Role.LEADER]
    assert bool(leaders) is wins


def test_6_the_new_configuration_is_ordered_only_when_the_joint_one_is_committed() -> None:
    cluster = started()
    cut(cluster, "n2", "n3")
    engine = cluster["n1"].engine
    assert engine.propose_membership(JOINT) is ProposeResult.ACCEPTED
    cluster.settle()
    assert engine.propose_membership(LEAVE) is ProposeResult.BUSY
    cluster.heal()
    cluster.run(500)
    assert members(cluster["n1"]).voters_outgoing == (N1, N2, N3)
    assert engine.propose_membership(LEAVE) is ProposeResult.ACCEPTED
    cluster.run(500)
    assert members(cluster["n1"]) == Members(voters=(N1, N4, N5))


def test_6_clients_are_served_all_the_time() -> None:
    cluster = joint()
    cluster.order(2)
    assert members(cluster["n1"]).voters_outgoing
    cluster["n1"].engine.propose_membership(LEAVE)
    cluster.run(500)
    cluster.order(1)
    assert cluster["n1"].heights == 4


def test_6_new_members_first_catch_up_without_a_vote() -> None:
    cluster = started()
    cluster.order(5)
    cluster["n1"].engine.propose_membership(changed((ADD_LEARNER, N4)))
    cluster.run(500)
    assert cluster["n4"].heights == 6
    cut(cluster, "n2", "n3")
    propose(cluster)
    assert cluster["n1"].heights == 6, "a learner is part of no majority"
    cluster.heal()
    cluster.run(500)
    cluster["n1"].engine.propose_membership(changed((ADD_VOTER, N4)))
    cluster.run(500)
    assert members(cluster["n4"]).voters == (N1, N2, N3, N4)


def test_6_a_leader_that_is_not_in_the_new_configuration_steps_down_once_it_is_committed() -> (
    None
):
    cluster = started()
    cluster["n1"].engine.propose_membership(changed((REMOVE, N1)))
    assert role(cluster["n1"]) is Role.LEADER
    cluster.run(5_000)
    assert role(cluster["n1"]) is not Role.LEADER
    assert cluster.leader().id in (N2, N3)
    cluster.order(1)


def test_6_removed_members_do_not_disturb_a_group_that_hears_its_leader() -> None:
    bench = Bench()
    bench.step(append_of([1], term=1))
    sent = bench.step(vote_request(9, N3, last_index=9, last_term=9))
    assert sent == []
    assert bench.core.term == 1


# --- 7 log compaction -----------------------------------------------------------------------


def test_7_each_member_compacts_by_itself_and_only_what_is_applied() -> None:
    cluster = Cluster(3, log_keep_entries=2)
    cluster["n3"].execute = False
    cluster.elect("n1")
    cluster.order(6)
    cluster.run(500)
    bases = {name: cluster[name].engine._core.log.base.index for name in ("n1", "n2", "n3")}
    assert bases["n1"] > 0
    assert bases["n2"] > 0
    assert bases["n3"] == 0, "its ledger has executed nothing yet"


def test_7_index_and_term_before_the_first_entry_stay_for_the_consistency_check() -> None:
    cluster = Cluster(3, log_keep_entries=2)
    cluster.elect("n1")
    cluster.order(6)
    cluster.run(500)
    for name in ("n1", "n2", "n3"):
        cluster.crash(name)
        cluster.restart(name)
        base = cluster[name].engine._core.log.base
        assert (base.index > 0, base.term) == (True, 1)
    cluster.elect("n2")
    cluster.order(2)
    cluster.run(500)
    assert {node.heights for node in cluster.nodes.values()} == {8}


def test_7_a_snapshot_goes_to_who_needs_entries_that_are_gone() -> None:
    cluster = Cluster(3, log_keep_entries=2)
    cluster.elect("n1")
    cluster.isolate("n3")
    cluster.order(8)
    cluster.run(300)
    cluster.seen.clear()
    cluster.heal()
    cluster.run(3_000)
    told = [(to, m.index) for _, to, m in cluster.seen if isinstance(m, Snapshot)]
    assert {to for to, _ in told} == {N3}
    assert cluster["n3"].heights == 8


def test_7_a_snapshot_holds_the_latest_configuration_up_to_its_place() -> None:
    cluster = started(log_keep_entries=2)
    cluster.isolate("n3")
    cluster["n1"].engine.propose_membership(changed((ADD_VOTER, N4)))
    cluster.settle()
    cluster.order(8)
    cluster.heal()
    cluster.run(1_500)
    assert members(cluster["n3"]) == Members(voters=(N1, N2, N3, N4))


def test_7_what_a_snapshot_contradicts_is_discarded() -> None:
    cluster = Cluster(3, log_keep_entries=2)
    cluster.elect("n3")
    cluster.isolate("n3")
    propose(cluster)
    stale = cluster["n3"].engine._core.log.last
    cluster.run(5_000)
    cluster.order(8)
    cluster.heal()
    cluster.run(5_000)
    assert cluster["n3"].heights == 8
    assert cluster["n3"].engine._core.log.last != stale
    cluster.check()
