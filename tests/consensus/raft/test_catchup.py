"""A follower behind the compacted log fetches blocks, whatever crashes on the way."""

from dataclasses import replace

import pytest

from consensus.effects import Fetch
from consensus.mark import NOTHING
from consensus.raft.core import Role
from consensus.raft.engine import RaftEngine
from consensus.raft.log import Base, Entry
from consensus.raft.messages import Append, AppendResponse, Heartbeat, Snapshot
from consensus.raft.records import SYNCED_PREFIX, RecordsDamaged, base_record
from consensus.types import Applied, NodeId
from tests.consensus.raft.bench import (
    EPOCH,
    N1,
    N2,
    N3,
    Bench,
    append_of,
    entries,
    vote_request,
)
from tests.consensus.raft.harness import NETWORK, Cluster, chain

CHAIN = chain(9)


def snapshot(index: int, height: int, *, log_term: int = 1, term: int = 3) -> Snapshot:
    return Snapshot(EPOCH, term, N2, index, log_term, height, CHAIN[height - 1].digest)


def certificate(term: int, index: int) -> bytes:
    return bytes([0x92, term, index])


def behind(*, missed: int = 12, keep: int = 4) -> Cluster:
    """Three members; n3 was away while the others ordered and compacted."""
    cluster = Cluster(3, log_keep_entries=keep)
    cluster.elect("n1")
    cluster.order(2)
    cluster.run(300)
    cluster.isolate("n3")
    cluster.order(missed)
    return cluster


def test_a_follower_behind_the_base_catches_up_by_fetching() -> None:
    cluster = behind()
    assert cluster["n1"].engine._core.log.base.index > cluster["n3"].engine._core.log.last
    cluster.heal()
    cluster.run(2_000)
    assert [node.heights for node in cluster.nodes.values()] == [14, 14, 14]
    assert any(isinstance(message, Snapshot) for _, _, message in cluster.seen)
    cluster.order(3)
    cluster.run(500)
    assert cluster["n3"].heights == 17


def test_a_member_that_caught_up_can_lead() -> None:
    cluster = behind()
    cluster.heal()
    cluster.run(2_000)
    cluster.crash("n1")
    cluster.run(3_000)
    cluster.elect("n3")
    cluster.order(1)
    assert cluster["n3"].heights == 15


@pytest.mark.parametrize("taken", range(13))
@pytest.mark.parametrize("executes", [True, False])
def test_a_crash_after_any_fetched_block_loses_nothing(taken: int, executes: bool) -> None:
    cluster = behind()
    late, source = cluster["n3"], cluster["n1"]
    late.execute, cluster.serving = executes, False
    cluster.heal()
    cluster.run(200)
    assert late.fetches[0] == Fetch(source.id, 3, 14)
    for decided in source.ledger[2 : 2 + taken]:
        assert late.engine.synced(decided.proposal, decided.certificate)
        cluster.turn(late)
    cluster.crash("n3")
    late.execute = cluster.serving = True
    cluster.restart("n3")
    assert late.engine._core.delivered.height == 2 + taken  # none has to be fetched again
    cluster.run(3_000)
    assert late.heights == 14
    assert not [key for key, _ in late.disk.pairs() if key.startswith(SYNCED_PREFIX)]


def test_fetching_is_repeated_until_the_gap_is_closed() -> None:
    bench = Bench()
    bench.step(snapshot(7, 5))
    assert bench.node.fetches.pop() == Fetch(N2, 1, 5)
    assert bench.engine.deadline_ms == 100
    assert bench.tick(100) == []
    assert bench.node.fetches.pop() == Fetch(N2, 1, 5)
    for height in range(1, 6):
        assert bench.engine.synced(CHAIN[height - 1], certificate(1, height + 1))
    sent = bench.said()
    assert sent == [(N2, AppendResponse(EPOCH, 3, N1, True, 7, 0, 0))]
    assert (bench.node.heights, bench.core.log.last, bench.core.commit) == (5, 7, 7)
    bench.tick(100)
    assert bench.node.fetches == []


def test_only_the_next_missing_block_is_taken() -> None:
    bench = Bench()
    assert not bench.engine.synced(CHAIN[0], certificate(1, 2))  # nothing is missing
    bench.step(snapshot(7, 3))
    other = chain(3, flavour="other")
    refused = [
        (CHAIN[1], certificate(1, 3)),  # not the next height
        (CHAIN[0], b"\x91\x01"),  # no certificate
        (CHAIN[0], certificate(1, 8)),  # beyond the snapshot
        (chain(1, parent=bytes(32))[0], certificate(1, 2)),  # not on our chain
    ]
    before = bench.engine.fingerprint()
    for proposal, proof in refused:
        assert not bench.engine.synced(proposal, proof)
    assert bench.engine.fingerprint() == before
    for height in (1, 2):
        assert bench.engine.synced(other[height - 1], certificate(1, height + 1))
    assert not bench.engine.synced(other[2], certificate(1, 4))  # not the snapshot's digest


def test_a_snapshot_behind_our_commit_is_answered_with_the_commit() -> None:
    bench = Bench()
    bench.step(append_of([1, 1, 1, 1], term=1, commit=4))
    sent = bench.step(snapshot(2, 1, term=1))
    assert sent == [(N2, AppendResponse(EPOCH, 1, N1, True, 4, 0, 0))]
    assert bench.terms() == [1, 1, 1, 1]


