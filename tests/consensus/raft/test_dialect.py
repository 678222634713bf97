"""Bytes from peers: decoding raises only ``Malformed``; no message breaks the engine."""

import hashlib
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import codec
from consensus.codec import Malformed
from consensus.raft.dialect import DIALECT
from consensus.raft.log import Entry
from consensus.raft.membership import Change
from consensus.raft.messages import (
    Append,
    AppendResponse,
    Heartbeat,
    HeartbeatResponse,
    PreVoteRequest,
    PreVoteResponse,
    ProposeRequest,
    ReadRequest,
    ReadResponse,
    Snapshot,
    TimeoutNow,
    TransferRequest,
    VoteRequest,
    VoteResponse,
)
from consensus.types import NodeId, Statement
from tests.consensus.raft.bench import (
    EPOCH,
    N1,
    N2,
    N3,
    Bench,
    append_of,
    entries,
    vote_request,
)
from tests.consensus.raft.harness import NETWORK, chain, committee

SIZE = 1 << 20
small = st.integers(0, 6)
terms = st.integers(1, 5)
peers = st.sampled_from([N2, N3, NodeId("n9"), N1])
epochs = st.sampled_from([EPOCH, EPOCH, EPOCH, EPOCH + 1])
CHAIN = chain(6, flavour="x")


@st.composite
def appends(draw: st.DrawFn, commit: st.SearchStrategy[int] = small) -> Append:
    log = entries(*sorted(draw(st.lists(terms, max_size=6))))
    start = draw(st.integers(0, len(log)))
    prev_term = log[start - 1].term if start else 0
    top = log[-1].term if log else 1
    term = draw(st.integers(top, 6))
    return Append(draw(epochs), term, draw(peers), start, prev_term, draw(commit), log[start:])


votes = st.one_of(
    st.builds(PreVoteRequest, epochs, terms, peers, small, small),
    st.builds(PreVoteResponse, epochs, terms, peers, st.booleans()),
    st.builds(VoteRequest, epochs, terms, peers, small, small),
    st.builds(VoteResponse, epochs, terms, peers, peers, st.booleans()),
)
answers = st.one_of(
    st.builds(AppendResponse, epochs, terms, peers, st.booleans(), small, small, small),
    st.builds(HeartbeatResponse, epochs, terms, peers),
)
snapshots = st.builds(
    lambda epoch, term, peer, index, height: Snapshot(
        epoch, term, peer, index, 1, height, CHAIN[height - 1].digest
    ),
    epochs,
    terms,
    peers,
    st.integers(1, 9),
    st.integers(1, 6),
)
heartbeats = st.builds(Heartbeat, epochs, terms, peers, small, small)
forced = st.builds(VoteRequest, epochs, terms, peers, small, small, st.just(value=True))
refusals = st.one_of(
    st.builds(PreVoteResponse, epochs, terms, peers, st.just(value=False), small, small),
    st.builds(VoteResponse, epochs, terms, peers, peers, st.just(value=False), small, small),
)
requests = st.one_of(
    st.builds(TimeoutNow, epochs, terms, peers),
    st.builds(TransferRequest, epochs, terms, peers, peers),
    st.builds(ReadRequest, epochs, st.just(0), peers, small),
    st.builds(ReadResponse, epochs, terms, peers, small, small),
    st.builds(HeartbeatResponse, epochs, terms, peers, small),
    st.builds(ProposeRequest, epochs, st.just(0), peers, st.none(), st.just(Change())),
)
uncommitting = st.one_of(votes, answers, forced, requests, appends(st.just(0)))
messages = st.one_of(
    votes, answers, snapshots, heartbeats, refusals, forced, requests, appends()
)


@given(messages)
def test_every_message_comes_back_from_its_bytes(message: object) -> None:
    assert DIALECT.decode(DIALECT.encode(message), size_max=SIZE) == message


@given(st.binary(max_size=200))
def test_random_bytes_are_malformed_or_a_message(raw: bytes) -> None:
    try:
        message = DIALECT.decode(raw, size_max=SIZE)
    except Malformed:
        return
    assert DIALECT.encode(message) == raw


@given(message=messages, seed=st.integers(0, 1 << 30))
def test_damaged_bytes_are_malformed_or_another_message(message: object, seed: int) -> None:
    rng = random.Random(seed)
    raw = bytearray(DIALECT.encode(message))
    for _ in range(rng.randrange(1, 4)):
        raw[rng.randrange(0, len(raw))] = rng.randrange(0, 256)
    try:
        decoded = DIALECT.decode(bytes(raw), size_max=SIZE)
    except Malformed:
        return
    assert DIALECT.encode(decoded) == bytes(raw)


moves = st.lists(
    st.one_of(uncommitting, st.sampled_from(["tick", "lead", "propose", "crash"])), max_size=25
)


def play(bench: Bench, steps: list[object]) -> None:
    for step in steps:
        if step == "tick":
            bench.tick(700)
        elif step == "lead":
            bench.campaign()
        elif step == "propose":
            if bench.engine.want() is not None:
                bench.propose()
        elif step == "crash":
            bench.node.crash()
            bench.node.start(bench.now_ms)
        else:
            bench.engine.step(step.sender, step)  # type: ignore[attr-defined]
            bench.engine.check_invariants()
            bench.said()


@settings(max_examples=150, deadline=None)
@given(moves)
def test_no_message_breaks_a_member_on_which_nothing_is_committed(steps: list[object]) -> None:
    bench = Bench()
    for step in steps:
        if bench.core.commit:
            break
        play(bench, [step])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(messages, st.sampled_from(["tick", "crash"])), max_size=25))
