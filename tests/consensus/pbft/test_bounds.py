"""Floods, garbage and totality: nothing a peer sends grows memory or raises."""

import contextlib
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus import codec
from consensus.certs import PreparedCert, SuspectCert
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
from consensus.pbft.votes import Verdict, Vote, VoteBook
from consensus.types import U63_MAX, NodeId
from tests.consensus.pbft.harness import NETWORK, World, block, signed

numbers = st.one_of(st.integers(0, 4), st.integers(0, U63_MAX), st.just(U63_MAX))
authors = st.sampled_from(["m00", "m01", "m02", "m03", "nobody"])
digests = st.sampled_from([bytes(32), NETWORK, block(1, NETWORK).digest])
signature_bytes = st.binary(min_size=1, max_size=64)
bitmaps = st.binary(max_size=3)
proposals = st.builds(
    block, st.integers(1, 3) | st.just(U63_MAX), digests, st.sampled_from(["", "x"])
)
bundles = st.lists(signature_bytes, max_size=4).map(tuple)
epochs = st.sampled_from([1, 1, 1, 2])
prepared = st.builds(PreparedCert, epochs, numbers, proposals, bitmaps, bundles)
suspicions = st.builds(SuspectCert, epochs, numbers, numbers, bitmaps, bundles)
view_changes = st.builds(
    ViewChange,
    epochs,
    numbers,
    numbers,
    digests,
    st.binary(max_size=8),
    st.lists(prepared, max_size=1).map(tuple),
    suspicions,
    authors,
    signature_bytes,
)
messages = st.one_of(
    st.builds(PrePrepare, epochs, numbers, proposals, authors, signature_bytes),
    st.builds(Prepare, epochs, numbers, numbers, digests, authors, signature_bytes),
    st.builds(Commit, epochs, numbers, numbers, digests, authors, signature_bytes),
    st.builds(Suspect, epochs, numbers, numbers, authors, signature_bytes),
    view_changes,
    st.builds(
        NewView,
        epochs,
        numbers,
        st.lists(view_changes, max_size=4).map(tuple),
        st.lists(proposals, max_size=1).map(tuple),
        authors,
        signature_bytes,
    ),
    st.builds(Status, epochs, numbers, st.booleans(), numbers),
)


@given(messages)
def test_messages_survive_their_bytes(message: Any) -> None:
    raw = DIALECT.encode(message)
    assert DIALECT.decode(raw, size_max=len(raw)) == message
    with pytest.raises(Malformed):
        DIALECT.decode(raw, size_max=len(raw) - 1)


@given(messages)
def test_checks_end_in_signatures_or_malformed(message: Any) -> None:
    committee = World(4).committee
    try:
        checks = DIALECT.checks(
            message, sender=NodeId("m01"), committee=committee, network=NETWORK
        )
    except Malformed:
        return
    assert isinstance(message, Status) or checks


@given(st.binary(max_size=200))
def test_random_bytes_only_ever_raise_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        DIALECT.decode(b"\xc1" + raw, size_max=1000)
    with contextlib.suppress(Malformed):
        DIALECT.decode(raw, size_max=1000)


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 1 << 64 - 1)
    | st.binary(max_size=40)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=7),
    max_leaves=12,
)


@given(st.integers(0, 9), json_like)
def test_well_formed_nonsense_only_ever_raises_malformed(tag: int, body: Any) -> None:
    with contextlib.suppress(Malformed):
        DIALECT.decode(codec.encode([tag, body]), size_max=1 << 16)


@given(messages, st.integers(0, 1 << 16), st.integers(0, 255))
def test_a_flipped_byte_gives_a_message_or_malformed(message: Any, at: int, bits: int) -> None:
    raw = bytearray(DIALECT.encode(message))
    raw[at % len(raw)] ^= bits
    with contextlib.suppress(Malformed):
        DIALECT.decode(bytes(raw), size_max=1 << 16)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(authors, messages), max_size=30))
