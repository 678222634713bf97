"""Primaries that take turns inside one view, where the network asks for it."""

import pytest

from consensus.codec import Malformed
from consensus.pbft.dialect import DIALECT, PbftDialect, primary
from consensus.pbft.messages import Commit, NewView, Prepare, PrePrepare
from consensus.types import NodeId
from tests.consensus.pbft.harness import NETWORK, World, block, committee_of, signed


def proposers(world: World, height_max: int) -> list[str]:
    return [
        bytes(proposal.header).split(b"by ")[1].decode()
        for proposal, _ in world.disks[world.ids[-1]].chain[:height_max]
    ]


@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("every", [1, 3])
def test_the_next_member_proposes_after_so_many_heights(every: int, window: int) -> None:
    world = World(4, rotation_blocks=every, window=window)
    world.grow(24, ms=2000)
    assert {node.engine.status().round for node in world.nodes.values()} == {0}
    expected = [f"m{height // every % 4:02d}" for height in range(1, 25)]
    assert proposers(world, 24) == expected


def test_without_rotation_one_member_proposes_in_the_whole_view() -> None:
    world = World(4)
    world.grow(12, ms=400)
    assert set(proposers(world, 12)) == {"m00"}


def test_the_turn_depends_on_view_and_height_only() -> None:
    committee = committee_of(4)
    turns = [
        primary(view, committee, height=height, rotation_blocks=2)
        for view, height in ((0, 0), (0, 1), (0, 2), (1, 2), (3, 2), (0, 8))
    ]
    assert turns == ["m00", "m00", "m01", "m02", "m00", "m00"]
    assert primary(5, committee, height=77) == primary(5, committee) == "m01"


def test_a_proposal_out_of_turn_is_refused_whoever_leads_the_view() -> None:
    world = World(4, rotation_blocks=1)
    node = world.nodes[world.ids[2]]
    early = signed(PrePrepare(1, 0, block(1, NETWORK), "m00"))  # height 1 is m01's
    assert node.receive("m00", DIALECT.encode(early))
    node.pump()
    assert node.engine.refused["wrong-author"] == 1
    assert not [m for source, m in world.sent if source == "m02" and isinstance(m, Prepare)]
    strict = PbftDialect(rotation_blocks=1)
    context = {"committee": world.committee, "network": NETWORK}
    with pytest.raises(Malformed, match="primary"):
        strict.checks(early, sender=NodeId("m00"), **context)
    turn = signed(PrePrepare(1, 0, block(1, NETWORK), "m01"))
    assert len(strict.checks(turn, sender=NodeId("m01"), **context)) == 1


def test_a_view_is_opened_and_what_it_carries_over_proposed_again_by_one_member() -> None:
    world = World(4, rotation_blocks=1, window=4)
    world.drop = lambda _s, _t, message: isinstance(message, Commit) and message.view == 0
    world.height_goal = 4
    world.run(50)
    world.crash(world.ids[0])
    world.grow(8)
    opened = [m for _, m in world.sent if isinstance(m, NewView)]
    assert {(m.view, m.signer) for m in opened} >= {(1, "m01")}
    assert [p.height for p in opened[0].chosen] == [1, 2, 3, 4]
    assert proposers(world, 4) == ["m01", "m02", "m03", "m00"]


def test_a_dead_member_costs_a_view_change_at_its_turn_and_nothing_else() -> None:
    world = World(4, rotation_blocks=4, request_ms=200, view_change_ms=200)
    world.crash(world.ids[2])
    world.grow(40)
    assert "m02" not in proposers(world, 40)
    assert max(node.engine.status().round for node in world.nodes.values()) <= 10
