"""Restart from the records at every write boundary, with the unsynced tail lost."""

import pytest

from consensus.raft.core import Role
from consensus.raft.engine import RaftEngine
from consensus.raft.log import Base, Entry
from consensus.raft.records import (
    BASE_KEY,
    COMMIT_KEY,
    HARD_KEY,
    RecordsDamaged,
    base_record,
    log_key,
    restore,
)
from consensus.types import Applied, DeleteRange, Put
from consensus.wire import encode
from tests.consensus.raft.bench import EPOCH, N1, N2, Bench, ack, append_of
from tests.consensus.raft.harness import NETWORK, Cluster, Disk


def test_a_restart_gives_back_term_vote_log_and_commit() -> None:
    bench = Bench()
    bench.lead()
    bench.step(ack(1, N2, 1))
    bench.propose()
    bench.step(ack(1, N2, 2))
    core = bench.core
    before = (core.term, core.vote, core.log.entries, core.log.base, core.delivered)
    bench.node.start(0)
    core = bench.core
    assert (core.term, core.vote, core.log.entries, core.log.base, core.delivered) == before
    assert core.role is Role.FOLLOWER
    assert core.commit == 2


def story() -> list[tuple[str, object]]:
    """A follower's life with every kind of record in it."""
    return [
        ("first entries", append_of([1, 1, 1], term=1)),
        ("commit", append_of([1, 1, 1], term=1, start=4, commit=2)),
        ("conflict", append_of([1, 1, 2, 2], term=2, start=3)),
        ("more", append_of([1, 1, 2, 2, 2, 2], term=3, start=5, commit=5)),
        ("end", append_of([1, 1, 2, 2, 2, 2], term=3, start=7, commit=6)),
    ]


@pytest.mark.parametrize("crash_at", range(6))
@pytest.mark.parametrize("written", [False, True])
def test_a_crash_at_any_boundary_leaves_what_was_promised(crash_at: int, written: bool) -> None:
    bench = Bench(log_keep_entries=2)
    promised = (0, 0)
    for step, (_name, message) in enumerate(story()):
        bench.engine.step(N2, message)
        if step == crash_at:
            turn = bench.node.driver.turn()
            if written and turn is not None:
                bench.node.write(turn)
            break
        for _, answer in bench.said():
            promised = (answer.term, answer.index)
    bench.node.crash()
    bench.node.start(0)
    core = bench.core
    assert core.term >= promised[0]
    assert core.log.last >= promised[1]
    assert core.delivered.height >= bench.node.heights
    for _name, message in story():
        bench.step(message)
    assert core.log.last == 6
    assert [decided.position for decided in bench.node.ledger] == [2, 4, 5, 6]


def test_blocks_at_or_below_the_ledger_are_never_handed_on_again() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.order(3)
    cluster.run(300)
    before = list(cluster["n2"].ledger)
    cluster.crash("n2")
    cluster.restart("n2")
    cluster.run(300)
    assert cluster["n2"].ledger == before  # take() asserts consecutive heights


def test_blocks_that_the_ledger_had_not_executed_are_handed_on_again() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster["n2"].execute = False
    cluster.order(1)
    cluster.run(300)
    assert len(cluster["n2"].waiting) == 1
    cluster.crash("n2")
    cluster["n2"].execute = True
    cluster.restart("n2")
    cluster.run(500)
    assert cluster["n2"].heights == 1


def test_the_commit_index_alone_asks_for_no_sync() -> None:
    bench = Bench()
    bench.step(append_of([1, 1], term=1))
    bench.engine.step(N2, append_of([1, 1], term=1, start=3, commit=2))
    effects = bench.engine.drain()
    assert [r.key for r in effects.records if isinstance(r, Put)] == [COMMIT_KEY]
    assert not effects.must_sync
    assert [d.proposal.height for d in effects.deliver] == [1]


def test_a_conflict_is_overwritten_in_one_batch() -> None:
    bench = Bench(log=[1, 1, 1, 1])
    bench.engine.step(N2, append_of([1, 2], term=2, start=2))
    effects = bench.engine.drain()
    assert effects.must_sync
    assert DeleteRange(log_key(2), log_key(5)) in effects.records
    assert [r.key for r in effects.records if isinstance(r, Put)] == [HARD_KEY, log_key(2)]


