"""Mistakes that other engines made in the field: each is played here and has no effect.

What is not here stands where its rule is tested: quorums of a literal 2f + 1, a primary counted
twice and one tag for prepare and commit in ``test_normal_case``; first found instead of highest
view in ``test_select``; gaps and unprepared parents in ``test_window``; choices not computed
again, poisoned sets and endless back-off in ``test_view_change``; forgotten promises in
``test_restart``; certificates of another committee in ``test_epochs``.
"""

from dataclasses import replace
from typing import Any

import pytest

from consensus.certs import decode_commit
from consensus.codec import Malformed
from consensus.pbft.dialect import DIALECT
from consensus.pbft.messages import (
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Status,
    Suspect,
    ViewChange,
)
from consensus.types import NodeId
from tests.consensus.pbft.harness import NETWORK, World, block, fake_verify, signed

FAST = {"request_ms": 300, "view_change_ms": 300, "resend_ms": 100, "status_ms": 80}
CALM = {"request_ms": 10_000_000, "resend_ms": 1_000_000, "status_ms": 1_000_000}


def said(world: World, node: str, kind: type) -> list[Any]:
    return [m for source, m in world.sent if source == node and isinstance(m, kind)]


def left_view_zero(world: World) -> list[ViewChange]:
    """Let all but m00 leave view 0; none hears of it.  Returns their signed view changes."""
    silent = Commit | ViewChange | NewView | Status
    world.drop = lambda _s, _t, message: isinstance(message, silent)
    world.crash(world.ids[0])
    world.work()
    world.run(3000)
    return [signed(node.engine._state.own_view_change) for node in world.nodes.values()]


def test_a_proposal_for_a_view_that_nobody_opened_is_not_voted_for() -> None:
    world = World(4, **CALM)
    node = world.nodes[world.ids[2]]
    ahead = signed(PrePrepare(1, 1, block(1, NETWORK), "m01"))
    for _ in range(3):
        assert node.receive("m01", DIALECT.encode(ahead))
        node.pump()
    assert not said(world, "m02", Prepare)
    assert node.engine.status().round == 0


def test_a_message_with_a_false_signature_changes_nothing() -> None:
    world = World(4, window=2)
    changes = left_view_zero(World(4, **FAST))
    node = world.nodes[world.ids[2]]
    node.engine.tick(world.now_ms)
    before = node.engine.fingerprint()
    new_view = NewView(1, 1, tuple(changes), (), "m01", b"x" * 64)
    nested = signed(replace(new_view, view_changes=(forged(changes[0]), *changes[1:])))
    for message in (
        PrePrepare(1, 0, block(1, NETWORK), "m00", b"x" * 64),
        Prepare(1, 0, 1, bytes(32), "m01", b"x" * 64),
        Commit(1, 0, 1, bytes(32), "m01", b"x" * 64),
        Suspect(1, 0, 1, "m01", b"x" * 64),
        forged(changes[0]),
        new_view,
        nested,
    ):
        assert not node.receive("m01", DIALECT.encode(message))
    assert node.engine.fingerprint() == before


def forged(change: ViewChange) -> ViewChange:
    return replace(change, signature=b"x" * 64)


def test_a_vote_counts_for_its_author_whoever_relays_it() -> None:
    world = World(4, **CALM)
    node = world.nodes[world.ids[2]]
    vote = signed(Commit(1, 0, 1, bytes(32), "m01"))
    for relay in world.ids:
        node.receive(relay, DIALECT.encode(vote))
    assert [(v.signer, v.view) for v in node.engine._state.votes] == [("m01", 0)]


def test_a_view_starts_from_the_highest_block_proven_inside_its_own_set() -> None:
    # Two sets must not be confused: the view changes that the NewView carries, and those that
    # the checking member happens to hold (one of which knows of a later block).
    world = World(7, **FAST)
    world.grow(2)
    full = world.ids[6]
    world.drop = lambda source, target, message: (
        isinstance(message, Commit) and target != full and message.height == 3
    )
    world.height_goal = 3
    world.run(50)
    assert world.heights()[full] == 3
    changes = left_view_zero(world)
    with_it = [c for c in changes if c.signer == full]
    assert [c.height for c in with_it] == [3]
    others = tuple(c for c in changes if c.signer != full)
    chosen = others[0].prepared[0].proposal
    node = world.nodes[world.ids[5]]
    node.receive(full, DIALECT.encode(with_it[0]))
    node.receive("m01", DIALECT.encode(signed(NewView(1, 1, others, (chosen,), "m01"))))
    assert node.engine.status().role == "backup"
    assert chosen.height == 3
    assert chosen.digest == world.decided[3]


def test_a_final_block_is_claimed_only_with_its_own_certificate() -> None:
    world = World(4, **FAST)
    world.grow(2)
    certificates = {p.height: c for p, c in world.disks[world.ids[1]].chain}
    change = left_view_zero(world)[0]
    assert change.height == 2
    for claim in (
        replace(change, height=3, digest=bytes(32)),
        replace(change, digest=world.decided[1]),
        replace(change, certificate=certificates[1]),
    ):
        with pytest.raises(Malformed):
            DIALECT.checks(
                signed(replace(claim, signature=b"")),
                sender=NodeId(change.signer),
                committee=world.committee,
                network=NETWORK,
            )
    bare = signed(replace(change, certificate=b"", signature=b""))
    node = world.nodes[world.ids[2]]
    node.receive(change.signer, DIALECT.encode(bare))
    assert node.engine.refused["view-change-base"] == 1


