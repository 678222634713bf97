"""Lost messages heal by comparing what members hold, and two words of one member meet."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from consensus.codec import Malformed
from consensus.pbft import assist
from consensus.pbft.dialect import DIALECT
from consensus.pbft.messages import (
    Commit,
    Held,
    NewView,
    Prepare,
    PrePrepare,
    Status,
    Suspect,
    ViewChange,
)
from consensus.types import NodeId
from tests.consensus.pbft.forge import A, B, change, kinds, lying, tell
from tests.consensus.pbft.harness import World, committee_of

NEVER = 1_000_000_000
QUIET = {"request_ms": NEVER, "resend_ms": NEVER, "status_ms": 50}
Kinds = type | tuple[type, ...]


def sent_to(world: World) -> list[tuple[str, str, Any]]:
    """Record every message with its target; the list grows as the world runs."""
    log: list[tuple[str, str, Any]] = []
    honest = world.drop

    def drop(source: str, target: str, message: Any) -> bool:
        log.append((source, target, message))
        return honest(source, target, message)

    world.drop = drop
    return log


@pytest.mark.parametrize("kind", [PrePrepare, Prepare, Commit, (PrePrepare, Prepare, Commit)])
@pytest.mark.parametrize("window", [1, 4])
def test_votes_lost_once_on_every_link_heal_without_any_timer(kind: Kinds, window: int) -> None:
    world = World(4, **QUIET, window=window)
    lost: set[tuple[str, str, Any]] = set()

    def lose_first(source: str, target: str, message: Any) -> bool:
        place = (source, target, replace(message, signature=b"") if message else None)
        if not isinstance(message, kind) or place in lost:
            return False
        lost.add(place)
        return True

    world.drop = lambda s, t, m: not isinstance(m, Status) and lose_first(s, t, m)
    world.grow(6, ms=20_000)
    assert lost
    assert {node.engine.status().round for node in world.nodes.values()} == {0}


def test_suspicions_are_handed_on_by_others() -> None:
    world = lying(World(4, **QUIET), "m00", "m02")
    tell(world, "m01", Suspect(1, 0, 1, "m02"))
    world.run(200)
    assert set(world.nodes[NodeId("m03")].engine._state.suspects) == {"m02"}


def test_who_missed_the_reason_to_leave_is_shown_it() -> None:
    world = World(4, **{**QUIET, "request_ms": 300})
    world.crash(world.ids[0])
    broadcast: set[tuple[str, str]] = set()

    def lose(source: str, target: str, message: Any) -> bool:
        if isinstance(message, ViewChange) and (source, target) not in broadcast:
            broadcast.add((source, target))
            return True
        return target == "m03" and isinstance(message, Suspect)

    world.drop = lose
    world.work()
    world.run(500)
    assert ("m01", "m03") in broadcast
    assert [n.engine.status().round for n in world.nodes.values()] == [1, 1, 1]


def test_a_vote_arrives_although_its_author_is_gone() -> None:
    world = World(4, **QUIET)
    world.crash(world.ids[3])
    gone = world.ids[1]
    world.drop = lambda source, target, message: (
        source == gone and target == "m02" and isinstance(message, Prepare)
    )
    world.height_goal = 1
    world.run(5)
    world.crash(gone)
    waiting = world.nodes[world.ids[2]].engine._state
    assert waiting.slots[1].prepared is None
    log = sent_to(world)
    world.run(400)
    assert world.heights() == {"m00": 1, "m01": 0, "m02": 1, "m03": 0}
    relayed = [m for s, t, m in log if isinstance(m, Prepare) and m.signer != s]
    assert {m.signer for m in relayed} == {gone}


def test_view_changes_are_handed_on_too() -> None:
    world = World(7, request_ms=300, view_change_ms=NEVER, resend_ms=NEVER, status_ms=50)
    gone, witness = world.ids[6], world.ids[5]
    world.crash(world.ids[0])
    world.drop = lambda source, target, message: (
        isinstance(message, NewView)
        or (isinstance(message, ViewChange) and source == gone and target != witness)
    )
    world.work()
    world.run(500)
    world.crash(gone)
    world.run(500)
    for name in world.ids[2:6]:
        assert gone in world.nodes[name].engine._state.view_changes


def test_where_nothing_is_lost_nothing_is_said_twice() -> None:
    world = World(4, request_ms=NEVER, resend_ms=NEVER, status_ms=20)
    log = sent_to(world)
    world.grow(40, ms=3000)
    copies = Counter((t, DIALECT.encode(m)) for _, t, m in log if not isinstance(m, Status))
    assert max(copies.values()) == 1
    statuses = [m for _, _, m in log if isinstance(m, Status)]
    assert any(line.content for status in statuses for line in status.held)


def test_only_what_is_missing_is_sent_others_words_when_nothing_moves() -> None:
    world = World(4, **QUIET)
    world.drop = lambda _s, _t, message: isinstance(message, Commit)
    world.height_goal = 1
    world.run(10)
    helper = world.nodes[world.ids[1]]
    all_but_one = assist.bitmap(world.committee, ["m00", "m01", "m02"])
    content = helper.engine._state.slots[1].content
    line = Held(1, content, all_but_one, all_but_one)
    world.now_ms += 1000
    helper.engine._state.statuses.clear()
    world.drop = lambda _s, _t, _m: True
    log = sent_to(world)
    for expected in ([], ["m03"]):
        log.clear()
        world.now_ms += 1000
        status = Status(1, 0, True, 0, (line,))
        helper.receive("m00", DIALECT.encode(status))
        helper.pump()
        words = [m for _, t, m in log if t == "m00" and not isinstance(m, Status)]
        assert [m.signer for m in words] == expected
        assert all(isinstance(m, Prepare) for m in words), "commits were never heard"


# --- two words meet ---------------------------------------------------------------------------


def test_an_equivocating_primary_is_found_out_by_members_that_saw_one_half_each() -> None:
    world = lying(World(5, **QUIET), "m00")
    for target in ("m01", "m02"):
        tell(world, target, PrePrepare(1, 0, A, "m00"))
    for target in ("m03", "m04"):
        tell(world, target, PrePrepare(1, 0, B, "m00"))
    world.run(400)
    assert kinds(world) >= {(m, "prepare", "m00") for m in ("m01", "m02", "m03", "m04")}


def test_two_commits_for_two_members_meet_at_an_open_height() -> None:
    world = lying(World(4, **QUIET), "m03")
    world.drop = lambda _s, _t, message: isinstance(message, Commit)
    world.height_goal = 1
    world.run(10)
    tell(world, "m01", Commit(1, 0, 1, A.digest, "m03"))
    tell(world, "m02", Commit(1, 0, 1, B.digest, "m03"))
    world.drop = lambda _s, _t, message: isinstance(message, Commit) and message.signer != "m03"
    world.run(400)
    assert kinds(world) >= {("m01", "commit", "m03"), ("m02", "commit", "m03")}


@pytest.mark.parametrize("kind", ["prepare", "commit"])
@pytest.mark.parametrize("late", [False, True])
def test_two_words_about_a_final_height_meet(kind: str, late: bool) -> None:
    world = lying(World(4, **QUIET), "m03")

    def speak() -> None:
        for target, other in (("m01", bytes(32)), ("m02", b"\1" * 32)):
            make = Prepare if kind == "prepare" else Commit
            tell(world, target, make(1, 0, 1, other, "m03"))

    if not late:
        speak()
    world.grow(3, ms=5000)
    if late:
        speak()
    world.run(400)
    witnesses = {witness for witness, found, _ in kinds(world) if found == kind}
    assert {"m01", "m02"} <= witnesses


def test_two_new_views_meet() -> None:
    world = lying(World(4, **QUIET), "m01")
    for target, members in (("m02", ("m00", "m01", "m02")), ("m03", ("m00", "m01", "m03"))):
        changes = tuple(change(member, 1) for member in members)
        tell(world, target, NewView(1, 1, changes, (), "m01"))
        assert world.nodes[NodeId(target)].engine.status().round == 1
    world.run(400)
    assert {("m02", "new-view", "m01"), ("m03", "new-view", "m01")} <= kinds(world)


def test_one_odd_but_honest_looking_vote_is_told_of_a_few_times_only() -> None:
    world = lying(World(4, **QUIET), "m03")
    for target in world.ids[:3]:
        tell(world, target, Commit(1, 0, 1, bytes(32), "m03"))
    log = sent_to(world)
    world.grow(1, ms=5000)
    world.run(5000)
    told = Counter(s for s, t, m in log if isinstance(m, Commit) and m.signer == "m03")
    assert told
    assert max(told.values()) <= 2 * 3, "twice to each of three peers"
    assert not world.evidence


# --- bounds -----------------------------------------------------------------------------------


def test_a_flood_of_statuses_earns_one_bounded_answer_per_pause() -> None:
    world = lying(World(4, **QUIET, window=4), "m03")
    world.drop = lambda _s, _t, message: isinstance(message, Commit)
    world.height_goal = 9
    world.run(20)
    node = world.nodes[world.ids[1]]
    world.now_ms += 1000
    node.engine.tick(world.now_ms)
    node.pump()
    log = sent_to(world)
    empty = Status(1, 0, True, 0)
    far = Status(1, 0, True, 1 << 60, tuple(Held(h, bytes(32), b"", b"") for h in range(8)))
    for status in (empty, empty, far) * 200:
        node.receive("m03", DIALECT.encode(status))
        node.pump()
    assert len([m for _, t, m in log if t == "m03"]) <= assist.MESSAGES_MAX
    assert len([m for _, t, m in log if isinstance(m, PrePrepare)]) <= assist.PROPOSALS_MAX
    node.engine.check_invariants()


@pytest.mark.parametrize(
    "fields",
    [
        {"suspects": b"\1\0"},
        {"changes": bytes(200) + b"\1"},
        {"opened": b"short"},
        {"held": tuple(Held(h, b"", b"", b"") for h in range(9))},
    ],
)
def test_a_status_keeps_its_limits(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Status(1, 0, True, 0, **fields)
    with pytest.raises(ValueError, match=r"."):
        Held(1, b"short", b"", b"")


def test_statuses_survive_their_bytes_and_bits_name_members() -> None:
    committee = committee_of(10)
    bits = assist.bitmap(committee, ["m00", "m09", "nobody"])
    assert bits == b"\x01\x02"
    status = Status(1, 2, True, 3, (Held(4, bytes(32), bits, b""),), bits, b"", bytes(8))
    raw = DIALECT.encode(status)
    assert DIALECT.decode(raw, size_max=len(raw)) == status
    with pytest.raises(Malformed):
        DIALECT.decode(raw[:-1], size_max=len(raw))


def test_a_proposal_that_a_view_carried_over_is_not_passed_on_as_new() -> None:
    world = World(4, request_ms=300, view_change_ms=300, resend_ms=100, status_ms=50)
    world.drop = lambda _s, _t, message: isinstance(message, Commit)
    world.height_goal = 1
    world.run(50)
    world.crash(world.ids[0])
    world.run(2000)
    assert max(m.view for _, m in world.sent if isinstance(m, Prepare)) > 0
    signers = {(m.view, m.signer) for _, m in world.sent if isinstance(m, PrePrepare)}
    assert signers == {(0, "m00")}
