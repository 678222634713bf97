"""After the faults: who heals when, and what must then get done.

A quorum may heal alone first.  Everybody else is cut off from it, or hears nothing and goes on
shouting; no more crashes.  Then everything heals, and everything must be everywhere.
"""

from typing import TYPE_CHECKING, Final

from tests.sim.checks import Violation
from tests.sim.plan import MS

if TYPE_CHECKING:
    from tests.sim.node import SimNode
    from tests.sim.world import World

LIVENESS_US: Final = 90_000 * MS
LATE_TRANSACTIONS: Final = 1
IDLE_US: Final = 400 * MS
BUSY_MESSAGES_MAX: Final = 600  # per second and pair, while the cluster catches up
IDLE_MESSAGES_MAX: Final = 80  # per second and pair, when nothing waits
BLOCK_MESSAGES_MAX: Final = 8  # per block and pair, when nothing goes wrong
QUIET_MESSAGES_MAX: Final = 60  # per second and pair: heartbeats, hints and gossip
READ_AGAIN_US: Final = 60 * MS
LOOK_AGAIN_US: Final = 100 * MS


class Phases:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._nodes: list[SimNode] = []
        self._must: list[bytes] = []
        self._answers: dict[str, int] = {}
        self._bound_us = LIVENESS_US

    def recover(self) -> int:
        """Heal and hold the cluster to its promises; return how long that took."""
        world = self._world
        began = world.now
        world.faulty = False
        world.judge.logs()
        for node in world.nodes:
            node.disk.full = False
            node.wall_offset_ms = 0
        if world.plan.core and world.plan.members > 1 and not world.plan.member_changes:
            self._heal_core()
        world.tell("everything heals")
        world.network.heal()
        self._work([node for node in world.honest if not node.lost])
        took = world.now - began
        world.judge.finished()
        world.judge.logs()
        self._check_messages()
        if world.plan.seed % 8 == 0:
            self._check_idle()
        return took

    def _heal_core(self) -> None:
        """A quorum of members that kept their disks heals among itself, if so many did."""
        world = self._world
        sound = [node for node in world.honest if not node.wiped]
        needed = world.honest[0].quorum
        if len(sound) < needed or needed == len(world.ids):
            return
        core = world.rng.sample(sound, needed)
        ids = [node.id for node in core]
        world.count(f"core {world.plan.core}")
        world.tell(f"{' '.join(ids)} heal")
        # Liars keep their links: a quorum of honest members must cope with them.
        ids += [node.id for node in world.nodes if not node.honest]
        world.network.heal(core=ids, deaf=world.plan.core == "deaf")
        self._work(core)

    def _work(self, nodes: list["SimNode"]) -> None:
        """Everybody in ``nodes`` comes up and gets everything done."""
        world, began, sent = self._world, self._world.now, self._world.network.sent
        for node in nodes:
            if node.paused_until > world.now:
                node.paused_until = 0
                node.after(0, node.pump)
            if not node.up:
                world.tell(f"{node.name} starts")
                node.boot()
        for _ in range(LATE_TRANSACTIONS):
            world.submit(nodes)
        self._nodes, self._must = nodes, self._waiting(nodes)
        self._answers = dict(world.judge.answers)
        if world.flavour.reads and world.plan.reads_us:
            world.at(0, self._read_again, nodes)
        self._look_again(nodes)
        self._bound_us = world.plan.recovery_us or LIVENESS_US
        world.run_until(began + self._bound_us, self._converged)
        self._check_progress()
        span_us = world.now - began
        self._check_storm(world.network.sent - sent, span_us, BUSY_MESSAGES_MAX)
        self._nodes = []

    def _waiting(self, nodes: list["SimNode"]) -> list[bytes]:
        """What some honest live member knows and nobody has delivered yet."""
        waiting: dict[bytes, None] = {}
        for node in nodes:
            waiting.update(dict.fromkeys(node.pool.mempool.pending(1000)))
            for _, kind, payload in node.inbox:
                if kind == "submit":
                    waiting[payload] = None
        return list(waiting)

    # --- what must get done ---------------------------------------------------------------

    def _look_again(self, nodes: list["SimNode"]) -> None:
        """Not everything that ends the wait is a delivery: leaders and members change."""
        if self._nodes is nodes:
            self._world.judge.moved = True
            self._world.at(LOOK_AGAIN_US, self._look_again, nodes)

    def _read_again(self, nodes: list["SimNode"]) -> None:
        """Clients ask every node until they have an answer; a newcomer may be asked late."""
        if self._nodes is not nodes:
            return  # that phase is over
        for node in nodes:
            if not self._answered(node):
                self._world.read_at(node)
        self._world.at(READ_AGAIN_US, self._read_again, nodes)

    def _answered(self, node: "SimNode") -> bool:
        world = self._world
        if not world.flavour.reads or not world.plan.reads_us or node.observes:
            return True
        return world.judge.answers.get(node.id, 0) > self._answers.get(node.id, 0)

    def _converged(self) -> bool:
        judge = self._world.judge
        if any(txid not in judge.tx_height for txid in self._must):
            return False
        following = self._world.following(self._nodes)
        top = max(judge.delivered[node.id] for node in self._nodes)
        if not following or any(node.chain.executed < top for node in following):
            return False
        return all(self._answered(node) for node in following)

    def _check_progress(self) -> None:
        if self._converged():
            return
        judge = self._world.judge
        left = sum(1 for txid in self._must if txid not in judge.tx_height)
        states = "; ".join(
            f"{node.id} {node.status().role} round {node.status().round}"
            f" executed {node.chain.executed} pending {len(node.pool.mempool)}"
            for node in self._nodes
        )
        raise Violation(
            "liveness", f"{left} waiting after {self._bound_us // MS} ms of calm: {states}"
        )

    # --- what it may cost -----------------------------------------------------------------

    def _check_storm(self, messages: int, span_us: int, limit: int) -> None:
        rate = messages / len(self._world.ids) ** 2 / ((span_us + IDLE_US) / 2e6)
        if rate > limit:
            raise Violation("storm", f"{rate:.0f} messages per second and pair after healing")

    def _check_messages(self) -> None:
        """Where nothing went wrong, a block costs a bounded number of messages."""
        world = self._world
        if not world.calm:
            return
        world.count("calm")
        pairs = len(world.ids) ** 2
        allowed = pairs * BLOCK_MESSAGES_MAX * len(world.judge.chain)
        allowed += pairs * QUIET_MESSAGES_MAX * world.now // 1_000_000
        if world.network.sent > allowed:
            raise Violation(
                "messages", f"{world.network.sent} for {len(world.judge.chain) - 1} blocks"
            )
        plan = world.plan
        hops_us = 16 * (plan.latency_us + plan.latency_spread_us)
        disk_us = 16 * plan.sync_us + 4 * plan.apply_us
        patient = world.flavour.patience_ms(plan) * MS > hops_us + disk_us + plan.batch_us * 8
        if patient and world.judge.top_round > world.judge.first_round:
            raise Violation("messages", "leaders changed although nothing went wrong")

    def _check_idle(self) -> None:
        """With nothing to do the cluster is quiet (unless a liar still had transactions)."""
        world = self._world
        sent, blocks = world.network.sent, len(world.judge.chain)
        world.run_until(world.now + IDLE_US)
        if len(world.judge.chain) == blocks:
            self._check_storm(world.network.sent - sent, IDLE_US, IDLE_MESSAGES_MAX)
