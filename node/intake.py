"""Hop 1: bytes from clients and peers become verified transactions in the pool, or an answer.

Owns: slicing, batch verification in chunks that keep the loop responsive, the envelope rules,
admission to the pool.  Refuses: rules that depend on more than the envelope.
A signature is verified once per node, ever: what the pool or the chain already holds is
answered without a check.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from node.book import Book
from node.ledger import accel, transaction
from node.ledger.execute import admissible
from node.ledger.transaction import Transaction, TransactionMalformed
from node.mempool import Admission, Mempool
from storage.store import Store

CHUNK: Final = 32  # signatures between two turns of the loop: about 1.5 ms


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
        self.verified = 0
        self.refused = 0

    async def submit(self, raws: Sequence[bytes]) -> tuple[list[Answer], list[Transaction]]:
        """Return an answer for each of ``raws``, and the transactions that are new here."""
        answers: list[Answer] = []
        new: list[Transaction] = []
        for start in range(0, len(raws), CHUNK):
            part, fresh = self._chunk(raws[start : start + CHUNK])
            answers.extend(part)
            new.extend(fresh)
            if start + CHUNK < len(raws):
                await asyncio.sleep(0)
        return answers, new

    def _chunk(self, raws: Sequence[bytes]) -> tuple[list[Answer], list[Transaction]]:
        answers: list[Answer | None] = [None] * len(raws)
        pending: list[tuple[int, Transaction, int]] = []
        checks: list[tuple[bytes, bytes, bytes]] = []
        for place, raw in enumerate(raws):
            try:
                found = self._prepare(raw)
            except TransactionMalformed as error:
                answers[place] = Answer(None, error.code, str(error))
                continue
            if isinstance(found, Answer):
                answers[place] = found
                continue
            tx, items = found
            pending.append((place, tx, len(items)))
            checks.extend(items)
        new = self._admit(pending, accel.verify_batch(checks), answers)
        self.verified += len(checks)
        done = [answer for answer in answers if answer is not None]
        assert len(done) == len(raws)
        self.refused += sum(1 for answer in done if not answer.taken)
        return done, new

    def _prepare(
        self, raw: bytes
    ) -> Answer | tuple[Transaction, list[tuple[bytes, bytes, bytes]]]:
        """Everything cheaper than a signature comes first."""
        txid = transaction.txid_of(raw)
        if txid in self._mempool:
            return Answer(txid, "known")
        frame = transaction.slice_frame(raw)
        tx = transaction.parse_frame(raw, frame)
        refusal = admissible(
            tx, self._book.read, network=self._book.network, height=self._book.tip.height + 1
        )
        if refusal is not None:
            return Answer(txid, refusal.code, refusal.say)
        room = self._mempool.room(tx)
        if room in (Admission.FULL, Admission.SHARE_FULL):
            return Answer(txid, "mempool-full", "The pool has no room; retry later.")
        if self._store.tx_row(txid) is not None:
            return Answer(txid, "committed")
        return tx, frame.checks

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

    async def verify_bodies(self, raws: Sequence[bytes]) -> list[Transaction] | None:
        """Return ``raws`` parsed and verified for a block; None when one of them is bad.

        What the pool holds is taken from there, unverified a second time.
        """
        parsed: list[Transaction] = []
        for start in range(0, len(raws), CHUNK):
            checks: list[tuple[bytes, bytes, bytes]] = []
            for raw in raws[start : start + CHUNK]:
                held = self._mempool.get(transaction.txid_of(raw))
                if held is not None:
                    parsed.append(held)
                    continue
                try:
                    frame = transaction.slice_frame(raw)
                    parsed.append(transaction.parse_frame(raw, frame))
                    checks.extend(frame.checks)
                except TransactionMalformed:
                    return None
            if not all(accel.verify_batch(checks)):
                return None
            self.verified += len(checks)
            if checks:
                await asyncio.sleep(0)
        return parsed
