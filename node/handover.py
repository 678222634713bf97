"""Handing leadership over: by hand, and by itself when a leading node is told to stop.

Owns: whom to hand it to, the wait until that member leads, and the words for what came of it.
Refuses: networks whose engine chooses its proposers by rule (PBFT: what an operator could move
there, a liar could move too).
A hand-over that fails costs nothing: the old leader goes on, or the others elect one after
their time-outs, as they would after a crash.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, runtime_checkable

from consensus.engine import Engine
from consensus.types import NodeId
from node.errors import ChartsealError, Code, Exit, register

POLL_S: Final = 0.02
STOP_S_MAX: Final = 3.0  # of a stopping node's patience; supervisors wait longer

register(
    Code(
        code="transfer-unsupported",
        title="this network's engine chooses its proposers by rule",
        status=409,
        exit=Exit.CONFLICT,
        retryable=False,
        hint="nothing to do: under PBFT a stopped primary is replaced by a view change",
    ),
    Code(
        code="transfer-refused",
        title="leadership cannot be handed to that member now",
        status=409,
        exit=Exit.CONFLICT,
        retryable=True,
        hint="`chartseal status` shows the leader and whom this node hears",
    ),
    Code(
        code="transfer-incomplete",
        title="the other member did not take over in time",
        status=503,
        exit=Exit.UNHEALTHY,
        retryable=True,
        hint="look at that member; until it leads, the old leader goes on",
    ),
)


@runtime_checkable
class Transfers(Protocol):
    """What of an engine can hand leadership over."""

    def transfer(self, to: NodeId) -> bool:
        """Ask for leadership to be handed to ``to``; True when it was asked, not yet done."""


class Handover:
    """``ask`` runs a question to the engine in the engine's own turn.

    ``engine()`` is the one of the era in force; ``newest(member)`` is the newest height that
    ``member`` is known to have executed.
    """

    def __init__(
        self,
        *,
        self_id: NodeId,
        engine: Callable[[], Engine],
        ask: Callable[[Callable[[], bool]], Awaitable[bool]],
        connected: Callable[[], Sequence[str]],
        newest: Callable[[str], int],
        patience_s: float,
    ) -> None:
        self.results: Counter[str] = Counter()
        self.pending: NodeId | None = None  # who is to lead, while that is awaited
        self._self_id = self_id
        self._engine = engine
        self._ask = ask
        self._connected = connected
        self._newest = newest
        self._patience_s = patience_s

    async def transfer(self, to: str | None) -> NodeId:
        """Hand leadership to ``to``, or to the best member; return who leads now.

        Raises ``ChartsealError``: transfer-unsupported, transfer-refused, transfer-incomplete.
        """
        try:
            leader = await self._transfer(None if to is None else NodeId(to))
        except ChartsealError as error:
            self.results[error.code.removeprefix("transfer-")] += 1
            raise
        self.results["done"] += 1
        return leader

    async def _transfer(self, to: NodeId | None) -> NodeId:
        engine = self._engine()
        if not isinstance(engine, Transfers):
            raise ChartsealError("transfer-unsupported", engine.status().engine)
        target = self._best() if to is None else to
        if target is None:
            raise ChartsealError("transfer-refused", "no other member is heard and connected")
        if engine.status().leader == target:
            raise ChartsealError("transfer-refused", f"{target} leads already")
        if not await self._ask(lambda: self._transfer_now(target)):
            raise ChartsealError("transfer-refused", f"{target} cannot lead, or nobody does")
        self.pending = target
        try:
            async with asyncio.timeout(self._patience_s):
                # Engines have no event for it, and this is rare.
                while self._engine().status().leader != target:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            detail = f"{target} does not lead after {self._patience_s:g} s"
            raise ChartsealError("transfer-incomplete", detail) from None
        finally:
            self.pending = None
        return target

    def _transfer_now(self, target: NodeId) -> bool:
        engine = self._engine()  # another era's, when one began meanwhile
        return isinstance(engine, Transfers) and engine.transfer(target)

    async def before_stop(self) -> None:
        """Hand leadership over if we have it; gives up in silence, a stop is never refused."""
        if self._engine().status().role != "leader" or self._best() is None:
            return
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await self.transfer(None)
        except (TimeoutError, ChartsealError):
            return

    def _best(self) -> NodeId | None:
        """Return the connected, lately heard member that has executed most."""
        status = self._engine().status()
        present = set(self._connected()).intersection(status.heard)
        others = sorted(present - {self._self_id, status.leader})
        return NodeId(max(others, key=self._newest)) if others else None
