"""Members come and go: one at a time or through a joint configuration, across crashes."""

import random

import pytest

from consensus.effects import ProposeResult
from consensus.raft.core import Role
from consensus.raft.membership import (
    ADD_LEARNER,
    ADD_VOTER,
    EXPLICIT,
    REMOVE,
    Change,
    ChangeRefused,
    Members,
    Step,
)
from consensus.raft.messages import Append, PreVoteRequest, Snapshot, VoteResponse
from consensus.raft.records import MEMBERS_KEY, TARGET_KEY
from consensus.types import NodeId
from tests.consensus.raft.bench import EPOCH, N1, N2, N3, Bench, append_of
from tests.consensus.raft.harness import Cluster, Node, block, role
from tests.consensus.raft.test_chaos import check_reads, move


def ids(text: str) -> tuple[NodeId, ...]:
    return tuple(NodeId(name) for name in text.split())


def change(text: str, transition: int = 0) -> Change:
    """``+n4`` adds a voter, ``~n4`` a learner, ``-n4`` removes."""
    kinds = {"+": ADD_VOTER, "~": ADD_LEARNER, "-": REMOVE}
    steps = [Step(kinds[word[0]], NodeId(word[1:])) for word in text.split()]
    return Change(transition, tuple(steps))


def members(node: Node) -> Members:
    known: Members = node.engine._core.tracker.members
    return known


def ask(cluster: Cluster, text: str, transition: int = 0) -> ProposeResult:
    result: ProposeResult = cluster.leader().engine.propose_membership(change(text, transition))
    return result


def started(size: int = 5, voters: str = "n1 n2 n3", **options: int) -> Cluster:
    cluster = Cluster(size, voters=ids(voters), **options)
    cluster.elect("n1")
    cluster.order(1)
    cluster.run(300)
    return cluster


def test_who_is_not_in_the_group_hears_nothing_and_never_campaigns() -> None:
    cluster = started()
    cluster.run(10_000)
    asked = [sender for sender, _, m in cluster.seen if isinstance(m, PreVoteRequest)]
    assert {cluster[name].heights for name in ("n4", "n5")} == {0}
    assert not {"n4", "n5"} & set(asked)
    assert cluster["n4"].engine.deadline_ms is None


def test_a_member_is_added_and_then_counts() -> None:
    cluster = started()
    assert ask(cluster, "+n4") is ProposeResult.ACCEPTED
    cluster.run(500)
    assert [members(node).voters for node in list(cluster.nodes.values())[:4]] == [
        ids("n1 n2 n3 n4")
    ] * 4
    assert cluster["n4"].heights == 1
    cluster.crash("n2")
    cluster.run(100)
    cluster.order(1)
    assert cluster["n4"].engine._core.log.last == cluster["n1"].engine._core.log.last
    cluster.isolate("n3")
    wanted = cluster["n1"].engine.want()
    assert wanted is not None
    cluster["n1"].engine.propose(block(wanted.height, wanted.parent))
    cluster.settle()
    assert cluster["n1"].heights == 2, "two of four are no majority"


def test_a_learner_receives_and_neither_votes_nor_counts() -> None:
    cluster = started()
    assert ask(cluster, "~n4") is ProposeResult.ACCEPTED
    cluster.run(500)
    assert members(cluster["n1"]) == Members(voters=ids("n1 n2 n3"), learners=ids("n4"))
    assert cluster["n4"].heights == 1
    cluster.crash("n2")
    cluster.crash("n3")
    wanted = cluster["n1"].engine.want()
    assert wanted is not None
    cluster["n1"].engine.propose(block(wanted.height, wanted.parent))
    cluster.settle()
    assert cluster["n4"].engine._core.log.last == cluster["n1"].engine._core.log.last
    assert cluster["n1"].heights == 1


def test_several_members_change_through_a_joint_configuration_that_leaves_itself() -> None:
    cluster = started()
    assert ask(cluster, "+n4 +n5 -n3") is ProposeResult.ACCEPTED
    cluster.run(1_000)
    assert members(cluster["n1"]) == Members(voters=ids("n1 n2 n4 n5"))
    assert members(cluster["n5"]) == Members(voters=ids("n1 n2 n4 n5"))
    cluster.order(2)
    cluster.run(500)
    assert cluster["n5"].heights == 3


