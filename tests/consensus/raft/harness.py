"""A Raft cluster in memory: real engines, drivers and guards; disks that forget on a crash.

Nothing happens by itself: a test moves messages, time, writes and fetches, one at a time or
all.  Every step ends with the engine's own invariants; ``check`` compares the ledgers.
"""

import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from consensus.driver import Driver, Turn
from consensus.effects import Decided, Fetch, ProposeResult, ReadReady
from consensus.guard import SignGuard
from consensus.raft.config import RaftConfig
from consensus.raft.core import Role
from consensus.raft.dialect import DIALECT
from consensus.raft.engine import RaftEngine
from consensus.types import (
    Applied,
    Committee,
    Delete,
    Digest,
    Member,
    NodeId,
    Proposal,
    Put,
    Record,
)
from tests.support.marks import MemoryMark

NETWORK = hashlib.sha256(b"test network").digest()
EPOCH = 3


def committee(size: int) -> Committee:
    return Committee(
        EPOCH, tuple(Member(NodeId(f"n{i}"), bytes(32)) for i in range(1, size + 1))
    )


def block(height: int, parent: bytes, *, flavour: str = "", txids: bytes = b"") -> Proposal:
    header = f"header {height} {flavour}".encode()
    return Proposal(height, parent, hashlib.sha256(parent + header).digest(), header, txids)


def chain(length: int, *, flavour: str = "", parent: bytes = NETWORK) -> list[Proposal]:
    blocks: list[Proposal] = []
    for height in range(1, length + 1):
        blocks.append(block(height, parent, flavour=flavour))
        parent = blocks[-1].digest
    return blocks


@dataclass
class Disk:
    """Batches in order; a crash loses the unsynced tail."""

    durable: dict[bytes, bytes] = field(default_factory=dict)
    unsynced: list[tuple[Record, ...]] = field(default_factory=list)

    def write(self, records: Iterable[Record], *, sync: bool) -> None:
        self.unsynced.append(tuple(records))
        if sync:
            for batch in self.unsynced:
                _apply(self.durable, batch)
            self.unsynced.clear()

    def crash(self) -> None:
        self.unsynced.clear()

    def pairs(self) -> list[tuple[bytes, bytes]]:
        seen = dict(self.durable)
        for batch in self.unsynced:
            _apply(seen, batch)
        return sorted(seen.items())


def _apply(pairs: dict[bytes, bytes], batch: Iterable[Record]) -> None:
    for record in batch:
        if isinstance(record, Put):
            pairs[record.key] = record.value
        elif isinstance(record, Delete):
            pairs.pop(record.key, None)
        else:
            for key in [key for key in pairs if record.lo <= key < record.hi]:
                del pairs[key]


class Node:
    """One member with its disk and ledger; ``engine`` is gone while it is down."""

    def __init__(self, node: NodeId, seed: int, **options: Any) -> None:
        self.id = node
        self.options = options
        self.disk = Disk()
        self.marked = MemoryMark()
        self.ledger: list[Decided] = []
        self.bodies: set[bytes] = set()
        self.rng = random.Random(f"{seed} {node}")
        self.up = False
        self.execute = True  # False: blocks handed on wait, as under a slow ledger
        self.waiting: list[Decided] = []
        self.fetches: list[Fetch] = []
        self.reads: list[ReadReady] = []
        self.floors: dict[int, int] = {}  # of each read asked: what was executed anywhere

    def start(self, now_ms: int) -> None:
        top = self.ledger[-1] if self.ledger else None
        applied = (
            Applied(0, NETWORK, 0)
            if top is None
            else Applied(top.proposal.height, top.proposal.digest, top.position)
        )
        pairs = self.disk.pairs()
        config = RaftConfig(self_id=self.id, **self.options)
        self.engine = RaftEngine(
            config, pairs=pairs, applied=applied, rng=self.rng, now_ms=now_ms
        )
        guard = SignGuard((k, v) for k, v in pairs if k.startswith(b"guard/"))
        self.marked.level(guard.mark)
        self.driver = Driver(
            self.engine,
            DIALECT,
            guard,
            marked=self.marked,
            network=NETWORK,
            sign=lambda _: bytes(64),
        )
        self.up = True
        self.engine.check_invariants()

    def crash(self) -> None:
        self.disk.crash()
        self.waiting.clear()
        self.fetches.clear()
        self.up = False

    def write(self, turn: Turn) -> None:
        """Make a turn durable, bodies with it; what needs no sync gets none."""
        self.bodies.update(body.digest for body in turn.bodies)
        self.disk.write(turn.records, sync=turn.must_sync)
        self.marked.take(turn)

    def take(self, delivered: Iterable[Decided]) -> None:
        self.waiting.extend(delivered)
        if self.execute:
            self.run_ledger()

    def run_ledger(self) -> None:
        while self.waiting:
            decided = self.waiting.pop(0)
            assert decided.proposal.height == len(self.ledger) + 1, "heights are consecutive"
            assert decided.proposal.digest in self.bodies, "a body must be durable first"
            self.ledger.append(decided)
            self.driver.applied(decided.proposal.height)

    @property
    def heights(self) -> int:
        return len(self.ledger)


