"""Gossip in a deterministic mesh: what is pushed, announced, asked for, and what it costs."""

import hashlib
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.types import NodeId
from node.gossip.encoding import decode_ids, decode_transactions
from node.gossip.protocol import (
    NEVER_MS,
    Gossip,
    GossipLimits,
    Send,
    Sends,
    transactions,
)
from node.net.frame import FrameType


def raw(number: int) -> bytes:
    return b"transaction %d" % number


def txid(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def some(*numbers: int) -> dict[bytes, bytes]:
    return {txid(raw(number)): raw(number) for number in numbers}


def ids(*numbers: int) -> list[bytes]:
    return list(some(*numbers))


def asked(sends: Sends) -> dict[Any, list[bytes]]:
    return {
        send.peer: list(decode_ids(send.payload))
        for send in sends
        if send.kind in (FrameType.WANT, FrameType.INVENTORY)
    }


class Mesh:
    """Members with pools, joined by links that can be cut; time moves when told to."""

    def __init__(self, names: str, *, cut: set[frozenset[str]] | None = None) -> None:
        self.now_ms = 0
        self.cut = cut or set()
        self.members = {name: Gossip(name, names) for name in names}
        self.pools: dict[str, dict[bytes, bytes]] = {name: {} for name in names}
        self.wire: deque[tuple[str, str, Send]] = deque()
        self.carried: list[tuple[str, str, FrameType]] = []
        for name, member in self.members.items():
            for other in names:
                if other != name and self.linked(name, other):
                    self.send(name, member.peer_up(other))

    def linked(self, one: str, other: str) -> bool:
        return frozenset({one, other}) not in self.cut

    def send(self, source: str, sends: Sends) -> None:
        for send in sends:
            targets = self.members if send.peer is None else [send.peer]
            for target in targets:
                if target != source and self.linked(source, target):
                    self.wire.append((source, target, send))

    def admit(self, name: str, *numbers: int) -> None:
        self.pools[name] |= some(*numbers)
        self.send(name, self.members[name].admitted(some(*numbers), self.now_ms))

    def settle(self) -> None:
        """Carry frames until none is under way."""
        while self.wire:
            source, target, send = self.wire.popleft()
            self.carried.append((source, target, send.kind))
            self.deliver(source, target, send)

    def deliver(self, source: str, target: str, send: Send) -> None:
        member, pool = self.members[target], self.pools[target]
        match send.kind:
            case FrameType.TRANSACTIONS:
                got = {txid(each): each for each in decode_transactions(send.payload)}
                new = got.keys() - pool.keys()
                pool |= got
                self.send(target, member.received(source, list(got), new, self.now_ms))
            case FrameType.INVENTORY:
                found = decode_ids(send.payload)
                self.send(target, member.inventory(source, found, self.now_ms))
            case FrameType.WANT:
                serve = member.want(source, decode_ids(send.payload), self.now_ms)
                self.send(target, transactions(source, [pool[each] for each in serve]))
            case _:
                raise AssertionError(send.kind)

    def run(self, duration_ms: int, step_ms: int = 50) -> None:
        for _ in range(0, duration_ms, step_ms):
            self.now_ms += step_ms
            for name, member in self.members.items():
                self.send(name, member.tick(self.now_ms))
                member.check_invariants()
            self.settle()


def everybody_has(mesh: Mesh, *numbers: int) -> bool:
    return all(pool.keys() >= some(*numbers).keys() for pool in mesh.pools.values())


# --- the mesh ---


def test_what_intake_admits_reaches_all_with_one_push_each() -> None:
    mesh = Mesh("abcd")
    mesh.admit("a", 1, 2, 3)
    mesh.run(50)
    assert everybody_has(mesh, 1, 2, 3)
    assert mesh.carried == [("a", other, FrameType.TRANSACTIONS) for other in "bcd"]


def test_a_quick_commit_costs_no_announcement() -> None:
    mesh = Mesh("abcd")
    mesh.admit("a", 1)
    mesh.run(100)
    for member in mesh.members.values():
        member.forget(ids(1))
    mesh.run(10_000)
    assert {kind for _, _, kind in mesh.carried} == {FrameType.TRANSACTIONS}
    assert all(member.deadline_ms == NEVER_MS for member in mesh.members.values())


def test_cut_links_are_bridged_by_announcements() -> None:
    """A line a-b-c-d: only b hears the push, the rest asks its way along."""
    cut = {frozenset(pair) for pair in ("ac", "ad", "bd")}
    mesh = Mesh("abcd", cut=cut)
    mesh.admit("a", *range(20))
    mesh.run(100)
    assert not mesh.pools["c"]
    mesh.run(900)
    assert everybody_has(mesh, *range(20))
    assert ("c", "b", FrameType.WANT) in mesh.carried
    assert ("d", "c", FrameType.WANT) in mesh.carried


@given(st.sets(st.sampled_from(["ab", "ac", "ad", "ae", "bc", "bd", "be", "cd", "ce", "de"])))
def test_whatever_is_connected_in_the_end_gets_everything(cuts: set[str]) -> None:
    mesh = Mesh("abcde", cut={frozenset(pair) for pair in cuts})
    for number, name in enumerate("abcde"):
        mesh.admit(name, number)
    mesh.run(3_000)
    for start in "abcde":
        reached, queue = {start}, [start]
        while queue:
            here = queue.pop()
            near = {name for name in "abcde" if mesh.linked(here, name)} - reached
            reached |= near
            queue += near
        for name in reached:
            assert txid(raw("abcde".index(start))) in mesh.pools[name]


def test_a_link_that_heals_is_offered_what_is_pending() -> None:
    mesh = Mesh("ab", cut={frozenset("ab")})
    mesh.admit("a", 1, 2)
    mesh.run(1_000)
    assert not mesh.pools["b"]
    mesh.cut.clear()
    mesh.send("a", mesh.members["a"].peer_up("b"))
    mesh.settle()
    assert everybody_has(mesh, 1, 2)


def test_a_restarted_member_is_offered_what_it_had() -> None:
    gossip = Gossip("a", "ab")
    gossip.peer_up("b")
    gossip.received("b", ids(1), ids(1), 0)
    assert gossip.tick(1_000) == ()  # b is known to have it
    assert asked(gossip.peer_up("b")) == {"b": ids(1)}


# --- single rules ---


def test_what_came_from_a_peer_is_announced_to_others_not_pushed() -> None:
    gossip = Gossip("a", "abc")
    gossip.peer_up("b")
    gossip.peer_up("c")
    assert gossip.received("b", ids(1), ids(1), 1_000) == ()
    assert gossip.deadline_ms == 1_200
    assert gossip.tick(1_199) == ()
    assert gossip.tick(1_200) == (
        Send(NodeId("c"), FrameType.INVENTORY, b"\xc4\x20" + ids(1)[0]),
    )
    assert gossip.deadline_ms == 6_200
    assert gossip.tick(6_199) == ()
    assert asked(gossip.tick(6_200)) == {"c": ids(1)}


def test_an_id_is_asked_of_one_announcer_and_of_the_next_after_a_timeout() -> None:
    gossip = Gossip("a", "abcd")
    for peer in "bcd":
        gossip.peer_up(peer)
    assert asked(gossip.inventory("b", ids(1), 0)) == {"b": ids(1)}
    assert gossip.inventory("b", ids(1), 0) == ()
    assert gossip.inventory("c", ids(1), 10) == ()
    assert gossip.inventory("d", ids(1), 20) == ()
    gossip.peer_down("c")
    assert gossip.tick(999) == ()
    assert asked(gossip.tick(1_000)) == {"d": ids(1)}  # c is gone, d is next
    assert gossip.tick(2_000) == ()
    assert gossip.wanted_count == 0
    assert asked(gossip.inventory("b", ids(1), 2_001)) == {"b": ids(1)}


def test_what_is_held_settled_or_refused_is_not_asked_for() -> None:
    gossip = Gossip("a", "ab")
    gossip.admitted(some(1), 0)
    gossip.forget(ids(2))
    gossip.received("b", ids(3), [], 0)
    assert gossip.inventory("b", ids(1, 2, 3), 9_999) == ()
    assert asked(gossip.inventory("b", ids(1, 2, 3), 10_000)) == {"b": ids(3)}


def test_only_pending_transactions_are_served_and_not_over_and_over() -> None:
    gossip = Gossip("a", "abc")
    gossip.admitted(some(1, 2), 0)
    gossip.forget(ids(2))
    assert gossip.want("b", ids(1, 2, 3), 0) == tuple(ids(1))
    assert gossip.want("b", ids(1), 999) == ()
    assert gossip.want("c", ids(1), 999) == tuple(ids(1))
    assert gossip.want("b", ids(1), 1_000) == tuple(ids(1))
    assert gossip.want("stranger", ids(1), 0) == ()


def test_a_push_leaves_with_the_flush_or_when_a_frame_is_full() -> None:
    gossip = Gossip("a", "ab")
    assert gossip.admitted(some(1), 0) == ()
    assert gossip.deadline_ms == 0
    (push,) = gossip.flush()
    assert (push.peer, push.kind) == (None, FrameType.TRANSACTIONS)
    assert decode_transactions(push.payload) == (raw(1),)
    assert gossip.flush() == ()
    assert gossip.admitted(some(1), 0) == gossip.flush() == ()  # a repeat is no news
    large = {bytes([n]) * 32: bytes([n]) * 60_000 for n in range(3)}
    (full,) = gossip.admitted(large, 0)
    assert len(decode_transactions(full.payload)) == 2


def test_a_member_that_left_is_neither_asked_nor_told() -> None:
    gossip = Gossip("a", "abc")
    gossip.peer_up("b")
    gossip.inventory("b", ids(1), 0)
    gossip.set_peers("ac")
    assert gossip.wanted_count == 0
    assert gossip.inventory("b", ids(2), 0) == ()
    gossip.admitted(some(3), 0)
    assert [send.peer for send in gossip.tick(10_000)] == [None]
    gossip.set_peers("abc")
    gossip.check_invariants()


# --- bounds ---

SMALL = GossipLimits(
    pending_ids_max=8,
    settled_ids_max=6,
    known_ids_max=7,
    served_ids_max=4,
    wanted_ids_max=6,
    wanted_per_peer_max=4,
    announcers_max=1,
)
numbers = st.lists(st.integers(0, 40), min_size=1, max_size=12, unique=True)
events = st.lists(
    st.tuples(
        st.sampled_from(
            ["admit", "get", "hear", "want", "tick", "forget", "up", "down", "set"]
        ),
        st.sampled_from("bcx"),
        numbers,
        st.integers(0, 600),
    ),
    max_size=60,
)


@given(events)
def test_memory_stays_bounded_whatever_peers_do(
    script: list[tuple[str, str, list[int], int]],
) -> None:
    gossip, now_ms = Gossip("a", "abc", SMALL), 0
    for event, peer, chosen, elapsed_ms in script:
        now_ms += elapsed_ms
        match event:
            case "admit":
                gossip.admitted(some(*chosen), now_ms)
            case "get":
                gossip.received(peer, ids(*chosen), ids(*chosen[::2]), now_ms)
            case "hear":
                gossip.inventory(peer, ids(*chosen), now_ms)
            case "want":
                assert set(gossip.want(peer, ids(*chosen), now_ms)) <= set(ids(*chosen))
            case "tick":
                gossip.tick(now_ms)
                assert gossip.deadline_ms > now_ms
            case "forget":
                gossip.forget(ids(*chosen))
            case "up":
                gossip.peer_up(peer)
            case "down":
                gossip.peer_down(peer)
            case _:
                gossip.set_peers("abc" if len(chosen) % 2 else "ac")
        gossip.check_invariants()


@pytest.mark.parametrize("peer", ["b", "x"])
def test_a_flood_of_announcements_costs_a_bounded_number_of_questions(peer: str) -> None:
    gossip = Gossip("a", "abc", SMALL)
    sends = [gossip.inventory(peer, ids(number), 0) for number in range(1_000)]
    assert sum(map(len, sends)) == (SMALL.wanted_per_peer_max if peer == "b" else 0)
    gossip.check_invariants()
