"""What a node offers to its interfaces: submit, wait, ask, watch.  HTTP and CLI stay thin.

Owns: the life of a submitted transaction as clients see it
(``pending, committed, rejected, expired, unknown``), waiters, and the health checks.
Bounded: waiters, remembered refusals, readers of events hold no buffer.
"""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from consensus.effects import Status
from node import threads
from node.book import Book, Committed
from node.diskspace import DiskSpace
from node.draining import refusal
from node.handover import Handover
from node.intake import Answer, Intake
from node.ledger import lineage, transaction
from node.ledger.genesis import Genesis
from node.ledger.lineage import Lineage, Trusted
from node.ledger.payload import decode_payload
from node.ledger.registry import result_of
from node.ledger.state import SignerRow, load_from, signer_key
from node.ledger.transaction import Op, Payload, Signs, Transaction
from node.mempool import Mempool
from node.publish import Publisher
from node.queries import Queries
from node.reads import LinearReads
from node.roster import REMOVED, Roster
from node.scrub import Scrub
from node.snapshot_rooms import SnapshotRooms
from node.tokens import TokenFile
from node.upkeep import Upkeep
from node.why.lately import Lasting, Refusals
from node.why.observation import Observation
from storage.errors import Pruned
from storage.store import Store

if TYPE_CHECKING:
    from node.life import Life

WAITERS_MAX: Final = 10_000
REMEMBERED_MAX: Final = 50_000
EXPIRES_IN_DEFAULT: Final = 1000  # blocks
CURSOR_HEIGHT_MAX: Final = (1 << 63) - 1


class TooManyWaiters(Exception):
    """Every place to wait is taken; ask for the status instead."""

    code = "overloaded"


class CursorInvalid(Exception):
    """A cursor is ``height.index``, ``earliest`` or ``latest``."""

    code = "cursor-invalid"


