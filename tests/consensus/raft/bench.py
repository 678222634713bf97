"""One engine under a test's hand: step messages, take what it says, with a disk beside it."""

from collections.abc import Sequence
from typing import Any

from consensus.raft.core import HardState, Role
from consensus.raft.dialect import DIALECT
from consensus.raft.log import Base, Entry
from consensus.raft.messages import (
    Append,
    AppendResponse,
    PreVoteResponse,
    VoteRequest,
    VoteResponse,
)
from consensus.raft.records import base_record, log_key
from consensus.types import NodeId, Put
from consensus.wire import encode
from tests.consensus.raft.harness import EPOCH, NETWORK, Node, block, committee

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def entries(*terms: int) -> tuple[Entry, ...]:
    """A log of these terms; the first entry of each term is empty, the others are blocks."""
    made: list[Entry] = []
    height, parent = 0, NETWORK
    for index, term in enumerate(terms, start=1):
        proposal = None
        if index > 1 and terms[index - 2] == term:
            height += 1
            proposal = block(height, parent, flavour=str(term))
            parent = proposal.digest
        made.append(Entry(term, index, proposal))
    return tuple(made)


class Bench:
    """Member n1 of ``size``, started from a log of the given terms."""

    def __init__(
        self, size: int = 3, *, log: Sequence[int] = (), term: int | None = None, **options: Any
    ) -> None:
        self.node = Node(N1, 1, committee=committee(size), **options)
        self.now_ms = 0
        self.peers = committee(size).ids[1:]
        made = entries(*log)
        if made:
            hard = HardState(max(log) if term is None else term, None)
            records = [Put(b"raft/hard", encode(hard)), base_record(Base(0, 0, 0, NETWORK))]
            records += [Put(log_key(entry.index), encode(entry)) for entry in made]
            self.node.disk.write(records, sync=True)
            bodies = [e.proposal.digest for e in made if e.proposal is not None]
            self.node.bodies.update(bodies)
        self.node.start(0)
        self.said()

    @property
    def core(self) -> Any:
        return self.node.engine._core

    @property
    def engine(self) -> Any:
        return self.node.engine

    def said(self) -> list[tuple[NodeId, Any]]:
        """Run turns until nothing is left; return what left, in order."""
        sent: list[tuple[NodeId, Any]] = []
        while (turn := self.node.driver.turn()) is not None:
            self.node.write(turn)
            released = self.node.driver.durable(turn)
            for envelope in (*turn.send_now, *released.send):
                assert envelope.to is not None
                sent.append((envelope.to, envelope.message))
            self.node.fetches.extend(turn.fetch)
            self.node.reads.extend(released.reads)
            self.node.take(released.deliver)
        self.engine.check_invariants()
        return sent

    def step(self, message: Any) -> list[tuple[NodeId, Any]]:
        raw = DIALECT.encode(message)
        self.engine.step(message.sender, DIALECT.decode(raw, size_max=1 << 22))
        return self.said()

    def tick(self, ms: int) -> list[tuple[NodeId, Any]]:
        self.now_ms += ms
        self.engine.tick(self.now_ms)
        return self.said()

    def time_out(self) -> list[tuple[NodeId, Any]]:
        """Let the election timeout pass, not a millisecond more."""
        return self.tick(self.core.election_due_ms - self.now_ms)

    def campaign(self) -> list[tuple[NodeId, Any]]:
        """Time out and win the pre-vote; return the vote requests."""
        self.time_out()
        sent: list[tuple[NodeId, Any]] = []
        for peer in self.peers:
            if self.core.role is Role.PRE_CANDIDATE:
                sent += self.step(PreVoteResponse(EPOCH, self.core.term + 1, peer, True))
        return sent

    def lead(self) -> list[tuple[NodeId, Any]]:
        """Win an election; return the first appends."""
        self.campaign()
        sent: list[tuple[NodeId, Any]] = []
        for peer in self.peers:
            if self.core.role is Role.CANDIDATE:
                sent += self.step(VoteResponse(EPOCH, self.core.term, peer, N1, True))
        assert self.core.role is Role.LEADER
        return sent

    def propose(self) -> list[tuple[NodeId, Any]]:
        wanted = self.engine.want()
        assert wanted is not None
        self.engine.propose(block(wanted.height, wanted.parent))
        return self.said()

    def terms(self) -> list[int]:
        return [entry.term for entry in self.core.log.entries]


def ack(term: int, sender: NodeId, index: int) -> AppendResponse:
    return AppendResponse(EPOCH, term, sender, True, index, 0, 0)


def nack(
    term: int, sender: NodeId, index: int, hint_index: int = 0, hint_term: int = 0
) -> AppendResponse:
    return AppendResponse(EPOCH, term, sender, False, index, hint_index, hint_term)


def append_of(
    log: Sequence[int], *, term: int, start: int = 1, sender: NodeId = N2, commit: int = 0
) -> Append:
    """The leader's append of its ``log`` from index ``start`` on."""
    made = entries(*log)
    prev_term = made[start - 2].term if start > 1 else 0
    return Append(EPOCH, term, sender, start - 1, prev_term, commit, made[start - 1 :])


def vote_request(
    term: int, sender: NodeId = N2, *, last_index: int = 0, last_term: int = 0
) -> VoteRequest:
    return VoteRequest(EPOCH, term, sender, last_index, last_term)
