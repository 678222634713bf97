"""Three phases without faults, and with the faults that need no view change."""

from typing import Any

import pytest

from consensus.codec import Malformed
from consensus.effects import Envelope, ProposeResult
from consensus.pbft.dialect import DIALECT, PbftDialect
from consensus.pbft.messages import Commit, Prepare, PrePrepare
from consensus.types import NodeId
from tests.consensus.pbft.harness import NETWORK, World, block, signed


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7])
def test_blocks_are_decided_in_view_zero_at_every_size(size: int) -> None:
    world = World(size)
    world.grow(5, ms=400)
    assert set(world.heights().values()) == {5}
    assert {node.engine.status().round for node in world.nodes.values()} == {0}


@pytest.mark.parametrize(
    ("size", "quorum"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5)]
)
def test_a_quorum_is_needed_and_enough(size: int, quorum: int) -> None:
    world = World(size, request_ms=10_000_000)
    for node in world.ids[quorum:]:
        world.crash(node)
    world.grow(2, ms=1000)

    world = World(size, request_ms=10_000_000)
    for node in world.ids[quorum - 1 :]:
        world.crash(node)
    world.height_goal = 1
    world.run(5000)
    assert set(world.heights().values()) == {0}


def test_the_primary_counts_once_however_often_it_speaks() -> None:
    world = World(4, request_ms=10_000_000)
    for node in world.ids[2:]:
        world.crash(node)
    world.height_goal = 1
    world.run(50)
    proposal = block(1, NETWORK, "by m00")
    content = DIALECT.statement(PrePrepare(1, 0, proposal, "m00"), NETWORK)
    assert content is not None
    backup = world.nodes[world.ids[1]]
    backup.receive("m00", DIALECT.encode(signed(Prepare(1, 0, 1, content.digest, "m00"))))
    backup.pump()
    assert not [m for _, m in world.sent if isinstance(m, Commit)], "two signers made three"
    backup.receive("m02", DIALECT.encode(signed(Prepare(1, 0, 1, content.digest, "m02"))))
    backup.pump()
    assert [m.signer for _, m in world.sent if isinstance(m, Commit)] == ["m01"]


def test_prepare_bytes_never_serve_as_a_commit() -> None:
    prepare = signed(Prepare(1, 0, 1, bytes(32), "m00"))
    forged = Commit(1, 0, 1, bytes(32), "m00", prepare.signature)
    world = World(4)
    assert not world.nodes[world.ids[1]].receive("m00", DIALECT.encode(forged))


def test_every_kind_of_statement_has_its_own_tag() -> None:
    world = World(4)
    world.crash(world.ids[0])
    world.height_goal = 2
    world.work()
    world.run(20_000)
    tags: dict[str, set[bytes]] = {}
    for _, message in world.sent:
        stated = DIALECT.statement(message, NETWORK)
        if stated is not None and stated.signed is not None:
            tags.setdefault(stated.kind, set()).add(stated.signed.split(b"\0")[0])
    assert sorted(tags) == ["commit", "new-view", "prepare", "suspect", "view-change"]
    assert all(len(each) == 1 for each in tags.values())
    assert len(set.union(*tags.values())) == 5


def test_an_equivocating_primary_never_gets_two_blocks_decided() -> None:
    world = World(4)
    liar = world.ids[0]
    world.crash(liar)
    world.liars.add(liar)
    one, two = (signed(PrePrepare(1, 0, block(1, NETWORK, n), liar)) for n in ("a", "b"))
    for target, message in ((1, one), (2, two), (3, two), (1, two), (3, one)):
        world.nodes[world.ids[target]].receive(liar, DIALECT.encode(message))
    for target, _message in ((1, one), (2, two), (3, two)):
        for kind in ("a", "b"):
            digest = block(1, NETWORK, kind).digest
            raw = DIALECT.encode(signed(Commit(1, 0, 1, digest, liar)))
            world.nodes[world.ids[target]].receive(liar, raw)
    world.grow(2)  # ``World.judge`` asserts one block per height
    refused = world.nodes[world.ids[1]].engine.refused
    assert refused["contradiction"] + refused.get("second-proposal", 0) > 0


def test_a_proposal_off_the_tip_or_from_the_wrong_view_is_not_accepted() -> None:
    world = World(4)
    backup = world.nodes[world.ids[1]]
    for message in (
        PrePrepare(1, 0, block(1, bytes(32)), "m00"),
        PrePrepare(1, 0, block(99, NETWORK), "m00"),
        PrePrepare(1, 4, block(1, NETWORK), "m00"),
    ):
        assert backup.receive("m00", DIALECT.encode(signed(message)))
        backup.pump()
    stranger = signed(PrePrepare(1, 0, block(1, NETWORK), "m02"))
    assert backup.receive("m02", DIALECT.encode(stranger))
    backup.pump()
    assert backup.engine.refused["wrong-author"] == 1
    with pytest.raises(Malformed, match="primary"):
        PbftDialect(rotation_blocks=0).checks(
            stranger, sender=NodeId("m02"), committee=world.committee, network=NETWORK
        )
    assert not [m for _, m in world.sent if isinstance(m, Prepare)]
    assert backup.engine.refused["wrong-parent"] == 1
    assert backup.engine.refused["proposal-outside"] == 1


