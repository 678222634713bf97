"""The leader's bookkeeping: what it wants, how much it sends, and how losses heal."""

from typing import Any

import pytest

from consensus.effects import ProposeResult, WantPayload
from consensus.raft.config import RaftConfig
from consensus.raft.messages import Append, Heartbeat, HeartbeatResponse, Snapshot
from consensus.raft.progress import ProgressState
from consensus.types import NodeId
from tests.consensus.raft.bench import EPOCH, N1, N2, N3, Bench, ack, append_of, nack
from tests.consensus.raft.harness import NETWORK, Cluster, block, committee


def appends(sent: list[tuple[NodeId, Any]], to: NodeId = N2) -> list[Append]:
    return [m for peer, m in sent if peer == to and isinstance(m, Append)]


def test_a_follower_wants_nothing_and_refuses_proposals() -> None:
    bench = Bench()
    assert bench.engine.want() is None
    assert bench.engine.propose(block(1, NETWORK)) is ProposeResult.NOT_LEADER


def test_a_leader_wants_nothing_before_its_own_empty_entry_is_committed() -> None:
    bench = Bench(log=[1, 1])
    bench.lead()
    assert bench.engine.want() is None
    assert bench.engine.propose(block(2, bytes(32))) is ProposeResult.BUSY
    bench.step(ack(2, N2, 3))
    tip = bench.core.log.tip
    assert bench.engine.want() == WantPayload(2, tip.digest)


@pytest.mark.parametrize("window", [1, 3])
def test_no_more_blocks_are_in_flight_than_the_window(window: int) -> None:
    bench = Bench(window=window)
    bench.lead()
    bench.step(ack(1, N2, 1))
    proposed = 0
    while bench.engine.want() is not None:
        bench.propose()
        proposed += 1
    assert proposed == window
    bench.step(ack(1, N2, 2))
    assert bench.engine.want() is not None


def test_a_leader_waits_for_a_ledger_that_lags() -> None:
    bench = Bench()
    bench.lead()
    bench.node.execute = False
    for index in (1, 2, 3):
        bench.step(ack(1, N2, index))
        if index < 3:
            bench.propose()
    assert (bench.core.delivered.height, bench.core.applied_height) == (2, 0)
    assert bench.engine.want() is None
    bench.node.run_ledger()
    assert bench.engine.want() is not None


def test_a_proposal_that_is_not_on_our_tip_is_refused() -> None:
    bench = Bench()
    bench.lead()
    bench.step(ack(1, N2, 1))
    assert bench.engine.propose(block(2, NETWORK)) is ProposeResult.BUSY
    assert bench.engine.propose(block(1, bytes(32))) is ProposeResult.BUSY
    assert bench.engine.propose(block(1, NETWORK)) is ProposeResult.ACCEPTED


def test_a_heartbeat_never_tells_more_than_the_peer_acknowledged() -> None:
    bench = Bench()
    bench.lead()
    bench.step(ack(1, N2, 1))
    bench.propose()
    bench.step(ack(1, N2, 2))
    told = {to: m.commit for to, m in bench.tick(100) if isinstance(m, Heartbeat)}
    assert told == {N2: 2, N3: 0}


def test_a_probe_is_repeated_only_after_a_heartbeat_answer() -> None:
    bench = Bench()
    bench.lead()
    bench.step(ack(1, N3, 1))
    assert appends(bench.propose()) == []  # n2 is still being probed
    assert len(appends(bench.step(HeartbeatResponse(EPOCH, 1, N2)))) == 1
    assert appends(bench.step(nack(1, N2, 7))) == []  # not an answer to the probe


def test_the_window_of_appends_bounds_what_a_silent_peer_costs() -> None:
    bench = Bench(window=100, inflight_messages_max=4)
    bench.lead()
    for peer in (N2, N3):
        bench.step(ack(1, peer, 1))
    sent = []
    for index in range(2, 30):
        sent += appends(bench.propose())
        bench.step(ack(1, N3, index))
    assert len([m for m in sent if m.entries]) == 4
    assert bench.core.progress[N2].inflights.is_full
    assert bench.core.commit == 29
    later = appends(bench.step(ack(1, N2, 5)))
    assert sum(len(m.entries) for m in later) == 24


def test_messages_stay_within_their_entry_and_byte_limits() -> None:
    bench = Bench(log=[1] * 30, message_entries_max=8)
    bench.lead()
    sent = appends(bench.step(nack(2, N2, 30, hint_index=0)))
    assert [len(m.entries) for m in sent] == [8]
    sent = appends(bench.step(ack(2, N2, 8)))
    assert [len(m.entries) for m in sent] == [8, 8, 7]
    size = bench.core.log.entry(5).size_bytes
    thin = Bench(log=[1] * 9, message_bytes_max=2 * size)
    thin.lead()
    sent = appends(thin.step(nack(2, N2, 9, hint_index=1, hint_term=1)))
    assert [len(m.entries) for m in sent] == [2]


