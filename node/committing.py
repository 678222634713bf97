"""Hop 7 beside the engine: decided blocks are applied one by one, on a thread of their own.

Owns: the queue between "final" and "applied", and the order in which the node hears of a block
that is: the roster first, because everybody else asks it; then the pool, the engine, and
whoever waits.  Refuses: ordering.
Invariant: what ``settled`` says every room has heard of.  The book's own tip is ahead of it for
a moment, on another thread.
"""

import asyncio
from collections.abc import Callable, Sequence

from consensus.effects import Decided
from consensus.frozen import dataclass
from consensus.types import Era, NodeId, Proposal
from node.bodies import Bodies, Body
from node.book import Book, Committed, Tip
from node.lane import Lane
from node.mempool import Mempool
from node.roster import Roster, Rules
from node.supply import Supply
from storage.store import Store


@dataclass(frozen=True, slots=True)
class Following:
    """Who orders, or who follows, is another from the next height on."""

    rules: Rules
    era: Era  # the same in the words of engines


class Committer:
    """``executed(height, following)``, the engine's ear, is told first of each applied block,
    then each of ``committed``, in order; ``expired`` of transactions that can enter no block
    any more.  The replica sets ``executed``."""

    executed: Callable[[int, Following | None], None]

    def __init__(
        self,
        *,
        store: Store,
        book: Book,
        bodies: Bodies,
        mempool: Mempool,
        roster: Roster,
        supply: Supply,
        committed: Sequence[Callable[[Committed], None]],
        expired: Callable[[Sequence[bytes]], None],
    ) -> None:
        self.queue: asyncio.Queue[Decided] = asyncio.Queue()
        self.settled: Tip = book.tip
        self.barrier = 0  # newest height handed on whose block may end an era
        self._store = store
        self._book = book
        self._bodies = bodies
        self._mempool = mempool
        self._roster = roster
        self._supply = supply
        self._committed = committed
        self._expired = expired
        self.thread = Lane("apply")

    def take(self, decided: Decided) -> None:
        """Queue a block whose order is final and whose body is at hand."""
        if decided.proposal.barrier:
            self.barrier = decided.proposal.height
        self.queue.put_nowait(decided)

    async def run(self) -> None:
        """Apply what is queued until cancelled.  Whatever escapes stops the node."""
        while True:
            decided = await self.queue.get()
            if decided.proposal.height <= self._book.tip.height:
                continue
            body = await self._surely(decided.proposal)
            result = await self.thread.run(self._commit, decided, body)
            self._bodies.passed(result.tip.height)
            self._mempool.remove(result.txids)
            following = self._follow(result)
            self.settled = result.tip
            self._expired(self._mempool.expire(result.tip.height + 1))
            self.executed(result.tip.height, following)
            for hear in self._committed:
                hear(result)

    async def _surely(self, proposal: Proposal) -> Body:
        """Return a decided body; one that is damaged on disk comes from another member."""
        while (body := self._bodies.get(proposal.digest)) is None:
            others = [item for item in self._roster.voters if item != self._roster.self_id]
            assert others, "nobody else has this body"
            await self._supply.ensure(proposal, NodeId(others[0]))
        return body

    def _follow(self, result: Committed) -> Following | None:
        observers = self._roster.observers
        self._roster.follow(result)
        if result.next_era is None and observers == self._roster.observers:
            return None
        rules = self._roster.now
        return Following(rules, rules.ordering(self._roster.observers))

    def _commit(self, decided: Decided, body: Body) -> Committed:
        proposal = decided.proposal
        if not self._store.has_body(proposal.digest):
            # Fetched as final, never voted on here: the body is made durable before the
            # batch that points to it.
            self._store.save([], bodies=[(proposal.digest, body.raw)], sync=False)
        return self._book.apply(
            body,
            digest=proposal.digest,
            certificate=decided.certificate,
            position=decided.position,
        )

    def close(self) -> None:
        """Wait for the block that is being applied."""
        self.thread.close()
