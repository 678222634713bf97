"""From one committee to the next: barriers, who joins, who leaves, who is left behind."""

from dataclasses import replace
from random import Random

import pytest

from consensus import wire
from consensus.certs import decode_commit
from consensus.codec import Malformed
from consensus.effects import Envelope
from consensus.pbft import epochs
from consensus.pbft.config import PbftConfig
from consensus.pbft.dialect import DIALECT
from consensus.pbft.engine import PbftEngine
from consensus.pbft.messages import Commit, Prepare, PrePrepare, ReadAnswer, Status
from consensus.types import Applied, Era, NodeId
from tests.consensus.pbft.harness import (
    NETWORK,
    PowerLoss,
    World,
    block,
    committee_of,
    fake_verify,
    signed,
)

FAST = {"request_ms": 300, "view_change_ms": 300, "resend_ms": 100, "status_ms": 80}


def ids(*positions: int) -> tuple[NodeId, ...]:
    return tuple(NodeId(f"m{position:02d}") for position in positions)


def epochs_of(world: World) -> dict[str, int]:
    return {name: node.engine.committee.epoch for name, node in world.nodes.items()}


def roles(world: World) -> dict[str, str]:
    return {name: node.engine.status().role for name, node in world.nodes.items()}


@pytest.mark.parametrize("window", [1, 2, 8])
def test_a_member_joins_and_votes_from_the_next_height_on(window: int) -> None:
    world = World(4, spare=1, window=window, **FAST)
    world.barriers = {5: ids(0, 1, 2, 3, 4)}
    world.grow(12)
    world.grow(20)
    assert set(epochs_of(world).values()) == {2}
    votes = [m for source, m in world.sent if source == "m04" and isinstance(m, Prepare)]
    assert votes
    assert {m.epoch for m in votes} == {2}
    assert min(m.height for m in votes) > 5
    assert {m.height for _, m in world.sent if isinstance(m, Commit) and m.epoch == 1} == set(
        range(1, 6)
    )


def test_a_joined_member_makes_the_quorum_that_another_one_no_longer_makes() -> None:
    world = World(4, spare=1, **FAST)
    world.barriers = {3: ids(0, 1, 2, 3, 4)}
    world.grow(4)
    world.crash(world.ids[1])
    world.grow(8)  # four of five are needed, and m04 is one of them


@pytest.mark.parametrize("window", [1, 4])
def test_a_removed_member_votes_no_more_and_still_delivers(window: int) -> None:
    world = World(5, window=window, **FAST)
    world.barriers = {4: ids(0, 1, 2, 4)}
    world.grow(12)
    assert roles(world)["m03"] == "observer"
    late = [
        m
        for source, m in world.sent
        if source == "m03" and not isinstance(m, Status) and m.epoch > 1
    ]
    assert late == []
    world.crash(world.ids[3])
    world.grow(16)


def test_an_observer_follows_through_several_committees() -> None:
    world = World(4, spare=2, **FAST)
    world.barriers = {3: ids(0, 1, 2, 3, 4), 6: ids(1, 2, 3, 4), 9: ids(1, 2, 3, 4, 5)}
    late = world.ids[5]
    world.crash(late)
    world.grow(12)
    world.start(late)
    world.grow(20)
    assert set(epochs_of(world).values()) == {4}
    assert roles(world)["m00"] == "observer"
    assert roles(world)["m05"] in ("backup", "primary")


@pytest.mark.parametrize("window", [2, 8])
def test_nothing_is_ordered_beyond_a_barrier_before_it_is_applied(window: int) -> None:
    world = World(4, window=window, **FAST)
    world.barriers = {3: None}
    world.slow_ledgers = set(world.ids)
    for node in world.nodes.values():
        node.apply()
    world.height_goal = 10
    for _ in range(20):
        world.run(50)
        for node in world.nodes.values():  # all but the barrier is applied
            while len(node.waiting) > 1 or (node.waiting and node.waiting[0][0].height < 3):
                proposal, certificate = node.waiting.popleft()
                node.disk.chain.append((proposal, certificate))
                node.driver.applied(proposal.height)
    assert {node.engine.status().delivered for node in world.nodes.values()} == {3}
    assert all(node.engine.want() is None for node in world.nodes.values())
    above = [
        m
        for _, m in world.sent
        if isinstance(m, PrePrepare | Prepare) and getattr(m, "height", 0) > 3
    ]
    assert above == []
    world.slow_ledgers.clear()
    for node in world.nodes.values():
        node.apply()
    world.grow(10)
    assert set(epochs_of(world).values()) == {1}, "a barrier that changed nothing"