def test_a_snapshot_that_the_log_already_holds_only_moves_the_commit() -> None:
    bench = Bench()
    bench.step(append_of([1, 1, 1, 1], term=1))
    tip = bench.core.log.tip_at(3)
    sent = bench.step(Snapshot(EPOCH, 1, N2, 3, 1, tip.height, tip.digest))
    assert sent == [(N2, AppendResponse(EPOCH, 1, N1, True, 3, 0, 0))]
    assert (bench.core.commit, bench.node.heights) == (3, 2)
    assert bench.terms() == [1, 1, 1, 1]


def test_entries_that_may_count_elsewhere_survive_while_blocks_are_fetched() -> None:
    bench = Bench(log=[1, 1, 1, 1])
    made = [e.proposal for e in entries(1, 1, 1, 1) if e.proposal is not None]
    bench.step(snapshot(9, 8))
    assert bench.engine.synced(made[0], certificate(1, 2))
    assert bench.terms() == [1, 1, 1, 1]
    assert bench.core.commit == 2


def test_a_new_leader_with_less_is_followed_where_it_points() -> None:
    """What its predecessor pointed at is out of reach until the new one has our log."""
    bench = Bench()
    bench.step(snapshot(9, 8, term=3))
    bench.step(replace(snapshot(7, 5, term=4), sender=N3))
    assert bench.core.target.base.height == 5
    for height in range(1, 6):
        assert bench.engine.synced(CHAIN[height - 1], certificate(1, height + 1))
    assert bench.said()[-1] == (N3, AppendResponse(EPOCH, 4, N1, True, 7, 0, 0))
    assert bench.core.log.base.index == 7


def test_a_late_snapshot_of_the_same_leader_points_nobody_back() -> None:
    bench = Bench()
    bench.step(snapshot(9, 8))
    bench.step(snapshot(7, 5))
    assert bench.core.target.base.index == 9


def test_while_blocks_are_missing_a_member_votes_but_does_not_campaign() -> None:
    bench = Bench()
    bench.step(snapshot(7, 5))
    bench.time_out()
    assert bench.core.role is Role.FOLLOWER
    bench.tick(2_000)
    (answer,) = bench.step(vote_request(9, last_index=1, last_term=1))
    assert answer[1].granted


def test_a_base_ahead_of_the_ledger_is_fetched_up_to() -> None:
    bench = Bench()
    base = Base(9, 2, 5, CHAIN[4].digest)
    bench.node.disk.write([base_record(base)], sync=True)
    bench.node.start(0)
    assert not bench.core.may_campaign
    bench.step(Heartbeat(EPOCH, 3, N2, 9))
    bench.tick(1)
    assert bench.node.fetches == [Fetch(N2, 1, 5)]
    for height in range(1, 6):
        assert bench.engine.synced(CHAIN[height - 1], certificate(1, height + 1))
    bench.said()
    assert (bench.node.heights, bench.core.missing_to) == (5, None)
    assert bench.core.may_campaign


def test_a_lost_log_above_a_kept_ledger_heals_but_gives_no_vote_before() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.order(3)
    cluster.run(300)
    cluster.crash("n3")
    cluster["n3"].disk.durable.clear()
    cluster["n3"].marked.mark = NOTHING  # a person said so: otherwise it would not start
    cluster.restart("n3")
    lost = cluster["n3"].engine._core
    assert (lost.log.base.index, lost.log.base.term) == (4, 0)
    assert not lost.may_vote
    cluster.order(1)
    assert lost.may_vote
    assert lost.log.base.term == 1
    cluster.order(1)
    cluster.run(300)
    assert cluster["n3"].heights == 5


def test_a_lost_tail_of_the_log_gives_no_vote_until_it_is_refilled() -> None:
    bench = Bench(log=[1, 1])
    bench.step(Heartbeat(EPOCH, 1, N2, 4))
    bench.tick(3_000)
    asked = vote_request(2, NodeId("n3"), last_index=2, last_term=1)
    (answer,) = bench.step(asked)
    assert not answer[1].granted
    assert bench.core.term == 2
    bench.step(append_of([1, 1, 1, 1, 3], term=3, start=3, commit=4))
    bench.tick(3_000)
    (answer,) = bench.step(vote_request(4, NodeId("n3"), last_index=5, last_term=3))
    assert answer[1].granted


def test_committed_blocks_above_a_gap_wait_until_it_is_filled() -> None:
    bench = Bench()
    bench.node.disk.write([base_record(Base(9, 2, 5, CHAIN[4].digest))], sync=True)
    bench.node.start(0)
    above = (Entry(3, 10, None), Entry(3, 11, CHAIN[5]))
    bench.step(Append(EPOCH, 3, N2, 9, 2, 11, above))
    assert (bench.core.commit, bench.node.heights) == (11, 0)
    for height in range(1, 6):
        assert bench.engine.synced(CHAIN[height - 1], certificate(1, height + 1))
    bench.said()
    assert [d.position for d in bench.node.ledger] == [2, 3, 4, 5, 6, 11]


def test_a_ledger_of_another_chain_is_noticed_at_start() -> None:
    bench = Bench()
    bench.step(append_of([1, 1, 1], term=1, commit=3))
    with pytest.raises(RecordsDamaged, match="differ at height 1"):
        RaftEngine(
            bench.core.config,
            pairs=bench.node.disk.pairs(),
            applied=Applied(1, NETWORK, 2),
            rng=bench.node.rng,
            now_ms=0,
        )