def test_while_joint_both_majorities_are_needed() -> None:
    cluster = started()
    assert ask(cluster, "+n4 +n5 -n2 -n3", EXPLICIT) is ProposeResult.ACCEPTED
    cluster.run(500)
    assert members(cluster["n1"]).voters_outgoing == ids("n1 n2 n3")
    assert ask(cluster, "+n2") is ProposeResult.BUSY
    cluster.cut = {frozenset(pair) for pair in [("n1", "n2"), ("n1", "n3")]}
    wanted = cluster["n1"].engine.want()
    assert wanted is not None
    cluster["n1"].engine.propose(block(wanted.height, wanted.parent))
    cluster.settle()
    assert cluster["n1"].heights == 1, "n4 and n5 are a majority of one half only"
    cluster.heal()
    cluster.run(500)
    assert cluster["n1"].heights == 2
    assert ask(cluster, "") is ProposeResult.ACCEPTED
    cluster.run(500)
    assert members(cluster["n1"]) == Members(voters=ids("n1 n4 n5"))


def test_a_removed_leader_steps_down_and_the_others_go_on() -> None:
    cluster = started()
    assert ask(cluster, "-n1") is ProposeResult.ACCEPTED
    cluster.run(5_000)
    assert role(cluster["n1"]) is not Role.LEADER
    assert cluster.leader().id in ids("n2 n3")
    cluster.order(1)
    assert members(cluster.leader()) == Members(voters=ids("n2 n3"))


def test_one_change_at_a_time_and_only_at_the_leader() -> None:
    cluster = started()
    assert cluster["n2"].engine.propose_membership(change("+n4")) is ProposeResult.NOT_LEADER
    assert ask(cluster, "+n4") is ProposeResult.ACCEPTED
    assert ask(cluster, "+n5") is ProposeResult.BUSY
    assert ask(cluster, "") is ProposeResult.BUSY
    cluster.settle()
    with pytest.raises(ValueError, match="of the committee"):
        ask(cluster, "+n9")
    with pytest.raises(ChangeRefused, match="every voter"):
        ask(cluster, "-n1 -n2 -n3 -n4")
    refused = cluster["n1"].engine.refusals
    assert refused["change of members while another may be under way"] == 2


@pytest.mark.parametrize("keep", [2, 64])
def test_members_survive_a_restart_also_when_their_entries_are_compacted(keep: int) -> None:
    cluster = started(log_keep_entries=keep)
    assert ask(cluster, "+n4") is ProposeResult.ACCEPTED
    cluster.settle()
    cluster.order(6)
    assert (MEMBERS_KEY in dict(cluster["n1"].disk.pairs())) is (keep == 2)
    for node in ("n1", "n2", "n3", "n4"):
        cluster.crash(node)
        cluster.restart(node)
        assert members(cluster[node]).voters == ids("n1 n2 n3 n4")
    cluster.run(4_000)
    cluster.order(1)


def test_a_snapshot_brings_the_members_of_its_place() -> None:
    cluster = started(log_keep_entries=2)
    cluster.isolate("n3")
    assert ask(cluster, "+n4") is ProposeResult.ACCEPTED
    cluster.settle()
    cluster.order(8)
    cluster.heal()
    cluster.run(1_500)
    told = [m for _, to, m in cluster.seen if to == N3 and isinstance(m, Snapshot)]
    assert told[-1].members == Members(voters=ids("n1 n2 n3 n4"))
    assert members(cluster["n3"]) == told[-1].members
    assert cluster["n3"].heights == 9
    assert TARGET_KEY not in dict(cluster["n3"].disk.pairs())


def test_a_snapshot_of_a_group_without_us_is_not_followed() -> None:
    bench = Bench()
    message = Snapshot(EPOCH, 3, N2, 7, 1, 5, bytes(32), Members(voters=(N2, N3)))
    bench.step(message)
    assert bench.node.fetches == []
    assert bench.engine.refusals == {"snapshot of a group that we are not in": 1}


def test_a_crash_while_blocks_are_fetched_keeps_the_target_and_the_members() -> None:
    cluster = started(log_keep_entries=2)
    cluster.isolate("n3")
    assert ask(cluster, "+n4") is ProposeResult.ACCEPTED
    cluster.settle()
    cluster.order(8)
    late, source = cluster["n3"], cluster["n1"]
    cluster.serving = False
    cluster.heal()
    cluster.run(1_500)
    for decided in source.ledger[1:5]:
        assert late.engine.synced(decided.proposal, decided.certificate)
        cluster.turn(late)
    cluster.crash("n3")
    cluster.restart("n3")
    core = late.engine._core
    assert (core.target is not None, core.may_campaign, late.heights) == (True, False, 5)
    cluster.serving = True
    cluster.run(2_000)
    assert (late.heights, members(late).voters) == (9, ids("n1 n2 n3 n4"))
    assert core.may_campaign