def test_a_proposal_on_top_of_a_barrier_in_flight_is_not_voted_for() -> None:
    world = World(4, window=4, request_ms=10_000_000)
    barrier = block(1, NETWORK, barrier=True)
    node = world.nodes[world.ids[1]]
    for proposal in (barrier, block(2, barrier.digest)):
        node.receive("m00", DIALECT.encode(signed(PrePrepare(1, 0, proposal, "m00"))))
        node.pump()
    votes = [m for s, m in world.sent if s == "m01" and isinstance(m, Prepare)]
    assert [m.height for m in votes] == [1]


def test_the_barrier_is_part_of_what_a_prepare_signs() -> None:
    plain = block(1, NETWORK)
    first = DIALECT.statement(PrePrepare(1, 0, plain, "m00"), NETWORK)
    second = DIALECT.statement(PrePrepare(1, 0, replace(plain, barrier=True), "m00"), NETWORK)
    assert first is not None
    assert second is not None
    assert first.digest != second.digest


def test_an_epoch_begins_in_view_zero_with_no_word_of_the_old_one() -> None:
    world = World(4, spare=1, **FAST)
    world.crash(world.ids[0])
    world.barriers = {3: ids(0, 1, 2, 3, 4)}
    world.grow(2)
    assert {node.engine.status().round for n, node in world.nodes.items() if n != "m04"} == {1}
    world.start(world.ids[0])
    world.grow(3)
    for node in world.nodes.values():
        node.engine.work(None)
    world.run(500)
    state = world.nodes[world.ids[2]].engine._state
    assert (state.epoch, state.view, state.active, state.certificate) == (2, 0, True, b"")
    assert state.start.height == 3
    for disk in world.disks.values():
        engine = [key for key in disk.pairs if key.startswith(b"pbft/")]
        assert engine
        assert all(key.startswith(b"pbft/" + (2).to_bytes(8, "big")) for key in engine)
    world.grow(6)


def test_an_answer_that_was_not_sent_yet_ends_with_its_epoch() -> None:
    """Its certificate is of the old committee: whoever went on would take it for a lie."""
    world = World(4, spare=1, **FAST)
    world.barriers = {1: ids(0, 1, 2, 3, 4)}
    world.grow(1)
    node = world.nodes[world.ids[0]]
    state = node.engine._state
    assert state.epoch == 2
    state.out.send_now.append(Envelope(world.ids[1], ReadAnswer(2, 7)))
    state.out.send_after.append(Envelope(None, Prepare(2, 0, 2, bytes(32), state.me)))
    state.delivered = state.applied = 2
    after = epochs.entered(state, replace(state.config.committee, epoch=3))
    assert after.out.send_now == after.out.send_after == []


def test_a_certificate_is_checked_with_the_committee_of_its_height() -> None:
    world = World(4, spare=1, **FAST)
    world.barriers = {2: ids(0, 1, 2, 3, 4)}
    world.grow(4)
    chain = world.disks[world.ids[0]].chain
    old, new = world.committee_at(2), world.committee_at(3)
    for proposal, certificate in chain:
        right, wrong = (old, new) if proposal.height <= 2 else (new, old)
        checks = DIALECT.certificate_checks(
            certificate, proposal=proposal, committee=right, network=NETWORK
        )
        assert all(fake_verify(c.key, c.message, c.signature) for c in checks)
        with pytest.raises(Malformed, match="epoch"):
            DIALECT.certificate_checks(
                certificate, proposal=proposal, committee=wrong, network=NETWORK
            )


def test_blocks_beyond_the_barrier_are_taken_only_once_it_is_applied() -> None:
    world = World(4, spare=1, **FAST)
    late = world.ids[3]
    world.crash(late)
    world.barriers = {2: ids(0, 1, 2, 3, 4)}
    world.grow(4)
    world.slow_ledgers = {late}
    node = world.start(late)
    chain = world.disks[world.ids[0]].chain
    assert [node.engine.synced(*each) for each in chain] == [True, True, False, False]
    node.pump()
    assert node.engine.committee.epoch == 1
    node.apply()
    assert node.engine.committee.epoch == 2
    foreign = wire.encode(replace(decode_commit(chain[2][1]), epoch=1))
    assert not node.engine.synced(chain[2][0], foreign)
    assert node.engine.synced(*chain[2])


def test_a_laggard_of_an_older_epoch_is_told_and_fetches() -> None:
    world = World(5, **FAST)
    late = world.ids[4]
    world.drop = lambda source, target, _m: late in (source, target)
    world.barriers = {3: ids(1, 2, 3, 4)}
    world.height_goal = 6
    world.run(2000)
    assert epochs_of(world) == {"m00": 2, "m01": 2, "m02": 2, "m03": 2, "m04": 1}
    world.drop = lambda _s, _t, _m: False
    world.sent.clear()
    world.run(1000)
    hints = [m for s, m in world.sent if isinstance(m, Status) and s != late]
    assert hints
    assert epochs_of(world)["m04"] == 2
    assert world.heights()["m04"] == 6


