"""Real engines, drivers and guards on an in-memory network, disk and ledger.

Only the signer is false (a keyed hash), so that thousands of signatures cost nothing.  One
``World`` owns time; messages travel as bytes, in order, one millisecond per hop, unless a test
drops, holds or forges them.  A record that was not written before a crash is gone.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from consensus.certs import verify_commit_certificate
from consensus.codec import Malformed
from consensus.driver import Driver, Turn
from consensus.effects import Contradiction, Fetch, ProposeResult, ReadReady
from consensus.guard import SignGuard
from consensus.mark import NOTHING, Mark, Standing, compare
from consensus.pbft import evidence
from consensus.pbft.dialect import DIALECT
from consensus.pbft.engine import PbftConfig, PbftEngine
from consensus.types import (
    Applied,
    Committee,
    Delete,
    DeleteRange,
    Era,
    Member,
    NodeId,
    Proposal,
    Put,
    Record,
)

NETWORK = hashlib.sha256(b"network").digest()
FRAME_BYTES_MAX = 1 << 22
Drop = Callable[[str, str, Any], bool]


def key_of(node: str) -> bytes:
    return hashlib.sha256(b"key " + node.encode()).digest()


def fake_sign(key: bytes, message: bytes) -> bytes:
    return hashlib.sha512(key + message).digest()


def fake_verify(key: bytes, message: bytes, signature: bytes) -> bool:
    return fake_sign(key, message) == signature


def committee_of(size: int, epoch: int = 1) -> Committee:
    ids = [NodeId(f"m{position:02d}") for position in range(size)]
    return Committee(epoch, tuple(Member(node, key_of(node)) for node in ids))


def block(height: int, parent: bytes, note: str = "", *, barrier: bool = False) -> Proposal:
    header = f"{height} {parent.hex()[:8]} {note}{' barrier' * barrier}".encode()
    digest = hashlib.sha256(header + parent).digest()
    txids = hashlib.sha256(b"tx" + header).digest()
    return Proposal(height, parent, digest, header, txids, barrier)


def signed(message: Any) -> Any:
    """Sign ``message`` as its author would, past every guard: what a liar can do."""
    stated = DIALECT.statement(message, NETWORK)
    assert stated is not None
    assert stated.signed is not None
    return DIALECT.with_signature(message, fake_sign(key_of(message.signer), stated.signed))


@dataclass
class Disk:
    """What survives: engine and guard records, the mark, and the ledger's applied blocks."""

    mark: Mark = NOTHING
    pairs: dict[bytes, bytes] = field(default_factory=dict)
    chain: list[tuple[Proposal, bytes]] = field(default_factory=list)

    def write(self, records: Iterable[Record]) -> None:
        for record in records:
            match record:
                case Put(key, value):
                    self.pairs[key] = value
                case Delete(key):
                    self.pairs.pop(key, None)
                case DeleteRange(lo, hi):
                    for key in [key for key in self.pairs if lo <= key < hi]:
                        del self.pairs[key]

    @property
    def sequence(self) -> int:
        return self.mark.sequence

    @property
    def applied(self) -> Applied:
        if not self.chain:
            return Applied(0, NETWORK, 0)
        last = self.chain[-1][0]
        return Applied(last.height, last.digest, last.height)


