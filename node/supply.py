"""Bodies for proposals: fill in from the pool, ask peers for what is missing, verify once.

Owns: the wait between a compact proposal and its body, and serving what peers ask for.
Refuses: stepping anything; the replica does that when ``ensure`` says yes.
Bounded: ``WAITING_MAX`` proposals wait at a time, each for ``GIVE_UP_MS``; engines repeat
themselves, so giving up loses nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from consensus.frozen import dataclass
from consensus.types import Proposal
from node.bodies import (
    Bodies,
    Body,
    BodyRefused,
    check_barrier,
    check_proposal,
    split_txids,
)
from node.book import Book
from node.intake import Intake
from node.ledger import accel
from node.ledger import block as blocks
from node.ledger.transaction import Transaction, TxId
from node.mempool import Mempool
from node.roster import Rulebook

WAITING_MAX: Final = 64
RETRY_S: Final = 0.3
GIVE_UP_TRIES: Final = 30
RESPONSE_BYTES_MAX: Final = 3 << 20


@dataclass(frozen=True, slots=True)
class BodyRequest:
    """Ask for transactions of the block with ``digest``; ids concatenated."""

    digest: bytes
    txids: bytes

    def __post_init__(self) -> None:
        if len(self.digest) != 32 or len(self.txids) % 32 or not self.txids:
            raise ValueError("digest and ids are 32 bytes")


@dataclass(frozen=True, slots=True)
class BodyResponse:
    digest: bytes
    transactions: tuple[bytes, ...]


class _Waiting:
    def __init__(self, proposal: Proposal) -> None:
        self.proposal = proposal
        self.found: dict[bytes, Transaction] = {}
        self.arrived = asyncio.Event()


class Supply:
    """``ask(peer, request)`` sends a request; ``peers()`` names who could be asked."""

    def __init__(
        self,
        bodies: Bodies,
        book: Book,
        intake: Intake,
        mempool: Mempool,
        *,
        rules: Rulebook,
        ask: Callable[[str, BodyRequest], None],
        peers: Callable[[], Sequence[str]],
    ) -> None:
        self._bodies = bodies
        self._book = book
        self._intake = intake
        self._mempool = mempool
        self._rules = rules
        self._ask = ask
        self._peers = peers
        self._waiting: dict[bytes, _Waiting] = {}
        self._tasks: dict[bytes, asyncio.Task[bool]] = {}
        self.turned_away = 0

    @property
    def fetches(self) -> int:
        """How many bodies are on their way."""
        return len(self._tasks)

    async def ensure(self, proposal: Proposal, source: str) -> bool:
        """Return True once the body is at hand and every signature in it holds.

        False when it never came.  Raises ``BodyRefused`` when the proposal or its body breaks
        a rule, which an honest member's never does.
        """
        # First, even when the body is here: a known digest under another height or parent
        # is still a lie.
        if self.check(proposal):
            return True
        task = self._tasks.get(proposal.digest)
        if task is None:
            if len(self._tasks) >= WAITING_MAX:
                self.turned_away += 1
                return False
            task = asyncio.create_task(self._collect(proposal, source), name="body")
            self._tasks[proposal.digest] = task
            task.add_done_callback(lambda _: self._tasks.pop(proposal.digest, None))
        return await asyncio.shield(task) and self._bears_out(proposal)

    def at_hand(self, proposal: Proposal) -> bool:
        """Like ``ensure``, of what needs no waiting: the body, or all of it in the pool."""
        if self.check(proposal):
            return True
        waiting, ids = _Waiting(proposal), split_txids(proposal.txids)
        if proposal.digest in self._tasks or self._fill(waiting, ids):
            return False
        return self._complete(waiting, ids) and self._bears_out(proposal)

    def check(self, proposal: Proposal) -> bool:
        """Return whether the body is at hand; raises ``BodyRefused`` when a rule is broken."""
        check_proposal(
            proposal,
            network=self._book.network,
            parameters=self._book.parameters,
            committee=self._rules.at(proposal.height).committee,
        )
        return self._bears_out(proposal)

    def _bears_out(self, proposal: Proposal) -> bool:
        """Return whether the body is at hand; raises ``BodyRefused`` when it says otherwise."""
        held = self._bodies.get(proposal.digest)
        if held is None:
            return False
        check_barrier(proposal, held.transactions)
        return True

    async def _collect(self, proposal: Proposal, source: str) -> bool:
        waiting = _Waiting(proposal)
        self._waiting[proposal.digest] = waiting
        ids = split_txids(proposal.txids)
        try:
            for attempt in range(GIVE_UP_TRIES):
                missing = self._fill(waiting, ids)
                if not missing:
                    return self._complete(waiting, ids)
                waiting.arrived.clear()
                self._ask(self._whom(source, attempt), BodyRequest(proposal.digest, missing))
                try:
                    async with asyncio.timeout(RETRY_S):
                        await waiting.arrived.wait()
                except TimeoutError:
                    continue
            return False
        finally:
            del self._waiting[proposal.digest]

    def _whom(self, source: str, attempt: int) -> str:
        others = [peer for peer in self._peers() if peer != source]
        candidates = [source, *others]
        return candidates[attempt % len(candidates)]

    def _fill(self, waiting: _Waiting, ids: list[bytes]) -> bytes:
        """Take what the pool has; return the missing ids, concatenated."""
        missing: list[bytes] = []
        for txid in ids:
            if txid in waiting.found:
                continue
            held = self._mempool.get(txid)
            if held is None:
                missing.append(txid)
            else:
                waiting.found[txid] = held
        return b"".join(missing)

    def _complete(self, waiting: _Waiting, ids: list[bytes]) -> bool:
        header = blocks.decode_header(waiting.proposal.header)
        transactions = tuple(waiting.found[txid] for txid in ids)
        raw = blocks.encode_body(header, [item.raw for item in transactions])
        if len(raw) > self._book.parameters.block_bytes_max:
            raise BodyRefused(f"height {header.height}: body of {len(raw)} bytes")
        self._bodies.put(waiting.proposal.digest, Body(header, transactions, raw))
        return True

    async def received(self, response: BodyResponse) -> bool:
        """Take transactions we asked for; False when one of them is bad."""
        waiting = self._waiting.get(response.digest)
        if waiting is None:
            return True  # late: the wait is over
        wanted = set(split_txids(waiting.proposal.txids))
        txids = accel.txids(response.transactions)
        raws = [
            raw
            for raw, txid in zip(response.transactions, txids, strict=True)
            if txid in wanted
        ]
        verified = await self._intake.verify_bodies(raws)
        if verified is None:
            return False
        # Into the pool too: the push of what we asked for may still be under way, and nothing
        # is verified twice.
        self._intake.keep(verified)
        for item in verified:
            waiting.found[item.txid] = item
        waiting.arrived.set()
        return True

    def serve(self, request: BodyRequest) -> BodyResponse:
        """Return what we have of the asked transactions, within one frame."""
        body = self._bodies.get(request.digest)
        held = {} if body is None else {item.txid: item for item in body.transactions}
        found: list[bytes] = []
        room = RESPONSE_BYTES_MAX
        for raw_id in split_txids(request.txids):
            item = self._mempool.get(raw_id) or held.get(TxId(raw_id))
            if item is None:
                continue
            room -= len(item.raw) + 8
            if room < 0:
                break
            found.append(item.raw)
        return BodyResponse(request.digest, tuple(found))