def test_whoever_applied_the_barrier_alone_does_not_leave_the_others_behind() -> None:
    # m00 alone saw the commits of the barrier and moved on; it repeats nothing of epoch 1.
    world = World(4, spare=1, **FAST)
    world.barriers = {1: ids(0, 1, 2, 3, 4)}
    world.drop = lambda _s, target, message: isinstance(message, Commit) and target != "m00"
    world.height_goal = 1
    world.run(50)
    assert epochs_of(world) == {"m00": 2, "m01": 1, "m02": 1, "m03": 1, "m04": 1}
    world.drop = lambda _s, _t, message: isinstance(message, Commit) and message.epoch == 1
    world.grow(4)


def test_a_committed_barrier_survives_the_view_change_that_follows() -> None:
    world = World(4, spare=1, **FAST)
    world.barriers = {1: ids(0, 1, 2, 3, 4)}
    world.drop = lambda _s, target, message: isinstance(message, Commit) and target != "m00"
    world.height_goal = 1
    world.run(50)
    world.crash(world.ids[0])
    world.drop = lambda _s, _t, _m: False
    world.grow(4)


def test_a_view_that_carries_blocks_over_a_barrier_waits_for_the_ledger() -> None:
    # The barrier changed nothing, most went on above it, and m05 has not applied it yet:
    # entering without taking the block it carries over would leave that height open.
    world = World(6, **FAST)
    world.barriers = {1: None}
    late = world.ids[5]
    world.slow_ledgers = {late}
    world.grow_at_least(1, without=late)
    world.drop = lambda _s, _t, message: isinstance(message, Commit) and message.view == 0
    world.height_goal = 2
    world.run(100)
    world.crash(world.ids[0])
    world.work()
    node = world.nodes[late]
    world.run(5000, lambda: node.engine._state.pending is not None)
    assert [p.height for p in node.engine._state.pending.chosen] == [2]
    assert node.engine.status().role == "view-change"
    world.slow_ledgers = set()
    node.apply()
    node.pump()
    assert node.engine.status().role == "backup"
    assert node.engine._state.accepted_at(2) is not None
    world.grow(4)


def test_nothing_is_decided_above_a_barrier_that_the_ledger_has_not_applied() -> None:
    # The fetched copy of the block says that it is a barrier, the one that we voted for said
    # nothing: a driver that derives neither from the body only makes us wait.
    world = World(4, window=2, request_ms=10_000_000, status_ms=1_000_000)
    late = world.ids[3]
    world.slow_ledgers = {late}
    world.drop = lambda _s, target, message: target == late and isinstance(message, Commit)
    world.height_goal = 2
    world.run(50)
    node = world.nodes[late]
    (first, certificate), (second, _) = world.disks[world.ids[0]].chain
    assert node.take(replace(first, barrier=True), certificate)
    for signer in world.ids[:3]:
        node.receive(signer, DIALECT.encode(signed(Commit(1, 0, 2, second.digest, signer))))
    node.pump()
    assert node.engine.status().delivered == 1
    node.apply()
    node.pump()
    assert node.engine.status().delivered == 2


def test_hints_to_strangers_are_rare_and_bounded() -> None:
    world = World(4, **FAST)
    world.grow(3)
    node = world.nodes[world.ids[1]]
    for count in range(1000):
        for hint in (Status(0, 0, True, 0), Status(1, 0, True, 1), Status(9, 0, True, 99)):
            node.receive(f"x{count}", DIALECT.encode(hint))
    effects = node.engine.drain()
    assert len(effects.send_now) == epochs.HINTED_PEERS_MAX
    assert len(node.engine._state.hinted_ms) == epochs.HINTED_PEERS_MAX
    assert not node.engine._state.statuses.keys() - set(world.ids)
    assert not effects.fetch
    for _ in range(100):
        node.receive("x1", DIALECT.encode(Status(0, 0, True, 0)))
    assert not node.engine.drain().send_now


def test_every_word_of_an_older_epoch_is_answered_with_a_hint() -> None:
    for old in (Status(0, 3, True, 0), signed(Prepare(0, 0, 1, bytes(32), "m02"))):
        node = World(4, **FAST).nodes[NodeId("m01")]
        node.engine.drain()
        node.engine.step(NodeId("m02"), old)
        hints = [(e.to, e.message) for e in node.engine.drain().send_now]
        assert hints == [("m02", Status(1, 0, True, 0))]


def test_who_enters_an_epoch_says_so_at_once() -> None:
    world = World(4, status_ms=1_000_000, resend_ms=1_000_000, request_ms=10_000_000)
    world.barriers = {1: ids(0, 1, 2)}
    world.grow(1, ms=100)
    world.run(2)
    told = {s for s, m in world.sent if isinstance(m, Status) and m.epoch == 2}
    assert told == set(world.ids)