class Node:
    def __init__(self, world: "World", node: NodeId, disk: Disk) -> None:
        self.world, self.id, self.disk = world, node, disk
        self.reached = disk.applied
        self.waiting: deque[tuple[Proposal, bytes]] = deque()
        committee = world.committee_at(disk.applied.height + 1)
        config = PbftConfig(node, committee, NETWORK, **world.timing)
        pairs = sorted(disk.pairs.items())
        self.engine = PbftEngine(
            config,
            pairs=[pair for pair in pairs if pair[0].startswith(b"pbft/")],
            applied=disk.applied,
            rng=Random(f"{node}"),
            now_ms=world.now_ms,
        )
        guard = SignGuard([pair for pair in pairs if pair[0].startswith(b"guard/")])
        standing = compare(stored=guard.mark, marked=disk.mark)
        assert standing in (Standing.LEVEL, Standing.ONE_SHORT)
        disk.mark = guard.mark
        self.driver = Driver(
            self.engine,
            DIALECT,
            guard,
            marked=disk,
            network=NETWORK,
            sign=lambda message: fake_sign(key_of(node), message),
        )

    def receive(self, sender: str, raw: bytes) -> bool:
        """Decode, check every signature, step; False when the message was refused before."""
        try:
            message = DIALECT.decode(raw, size_max=FRAME_BYTES_MAX)
            checks = DIALECT.checks(
                message,
                sender=NodeId(sender),
                committee=self.engine.committee,
                network=NETWORK,
            )
        except Malformed:
            return False
        if not all(fake_verify(c.key, c.message, c.signature) for c in checks):
            return False
        self.engine.tick(self.world.now_ms)
        self.engine.step(NodeId(sender), message)
        return True

    def turn(self, crash: str | None = None) -> bool:
        """One turn of the driver; ``crash`` names the point at which power is lost."""
        turn = self.driver.turn()
        if turn is None:
            return False
        if crash == "before-write":
            raise PowerLoss
        self.disk.write(turn.records)
        if crash == "after-write":
            raise PowerLoss
        if turn.mark is not None:
            self.disk.mark = turn.mark
        self._release(turn, crash)
        return True

    def _release(self, turn: Turn, crash: str | None) -> None:
        released = self.driver.durable(turn)
        self.world.reads += [(self.id, answer) for answer in released.reads]
        for found in released.evidence:
            self.world.accuse(self.id, found)
        for envelope in (*turn.send_now, *released.send):
            targets = self.engine.committee.ids if envelope.to is None else (envelope.to,)
            self.world.post(self.id, targets, envelope.message)
        if crash == "before-deliver":
            raise PowerLoss
        for decided in released.deliver:
            self.world.judge(self, decided.proposal, decided.certificate)
            self.waiting.append((decided.proposal, decided.certificate))
        if self.id not in self.world.slow_ledgers:
            self.apply(crash)
        for message in released.loopback:
            self.engine.step(self.id, message)
        for fetch in turn.fetch:
            self.world.fetches.append((self.id, fetch))

    def apply(self, crash: str | None = None) -> None:
        """Let the ledger execute what was delivered."""
        while self.waiting:
            proposal, certificate = self.waiting.popleft()
            self.disk.chain.append((proposal, certificate))
            if crash == "after-apply":
                raise PowerLoss
            self.driver.applied(proposal.height, self.world.era_after(proposal.height))

    def take(self, proposal: Proposal, certificate: bytes) -> bool:
        """Check and take a fetched block, as the driver does."""
        try:
            checks = DIALECT.certificate_checks(
                certificate, proposal=proposal, committee=self.engine.committee, network=NETWORK
            )
        except Malformed:
            return False
        held = all(fake_verify(c.key, c.message, c.signature) for c in checks)
        return held and self.engine.synced(proposal, certificate)

    def pump(self) -> None:
        for _ in range(200):
            self._propose()
            if not self.turn():
                break
        else:
            raise AssertionError("the engine never settles")
        self.engine.check_invariants()

    def _propose(self) -> None:
        wanted = self.engine.want()
        if wanted is None or wanted.height > self.world.height_goal:
            return
        barrier = wanted.height in self.world.barriers
        note = f"by {self.id}"
        proposal = block(wanted.height, wanted.parent, note, barrier=barrier)
        assert self.engine.propose(proposal) is ProposeResult.ACCEPTED


class PowerLoss(Exception):
    """The test pulled the plug."""