def test_step_is_total_for_anything_decodable(inputs: list[tuple[str, Any]]) -> None:
    # Without the signature checks that the driver makes first: totality must not need them.
    world = World(4)
    node = world.nodes[world.ids[1]]
    for position, (sender, message) in enumerate(inputs):
        node.engine.tick(world.now_ms + 300 * position)
        node.engine.step(NodeId(sender), message)
        node.engine.check_invariants()
        node.engine.fingerprint()
        assert node.engine.deadline_ms is not None
        node.engine.drain()


def test_a_flood_for_far_heights_and_views_keeps_memory_bounded() -> None:
    world = World(4)
    node = world.nodes[world.ids[0]]
    rng = Random(7)
    size_before = 0
    for count in range(3000):
        signer = world.ids[1 + rng.randrange(3)]
        view, height = rng.randrange(1 << 40), 1 + rng.randrange(3) * rng.randrange(1 << 40)
        digest = rng.randbytes(32)
        proposal = block(1 + rng.randrange(3), NETWORK, f"{count}")
        leader = world.ids[view % 4]
        for message in (
            Prepare(1, view, height, digest, signer),
            Commit(1, view, height, digest, signer),
            Suspect(1, view, height, signer),
            PrePrepare(1, view, proposal, leader),
            Status(1, view, False, 0),
        ):
            message = message if isinstance(message, Status) else signed(message)
            if leader != node.id or not isinstance(message, PrePrepare):
                node.receive(signer, DIALECT.encode(message))
        node.engine.drain()
        if count == 1500:
            size_before = footprint(node.engine._state)
    assert footprint(node.engine._state) <= size_before + 4
    node.engine.check_invariants()
    assert node.engine.status().round == 0


def footprint(state: Any) -> int:
    kept = (
        state.votes, state.early, state.ahead, state.suspects, state.suspects_ahead,
        state.view_changes, state.statuses, state.slots, state.refused, state.heard_ms,
    )  # fmt: skip
    return sum(len(each) for each in kept)


def vote(signer: str, view: int, height: int, value: bytes = b"a") -> Vote:
    return Vote("commit", view, height, value, signer, b"s")


def test_the_vote_book_keeps_two_places_and_the_first_word() -> None:
    book = VoteBook()

    def cast(item: Vote) -> Verdict:
        return book.cast(item, height_min=5, height_max=6)

    assert cast(vote("m0", 0, 5)) is Verdict.COUNTED
    assert cast(vote("m0", 0, 5)) is Verdict.REPEATED
    assert cast(vote("m0", 0, 5, b"b")) is Verdict.CONFLICT
    assert cast(vote("m0", 0, 4)) is Verdict.OUTSIDE
    assert cast(vote("m0", 0, 7)) is Verdict.OUTSIDE
    assert cast(vote("m0", 3, 5)) is Verdict.COUNTED
    assert cast(vote("m0", 2, 5)) is Verdict.OUTSIDE
    assert cast(vote("m0", 4, 5)) is Verdict.COUNTED
    assert len(book) == 2
    book.enter_view(4)
    assert book.agreeing("commit", 5, b"a") == {"m0": b"s"}
    assert cast(vote("m0", 3, 5)) is Verdict.OUTSIDE
    book.delivered(5)
    assert len(book) == 0


def test_quorums_count_distinct_signers_of_one_statement() -> None:
    book = VoteBook()
    for item in (vote("a", 0, 1), vote("b", 0, 1, b"b"), vote("c", 1, 1), vote("a", 0, 1)):
        book.cast(item, height_min=1, height_max=1)
    assert book.quorum("commit", 1, 2) is None
    book.cast(vote("d", 1, 1), height_min=1, height_max=1)
    reached = book.quorum("commit", 1, 2)
    assert reached is not None
    assert (reached.view, sorted(reached.signatures)) == (1, ["c", "d"])
    assert book.quorum("prepare", 1, 1) is None
