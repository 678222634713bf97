"""Several heights in flight: what may be voted on when, and what a new view carries over."""

from dataclasses import replace
from typing import Any

import pytest

from consensus.codec import Malformed
from consensus.effects import ProposeResult
from consensus.pbft.dialect import DIALECT
from consensus.pbft.messages import Commit, NewView, Prepare, PrePrepare, ViewChange
from consensus.types import NodeId, Proposal
from tests.consensus.pbft.harness import NETWORK, World, block, signed

WINDOWS = [1, 2, 4, 8]
CALM = {"request_ms": 10_000_000, "resend_ms": 1_000_000, "status_ms": 1_000_000}


def chain(length: int, note: str = "") -> list[Proposal]:
    blocks: list[Proposal] = []
    for height in range(1, length + 1):
        parent = blocks[-1].digest if blocks else NETWORK
        blocks.append(block(height, parent, note))
    return blocks


def said(world: World, node: str, kind: type) -> list[Any]:
    return [m for source, m in world.sent if source == node and isinstance(m, kind)]


def tell(world: World, target: int, message: Any) -> None:
    node = world.nodes[world.ids[target]]
    assert node.receive(message.signer, DIALECT.encode(signed(message)))
    node.pump()


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("size", [1, 4, 7])
def test_blocks_are_decided_in_view_zero_with_every_window(size: int, window: int) -> None:
    world = World(size, window=window)
    world.grow(20, ms=400)
    assert set(world.heights().values()) == {20}
    assert {node.engine.status().round for node in world.nodes.values()} == {0}


@pytest.mark.parametrize("window", WINDOWS)
def test_exactly_the_window_is_in_flight(window: int) -> None:
    world = World(4, window=window, **CALM)
    world.drop = lambda _s, _t, message: isinstance(message, Commit)
    world.height_goal = 100
    world.run(50)
    for node in world.ids:
        assert sorted(world.nodes[node].engine._state.slots) == list(range(1, window + 1))
        assert [m.height for m in said(world, node, Commit)] == list(range(1, window + 1))
    primary = world.nodes[world.ids[0]].engine
    assert primary.propose(block(window + 1, NETWORK)) is ProposeResult.BUSY


def test_a_wide_window_needs_fewer_round_trips() -> None:
    spent = {}
    for window in (1, 8):
        world = World(4, window=window)
        start = world.now_ms
        world.grow(40, ms=1000)
        spent[window] = world.now_ms - start
    assert spent[8] * 4 <= spent[1]


def test_a_proposal_waits_for_its_parent() -> None:
    world = World(4, window=4, **CALM)
    first, second, third = chain(3)
    for proposal in (third, second):
        tell(world, 1, PrePrepare(1, 0, proposal, "m00"))
    assert not said(world, "m01", Prepare)
    tell(world, 1, PrePrepare(1, 0, first, "m00"))
    assert [m.height for m in said(world, "m01", Prepare)] == [1, 2, 3]


def test_a_proposal_beside_its_parent_is_not_accepted() -> None:
    world = World(4, window=4, **CALM)
    first, _ = chain(2)
    tell(world, 1, PrePrepare(1, 0, first, "m00"))
    tell(world, 1, PrePrepare(1, 0, block(2, NETWORK), "m00"))
    assert [m.height for m in said(world, "m01", Prepare)] == [1]
    assert world.nodes[world.ids[1]].engine.refused["wrong-parent"] == 1


def test_a_height_is_prepared_only_after_the_height_below_it_in_the_same_view() -> None:
    # With the rule dropped, height 2 commits while height 1 is prepared nowhere, and the next
    # view is free to put another block below it.
    world = World(4, window=2, **CALM)
    world.drop = lambda _s, _t, message: isinstance(message, Prepare) and message.height == 1
    world.height_goal = 2
    world.run(50)
    node = world.nodes[world.ids[1]]
    votes = node.engine._state.votes
    content = node.engine._state.slots[2].content
    assert len(votes.agreeing("prepare", 2, content)) == 4
    assert not [m for _, m in world.sent if isinstance(m, Commit)]
    first = world.nodes[world.ids[2]].engine._state.slots[1].content
    for signer in ("m02", "m03"):
        tell(world, 1, Prepare(1, 0, 1, first, signer))
    assert [m.height for m in said(world, "m01", Commit)] == [1, 2]