class World:
    """A committee under one clock.  Asserts agreement, no contradiction and no false charge."""

    def __init__(self, size: int, *, spare: int = 0, **timing: int) -> None:
        self.committee = committee_of(size)
        self.ids = committee_of(size + spare).ids
        self.barriers: dict[int, tuple[NodeId, ...] | None] = {}
        self.slow_ledgers: set[NodeId] = set()
        self.timing = timing
        self.now_ms = 1000
        self.height_goal = 0
        self.wire: deque[tuple[int, str, str, bytes]] = deque()
        self.fetches: deque[tuple[NodeId, Fetch]] = deque()
        self.asked: list[tuple[NodeId, Fetch]] = []
        self.sent: list[tuple[str, Any]] = []
        self.drop: Drop = lambda _source, _target, _message: False
        self.decided: dict[int, bytes] = {}
        self.said: dict[tuple[str, str, int, int, int], bytes] = {}
        self.liars: set[str] = set()
        self.evidence: list[tuple[str, Contradiction]] = []
        self.reads: list[tuple[NodeId, ReadReady]] = []
        self.nodes: dict[NodeId, Node] = {}
        self.disks = {node: Disk() for node in self.ids}
        for node in self.ids:
            self.start(node)

    def committee_at(self, height: int) -> Committee:
        """Who votes on ``height``: ``barriers`` says who follows, by height of the barrier."""
        committee = self.committee
        for at, members in sorted(self.barriers.items()):
            if at < height and members is not None:
                named = tuple(Member(node, key_of(node)) for node in members)
                committee = Committee(committee.epoch + 1, named)
        return committee

    def era_after(self, height: int) -> Era | None:
        changes = self.barriers.get(height) is not None
        return Era("pbft", self.committee_at(height + 1), height + 1) if changes else None

    def start(self, node: NodeId) -> Node:
        self.nodes[node] = Node(self, node, self.disks[node])
        return self.nodes[node]

    def crash(self, node: NodeId) -> None:
        self.nodes.pop(node, None)

    def post(self, source: str, targets: Iterable[str], message: Any) -> None:
        self._remember(message)
        self.sent.append((source, message))
        raw = DIALECT.encode(message)
        for node in targets:
            if node != source and not self.drop(source, node, message):
                self.wire.append((self.now_ms + 1, source, node, raw))

    def _remember(self, message: Any) -> None:
        stated = DIALECT.statement(message, NETWORK)
        if stated is None or message.signer in self.liars:
            return
        place = (message.signer, stated.kind, stated.epoch, stated.round, stated.height)
        assert self.said.setdefault(place, stated.digest) == stated.digest, "contradiction"

    def accuse(self, witness: NodeId, found: Contradiction) -> None:
        """Whoever is accused lied, and anyone can check it."""
        assert found.member in self.liars, f"{found.kind} against an honest member"
        epochs = (self.committee_at(height) for height in count(1))
        committee = next(each for each in epochs if each.epoch == found.epoch)
        again, checks = evidence.prove(
            evidence.encode(found), committee=committee, network=NETWORK
        )
        assert again == found
        assert all(fake_verify(c.key, c.message, c.signature) for c in checks)
        self.evidence.append((witness, found))

    def judge(self, node: Node, proposal: Proposal, certificate: bytes) -> None:
        verify_commit_certificate(
            certificate,
            proposal_height=proposal.height,
            digest=proposal.digest,
            committee=self.committee_at(proposal.height),
            network=NETWORK,
            verify=fake_verify,
        )
        before = node.reached
        assert (proposal.height, proposal.parent) == (before.height + 1, before.digest)
        node.reached = Applied(proposal.height, proposal.digest, proposal.height)
        known = self.decided.setdefault(proposal.height, proposal.digest)
        assert known == proposal.digest, "two blocks at one height"

    def pump(self) -> None:
        for node in list(self.nodes.values()):
            node.pump()

    def deliver_due(self) -> None:
        """Deliver what is due now; an undelivered remainder keeps its order."""
        for _ in range(len(self.wire)):
            due, source, target, raw = self.wire.popleft()
            if due > self.now_ms:
                self.wire.append((due, source, target, raw))
            elif target in self.nodes:
                node = self.nodes[NodeId(target)]
                accepted = node.receive(source, raw) or source in self.liars
                # Only what is of another epoch cannot be checked here.
                assert accepted or DIALECT.decode(raw, size_max=len(raw)).epoch != (
                    node.engine.committee.epoch
                )
                node.pump()
        while self.fetches:
            self._serve(*self.fetches.popleft())

    def _serve(self, asker: NodeId, fetch: Fetch) -> None:
        self.asked.append((asker, fetch))
        if asker not in self.nodes or fetch.peer not in self.nodes:
            return
        node = self.nodes[asker]
        for proposal, certificate in self.disks[fetch.peer].chain[fetch.lo - 1 : fetch.hi]:
            if node.take(proposal, certificate):
                node.pump()

    def run(self, ms: int, until: Callable[[], bool] | None = None) -> None:
        """Let ``ms`` pass, event by event; stop early when ``until`` holds."""
        end = self.now_ms + ms
        self.pump()
        while self.now_ms < end and not (until is not None and until()):
            deadlines = [node.engine.deadline_ms for node in self.nodes.values()]
            due = [at for at in deadlines if at is not None]
            due += [item[0] for item in self.wire]
            self.now_ms = min(end, max(self.now_ms + 1, min(due, default=end)))
            self.deliver_due()
            for node in list(self.nodes.values()):
                node.engine.tick(self.now_ms)
                node.pump()

    def work(self, since_ms: int | None = None) -> None:
        for node in self.nodes.values():
            node.engine.work(self.now_ms if since_ms is None else since_ms)

    def heights(self) -> dict[str, int]:
        return {node: self.disks[node].applied.height for node in self.ids}

    def grow_at_least(self, height: int, *, without: NodeId) -> None:
        """Run until all but one have applied ``height``, and nothing is on its way."""
        self.height_goal = height
        others = [node for node in self.ids if node != without]
        self.run(
            5000, lambda: all(self.disks[node].applied.height >= height for node in others)
        )
        self.run(5)

    def grow(self, height: int, ms: int = 120_000) -> None:
        """Run until every node that is up has applied ``height``."""
        self.height_goal = max(self.height_goal, height)
        self.work()
        self.run(
            ms, lambda: all(self.disks[node].applied.height >= height for node in self.nodes)
        )
        assert all(self.disks[n].applied.height >= height for n in self.nodes), self.heights()
