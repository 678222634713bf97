"""Real engines under their driver, in memory, small enough to be copied by the hundred.

``harvest`` runs a cluster through elections, crashes and catching up, and keeps what the fuzzer
needs: frames of every kind, and members frozen in every situation.  Knows engines by their
interface and builds them as the simulator does; nothing here looks inside one.
"""

import copy
import hashlib
import random
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Final

from consensus import codec
from consensus.codec import Malformed
from consensus.driver import Driver, Turn
from consensus.effects import Fetch, ProposeResult
from consensus.guard import PREFIX, SignGuard
from consensus.types import Applied, Committee, Delete, Member, NodeId, Proposal, Put
from tests.sim.flavours import flavour
from tests.sim.keys import Keys
from tests.sim.ledger import NETWORK
from tests.sim.plan import draw
from tests.support.marks import MemoryMark

FRAME_BYTES_MAX: Final = 1 << 20
FRAMES_PER_KIND_MAX: Final = 160
MEMBERS_PER_SITUATION_MAX: Final = 6
EPOCH: Final = 1
FETCH_BLOCKS: Final = 16


def block(height: int, parent: bytes, note: bytes, *, barrier: bool = False) -> Proposal:
    """Return a proposal whose digest covers all of it, as a ledger's header does."""
    txids = hashlib.sha256(b"tx" + note).digest() * (note[0] % 3 if note else 1)
    header = codec.encode([height, parent, hashlib.sha256(txids).digest(), barrier, note])
    return Proposal(height, parent, hashlib.sha256(header).digest(), header, txids, barrier)


def well_formed(proposal: Proposal) -> bool:
    """Whether a member could ever hold the body of ``proposal``."""
    txids = hashlib.sha256(proposal.txids).digest()
    said = [proposal.height, proposal.parent, txids, proposal.barrier]
    try:
        *stated, _note = codec.decode(proposal.header, size_max=2048)
    except (Malformed, TypeError, ValueError):
        return False
    return stated == said and hashlib.sha256(proposal.header).digest() == proposal.digest


class Fabric:
    """What all members of one cluster share: committee, keys, dialect, how to build engines."""

    def __init__(self, engine: str, seed: int, size: int) -> None:
        self.engine = engine
        self.flavour = flavour(engine)
        self.dialect = self.flavour.dialect
        self.ids = tuple(f"m{at}" for at in range(size))
        self.keys = Keys(self.ids, real=False)
        voters = tuple(Member(NodeId(node), self.keys.public[node]) for node in self.ids)
        self.committee = Committee(EPOCH, voters)
        self.plan = replace(draw(seed, engine), members=size)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Fabric":
        return self  # never changes

    def admit(self, sender: str, raw: bytes) -> tuple[Any, str]:
        """Do what a node does before it steps; returns the message, or None and the reason."""
        try:
            message = self.dialect.decode(raw, size_max=FRAME_BYTES_MAX)
        except Malformed:
            return None, "no message"
        try:
            checks = self.dialect.checks(
                message, sender=NodeId(sender), committee=self.committee, network=NETWORK
            )
        except Malformed as error:
            return None, f"structure: {error}"
        if not all(self.keys.holds(check) for check in checks):
            return None, "signature"
        if not all(well_formed(item) for item in self.dialect.proposals(message)):
            return None, "body"
        return message, ""