def test_bodies_of_new_entries_come_with_their_records() -> None:
    bench = Bench()
    message = append_of([1, 1, 1], term=1)
    bench.engine.step(N2, message)
    assert bench.engine.drain().bodies == message.proposals
    bench.engine.step(N2, message)
    assert bench.engine.drain().bodies == ()


def test_compaction_keeps_a_margin_and_the_base_on_disk() -> None:
    cluster = Cluster(1, log_keep_entries=4)
    cluster.run(3_000)
    cluster.order(20)
    core = cluster["n1"].engine._core
    assert len(core.log.entries) <= 6
    pairs = cluster["n1"].disk.pairs()
    assert sum(key.startswith(b"raft/log/") for key, _ in pairs) <= 6
    assert dict(pairs)[BASE_KEY] == encode(core.log.base)
    cluster.restart("n1")
    cluster.run(3_000)
    cluster.order(1)
    assert cluster["n1"].heights == 21


def test_compaction_also_bounds_bytes() -> None:
    cluster = Cluster(1, log_keep_bytes=1000)
    cluster.run(3_000)
    cluster.order(40)
    assert cluster["n1"].engine._core.log.size_bytes < 1500


GENESIS = Applied(0, NETWORK, 0)


@pytest.mark.parametrize(
    ("case", "pairs"),
    [
        ("log without base", [Put(log_key(1), encode(Entry(1, 1, None)))]),
        (
            "hole",
            [
                base_record(Base(0, 0, 0, NETWORK)),
                Put(log_key(2), encode(Entry(1, 2, None))),
            ],
        ),
        ("commit beyond", [base_record(Base(0, 0, 0, NETWORK)), Put(COMMIT_KEY, b"\x05")]),
        ("undecodable", [Put(HARD_KEY, b"\xc1")]),
    ],
)
def test_records_that_contradict_themselves_stop_the_start(case: str, pairs: list[Put]) -> None:
    disk = Disk()
    disk.write(pairs, sync=True)
    with pytest.raises(RecordsDamaged):
        restore(disk.pairs(), GENESIS)


def test_older_records_under_a_newer_ledger_continue_from_the_ledger() -> None:
    bench = Bench()
    bench.step(append_of([1, 1], term=1, commit=2))
    old = bench.node.disk.pairs()
    ahead = Applied(7, bytes(32), 9)
    engine = RaftEngine(
        bench.core.config, pairs=old, applied=ahead, rng=bench.node.rng, now_ms=0
    )
    core = engine._core
    assert (core.log.base, core.term, core.may_vote) == (Base(9, 0, 7, bytes(32)), 1, False)
    records = engine.drain().records
    assert DeleteRange(log_key(0), log_key(10)) in records


def test_equal_inputs_give_equal_fingerprints() -> None:
    def play(heights: int) -> bytes:
        cluster = Cluster(3, seed=5)
        cluster.run(4_000)
        cluster.order(heights)
        cluster.run(1_000)
        return b"".join(node.engine.fingerprint() for node in cluster.nodes.values())

    assert play(2) == play(2)
    assert play(2) != play(3)


def test_epoch_and_identity_are_not_restored_from_records() -> None:
    bench = Bench()
    bench.lead()
    stored = b"".join(value for _, value in bench.node.disk.pairs())
    assert bench.core.config.committee.epoch == EPOCH
    assert bench.core.self_id == N1
    assert stored.count(N1.encode()) == 1  # only as the vote


def test_a_network_may_begin_raft_at_a_height_with_a_base_that_all_write() -> None:
    bench = Bench()
    start = Base(40, 1, 40, bytes(32))
    disk = Disk()
    disk.write([base_record(start)], sync=True)
    applied = Applied(40, bytes(32), 40)
    engine = RaftEngine(
        bench.core.config, pairs=disk.pairs(), applied=applied, rng=bench.node.rng, now_ms=0
    )
    assert (engine._core.log.base, engine._core.term) == (start, 1)
    assert engine._core.may_campaign
