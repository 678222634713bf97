"""Leadership is handed over on request, links that break are noticed, leaders are forgotten."""

from consensus.raft.core import Role
from consensus.raft.messages import (
    Append,
    HeartbeatResponse,
    PreVoteRequest,
    PreVoteResponse,
    TimeoutNow,
    TransferRequest,
    VoteRequest,
    VoteResponse,
)
from consensus.raft.progress import ProgressState
from consensus.types import NodeId
from tests.consensus.raft.bench import EPOCH, N1, N2, N3, Bench, ack, append_of
from tests.consensus.raft.harness import Cluster, role


def leading() -> Bench:
    bench = Bench()
    bench.lead()
    bench.step(ack(1, N2, 1))
    return bench


def test_leadership_goes_to_whom_it_was_asked_for_in_one_election() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.order(2)
    cluster.run(300)
    assert cluster["n1"].engine.transfer(N3)
    cluster.settle()
    assert (cluster.leader().id, cluster.leader().engine.status().round) == (N3, 2)
    assert not [m for _, to, m in cluster.seen if isinstance(m, PreVoteRequest) and to == N1][
        2:
    ]
    cluster.order(1)
    cluster.run(500)
    assert {node.heights for node in cluster.nodes.values()} == {3}


def test_the_target_must_have_the_whole_log_first() -> None:
    bench = leading()
    bench.propose()
    assert bench.engine.transfer(N2)
    assert [m for _, m in bench.said() if isinstance(m, TimeoutNow)] == []
    sent = bench.step(ack(1, N2, 2))
    assert (N2, TimeoutNow(EPOCH, 1, N1)) in sent


def test_while_leadership_is_handed_over_nothing_is_proposed_and_then_it_is_given_up() -> None:
    bench = leading()
    assert bench.engine.want() is not None
    assert bench.engine.transfer(N3)
    assert bench.engine.want() is None
    bench.said()
    bench.step(HeartbeatResponse(EPOCH, 1, N2))
    bench.tick(1_000)
    assert bench.core.role is Role.LEADER
    assert bench.engine.want() is not None


def test_a_transfer_that_cannot_be_is_refused() -> None:
    bench = leading()
    assert not bench.engine.transfer(NodeId("n9"))
    assert not bench.engine.transfer(N1)
    assert not Bench().engine.transfer(N2)


def test_a_follower_passes_the_request_on() -> None:
    bench = Bench()
    bench.step(append_of([1], term=1))
    assert bench.engine.transfer(N3)
    assert bench.said() == [(N2, TransferRequest(EPOCH, 1, N1, N3))]
    leader = leading()
    sent = leader.step(TransferRequest(EPOCH, 1, N3, N2))
    assert sent == [(N2, TimeoutNow(EPOCH, 1, N1))]


def test_a_vote_asked_for_in_a_transfer_is_granted_although_a_leader_is_heard() -> None:
    bench = Bench(log=[1])
    bench.step(append_of([1], term=1, start=2))
    polite = VoteRequest(EPOCH, 2, N3, 1, 1)
    assert bench.step(polite) == []
    forced = VoteRequest(EPOCH, 2, N3, 1, 1, True)
    assert bench.step(forced) == [(N3, VoteResponse(EPOCH, 2, N1, N3, True))]


def test_who_is_told_to_campaign_asks_for_votes_without_asking_whether_to() -> None:
    bench = Bench(log=[1])
    bench.step(append_of([1], term=1, start=2))
    sent = bench.step(TimeoutNow(EPOCH, 1, N2))
    assert sent == [(to, VoteRequest(EPOCH, 2, N1, 1, 1, True)) for to in (N2, N3)]


def test_a_broken_link_stops_the_stream_until_the_peer_is_heard() -> None:
    bench = leading()
    assert bench.core.progress[N2].state is ProgressState.REPLICATE
    bench.engine.unreachable(N2)
    assert bench.core.progress[N2].state is ProgressState.PROBE
    sent = bench.step(HeartbeatResponse(EPOCH, 1, N2))
    assert [m.prev_index for to, m in sent if to == N2 and isinstance(m, Append)] == [1]
    bench.step(ack(1, N2, 1))
    assert bench.core.progress[N2].state is ProgressState.REPLICATE


def test_a_forgotten_leader_leaves_the_term_and_frees_the_vote() -> None:
    bench = Bench(log=[1])
    bench.step(append_of([1], term=1, start=2))
    asked = PreVoteRequest(EPOCH, 2, N3, 1, 1)
    assert bench.step(asked) == []
    assert bench.engine.forget_leader()
    assert (bench.core.term, bench.core.leader) == (1, None)
    assert bench.step(asked) == [(N3, PreVoteResponse(EPOCH, 2, N1, True))]
    assert not bench.engine.forget_leader()


def test_under_lease_reads_the_leader_is_not_forgotten() -> None:
    bench = Bench(lease_reads=True)
    bench.step(append_of([1], term=1))
    assert not bench.engine.forget_leader()
    assert bench.core.leader == N2
    assert role(bench.node) is Role.FOLLOWER