def test_only_the_primary_with_a_free_slot_on_an_applied_tip_proposes() -> None:
    world = World(4)
    primary, backup = (world.nodes[node].engine for node in world.ids[:2])
    assert backup.want() is None
    assert backup.propose(block(1, NETWORK)) is ProposeResult.NOT_LEADER
    assert primary.propose(block(1, bytes(32))) is ProposeResult.BUSY
    assert primary.propose(block(1, NETWORK)) is ProposeResult.ACCEPTED
    assert primary.want() is None
    assert primary.propose(block(1, NETWORK, "b")) is ProposeResult.BUSY


def test_lost_messages_are_repeated_until_the_block_is_decided() -> None:
    world = World(4, request_ms=10_000_000)
    seen: set[tuple[str, str, str]] = set()

    def drop_first(source: str, target: str, message: Any) -> bool:
        place = (source, target, type(message).__name__)
        return place not in seen and not seen.add(place)  # type: ignore[func-returns-value]

    world.drop = drop_first
    world.grow(1, ms=10_000)


def test_votes_that_overtake_the_proposal_wait_for_it() -> None:
    world = World(4, request_ms=10_000_000, resend_ms=1_000_000, status_ms=1_000_000)
    late = world.ids[3]
    held: list[tuple[str, bytes]] = []

    def hold(source: str, target: str, message: Any) -> bool:
        if target == late and isinstance(message, PrePrepare):
            held.append((source, DIALECT.encode(message)))
            return True
        return target == late and isinstance(message, Commit)

    world.drop = hold
    world.height_goal = 1
    world.run(20)
    assert world.heights() == {"m00": 1, "m01": 1, "m02": 1, "m03": 0}
    node = world.nodes[late]
    node.receive(*held[0])
    node.pump()
    assert [m for s, m in world.sent if s == late and isinstance(m, Commit)]


def test_a_commit_quorum_without_the_proposal_fetches_the_block_from_a_signer() -> None:
    world = World(4, request_ms=10_000_000, resend_ms=1_000_000, status_ms=1_000_000)
    late = world.ids[3]
    world.drop = lambda _s, target, message: target == late and isinstance(message, PrePrepare)
    world.height_goal = 1
    world.run(50)
    assert world.heights()[late] == 1
    asker, fetch = world.asked[0]
    assert (asker, fetch.lo, fetch.hi) == (late, 1, 1)
    assert fetch.peer != late


def test_a_laggard_catches_up_by_fetching_in_bounded_ranges() -> None:
    world = World(4)
    late = world.ids[3]
    world.crash(late)
    world.grow(150)
    world.start(late)
    world.grow(151, ms=20_000)
    ranges = [(f.lo, f.hi) for asker, f in world.asked if asker == late]
    assert ranges[0] == (1, 64)
    assert all(hi - lo < 64 for lo, hi in ranges)
    assert len(ranges) <= 6


def test_a_claimed_height_is_asked_for_with_pauses_and_never_believed() -> None:
    from consensus.pbft.messages import Status

    world = World(4)
    node = world.nodes[world.ids[1]]
    liar = NodeId("m03")
    world.crash(liar)
    for _ in range(600):
        node.receive(liar, DIALECT.encode(Status(1, 0, True, 1 << 60)))
        node.pump()
        world.run(100)
    asked = [f for asker, f in world.asked if asker == node.id]
    assert {f.peer for f in asked} == {liar}
    assert {(f.lo, f.hi) for f in asked} == {(1, 64)}
    assert len(asked) < 20
    assert node.engine.status().delivered == 0
    world.grow(3, ms=1000)


def test_synced_takes_only_the_next_block_on_our_tip() -> None:
    world = World(4)
    late = world.ids[3]
    world.crash(late)
    world.grow(2)
    chain = world.disks[world.ids[0]].chain
    engine = world.start(late).engine
    assert not engine.synced(*chain[1])
    assert not engine.synced(chain[0][0], b"junk")
    assert not engine.synced(block(1, NETWORK, "other"), chain[0][1])
    assert engine.synced(*chain[0])
    assert not engine.synced(*chain[0])


def test_nothing_that_binds_us_leaves_before_its_record() -> None:
    world = World(4)
    for node in world.nodes.values():
        node.engine.drain()
    engine = world.nodes[world.ids[1]].engine
    engine.step(NodeId("m00"), signed(PrePrepare(1, 0, block(1, NETWORK), "m00")))
    effects = engine.drain()
    assert effects.must_sync
    assert effects.records
    assert effects.bodies == (block(1, NETWORK),)
    assert not [e for e in effects.send_now if isinstance(e.message, Prepare)]
    assert [type(e.message) for e in effects.send_after] == [Prepare]
    assert isinstance(effects.send_after[0], Envelope)
