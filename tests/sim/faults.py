"""When which fault strikes: everything here stops for good when the cluster heals."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.sim.plan import MS
from tests.sim.scripts import TWINS

if TYPE_CHECKING:
    from tests.sim.node import SimNode
    from tests.sim.world import World

REPLACED_ASKED = 6
NEW_LEADER_CHANGES = 3
TURN_TWINS_US = 80 * MS
DISK_FULL_US = 60 * MS


class Faults:
    """Draws from the world's randomness, so that the order of events decides everything."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._wipe_left = world.plan.wipe

    def start(self) -> None:
        plan = self._world.plan
        several = len(self._world.ids) > 1
        self._every(plan.partition_us if several else 0, self._partition)
        self._every(plan.clog_us if several else 0, self._clog)
        self._every(plan.carousel_us if several else 0, self._turn_the_carousel)
        self._every(plan.crash_us, self._crash_one)
        self._every(plan.pause_us, self._pause_one)
        self._every(plan.disk_full_us, self._fill_a_disk)
        self._every(plan.wall_jump_us, self._jump_a_clock)
        self._every(plan.unreachable_us if several else 0, self._break_a_link)
        self._every(plan.handover_us if several else 0, self._hand_over)
        if any(script == TWINS for _, script in plan.byzantine):
            self.turn_twins()
            self._every(TURN_TWINS_US, self.turn_twins)

    def _every(self, mean_us: int, do: Callable[[], None]) -> None:
        """Run ``do`` at random times, ``mean_us`` apart on average, while faults last."""
        world = self._world
        if not mean_us:
            return

        def again() -> None:
            if world.faulty:
                do()
                world.at(int(world.rng.expovariate(1.0 / mean_us)) + 1, again)

        world.at(int(world.rng.expovariate(1.0 / mean_us)) + 1, again)

    def _one(self) -> "SimNode":
        return self._world.rng.choice(self._world.honest)

    # --- network --------------------------------------------------------------------------

    def _partition(self) -> None:
        world = self._world
        shape, sentence = world.network.split()
        world.count(f"partition {shape}")
        world.tell(f"partition: {sentence}")
        world.at(world.plan.partition_stability_us, world.network.join)

    def _turn_the_carousel(self) -> None:
        self.away(self._one())

    def away(self, node: "SimNode") -> None:
        """Who was away is back, and ``node`` is away."""
        world = self._world
        world.count("away")
        world.tell(f"{node.name} is away")
        world.network.join()
        world.network.isolate(node.id)

    def _clog(self) -> None:
        sender, to = self._world.network.clog(self._world.now)
        self._world.count("clog")
        self._world.tell(f"the link from {sender} to {to} is clogged")

    def isolate(self, node: "SimNode") -> None:
        world = self._world
        world.count("isolated")
        world.tell(f"{node.name} is cut off")
        world.network.isolate(node.id)
        world.at(world.plan.partition_stability_us, world.network.join)

    def _break_a_link(self) -> None:
        """A connection breaks and stands again: both ends hear of it."""
        world = self._world
        one, other = world.rng.sample(world.nodes, 2)
        for node, peer in ((one, other), (other, one)):
            if node.up and node.paused_until <= world.now and node.id != peer.id:
                world.count("unreachable")
                node.driver.engine.unreachable(peer.id)  # type: ignore[arg-type]
                node.pool.unlinked(peer.id)
                node.pool.linked(peer.id)
                node.pump()

    def turn_twins(self) -> None:
        """Each peer of a twin identity hears twin 0, twin 1, or (rarely) both."""
        world = self._world
        for index, script in world.plan.byzantine:
            if script == TWINS:
                world.count("lie twins")
                for peer in world.ids:
                    side = world.rng.choice((0, 0, 0, 1, 1, 1, 2))
                    world.twin_side[f"m{index}", peer] = side

    # --- processes ------------------------------------------------------------------------

    def _crash_one(self) -> None:
        node = self._one()
        if node.up:
            self._world.count("crash")
            self.down(node)

    def down(self, node: "SimNode") -> None:
        """``node`` dies; its peers notice, and somebody starts it again later."""
        world, plan, rng = self._world, self._world.plan, self._world.rng
        power_loss = rng.random() < plan.power_loss
        node.crash(power_loss=power_loss, torn=power_loss and rng.random() < plan.torn)
        for peer in world.nodes:
            if peer.up and peer.id != node.id:
                peer.pool.unlinked(node.id)
                if rng.random() < 0.5:  # a broken connection shows at once, or never
                    peer.driver.engine.unreachable(node.id)  # type: ignore[arg-type]
        if self._wipe_left and node.honest and world.faulty:
            self._wipe(node)
        if not node.lost:
            delay = 1 + int(rng.expovariate(1.0 / plan.down_us))
            world.at(delay, self._up, node, node.incarnation)

    def _wipe(self, node: "SimNode") -> None:
        """The disk of ``node`` is lost for ever.

        Under PBFT the member comes back empty, as one of the f that may do anything.  Raft has
        no place for a voter that forgot: that member stays away.
        """
        world = self._world
        self._wipe_left = False
        world.count("wiped")
        world.tell(f"{node.name} loses its disk")
        node.forget()
        node.lost = world.plan.engine != "pbft"
        world.distrust(node)

    def _up(self, node: "SimNode", incarnation: int) -> None:
        if not node.up and node.incarnation == incarnation:
            self._world.tell(f"{node.name} starts")
            node.boot()

    def enthroned(self, node: "SimNode", round_now: int) -> None:
        """A new leader: the worst moment to lose it is the next few message delays, and the
        worst to ask it for anything."""
        world, plan, rng = self._world, self._world.plan, self._world.rng
        world.tell(f"{node.name} leads round {round_now}")
        span = 4 * (plan.latency_us + plan.latency_spread_us + plan.sync_us)
        if world.faulty and plan.depose and rng.random() < plan.depose:
            world.at(rng.randint(0, span), self._depose, node, node.incarnation)
        if world.faulty and plan.reads_us:
            world.at(rng.randint(0, span), world.read_at, node)
            for _ in range(REPLACED_ASKED):
                within_us = world.flavour.patience_ms(plan) * MS
                world.at(rng.randint(0, within_us), self._ask_the_replaced, node.id)
        if world.faulty and plan.member_changes and plan.engine == "raft":
            for _ in range(NEW_LEADER_CHANGES):
                world.at(rng.randint(0, span), world.change_members_at, node)

    def ordered_a_change(self, node: "SimNode") -> None:
        """A leader that ordered a change of members: it may fall before the change is final."""
        world, plan, rng = self._world, self._world.plan, self._world.rng
        if world.faulty and plan.depose and rng.random() < plan.depose / 2:
            span = 2 * (plan.latency_us + plan.latency_spread_us + plan.sync_us)
            world.at(rng.randint(0, span), self._depose, node, node.incarnation)

    def campaigning(self, node: "SimNode") -> None:
        """A candidate whose new term is on its disk, and as yet nowhere else."""
        world, plan, rng = self._world, self._world.plan, self._world.rng
        if world.faulty and plan.depose_candidate and rng.random() < plan.depose_candidate:
            span = 2 * plan.sync_us
            world.at(rng.randint(0, span), self._depose, node, node.incarnation)

    def _ask_the_replaced(self, successor: str) -> None:
        """Readers who do not know yet, at leaders who do not know either."""
        world = self._world
        for node in world.honest:
            if (
                world.faulty
                and node.id != successor
                and node.up
                and node.status().role == "leader"
            ):
                world.count("replaced-asked")
                world.read_at(node)

    def _depose(self, node: "SimNode", incarnation: int) -> None:
        if not self._world.faulty or not node.up or node.incarnation != incarnation:
            return
        self._world.count("deposed")
        if self._world.rng.random() < 0.5:
            self.down(node)
        else:
            self.isolate(node)

    def _pause_one(self) -> None:
        node = self._one()
        if node.up:
            self._world.count("pause")
            node.pause(self._world.rng.randint(5 * MS, self._world.plan.paused_us))

    def _fill_a_disk(self) -> None:
        node = self._one()
        node.disk.full = True
        self._world.tell(f"the disk of {node.name} is full")

        def free() -> None:
            node.disk.full = False

        self._world.at(DISK_FULL_US, free)

    def _jump_a_clock(self) -> None:
        world = self._world
        node, most = self._one(), world.plan.wall_jump_ms
        node.wall_offset_ms = world.rng.randint(-most, most)
        world.count("wall-jump")
        world.tell(f"the wall clock of {node.name} jumps by {node.wall_offset_ms} ms")

    def _hand_over(self) -> None:
        world = self._world
        node = self._one()
        peers = tuple(peer for peer in world.committee.ids if peer != node.id)
        if node.up and node.paused_until <= world.now and peers:
            node.driver.engine.tick(node.now_ms())
            if world.flavour.hand_over(node.driver.engine, peers, world.rng):
                world.count("hand-over")
                world.tell(f"{node.name} is asked to hand over")
                node.pump()
