"""Hops 4 to 7: the one asyncio task that drives the ordering engine.

Owns: the loop "feed everything, drain, persist, sync, send, deliver", proposing from the pool,
holding messages until their bodies are at hand, and the committer that applies blocks beside
it (heartbeats must not wait for execution).  The order rules themselves are in
``consensus.driver``; this file only does the writing and sending that it is told.
Bounded: the inbox, held messages per peer, decided blocks waiting to be applied.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from consensus.codec import Malformed
from consensus.driver import Driver
from consensus.effects import Decided, Envelope
from consensus.types import Committee, NodeId, Proposal
from node.blocksync import BlockSync
from node.bodies import Bodies, Body, BodyRefused, check_time
from node.book import Book, Committed
from node.ledger import accel
from node.ledger import block as blocks
from node.ledger.block import Header
from node.mempool import Mempool
from node.supply import Supply
from storage.store import Store

INPUTS_PER_TURN_MAX: Final = 256
INBOX_MAX: Final = 8192
HELD_PER_PEER_MAX: Final = 64
MESSAGE_BYTES_MAX: Final = 4 << 20


@dataclass(slots=True)
class ReplicaCounters:
    turns: int = 0
    syncs: int = 0
    proposals: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    messages_in: Counter[str] = field(default_factory=Counter)


class Replica:
    """``send(envelope)`` queues a message for peers; it never blocks.

    Each of ``committed`` hears of each applied block, on the loop, in order; ``expired`` of
    transactions that can enter no block any more.
    """

    def __init__(
        self,
        *,
        self_id: NodeId,
        committee: Committee,
        driver: Driver,
        store: Store,
        book: Book,
        bodies: Bodies,
        mempool: Mempool,
        supply: Supply,
        send: Callable[[Envelope], None],
        committed: Sequence[Callable[[Committed], None]],
        expired: Callable[[Sequence[bytes]], None],
    ) -> None:
        self.driver = driver
        self.counters = ReplicaCounters()
        self.sync: BlockSync | None = None
        self._self_id = self_id
        self._committee = committee
        self._store = store
        self._book = book
        self._bodies = bodies
        self._mempool = mempool
        self._supply = supply
        self._send = send
        self._committed = committed
        self._expired = expired
        self._inbox: deque[Callable[[], None]] = deque()
        self._wake = asyncio.Event()
        self._decided: asyncio.Queue[Decided] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: Counter[str] = Counter()
        self._height_moved = asyncio.Condition()
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="consensus-disk")
        self._apply = ThreadPoolExecutor(1, thread_name_prefix="apply")
        self._failure: asyncio.Future[None] | None = None

    # --- inputs ------------------------------------------------------------------------------

    def backlog(self) -> int:
        """Decided blocks that wait to be applied."""
        return self._decided.qsize()

    def work_arrived(self) -> None:
        """The pool has something: look whether we may propose."""
        self._wake.set()

    def synced(self, proposal: Proposal, certificate: bytes) -> None:
        """Hand a fetched, checked block to the engine."""
        self._put(lambda: self._step_synced(proposal, certificate))

    def _step_synced(self, proposal: Proposal, certificate: bytes) -> None:
        self.driver.engine.synced(proposal, certificate)

    def _put(self, action: Callable[[], None]) -> None:
        if len(self._inbox) >= INBOX_MAX:
            self.counters.dropped["inbox-full"] += 1
            return
        self._inbox.append(action)
        self._wake.set()

    def on_frame(self, peer: NodeId, raw: bytes) -> bool:
        """Take a consensus frame; False when the peer broke the protocol.

        Cheap checks first, then signatures; no effect before both hold.
        """
        dialect = self.driver.dialect
        try:
            message = dialect.decode(raw, size_max=MESSAGE_BYTES_MAX)
            checks = dialect.checks(
                message, sender=peer, committee=self._committee, network=self._book.network
            )
        except Malformed:
            self.counters.dropped["malformed"] += 1
            return False
        if not all(accel.verify_batch([(c.key, c.message, c.signature) for c in checks])):
            self.counters.dropped["bad-signature"] += 1
            return False
        self.counters.messages_in[type(message).__name__] += 1
        self._admit(peer, message)
        return True

    def _admit(self, peer: NodeId, message: Any) -> None:
        """Step ``message`` now, or hold it until the bodies it speaks of are here."""
        dialect = self.driver.dialect
        proposals = dialect.proposals(message)
        fresh = dialect.is_fresh(message) and peer != self._self_id
        if not fresh and all(self._bodies.pin(item.digest, peer) for item in proposals):
            self._put(lambda: self.driver.engine.step(peer, message))
            return
        if self._held[peer] >= HELD_PER_PEER_MAX:
            self.counters.dropped["held-full"] += 1
            return
        self._held[peer] += 1
        self._spawn(self._hold(peer, message, proposals, fresh=fresh), "held-message")

    async def _hold(
        self, peer: NodeId, message: Any, proposals: tuple[Proposal, ...], *, fresh: bool
    ) -> None:
        try:
            for proposal in proposals:
                if not await self._supply.ensure(proposal, peer):
                    self.counters.dropped["body-missing"] += 1
                    return
                if not self._bodies.pin(proposal.digest, peer):
                    self.counters.dropped["body-budget"] += 1
                    return
                if fresh and not await self._timely(proposal):
                    self.counters.dropped["untimely"] += 1
                    return
        except BodyRefused:
            self.counters.dropped["body-refused"] += 1
            return
        finally:
            self._held[peer] -= 1
        self._put(lambda: self.driver.engine.step(peer, message))

    async def _timely(self, proposal: Proposal) -> bool:
        """Apply the time rule once the parent is known; False for a block we are past."""
        async with self._height_moved:
            try:
                async with asyncio.timeout(10):
                    await self._height_moved.wait_for(
                        lambda: self._book.tip.height >= proposal.height - 1
                    )
            except TimeoutError:
                return False
        tip = self._book.tip
        if tip.digest != proposal.parent:
            return tip.height >= proposal.height  # decided meanwhile: the engine knows
        body = self._bodies.get(proposal.digest)
        assert body is not None, "ensured above"
        now_ms = time.time_ns() // 1_000_000
        parameters = self._book.parameters
        check_time(
            body.header, parent_time_ms=tip.time_ms, now_ms=now_ms, parameters=parameters
        )
        return True

    # --- the loop ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Drive the engine until cancelled.  Whatever escapes stops the node."""
        self._failure = asyncio.get_running_loop().create_future()
        committer = asyncio.create_task(self._commit_loop(), name="committer")
        loop_task = asyncio.create_task(self._loop(), name="engine")
        try:
            done, _ = await asyncio.wait(
                {committer, loop_task, self._failure}, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
        finally:
            pending = [committer, loop_task, *self._tasks]
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            self._disk.shutdown(wait=True)
            self._apply.shutdown(wait=True)
            self._failure.cancel()

    async def _loop(self) -> None:
        engine = self.driver.engine
        while True:
            self._wake.clear()
            for _ in range(min(len(self._inbox), INPUTS_PER_TURN_MAX)):
                self._inbox.popleft()()
            engine.work(self._mempool.oldest_ms)
            engine.tick(_monotonic_ms())
            self._propose()
            worked = await self._turns()
            if not self._inbox and not worked:
                await self._sleep()

    async def _sleep(self) -> None:
        deadline = self.driver.engine.deadline_ms
        wait_s = 1.0 if deadline is None else max(0, deadline - _monotonic_ms()) / 1000
        try:
            # Not wait_for: in Python 3.11 it drops a cancellation that comes together with
            # the wake, and a node that is told to stop would go on for ever.
            async with asyncio.timeout(min(wait_s, 1.0)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _turns(self) -> bool:
        """Perform what the engine asks for, in the driver's order."""
        worked = False
        loop = asyncio.get_running_loop()
        while (turn := self.driver.turn()) is not None:
            worked = True
            self.counters.turns += 1
            for envelope in turn.send_now:
                self._send(envelope)
            if turn.records or turn.bodies:
                bodies = [(item.digest, self._body(item.digest).raw) for item in turn.bodies]
                self.counters.syncs += turn.must_sync
                await loop.run_in_executor(
                    self._disk,
                    partial(self._store.save, turn.records, bodies=bodies, sync=turn.must_sync),
                )
                for item in turn.bodies:
                    self._bodies.unpin(item.digest)
            released = self.driver.durable(turn)
            for envelope in released.send:
                self._send(envelope)
            for message in released.loopback:
                self._admit(self._self_id, message)
            for decided in released.deliver:
                self._decided.put_nowait(decided)
            for fetch in turn.fetch:
                assert self.sync is not None, "wired by the daemon"
                self.sync.fetch(fetch)
        return worked

    def _body(self, digest: bytes) -> Body:
        body = self._bodies.get(digest)
        assert body is not None, "a proposal is stepped only with its body"
        return body

    def _propose(self) -> None:
        want = self.driver.engine.want()
        tip = self._book.tip
        if want is None or not len(self._mempool) or want.height != tip.height + 1:
            return
        parameters = self._book.parameters
        taken = self._mempool.take(
            count_max=parameters.block_transactions_max,
            bytes_max=parameters.block_bytes_max - 1024,
        )
        if not taken:
            return
        ids = [item.txid for item in taken]
        header = Header(
            blocks.VERSION,
            self._book.network,
            self._committee.epoch,
            want.height,
            want.parent,
            max(time.time_ns() // 1_000_000, tip.time_ms + 1),
            self._self_id,
            blocks.txids_root(ids),
        )
        raw_header = header.encode()
        digest = blocks.body_digest(raw_header)
        raw = blocks.encode_body(header, [item.raw for item in taken])
        self._bodies.put(digest, Body(header, tuple(taken), raw))
        if not self._bodies.pin(digest, self._self_id):
            return  # our own proposals wait to be applied: no need for another
        proposal = Proposal(want.height, want.parent, digest, raw_header, b"".join(ids))
        self.driver.engine.propose(proposal)
        self.counters.proposals += 1

    # --- the committer -----------------------------------------------------------------------

    async def _commit_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            decided = await self._decided.get()
            if decided.proposal.height <= self._book.tip.height:
                continue
            body = self._body(decided.proposal.digest)
            result = await loop.run_in_executor(self._apply, self._commit, decided, body)
            self._bodies.passed(result.tip.height)
            self._mempool.remove(result.txids)
            self._expired(self._mempool.expire(result.tip.height + 1))
            height = result.tip.height
            # Straight in, whatever the inbox holds: this one may never be dropped.
            self._inbox.append(partial(self.driver.applied, height))
            self._wake.set()
            async with self._height_moved:
                self._height_moved.notify_all()
            for hear in self._committed:
                hear(result)

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

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