def test_messages_of_a_newer_epoch_cost_one_place_each_peer() -> None:
    world = World(4, **FAST)
    node = world.nodes[world.ids[1]]
    for height in range(200):
        node.engine.step(NodeId("m02"), signed(Prepare(2, 0, 1 + height, bytes(32), "m02")))
        node.engine.step(NodeId("m02"), Status(2 + height, 7, True, height))
    state = node.engine._state
    assert len(state.votes) == 0
    assert list(state.statuses) == ["m02"]
    assert node.engine.refused["wrong-epoch"] == 200
    assert not state.statuses["m02"].active


def test_an_observer_refuses_every_vote_and_states_nothing() -> None:
    world = World(4, spare=1, **FAST)
    node = world.nodes[world.ids[4]]
    node.engine.work(0)
    for message in (
        PrePrepare(1, 0, block(1, NETWORK), "m00"),
        Prepare(1, 0, 1, bytes(32), "m00"),
        Commit(1, 0, 1, bytes(32), "m00"),
    ):
        node.receive("m00", DIALECT.encode(signed(message)))
    world.run(20_000)
    assert node.engine.refused["observer"] >= 3
    assert {type(m) for s, m in world.sent if s == "m04"} == {Status}
    assert node.engine.want() is None
    assert node.engine.status().role == "observer"


def test_a_committee_without_a_barrier_is_our_own_mistake() -> None:
    world = World(1)
    world.grow(1)
    engine = world.nodes[world.ids[0]].engine
    world.slow_ledgers = set(world.ids)
    world.height_goal = 2
    world.run(20)
    with pytest.raises(AssertionError, match="barrier"):
        engine.applied(2, Era("pbft", committee_of(1, epoch=2), 3))


def test_records_of_a_later_epoch_stop_the_start() -> None:
    world = World(4, spare=1, **FAST)
    world.barriers = {2: ids(0, 1, 2, 3, 4)}
    world.grow(3)
    pairs = [p for p in world.disks[world.ids[0]].pairs.items() if p[0].startswith(b"pbft/")]
    config = PbftConfig(world.ids[0], committee_of(4), NETWORK)
    with pytest.raises(ValueError, match="older"):
        PbftEngine(config, pairs=pairs, applied=Applied(0, NETWORK, 0), rng=Random(1), now_ms=0)


@pytest.mark.parametrize(
    "point", ["before-write", "after-write", "before-deliver", "after-apply"]
)
@pytest.mark.parametrize("position", [0, 2])
def test_power_loss_in_any_turn_around_a_barrier(position: int, point: str) -> None:
    for countdown in range(1, 14):
        world = World(4, spare=1, window=2, **FAST)
        world.barriers = {2: ids(0, 1, 2, 3, 4)}
        cut_power(world, world.ids[position], countdown, point)
        world.grow(4, ms=60_000)


def cut_power(world: World, victim: NodeId, countdown: int, point: str) -> None:
    node = world.nodes[victim]
    original, turns = node.turn, 0

    def turn(crash: str | None = None) -> bool:
        nonlocal turns
        turns += node.driver.engine.has_effects()
        return original(point if turns == countdown else crash)

    def pump() -> None:
        try:
            type(node).pump(node)
        except PowerLoss:
            world.start(victim).engine.work(world.now_ms)

    node.turn, node.pump = turn, pump  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", range(12))
def test_committees_change_under_crashes_loss_and_reordering(seed: int) -> None:
    rng = Random(seed)
    world = World(
        4, spare=2, window=(1, 2, 4)[seed % 3], rotation_blocks=(0, 2)[seed % 2], **FAST
    )
    world.barriers = {
        4: ids(0, 1, 2, 3, 4), 7: None, 9: ids(0, 1, 2, 3), 13: ids(0, 1, 3, 5),
    }  # fmt: skip
    world.drop = lambda _s, _t, _m: rng.random() < 0.2
    world.height_goal = 1000
    for _ in range(40):
        victim = world.ids[rng.randrange(6)]
        if victim not in world.nodes:
            world.start(victim)
        elif rng.random() < 0.2:
            try:
                world.nodes[victim].turn(rng.choice(["before-write", "after-write"]))
            except PowerLoss:
                world.crash(victim)
        world.slow_ledgers = {node for node in world.ids if rng.random() < 0.2}
        for node in list(world.nodes.values()):
            if node.id not in world.slow_ledgers:
                node.apply()
        world.work()
        world.run(rng.randrange(5, 200))
    world.slow_ledgers = set()
    for name in world.ids:
        if name not in world.nodes:
            world.start(name)
        world.nodes[name].apply()
    world.drop = lambda _s, _t, _m: False
    world.height_goal = max(14, *world.heights().values())
    world.grow(world.height_goal + 2, ms=120_000)
    assert set(epochs_of(world).values()) == {4}
