"""A whole cluster under one virtual clock: everything that happens follows from a seed.

Two phases.  First every fault of the seed's plan may strike while clients submit; nothing may
go wrong, but nothing need get done.  Then the network heals, everybody honest comes up, and
all that waits must be delivered everywhere within ``LIVENESS_US``.
"""

import hashlib
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from consensus.codec import Malformed
from consensus.types import Committee, Member, NodeId
from tests.sim import ledger
from tests.sim.byzantine import Liar
from tests.sim.checks import Judge, Violation
from tests.sim.flavours import flavour
from tests.sim.keys import Keys
from tests.sim.net import Network
from tests.sim.node import MESSAGE_BYTES_MAX, Crashed, SimNode
from tests.sim.plan import MS, TWINS, Plan, draw, harsh

LIVENESS_US: Final = 120_000 * MS
EVENTS_MAX: Final = 400_000
LATE_TRANSACTIONS: Final = 3
IDLE_US: Final = 500 * MS
BUSY_MESSAGES_MAX: Final = 400  # per second and pair, while the cluster catches up
IDLE_MESSAGES_MAX: Final = 50  # per second and pair, when nothing waits
SPAN_TWINS_US: Final = 150 * MS


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
    fingerprint: str


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
        self.flavour = flavour(plan.engine)
        self.dialect = self.flavour.dialect
        self.now = 0
        self.faulty = True
        self.events = 0
        self._story = story
        self._fingerprints = fingerprints
        self._chain = hashlib.sha256()
        self._heap: list[tuple[int, int, Any, tuple[Any, ...]]] = []
        self._sequence = 0
        ids = tuple(f"m{index}" for index in range(plan.members))
        self.keys = Keys(plan.seed, ids, real=plan.real_keys)
        members = tuple(Member(NodeId(node), self.keys.public[node]) for node in ids)
        self.committee = Committee(ledger.EPOCH, members)
        self.network = Network(plan, self.rng, ids)
        self.judge = Judge(self)
        self.submitted: set[bytes] = set()
        self._decoded: dict[bytes, Any] = {}
        self._verified: dict[tuple[str, bytes], bool] = {}
        self.refusals = 0
        self._twin_side: dict[tuple[str, str], int] = {}
        self.nodes: list[SimNode] = []
        self._by_id: dict[str, list[SimNode]] = {}
        self._build(ids)
        self.honest = [node for node in self.nodes if node.honest]
        self._honest_ids = frozenset(node.id for node in self.honest)

    def _build(self, ids: tuple[str, ...]) -> None:
        lies = dict(self.plan.byzantine)
        for index, node in enumerate(ids):
            kind = lies.get(index)
            liar = None
            if kind is not None:
                liar = Liar(kind, node, self.dialect, self.keys, self.rng)
            count = 2 if kind == TWINS else 1
            self._by_id[node] = [SimNode(self, node, i, liar) for i in range(count)]
            self.nodes += self._by_id[node]

    # --- time -----------------------------------------------------------------------------

    def at(self, delay_us: int, do: Any, *arguments: Any) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (self.now + delay_us, self._sequence, do, arguments))

    def _run_until(self, end_us: int, done: Callable[[], bool] | None = None) -> None:
        heap = self._heap
        while heap and heap[0][0] <= end_us:
            self.now, _, do, arguments = heapq.heappop(heap)
            self.events += 1
            if self.events > EVENTS_MAX:
                raise Violation("storm", f"more than {EVENTS_MAX} events")
            try:
                do(*arguments)
            except Crashed as crashed:
                self._down(crashed.node)
            if done is not None and done():
                return
        self.now = max(self.now, end_us)

    def tell(self, sentence: str) -> None:
        if self._story is not None:
            self._story(f"{self.now / 1e6:10.4f}  {sentence}")

    def observe(self, node: SimNode) -> None:
        """Chain what ``node`` came to into the fingerprint of the run."""
        if self._fingerprints:
            self._chain.update(b"%d %s " % (self.now, node.name.encode()))
            self._chain.update(node.driver.engine.fingerprint())

    # --- network --------------------------------------------------------------------------

    def send(self, sender: SimNode, to: str, kind: str, payload: Any) -> None:
        if to == sender.id:
            return
        fates = self.network.fates(sender.id, to)
        if self._story is not None and kind == "engine" and sender.honest:
            name = type(self._decode(payload)).__name__
            self.tell(f"{sender.name} -> {to} {name}{'' if fates else ' (lost)'}")
        side = self._twin_side.get((sender.id, to), 2)
        if side not in (2, sender.instance):
            return  # this twin does not talk to that member
        for receiver in self._by_id[to]:
            if len(self._by_id[to]) > 1:
                heard = self._twin_side.get((to, sender.id), 2)
                if heard not in (2, receiver.instance):
                    continue
            for delay in fates:
                self.at(delay, receiver.receive, sender.id, kind, payload)

    def _decode(self, raw: bytes) -> Any:
        """Decode once per distinct message: messages are immutable values."""
        if raw not in self._decoded:
            try:
                message = self.dialect.decode(raw, size_max=MESSAGE_BYTES_MAX)
                assert self.dialect.encode(message) == raw, "one message, one encoding"
            except Malformed:
                message = None
            self._decoded[raw] = message
        return self._decoded[raw]

    def admit(self, sender: str, raw: bytes) -> Any:
        """Return the message if it decodes and its signatures hold, else None."""
        message = self._decode(raw)
        if message is None:
            self.refused(sender, "bytes that are no message")
            return None
        key = (sender, raw)
        if key not in self._verified:
            try:
                checks = self.dialect.checks(
                    message,
                    sender=NodeId(sender),
                    committee=self.committee,
                    network=ledger.NETWORK,
                )
                self._verified[key] = all(self.keys.holds(check) for check in checks)
            except Malformed:
                self._verified[key] = False
        if not self._verified[key]:
            self.refused(sender, f"a {type(message).__name__} that does not verify")
            return None
        return message

    def refused(self, sender: str, what: str) -> None:
        self.refusals += 1
        if sender in self._honest_ids:
            raise Violation("honest-refused", f"{sender} sent {what}")

    def sync_delay(self) -> int:
        plan = self.plan
        delay = plan.sync_us + int(self.rng.random() * plan.sync_us)
        if self.faulty and plan.slow_sync and self.rng.random() < plan.slow_sync:
            delay += self.rng.randint(20, 600) * MS
        return delay

    # --- faults ---------------------------------------------------------------------------

    def _every(self, mean_us: int, do: Callable[[], None]) -> None:
        """Run ``do`` at random times, ``mean_us`` apart on average, while faults last."""

        def again() -> None:
            if self.faulty:
                do()
                self.at(int(self.rng.expovariate(1.0 / mean_us)) + 1, again)

        if mean_us:
            self.at(int(self.rng.expovariate(1.0 / mean_us)) + 1, again)

    def _partition(self) -> None:
        if self.plan.members > 1:
            self.tell(f"partition: {self.network.split()}")
            self.at(self.plan.partition_stability_us, self.network.join)

    def _crash_one(self) -> None:
        node = self.rng.choice(self.honest)
        if node.up:
            self._down(node)

    def _down(self, node: SimNode) -> None:
        node.crash(power_loss=self.rng.random() < self.plan.power_loss)
        delay = 1 + int(self.rng.expovariate(1.0 / self.plan.down_us))
        self.at(delay, self._up, node, node.incarnation)

    def _up(self, node: SimNode, incarnation: int) -> None:
        if not node.up and node.incarnation == incarnation:
            self.tell(f"{node.name} starts")
            node.boot()

    def enthroned(self, node: SimNode) -> None:
        """A new leader: the worst moment to lose it is the next few message delays."""
        plan, rng = self.plan, self.rng
        self.tell(f"{node.name} leads round {node.status().round}")
        if self.faulty and rng.random() < plan.depose:
            span = 4 * (plan.latency_us + plan.latency_spread_us + plan.sync_us)
            self.at(rng.randint(0, span), self._depose, node, node.incarnation)

    def _depose(self, node: SimNode, incarnation: int) -> None:
        if not self.faulty or not node.up or node.incarnation != incarnation:
            return
        if self.rng.random() < 0.5:
            self._down(node)
        else:
            self.tell(f"{node.name} is cut off")
            self.network.isolate(node.id)
            self.at(self.plan.partition_stability_us, self.network.join)

    def _pause_one(self) -> None:
        node = self.rng.choice(self.honest)
        if node.up:
            node.paused_until = self.now + self.rng.randint(50, 1500) * MS
            self.tell(f"{node.name} stalls until {node.paused_until / 1e6:.4f}")

    def _turn_twins(self) -> None:
        """Each peer of a twin identity hears twin 0, twin 1, or (rarely) both."""
        for index, kind in self.plan.byzantine:
            if kind == TWINS:
                for peer in self.committee.ids:
                    side = self.rng.choice((0, 0, 0, 1, 1, 1, 2))
                    self._twin_side[f"m{index}", peer] = side

    # --- the two phases -------------------------------------------------------------------

    def _submit(self) -> None:
        txid = self.rng.randbytes(32)
        node = self.rng.choice(self.honest)
        if node.up:
            self.submitted.add(txid)
            node.submit(txid)

    def run(self) -> Outcome:
        """Play the seed; raise ``Violation`` (or the engine's own assertion) on a fault."""
        plan = self.plan
        self._turn_twins()
        for node in self.nodes:
            node.boot()
        for _ in range(plan.transactions):
            self.at(self.rng.randrange(plan.faults_us), self._submit)
        self._every(plan.partition_us, self._partition)
        self._every(plan.crash_us, self._crash_one)
        self._every(plan.pause_us, self._pause_one)
        if plan.byzantine:
            self._every(SPAN_TWINS_US, self._turn_twins)
        self._run_until(plan.faults_us)
        self._heal()
        healed_us, sent = self.now, self.network.sent
        must = self._must_deliver()
        self._run_until(self.now + LIVENESS_US, lambda: self._converged(must))
        self._check_progress(must)
        recovery_us = self.now - healed_us
        self._check_storm(self.network.sent - sent, recovery_us, BUSY_MESSAGES_MAX)
        self.judge.finished()
        self._check_idle()
        return Outcome(
            plan.seed,
            plan.engine,
            self.events,
            max(self.judge.chain),
            self.now,
            self.network.sent,
            recovery_us,
            self._fingerprint(),
        )

    def _heal(self) -> None:
        self.tell("everything heals")
        self.faulty = False
        self.network.heal()
        for node in self.honest:
            node.paused_until = 0
            if not node.up:
                node.boot()
        for _ in range(LATE_TRANSACTIONS):
            self._submit()

    def _must_deliver(self) -> list[bytes]:
        """What some honest live member knows and nobody has delivered yet."""
        waiting: dict[bytes, None] = {}
        for node in self.honest:
            waiting.update(dict.fromkeys(node.pending))
            for sender, kind, payload in node.inbox:
                if kind == "tx" and sender == node.id:
                    waiting.update(dict.fromkeys(payload))
        return list(waiting)

    def _converged(self, must: list[bytes]) -> bool:
        top = max(self.judge.delivered.values())
        if any(node.executed < top for node in self.honest):
            return False
        return all(txid in self.judge.tx_height for txid in must)

    def _check_progress(self, must: list[bytes]) -> None:
        if self._converged(must):
            return
        left = sum(1 for txid in must if txid not in self.judge.tx_height)
        states = "; ".join(
            f"{node.id} {node.status().role} round {node.status().round}"
            f" executed {node.executed} pending {len(node.pending)}"
            for node in self.honest
        )
        raise Violation(
            "liveness", f"{left} waiting after {LIVENESS_US // MS} ms of calm: {states}"
        )

    def _check_storm(self, messages: int, span_us: int, limit: int) -> None:
        rate = messages / self.plan.members**2 / ((span_us + IDLE_US) / 2e6)
        if rate > limit:
            raise Violation("storm", f"{rate:.0f} messages per second and pair after healing")

    def _check_idle(self) -> None:
        """With nothing to do the cluster is quiet (unless a liar still had transactions)."""
        sent, blocks = self.network.sent, len(self.judge.chain)
        self._run_until(self.now + IDLE_US)
        if len(self.judge.chain) == blocks:
            self._check_storm(self.network.sent - sent, IDLE_US, IDLE_MESSAGES_MAX)

    def _fingerprint(self) -> str:
        for height in sorted(self.judge.chain):
            self._chain.update(self.judge.chain[height])
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