class Cluster:
    def __init__(self, size: int, *, seed: int = 1, **options: Any) -> None:
        self.now_ms = 0
        self.committee = committee(size)
        ids = self.committee.ids
        self.nodes = {i: Node(i, seed, committee=self.committee, **options) for i in ids}
        self.wire: list[tuple[NodeId, NodeId, bytes]] = []
        self.cut: set[frozenset[NodeId]] = set()
        self.filter: Callable[[NodeId, NodeId, Any], bool] = lambda _s, _t, _m: True
        self.serving = True  # False: fetches wait for the test
        self.seen: list[tuple[NodeId, NodeId, Any]] = []
        for node in self.nodes.values():
            node.start(0)

    def __getitem__(self, name: str) -> Node:
        return self.nodes[NodeId(name)]

    # --- moving things -----------------------------------------------------------------

    def send(self, sender: NodeId, to: NodeId | None, message: Any) -> None:
        assert to is not None
        self.wire.append((sender, to, DIALECT.encode(message)))

    def turn(self, node: Node) -> bool:
        """One whole turn of one member: write, sync, send, deliver."""
        turn = node.driver.turn()
        if turn is None:
            return False
        for envelope in turn.send_now:
            self.send(node.id, envelope.to, envelope.message)
        node.fetches.extend(turn.fetch)
        node.write(turn)
        released = node.driver.durable(turn)
        for envelope in released.send:
            self.send(node.id, envelope.to, envelope.message)
        node.reads.extend(released.reads)
        node.take(released.deliver)
        node.engine.check_invariants()
        return True

    def deliver_one(self) -> None:
        sender, to, raw = self.wire.pop(0)
        message = DIALECT.decode(raw, size_max=1 << 22)
        node = self.nodes[to]
        if frozenset((sender, to)) in self.cut or not node.up or not self.nodes[sender].up:
            return
        if not self.filter(sender, to, message):
            return
        DIALECT.checks(message, sender=sender, committee=self.committee, network=NETWORK)
        self.seen.append((sender, to, message))
        node.engine.step(sender, message)
        node.engine.check_invariants()

    def serve_fetch(self, node: Node) -> bool:
        if not node.fetches:
            return False
        wanted = node.fetches.pop(0)
        source = self.nodes[wanted.peer]
        if source.up and frozenset((node.id, wanted.peer)) not in self.cut:
            for decided in source.ledger[wanted.lo - 1 : wanted.hi]:
                node.engine.synced(decided.proposal, decided.certificate)
                node.engine.check_invariants()
        return True

    def settle(self) -> None:
        """Run turns, messages and fetches until nothing is left to do at this moment."""
        for _ in range(20_000):
            busy = False
            for node in self.nodes.values():
                if node.up:
                    busy = self.turn(node) or busy
                    busy = (self.serving and self.serve_fetch(node)) or busy
            if self.wire:
                self.deliver_one()
                busy = True
            if not busy:
                return
        raise AssertionError("the cluster does not come to rest")

    def run(self, ms: int) -> None:
        """Let ``ms`` pass, deadline by deadline."""
        end = self.now_ms + ms
        self.settle()
        while True:
            due = [n.engine.deadline_ms for n in self.nodes.values() if n.up]
            due_ms = min((at for at in due if at is not None), default=end)
            self.now_ms = max(self.now_ms, min(due_ms, end))
            for node in self.nodes.values():
                if node.up:
                    node.engine.tick(self.now_ms)
                    node.engine.check_invariants()
            self.settle()
            if self.now_ms >= end:
                break
        self.check()

    # --- asking ------------------------------------------------------------------------

    def leader(self) -> Node:
        leaders = [n for n in self.nodes.values() if n.up and role(n) is Role.LEADER]
        assert leaders, "nobody leads"
        return max(leaders, key=lambda n: n.engine._core.term)

    def elect(self, name: str) -> Node:
        """Make ``name`` time out first, now."""
        node = self[name]
        self.now_ms = max(self.now_ms, node.engine._core.election_due_ms)
        for other in self.nodes.values():
            if other.up and other is not node:
                other.engine._core.election_due_ms = self.now_ms + 10_000
        for other in self.nodes.values():
            if other.up:
                other.engine.tick(self.now_ms)
        self.settle()
        assert self.leader() is node
        return node

    def order(self, count: int = 1, *, flavour: str = "") -> None:
        """Let the leader propose ``count`` blocks, each after the one before is done."""
        for _ in range(count):
            leader = self.leader()
            wanted = leader.engine.want()
            assert wanted is not None, "the leader wants nothing"
            proposal = block(wanted.height, wanted.parent, flavour=flavour)
            assert leader.engine.propose(proposal) is ProposeResult.ACCEPTED
            self.settle()

    def isolate(self, name: str) -> None:
        for other in self.nodes:
            if other != name:
                self.cut.add(frozenset((NodeId(name), other)))

    def heal(self) -> None:
        self.cut.clear()

    def crash(self, name: str) -> None:
        self[name].crash()

    def restart(self, name: str) -> None:
        self[name].start(self.now_ms)

    def check(self) -> None:
        ledgers = [[d.proposal.digest for d in n.ledger] for n in self.nodes.values()]
        longest: list[Digest] | list[bytes] = max(ledgers, key=len)
        for ledger in ledgers:
            assert ledger == longest[: len(ledger)], "two ledgers differ"


def role(node: Node) -> Role:
    return node.engine._core.role
