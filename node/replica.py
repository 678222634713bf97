"""Hops 4 to 7: the one asyncio task that drives the ordering engine.

Owns: the loop "feed everything, drain, persist, sync, send, deliver", proposing when the engine
wants a block, and when the rules of an era come into force.  Applying is the committer's,
beside it: heartbeats must not wait for execution.  The order rules themselves are in
``consensus.driver``; this file only does the writing and sending that it is told.
Bounded: the inbox, decided blocks waiting to be applied.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from consensus.codec import Malformed
from consensus.driver import Driver, Turn
from consensus.effects import Contradiction, Envelope, ProposeResult
from consensus.standing import Foreign, Hinted, Standing
from consensus.types import NodeId, Proposal, Record
from node.bell import Bell
from node.blocksync import BlockSync
from node.bodies import Bodies, Body
from node.book import Book
from node.committing import Committer, Following
from node.early import Early
from node.holding import Holding, wall_ms
from node.lane import Lane
from node.ledger import accel
from node.mempool import Mempool
from node.proposing import AHEAD_MAX, Proposer
from node.reads import LinearReads
from node.roster import Rules
from node.supply import Supply
from storage.mark import SignMark
from storage.store import Store

T = TypeVar("T")
INPUTS_PER_TURN_MAX: Final = 256
INBOX_MAX: Final = 8192
MESSAGE_BYTES_MAX: Final = 4 << 20
SLOW_WRITE_MS: Final = 100  # noted from here on
UNWRITTEN_MAX: Final = 1024  # records that no promise rests on and that are not written yet


@dataclass(slots=True)
class ReplicaCounters:
    turns: int = 0
    syncs: int = 0
    marks: int = 0  # synced writes of the mark beside the key
    proposals: int = 0
    promised_height: int = 0  # highest block whose body we made durable for a vote
    low_watermark: int = 0  # newest height that a quorum cosigned, as the engine was told
    applied_ms: int | None = None  # when the newest block was applied, monotonic
    # Writes of records that took long: when and how long, milliseconds.
    slow_writes: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=32))
    dropped: Counter[str] = field(default_factory=Counter)
    messages_in: Counter[str] = field(default_factory=Counter)


class Replica:
    """``send(envelope)`` queues a message for peers; it never blocks.

    ``contradicted`` hears of evidence against members, ``entered`` of the rules that the engine
    is about to be in; ``rules`` are those that it is in at the start.
    """

    _failure: asyncio.Future[None] | None = None
    wall_ms: Callable[[], int] = staticmethod(wall_ms)

    def __init__(
        self,
        *,
        self_id: NodeId,
        rules: Rules,
        committer: Committer,
        entered: Callable[[Rules], None],
        driver: Driver,
        store: Store,
        mark: SignMark,
        book: Book,
        bodies: Bodies,
        mempool: Mempool,
        supply: Supply,
        reads: LinearReads,
        send: Callable[[Envelope], None],
        contradicted: Callable[[Contradiction], None],
    ) -> None:
        self.driver = driver
        self.counters = ReplicaCounters()
        self.sync: BlockSync | None = None
        self._self_id = self_id
        self._rules = rules  # of the engine; the roster's are a turn ahead
        self._entered = entered
        self._early = Early()
        self._store = store
        self._mark = mark
        self._book = book
        self._bodies = bodies
        self._mempool = mempool
        self._reads = reads
        self._proposer = Proposer(
            self_id=self_id,
            network=book.network,
            parameters=book.parameters,
            mempool=mempool,
            bodies=bodies,
        )
        self._send = send
        self._contradicted = contradicted
        self.heard_of: Callable[[int], None] = lambda _epoch: None  # a rumour of a later era
        self.inbox: deque[Callable[[], None]] = deque()
        self._bell = Bell()
        self._unwritten: list[Record] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.holding = Holding(
            self_id=self_id,
            dialect=driver.dialect,
            bodies=bodies,
            supply=supply,
            book=book,
            dropped=self.counters.dropped,
            step=self._step,
            spawn=self._spawn,
        )
        self.committer = committer
        committer.executed = self._executed
        self._decided = committer.queue
        self.disk_thread = Lane("consensus-disk")
        reads.wake = self._bell.ring

    # --- inputs ------------------------------------------------------------------------------

    def backlog(self) -> int:
        """Decided blocks that wait to be applied."""
        return self._decided.qsize()

    def barrier(self) -> int:
        """The newest height handed on whose block may end an era, or 0."""
        return self.committer.barrier

    def settled(self) -> int:
        """The newest height that every room has heard of."""
        return self.committer.settled.height

    def in_flight(self) -> int:
        """Heights above the executed one for which this node holds a block."""
        return max(0, self.counters.promised_height - self.settled())

    def work_arrived(self) -> None:
        """The pool has something: look whether we may propose."""
        self._bell.ring()

    def synced(self, proposal: Proposal, certificate: bytes) -> None:
        """Hand a fetched, checked block to the engine."""
        self._put(lambda: self._step_synced(proposal, certificate))

    def _step_synced(self, proposal: Proposal, certificate: bytes) -> None:
        self.driver.engine.synced(proposal, certificate)

    def _hint(self, peer: NodeId, height: int) -> None:
        if isinstance(self.driver.engine, Hinted):
            self.driver.engine.hint(peer, height)

    def _put(self, action: Callable[[], None]) -> None:
        if len(self.inbox) >= INBOX_MAX:
            self.counters.dropped["inbox-full"] += 1
            return
        self.inbox.append(action)
        self._bell.ring()

    def _put_surely(self, action: Callable[[], None]) -> None:
        """Take an input of our own whatever the inbox holds: this one may never be dropped."""
        self.inbox.append(action)
        self._bell.ring()

    def stable(self, height: int) -> None:
        """A quorum cosigned the state after ``height``: the engine's low watermark."""
        self.counters.low_watermark = max(self.counters.low_watermark, height)
        self._put_surely(partial(self.driver.engine.stable, height))

    def unreachable(self, peer: NodeId) -> None:
        """The link to ``peer`` broke: what was under way to it may be lost."""
        self._put(partial(self.driver.engine.unreachable, peer))

    def hint(self, peer: NodeId, height: int) -> None:
        """``peer`` cosigned ``height``: an observer may ask it for blocks."""
        if height > self.settled():
            self._put(partial(self._hint, peer, height))

    def on_frame(self, peer: NodeId, raw: bytes) -> bool:
        """Take a consensus frame; False when the peer broke the protocol.

        Cheap checks first, then signatures; no effect before both hold.
        """
        dialect = self.driver.dialect
        try:
            message = dialect.decode(raw, size_max=MESSAGE_BYTES_MAX)
            checks = dialect.checks(
                message,
                sender=peer,
                committee=self._rules.committee,
                network=self._book.network,
            )
        except Malformed:
            self.counters.dropped["malformed"] += 1
            return False
        if not all(accel.verify_batch([(c.key, c.message, c.signature) for c in checks])):
            self.counters.dropped["bad-signature"] += 1
            return False
        self.counters.messages_in[type(message).__name__] += 1
        if isinstance(message, Foreign | Standing) and message.epoch > self._rules.era.epoch:
            self.heard_of(message.epoch)
        if isinstance(message, Foreign) and message.epoch == self._rules.era.epoch + 1:
            self._early.keep(peer, raw)
        self.holding.admit(peer, message, self._rules.era.epoch)
        return True

    def _step(self, peer: NodeId, message: Any, epoch: int) -> None:
        self._put(partial(self._step_now, peer, message, epoch))

    def _step_now(self, peer: NodeId, message: Any, epoch: int) -> None:
        if epoch != self._rules.era.epoch:
            # Checked by rules that are not in force any more: engines repeat what matters.
            self.counters.dropped["era-passed"] += 1
            return
        self.driver.engine.step(peer, message)

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
        committer = asyncio.create_task(self.committer.run(), name="committer")
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
            self._bell.close()
            self.disk_thread.close()
            self.committer.close()
            self._failure.cancel()

    async def _loop(self) -> None:
        engine = self.driver.engine
        while True:
            self._bell.silence()
            for _ in range(min(len(self.inbox), INPUTS_PER_TURN_MAX)):
                self.inbox.popleft()()
            engine.work(self._mempool.oldest_ms)
            engine.tick(_monotonic_ms())
            self._reads.ask(engine.read)
            self._propose()
            worked = await self._turns()
            if not self.inbox and not worked:
                await self._sleep()

    async def _sleep(self) -> None:
        deadline = self.driver.engine.deadline_ms
        wait_s = 1.0 if deadline is None else max(0, deadline - _monotonic_ms()) / 1000
        await self._bell.wait(min(wait_s, 1.0))

    async def _turns(self) -> bool:
        """Perform what the engine asks for, in the driver's order."""
        worked = False
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
                await self.disk_thread.run(self._write, turn, records, bodies)
                for item in turn.bodies:
                    self._bodies.unpin(item.digest)
                    self.counters.promised_height = max(
                        self.counters.promised_height, item.height
                    )
            released = self.driver.durable(turn)
            for envelope in released.send:
                self._send(envelope)
            for message in released.loopback:
                self.holding.admit(self._self_id, message, self._rules.era.epoch)
            for decided in released.deliver:
                self.committer.take(decided)
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
        began_ms = _monotonic_ms()
        self._store.save(records, bodies=bodies, sync=turn.must_sync)
        if (took_ms := _monotonic_ms() - began_ms) >= SLOW_WRITE_MS:
            self.counters.slow_writes.append((began_ms, took_ms))
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
                settled=self.committer.settled,
                epoch=self._rules.era.epoch,
                now_ms=self.wall_ms(),
            )
            if proposal is None:
                return
            if engine.propose(proposal) is not ProposeResult.ACCEPTED:
                self._bodies.unpin(proposal.digest)
                return
            self.counters.proposals += 1

    def _executed(self, height: int, following: Following | None) -> None:
        """A block is applied: the engine hears of it in its own turn."""
        self.counters.applied_ms = _monotonic_ms()
        self._put_surely(partial(self._enter, height, following))
        self._reads.executed(height)
        self.holding.moved()

    def _enter(self, height: int, following: Following | None) -> None:
        era = None
        if following is not None:
            era, self._rules = following.era, following.rules
            self._entered(self._rules)
        self.driver.applied(height, era)
        if era is not None:
            for peer, raw in self._early.take():
                self.on_frame(peer, raw)  # what does not hold is counted; blame came too late

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
