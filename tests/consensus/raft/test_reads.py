"""Reads that need no entry: the index is told only after a majority followed once more."""

from hypothesis import given
from hypothesis import strategies as st

from consensus.effects import ReadReady
from consensus.quorum import majority
from consensus.raft.core import Role
from consensus.raft.membership import Members
from consensus.raft.messages import Heartbeat, HeartbeatResponse, ReadRequest, ReadResponse
from consensus.raft.reads import Reads, WaitingRead
from consensus.types import NodeId
from tests.consensus.raft.bench import EPOCH, N1, N2, N3, Bench, ack, append_of
from tests.consensus.raft.harness import Cluster


def leading(size: int = 3, **options: int) -> Bench:
    """A leader whose empty entry and one block are committed."""
    bench = Bench(size, **options)
    bench.lead()
    if size > 1:
        bench.step(ack(1, N2, 1))
        bench.propose()
        bench.step(ack(1, N2, 2))
    return bench


def test_a_read_is_answered_after_a_majority_repeated_it() -> None:
    bench = leading()
    assert bench.engine.read(7)
    told = [m.reads for _, m in bench.said() if isinstance(m, Heartbeat)]
    assert told == [1, 1]
    assert bench.node.reads == []
    bench.step(HeartbeatResponse(EPOCH, 1, N2, 1))
    assert bench.node.reads == [ReadReady(7, 1)]


def test_answers_to_earlier_heartbeats_confirm_no_later_read() -> None:
    bench = leading()
    bench.engine.read(1)
    bench.said()
    bench.engine.read(2)
    bench.said()
    bench.step(HeartbeatResponse(EPOCH, 1, N2, 0))
    assert bench.node.reads == []
    bench.step(HeartbeatResponse(EPOCH, 1, N2, 1))
    assert bench.node.reads == [ReadReady(1, 1)]
    bench.step(HeartbeatResponse(EPOCH, 1, N2, 1))  # the network repeats it
    assert bench.node.reads == [ReadReady(1, 1)]
    bench.step(HeartbeatResponse(EPOCH, 1, N3, 2))
    assert bench.node.reads == [ReadReady(1, 1), ReadReady(2, 1)]


def test_who_is_both_halves_of_a_joint_configuration_answers_alone() -> None:
    bench = leading(1)
    core = bench.engine._core
    core.tracker.adopt(Members(voters=(N1,), voters_outgoing=(N1,)), last_index=core.log.last)
    assert bench.engine.read(7)
    bench.said()
    assert [read.token for read in bench.node.reads] == [7]


def test_a_read_waits_for_the_first_commit_of_the_term() -> None:
    bench = Bench(log=[1, 1])
    bench.lead()
    assert bench.engine.read(1)
    assert bench.said() == []
    sent = bench.step(ack(2, N2, 3))
    assert [m.reads for _, m in sent if isinstance(m, Heartbeat)] == [1, 1]
    bench.step(HeartbeatResponse(EPOCH, 2, N2, 1))
    assert bench.node.reads == [ReadReady(1, 1)]


def test_alone_a_leader_answers_at_once() -> None:
    bench = Bench(1)
    bench.time_out()
    bench.propose()
    assert bench.engine.read(3)
    bench.said()
    assert bench.node.reads == [ReadReady(3, 1)]


def test_without_a_leader_a_read_is_refused() -> None:
    bench = Bench()
    assert not bench.engine.read(1)
    assert bench.engine.refusals == {"read without a leader": 1}


def test_a_follower_asks_the_leader_and_waits_until_it_knows_the_index() -> None:
    bench = Bench()
    bench.step(append_of([1], term=1, commit=1))
    assert bench.engine.read(5)
    assert bench.said() == [(N2, ReadRequest(EPOCH, 0, N1, 5))]
    bench.step(ReadResponse(EPOCH, 1, N2, 3, 5))
    assert bench.node.reads == []
    bench.step(append_of([1, 1, 1], term=1, start=2, commit=3))
    assert bench.node.reads == [ReadReady(5, 2)]


def test_a_leader_answers_whom_it_was_asked_by() -> None:
    bench = leading()
    bench.step(ReadRequest(EPOCH, 0, N3, 9))
    sent = bench.step(HeartbeatResponse(EPOCH, 1, N2, 1))
    assert (N3, ReadResponse(EPOCH, 1, N1, 2, 9)) in sent
    assert bench.node.reads == []


def test_a_read_that_nobody_confirms_is_given_up() -> None:
    bench = leading()
    bench.engine.read(4)
    bench.said()
    bench.step(HeartbeatResponse(EPOCH, 1, N2, 0))
    assert bench.engine.deadline_ms is not None
    bench.tick(1_000)
    assert bench.node.reads == [ReadReady(4, None)]
    bench.step(HeartbeatResponse(EPOCH, 1, N2, 1))
    assert bench.node.reads == [ReadReady(4, None)]


def test_a_read_is_lost_with_the_leader_that_took_it() -> None:
    bench = leading()
    bench.engine.read(4)
    bench.step(Heartbeat(EPOCH, 5, N3, 0))
    bench.tick(1)
    assert bench.core.role is Role.FOLLOWER
    assert bench.node.reads == [ReadReady(4, None)]


def test_under_a_lease_nobody_is_asked() -> None:
    bench = leading(lease_reads=True)
    assert bench.engine.read(6)
    assert [m for _, m in bench.said() if isinstance(m, Heartbeat)] == []
    assert bench.node.reads == [ReadReady(6, 1)]


def test_a_deposed_leader_that_does_not_know_it_answers_no_read() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.order(1)
    cluster.isolate("n1")
    old = cluster["n1"]
    assert old.engine.read(1)
    cluster.run(4_000)
    cluster.order(2)
    cluster.heal()
    cluster.run(2_000)
    assert [ready.height for ready in old.reads] == [None]


names = st.sampled_from([NodeId(name) for name in "abcde"])
events = st.lists(
    st.one_of(st.just("ask"), st.tuples(names, st.integers(0, 12))), min_size=1, max_size=40
)


@given(events, st.integers(1, 5))
def test_a_confirmed_read_was_repeated_by_a_majority(story: list[object], size: int) -> None:
    voters = tuple(NodeId(name) for name in "abcde"[:size])
    reads, asked, answered = Reads(), 0, 0
    heard: dict[NodeId, int] = {}
    for event in story:
        if event == "ask":
            reads.add(WaitingRead(voters[0], asked, 0))
            asked += 1
        else:
            member, number = event  # type: ignore[misc]
            number = min(number, asked)  # nobody repeats what was not said
            reads.repeat(member, number)
            heard[member] = max(heard.get(member, 0), number)
        for read in reads.take_confirmed(Members(voters=voters)):
            assert read.token == answered, "in the order of asking"
            answered += 1
            count = sum(heard.get(voter, 0) >= answered for voter in voters)
            assert count >= majority(size)
