"""A whole cluster under one virtual clock: everything that happens follows from a seed.

Two phases.  First every fault of the seed's plan may strike while clients submit; nothing may
go wrong, but nothing need get done.  Then the network heals, everybody honest comes up, and
all that waits must be delivered everywhere within ``LIVENESS_US``; in a share of the seeds a
quorum heals alone first, and has to get its work done without the rest.
"""

import hashlib
import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from consensus.codec import Malformed
from consensus.engine import Dialect
from consensus.standing import Foreign
from consensus.types import Committee, Era, Member, NodeId, Proposal
from tests.sim import eras, ledger
from tests.sim.checks import Judge, Violation
from tests.sim.faults import Faults
from tests.sim.flavours import flavour
from tests.sim.keys import Keys
from tests.sim.liars import liar
from tests.sim.net import Network
from tests.sim.node import MESSAGE_BYTES_MAX, SimNode
from tests.sim.phases import Phases
from tests.sim.plan import CALM, MS, Plan, draw, harsh
from tests.sim.process import Crashed
from tests.sim.scripts import TWINS

EVENTS_MAX: Final = 400_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a seed came to; ``fingerprint`` chains everything that was observed."""

    seed: int
    engine: str
    events: int
    blocks: int
    virtual_us: int
    messages: int
    recovery_us: int
    rounds: int
    fingerprint: str
    counts: dict[str, int] = field(default_factory=dict)


class Packet:
    """An engine message on its way, decoded and verified once for all who get it."""

    __slots__ = ("epoch", "message", "raw", "trusted", "verdicts")

    def __init__(self, raw: bytes, message: Any, epoch: int, *, trusted: bool) -> None:
        self.raw = raw
        self.message = message
        self.epoch = epoch
        self.trusted = trusted  # an honest member's own words: need no proof
        self.verdicts: dict[int, Any] = {}  # by epoch: what is read there, None: nothing


class World:
    def __init__(
        self,
        plan: Plan,
        *,
        story: Callable[[str], None] | None = None,
        fingerprints: bool = False,
    ) -> None:
        self.plan = plan
        self.rng = random.Random(f"world/{plan.engine}/{plan.seed}")
        self.random = self.rng.random
        self.flavour = flavour(plan.engine)
        self.dialect = self.flavour.dialect
        self.now = 0
        self.faulty = True
        self.events = 0
        self.story = story
        self.fingerprints = fingerprints
        self.crash_point, self.cut_point = plan.crash_point, plan.cut_point
        self.counts: Counter[str] = Counter()
        self._chain = hashlib.sha256()
        self._heap: list[tuple[int, int, Any, tuple[Any, ...]]] = []
        self._sequence = 0
        self.ids = tuple(f"m{index}" for index in range(plan.members + plan.spares))
        self.keys = Keys(self.ids, real=plan.real_keys)
        if plan.engine == "eras":
            self.first_era = eras.first_era(self)
        else:
            # Raft's own log says who of the committee has a vote; PBFT's blocks, who is in it.
            founders = self.ids if plan.engine == "raft" else self.ids[: plan.members]
            founding = self._committee(ledger.FIRST_EPOCH, founders)
            self.first_era = Era(plan.engine, founding)
        self.committee = self.first_era.committee
        self.network = Network(plan, self.rng, self.ids)
        self._links = {a: {b: (a, b) for b in self.ids} for a in self.ids}
        self.judge = Judge(self)
        self.faults = Faults(self)
        self.transactions: dict[bytes, Any] = {}
        self.by_raw: dict[bytes, bytes] = {}
        self.submitted = self.transactions.keys()
        self.member_changes: dict[bytes, str | eras.Change] = {}
        self._formed: dict[Proposal, bool] = {}
        self.twin_side: dict[tuple[str, str], int] = {}
        self._tokens = 0
        self.nodes: list[SimNode] = []
        self._by_id: dict[str, list[SimNode]] = {}
        self._build()
        self.honest = [node for node in self.nodes if node.honest]
        self.calm = (
            not plan.byzantine
            and not plan.member_changes
            and all(getattr(plan, name) == value for name, value in CALM.items())
        )
        self.trusted = {node.id for node in self.honest}

    def _build(self) -> None:
        lies = dict(self.plan.byzantine)
        for index, node in enumerate(self.ids):
            script = lies.get(index)
            self._by_id[node] = []
            for instance in range(2 if script == TWINS else 1):
                lying = None
                if script is not None:
                    lying = liar(script, node, self.dialect, self.keys, self.rng)
                self._by_id[node].append(SimNode(self, node, instance, lying))
            self.nodes += self._by_id[node]

    # --- the members ----------------------------------------------------------------------

    def _committee(self, epoch: int, ids: tuple[str, ...]) -> Committee:
        members = tuple(Member(NodeId(node), self.keys.public[node]) for node in sorted(ids))
        return Committee(epoch, members)

    def is_barrier(self, txids: list[bytes]) -> bool:
        changes = self.member_changes
        return bool(changes) and any(txid in changes for txid in txids)

    def era_after(self, before: Era, proposal: Proposal) -> Era | None:
        """Return what changes with the barrier ``proposal``, or None."""
        if self.plan.engine == "eras":
            return eras.era_after(self, before, proposal)
        ids: tuple[str, ...] = before.committee.ids
        for txid in ledger.txids_of(proposal):
            node = self.member_changes.get(txid)
            assert not isinstance(node, eras.Change)
            if node is not None and node not in ids:
                ids = (*ids, node)
            elif node is not None and len(ids) > 4:
                ids = tuple(each for each in ids if each != node)
        committee = self._committee(before.committee.epoch + 1, ids)
        return Era(before.engine, committee, proposal.height + 1)

    def dialect_of(self, era: Era) -> Dialect:
        """How somebody in ``era`` reads."""
        if isinstance(self.flavour, eras.Eras):
            return self.flavour.dialect_of(era, self.plan.founders)
        return self.dialect

    def of_raft(self, blocks: list[tuple[Proposal, bytes]]) -> bool:
        """Whether some of ``blocks`` were ordered by Raft."""
        return any(self.judge.era_at(each.height).engine == "raft" for each, _ in blocks)

    def following(self, nodes: list[SimNode]) -> list[SimNode]:
        """Return those of ``nodes`` that must come to have every block.

        Under Raft a removed member hears nothing any more, not even that it was removed: who
        leads knows who belongs.
        """
        nodes = [node for node in nodes if not node.lost]
        if self.plan.engine == "eras":
            last = self.judge.era_at(max(self.judge.chain) + 1)
            return [n for n in nodes if n.id in (*last.committee.ids, *last.observers)]
        if self.plan.engine != "raft" or not self.plan.member_changes:
            return nodes
        states = [(node, node.status()) for node in nodes]
        leaders = [(state.round, node) for node, state in states if state.role == "leader"]
        if not leaders:
            return []
        _, leader = max(leaders, key=lambda each: each[0])
        members = self.flavour.members(leader)
        return [node for node in nodes if node.id in members]

    def distrust(self, node: SimNode) -> None:
        """``node`` forgot what it promised: from now on it may contradict itself."""
        self.trusted.discard(node.id)
        self.judge.forgot(node)

    # --- time -----------------------------------------------------------------------------

    def at(self, delay_us: int, do: Any, *arguments: Any) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (self.now + delay_us, self._sequence, do, arguments))

    def run_until(self, end_us: int, done: Callable[[], bool] | None = None) -> None:
        heap, pop, judge = self._heap, heapq.heappop, self.judge
        began = self._events_left = EVENTS_MAX - self.events
        while heap and heap[0][0] <= end_us:
            self.now, _, do, arguments = pop(heap)
            self._events_left -= 1
            try:
                do(*arguments)
            except Crashed as crashed:
                self.faults.down(crashed.node)  # type: ignore[arg-type]
            if done is not None and judge.moved:
                judge.moved = False
                if done():
                    break
            if self._events_left < 0:
                raise Violation("storm", f"more than {EVENTS_MAX} events")
        else:
            self.now = max(self.now, end_us)
        self.events += began - self._events_left

    def tell(self, sentence: str) -> None:
        if self.story is not None:
            self.story(f"{self.now / 1e6:10.4f}  {sentence}")

    def count(self, feature: str, times: int = 1) -> None:
        """Note for the report that ``feature`` happened."""
        self.counts[feature] += times

    def observe(self, node: SimNode) -> None:
        """Chain what ``node`` came to into the fingerprint of the run."""
        self._chain.update(b"%d %s " % (self.now, node.name.encode()))
        self._chain.update(node.driver.engine.fingerprint())

    def sync_delay(self) -> int:
        plan = self.plan
        delay = plan.sync_us + int(self.random() * plan.sync_us)
        if self.faulty and plan.slow_sync and self.random() < plan.slow_sync:
            delay += self.rng.randint(10, 300) * MS
            self.count("slow-sync")
        return delay

    def enthroned(self, node: SimNode, round_now: int) -> None:
        self.faults.enthroned(node, round_now)

    def isolate(self, node: SimNode) -> None:
        self.faults.isolate(node)

    # --- network --------------------------------------------------------------------------

    def packet(self, sender: SimNode, message: Any) -> Packet:
        """Return ``message`` as ``sender`` sends it."""
        raw = self.dialect.encode(message)
        trusted = sender.honest and not self.plan.strict
        return Packet(raw, message, sender.stated_in, trusted=trusted)

    def raw_packet(self, sender: SimNode, raw: bytes) -> Packet:
        return Packet(raw, None, sender.chain.committee.epoch, trusted=False)

    def send(
        self, sender: SimNode, to: str, kind: str, payload: Any, later_us: int = 0
    ) -> None:
        if to == sender.id:
            return
        fates = self.network.fates(self._links[sender.id][to], self.now)
        if self.story is not None and kind == "engine":
            name = type(payload.message).__name__
            self.tell(f"{sender.name} -> {to} {name}{'' if fates else ' (lost)'}")
        receivers = self._by_id[to]
        if self.twin_side:
            receivers = self._on_this_side(sender, to, receivers)
        for receiver in receivers:
            for delay in fates:
                self.at(delay + later_us, receiver.receive, sender.id, kind, payload)

    def _on_this_side(
        self, sender: SimNode, to: str, receivers: list[SimNode]
    ) -> list[SimNode]:
        """Each twin talks to, and hears, only its side of the cluster."""
        if self.twin_side.get((sender.id, to), 2) not in (2, sender.instance):
            return []
        if len(receivers) == 1:
            return receivers
        heard = self.twin_side.get((to, sender.id), 2)
        return [receiver for receiver in receivers if heard in (2, receiver.instance)]

    def admit(self, sender: str, packet: Packet, era: Era) -> Any:
        """Return the message if it decodes and its signatures hold, else None."""
        epoch = era.committee.epoch
        if packet.trusted and (packet.epoch == epoch or self._unsigned(packet)):
            return packet.message
        if epoch not in packet.verdicts:
            packet.verdicts[epoch] = self._read_packet(sender, packet, era)
        message = packet.verdicts[epoch]
        # What is right in one epoch is a lie in another, and honest members are late; where
        # one dialect is for all eras, nobody needs that excuse.
        if message is None and (packet.epoch == epoch or self.plan.engine == "eras"):
            self.refused(sender, f"a {type(packet.message).__name__} that does not verify")
        return message

    def _unsigned(self, packet: Packet) -> bool:
        return self.dialect.statement(packet.message, ledger.NETWORK) is None

    def _read_packet(self, sender: str, packet: Packet, era: Era) -> Any:
        dialect = self.dialect_of(era)
        try:
            message = dialect.decode(packet.raw, size_max=MESSAGE_BYTES_MAX)
            if not isinstance(message, Foreign):
                assert dialect.encode(message) == packet.raw, "one message, one encoding"
                packet.message = message
            checks = dialect.checks(
                message, sender=NodeId(sender), committee=era.committee, network=ledger.NETWORK
            )
        except Malformed:
            return None
        return message if all(self.keys.holds(check) for check in checks) else None

    def well_formed(self, proposal: Proposal) -> bool:
        formed = self._formed.get(proposal)
        if formed is None:
            formed = self._formed[proposal] = ledger.well_formed(
                proposal
            ) and proposal.barrier == self.is_barrier(ledger.txids_of(proposal))
        return formed

    def refused(self, sender: str, what: str) -> None:
        self.count("refused")
        if sender in self.trusted:
            raise Violation("honest-refused", f"{sender} sent {what}")

    def untimely(self, sender: str) -> None:
        """A block from the future: an honest member sends one only if its clock jumped."""
        if self.plan.wall_jump_us or self.plan.drift_ppm > 1000:
            self.count("untimely")
        else:
            self.refused(sender, "a block from the future")

    # --- clients --------------------------------------------------------------------------

    def submit(self, nodes: list[SimNode], *, change: bool = False) -> None:
        """A client hands a new transaction to one of ``nodes``."""
        transaction = ledger.numbered(len(self.transactions))
        node = self.rng.choice(nodes)
        if node.up:
            txid = transaction.txid
            self.transactions[txid] = transaction
            self.by_raw[transaction.raw] = txid
            if change:
                if self.plan.engine == "eras":
                    self.member_changes[txid] = eras.draw_change(self)
                else:
                    self.member_changes[txid] = self.rng.choice(self.ids)
            node.receive(node.id, "submit", txid)

    def _submit(self) -> None:
        self.submit(self.honest)

    def _change_members(self) -> None:
        if self.plan.engine in ("pbft", "eras"):
            self.submit(self.honest, change=True)
            return
        for node in self.honest:
            self.change_members_at(node)

    def change_members_at(self, node: SimNode) -> None:
        """An operator asks ``node``, if it leads, for other members; some ask twice."""
        if not node.up or node.paused_until > self.now or node.status().role != "leader":
            return
        engine = node.driver.engine
        engine.tick(node.now_ms())
        for _ in range(self.rng.choice((1, 1, 2))):
            if self.flavour.change_members(engine, self.ids, self.rng):
                self.count("member-change")
                self.tell(f"{node.name} proposes other members")
                self.faults.ordered_a_change(node)
        node.pump()

    def read_at(self, node: SimNode) -> None:
        if node.up and node.paused_until <= self.now:
            self._tokens += 1
            node.ask_read(self._tokens)

    def _read(self) -> None:
        if self.faulty:
            self.read_at(self.rng.choice(self.honest))
            self.at(int(self.rng.expovariate(1.0 / self.plan.reads_us)) + 1, self._read)

    # --- the run --------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Play the seed; raise ``Violation`` (or the engine's own assertion) on a fault."""
        plan = self.plan
        for node in self.nodes:
            node.boot()
        for _ in range(plan.transactions):
            self.at(self.rng.randrange(plan.faults_us), self._submit)
        for _ in range(plan.member_changes):
            self.at(self.rng.randrange(plan.faults_us), self._change_members)
        if plan.reads_us:
            self.at(self.rng.randrange(plan.reads_us), self._read)
        self.faults.start()
        self.run_until(plan.faults_us)
        recovery_us = Phases(self).recover()
        return Outcome(
            plan.seed,
            plan.engine,
            self.events,
            max(self.judge.chain),
            self.now,
            self.network.sent,
            recovery_us,
            self.judge.top_round,
            self._fingerprint(),
            dict(sorted(self.counts.items())),
        )

    def _fingerprint(self) -> str:
        for height in sorted(self.judge.chain):
            self._chain.update(self.judge.chain[height])
        for node in self.honest:
            if node.up:
                self._chain.update(node.driver.engine.fingerprint())
        self._chain.update(b"%d %d %d" % (self.now, self.events, self.network.sent))
        return self._chain.hexdigest()


def play(
    seed: int,
    engine: str,
    *,
    story: Callable[[str], None] | None = None,
    fingerprints: bool = False,
    hard: bool = False,
) -> Outcome:
    """Run one seed of ``engine`` from start to convergence; ``hard``: by its harsh plan."""
    plan = harsh(seed, engine) if hard else draw(seed, engine)
    return World(plan, story=story, fingerprints=fingerprints).run()
