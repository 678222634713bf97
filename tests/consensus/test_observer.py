"""The follower without a vote, alone: whom it asks, what it takes, where it stops."""

from typing import Any

import pytest

from consensus import codec
from consensus.effects import Fetch
from consensus.observer import AHEAD_MAX, FETCH_BLOCKS_MAX, Observer
from consensus.pbft.messages import Status
from consensus.standing import PEERS_MAX
from consensus.types import Applied, NodeId, Proposal
from tests.consensus.eras import era
from tests.consensus.pbft.harness import NETWORK, block

PAUSE_MS = 100
CERTIFICATE = codec.encode([1, 1])
A, B, C = NodeId("a"), NodeId("b"), NodeId("c")


def observer(engine: str = "raft") -> Observer:
    return Observer(
        era(0, engine, "abc"),
        self_id=NodeId("z"),
        applied=Applied(0, NETWORK, 0),
        now_ms=0,
        pause_ms=PAUSE_MS,
    )


def chain(length: int, *, barriers: tuple[int, ...] = ()) -> list[Proposal]:
    blocks, parent = [], NETWORK
    for height in range(1, length + 1):
        blocks.append(block(height, parent, barrier=height in barriers))
        parent = blocks[-1].digest
    return blocks


def asked(node: Observer) -> tuple[Fetch, ...]:
    return node.drain().fetch


def test_a_hint_makes_it_ask_its_author() -> None:
    node = observer()
    node.hint(A, 3)
    assert asked(node) == (Fetch(A, 1, 3),)
    node.hint(B, 9)
    assert asked(node) == ()


def test_blocks_are_delivered_in_order_once_and_with_their_place() -> None:
    node, blocks = observer(), chain(3)
    node.hint(A, 3)
    assert not node.synced(blocks[1], CERTIFICATE)
    assert all(node.synced(each, codec.encode([2, 5 + each.height])) for each in blocks)
    assert not node.synced(blocks[2], CERTIFICATE)
    decided = node.drain().deliver
    assert [(each.proposal.height, each.position) for each in decided] == [
        (1, 6),
        (2, 7),
        (3, 8),
    ]
    assert node.deadline_ms is None


def test_a_peer_that_brings_nothing_is_asked_last_from_then_on() -> None:
    node = observer()
    for peer in (A, B, C):
        node.hint(peer, 5)
    assert asked(node) == (Fetch(A, 1, 5),)
    node.tick(PAUSE_MS)
    node.hint(A, 5)
    assert asked(node) == (Fetch(B, 1, 5),)
    node.tick(2 * PAUSE_MS)
    node.hint(B, 5)
    assert asked(node) == (Fetch(C, 1, 5),)
    node.tick(3 * PAUSE_MS)
    assert asked(node) == (Fetch(A, 1, 5),)


def test_peers_that_deliver_are_asked_in_turn() -> None:
    node, blocks = observer(), chain(4)
    node.hint(B, 1)
    assert asked(node) == (Fetch(B, 1, 1),)
    node.hint(A, 4)
    node.hint(B, 4)
    assert node.synced(blocks[0], CERTIFICATE)
    assert asked(node) == (Fetch(A, 2, 4),)


def test_what_is_missing_of_an_answer_is_asked_for_soon() -> None:
    node, blocks = observer(), chain(2)
    node.hint(A, 200)
    assert asked(node) == (Fetch(A, 1, FETCH_BLOCKS_MAX),)
    assert node.synced(blocks[0], CERTIFICATE)
    assert node.synced(blocks[1], CERTIFICATE)
    due = node.deadline_ms
    assert due is not None
    assert due < PAUSE_MS
    node.tick(due)
    assert asked(node) == (Fetch(A, 3, 2 + FETCH_BLOCKS_MAX),)


def test_a_broken_link_is_not_waited_for() -> None:
    node = observer()
    node.hint(A, 5)
    node.hint(B, 5)
    asked(node)
    node.unreachable(A)
    assert asked(node) == (Fetch(B, 1, 5),)


def test_a_barrier_stops_it_until_the_ledger_has_executed_it() -> None:
    node, blocks = observer(), chain(4, barriers=(2,))
    node.hint(A, 4)
    assert node.synced(blocks[0], CERTIFICATE)
    assert node.synced(blocks[1], CERTIFICATE)
    assert not node.synced(blocks[2], CERTIFICATE)
    asked(node)
    node.tick(10 * PAUSE_MS)
    assert asked(node) == ()
    node.applied(2)
    assert asked(node) == (Fetch(A, 3, 4),)
    assert node.synced(blocks[2], CERTIFICATE)


def test_a_slow_ledger_stops_it_too() -> None:
    node, blocks = observer(), chain(AHEAD_MAX)
    node.hint(A, 1000)
    for each in blocks:
        assert node.synced(each, CERTIFICATE)
    asked(node)
    node.tick(PAUSE_MS)
    assert asked(node) == ()
    node.applied(10)
    (request,) = asked(node)
    assert request.lo == AHEAD_MAX + 1


def test_certificates_of_another_engine_or_block_are_not_taken() -> None:
    (first,) = chain(1)
    for engine, certificate in (("pbft", CERTIFICATE), ("raft", b"\xc0"), ("pbft", b"")):
        node = observer(engine)
        node.hint(A, 1)
        assert not node.synced(first, certificate)


def test_it_has_no_say() -> None:
    node = observer("pbft")
    assert node.want() is None
    assert not node.read(1)
    node.step(A, Status(0, 0, active=True, height=2))
    node.step(A, Status(1, 0, active=True, height=7))
    assert asked(node) == (Fetch(A, 1, 2),)
    effects = node.drain()
    assert (effects.send_now, effects.send_after, effects.records) == ((), (), ())


@pytest.mark.parametrize("claims", [0, 5])
def test_a_flood_of_peers_fills_one_bounded_table(claims: int) -> None:
    node = observer()
    for number in range(3 * PEERS_MAX):
        node.hint(NodeId(f"p{number}"), claims)
    node.check_invariants()
    node.tick(4 * PAUSE_MS)
    node.hint(NodeId("late"), 5)
    node.check_invariants()


def test_equal_inputs_give_equal_fingerprints() -> None:
    prints: list[Any] = []
    for _ in range(2):
        node = observer()
        node.hint(A, 5)
        node.tick(PAUSE_MS)
        node.hint(B, 5)
        prints.append(node.fingerprint())
    assert prints[0] == prints[1]
    node.hint(C, 6)
    assert node.fingerprint() != prints[0]
