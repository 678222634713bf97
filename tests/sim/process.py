"""A process that can stop anywhere: its clocks, its timers, its disk and its death.

Owns what every simulated daemon has whatever runs in it.  Nothing that was scheduled by a dead
process ever runs, and a paused one runs everything late.
"""

from typing import TYPE_CHECKING, Any, Final

from tests.sim.disk import Disk, DiskFailed
from tests.sim.plan import MS

if TYPE_CHECKING:
    from tests.sim.world import World

NEVER_US: Final = 1 << 62
EPOCH_MS: Final = 1_700_000_000_000  # the wall clock when a simulation starts


class Crashed(Exception):
    """The process of ``node`` died here."""

    def __init__(self, node: "Process") -> None:
        super().__init__(node.name)
        self.node = node


class Process:
    """``instance`` tells the two twins of one Byzantine identity apart; others have 0."""

    def __init__(self, world: "World", node: str, instance: int) -> None:
        self.world = world
        self.id = node
        self.instance = instance
        self.name = f"{node}#{instance}" if instance else node
        self.disk = Disk()
        self.incarnation = 0
        self.up = False
        self.paused_until = 0
        plan, rng = world.plan, world.rng
        self.skew_ms = rng.randint(-plan.skew_ms, plan.skew_ms)
        self.wall_offset_ms = 0
        self._drift_ppm = rng.randint(-plan.drift_ppm, plan.drift_ppm)
        self._clock_start_us = 0
        self._clock_ms = 0
        self._timer_at = self._timer_due = NEVER_US

    # --- clocks ---------------------------------------------------------------------------

    def start_clock(self) -> None:
        """A new process: its monotonic clock starts anywhere."""
        self.incarnation += 1
        self.up, self.paused_until = True, 0
        self._clock_start_us = self.world.now
        self._clock_ms = self.world.rng.randrange(10_000)
        self._timer_at = self._timer_due = NEVER_US

    def now_ms(self) -> int:
        """The monotonic clock of this process: it drifts, and never goes back."""
        passed = self.world.now - self._clock_start_us
        if self._drift_ppm:
            passed += passed * self._drift_ppm // 1_000_000
        return self._clock_ms + passed // MS

    def wall_ms(self) -> int:
        """The wall clock: off by a constant, and it may jump either way."""
        return EPOCH_MS + self.world.now // MS + self.skew_ms + self.wall_offset_ms

    # --- timers ---------------------------------------------------------------------------

    def after(self, delay_us: int, do: Any, *arguments: Any) -> None:
        self.world.at(delay_us, self._run, self.incarnation, do, arguments)

    def _run(self, incarnation: int, do: Any, arguments: tuple[Any, ...]) -> None:
        """Run ``do`` unless its process is gone; a paused process runs it when it wakes."""
        if incarnation != self.incarnation or not self.up:
            return
        if self.paused_until > self.world.now:
            delay = self.paused_until - self.world.now
            self.world.at(delay, self._run, incarnation, do, arguments)
            return
        do(*arguments)

    def wake_in(self, delay_us: int) -> None:
        """Call ``woken`` after ``delay_us``; replaces the wake that was asked for before."""
        due = self._timer_due = self.world.now + delay_us
        if due < self._timer_at:
            self._timer_at = due
            self.world.at(delay_us, self._timer, self.incarnation, due)

    def wake_at_ms(self, deadline_ms: int) -> None:
        """Call ``woken`` when the monotonic clock shows ``deadline_ms``."""
        wait_us = (deadline_ms - self.now_ms()) * MS
        if self._drift_ppm < 0:
            wait_us += wait_us * -self._drift_ppm // 1_000_000 + 1
        self.wake_in(max(wait_us, 100))

    def _timer(self, incarnation: int, at: int) -> None:
        if incarnation != self.incarnation or not self.up or at != self._timer_at:
            return
        world = self.world
        self._timer_at = NEVER_US
        if self.paused_until > world.now:
            self.wake_in(self.paused_until - world.now)
        elif self._timer_due > world.now:
            self.wake_in(self._timer_due - world.now)
        else:
            self.woken()

    def woken(self) -> None:
        """What the process does when its timer runs out."""

    # --- death ----------------------------------------------------------------------------

    def crash(self, *, power_loss: bool, torn: bool = False) -> None:
        self.up = False
        lost = self.disk.crash(self.world.rng, power_loss=power_loss, torn=torn)
        if lost:
            self.world.count("write-lost", lost)
        self.world.tell(f"{self.name} crashes, {lost} write(s) lost")

    def crash_point(self, where: str) -> None:
        world = self.world
        if world.crash_point and world.faulty and world.random() < world.crash_point:
            world.count(f"dies {where}")
            world.tell(f"{self.name} dies {where}")
            raise Crashed(self)

    def write(self, operations: list[Any]) -> int:
        """Write one batch; a disk that refuses ends the process."""
        try:
            return self.disk.write(operations)
        except DiskFailed as error:
            self.world.count("disk-full")
            self.world.tell(f"{self.name} exits: {error}")
            raise Crashed(self) from error

    def sync(self, mark: int) -> None:
        """Make ``mark`` durable; the first failure ends the process, nothing is retried."""
        world = self.world
        failure = world.plan.sync_failure
        if failure and world.faulty and world.random() < failure:
            world.count("sync-failed")
            world.tell(f"{self.name} exits: a sync failed")
            raise Crashed(self)
        self.disk.sync(mark)