class Node:
    """One member: engine, driver, guard, mark, and rows that survive a crash."""

    def __init__(self, fabric: Fabric, node: str) -> None:
        self.fabric = fabric
        self.id = NodeId(node)
        self.rows: dict[bytes, bytes] = {}
        self.marked = MemoryMark()
        self.chain: list[tuple[Proposal, bytes, int]] = []
        self.life = 0
        self.now_ms = 1000

    def boot(self, now_ms: int) -> None:
        self.life += 1
        self.now_ms = now_ms
        self.outbox: list[tuple[str, bytes]] = []
        self.fetches: list[Fetch] = []
        pairs = sorted(self.rows.items())
        guard = SignGuard(pair for pair in pairs if pair[0].startswith(PREFIX))
        self.marked.level(guard.mark)
        fabric = self.fabric
        world = SimpleNamespace(plan=fabric.plan, committee=fabric.committee, ids=fabric.ids)
        engine = self.fabric.flavour.engine(
            world,  # type: ignore[arg-type]
            self.id,
            self.fabric.committee,
            pairs=[pair for pair in pairs if not pair[0].startswith(PREFIX)],
            applied=self.applied,
            rng=random.Random(f"{self.id} {self.life}"),
            now_ms=now_ms,
        )
        self.driver = Driver(
            engine,
            self.fabric.dialect,
            guard,
            marked=self.marked,
            network=NETWORK,
            sign=_Signer(self.fabric, self.id),
        )

    @property
    def applied(self) -> Applied:
        if not self.chain:
            return Applied(0, NETWORK, 0)
        proposal, _, position = self.chain[-1]
        return Applied(proposal.height, proposal.digest, position)

    def situation(self) -> str:
        """Name what this member is doing, for the list of frozen members."""
        status = self.driver.engine.status()
        behind = " behind" if self.fetches or status.committed > status.delivered else ""
        return f"{status.role}{behind}{' restarted' if self.life > 1 else ''}"

    def tick(self, now_ms: int) -> None:
        self.now_ms = max(self.now_ms, now_ms)
        self.driver.engine.tick(self.now_ms)

    def hear(self, sender: str, message: Any) -> None:
        self.driver.engine.step(NodeId(sender), message)

    def turns(self, *, notes: random.Random | None = None) -> None:
        """Do all that the engine asks for; propose when it wants something."""
        for _ in range(400):
            want = self.driver.engine.want() if notes is not None else None
            if want is not None and notes is not None:
                made = block(want.height, want.parent, notes.randbytes(8))
                if self.driver.engine.propose(made) is not ProposeResult.ACCEPTED:
                    want = None
            turn = self.driver.turn()
            if turn is None:
                return
            self._perform(turn)
        raise AssertionError("the engine never comes to rest")

    def _perform(self, turn: Turn) -> None:
        for record in turn.records:
            if isinstance(record, Put):
                self.rows[record.key] = record.value
            elif isinstance(record, Delete):
                self.rows.pop(record.key, None)
            else:
                for key in [key for key in self.rows if record.lo <= key < record.hi]:
                    del self.rows[key]
        self.marked.take(turn)
        released = self.driver.durable(turn)
        for envelope in (*turn.send_now, *released.send):
            raw = self.fabric.dialect.encode(envelope.message)
            targets = self.fabric.ids if envelope.to is None else (envelope.to,)
            self.outbox += [(target, raw) for target in targets if target != self.id]
        for decided in released.deliver:
            assert decided.proposal.height == self.applied.height + 1, "in order, once"
            assert decided.proposal.parent == self.applied.digest, "a chain"
            self.chain.append((decided.proposal, decided.certificate, decided.position))
            self.driver.applied(decided.proposal.height)
        for message in released.loopback:
            self.driver.engine.step(self.id, message)
        self.fetches += turn.fetch


class _Signer:
    """A member's key; a value, so that copies of a member share it."""

    def __init__(self, fabric: Fabric, node: str) -> None:
        self._fabric, self._node = fabric, node

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Signer":
        return self

    def __call__(self, message: bytes) -> bytes:
        return self._fabric.keys.sign(self._node, message)


@dataclass
class Harvest:
    """Frames by kind with their senders, and frozen members by situation."""

    fabric: Fabric
    frames: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    members: dict[str, list[Node]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)

    def frame(self, rng: random.Random, sender: str, raw: bytes) -> None:
        kind = type(self.fabric.dialect.decode(raw, size_max=FRAME_BYTES_MAX)).__name__
        self.seen[kind] += 1
        kept = self.frames.setdefault(kind, [])
        if len(kept) < FRAMES_PER_KIND_MAX:
            kept.append((sender, raw))
        elif rng.randrange(self.seen[kind]) < FRAMES_PER_KIND_MAX:
            kept[rng.randrange(FRAMES_PER_KIND_MAX)] = (sender, raw)

    def member(self, rng: random.Random, node: Node) -> None:
        situation = node.situation()
        self.seen[situation] += 1
        kept = self.members.setdefault(situation, [])
        if len(kept) < MEMBERS_PER_SITUATION_MAX:
            kept.append(copy.deepcopy(node))
        elif rng.randrange(self.seen[situation]) < MEMBERS_PER_SITUATION_MAX:
            kept[rng.randrange(MEMBERS_PER_SITUATION_MAX)] = copy.deepcopy(node)