def test_a_block_fetched_and_then_committed_is_delivered_once() -> None:
    world = World(4, **CALM)
    late = world.ids[3]
    world.drop = lambda _s, target, message: target == late and isinstance(message, Commit)
    world.height_goal = 1
    world.run(50)
    node = world.nodes[late]
    final = world.disks[world.ids[0]].chain[0]
    assert node.take(*final)
    for signer in world.ids[:3]:
        node.receive(signer, DIALECT.encode(signed(Commit(1, 0, 1, final[0].digest, signer))))
    node.pump()
    assert not node.take(*final)
    node.pump()
    assert [p.height for p, _ in world.disks[late].chain] == [1]
    world.start(late).pump()
    assert [p.height for p, _ in world.disks[late].chain] == [1]


def test_what_a_view_carries_over_is_never_proposed_as_new() -> None:
    # A clock is compared with the block time of new proposals only; an old block with an old
    # time must pass for as long as it takes.
    world = World(4, **FAST)
    world.drop = lambda _s, _t, message: isinstance(message, Commit)
    world.height_goal = 1
    world.run(50)
    world.crash(world.ids[0])
    world.work()
    world.run(2000, lambda: bool(said(world, "m01", NewView)))
    world.run(500)
    world.start(world.ids[1])
    world.run(500)
    again = [m for _, m in world.sent if isinstance(m, PrePrepare) and m.view > 0]
    assert again == []
    opened = said(world, "m01", NewView)[0]
    assert [p.height for p in opened.chosen] == [1]
    assert not DIALECT.is_fresh(opened)
    assert not DIALECT.is_fresh(opened.view_changes[0])
    assert DIALECT.is_fresh(PrePrepare(1, 0, block(1, NETWORK), "m00"))


def test_the_new_view_timer_starts_only_with_a_quorum_in_the_view_change() -> None:
    changes = left_view_zero(World(4, **FAST))
    world = World(4, **FAST)
    node = world.nodes[world.ids[0]]
    state = node.engine._state
    for change in changes[:2]:
        node.receive(change.signer, DIALECT.encode(change))
        assert state.new_view_due_ms is None
    world.now_ms += 100_000
    node.engine.tick(world.now_ms)
    assert (state.view, state.new_view_due_ms) == (1, None)
    node.receive(changes[2].signer, DIALECT.encode(changes[2]))
    assert state.new_view_due_ms == world.now_ms + 300


def test_members_prepared_on_different_blocks_are_not_locked_against_each_other() -> None:
    # m02 alone prepares one block in view 0; view 1 is opened without m02 and prepares another
    # one; in view 2 everybody must be able to vote for the newer of the two.
    world = World(4, **FAST)
    lone = world.ids[2]

    def lost(source: str, target: str, message: Any) -> bool:
        if isinstance(message, Prepare) and message.view == 0:
            return target != lone
        return isinstance(message, Commit) or lone == source

    world.drop = lost
    world.height_goal = 1
    world.run(50)
    state = world.nodes[lone].engine._state
    assert state.slots[1].prepared is not None
    old = state.slots[1].prepared.proposal
    world.drop = lambda source, target, message: (
        lone in (source, target) or lost(source, target, message)
    )
    world.work()
    other = world.nodes[world.ids[3]].engine._state
    world.run(10_000, lambda: other.view > 0 and 1 in other.slots and other.slots[1].prepared)
    assert other.slots[1].prepared is not None
    new = other.slots[1].prepared.proposal
    assert new.digest != old.digest
    world.drop = lambda _s, _t, message: False
    world.grow(2)
    assert world.decided[1] == new.digest


def test_a_claimed_view_or_height_is_believed_of_nobody() -> None:
    world = World(4, **FAST)
    node = world.nodes[world.ids[1]]
    for liar in ("m02", "m03"):
        node.receive(liar, DIALECT.encode(Status(1, 1 << 50, True, 1 << 50)))
    node.pump()
    world.run(1000)
    status = node.engine.status()
    assert (status.round, status.delivered) == (0, 0)


def test_a_certificate_never_holds_one_signer_twice() -> None:
    world = World(4, **FAST)
    world.grow(1)
    proposal, raw = world.disks[world.ids[0]].chain[0]
    certificate = decode_commit(raw)
    doubled = replace(certificate, signatures=certificate.signatures[:1] * 3)
    from consensus import wire

    checks = DIALECT.certificate_checks(
        wire.encode(doubled), proposal=proposal, committee=world.committee, network=NETWORK
    )
    assert not all(fake_verify(c.key, c.message, c.signature) for c in checks)
    for bitmap in (b"\x01", b"\x0f", b"\x17"):
        with pytest.raises(Malformed):
            DIALECT.certificate_checks(
                wire.encode(replace(certificate, signers=bitmap)),
                proposal=proposal,
                committee=world.committee,
                network=NETWORK,
            )
