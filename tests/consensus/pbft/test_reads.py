"""Reads: whatever was final anywhere when a read was asked is there when it is answered."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.certs import CommitCert, PreparedHeight, proposal_hash
from consensus.codec import Malformed
from consensus.pbft import reads
from consensus.pbft.dialect import DIALECT
from consensus.pbft.messages import (
    Commit,
    NewView,
    Prepare,
    ReadAnswer,
    ReadRequest,
    ViewChange,
)
from consensus.types import NodeId
from tests.consensus.pbft.forge import A, lying, prepared
from tests.consensus.pbft.harness import World, fake_verify

FAST = {"request_ms": 300, "view_change_ms": 300, "resend_ms": 100, "status_ms": 80}
READS = ReadRequest | ReadAnswer


def ask(world: World, reader: str, token: int = 1) -> None:
    node = world.nodes[NodeId(reader)]
    assert node.engine.read(token)
    node.pump()


def answers(world: World) -> dict[int, int | None]:
    tokens = [answer.token for _, answer in world.reads]
    assert len(tokens) == len(set(tokens)), "every token is answered once"
    return {answer.token: answer.height for _, answer in world.reads}


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7])
def test_a_read_is_answered_with_the_final_height(size: int) -> None:
    world = World(size, **FAST)
    ask(world, "m00", 1)
    assert (answers(world) == {1: 0}) == (size == 1), "alone there is nobody to wait for"
    world.run(3)
    assert answers(world) == {1: 0}
    world.grow(3)
    world.run(20)
    ask(world, world.ids[-1], 2)
    world.run(3)
    assert answers(world)[2] == 3


def test_several_tokens_share_a_round_and_a_quorum_is_enough() -> None:
    world = World(4, **FAST)
    world.crash(world.ids[2])
    for token in range(100):
        ask(world, "m01", token)
    world.run(10)
    assert answers(world) == dict.fromkeys(range(100), 0)
    asked = {m.round for _, m in world.sent if isinstance(m, ReadRequest)}
    assert len(asked) == 2, "the first alone, and the others together"


def test_a_member_that_missed_everything_does_not_answer_from_the_past() -> None:
    world = World(4, **FAST)
    late = world.ids[3]
    world.drop = lambda source, target, _m: late in (source, target)
    world.height_goal = 5
    world.run(200)
    assert world.heights() == {"m00": 5, "m01": 5, "m02": 5, "m03": 0}
    world.drop = lambda source, target, message: (
        late in (source, target) and not isinstance(message, READS)
    )
    ask(world, late)
    world.run(50)
    assert not world.reads, "it knows that it lacks five blocks"
    world.drop = lambda _s, _t, _m: False
    world.run(300)
    assert answers(world) == {1: 5}


def test_a_liar_that_hides_what_is_final_changes_nothing() -> None:
    world = World(4, **FAST)
    late, liar = world.ids[3], world.ids[2]
    world.drop = lambda source, target, _m: late in (source, target)
    world.height_goal = 5
    world.run(200)
    lying(world, liar)
    world.drop = lambda source, target, message: (
        late in (source, target) and not (isinstance(message, READS) and source != "m00")
    )
    ask(world, late)
    number = next(m.round for _, m in world.sent if isinstance(m, ReadRequest))
    node = world.nodes[late]
    node.receive(liar, DIALECT.encode(ReadAnswer(1, number)))
    node.receive(liar, DIALECT.encode(ReadAnswer(1, number)))
    node.pump()
    world.run(90)
    assert not world.reads, "its own word and a liar's are no quorum, and m01 shows the truth"
    world.drop = lambda _s, _t, _m: False
    world.run(300)
    assert answers(world) == {1: 5}


def test_answers_older_than_a_read_do_not_serve_it() -> None:
    world = World(4, **FAST)
    reader = world.ids[3]
    held: list[tuple[str, bytes]] = []

    def hold(source: str, target: str, message: Any) -> bool:
        if isinstance(message, ReadAnswer):
            held.append((source, DIALECT.encode(message)))
            return True
        return reader in (source, target) and not isinstance(message, READS)

    world.drop = hold
    ask(world, reader, 1)
    world.run(5)
    early = list(held)
    world.height_goal = 1
    world.run(20)
    assert world.heights()["m00"] == 1
    ask(world, reader, 2)
    for source, raw in early:
        world.nodes[reader].receive(source, raw)
        world.nodes[reader].pump()
    assert answers(world) == {1: 0}
    world.drop = lambda _s, _t, _m: False
    world.run(400)
    assert answers(world) == {1: 0, 2: 1}


def test_a_block_final_at_one_member_only_is_waited_for_through_a_view_change() -> None:
    world = World(4, **FAST)
    world.drop = lambda _s, target, message: (
        isinstance(message, NewView) or (isinstance(message, Commit) and target != "m00")
    )
    world.height_goal = 1
    world.run(20)
    assert world.heights() == {"m00": 1, "m01": 0, "m02": 0, "m03": 0}
    world.crash(world.ids[0])  # it told somebody and is gone
    ask(world, "m02", 1)
    world.work()
    world.run(390)
    assert {node.engine.status().role for node in world.nodes.values()} >= {"view-change"}
    assert not world.reads
    world.drop = lambda _s, _t, _m: False
    ask(world, "m02", 2)
    world.run(350)
    assert world.heights()["m02"] == 1
    assert answers(world)[2] == 1
    assert answers(world)[1] in (1, None)


def test_reads_are_answered_during_a_view_change() -> None:
    world = World(4, **FAST)
    world.crash(world.ids[0])
    world.drop = lambda _s, _t, message: isinstance(message, NewView)
    world.work()
    world.run(400)
    assert world.nodes[world.ids[2]].engine.status().role == "view-change"
    ask(world, "m02")
    world.run(5)
    assert answers(world) == {1: 0}


def test_a_dead_certificate_does_not_hold_reads_up() -> None:
    world = World(4, **FAST)
    lonely = world.ids[3]
    world.drop = lambda _s, target, message: (
        (isinstance(message, Prepare) and target != lonely) or isinstance(message, Commit)
    )
    world.height_goal = 1
    world.run(20)
    assert world.nodes[lonely].engine._state.slots[1].prepared is not None
    world.drop = lambda source, _t, message: (
        isinstance(message, Commit)
        or (isinstance(message, Prepare) and message.view == 0)
        or (isinstance(message, ViewChange) and source == lonely)
    )
    world.height_goal = 0
    world.work()
    world.run(1500)
    state = world.nodes[lonely].engine._state
    assert (state.active, state.view > 0, state.new_view.chosen) == (True, True, ())
    assert reads._prepared(state) is None
    world.crash(world.ids[0])
    ask(world, "m01")
    world.run(5)
    assert answers(world) == {1: 0}


def test_one_liar_with_a_dead_certificate_cannot_stop_reads() -> None:
    world = lying(World(4, **FAST), "m03")
    dead = prepared(A, 0)
    proof = PreparedHeight(1, 0, 1, proposal_hash(A), dead.signers, dead.signatures)
    ask(world, "m01")
    number = next(m.round for _, m in world.sent if isinstance(m, ReadRequest))
    node = world.nodes[world.ids[1]]
    assert node.receive("m03", DIALECT.encode(ReadAnswer(1, number, prepared=proof)))
    world.run(10)
    assert answers(world) == {1: 0}


@pytest.mark.parametrize(
    "change", [{"height": 7}, {"view": 1}, {"content": bytes(32)}, {"signatures": (b"x",) * 3}]
)
def test_an_inflated_answer_does_not_pass_its_checks(change: dict[str, Any]) -> None:
    world = World(4)
    dead = prepared(A, 0)
    proof = PreparedHeight(1, 0, 1, proposal_hash(A), dead.signers, dead.signatures)
    node = world.nodes[world.ids[1]]
    assert node.receive("m03", DIALECT.encode(ReadAnswer(1, 1, prepared=proof)))
    forged = ReadAnswer(1, 1, prepared=replace(proof, **change))
    assert not node.receive("m03", DIALECT.encode(forged))
    fake = CommitCert(1, 0, 9, bytes(32), dead.signers, dead.signatures)
    checks = DIALECT.checks(
        ReadAnswer(1, 1, committed=fake),
        sender=NodeId("m03"),
        committee=world.committee,
        network=bytes(32),
    )
    assert not any(fake_verify(c.key, c.message, c.signature) for c in checks)
    with pytest.raises(Malformed):
        DIALECT.checks(
            ReadAnswer(1, 1, committed=replace(fake, epoch=2)),
            sender=NodeId("m03"),
            committee=world.committee,
            network=bytes(32),
        )
    with pytest.raises(ValueError, match="one proof"):
        ReadAnswer(1, 1, committed=fake, prepared=proof)


# --- limits -----------------------------------------------------------------------------------


def test_without_a_quorum_a_read_ends_with_none() -> None:
    world = World(4, **FAST)
    world.crash(world.ids[0])
    world.crash(world.ids[1])
    ask(world, "m02")
    world.run(reads.READ_RESENDS_MAX * 100 - 10)
    assert not world.reads
    world.run(20)
    assert answers(world) == {1: None}
    requests = [m for s, m in world.sent if s == "m02" and isinstance(m, ReadRequest)]
    assert len(requests) == 3 * (reads.READ_RESENDS_MAX - 1), "to three peers, again and again"
    assert len({m.round for m in requests}) == 1


def test_a_lost_request_is_asked_again() -> None:
    world = World(4, **FAST)
    lost: set[str] = set()

    def lose_first(_source: str, target: str, message: Any) -> bool:
        first = isinstance(message, ReadRequest) and target not in lost
        lost.update([target] if first else [])
        return first

    world.drop = lose_first
    ask(world, "m00")
    world.run(150)
    assert answers(world) == {1: 0}


def test_pending_reads_are_bounded() -> None:
    world = World(4, **FAST)
    world.drop = lambda _s, _t, _m: True
    engine = world.nodes[world.ids[0]].engine
    for token in range(reads.READS_MAX):
        assert engine.read(token)
    assert not engine.read(reads.READS_MAX)
    world.run(500)
    assert answers(world) == dict.fromkeys(range(reads.READS_MAX))
    assert engine.read(reads.READS_MAX)


def test_a_flood_of_requests_is_answered_a_bounded_number_of_times() -> None:
    world = lying(World(4, **FAST), "m03")
    node = world.nodes[world.ids[1]]
    for number in range(1000):
        node.receive("m03", DIALECT.encode(ReadRequest(1, number, 0)))
        node.pump()
    given_out = [m for _, m in world.sent if isinstance(m, ReadAnswer)]
    assert len(given_out) == reads.ANSWERS_MAX
    assert node.engine.refused["read-flood"] == 1000 - reads.ANSWERS_MAX
    world.run(100)
    node.receive("m03", DIALECT.encode(ReadRequest(1, 1, 0)))
    node.pump()
    assert len([m for _, m in world.sent if isinstance(m, ReadAnswer)]) > len(given_out)


def test_two_lives_of_a_member_do_not_share_round_numbers() -> None:
    numbers = set()
    for life in range(2):
        world = World(4, **FAST)
        world.nodes[world.ids[0]].engine._rng = Random(life)
        ask(world, "m00")
        numbers.update(m.round for _, m in world.sent if isinstance(m, ReadRequest))
    assert len(numbers) == 2


# --- epochs -----------------------------------------------------------------------------------


def test_a_read_under_way_at_a_change_of_committee_is_asked_of_the_new_one() -> None:
    world = World(4, spare=1, **FAST)
    world.barriers = {2: tuple(world.ids)}
    lost = True
    world.drop = lambda _s, _t, message: lost and isinstance(message, ReadAnswer)
    ask(world, "m02")
    world.height_goal = 3
    world.run(60)
    assert world.nodes[world.ids[2]].engine.committee.epoch == 2
    lost = False
    world.run(200)
    assert answers(world) == {1: 3}
    epochs = {m.epoch for _, m in world.sent if isinstance(m, ReadRequest)}
    assert epochs == {1, 2}


def test_the_end_of_an_epoch_is_no_answer_before_the_ledger_applied_it() -> None:
    engine = World(1).nodes[NodeId("m00")].engine
    engine._state.barrier = engine._state.delivered
    assert engine.read(1)
    assert not engine.drain().reads
    engine._state.barrier = None
    reads.settle(engine._state)
    assert [answer.height for answer in engine.drain().reads] == [0]


def test_who_leaves_the_committee_reads_elsewhere() -> None:
    world = World(5, **FAST)
    world.barriers = {2: tuple(world.ids[:4])}
    world.drop = lambda _s, _t, message: isinstance(message, ReadAnswer)
    ask(world, "m04")
    world.height_goal = 3
    world.run(60)
    assert world.nodes[world.ids[4]].engine.status().role == "observer"
    assert answers(world) == {1: None}
    assert not world.nodes[world.ids[4]].engine.read(2)


# --- any schedule -----------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    size=st.sampled_from([4, 5, 7]),
    window=st.sampled_from([1, 3]),
    loss=st.sampled_from([0.0, 0.1, 0.3]),
)
def test_no_read_misses_what_was_final_when_it_was_asked(
    seed: int, size: int, window: int, loss: float
) -> None:
    rng = Random(seed)
    world = World(
        size, request_ms=100, view_change_ms=100, resend_ms=60, status_ms=50, window=window
    )
    world.height_goal = 1_000
    world.drop = lambda _s, _t, _m: rng.random() < loss
    final: dict[int, int] = {}
    for _ in range(20):
        victim = world.ids[rng.randrange(size)]
        if victim not in world.nodes:
            world.start(victim)
        elif rng.random() < 0.3:
            world.crash(victim)
        for name, node in list(world.nodes.items()):
            if rng.random() < 0.5 and node.engine.read(len(final)):
                final[len(final)] = max(world.decided, default=0)
                assert name in world.nodes
        world.work()
        world.run(rng.randrange(2, 40))
    for token, height in answers(world).items():
        assert height is None or height >= final[token]