def test_the_only_thing_that_stops_a_member_is_a_rewritten_past(steps: list[object]) -> None:
    bench = Bench()
    stopped = ""
    try:
        play(bench, steps)
    except AssertionError as error:
        stopped = str(error)
    assert not stopped or "conflict below commit" in stopped


def test_a_granted_vote_and_a_request_for_votes_are_the_same_statement() -> None:
    granted = VoteResponse(EPOCH, 4, N1, N2, True)
    expected = Statement("vote", EPOCH, 4, 0, hashlib.sha256(b"n2").digest(), None)
    assert DIALECT.statement(granted, NETWORK) == expected
    assert DIALECT.statement(vote_request(4, N2), NETWORK) == expected


def test_nothing_else_states_anything() -> None:
    for message in (
        VoteResponse(EPOCH, 4, N1, N2, False),
        PreVoteRequest(EPOCH, 4, N1, 0, 0),
        PreVoteResponse(EPOCH, 4, N1, True),
        append_of([1, 1], term=1),
        AppendResponse(EPOCH, 1, N1, True, 1, 0, 0),
    ):
        assert DIALECT.statement(message, NETWORK) is None


def test_a_message_must_name_the_member_that_sent_it() -> None:
    message = vote_request(1, N2)
    assert DIALECT.checks(message, sender=N2, committee=committee(3), network=NETWORK) == ()
    with pytest.raises(Malformed, match="another sender"):
        DIALECT.checks(message, sender=N3, committee=committee(3), network=NETWORK)
    stranger = vote_request(1, NodeId("n9"))
    with pytest.raises(Malformed, match="not a member"):
        DIALECT.checks(stranger, sender=NodeId("n9"), committee=committee(3), network=NETWORK)


def test_the_proposals_of_an_append_are_its_blocks() -> None:
    message = append_of([1, 1, 2, 2], term=2)
    blocks = [e.proposal for e in entries(1, 1, 2, 2) if e.proposal is not None]
    assert DIALECT.proposals(message) == tuple(blocks)
    assert len(blocks) == 2
    assert not DIALECT.is_fresh(message)
    assert DIALECT.proposals(vote_request(1)) == ()


@pytest.mark.parametrize(
    "value", [[1], [1, 2, 3], [0, 1], [1, 0], ["1", 1], [True, 1], [1 << 63, 1], 7]
)
def test_a_certificate_is_a_term_and_an_index(value: object) -> None:
    proposal = CHAIN[0]
    good = codec.encode([2, 5])
    context = {"proposal": proposal, "committee": committee(3), "network": NETWORK}
    assert DIALECT.certificate_checks(good, **context) == ()  # type: ignore[arg-type]
    bad = codec.encode(value)  # type: ignore[arg-type]
    with pytest.raises(Malformed):
        DIALECT.certificate_checks(bad, **context)  # type: ignore[arg-type]


def parsed(message: object) -> object:
    return DIALECT.decode(DIALECT.encode(message), size_max=SIZE)


IMPOSSIBLE: dict[str, Callable[[], object]] = {
    "gap at the start": lambda: Append(EPOCH, 2, N2, 0, 0, 0, (Entry(1, 2, None),)),
    "term of the future": lambda: Append(EPOCH, 2, N2, 0, 0, 0, (Entry(3, 1, None),)),
    "terms descend": lambda: Append(
        EPOCH, 2, N2, 0, 0, 0, (Entry(2, 1, None), Entry(1, 2, None))
    ),
    "term before the first entry": lambda: Append(EPOCH, 2, N2, 0, 1, 0, ()),
    "previous term of the future": lambda: Append(EPOCH, 2, N2, 3, 9, 0, ()),
    "blocks do not chain": lambda: parsed(
        Append(EPOCH, 1, N2, 0, 0, 0, (Entry(1, 1, CHAIN[0]), Entry(1, 2, CHAIN[2])))
    ),
    "too many entries": lambda: Append(
        EPOCH, 1, N2, 1, 1, 0, tuple(Entry(1, i, None) for i in range(2, 260))
    ),
    "term 0": lambda: Heartbeat(EPOCH, 0, N2, 0),
    "term too large": lambda: Heartbeat(EPOCH, 1 << 62, N2, 0),
    "snapshot of a later term": lambda: Snapshot(EPOCH, 1, N2, 1, 2, 1, bytes(32)),
    "short digest": lambda: Snapshot(EPOCH, 1, N2, 1, 1, 1, bytes(31)),
    "snapshot too far": lambda: Snapshot(EPOCH, 1, N2, 1 << 61, 1, 1, bytes(32)),
}


@pytest.mark.parametrize("case", sorted(IMPOSSIBLE))
def test_messages_that_no_correct_member_sends_are_refused_while_parsing(case: str) -> None:
    # The wire layer turns each ValueError into Malformed.
    with pytest.raises((ValueError, Malformed)):
        IMPOSSIBLE[case]()


def test_messages_of_other_epochs_and_from_ourselves_are_counted_and_dropped() -> None:
    bench = Bench()
    bench.engine.step(N2, VoteRequest(EPOCH + 1, 5, N2, 0, 0))
    bench.engine.step(N1, VoteRequest(EPOCH, 5, N1, 0, 0))
    bench.engine.step(NodeId("n9"), VoteRequest(EPOCH, 5, NodeId("n9"), 0, 0))
    bench.engine.step(N2, "nonsense")
    assert bench.core.term == 0
    assert bench.engine.refusals == {
        "message of another epoch": 1,
        "not a message from that sender": 2,
        "sender is not a member": 1,
    }
