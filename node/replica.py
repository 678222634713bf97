"""Hops 4 to 7: the one asyncio task that drives the ordering engine.

Owns: the loop "feed everything, drain, persist, sync, send, deliver", proposing when the engine
wants a block, and the committer that applies blocks beside it (heartbeats must not wait for
execution).  The order rules themselves are in
``consensus.driver``; this file only does the writing and sending that it is told.
Bounded: the inbox, decided blocks waiting to be applied.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from consensus.codec import Malformed
from consensus.driver import Driver, Turn
from consensus.effects import Contradiction, Decided, Envelope, ProposeResult
from consensus.types import Committee, NodeId, Proposal, Record
from node.blocksync import BlockSync
from node.bodies import Bodies, Body
from node.book import Book, Committed
from node.holding import Holding
from node.ledger import accel
from node.mempool import Mempool
from node.proposing import AHEAD_MAX, Proposer
from node.reads import LinearReads
from node.supply import Supply
from storage.mark import SignMark
from storage.store import Store

T = TypeVar("T")
INPUTS_PER_TURN_MAX: Final = 256
INBOX_MAX: Final = 8192
MESSAGE_BYTES_MAX: Final = 4 << 20
UNWRITTEN_MAX: Final = 1024  # records that no promise rests on and that are not written yet


@dataclass(slots=True)
class ReplicaCounters:
    turns: int = 0
    syncs: int = 0
    marks: int = 0  # synced writes of the mark beside the key
    proposals: int = 0
    promised_height: int = 0  # highest block whose body we made durable for a vote
    low_watermark: int = 0  # newest height that a quorum cosigned, as the engine was told
    dropped: Counter[str] = field(default_factory=Counter)
    messages_in: Counter[str] = field(default_factory=Counter)


class Replica:
    """``send(envelope)`` queues a message for peers; it never blocks.

    Each of ``committed`` hears of each applied block, on the loop, in order; ``expired`` of
    transactions that can enter no block any more; ``contradicted`` of evidence against members.
    """

    _failure: asyncio.Future[None] | None = None

    def __init__(
        self,
        *,
        self_id: NodeId,
        committee: Committee,
        driver: Driver,
        store: Store,
        mark: SignMark,
        book: Book,
        bodies: Bodies,
        mempool: Mempool,
        supply: Supply,
        reads: LinearReads,
        send: Callable[[Envelope], None],
        committed: Sequence[Callable[[Committed], None]],
        expired: Callable[[Sequence[bytes]], None],
        contradicted: Callable[[Contradiction], None],
    ) -> None:
        self.driver = driver
        self.counters = ReplicaCounters()
        self.sync: BlockSync | None = None
        self._self_id = self_id
        self._committee = committee
        self._store = store
        self._mark = mark
        self._book = book
        self._bodies = bodies
        self._mempool = mempool
        self._reads = reads
        # Not the book's tip, which moves on another thread before the pool forgets.
        self._settled = book.tip
        self._proposer = Proposer(
            self_id=self_id,
            network=book.network,
            parameters=book.parameters,
            mempool=mempool,
            bodies=bodies,
        )
        self._send = send
        self._committed = committed
        self._expired = expired
        self._contradicted = contradicted
        self._inbox: deque[Callable[[], None]] = deque()
        self._wake = asyncio.Event()
        self._decided: asyncio.Queue[Decided] = asyncio.Queue()
        self._unwritten: list[Record] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._holding = Holding(
            self_id=self_id,
            dialect=driver.dialect,
            bodies=bodies,
            supply=supply,
            book=book,
            dropped=self.counters.dropped,
            step=self._step,
            spawn=self._spawn,
        )
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="consensus-disk")
        self._apply = ThreadPoolExecutor(1, thread_name_prefix="apply")
        reads.wake = self._wake.set

    # --- inputs ------------------------------------------------------------------------------

    def backlog(self) -> int:
        """Decided blocks that wait to be applied."""
        return self._decided.qsize()

    def in_flight(self) -> int:
        """Heights above the executed one for which this node holds a block."""
        return max(0, self.counters.promised_height - self._settled.height)

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

    def _put_surely(self, action: Callable[[], None]) -> None:
        """Take an input of our own whatever the inbox holds: this one may never be dropped."""
        self._inbox.append(action)
        self._wake.set()

    def stable(self, height: int) -> None:
        """A quorum cosigned the state after ``height``: the engine's low watermark."""
        self.counters.low_watermark = max(self.counters.low_watermark, height)
        self._put_surely(partial(self.driver.engine.stable, height))

    def unreachable(self, peer: NodeId) -> None:
        """The link to ``peer`` broke: what was under way to it may be lost."""
        self._put(partial(self.driver.engine.unreachable, peer))

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
        self._holding.admit(peer, message)
        return True

    def _step(self, peer: NodeId, message: Any) -> None:
        self._put(lambda: self.driver.engine.step(peer, message))

    async def ask(self, question: Callable[[], T]) -> T:
        """Put a question to the engine in its own turn; return the answer."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def put() -> None:
            if not answer.done():
                answer.set_result(question())

        self._put_surely(put)
        return await answer

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
            self._reads.ask(engine.read)
            self._propose()
            worked = await self._turns()
            if not self._inbox and not worked:
                await self._sleep()

    async def _sleep(self) -> None:
        deadline = self.driver.engine.deadline_ms
        wait_s = 1.0 if deadline is None else max(0, deadline - _monotonic_ms()) / 1000
        # A timer that wakes, not a timeout around the wait: that costs five times as much.
        timer = asyncio.get_running_loop().call_later(min(wait_s, 1.0), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    async def _turns(self) -> bool:
        """Perform what the engine asks for, in the driver's order."""
        worked = False
        loop = asyncio.get_running_loop()
        while (turn := self.driver.turn()) is not None:
            worked = True
            self.counters.turns += 1
            for envelope in turn.send_now:
                self._send(envelope)
            self._unwritten.extend(turn.records)
            # What nothing rests on waits for the next write: each way to the disk's thread and
            # back costs more than the write itself.
            if (
                turn.must_sync
                or turn.bodies
                or turn.delivers
                or len(self._unwritten) >= UNWRITTEN_MAX
            ):
                bodies = [(item.digest, self._body(item.digest).raw) for item in turn.bodies]
                records, self._unwritten = self._unwritten, []
                self.counters.syncs += turn.must_sync
                await loop.run_in_executor(self._disk, self._write, turn, records, bodies)
                for item in turn.bodies:
                    self._bodies.unpin(item.digest)
                    self.counters.promised_height = max(
                        self.counters.promised_height, item.height
                    )
            released = self.driver.durable(turn)
            for envelope in released.send:
                self._send(envelope)
            for message in released.loopback:
                self._holding.admit(self._self_id, message)
            for decided in released.deliver:
                self._decided.put_nowait(decided)
            self._reads.ready(released.reads)
            for found in released.evidence:
                self._contradicted(found)
            for fetch in turn.fetch:
                assert self.sync is not None, "wired by the daemon"
                self.sync.fetch(fetch)
        return worked

    def _write(
        self, turn: Turn, records: list[Record], bodies: list[tuple[bytes, bytes]]
    ) -> None:
        """Make ``turn`` durable.  The ledger first: a mark ahead of it would stop the node."""
        self._store.save(records, bodies=bodies, sync=turn.must_sync)
        if turn.mark is not None:
            self._mark.advance(turn.mark)
            self.counters.marks += 1

    def _body(self, digest: bytes) -> Body:
        body = self._bodies.get(digest)
        assert body is not None, "a proposal is stepped only with its body"
        return body

    def _propose(self) -> None:
        engine = self.driver.engine
        for _ in range(AHEAD_MAX):
            want = engine.want() if len(self._mempool) else None
            if want is None:
                return
            proposal = self._proposer.make(
                want,
                settled=self._settled,
                epoch=self._committee.epoch,
                now_ms=time.time_ns() // 1_000_000,
            )
            if proposal is None:
                return
            if engine.propose(proposal) is not ProposeResult.ACCEPTED:
                self._bodies.unpin(proposal.digest)
                return
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
            self._settled = result.tip
            self._expired(self._mempool.expire(result.tip.height + 1))
            height = result.tip.height
            self._put_surely(partial(self.driver.applied, height))
            self._reads.executed(height)
            await self._holding.moved()
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
