"""Between a verified consensus message and the engine: the bodies that it speaks of.

Owns: messages that wait for bodies, and the rules that every proposal keeps before an engine
sees it: its header, its body, its barrier flag, and its time when it is fresh.  Refuses: what
breaks one; a proposal that an honest member sends keeps them all.
Bounded: ``HELD_PER_PEER_MAX`` messages of each member, each as long as ``Supply`` and the time
rule wait.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

from consensus.engine import Dialect
from consensus.types import NodeId, Proposal
from node.bodies import Bodies, BodyRefused, check_time
from node.book import Book
from node.proposing import parent_time_ms
from node.supply import Supply

HELD_PER_PEER_MAX: Final = 64
PARENT_S: Final = 10.0


def wall_ms() -> int:
    """Return this machine's wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


class Holding:
    """``step(peer, message, epoch)`` takes what is complete; ``spawn`` runs what waits.

    ``epoch``: the one in force when the message was checked, handed through.
    """

    def __init__(
        self,
        *,
        self_id: NodeId,
        dialect: Dialect,
        bodies: Bodies,
        supply: Supply,
        book: Book,
        dropped: Counter[str],
        step: Callable[[NodeId, Any, int], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
    ) -> None:
        self._self_id = self_id
        self._dialect = dialect
        self._bodies = bodies
        self._supply = supply
        self._book = book
        self._dropped = dropped
        self._step = step
        self._spawn = spawn
        self._held: Counter[str] = Counter()
        self._moved: asyncio.Future[None] | None = None  # while somebody waits for a parent
        self.wall_ms: Callable[[], int] = wall_ms

    @property
    def held(self) -> int:
        """How many messages wait."""
        return self._held.total()

    def admit(self, peer: NodeId, message: Any, epoch: int) -> None:
        """Step ``message`` now, or hold it until the bodies it speaks of are here."""
        proposals = self._dialect.proposals(message)
        own = peer == self._self_id
        fresh = self._dialect.is_fresh(message) and not own
        try:
            complete = all(
                self._at_hand(item, peer, own=own, fresh=fresh) for item in proposals
            )
        except BodyRefused:
            self._dropped["body-refused"] += 1
            return
        if complete:
            self._step(peer, message, epoch)
            return
        if self._held[peer] >= HELD_PER_PEER_MAX:
            self._dropped["held-full"] += 1
            return
        self._held[peer] += 1
        held = self._hold(peer, message, proposals, epoch, fresh=fresh)
        self._spawn(held, "held-message")

    def _at_hand(self, proposal: Proposal, peer: NodeId, *, own: bool, fresh: bool) -> bool:
        """Return whether nothing has to be waited for: the usual case, without a task.

        Raises ``BodyRefused``.
        """
        if not own and not self._supply.at_hand(proposal):
            return False
        if not self._bodies.pin(proposal.digest, peer):
            return False
        self.moved()
        return not fresh or self._in_time(proposal)

    async def _hold(
        self,
        peer: NodeId,
        message: Any,
        proposals: tuple[Proposal, ...],
        epoch: int,
        *,
        fresh: bool,
    ) -> None:
        try:
            for proposal in proposals:
                if not await self._supply.ensure(proposal, peer):
                    self._dropped["body-missing"] += 1
                    return
                if not self._bodies.pin(proposal.digest, peer):
                    self._dropped["body-budget"] += 1
                    return
                self.moved()
                if fresh and not await self._timely(proposal):
                    self._dropped["untimely"] += 1
                    return
        except BodyRefused:
            self._dropped["body-refused"] += 1
            return
        finally:
            self._held[peer] -= 1
        self._step(peer, message, epoch)

    async def _timely(self, proposal: Proposal) -> bool:
        """Apply the time rule once the parent is known; False when it never was."""
        try:
            async with asyncio.timeout(PARENT_S):
                while not self._in_time(proposal):
                    if self._moved is None:
                        self._moved = asyncio.get_running_loop().create_future()
                    await asyncio.shield(self._moved)
        except TimeoutError:
            return False
        return True

    def _in_time(self, proposal: Proposal) -> bool:
        """Return whether the time rule was applied; False while the parent is not known.

        Raises ``BodyRefused`` when the proposal breaks it.
        """
        parent_ms = parent_time_ms(proposal, tip=self._book.tip, bodies=self._bodies)
        if parent_ms is None:
            # At our height or below it was decided meanwhile, on another parent: the engine
            # knows.
            return self._book.tip.height >= proposal.height
        body = self._bodies.get(proposal.digest)
        assert body is not None, "at hand, and pinned"
        check_time(
            body.header,
            parent_time_ms=parent_ms,
            now_ms=self.wall_ms(),
            parameters=self._book.parameters,
        )
        return True

    def moved(self) -> None:
        """A parent may be known now that was not: let those look who wait for one."""
        if self._moved is not None:
            self._moved.set_result(None)
            self._moved = None
