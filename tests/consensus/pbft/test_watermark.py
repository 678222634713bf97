"""New blocks run only so far ahead of the state that a quorum cosigned."""

import pytest

from consensus.effects import ProposeResult
from consensus.pbft import view_change
from consensus.pbft.config import PbftConfig
from consensus.pbft.dialect import DIALECT
from consensus.pbft.messages import Commit, Prepare, PrePrepare, Suspect
from consensus.types import NodeId
from tests.consensus.pbft.harness import NETWORK, World, block, committee_of, signed


def test_without_a_first_mark_there_is_no_limit() -> None:
    world = World(4, checkpoint_lag_max=3)
    world.grow(20, ms=1000)


def test_nothing_new_is_ordered_above_the_high_watermark() -> None:
    world = World(4, checkpoint_lag_max=3, window=2)
    for node in world.nodes.values():
        node.engine.stable(0)
    world.height_goal = 100
    world.work()
    world.run(60_000)
    assert set(world.heights().values()) == {3}
    assert world.nodes[world.ids[0]].engine.want() is None
    proposed = [m.proposal.height for _, m in world.sent if isinstance(m, PrePrepare)]
    assert max(proposed) == 3
    for node in world.nodes.values():
        node.engine.stable(5)
    world.run(1000)
    assert set(world.heights().values()) == {8}


def test_nobody_suspects_a_primary_that_waits_for_cosignatures() -> None:
    world = World(4, checkpoint_lag_max=1, patience_ms=1000)
    for node in world.nodes.values():
        node.engine.stable(0)
    world.height_goal = 100
    world.work()
    world.run(60_000)
    assert not [m for _, m in world.sent if isinstance(m, Suspect)]
    assert {node.engine.status().round for node in world.nodes.values()} == {0}


def test_a_backup_keeps_a_proposal_above_its_mark_until_the_mark_rises() -> None:
    world = World(4, checkpoint_lag_max=1)
    backup = world.nodes[world.ids[1]]
    backup.engine.stable(0)
    world.grow(1, ms=100)
    second = block(2, world.decided[1])
    backup.receive("m00", DIALECT.encode(signed(PrePrepare(1, 0, second, "m00"))))
    backup.pump()

    def voted() -> list[int]:
        own = [m for s, m in world.sent if s == "m01" and isinstance(m, Prepare)]
        return [m.height for m in own]

    assert voted() == [1]
    backup.engine.stable(1)
    backup.pump()
    assert voted() == [1, 2]


def test_the_mark_only_rises() -> None:
    engine = World(4, checkpoint_lag_max=1).nodes[NodeId("m00")].engine
    engine.stable(5)
    engine.stable(2)
    assert engine.propose(block(1, NETWORK)) is ProposeResult.ACCEPTED
    assert engine._state.open_at(6)


def test_a_lag_of_nothing_is_no_limit() -> None:
    world = World(4, checkpoint_lag_max=0)
    for node in world.nodes.values():
        node.engine.stable(0)
    world.grow(20, ms=1000)


def test_what_a_view_carries_over_is_not_held_up_by_the_mark() -> None:
    world = World(4, checkpoint_lag_max=2, window=2)
    world.grow(2)
    world.drop = lambda _s, _t, message: isinstance(message, Commit) and message.view == 0
    world.height_goal = 4
    world.run(50)
    for node in world.nodes.values():
        # As after a restart in a younger database: the engine holds more than the mark allows.
        node.engine._state.low = 0
        assert not node.engine._state.open_at(3)
    world.crash(world.ids[0])
    world.drop = lambda _s, _t, _m: False
    for node in world.nodes.values():
        change = node.engine._state
        assert [slot.prepared is not None for slot in change.slots.values()] == [True, True]
    leave_view(world)
    world.run(5000)
    assert set(world.heights().values()) == {2, 4}


def leave_view(world: World) -> None:
    for node in world.nodes.values():
        view_change.suspect(node.engine._state, 0)


def test_a_limit_below_the_window_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="lag"):
        PbftConfig(NodeId("m00"), committee_of(4), NETWORK, window=8, checkpoint_lag_max=7)
    assert PbftConfig(NodeId("m00"), committee_of(4), NETWORK, checkpoint_lag_max=0).window == 1
