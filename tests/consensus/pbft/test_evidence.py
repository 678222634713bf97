"""Contradictions: each kind proven, near misses refused, liars found, the honest spared."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import wire
from consensus.certs import proposal_hash
from consensus.codec import Malformed
from consensus.effects import Contradiction
from consensus.pbft import evidence
from consensus.pbft.dialect import DIALECT
from consensus.pbft.evidence import (
    STATEMENTS_BYTES_MAX,
    SignedStatement,
    conflicting,
    encode,
    forgotten,
    prove,
    signed_statement,
    wrong_choice,
)
from consensus.pbft.messages import (
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Suspect,
    ViewChange,
)
from consensus.types import Committee, NodeId
from tests.consensus.pbft.forge import (
    COMMITTEE,
    A,
    B,
    change,
    committed,
    kinds,
    lying,
    opened,
    prepared,
    tell,
)
from tests.consensus.pbft.harness import (
    NETWORK,
    World,
    block,
    committee_of,
    fake_verify,
    signed,
)

NEXT = block(2, A.digest, "c")


def said(message: Any) -> SignedStatement:
    statement = signed_statement(signed(message), NETWORK)
    assert statement is not None
    return statement


def proven(found: Contradiction | None, committee: Committee = COMMITTEE) -> Contradiction:
    """Take ``found`` through its bytes; every signature that proves it must hold."""
    assert found is not None
    again, checks = prove(encode(found), committee=committee, network=NETWORK)
    assert checks
    assert {check.key for check in checks} == {committee.key(found.member)}
    assert all(fake_verify(c.key, c.message, c.signature) for c in checks)
    assert again == found
    return again


PREPARE_A = Prepare(1, 0, 1, proposal_hash(A), "m00")
PREPARE_B = Prepare(1, 0, 1, proposal_hash(B), "m00")
COMMIT_A = Commit(1, 0, 1, A.digest, "m00")
COMMIT_B = Commit(1, 0, 1, B.digest, "m00")


def test_two_prepares_in_one_slot_are_proof_also_inside_a_pre_prepare() -> None:
    plain = proven(conflicting(said(PREPARE_A), said(PREPARE_B)))
    assert (plain.kind, plain.member, plain.round, plain.height) == ("prepare", "m00", 0, 1)
    inside = proven(conflicting(said(PrePrepare(1, 0, B, "m00")), said(PREPARE_A)))
    assert inside == plain, "the same pair, the same bytes"


def test_two_commits_two_view_changes_and_two_new_views_are_proof() -> None:
    pairs = [
        (said(COMMIT_A), said(COMMIT_B), "commit", 0, 1),
        (said(change("m02", 3)), said(change("m02", 3, prepared(A, 0))), "view-change", 3, 0),
        (said(opened()), said(opened(A)), "new-view", 1, 0),
    ]
    for one, other, kind, view, height in pairs:
        found = proven(conflicting(one, other))
        assert (found.kind, found.round, found.height) == (kind, view, height)
        assert found == conflicting(other, one)
        assert len(encode(found)) <= STATEMENTS_BYTES_MAX


@pytest.mark.parametrize(
    "other",
    [
        PREPARE_A,
        replace(PREPARE_B, view=1),
        replace(PREPARE_B, height=2),
        replace(PREPARE_B, epoch=2),
        replace(PREPARE_B, signer="m01"),
        Commit(1, 0, 1, B.digest, "m00"),
    ],
)
def test_statements_of_different_places_or_equal_content_prove_nothing(other: Any) -> None:
    assert conflicting(said(PREPARE_A), said(other)) is None


def test_suspicions_contradict_nothing() -> None:
    assert signed_statement(signed(Suspect(1, 0, 1, "m00")), NETWORK) is None


@pytest.mark.parametrize(
    "later",
    [
        change("m00", 1),
        change("m00", 4),
        change("m00", 1, prepared(B, 0)),
        change("m00", 3, base=(1, A.digest, committed(A, 0))),
        change("m00", 3, prepared(NEXT, 0), base=(1, A.digest, committed(A, 0))),
    ],
)
def test_a_view_change_that_forgets_a_commit_is_proof(later: ViewChange) -> None:
    height = later.height + 1
    proposal = {1: A, 2: block(2, A.digest, "d")}[height]
    commit = said(Commit(1, 0, height, proposal.digest, "m00"))
    found = proven(forgotten(commit, later))
    assert (found.kind, found.round, found.height) == ("amnesia", later.view, height)
    assert DIALECT.checks(later, sender=NodeId("m00"), committee=COMMITTEE, network=NETWORK)


@pytest.mark.parametrize(
    ("commit", "later"),
    [
        (COMMIT_A, change("m00", 1, prepared(A, 0))),
        (COMMIT_A, change("m01", 1)),
        (COMMIT_A, change("m00", 3, prepared(A, 2))),
        (COMMIT_A, change("m00", 3, prepared(B, 2))),
        (COMMIT_A, change("m00", 3, base=(1, A.digest, committed(A, 0)))),
        (replace(COMMIT_A, view=1), change("m00", 1)),
        (replace(COMMIT_A, view=2), change("m00", 1)),
        (replace(COMMIT_A, epoch=2), change("m00", 1)),
        # A later view put another block below: the chain that may be shown ends there.
        (Commit(1, 0, 2, NEXT.digest, "m00"), change("m00", 3, prepared(B, 2))),
        (
            Commit(1, 0, 2, NEXT.digest, "m00"),
            change("m00", 3, base=(1, B.digest, committed(B, 2))),
        ),
        # An honest member that prepared, and left the view afterwards.
        (PREPARE_A, change("m00", 1)),
        (COMMIT_A, change("m00", 1, base=(0, NETWORK, b"junk"))),
    ],
)
def test_a_view_change_that_an_honest_member_may_send_proves_nothing(
    commit: Any, later: ViewChange
) -> None:
    assert forgotten(said(commit), later) is None


def test_a_new_view_that_does_not_follow_from_its_view_changes_is_proof() -> None:
    for message in (
        opened(A),
        opened(shown=(prepared(A, 0),)),
        opened(B, shown=(prepared(A, 0),)),
    ):
        found = proven(wrong_choice(message))
        assert (found.kind, found.member, found.round) == ("choice", "m01", 1)
        assert found.second == b""
    assert wrong_choice(opened()) is None
    assert wrong_choice(opened(A, shown=(prepared(A, 0),))) is None


def refuse(raw: bytes, committee: Committee = COMMITTEE) -> None:
    with pytest.raises(Malformed):
        prove(raw, committee=committee, network=NETWORK)


def pair(first: Any, second: Any | None) -> bytes:
    parts = [evidence._PARTS.encode(part) for part in (first, second) if part is not None]
    return wire.encode(evidence.Evidence(parts[0], parts[1] if second is not None else b""))


def test_what_is_no_contradiction_or_not_its_only_encoding_is_malformed() -> None:
    one, other = said(PREPARE_A), said(PREPARE_B)
    found = conflicting(one, other)
    assert found is not None
    refuse(wire.encode(evidence.Evidence(found.second, found.first)))
    refuse(pair(one, one))
    refuse(pair(one, None))
    refuse(pair(one, replace(other, signer="m01")))
    refuse(pair(change("m00", 1), change("m00", 1, prepared(A, 0))))
    refuse(pair(opened(), None))
    refuse(pair(opened(A), one))
    refuse(pair(said(COMMIT_A), change("m00", 1, prepared(A, 0))))
    refuse(b"")
    refuse(encode(found) + b"\0")
    refuse(encode(found), committee_of(4, epoch=2))
    refuse(encode(found), Committee(1, COMMITTEE.members[1:]))


@pytest.mark.parametrize(
    "field",
    [
        {"kind": "suspect"},
        {"digest": b"x"},
        {"signature": b""},
        {"signer": ""},
        {"view": 1 << 63},
    ],
)
def test_a_statement_keeps_its_limits(field: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        replace(said(COMMIT_A), **field)
    with pytest.raises(ValueError, match="no height"):
        replace(said(change("m00", 1)), height=1)


def test_a_forged_half_fails_its_check() -> None:
    forged = replace(said(PREPARE_B), signature=b"forged")
    found = conflicting(said(PREPARE_A), forged)
    assert found is not None
    _, checks = prove(encode(found), committee=COMMITTEE, network=NETWORK)
    assert [fake_verify(c.key, c.message, c.signature) for c in checks].count(False) == 1


@given(st.binary(max_size=300), st.integers(0, 1 << 12), st.integers(1, 255))
def test_any_bytes_are_proof_or_malformed(raw: bytes, at: int, bits: int) -> None:
    good = bytearray(encode(proven(forgotten(said(COMMIT_A), change("m00", 1)))))
    good[at % len(good)] ^= bits
    for attempt in (raw, bytes(good)):
        try:
            found, checks = prove(attempt, committee=COMMITTEE, network=NETWORK)
        except Malformed:
            continue
        assert encode(found) == attempt
        assert checks


# --- the engine notices ---------------------------------------------------------------------


def test_a_second_word_is_reported_once_also_after_the_block_is_final() -> None:
    world = lying(World(4), "m03")
    world.height_goal = 3
    world.run(50)
    assert set(world.heights().values()) == {0, 3}
    first = Commit(1, 0, 2, world.decided[2], "m03")
    other = replace(first, digest=bytes(32))
    tell(world, "m01", first, other, other, replace(other, digest=b"1" * 32))
    assert kinds(world) == {("m01", "commit", "m03")}
    assert len(world.evidence) == 1


def test_the_second_proposal_of_a_primary_is_reported_though_only_one_can_be_kept() -> None:
    world = lying(World(4), "m00")
    tell(world, "m01", PrePrepare(1, 0, A, "m00"), PrePrepare(1, 0, B, "m00"))
    assert kinds(world) == {("m01", "prepare", "m00")}
    tell(world, "m02", PrePrepare(1, 0, A, "m00"), PREPARE_B)
    assert [found for _, found in world.evidence] == [world.evidence[0][1]] * 2


def test_a_word_about_a_left_view_is_still_compared() -> None:
    world = lying(World(4), "m00")
    tell(world, "m01", PREPARE_A)
    world.grow(1)
    assert world.nodes[NodeId("m01")].engine.status().round == 1
    tell(world, "m01", PREPARE_B)
    assert kinds(world) == {("m01", "prepare", "m00")}


def test_two_words_about_one_view_are_reported_by_whoever_hears_both() -> None:
    world = lying(World(4), "m03", "m01")
    tell(world, "m02", change("m03", 3), change("m03", 3, prepared(A, 0)))
    assert kinds(world) == {("m02", "view-change", "m03")}
    world.evidence.clear()
    tell(world, "m02", opened(), opened(A))
    assert {kind for _, kind, _ in kinds(world)} == {"new-view", "choice"}


@pytest.mark.parametrize("reverse", [False, True])
def test_a_forgotten_commit_is_reported_in_either_order(reverse: bool) -> None:
    world = lying(World(4), "m03")
    story = [Commit(1, 0, 1, A.digest, "m03"), change("m03", 3)]
    tell(world, "m01", *(reversed(story) if reverse else story))
    assert kinds(world) == {("m01", "amnesia", "m03")}


def test_view_changes_inside_a_new_view_count_too() -> None:
    world = lying(World(4), "m00")
    tell(world, "m03", change("m00", 1, prepared(A, 0)), opened())
    assert ("m03", "view-change", "m00") in kinds(world)


def test_a_member_is_reported_eight_times_and_costs_no_more_memory() -> None:
    world = lying(World(4), "m03")
    node = world.nodes[NodeId("m01")]
    for view in range(40):
        for digest in (A.digest, B.digest):
            tell(world, "m01", Commit(1, view, 1, digest, "m03"))
    assert len(world.evidence) == 8
    rng = Random(5)
    for _ in range(3000):
        view, height = rng.randrange(1 << 30), rng.randrange(12)
        tell(world, "m01", Prepare(1, view, height, rng.randbytes(32), "m03"))
    assert len(node.engine._state.watch) < 50
    assert len(world.evidence) == 8


# --- the honest are spared ------------------------------------------------------------------


def charges(messages: list[Any]) -> list[Contradiction]:
    """Compare everything that each member said with everything else, by brute force."""
    changes: dict[str, set[ViewChange]] = {}
    statements: set[SignedStatement] = set()
    found: list[Contradiction | None] = []
    for message in {m for m in messages if getattr(m, "signature", b"")}:
        inside = message.view_changes if isinstance(message, NewView) else ()
        for each in (message, *inside):
            if isinstance(each, ViewChange):
                changes.setdefault(each.signer, set()).add(each)
            statement = signed_statement(each, NETWORK)
            statements.update([] if statement is None else [statement])
        if inside:
            found.append(wrong_choice(message))
    places: dict[Any, SignedStatement] = {}
    for each in statements:
        place = (each.kind, each.view, each.height, each.signer)
        found.append(conflicting(places.setdefault(place, each), each))
        found += [forgotten(each, later) for later in changes.get(each.signer, ())]
    return [each for each in found if each is not None]


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    size=st.sampled_from([4, 5, 7]),
    window=st.sampled_from([1, 2, 4]),
    loss=st.sampled_from([0.05, 0.2, 0.35]),
)
def test_no_history_of_honest_members_holds_evidence(
    seed: int, size: int, window: int, loss: float
) -> None:
    rng = Random(seed)
    world = World(
        size, request_ms=100, view_change_ms=100, resend_ms=60, status_ms=50, window=window
    )
    world.height_goal = 1_000
    world.drop = lambda _s, _t, _m: rng.random() < loss
    for _ in range(25):
        victim = world.ids[rng.randrange(size)]
        if victim not in world.nodes:
            world.start(victim)
        elif rng.random() < 0.4:
            world.crash(victim)
        shuffled = list(world.wire)
        rng.shuffle(shuffled)
        world.wire.clear()
        world.wire.extend(shuffled)
        world.work()
        world.run(rng.randrange(5, 150))
    assert not charges([message for _, message in world.sent])
    assert not world.evidence
