"""Power loss at every boundary of a turn: the same words again, never other ones."""

from random import Random
from typing import Any

import pytest

from consensus.pbft.dialect import DIALECT
from consensus.pbft.messages import Commit, NewView, ViewChange
from consensus.types import NodeId
from tests.consensus.pbft.harness import NETWORK, PowerLoss, World, key_of

POINTS = ["before-write", "after-write", "before-deliver", "after-apply"]


def crashing_pump(world: World, node: NodeId, countdown: list[int], point: str) -> bool:
    """Pump ``node`` and cut its power in turn ``countdown``; True when that happened."""
    alive = world.nodes[node]
    original = alive.turn

    def turn(crash: str | None = None) -> bool:
        if alive.driver.engine.has_effects():
            countdown[0] -= 1
        return original(point if countdown[0] == 0 else crash)

    alive.turn = turn  # type: ignore[method-assign]
    try:
        alive.pump()
    except PowerLoss:
        world.start(node)
        return True
    finally:
        alive.turn = original  # type: ignore[method-assign]
    return False


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(("size", "position", "window"), [(1, 0, 1), (4, 0, 4), (4, 1, 2)])
def test_power_loss_in_any_turn_of_the_normal_case(
    size: int, position: int, window: int, point: str
) -> None:
    for turn in range(1, 9):
        world = World(size, window=window)
        victim = world.ids[position]
        countdown = [turn]
        patched(world, victim, countdown, point)
        world.grow(4, ms=60_000)


def patched(world: World, victim: NodeId, countdown: list[int], point: str) -> None:
    """Let every pump of ``victim`` count down, whichever incarnation runs."""
    start = world.start

    def arm() -> None:
        node = world.nodes[victim]
        original = node.pump

        def pump() -> None:
            if countdown[0] > 0:
                node.pump = original  # type: ignore[method-assign]
                died = crashing_pump(world, victim, countdown, point)
                if not died:
                    node.pump = pump  # type: ignore[method-assign]
            else:
                original()

        node.pump = pump  # type: ignore[method-assign]

    def restart(node: NodeId) -> Any:
        fresh = start(node)
        fresh.engine.work(world.now_ms)
        return fresh

    world.start = restart  # type: ignore[method-assign]
    arm()


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("position", [1, 2])
def test_power_loss_in_any_turn_of_a_view_change(position: int, point: str) -> None:
    for turn in range(1, 12):
        world = World(5, window=1 + turn % 3)
        world.drop = lambda _s, _t, message: isinstance(message, Commit) and message.view == 0
        world.height_goal = 3
        world.run(50)
        world.crash(world.ids[0])
        patched(world, world.ids[position], [turn], point)
        world.grow(4, ms=300_000)


@pytest.mark.parametrize("seed", range(12))
def test_random_crashes_loss_and_reordering_never_contradict(seed: int) -> None:
    # ``World`` asserts one digest per signed slot and one block per height; the guard raises
    # by itself.  Everything heals at the end and must then make progress.
    rng = Random(seed)
    window, rotation = (1, 2, 4, 8)[seed % 4], (0, 1, 3)[seed % 3]
    world = World(
        4, request_ms=300, view_change_ms=300, resend_ms=100, status_ms=80, window=window,
        rotation_blocks=rotation,
    )  # fmt: skip
    world.height_goal = 1_000
    world.drop = lambda _s, _t, _m: rng.random() < 0.25
    for _ in range(40):
        victim = world.ids[rng.randrange(4)]
        if victim not in world.nodes:
            world.start(victim)
        elif rng.random() < 0.4:
            node = world.nodes[victim]
            try:
                node.turn(POINTS[rng.randrange(4)])
            except PowerLoss:
                world.crash(victim)
        shuffled = list(world.wire)
        rng.shuffle(shuffled)
        world.wire.clear()
        world.wire.extend(shuffled)
        world.work()
        world.run(rng.randrange(5, 300))
    for name in world.ids:
        if name not in world.nodes:
            world.start(name)
    world.drop = lambda _s, _t, _m: False
    world.height_goal = max(world.heights().values())
    world.grow(world.height_goal + 2, ms=120_000)


