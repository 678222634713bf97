"""Pre-vote, check-quorum, stickiness (thesis 4.2.3, 9.6): nobody disturbs a working leader."""

from consensus.raft.core import Role
from consensus.raft.messages import (
    AppendResponse,
    Heartbeat,
    HeartbeatResponse,
    PreVoteRequest,
    PreVoteResponse,
    VoteResponse,
)
from tests.consensus.raft.bench import EPOCH, N1, N2, N3, Bench, append_of, vote_request
from tests.consensus.raft.harness import Cluster, role


def pre_vote(term: int, *, last_index: int = 0, last_term: int = 0) -> PreVoteRequest:
    return PreVoteRequest(EPOCH, term, N2, last_index, last_term)


def test_a_pre_vote_changes_neither_term_nor_vote() -> None:
    bench = Bench(log=[1])
    before = dict(bench.node.disk.durable)
    sent = bench.step(pre_vote(9, last_index=1, last_term=1))
    assert sent == [(N2, PreVoteResponse(EPOCH, 9, N1, True))]
    assert (bench.core.term, bench.core.vote) == (1, None)
    assert dict(bench.node.disk.durable) == before


def test_pre_votes_go_to_several_candidates_but_not_to_worse_logs() -> None:
    bench = Bench(log=[1])
    for _ in range(2):
        (answer,) = bench.step(pre_vote(2, last_index=1, last_term=1))
        assert answer[1].granted
    assert bench.step(pre_vote(2)) == [(N2, PreVoteResponse(EPOCH, 1, N1, False))]


def test_a_member_that_is_behind_in_terms_learns_it_from_the_refusal() -> None:
    bench = Bench(log=[5])
    sent = bench.step(pre_vote(3))
    assert sent == [(N2, PreVoteResponse(EPOCH, 5, N1, False))]
    behind = Bench()
    behind.time_out()
    behind.step(PreVoteResponse(EPOCH, 5, N2, False))
    assert (behind.core.term, behind.core.role) == (5, Role.FOLLOWER)


def test_without_a_pre_vote_majority_the_term_stays() -> None:
    bench = Bench()
    for _ in range(5):
        bench.time_out()
        bench.step(PreVoteResponse(EPOCH, 0, N2, False))
    assert (bench.core.term, bench.core.vote) == (0, None)


def test_old_pre_vote_answers_do_not_elect() -> None:
    bench = Bench(log=[1])
    bench.time_out()
    bench.step(PreVoteResponse(EPOCH, 1, N2, True))
    assert bench.core.role is Role.PRE_CANDIDATE
    bench.step(VoteResponse(EPOCH, 1, N2, N1, True))
    assert bench.core.role is Role.PRE_CANDIDATE


def test_who_hears_a_leader_answers_no_vote_request_of_a_higher_term() -> None:
    bench = Bench()
    bench.step(Heartbeat(EPOCH, 1, N3, 0))
    bench.tick(999)
    assert bench.step(vote_request(9)) == []
    assert bench.step(pre_vote(9)) == []
    assert bench.core.term == 1
    bench.core.election_due_ms = bench.now_ms + 5_000
    bench.tick(1)
    assert bench.step(vote_request(9)) == [(N2, VoteResponse(EPOCH, 9, N1, N2, True))]


def test_a_leader_ignores_vote_requests_while_it_leads() -> None:
    bench = Bench()
    bench.lead()
    assert bench.step(vote_request(9)) == []
    assert bench.core.role is Role.LEADER


def test_a_leader_steps_down_when_no_majority_answers_for_an_election_timeout() -> None:
    bench = Bench(5)
    bench.lead()
    bench.tick(500)
    bench.step(HeartbeatResponse(EPOCH, 1, N2))
    bench.step(HeartbeatResponse(EPOCH, 1, N3))
    bench.tick(500)
    assert bench.core.role is Role.LEADER
    bench.tick(500)
    bench.step(HeartbeatResponse(EPOCH, 1, N2))
    bench.tick(500)
    assert (bench.core.role, bench.core.leader) == (Role.FOLLOWER, None)


def test_an_old_leader_is_told_the_new_term_and_steps_down() -> None:
    ahead = Bench(log=[7])
    for message in (Heartbeat(EPOCH, 3, N2, 0), append_of([3], term=3)):
        ((to, answer),) = ahead.step(message)
        assert (to, answer.term, answer.index) == (N2, 7, 0)
    old = Bench()
    old.lead()
    old.step(AppendResponse(EPOCH, 7, N2, False, 0, 0, 0))
    assert (old.core.term, old.core.role) == (7, Role.FOLLOWER)


def test_a_member_stuck_in_a_higher_term_rejoins() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster["n3"].engine._core.term = 8
    cluster["n3"].engine._core.leader = None
    cluster.run(6_000)
    cluster.order(1)
    cluster.run(500)
    assert [node.heights for node in cluster.nodes.values()] == [1, 1, 1]
    assert cluster.leader().engine._core.term > 8


def test_a_returning_member_does_not_depose_the_leader() -> None:
    cluster = Cluster(5)
    cluster.elect("n1")
    term = cluster.leader().engine._core.term
    cluster.isolate("n5")
    cluster.run(20_000)
    cluster.heal()
    cluster.run(5_000)
    assert cluster.leader().id == "n1"
    assert cluster.leader().engine._core.term == term


def test_one_broken_link_does_not_turn_leadership_back_and_forth() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.cut = {frozenset(("n1", "n3"))}
    cluster.run(30_000)
    assert cluster.leader().engine._core.term <= 2
    cluster.order(1)
    cluster.run(1_000)
    assert [node.heights for node in cluster.nodes.values()].count(1) >= 2


def test_a_cut_off_leader_is_replaced_and_follows_when_it_returns() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.order(1)
    cluster.isolate("n1")
    cluster.run(5_000)
    assert role(cluster["n1"]) is not Role.LEADER
    cluster.order(2)
    cluster.heal()
    cluster.run(3_000)
    assert [node.heights for node in cluster.nodes.values()] == [3, 3, 3]


def test_a_single_member_leads_only_after_its_vote_and_commits_only_after_its_write() -> None:
    bench = Bench(1)
    bench.engine.tick(bench.core.election_due_ms)
    asked = bench.engine.drain()
    assert (bench.core.role, asked.must_sync) == (Role.PRE_CANDIDATE, False)
    bench.engine.persisted(asked.token)
    vote = bench.engine.drain()
    assert (bench.core.role, vote.must_sync) == (Role.CANDIDATE, True)
    bench.engine.persisted(vote.token)
    assert bench.core.role is Role.LEADER
    entry = bench.engine.drain()
    assert (bench.core.commit, entry.must_sync) == (0, True)
    bench.engine.persisted(entry.token)
    assert bench.core.commit == 1