def test_a_lost_append_is_noticed_by_a_heartbeat_answer_and_sent_again() -> None:
    bench = Bench()
    bench.lead()
    bench.step(ack(1, N2, 1))
    (lost,) = appends(bench.propose())
    (probe,) = appends(bench.step(HeartbeatResponse(EPOCH, 1, N2)))
    assert (probe.prev_index, probe.entries) == (2, ())
    (again,) = appends(bench.step(nack(1, N2, 2, hint_index=1, hint_term=1)))
    assert again.entries == lost.entries


def test_followers_hear_of_a_commit_at_once_and_only_once() -> None:
    bench = Bench()
    bench.lead()
    for peer in (N2, N3):
        bench.step(ack(1, peer, 1))
    bench.propose()
    sent = bench.step(ack(1, N2, 2))
    assert [m.commit for m in appends(sent)] == [2]
    assert appends(bench.step(ack(1, N2, 2))) == []


def test_a_peer_below_the_base_gets_a_snapshot_and_then_no_appends() -> None:
    bench = Bench(log_keep_entries=2)
    bench.lead()
    for index in range(1, 8):
        bench.step(ack(1, N2, index))
        bench.propose()
    assert bench.core.log.base.index > 1
    sent = bench.step(nack(1, N3, 0)) + bench.step(HeartbeatResponse(EPOCH, 1, N3))
    sent += bench.step(nack(1, N3, bench.core.progress[N3].next - 1))
    told = [m for to, m in sent if to == N3]
    assert [type(m) for m in told] == [Snapshot]
    assert (told[0].index, told[0].height) == (7, 6)
    assert bench.core.progress[N3].state is ProgressState.SNAPSHOT
    for _ in range(10):
        bench.tick(100)
        bench.step(HeartbeatResponse(EPOCH, 1, N2))
    assert [m for _, m in bench.tick(100) if isinstance(m, Snapshot)] == []
    again = bench.step(HeartbeatResponse(EPOCH, 1, N3))
    assert [m for _, m in again] == told  # the first may have been lost
    later = appends(bench.step(ack(1, N3, 7)), N3)
    assert [m.prev_index for m in later] == [7]
    assert bench.core.progress[N3].state is ProgressState.REPLICATE


def test_any_match_at_the_base_ends_the_snapshot_state() -> None:
    bench = Bench(log_keep_entries=4)
    bench.lead()
    for index in range(1, 8):
        bench.step(ack(1, N2, index))
        bench.propose()
    bench.step(HeartbeatResponse(EPOCH, 1, N3))
    bench.step(nack(1, N3, 0))
    base = bench.core.log.base.index
    assert bench.core.progress[N3].state is ProgressState.SNAPSHOT
    bench.step(ack(1, N3, base))
    assert bench.core.progress[N3].state is ProgressState.REPLICATE


def test_a_second_leader_in_one_term_is_not_believed() -> None:
    bench = Bench()
    bench.step(append_of([1, 1], term=1))
    assert bench.step(append_of([1], term=1, sender=N3)) == []
    assert bench.engine.refusals == {"a second leader in one term": 1}


def test_blocks_that_do_not_continue_our_chain_are_not_taken() -> None:
    bench = Bench(log=[1, 1])
    alien = append_of([2, 2], term=2)
    moved = Append(EPOCH, 2, N2, 2, 1, 0, tuple(_moved(e, 2) for e in alien.entries))
    assert bench.step(moved) == []
    assert bench.terms() == [1, 1]
    assert bench.engine.refusals == {"append whose blocks do not continue our chain": 1}


def _moved(entry: Any, by: int) -> Any:
    return type(entry)(entry.term, entry.index + by, entry.proposal)


def test_status_tells_who_leads_and_who_is_heard() -> None:
    cluster = Cluster(3)
    cluster.elect("n2")
    cluster.order(2)
    cluster.isolate("n3")
    cluster.run(1_500)
    status = cluster["n2"].engine.status()
    assert (status.role, status.round, status.leader) == ("leader", 1, "n2")
    assert (status.committed, status.delivered, status.quorum) == (2, 2, 2)
    assert status.heard == ("n1", "n2")
    assert cluster["n1"].engine.status().heard == ("n1", "n2")
    assert cluster["n3"].engine.status().heard == ("n3",)


def test_the_deadline_is_the_next_moment_at_which_something_happens() -> None:
    bench = Bench()
    assert bench.engine.deadline_ms == bench.core.election_due_ms
    assert bench.tick(bench.engine.deadline_ms - 1) == []
    bench.lead()
    assert bench.engine.deadline_ms == bench.now_ms + 100
    with pytest.raises(AssertionError, match="time went back"):
        bench.engine.tick(bench.now_ms - 1)


def test_waiting_work_does_not_change_what_a_member_says() -> None:
    bench = Bench()
    bench.engine.work(5)
    assert not bench.engine.has_effects()
    assert bench.engine.deadline_ms == bench.core.election_due_ms


@pytest.mark.parametrize(
    "wrong",
    [{"heartbeat_ms": 1000}, {"window": 0}, {"message_entries_max": 257}],
    ids=["heartbeat", "window", "entries"],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        RaftConfig(self_id=N1, committee=committee(3), **wrong)  # type: ignore[arg-type]