@pytest.mark.parametrize("window", [1, 4])
def test_a_restart_repeats_its_words_byte_for_byte(window: int) -> None:
    world = World(4, window=window)
    world.drop = lambda _s, _t, message: isinstance(message, Commit)
    world.height_goal = window
    world.run(50)
    node = world.ids[1]
    before = [DIALECT.encode(m) for s, m in world.sent if s == node and statement(m)]
    world.sent.clear()
    world.start(node).pump()
    after = [DIALECT.encode(m) for s, m in world.sent if s == node and statement(m)]
    assert len(after) == 2 * window, "its prepares and its commits"
    assert set(after) <= set(before)


def statement(message: Any) -> bool:
    return DIALECT.statement(message, NETWORK) is not None


def test_a_primary_restarted_between_its_new_view_and_entering_says_the_same() -> None:
    world = World(4)
    world.crash(world.ids[0])
    world.work()
    leader = world.nodes[world.ids[1]]
    engine_step = leader.engine.step

    def lose_loopback(sender: NodeId, message: Any) -> None:
        if not isinstance(message, NewView):
            engine_step(sender, message)

    leader.engine.step = lose_loopback  # type: ignore[method-assign]
    world.run(3000, lambda: any(isinstance(m, NewView) for _, m in world.sent))
    first = next(DIALECT.encode(m) for _, m in world.sent if isinstance(m, NewView))
    world.sent.clear()
    world.start(world.ids[1]).pump()
    again = [DIALECT.encode(m) for _, m in world.sent if isinstance(m, NewView)]
    assert first in again
    assert world.nodes[world.ids[1]].engine.status().role == "primary"


def test_a_member_restarted_during_a_view_change_stays_in_it() -> None:
    world = World(4)
    world.drop = lambda _s, _t, message: isinstance(message, ViewChange)
    world.crash(world.ids[0])
    world.work()
    world.run(3000)
    node = world.ids[2]
    status = world.start(node).engine.status()
    assert (status.round, status.role) == (1, "view-change")
    world.drop = lambda _s, _t, _m: False
    world.grow(1)


def test_a_decided_block_that_was_not_applied_is_delivered_once_more() -> None:
    world = World(1)
    node = world.nodes[world.ids[0]]
    original = node._release

    def lose_power(turn: Any, crash: str | None) -> None:
        original(turn, "before-deliver" if turn._effects.deliver else crash)

    node._release = lose_power  # type: ignore[method-assign]
    world.height_goal = 1
    with pytest.raises(PowerLoss):
        world.run(10)
    assert world.heights() == {"m00": 0}
    restarted = world.start(world.ids[0])
    assert restarted.engine.status().delivered == 1
    world.grow(2)


def test_records_of_applied_heights_are_deleted() -> None:
    world = World(4)
    world.grow(3)
    world.run(100)
    small = {node: len(disk.pairs) for node, disk in world.disks.items()}
    world.grow(40)
    world.run(100)
    assert {node: len(disk.pairs) for node, disk in world.disks.items()} == small


def test_a_missing_certificate_of_the_applied_block_stops_the_start() -> None:
    world = World(4)
    world.grow(2)
    node = world.ids[0]
    for key in [key for key in world.disks[node].pairs if b"certificate/" in key]:
        del world.disks[node].pairs[key]
    with pytest.raises(ValueError, match="certificate"):
        world.start(node)


def test_equal_inputs_give_equal_fingerprints() -> None:
    prints = []
    for _ in range(2):
        world = World(4)
        world.drop = lambda _s, target, message: target == "m03" and isinstance(message, Commit)
        world.grow(3)
        world.crash(world.ids[0])
        world.grow(5)
        prints.append([node.engine.fingerprint() for node in world.nodes.values()])
    assert prints[0] == prints[1]
    assert len(set(prints[0])) == 3
    assert key_of("m00") != key_of("m01")
