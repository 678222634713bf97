"""Hop 1: bytes from clients and peers become verified transactions in the pool, or an answer.

Owns: reading and verifying in batches that keep the loop responsive, the envelope rules,
admission to the pool.  Refuses: rules that depend on more than the envelope.
A signature is verified once per node, ever: what the pool or the chain already holds is
answered without a check.
What this institution's own clients bring must have a typed form: bytes that no family reads
could be anything, a name for instance, and a ledger does not forget them.  Other members'
nodes see to their own clients; what they hand on is ordered and recorded as failed.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Final

from consensus.frozen import dataclass
from node.book import Book
from node.ledger import accel, transaction
from node.ledger.execute import admissible, typed_body
from node.ledger.frame import Check
from node.ledger.rules import Refused
from node.ledger.state import Overlay
from node.ledger.transaction import Transaction, TransactionMalformed, TxId
from node.mempool import Admission, Mempool
from storage.store import Store

CHUNK: Final = 32  # transactions between two turns of the loop: about 1.5 ms of signatures
# With a backend that runs beside the loop only the rest of the work holds it up, about 2 ms.
BATCH: Final = 256
# Below this many signatures a worker thread costs more than it frees.
THREAD_CHECKS_MIN: Final = 16
WORKERS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one submitted transaction.

    ``code`` is ``accepted`` (now in the pool), ``known`` (already waiting), ``committed``
    (already on the ledger) or the stable code of the refusal.
    """

    txid: bytes | None
    code: str
    detail: str = ""

    @property
    def taken(self) -> bool:
        return self.code in ("accepted", "known", "committed")


@dataclass(slots=True)
class _Job:
    """One call of ``submit``: what it brought, and what became of it so far."""

    raws: Sequence[bytes]
    done: asyncio.Future[None]
    typed: bool
    taken: int = 0
    answers: dict[int, Answer] = field(default_factory=dict)  # by place: workers overtake
    new: list[Transaction] = field(default_factory=list)

    def fail(self, error: BaseException) -> None:
        if self.done.done():
            return
        if isinstance(error, Exception):
            self.done.set_exception(error)
        else:
            self.done.cancel()