def test_blocks_are_delivered_in_order_whatever_order_their_commits_come_in() -> None:
    world = World(4, window=4, **CALM)
    late = world.ids[3]
    held: list[Commit] = []

    def hold(_source: str, target: str, message: Any) -> bool:
        if target == late and isinstance(message, Commit):
            held.append(message)
            return True
        return False

    world.drop = hold
    world.height_goal = 4
    world.run(50)
    for message in sorted(held, key=lambda m: -m.height):
        assert world.heights()[late] == 0 or message.height == 1
        tell(world, 3, message)
    assert world.heights()[late] == 4  # ``judge`` asserts one after the other


def test_the_window_is_counted_from_the_height_that_the_primary_has_applied() -> None:
    world = World(4, window=4)
    world.slow_ledgers = set(world.ids)
    world.height_goal = 100
    world.run(100)
    delivered = {node.engine.status().delivered for node in world.nodes.values()}
    assert delivered == {4}
    assert set(world.heights().values()) == {0}
    world.slow_ledgers.clear()
    for node in world.nodes.values():
        node.apply()
    world.grow(30, ms=400)


@pytest.mark.parametrize("window", [2, 4, 8])
def test_every_block_prepared_in_the_window_survives_its_primary(window: int) -> None:
    world = World(4, window=window)
    world.drop = lambda _s, _t, message: isinstance(message, Commit) and message.view == 0
    world.height_goal = window
    world.run(50)
    slots = world.nodes[world.ids[1]].engine._state.slots
    prepared = {height: slots[height].prepared for height in range(1, window + 1)}
    world.crash(world.ids[0])
    world.grow(window + 3)
    for height, certificate in prepared.items():
        assert certificate is not None
        assert world.decided[height] == certificate.proposal.digest
    opened = next(m for _, m in world.sent if isinstance(m, NewView))
    assert [p.height for p in opened.chosen] == list(range(1, window + 1))
    again = said(world, "m01", Prepare)
    assert [m.height for m in again if m.view == 1][:window] == list(range(1, window + 1))


def test_blocks_decided_at_one_member_only_survive_with_all_below_them() -> None:
    world = World(4, window=4)
    lucky = world.ids[0]
    world.drop = lambda _s, target, message: (
        isinstance(message, Commit) and message.view == 0 and target != lucky
    )
    world.height_goal = 4
    world.run(50)
    assert world.heights() == {"m00": 4, "m01": 0, "m02": 0, "m03": 0}
    world.crash(lucky)
    world.grow(6)  # ``judge`` asserts that heights 1 to 4 are the same blocks


def left(world: World) -> list[ViewChange]:
    """Let all leave view 0 with the whole window prepared; none hears of it."""
    world.drop = lambda _s, _t, message: isinstance(message, Commit)
    world.height_goal = world.timing["window"]
    world.run(50)
    world.drop = lambda _s, _t, message: isinstance(message, Commit | ViewChange | NewView)
    world.crash(world.ids[0])
    world.work()
    world.run(3000)
    changes = [signed(node.engine._state.own_view_change) for node in world.nodes.values()]
    return sorted(changes, key=lambda change: change.signer)


def test_a_view_change_shows_the_whole_chain_of_prepared_blocks() -> None:
    for change in left(World(4, window=4)):
        assert [c.proposal.height for c in change.prepared] == [1, 2, 3, 4]