def harvest(engine: str, seed: int, *, size: int = 4, span_ms: int = 12_000) -> Harvest:
    """Run a cluster of ``size`` for ``span_ms`` of its own time and collect."""
    return _Cluster(engine, seed, size).run(span_ms)


class _Cluster:
    def __init__(self, engine: str, seed: int, size: int) -> None:
        self._rng = random.Random(f"harvest/{engine}/{seed}")
        fabric = Fabric(engine, seed, size)
        self._found = Harvest(fabric)
        self._nodes = {node: Node(fabric, node) for node in fabric.ids}
        self._down: dict[str, int] = {}
        self._killed = False
        self._cut: tuple[str, int] = ("", 0)
        self._wire: deque[tuple[int, str, str, bytes]] = deque()
        self._now_ms = 1000
        self._tokens = 0
        for node in self._nodes.values():
            node.boot(self._now_ms)
            self._found.member(self._rng, node)

    def run(self, span_ms: int) -> Harvest:
        end_ms = self._now_ms + span_ms
        while self._now_ms < end_ms:
            self._now_ms += 10
            if self._now_ms % 500 == 0:
                self._trouble()
            self._deliver()
            for node in self._up():
                node.tick(self._now_ms)
                node.driver.engine.work(self._now_ms - 300)
                self._ask(node)
                node.turns(notes=self._rng)
                node.driver.engine.check_invariants()
                self._collect(node)
                if self._rng.random() < 0.02:
                    self._found.member(self._rng, node)
        return self._found

    def _up(self) -> list[Node]:
        return [node for node in self._nodes.values() if node.id not in self._down]

    def _ask(self, node: Node) -> None:
        """What clients and operators ask for now and then."""
        rng, engine, dice = self._rng, node.driver.engine, self._rng.random()
        if dice < 0.03:
            self._tokens += 1
            engine.read(self._tokens)
        elif dice < 0.04:
            peers = tuple(each for each in self._nodes if each != node.id)
            node.fabric.flavour.hand_over(engine, peers, rng)
        elif dice < 0.05:
            engine.unreachable(NodeId(rng.choice(node.fabric.ids)))
        elif dice < 0.08 and node.chain:
            engine.stable(node.applied.height)

    def _trouble(self) -> None:
        """Cut somebody off, kill somebody, start somebody again: leaders above all."""
        rng = self._rng
        for node, until in list(self._down.items()):
            if until <= self._now_ms:
                del self._down[node]
                self._nodes[node].boot(self._now_ms)
                self._found.member(rng, self._nodes[node])
        victims = [node.id for node in self._up() if rng.random() < 0.5 or _leads(node)]
        if not victims:
            return
        victim = rng.choice(victims)
        if not self._down and (not self._killed or rng.random() < 0.35):
            self._killed = True  # at least one: every harvest holds somebody who came back
            self._down[victim] = self._now_ms + rng.choice((500, 2500))
        elif rng.random() < 0.6:
            self._cut = (victim, self._now_ms + rng.choice((700, 1500)))

    def _collect(self, node: Node) -> None:
        rng, (cut, until) = self._rng, self._cut
        for target, raw in node.outbox:
            self._found.frame(rng, node.id, raw)
            lost = self._now_ms < until and cut in (node.id, target)
            if not lost and rng.random() > 0.03:
                self._wire.append((self._now_ms + 10, node.id, target, raw))
        node.outbox.clear()
        for fetch in node.fetches:
            lender = self._nodes[fetch.peer]
            if fetch.peer not in self._down:
                self._serve(node, lender, fetch)
        node.fetches.clear()

    def _serve(self, node: Node, lender: Node, fetch: Fetch) -> None:
        top = min(fetch.hi, fetch.lo + FETCH_BLOCKS - 1)
        for proposal, certificate, _ in lender.chain[fetch.lo - 1 : top]:
            if proposal.height == node.applied.height + 1:
                node.driver.engine.synced(proposal, certificate)
                node.turns()

    def _deliver(self) -> None:
        for _ in range(len(self._wire)):
            due_ms, sender, target, raw = self._wire.popleft()
            if due_ms > self._now_ms:
                self._wire.append((due_ms, sender, target, raw))
            elif target not in self._down:
                message, why = self._found.fabric.admit(sender, raw)
                assert message is not None, f"an honest member is refused: {why}"
                self._nodes[target].hear(sender, message)


def _leads(node: Node) -> bool:
    return node.driver.engine.status().role in ("leader", "primary")