class Intake:
    """Reads book, store and pool; ``now_ms`` is the monotonic clock of arrivals."""

    def __init__(
        self,
        book: Book,
        store: Store,
        mempool: Mempool,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._book = book
        self._store = store
        self._mempool = mempool
        self._now_ms = now_ms
        self._jobs: deque[_Job] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._working = 0
        # One for two cores: more workers would only make smaller batches.
        self._workers_max = max(1, min(WORKERS_MAX, (os.cpu_count() or 1) // 2))
        self.verified = 0
        self.refused = 0

    @property
    def waiting(self) -> int:
        """Calls of ``submit`` whose transactions are not all verified."""
        return len(self._jobs)

    async def submit(
        self, raws: Sequence[bytes], *, typed: bool = False
    ) -> tuple[list[Answer], list[Transaction]]:
        """Return an answer for each of ``raws``, and the transactions that are new here.
        ``typed``: refuse bodies that are not what their operation's family reads.

        What arrives from anywhere while a batch is verified makes the next batch together:
        the busier the node, the less a signature costs.
        """
        job = _Job(raws, asyncio.get_running_loop().create_future(), typed)
        self._jobs.append(job)
        if self._working < self._workers_max:
            self._working += 1
            worker = asyncio.create_task(self._work(), name="intake")
            self._workers.add(worker)
            worker.add_done_callback(self._worker_ended)
        await job.done
        return [job.answers[place] for place in range(len(raws))], job.new

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled():
            worker.exception()  # those who waited have it

    async def _work(self) -> None:
        """Verify in batches until nobody waits."""
        try:
            while self._jobs:
                await self._batch(self._cut(_batch()))
                await asyncio.sleep(0)
        except BaseException as error:
            for job in self._jobs:
                job.fail(error)
            self._jobs.clear()
            raise
        finally:
            # Here, not when the task is done: who comes in between would find nobody at work.
            self._working -= 1

    async def _batch(self, parts: Sequence[tuple[_Job, int, int]]) -> None:
        raws = [raw for job, start, end in parts for raw in job.raws[start:end]]
        typed = [job.typed for job, start, end in parts for _ in range(start, end)]
        try:
            answers, new = await self._submit(raws, typed)
        except BaseException as error:
            for job, _, _ in parts:
                job.fail(error)
            raise
        at, fresh = 0, iter(new)
        for job, start, end in parts:
            mine = answers[at : at + end - start]
            at += end - start
            added = [next(fresh) for answer in mine if answer.code == "accepted"]
            job.answers.update(zip(range(start, end), mine, strict=True))
            job.new += added
            if job.done.cancelled():
                # Nobody is left who would tell the other members.
                self._mempool.remove([tx.txid for tx in added])
            elif len(job.answers) == len(job.raws):
                job.done.set_result(None)

    def _cut(self, size: int) -> list[tuple[_Job, int, int]]:
        """Take up to ``size`` transactions from those who wait, the first first."""
        parts: list[tuple[_Job, int, int]] = []
        room = size
        while self._jobs and room:
            job = self._jobs[0]
            end = min(len(job.raws), job.taken + room)
            parts.append((job, job.taken, end))
            room -= end - job.taken
            job.taken = end
            if end == len(job.raws):
                self._jobs.popleft()
        return parts

    async def _submit(
        self, raws: Sequence[bytes], typed: Sequence[bool]
    ) -> tuple[list[Answer], list[Transaction]]:
        answers: list[Answer | None] = [None] * len(raws)
        pending: list[tuple[int, Transaction, int]] = []
        checks: list[Check] = []
        unknown = self._unknown(raws, answers)
        opened = transaction.open_batch([raws[place] for place in unknown])
        view = Overlay(self._book.read)
        for place, found in zip(unknown, opened, strict=True):
            if isinstance(found, TransactionMalformed):
                answers[place] = Answer(None, found.code, str(found))
                continue
            tx, items = found
            answers[place] = self._refusal(tx, view)
            if answers[place] is None and typed[place]:
                answers[place] = _untyped(tx)
            if answers[place] is None:
                pending.append((place, tx, len(items)))
                checks.extend(items)
        height = self._book.tip.height
        verdicts = await _verified(checks)
        if self._book.tip.height != height:
            self._drop_committed(pending, answers)
        new = self._admit(pending, verdicts, answers)
        self.verified += len(checks)
        done = [answer for answer in answers if answer is not None]
        assert len(done) == len(raws)
        self.refused += sum(1 for answer in done if not answer.taken)
        return done, new

    def _unknown(self, raws: Sequence[bytes], answers: list[Answer | None]) -> list[int]:
        """Answer what waits in the pool already; return the places of the others."""
        unknown = []
        for place, txid in enumerate(accel.txids(raws)):
            if TxId(txid) in self._mempool:
                answers[place] = Answer(txid, "known")
            else:
                unknown.append(place)
        return unknown

    def _refusal(self, tx: Transaction, view: Overlay) -> Answer | None:
        """Everything cheaper than a signature comes first; None when that is what is left."""
        refusal = admissible(
            tx, view, network=self._book.network, height=self._book.tip.height + 1
        )
        if refusal is not None:
            return Answer(tx.txid, refusal.code, refusal.say)
        room = self._mempool.room(tx)
        if room in (Admission.FULL, Admission.SHARE_FULL):
            return Answer(tx.txid, "mempool-full", "The pool has no room; retry later.")
        if self._store.tx_row(tx.txid) is not None:
            return Answer(tx.txid, "committed")
        return None

    def _drop_committed(
        self, pending: list[tuple[int, Transaction, int]], answers: list[Answer | None]
    ) -> None:
        """Blocks were applied while signatures were verified; what they hold must not wait."""
        rows = self._store.tx_rows([tx.txid for _, tx, _ in pending])
        for (place, tx, _), row in zip(pending, rows, strict=True):
            if row is not None:
                answers[place] = Answer(tx.txid, "committed")

    def _admit(
        self,
        pending: list[tuple[int, Transaction, int]],
        verdicts: list[bool],
        answers: list[Answer | None],
    ) -> list[Transaction]:
        new: list[Transaction] = []
        at = 0
        for place, tx, count in pending:
            valid = all(verdicts[at : at + count])
            at += count
            if answers[place] is not None:
                continue  # settled meanwhile
            if not valid:
                answers[place] = Answer(tx.txid, "bad-signature", "A signature does not hold.")
                continue
            admission = self._mempool.add(tx, self._now_ms())
            if admission is Admission.ADDED:
                new.append(tx)
                answers[place] = Answer(tx.txid, "accepted")
            elif admission is Admission.KNOWN:
                answers[place] = Answer(tx.txid, "known")
            else:
                answers[place] = Answer(tx.txid, "mempool-full", "The pool has no room.")
        return new

    def keep(self, verified: Sequence[Transaction]) -> None:
        """Put what ``verify_bodies`` returned for a proposal into the pool, by the same rules
        as what arrives by itself: it is known there when it does."""
        view = Overlay(self._book.read)
        for tx in verified:
            if self._refusal(tx, view) is None:
                self._mempool.add(tx, self._now_ms())

    async def verify_bodies(self, raws: Sequence[bytes]) -> list[Transaction] | None:
        """Return ``raws`` parsed and verified for a block; None when one of them is bad.

        What the pool holds is taken from there, unverified a second time.
        """
        parsed: list[Transaction] = []
        size = _batch()
        for start in range(0, len(raws), size):
            part = raws[start : start + size]
            held = [self._mempool.get(TxId(txid)) for txid in accel.txids(part)]
            opened = iter(
                transaction.open_batch(
                    [raw for raw, known in zip(part, held, strict=True) if known is None]
                )
            )
            checks: list[Check] = []
            for known in held:
                if known is not None:
                    parsed.append(known)
                    continue
                found = next(opened)
                if isinstance(found, TransactionMalformed):
                    return None
                parsed.append(found[0])
                checks.extend(found[1])
            if not all(await _verified(checks)):
                return None
            self.verified += len(checks)
            if checks:
                await asyncio.sleep(0)
        return parsed


def _untyped(tx: Transaction) -> Answer | None:
    """Return why a body is not what its family reads; None when all of them are."""
    for op in tx.payload.ops:
        try:
            typed_body(op)
        except Refused as refusal:
            return Answer(tx.txid, refusal.result.code, refusal.result.say)
    return None


def _batch() -> int:
    """Return how many transactions are taken between two turns of the loop."""
    return BATCH if accel.releases_lock() else CHUNK


async def _verified(checks: Sequence[Check]) -> list[bool]:
    """Verify beside the loop where that frees it, else here."""
    if accel.releases_lock() and len(checks) >= THREAD_CHECKS_MIN:
        return await asyncio.to_thread(accel.verify_batch, checks)
    return accel.verify_batch(checks)
