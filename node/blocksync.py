"""Catch-up of a node that was away: final blocks from a peer, each checked before use.

Owns: one request at a time per peer, the checks on what comes back, serving others.
Refuses: to believe a claimed height: a block counts when its certificate verifies (PBFT) or
when it comes from a member whom Raft trusts anyway, and only on top of our own tip.
Each block is checked with the committee and the engine of the era that ordered it.  An era ends
with a barrier, and what comes after that is known once it is applied: so a range is taken up to
the first barrier in it, and the rest is asked for again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from consensus.codec import Malformed
from consensus.effects import Fetch
from consensus.engine import Dialect
from consensus.types import NodeId, Proposal
from node.bodies import Bodies, Body, BodyRefused, check_proposal, holds_barrier
from node.book import Book
from node.intake import Intake
from node.ledger import accel
from node.ledger import block as blocks
from node.ledger.block import BlockMalformed
from node.roster import Rulebook
from storage.errors import Corrupt, Pruned
from storage.store import Store

BLOCKS_MAX: Final = 64
BACKLOG_MAX: Final = 2 * BLOCKS_MAX  # as far as engines let themselves be ahead
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


@dataclass(frozen=True, slots=True)
class _Checked:
    proposal: Proposal
    body: Body
    certificate: bytes


# Says whether checked blocks of a peer may be used; asked before the first of them is.
VerifyRange = Callable[[str, Sequence[Proposal]], Awaitable[bool]]


async def trust_range(_peer: str, _blocks: Sequence[Proposal]) -> bool:
    """Every block was checked by itself, as far as its engine's certificates reach."""
    return True


