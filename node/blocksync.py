"""Catch-up of a node that was away: final blocks from a peer, each checked before use.

Owns: one request at a time per peer, the checks on what comes back, serving others.
Refuses: to believe a claimed height: a block counts when its certificate verifies (PBFT) or
when it comes from the leader whom Raft trusts anyway, and only on top of our own tip.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from consensus.codec import Malformed
from consensus.effects import Fetch
from consensus.engine import Dialect
from consensus.types import Committee, NodeId, Proposal
from node.bodies import Bodies, Body, BodyRefused, check_proposal, holds_barrier
from node.book import Book
from node.intake import Intake
from node.ledger import accel
from node.ledger import block as blocks
from node.ledger.block import BlockMalformed
from storage.store import Store

BLOCKS_MAX: Final = 64
RESPONSE_BYTES_MAX: Final = 3 << 20
REQUEST_TIMEOUT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class SyncRequest:
    lo: int
    hi: int

    def __post_init__(self) -> None:
        if not 1 <= self.lo <= self.hi:
            raise ValueError("a range of heights from 1")


@dataclass(frozen=True, slots=True)
class SyncBlock:
    header: bytes
    certificate: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class SyncResponse:
    lo: int
    blocks: tuple[SyncBlock, ...]

    def __post_init__(self) -> None:
        if len(self.blocks) > BLOCKS_MAX:
            raise ValueError("too many blocks")


class BlockSync:
    """``ask(peer, request)`` sends; ``give(proposal, certificate)`` takes a checked block."""

    def __init__(
        self,
        *,
        book: Book,
        store: Store,
        bodies: Bodies,
        intake: Intake,
        dialect: Dialect,
        committee: Committee,
        ask: Callable[[str, SyncRequest], None],
        give: Callable[[Proposal, bytes], None],
        backlog: Callable[[], int],
    ) -> None:
        self._book = book
        self._store = store
        self._bodies = bodies
        self._intake = intake
        self._dialect = dialect
        self._committee = committee
        self._ask = ask
        self._give = give
        self._backlog = backlog
        self._asked: dict[str, tuple[int, float]] = {}
        self.fetched = 0

    def fetch(self, fetch: Fetch) -> None:
        """Ask ``fetch.peer`` for the range unless an answer of it is awaited already."""
        now = asyncio.get_running_loop().time()
        asked = self._asked.get(fetch.peer)
        if asked is not None and now - asked[1] < REQUEST_TIMEOUT_S:
            return
        if self._backlog() > BLOCKS_MAX:
            return  # the committer is behind: the engine will ask again
        hi = min(fetch.hi, fetch.lo + BLOCKS_MAX - 1)
        self._asked[fetch.peer] = (fetch.lo, now)
        self._ask(fetch.peer, SyncRequest(fetch.lo, hi))

    def serve(self, request: SyncRequest) -> SyncResponse:
        """Return applied blocks from ``request.lo`` on, within one frame.  Reads the disk."""
        found: list[SyncBlock] = []
        room = RESPONSE_BYTES_MAX
        hi = min(request.hi, request.lo + BLOCKS_MAX - 1)
        for stored in self._store.iter_blocks(request.lo, hi + 1):
            room -= len(stored.body) + len(stored.certificate) + 1024
            if room < 0 and found:
                break
            found.append(SyncBlock(stored.row.header, stored.certificate, stored.body))
        return SyncResponse(request.lo, tuple(found))

    async def received(self, peer: NodeId, response: SyncResponse) -> bool:
        """Check the blocks and hand them on in order; False when the peer sent a lie."""
        asked = self._asked.pop(peer, None)
        if asked is None or asked[0] != response.lo:
            return True  # late or repeated: not worth a quarrel
        for height, item in enumerate(response.blocks, start=response.lo):
            if height <= self._book.tip.height:
                continue
            proposal = await self._checked(height, item)
            if proposal is None:
                return False
            if not self._bodies.pin(proposal.digest, peer):
                return True  # enough of this peer's blocks wait: ask for the rest later
            self.fetched += 1
            self._give(proposal, item.certificate)
        return True

    async def _checked(self, height: int, item: SyncBlock) -> Proposal | None:
        size_max = self._book.parameters.block_bytes_max
        try:
            header, raws = blocks.decode_body(item.body, size_max=size_max)
            digest = blocks.body_digest(item.header)
            txids = b"".join(accel.txids(raws))
            proposal = Proposal(height, header.parent, digest, item.header, txids)
            check_proposal(
                proposal,
                network=self._book.network,
                parameters=self._book.parameters,
                members=self._committee.ids,
            )
            checks = self._dialect.certificate_checks(
                item.certificate,
                proposal=proposal,
                committee=self._committee,
                network=self._book.network,
            )
        except (BlockMalformed, BodyRefused, Malformed, ValueError):
            return None
        held = all(accel.verify_batch([(c.key, c.message, c.signature) for c in checks]))
        if not held or header.encode() != item.header:
            return None
        body = self._bodies.get(digest)
        if body is None:
            transactions = await self._intake.verify_bodies(raws)
            if transactions is None:
                return None
            body = Body(header, tuple(transactions), item.body)
            self._bodies.put(digest, body)
        return replace(proposal, barrier=holds_barrier(body.transactions))
