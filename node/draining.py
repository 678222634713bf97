"""Draining: refuse what is new, finish what was accepted, hand over, then rest or stop.

    serving -> draining -> drained -> (undrain) serving
                              \\-> (stop) the process ends

Owns: these states and the patience.  Refuses: to wait for ever; what was accepted and is not
final after ``patience_s`` stays in the pools of the others and on the ledger's way.
A drained node votes, applies and answers reads; only clients' writes are refused, with 503 and
``Retry-After``, and ``/readyz`` says no, so that a load balancer looks elsewhere.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from enum import StrEnum
from typing import Final, Protocol

from node.diskspace import DiskSpace
from node.log import event

POLL_S: Final = 0.05


class Drains(Protocol):
    """Whoever has a drain."""

    drain: "Drain"


class Phase(StrEnum):
    SERVING = "serving"
    DRAINING = "draining"
    DRAINED = "drained"


class Drain:
    """``waiting()`` names what waits to be ordered, ``pending(txid)`` asks about one of them;
    ``hand_over`` gives leadership away.
    """

    def __init__(
        self,
        *,
        waiting: Callable[[], Iterable[bytes]],
        pending: Callable[[bytes], bool],
        hand_over: Callable[[], Awaitable[None]],
        patience_s: float,
    ) -> None:
        self.phase = Phase.SERVING
        self.left = 0  # accepted and not final yet
        self._waiting = waiting
        self._pending = pending
        self._hand_over = hand_over
        self._patience_s = patience_s
        self._work: asyncio.Task[None] | None = None

    @property
    def refuses(self) -> bool:
        """Whether clients' writes are refused."""
        return self.phase is not Phase.SERVING

    def begin(self) -> None:
        """Refuse from now on; returns at once, and does nothing when that is so already."""
        if self.refuses:
            return
        self.phase = Phase.DRAINING
        accepted = set(self._waiting())
        self.left = len(accepted)
        self._work = asyncio.create_task(self._drain(accepted), name="drain")

    async def drained(self) -> None:
        """Begin if need be, and return when all is done or the patience is over."""
        self.begin()
        assert self._work is not None, "begun"
        await asyncio.shield(self._work)

    def undo(self) -> None:
        """Serve again."""
        if self._work is not None:
            self._work.cancel()
        if self.refuses:
            event("node.undrained")
        self.phase, self.left, self._work = Phase.SERVING, 0, None

    async def _drain(self, accepted: set[bytes]) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._patience_s
        event("node.draining", waiting=len(accepted))
        while accepted and loop.time() < until_s:
            await asyncio.sleep(POLL_S)
            accepted = {txid for txid in accepted if self._pending(txid)}
            self.left = len(accepted)
        await self._hand_over()
        self.phase = Phase.DRAINED
        event("node.drained", left=len(accepted))


def refusal(life: Drains | None, disk: DiskSpace) -> tuple[str, str] | None:
    """Return the code and the words with which clients' writes are refused now, or None."""
    if life is not None and life.drain.refuses:
        return "draining", "No new work is taken."
    return ("disk-full", "Nearly full.") if disk.low() else None