@pytest.mark.parametrize("kept", [(1, 2, 3), (0, 2, 3), (1, 0), (0, 0, 1)])
def test_a_view_change_with_a_gap_proves_nothing(kept: tuple[int, ...]) -> None:
    world = World(4, window=4)
    change = left(world)[0]
    torn = replace(change, prepared=tuple(change.prepared[i] for i in kept), signature=b"")
    with pytest.raises(Malformed, match="chain"):
        DIALECT.checks(
            signed(torn), sender=NodeId("m01"), committee=world.committee, network=NETWORK
        )


@pytest.mark.parametrize("kept", [(), (0, 1), (1, 2, 3), (0, 2, 3), (0, 1, 3, 2)])
def test_a_new_view_that_does_not_carry_over_exactly_the_chain_is_not_entered(
    kept: tuple[int, ...],
) -> None:
    world = World(4, window=4)
    world.liars.add(world.ids[1])
    changes = tuple(left(world))
    chosen = tuple(certificate.proposal for certificate in changes[0].prepared)
    node = world.nodes[world.ids[3]]
    wrong = NewView(1, 1, changes, tuple(chosen[i] for i in kept), "m01")
    node.receive("m01", DIALECT.encode(signed(wrong)))
    assert node.engine.status().role == "view-change"
    assert node.engine.refused["new-view-choice"] == 1
    node.receive("m01", DIALECT.encode(signed(NewView(1, 1, changes, chosen, "m01"))))
    assert node.engine.status().role == "backup"
    assert sorted(node.engine._state.slots) == [1, 2, 3, 4]


def test_a_narrow_window_still_takes_what_a_wider_one_prepared() -> None:
    # Windows may differ while a network changes its mind; a view carries over what was
    # prepared, not what this member would have accepted anew.
    wide = World(4, window=4)
    changes = tuple(left(wide))
    chosen = tuple(certificate.proposal for certificate in changes[0].prepared)
    narrow = World(4, window=1)
    node = narrow.nodes[narrow.ids[3]]
    opened = signed(NewView(1, 1, changes, chosen, "m01"))
    assert node.receive("m01", DIALECT.encode(opened))
    node.pump()
    votes = said(narrow, "m03", Prepare)
    assert [m.height for m in votes] == [1, 2, 3, 4]
    tell(narrow, 3, PrePrepare(1, 1, block(5, chosen[-1].digest), "m01"))
    assert [m.height for m in said(narrow, "m03", Prepare)][4:] == []


def test_what_grows_on_a_block_that_lost_is_never_voted_for_again() -> None:
    # The primary shows m01 one chain and the others another one; m01 learns what is final.
    world = World(4, window=2, request_ms=10_000_000, status_ms=1_000_000)
    liar = world.ids[0]
    world.crash(liar)
    world.liars.add(liar)
    ours, theirs = chain(2, "ours"), chain(2, "theirs")
    for proposal in ours:
        tell(world, 1, PrePrepare(1, 0, proposal, liar))
    for target in (2, 3):
        for proposal in theirs:
            tell(world, target, PrePrepare(1, 0, proposal, liar))
        content = world.nodes[world.ids[target]].engine._state.slots
        assert [content[h].accepted is not None for h in (1, 2)] == [True, True]
    for target in (1, 2, 3):
        tell(world, target, Commit(1, 0, 1, theirs[0].digest, liar))
    world.run(50)
    assert world.heights()["m02"] == world.heights()["m03"] == 1
    world.run(5000, lambda: world.heights()["m01"] == 1)
    assert world.heights()["m01"] == 1
    state = world.nodes[world.ids[1]].engine._state
    assert state.accepted_at(2) == ours[1]
    assert state.tip_at(2) is None
    for signer in ("m02", "m03"):  # not even with votes that no honest member gives
        world.liars.add(signer)
        tell(world, 1, Prepare(1, 0, 2, state.slots[2].content, signer))
    assert not [m for m in said(world, "m01", Commit) if m.digest == ours[1].digest]