def test_a_fetched_block_that_the_log_contradicts_ends_the_log_there() -> None:
    """The ledger executed fetched blocks; the log holds another leader's entries there."""
    cluster = Cluster(3, log_keep_entries=2)
    cluster.elect("n3")
    cluster.order(1)
    cluster.run(200)
    cluster.isolate("n3")
    cluster.order(1, flavour="lost")
    cluster.run(4_000)
    cluster.elect("n1")
    cluster.order(8, flavour="kept")
    late = cluster["n3"]
    assert late.engine._core.log.last == 3
    cluster.serving = False
    cluster.heal()
    cluster.run(2_000)
    for decided in cluster["n1"].ledger[1:4]:
        assert late.engine.synced(decided.proposal, decided.certificate)
        cluster.turn(late)
    cluster.crash("n3")
    cluster.restart("n3")
    core = late.engine._core
    assert core.log.base.height == 4
    assert core.log.base.term == 2, "the fetched block told its term"
    cluster.serving = True
    cluster.run(3_000)
    cluster.order(1)
    cluster.run(300)
    assert late.heights == cluster["n1"].heights == 10


def test_an_election_does_not_begin_with_a_committed_change_unapplied() -> None:
    bench = Bench(5, voters=ids("n1 n2 n3"))
    bench.step(append_of([1], term=1, commit=1))
    log = bench.core.log
    entry = type(log.entry(1))(1, 2, None, change("+n4"))
    append = append_of([1], term=1, start=2)
    bench.engine.step(N2, type(append)(EPOCH, 1, N2, 1, 1, 2, (entry,)))
    effects = bench.engine.drain()  # the turn is not durable yet
    bench.now_ms += 5_000
    bench.engine.tick(bench.now_ms)
    assert bench.core.role is Role.FOLLOWER
    bench.engine.persisted(effects.token)
    assert bench.core.tracker.members.voters == ids("n1 n2 n3 n4")
    bench.now_ms += 5_000
    bench.engine.tick(bench.now_ms)
    assert bench.core.role is Role.PRE_CANDIDATE


@pytest.mark.parametrize("removal", ["-n1", "~n1"])
def test_a_candidate_that_hears_of_its_removal_campaigns_no_more(removal: str) -> None:
    bench = Bench()
    bench.step(append_of([1], term=1, commit=1))
    entry = type(bench.core.log.entry(1))(1, 2, None, change(removal))
    bench.step(Append(EPOCH, 1, N2, 1, 1, 1, (entry,)))
    bench.campaign()
    assert bench.core.role is Role.CANDIDATE
    term = bench.core.term
    # The refusal tells that the entry is committed; the grant comes from before.
    bench.step(VoteResponse(EPOCH, term, N2, N1, False, 2, 1))
    assert N1 not in bench.core.tracker.voters
    assert bench.core.role is Role.FOLLOWER
    bench.step(VoteResponse(EPOCH, term, N3, N1, True))
    assert bench.core.role is Role.FOLLOWER


CHANGES = ("+n4", "+n5", "-n4", "-n5", "~n4", "-n3", "+n3", "+n4 +n5", "-n2 -n3 +n4", "+n2 +n3")


@pytest.mark.parametrize("seed", range(16))
def test_ledgers_agree_while_members_change_at_random(seed: int) -> None:
    rng = random.Random(seed)
    cluster = Cluster(
        5,
        seed=seed,
        voters=ids("n1 n2 n3"),
        election_ms_min=200,
        election_ms_spread=200,
        heartbeat_ms=20,
        log_keep_entries=rng.choice([2, 4, 64]),
        message_entries_max=rng.choice([1, 3, 64]),
        window=rng.choice([1, 3]),
    )
    for _ in range(700):
        move(cluster, rng)
        leaders = [n for n in cluster.nodes.values() if n.up and role(n) is Role.LEADER]
        if leaders and rng.random() < 0.05:
            try:
                leaders[0].engine.propose_membership(change(rng.choice(CHANGES)))
            except ChangeRefused:
                continue
        cluster.check()
    check_reads(cluster)
    cluster.heal()
    for node in cluster.nodes.values():
        node.execute = True
        if node.up:
            node.run_ledger()
        else:
            cluster.restart(node.id)
    cluster.run(4_000)
    before = max(node.heights for node in cluster.nodes.values())
    cluster.order(2)
    cluster.run(1_000)
    group = members(cluster.leader())
    assert {cluster.nodes[node].heights for node in group.everybody} == {before + 2}


def test_the_leader_counts_itself_only_while_it_belongs() -> None:
    bench = Bench(3)
    bench.lead()
    assert bench.core.tracker.members == Members(voters=(N1, N2, N3))
    assert N1 in bench.core.progress
