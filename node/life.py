"""What a node does for its own life, once a second: disk, clock, certificates, drain, watchdog.

Owns: the turn in which these are looked at, the words of status and health about them, and what
the service manager is told.  Refuses: to stop the node, and to say alive for it unless engine
and both writing threads had a turn since the last time.
Bounded: one probe of the engine is under way at a time.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from node.certificates import ApiCertificates, Expiry
from node.clock import Clock
from node.diskspace import DiskSpace
from node.draining import Drain
from node.log import event
from node.notify import Notifier
from node.queues import Queue
from node.replica import Replica
from node.service import Check, Service

LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What life looks after; ``queues`` lists them."""

    disk: DiskSpace
    clock: Clock
    certificates: ApiCertificates
    drain: Drain
    notifier: Notifier
    queues: Callable[[], Iterable[Queue]]


class Life:
    """``service`` answers how the node is, ``replica`` shows whether it moves."""

    def __init__(self, parts: Parts, *, service: Service, replica: Replica) -> None:
        self.disk = parts.disk
        self.clock = parts.clock
        self.certificates = parts.certificates
        self.drain = parts.drain
        self.notifier = parts.notifier
        self.queues = parts.queues
        self.pulses = 0
        self.versions: Callable[[], dict[str, tuple[int, str]]] = dict  # of members
        self._service = service
        self._replica = replica
        self._probe: asyncio.Task[None] | None = None
        self._height = -1
        self._was_low = False
        self._was_wrong = False
        self._alive_s = float("-inf")

    async def run(self) -> None:
        """Look after everything until cancelled."""
        try:
            while True:
                self._look()
                await asyncio.sleep(LOOK_S)
        finally:
            if self._probe is not None:
                self._probe.cancel()

    def reload(self) -> list[Expiry]:
        """Load the certificates again; raises ``ChartsealError`` when they cannot be used."""
        return self.certificates.reload()

    async def before_stop(self) -> None:
        """Drain within the patience; the service manager is told to wait that long."""
        self.notifier.stopping()
        self.notifier.extend()
        self.notifier.status("draining before the stop")
        await self.drain.drained()

    def _look(self) -> None:
        self._look_at_disk()
        self._look_at_clock()
        self.certificates.look()
        self._tell()

    def _look_at_disk(self) -> None:
        low = self.disk.low()
        if low != self._was_low:
            self._was_low = low
            event(
                "disk.low" if low else "disk.enough",
                level=logging.WARNING if low else logging.INFO,
                free_bytes=self.disk.free_bytes,
                min_free_bytes=self.disk.min_free_bytes,
            )
        if not low and self.disk.keep_reserve():
            event("disk.reserve-kept", bytes=self.disk.reserve_bytes)

    def _look_at_clock(self) -> None:
        jump = self.clock.look()
        if jump is not None:
            event("clock.jump", level=logging.WARNING, ms=round(jump.ms))
        if self.clock.wrong != self._was_wrong:
            self._was_wrong = self.clock.wrong
            level = logging.WARNING if self.clock.wrong else logging.INFO
            skew_ms = round(self.clock.skew_ms or 0)
            event("clock.skew", level=level, others_ahead_ms=skew_ms, wrong=self.clock.wrong)

    def _tell(self) -> None:
        status, height = self._service.engine_status(), self._service.book.tip.height
        if all(check.ok for check in self._service.readiness()):
            self.notifier.ready()
        elif height != self._height:
            self.notifier.extend()  # it catches up: that may take as long as it moves
        self._height = height
        self.notifier.status(f"height {height}, {status.role}, {self.drain.phase}")
        self._watch()

    def _watch(self) -> None:
        """Say alive three times in the watchdog's interval, each time after a fresh pulse."""
        if self.notifier.watchdog_s is None:
            return
        now_s = asyncio.get_running_loop().time()
        if self._probe is not None:
            if not self._probe.done():
                return  # engine or disk does not come round: silence is the message
            self._probe.result()
            self._probe = None
            self.pulses += 1
            self._alive_s = now_s
            self.notifier.alive()
        if now_s - self._alive_s >= self.notifier.watchdog_s / 3 - LOOK_S:
            self._probe = asyncio.create_task(self._pulse(), name="pulse")

    async def _pulse(self) -> None:
        """Return once the engine and every thread that writes has had a turn."""
        await self._replica.ask(_nothing)
        writers = (self._replica.disk_thread, self._replica.committer.thread)
        await asyncio.gather(*[each.run(_nothing) for each in writers])

    def checks(self) -> Sequence[Check]:
        """Return the lines for health.  Only a drain fails: the rest warns."""
        low = self.disk.low()
        clock = self.clock
        skew = "not known" if clock.skew_ms is None else f"{clock.skew_ms / 1000:+.3f} s"
        return (
            Check("drain", not self.drain.refuses, str(self.drain.phase)),
            Check("disk", ok=True, say="low: clients' writes are refused" if low else "enough"),
            Check("certificates", ok=True, say=self.certificates.say()),
            Check(
                "clock",
                ok=True,
                say=f"others are ahead by {skew}" + (": set this clock" if clock.wrong else ""),
            ),
        )


def _nothing() -> None:
    """Show that somebody takes work."""