@dataclass(frozen=True, slots=True)
class TxStatus:
    """``state`` is one of pending, committed, rejected, expired, unknown.

    ``rejected`` with a height was ordered and refused by a rule (``code`` says which);
    without one it was refused before ordering.
    """

    txid: bytes
    state: str
    code: str
    say: str
    height: int | None = None
    leaf_index: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far ordering runs ahead: of what is cosigned, and of what is executed."""

    low_watermark: int = 0  # newest height that a quorum cosigned
    window: int = 1  # blocks that may be in flight
    in_flight: int = 0  # blocks at hand and not executed
    contradictions: int = 0  # recorded on the ledger, of all members


def _nothing_runs() -> Progress:
    return Progress()


def _founders_only() -> str:
    return lineage.to_json(Lineage(()))


@dataclass(frozen=True, slots=True)
class Check:
    """One named health check."""

    name: str
    ok: bool
    say: str


class Service:
    waiters_refused = 0

    def __init__(
        self,
        *,
        node_id: str,
        genesis: Genesis,
        store: Store,
        book: Book,
        mempool: Mempool,
        intake: Intake,
        queries: Queries,
        publisher: Publisher,
        signer: Signs,
        engine_status: Callable[[], Status],
        peers_connected: Callable[[], Sequence[str]],
        admitted: Callable[[list[Transaction]], None],
        disk: DiskSpace,
        reads: LinearReads,
        roster: Roster,
        spare: Signs | None = None,
        inspect: bool = False,
    ) -> None:
        """``spare`` signs operations as soon as the ledger takes it and not ``signer``.
        ``inspect``: nothing runs behind this face, it only answers."""
        self.inspect = inspect
        self.node_id = node_id
        self.genesis = genesis
        self.store = store
        self.book = book
        self.mempool = mempool
        self.queries = queries
        self.publisher = publisher
        self.engine_status = engine_status
        self.peers_connected = peers_connected
        self._stopping = False
        self._intake = intake
        self._signers = (signer,) if spare is None else (signer, spare)
        self._admitted = admitted
        self.disk = disk
        self.reads = reads
        self.roster = roster
        # Until the engine's loop is there:
        self.handover: Handover | None = None
        self.upkeep: Upkeep | None = None
        self.scrub: Scrub | None = None
        self.archive_url: str | None = None  # told to who asks for what was pruned
        self.progress: Callable[[], Progress] = _nothing_runs
        self.life: Life | None = None
        self.rooms: dict[str, Any] = {}  # counted rooms of the client port
        self.lineage: Callable[[], str] = _founders_only
        self.trust: Callable[[], Trusted] = lambda: publisher.policy
        self.snapshots: SnapshotRooms | None = None
        self.explain: Callable[[], Sequence[Lasting]] = tuple
        self.observe: Callable[[], Observation | None] = lambda: None
        self.tokens: TokenFile | None = None
        self.refusals = Refusals()
        self._waiters: dict[bytes, set[asyncio.Future[None]]] = {}
        self.waiting = 0
        self.ended: OrderedDict[bytes, tuple[str, str, str]] = OrderedDict()
        self._moved = asyncio.Condition()
        self._notify: set[asyncio.Task[None]] = set()

    @property
    def stopping(self) -> bool:
        return self._stopping

    def stop(self) -> None:
        """Drain: refuse readiness and end every stream at its next event."""
        self._stopping = True
        self._spawn_announce()

    # --- submit and follow -------------------------------------------------------------------

    async def submit(self, raws: Sequence[bytes]) -> list[Answer]:
        """Verify and pool ``raws``; one answer each, in order.  New ones are gossiped.
        On a nearly full disk or in a drain all are refused; peers' go on."""
        if no := refusal(self.life, self.disk):
            return [Answer(None, *no) for _ in raws]
        answers, new = await self._intake.submit(raws, typed=True)
        for answer in answers:
            if not answer.taken:
                self.refusals.note(answer.code, time.monotonic())
            if answer.txid is not None and not answer.taken and answer.code != "mempool-full":
                self._remember(answer.txid, "rejected", answer.code, answer.detail)
        if new:
            self._admitted(new)
        return answers

    @property
    def _signer(self) -> Signs:
        """The first of this node's keys that speaks for its institution at the tip: after a
        rotation or a recovery that is the new one, without a restart."""
        return next(filter(self._speaks, self._signers), self._signers[0])

    def _speaks(self, signer: Signs) -> bool:
        row = load_from(self.book.read, SignerRow, signer_key(signer.public_key))
        return row is not None and row.org == self.node_id

    @property
    def signer_known(self) -> bool:
        """Whether the ledger takes one of this node's keys for its institution."""
        return any(map(self._speaks, self._signers))

    @property
    def identity(self) -> bytes:
        """The key that this institution signs transactions with."""
        return self._signer.public_key

    def payload(self, ops: Sequence[Op], expires_in: int = EXPIRES_IN_DEFAULT) -> Payload:
        """Return what this institution would sign to emit ``ops`` now."""
        return Payload(
            self.genesis.network,
            self.node_id,
            self.book.tip.height + expires_in,
            secrets.token_bytes(8),
            tuple(ops),
        )

    def sign(self, ops: Sequence[Op], *, expires_in: int = EXPIRES_IN_DEFAULT) -> bytes:
        """Return a transaction of ``ops`` signed with this institution's identity key."""
        return transaction.sign(self.payload(ops, expires_in), self._signer)

    def countersign(self, payload: bytes, cosigners: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Return the transaction of ``payload`` with this institution's signature before those
        of ``cosigners`` (key, signature), which intake verifies.

        Raises ``TransactionMalformed`` for a payload that is not this institution's own.
        """
        said = decode_payload(payload)
        if said.org != self.node_id or said.network != self.genesis.network:
            raise transaction.TransactionMalformed("not prepared for this institution")
        signer = self._signer
        keys = [signer.public_key, *(key for key, _ in cosigners)]
        own = signer.sign(transaction.signed_message(payload, keys))
        return transaction.assemble(payload, keys, [own, *(given for _, given in cosigners)])

    def status(self, txid: bytes) -> TxStatus:
        row = self.queries.tx_row(txid)
        if row is not None:
            result = result_of(row.code)
            state = "committed" if row.code == 0 else "rejected"
            return TxStatus(txid, state, result.code, result.say, row.height, row.leaf_index)
        if txid in self.mempool:
            return TxStatus(txid, "pending", "pending", "Waiting to be ordered.")
        ended = self.ended.get(txid)
        if ended is not None:
            return TxStatus(txid, *ended)
        return TxStatus(txid, "unknown", "unknown", "Never seen here, or forgotten.")

    async def wait(self, txid: bytes, *, timeout_s: float) -> TxStatus:
        """Return the status once it is final, or as it is after ``timeout_s``."""
        status = self.status(txid)
        if status.state in ("committed", "rejected", "expired") or timeout_s <= 0:
            return status
        if self.waiting >= WAITERS_MAX:
            self.waiters_refused += 1
            raise TooManyWaiters(f"{WAITERS_MAX} requests are waiting")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(txid, set()).add(waiter)
        self.waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            return self.status(txid)
        finally:
            self.waiting -= 1
            group = self._waiters.get(txid)
            if group is not None:
                group.discard(waiter)
                if not group:
                    del self._waiters[txid]
        return self.status(txid)

    def _remember(self, txid: bytes, state: str, code: str, say: str) -> None:
        self.ended[txid] = (state, code, say)
        while len(self.ended) > REMEMBERED_MAX:
            self.ended.popitem(last=False)

    # --- what the node tells us --------------------------------------------------------------

    def committed(self, result: Committed) -> None:
        """A block is applied and durable: wake whoever waits for its transactions."""
        for txid in result.txids:
            self.ended.pop(txid, None)
            self._wake(txid)
        self._spawn_announce()

    def _spawn_announce(self) -> None:
        task = asyncio.create_task(self._announce(), name="announce")
        self._notify.add(task)
        task.add_done_callback(self._notify.discard)

    def expired(self, txids: Sequence[bytes]) -> None:
        """Transactions left the pool without ever entering a block."""
        for txid in txids:
            self._remember(txid, "expired", "transaction-expired", "Its expiry height passed.")
            self._wake(txid)

    def _wake(self, txid: bytes) -> None:
        for waiter in self._waiters.get(txid, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def _announce(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    # --- watch -------------------------------------------------------------------------------

    def cursor(self, text: str) -> tuple[int, int]:
        """Return (height, index) of the last event seen; ``earliest``: before all there is."""
        lowest = self.store.lowest()
        if text in ("earliest", "latest"):
            seen = lowest - 1 if text == "earliest" else self.book.tip.height
            return seen, CURSOR_HEIGHT_MAX
        height, dot, index = text.partition(".")
        numbers = (height, index)
        if not dot or not all(n.isascii() and n.isdigit() and len(n) <= 18 for n in numbers):
            raise CursorInvalid("a cursor is height.index, earliest or latest")
        if int(height) > self.book.tip.height:
            raise CursorInvalid("that height is not on this ledger yet")
        if 0 < int(height) < lowest:
            raise Pruned(lowest)
        return int(height), int(index)

    async def events(
        self, cursor: tuple[int, int], *, heartbeat_s: float
    ) -> AsyncIterator[dict[str, Any] | None]:
        """Yield every event after ``cursor``, for ever, in order, without gaps; None is a
        heartbeat.  Reads blocks from disk; a slow reader just lags."""
        height, index = cursor
        while True:
            if height > 0 and index != CURSOR_HEIGHT_MAX:
                for event in await threads.surely(self._events, height, index):
                    yield event
            while self.book.tip.height <= height:
                moved = await self._next_block(height, heartbeat_s)
                if self.stopping:
                    return
                if not moved:
                    yield None
            height, index = height + 1, -1

    def _events(self, height: int, after_index: int) -> list[dict[str, Any]]:
        return list(self.queries.events(height, after_index))

    async def _next_block(self, height: int, timeout_s: float) -> bool:
        async with self._moved:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._moved.wait_for(
                        lambda: self.book.tip.height > height or self.stopping
                    )
            except TimeoutError:
                return False
        return True

    # --- health ------------------------------------------------------------------------------

    def readiness(self) -> list[Check]:
        """Return what must hold for this node to serve; losing quorum does not end it."""
        failure = self.store.failure
        status = self.engine_status()
        lag = status.committed - self.book.tip.height
        return [
            Check("store", failure is None, "writes work" if failure is None else "failed"),
            Check(
                "stopping", not self.stopping, "serving" if not self.stopping else "draining"
            ),
            Check("caught-up", lag <= 64, f"{max(lag, 0)} blocks behind the known head"),
            self.standing(),
            *(() if self.life is None else self.life.checks()),
        ]

    def standing(self) -> Check:
        """Return whether the members' network still has this node."""
        role, era = self.roster.role, self.roster.now.era
        if role == REMOVED:
            say = f"removed by the members' vote: block {self.book.tip.height} was its last"
        else:
            say = f"{role} in epoch {era.epoch} under {era.engine}"
        return Check("membership", role != REMOVED, say)

    def quorum(self) -> Check:
        """Return whether enough members are connected to order anything."""
        there = {*self.peers_connected(), self.node_id}
        present = len(there.intersection(self.roster.voters))
        need = self.engine_status().quorum
        return Check("quorum", present >= need, f"{present} voters connected, {need} needed")
