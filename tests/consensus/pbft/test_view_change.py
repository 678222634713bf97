"""Suspicion, view change, and what a new view must carry over."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from consensus.pbft.config import backoff_ms
from consensus.pbft.dialect import DIALECT
from consensus.pbft.messages import Commit, NewView, Prepare, PrePrepare, Suspect, ViewChange
from consensus.types import NodeId
from tests.consensus.pbft.harness import Node, World, block, signed


def views(world: World) -> set[int]:
    return {node.engine.status().round for node in world.nodes.values()}


@pytest.mark.parametrize("size", [3, 4, 5, 6, 7])
def test_a_dead_primary_is_replaced(size: int) -> None:
    world = World(size)
    world.crash(world.ids[0])
    world.grow(3)
    assert views(world) == {1}


def test_f_dead_primaries_in_a_row_are_passed_over() -> None:
    world = World(7)
    for node in world.ids[:2]:
        world.crash(node)
    world.grow(2)
    assert views(world) == {2}


def test_a_prepared_block_survives_the_death_of_its_primary() -> None:
    world = World(4)
    world.drop = lambda _s, _t, message: isinstance(message, Commit) and message.view == 0
    world.height_goal = 1
    world.run(50)
    prepared = world.nodes[world.ids[1]].engine._state.slots[1].prepared
    assert prepared is not None
    world.crash(world.ids[0])
    world.grow(1)
    assert world.decided[1] == prepared.proposal.digest
    assert b"m00" in prepared.proposal.header
    assert views(world) == {1}


def test_a_block_committed_at_one_member_only_survives() -> None:
    world = World(4)
    lucky = world.ids[0]  # the primary: it decides, then dies
    world.drop = lambda _s, target, message: (
        isinstance(message, Commit) and message.view == 0 and target != lucky
    )
    world.height_goal = 1
    world.run(50)
    assert world.heights() == {"m00": 1, "m01": 0, "m02": 0, "m03": 0}
    world.crash(lucky)
    world.grow(2)  # ``judge`` asserts that height 1 is the same block
    assert views(world) == {1}


def test_the_next_primary_fetches_the_base_it_lacks_before_it_enters() -> None:
    world = World(4)
    slow = world.ids[1]
    world.drop = lambda source, target, _m: slow in (source, target)
    world.height_goal = 5
    world.run(100)
    assert world.heights() == {"m00": 5, "m01": 0, "m02": 5, "m03": 5}
    world.crash(world.ids[0])
    world.drop = lambda _s, _t, _m: False
    world.grow(7)
    assert 1 in views(world)


def test_one_member_alone_never_causes_a_view_change() -> None:
    world = World(4)
    lone = world.ids[3]
    world.grow(1)
    for node in world.nodes.values():
        node.engine.work(None)
    for _ in range(40):
        world.nodes[lone].engine.work(world.now_ms - 60_000)
        world.nodes[lone].engine.tick(world.now_ms)
        world.run(500)
    assert [m for s, m in world.sent if s == lone and isinstance(m, Suspect)]
    assert views(world) == {0}
    assert not [m for _, m in world.sent if isinstance(m, ViewChange)]


def left_view_zero(world: World) -> list[ViewChange]:
    """Make all suspect view 0 and return the signed view changes, none delivered."""
    world.drop = lambda _s, _t, message: isinstance(message, Commit | ViewChange | NewView)
    world.crash(world.ids[0])
    world.work()
    world.run(3000)
    return [signed(node.engine._state.own_view_change) for node in world.nodes.values()]


def test_f_plus_one_members_beyond_our_view_are_followed_to_the_smallest() -> None:
    world = World(4)
    changes = left_view_zero(world)
    lineage = changes[0].suspected
    fresh = World(4)
    node = fresh.nodes[fresh.ids[0]]
    node.engine._state.view = 1  # past the lineage, so that only the join rule can move it
    node.engine._state.votes.enter_view(1)

    def tell(signer: str, view: int) -> None:
        base = ViewChange(
            1, view, 0, fresh.disks[node.id].applied.digest, b"", (), lineage, signer
        )
        assert node.receive(signer, DIALECT.encode(signed(base)))

    tell("m01", 9)
    tell("m01", 12)
    assert node.engine.status().round == 1
    tell("m02", 7)
    assert node.engine.status().round == 7


def test_a_transferable_suspicion_moves_its_receiver_at_once() -> None:
    world = World(4)
    change = left_view_zero(world)[0]
    fresh = World(4)
    node = fresh.nodes[fresh.ids[3]]
    assert node.receive(change.signer, DIALECT.encode(change))
    assert node.engine.status().round == 1
    assert node.engine.status().role == "view-change"


def opened(world: World) -> NewView:
    """Return a valid signed NewView(1) that carries a prepared block, entered by nobody."""
    world.drop = lambda _s, _t, message: isinstance(message, Commit)
    world.height_goal = 1
    world.run(50)
    changes = sorted(left_view_zero(world), key=lambda change: change.signer)
    chosen = (changes[0].prepared[0].proposal,)
    message: NewView = signed(NewView(1, 1, tuple(changes), chosen, "m01"))
    return message


def entered(world: World, message: NewView) -> bool:
    node = world.nodes[world.ids[3]]
    node.receive("m01", DIALECT.encode(message))
    node.pump()
    status = node.engine.status()
    return (status.round, status.role) == (1, "backup")


def test_a_correct_new_view_is_entered_and_voted_on() -> None:
    world = World(4)
    message = opened(world)
    assert entered(world, message)
    votes = [m for s, m in world.sent if s == "m03" and isinstance(m, Prepare) and m.view == 1]
    assert len(votes) == 1


def forge_choice(message: NewView) -> NewView:
    return replace(message, chosen=())


def forge_other_choice(message: NewView) -> NewView:
    return replace(message, chosen=(block(1, message.chosen[0].parent, "other"),))


def forge_missing(message: NewView) -> NewView:
    return replace(message, view_changes=message.view_changes[:2])


def forge_duplicate(message: NewView) -> NewView:
    return replace(message, view_changes=(message.view_changes[0], *message.view_changes[:2]))


def forge_omitted_certificate(message: NewView) -> NewView:
    first = replace(message.view_changes[0], prepared=())
    return replace(message, view_changes=(first, *message.view_changes[1:]))


def forge_certificate(message: NewView) -> NewView:
    change = message.view_changes[0]
    other = block(1, message.chosen[0].parent, "other")
    prepared = replace(change.prepared[0], proposal=other)
    first = signed(replace(change, prepared=(prepared,), signature=b""))
    return replace(message, view_changes=(first, *message.view_changes[1:]))


def forge_author(message: NewView) -> NewView:
    return replace(message, signer="m02")


@pytest.mark.parametrize(
    "forge",
    [
        forge_choice,
        forge_other_choice,
        forge_missing,
        forge_duplicate,
        forge_omitted_certificate,
        forge_certificate,
        forge_author,
    ],
)
def test_a_new_view_that_lies_is_not_entered(forge: Any) -> None:
    world = World(4)
    world.liars.add(world.ids[1])
    message = signed(replace(forge(opened(world)), signature=b""))
    assert not entered(world, message)


def test_a_wrong_choice_is_counted_and_suspected() -> None:
    world = World(4)
    world.liars.add(world.ids[1])
    message = signed(replace(forge_choice(opened(world)), signature=b""))
    world.sent.clear()
    assert not entered(world, message)
    assert world.nodes[world.ids[3]].engine.refused["new-view-choice"] == 1
    assert [m for s, m in world.sent if s == "m03" and isinstance(m, Suspect) and m.view == 1]


def test_one_unusable_view_change_does_not_poison_the_set() -> None:
    world = World(7)
    world.crash(world.ids[0])
    liar = world.ids[6]
    world.crash(liar)
    world.liars.add(liar)
    seen: list[ViewChange] = []

    def poison(source: str, target: str, message: Any) -> bool:
        if isinstance(message, ViewChange) and not seen and target == "m01":
            seen.append(message)
            bad = replace(message, signer=liar, signature=b"", height=3, digest=bytes(32))
            assert world.nodes[NodeId("m01")].receive(liar, DIALECT.encode(signed(bad)))
            worse = replace(bad, prepared=(), certificate=b"junk")
            assert not world.nodes[NodeId("m01")].receive(liar, DIALECT.encode(signed(worse)))
        return False

    world.drop = poison
    world.grow(2)
    assert seen
    assert views(world) == {1}
    assert world.nodes[NodeId("m01")].engine.refused["view-change-base"] == 1


def test_patience_doubles_and_is_capped() -> None:
    assert [backoff_ms(1000, failed) for failed in range(8)] == [
        1000, 2000, 4000, 8000, 16_000, 32_000, 32_000, 32_000,
    ]  # fmt: skip
    assert backoff_ms(10_000, 60) == 60_000
    assert backoff_ms(90_000, 3) == 90_000


def test_failed_views_wait_longer_and_a_delivery_resets_the_patience() -> None:
    world = World(4)
    world.drop = lambda _s, _t, message: isinstance(message, NewView)
    world.crash(world.ids[0])
    world.work()
    world.height_goal = 1
    left: list[int] = []
    for _ in range(300):
        before = max(views(world))
        world.run(1000)
        if max(views(world)) > before:
            left.append(world.now_ms)
    pauses = [b - a for a, b in itertools.pairwise(left)]
    assert max(pauses) <= 66_000
    assert pauses[:4] == sorted(pauses[:4])
    assert pauses[3] >= 4 * pauses[0]
    world.drop = lambda _s, _t, _m: False
    world.grow(1)
    world.grow(2)
    assert {node.engine._state.failed_views for node in world.nodes.values()} == {0}


def test_a_member_that_slept_through_a_view_change_is_shown_the_new_view() -> None:
    world = World(4)
    late = world.ids[3]
    world.drop = lambda source, target, _m: late in (source, target)
    world.height_goal = 3
    world.work()
    world.run(20)
    primary = world.ids[0]
    world.crash(late)
    world.drop = lambda source, target, _m: primary in (source, target)
    world.start(late)
    world.nodes[late].engine.work(world.now_ms)
    world.work()
    world.run(10_000)
    world.drop = lambda _s, _t, _m: False
    world.grow(4)
    world.run(2000)
    assert len(views(world)) == 1
    assert world.nodes[primary].engine.status().role == "backup"


def test_a_member_past_an_active_view_helps_to_end_it() -> None:
    # m03 stepped to view 1 alone and can never vote in view 0 again; m02 then dies.  The two
    # that remain need its suspicion to leave view 0.
    world = World(4)
    changes = left_view_zero(World(4))
    lineage = changes[0].suspected
    apart = world.nodes[world.ids[3]]
    from consensus.pbft import view_change

    world.drop = lambda source, target, message: isinstance(message, ViewChange)
    view_change.leave(apart.engine._state, 1, lineage)
    apart.pump()
    world.run(2000)
    assert views(world) == {0, 1}
    world.crash(world.ids[2])
    world.work()
    world.height_goal = 1
    world.run(30_000, lambda: views(world) == {1})
    assert views(world) == {1}
    world.drop = lambda _s, _t, _m: False
    world.grow(1)


def test_views_never_go_back_and_old_view_votes_are_refused() -> None:
    world = World(4)
    world.crash(world.ids[0])
    world.grow(1)
    node = world.nodes[world.ids[2]]
    before = node.engine.status().round
    stale = signed(PrePrepare(1, 0, block(2, world.decided[1]), "m00"))
    node.receive("m00", DIALECT.encode(stale))
    node.pump()
    assert node.engine.refused["proposal-outside"] >= 1
    assert node.engine.status().round == before


def timer(node: Node) -> int | None:
    return node.engine._state.new_view_due_ms


def views_of(node: Node) -> int:
    return node.engine.status().round


def test_members_beyond_our_view_start_the_new_view_timer_too() -> None:
    # m02 gave up view 1 before its word reached m03; it will never say it again.
    change = left_view_zero(World(4))[0]
    world = World(4)
    node = world.nodes[world.ids[3]]
    node.receive("m01", DIALECT.encode(signed(replace(change, signer="m01", signature=b""))))
    node.pump()
    assert views_of(node) == 1
    assert timer(node) is None
    beyond = replace(change, view=2, signer="m02", signature=b"")
    node.receive("m02", DIALECT.encode(signed(beyond)))
    due = timer(node)
    assert due is not None
    assert views_of(node) == 1
    world.now_ms = due
    node.engine.tick(due)
    assert views_of(node) == 2