class BlockSync:
    """``ask(peer, request)`` sends; ``give(proposal, certificate)`` takes a checked block.

    ``dialects``: by engine; ``rules`` tells which era ordered a height; ``barrier()`` is the
    newest barrier that was handed on, or 0, and ``settled()`` the height up to which ``rules``
    speak: above a barrier that is not settled nothing is known.
    """

    def __init__(
        self,
        *,
        book: Book,
        store: Store,
        bodies: Bodies,
        intake: Intake,
        dialects: Mapping[str, Dialect],
        rules: Rulebook,
        barrier: Callable[[], int],
        settled: Callable[[], int],
        ask: Callable[[str, SyncRequest], None],
        give: Callable[[Proposal, bytes], None],
        backlog: Callable[[], int],
    ) -> None:
        self._book = book
        self._store = store
        self._bodies = bodies
        self._intake = intake
        self._dialects = dialects
        self._rules = rules
        self._barrier = barrier
        self._settled = settled
        self._given_barrier = 0  # the newest that we handed on ourselves
        self.verify_range: VerifyRange = trust_range
        self._ask = ask
        self._give = give
        self._backlog = backlog
        self._asked: dict[str, tuple[int, float]] = {}
        self.fetched = 0
        # Takes the answers that repair asked for, and says which these are.
        self.mending: Callable[[NodeId, SyncResponse], bool] | None = None
        self.others: Callable[[], Sequence[str]] = tuple  # whom else one could ask
        self._lacks: dict[str, int] = {}  # member -> first height that it had nothing of
        self.asked_s: float | None = None  # when blocks were asked for last
        self.got_s: float | None = None  # when a checked one came last

    def fetch(self, fetch: Fetch) -> None:
        """Ask ``fetch.peer`` for the range unless an answer of it is awaited already."""
        now = asyncio.get_running_loop().time()
        peer = self._who(fetch)
        asked = self._asked.get(peer)
        if asked is not None and now - asked[1] < REQUEST_TIMEOUT_S:
            return
        if self._backlog() > BACKLOG_MAX or self._unknown(fetch.lo):
            return  # the committer is behind: the engine will ask again
        hi = min(fetch.hi, fetch.lo + BLOCKS_MAX - 1)
        self._asked[peer] = (fetch.lo, now)
        self.asked_s = now
        self._ask(peer, SyncRequest(fetch.lo, hi))

    def _who(self, fetch: Fetch) -> str:
        """Return whom to ask: not one that had nothing of these heights (it pruned them)."""
        for peer in (fetch.peer, *self.others()):
            if fetch.lo > self._lacks.get(peer, 0):
                return peer
        self._lacks.clear()  # nobody had them: begin again
        return fetch.peer

    def serve(self, request: SyncRequest) -> SyncResponse:
        """Return applied blocks from ``request.lo`` on, within one frame.  Reads the disk.

        None at all below what is kept: blocks that do not begin where they were asked for
        would be taken for a lie.
        """
        found: list[SyncBlock] = []
        if request.lo < self._store.lowest():
            return SyncResponse(request.lo, ())
        room = RESPONSE_BYTES_MAX
        hi = min(request.hi, request.lo + BLOCKS_MAX - 1)
        # A damaged body ends the answer as a pruned one does: the asker turns to another
        # member, and mending is the scrub's.
        with suppress(Pruned, Corrupt):
            for stored in self._store.iter_blocks(request.lo, hi + 1):
                room -= len(stored.body) + len(stored.certificate) + 1024
                if room < 0 and found:
                    break
                found.append(SyncBlock(stored.row.header, stored.certificate, stored.body))
        return SyncResponse(request.lo, tuple(found))

    def _unknown(self, height: int) -> bool:
        """Return whether a barrier below ``height`` is not applied yet."""
        return self._settled() < max(self._barrier(), self._given_barrier) < height

    async def received(self, peer: NodeId, response: SyncResponse) -> bool:
        """Check the blocks and hand them on in order; False when the peer sent a lie."""
        if self.mending is not None and self.mending(peer, response):
            return True
        asked = self._asked.pop(peer, None)
        if asked is None or asked[0] != response.lo:
            return True  # late or repeated: not worth a quarrel
        if response.blocks:
            self._lacks.pop(peer, None)
        else:
            self._lacks[peer] = response.lo
        checked, honest = await self._prefix(response)
        if checked and not await self.verify_range(peer, [each.proposal for each in checked]):
            return False
        self._hand_on(peer, checked)
        return honest

    async def _prefix(self, response: SyncResponse) -> tuple[list[_Checked], bool]:
        """Return what can be checked now, and whether nothing of it was a lie."""
        checked: list[_Checked] = []
        for height, item in enumerate(response.blocks, start=response.lo):
            if height <= self._book.tip.height:
                continue
            if self._unknown(height):
                break
            found = await self._checked(height, item)
            if found is None:
                return checked, False
            checked.append(found)
            if found.proposal.barrier:
                break
        return checked, True

    def _hand_on(self, peer: NodeId, checked: Sequence[_Checked]) -> None:
        """Give the blocks to the engine, as many as this peer has room for."""
        for found in checked:
            proposal = found.proposal
            # Not earlier: few bodies are kept that nobody pinned.
            self._bodies.put(proposal.digest, found.body)
            if not self._bodies.pin(proposal.digest, peer):
                break  # enough of this peer's blocks wait: ask for the rest later
            self.fetched += 1
            self.got_s = asyncio.get_running_loop().time()
            if proposal.barrier:
                self._given_barrier = proposal.height
            self._give(proposal, found.certificate)

    async def _checked(self, height: int, item: SyncBlock) -> _Checked | None:
        size_max = self._book.parameters.block_bytes_max
        rules = self._rules.at(height)
        try:
            header, raws = blocks.decode_body(item.body, size_max=size_max)
            digest = blocks.body_digest(item.header)
            txids = b"".join(accel.txids(raws))
            proposal = Proposal(height, header.parent, digest, item.header, txids)
            check_proposal(
                proposal,
                network=self._book.network,
                parameters=self._book.parameters,
                committee=rules.committee,
            )
            checks = self._dialects[rules.era.engine].certificate_checks(
                item.certificate,
                proposal=proposal,
                committee=rules.committee,
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
        flagged = replace(proposal, barrier=holds_barrier(body.transactions))
        return _Checked(flagged, body, item.certificate)
