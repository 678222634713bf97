"""Whole successions on an in-memory network: real engines of both kinds, drivers and guards.

One ``World`` owns time and what the chain says about eras; messages travel as bytes through the
one dialect of all eras, a millisecond per hop.  Records that were not written before a crash
are gone; the ledger's own batch is another one.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from consensus.codec import Malformed
from consensus.driver import Driver, Released, Turn
from consensus.effects import Decided, Fetch, ReadReady
from consensus.guard import SignGuard
from consensus.mark import Standing as MarkStanding
from consensus.mark import compare
from consensus.pbft.engine import PbftConfig, PbftEngine
from consensus.raft.config import RaftConfig
from consensus.raft.engine import RaftEngine
from consensus.raft.founding import first_leader
from consensus.succession import Succession
from consensus.succession_dialect import InForce, SuccessionDialect
from consensus.types import Applied, Committee, Era, Member, NodeId, Proposal
from tests.consensus.pbft.harness import (
    FRAME_BYTES_MAX,
    NETWORK,
    Disk,
    PowerLoss,
    fake_sign,
    fake_verify,
    key_of,
)

PAUSE_MS = 40
Drop = Callable[[str, str, Any], bool]


def era(epoch: int, engine: str, voters: str, *, after: int = 0, observers: str = "") -> Era:
    """Return an era of members that are named by one letter each."""
    members = tuple(Member(NodeId(each), key_of(each)) for each in sorted(voters))
    observing = tuple(NodeId(each) for each in observers)
    return Era(engine, Committee(epoch, members), after + 1, observing)


class EraDisk(Disk):
    """``positions``: of each block in the chain, as the engine gave it."""

    def __init__(self) -> None:
        super().__init__()
        self.positions: list[int] = []

    @property
    def applied(self) -> Applied:
        if not self.chain:
            return Applied(0, NETWORK, 0)
        last = self.chain[-1][0]
        return Applied(last.height, last.digest, self.positions[-1])


class Institution:
    def __init__(self, world: "World", node: NodeId, disk: EraDisk) -> None:
        self.world, self.id, self.disk = world, node, disk
        self.reads: list[ReadReady] = []
        self.waiting: deque[Decided] = deque()
        self.in_force = InForce(world.era_at(disk.applied.height + 1))
        self.dialect = SuccessionDialect(self.in_force, founders=world.era_at(1).engine)
        pairs = sorted(disk.pairs.items())
        self.succession = Succession(
            self.make,
            self.in_force,
            self_id=node,
            pairs=pairs,
            applied=disk.applied,
            now_ms=world.now_ms,
            holds=lambda key: key not in world.lost_keys,
            pause_ms=PAUSE_MS,
        )
        guard = SignGuard([pair for pair in pairs if pair[0].startswith(b"guard/")])
        standing = compare(stored=guard.mark, marked=disk.mark)
        assert standing in (MarkStanding.LEVEL, MarkStanding.ONE_SHORT)
        disk.mark = guard.mark
        self.driver = Driver(
            self.succession,
            self.dialect,
            guard,
            marked=disk,
            network=NETWORK,
            sign=lambda message: fake_sign(self._key(), message),
        )

    def _key(self) -> bytes:
        key = self.in_force.era.committee.key(self.id)
        assert key is not None, "who has no vote signs nothing"
        assert key not in self.world.lost_keys
        return key

    def make(
        self, of: Era, pairs: Iterable[tuple[bytes, bytes]], applied: Applied, now_ms: int
    ) -> Any:
        rng = Random(f"{self.id}/{of.committee.epoch}")
        state: dict[str, Any] = {
            "pairs": pairs, "applied": applied, "rng": rng, "now_ms": now_ms,
        }  # fmt: skip
        if of.engine == "raft":
            leader = None
            if of.committee.epoch:
                leader = first_leader(of, self.world.proposer(of.from_height - 1))
            raft = RaftConfig(
                self_id=self.id,
                committee=of.committee,
                election_ms_min=60,
                election_ms_spread=60,
                heartbeat_ms=15,
                first_leader=leader,
            )
            return RaftEngine(raft, **state)
        pbft = PbftConfig(
            self.id, of.committee, NETWORK,
            request_ms=60, view_change_ms=60, resend_ms=30, status_ms=30,
        )  # fmt: skip
        return PbftEngine(pbft, **state)

    # --- one step --------------------------------------------------------------------------

    def receive(self, sender: str, raw: bytes) -> bool:
        """Decode, check every signature, step; False when its sender broke the protocol."""
        try:
            message = self.dialect.decode(raw, size_max=FRAME_BYTES_MAX)
            checks = self.dialect.checks(
                message,
                sender=NodeId(sender),
                committee=self.in_force.era.committee,
                network=NETWORK,
            )
        except Malformed:
            return False
        if not all(fake_verify(c.key, c.message, c.signature) for c in checks):
            return False
        self.succession.step(NodeId(sender), message)
        return True

    def pump(self) -> None:
        """Offer a block where one is wanted, and take turns until nothing is asked for."""
        for _ in range(200):
            self.offer()
            turn = self.driver.turn()
            if turn is None:
                return
            for fetch in turn.fetch:
                self.world.fetches.append((self.id, fetch))
            self.world.power(self, "before-write")
            self.disk.write(turn.records)
            self.world.power(self, "after-write")
            if turn.mark is not None:
                self.disk.mark = turn.mark
            self._release(turn, self.driver.durable(turn))
        raise AssertionError("a member that never comes to rest")

    def _release(self, turn: Turn, released: Released) -> None:
        self.reads += released.reads
        everybody = self.world.ids
        for envelope in (*turn.send_now, *released.send):
            targets = everybody if envelope.to is None else (envelope.to,)
            self.world.post(self, targets, envelope.message)
        self.waiting.extend(released.deliver)
        for message in released.loopback:
            self.succession.step(self.id, message)
        self.apply()
        self.succession.check_invariants()

    def apply(self) -> None:
        while self.waiting and self.id not in self.world.slow_ledgers:
            decided = self.waiting.popleft()
            height = decided.proposal.height
            self.world.final(self.id, decided)
            self.disk.chain.append((decided.proposal, decided.certificate))
            self.disk.positions.append(decided.position)
            self.world.power(self, "after-apply")
            self.driver.applied(height, self.world.era_after(height))

    def offer(self) -> None:
        want = self.succession.want()
        if want is not None and want.height <= self.world.height_goal:
            self.succession.propose(self.world.block(want.height, want.parent, self.id))

    def take(self, blocks: Iterable[tuple[Proposal, bytes]]) -> None:
        """Check fetched blocks and hand them on, up to the first that does not hold."""
        for proposal, certificate in blocks:
            if proposal.height <= self.disk.applied.height:
                continue
            try:
                checks = self.dialect.certificate_checks(
                    certificate,
                    proposal=proposal,
                    committee=self.in_force.era.committee,
                    network=NETWORK,
                )
            except Malformed:
                return
            if not all(fake_verify(c.key, c.message, c.signature) for c in checks):
                return
            self.succession.synced(proposal, certificate)
            self.pump()

    @property
    def height(self) -> int:
        return self.disk.applied.height

    @property
    def epoch(self) -> int:
        return self.in_force.era.committee.epoch


class World:
    """``eras``: the founders first, then each on its barrier."""

    def __init__(self, ids: str, *eras: Era) -> None:
        self.ids = [NodeId(each) for each in ids]
        self.eras = eras
        self.observing: dict[int, Era] = {}  # height: the era in force, other observers
        self.now_ms = 0
        self.height_goal = self.goal_ms = 0
        self.slow_ledgers: set[str] = set()
        self.lost_keys: set[bytes] = set()
        self.drop: Drop = lambda _source, _target, _message: False
        self.cuts: dict[tuple[str, str], int] = {}  # (member, point): how often it passes
        self.chain: dict[int, bytes] = {}
        self.proposers: dict[int, str] = {}
        self.wire: deque[tuple[int, str, str, bytes]] = deque()
        self.fetches: list[tuple[NodeId, Fetch]] = []
        self.sent: list[tuple[str, str, Any]] = []
        self.punished: list[tuple[str, str]] = []
        self.disks = {node: EraDisk() for node in self.ids}
        self.nodes: dict[NodeId, Institution] = {}
        for node in self.ids:
            self.start(node)

    # --- what the chain says ----------------------------------------------------------------

    def era_at(self, height: int) -> Era:
        found = [each for each in self.eras if each.from_height <= height][-1]
        for at, same in sorted(self.observing.items()):
            if at < height and same.committee.epoch == found.committee.epoch:
                found = same
        return found

    def era_after(self, height: int) -> Era | None:
        return self.era_at(height + 1) if self.is_barrier(height) else None

    def is_barrier(self, height: int) -> bool:
        starts = [each.from_height for each in self.eras[1:]]
        return height + 1 in starts or height in self.observing

    def block(self, height: int, parent: bytes, proposer: str) -> Proposal:
        header = f"{height} {parent.hex()[:8]} {proposer}".encode()
        digest = hashlib.sha256(header + parent).digest()
        txids = hashlib.sha256(b"tx" + header).digest()
        return Proposal(height, parent, digest, header, txids, self.is_barrier(height))

    def proposer(self, height: int) -> str | None:
        return self.proposers.get(height)

    def final(self, node: str, decided: Decided) -> None:
        """Agreement: one block a height, whoever delivers it."""
        block = decided.proposal
        assert self.chain.setdefault(block.height, block.digest) == block.digest, node
        self.proposers[block.height] = block.header.decode().split()[2]

    # --- life -------------------------------------------------------------------------------

    def start(self, node: str) -> Institution:
        self.nodes[NodeId(node)] = Institution(self, NodeId(node), self.disks[NodeId(node)])
        return self.nodes[NodeId(node)]

    def crash(self, node: str) -> None:
        self.nodes.pop(NodeId(node), None)

    def power(self, node: Institution, point: str) -> None:
        left = self.cuts.get((node.id, point))
        if left is None:
            return
        self.cuts[node.id, point] = left - 1
        if left == 0:
            raise PowerLoss

    def post(self, source: Institution, targets: Iterable[str], message: Any) -> None:
        raw = source.dialect.encode(message)
        for target in targets:
            if target != source.id and not self.drop(source.id, target, message):
                self.sent.append((source.id, target, message))
                self.wire.append((self.now_ms + 1, source.id, target, raw))

    def run(self, span_ms: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let ``span_ms`` pass, or less; True when ``until`` came true."""
        for _ in range(span_ms):
            if until():
                return True
            self.now_ms += 1
            due = [self.wire.popleft() for _ in range(len(self.wire))]
            for at, source, target, raw in due:
                if at > self.now_ms:
                    self.wire.append((at, source, target, raw))
                elif (node := self.nodes.get(NodeId(target))) is not None and not node.receive(
                    source, raw
                ):
                    self.punished.append((target, source))
            self._serve()
            for node in list(self.nodes.values()):
                try:
                    waits = node.height < self.height_goal
                    node.succession.work(self.goal_ms if waits else None)
                    node.succession.tick(self.now_ms)
                    node.pump()
                except PowerLoss:
                    self.crash(node.id)
        return until()

    def _serve(self) -> None:
        fetches, self.fetches = self.fetches, []
        for asker, fetch in fetches:
            server, node = self.nodes.get(fetch.peer), self.nodes.get(asker)
            if server is None or node is None or self.drop(fetch.peer, asker, fetch):
                continue
            try:
                node.take(server.disk.chain[fetch.lo - 1 : fetch.hi])
            except PowerLoss:
                self.crash(asker)

    def reach(self, height: int, *, of: str, span_ms: int = 5000) -> None:
        """Order up to ``height``; all of ``of`` must have executed it in ``span_ms``."""
        if height > self.height_goal:
            self.height_goal, self.goal_ms = height, self.now_ms

        def there() -> bool:
            alive = [self.nodes.get(NodeId(each)) for each in of]
            return all(node is not None and node.height >= height for node in alive)

        assert self.run(span_ms, there), {n: (m.height, m.epoch) for n, m in self.nodes.items()}
