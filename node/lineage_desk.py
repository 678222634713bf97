"""What this node does about its lineage while it runs: keeps, serves, asks for what it lacks.

Owns: the frames of lineage and of proven ranges on their way in and out, and the task that asks
other members for links when the own disk cannot make them.  Refuses: judging (keeper, ranges).
Old members do not know these frames: nothing is asked before an era has begun on this ledger,
or somebody who knows better says so (``expect``).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from consensus import wire
from consensus.types import NodeId
from node import threads
from node.blocksync import BlockSync
from node.book import Book
from node.ledger.checkpoint import Policy
from node.ledger.eras import era_from
from node.ledger.genesis import Genesis
from node.ledger.lineage import LINKS_MAX, policy_of_era
from node.lineage_asking import LineageAsker, LineageRequest, LineageResponse, serve
from node.lineage_keeping import LineageKeeper
from node.net.faults import PeerFault
from node.net.frame import FRAME_BYTES_MAX, FrameType
from node.rangeproof import Base
from node.rangesync import RangeRequest, RangeResponse, RangeSync
from node.trust import quorum
from storage.store import Store

LOOK_EVERY_S: Final = 10.0

Send = Callable[[str, FrameType, bytes], None]


class LineageDesk:
    """``send`` queues a frame for a member; it may be lost."""

    def __init__(
        self, keeper: LineageKeeper, asker: LineageAsker, ranges: RangeSync, send: Send
    ) -> None:
        self.keeper = keeper
        self.asker = asker
        self.ranges = ranges
        self._send = send
        self._nudge = asyncio.Event()
        self._expected = 0
        self._rumours_from_s = 0.0  # whoever makes them up causes one round a while

    def certified(self) -> None:
        """A checkpoint is on disk; if it is a barrier's, its link is durable on return."""
        if self.keeper.missing() and not self.keeper.certified():
            self._nudge.set()

    def expect(self, epoch: int) -> None:
        """Somebody speaks of era ``epoch``: ask for its proof if it is missing here."""
        if self.keeper.epoch < epoch <= LINKS_MAX:
            self._expected = max(self._expected, epoch)
            if asyncio.get_running_loop().time() >= self._rumours_from_s:
                self._nudge.set()

    async def run(self) -> None:
        """Ask other members for links that began and are not proven here, until there are none.

        Never ends by itself; a round of questions takes bounded time.
        """
        while True:
            await threads.surely(self.keeper.heal)
            wanted = max(self._expected, self.keeper.epoch + self.keeper.missing())
            if self.keeper.epoch < wanted:
                await self.asker.learn(at_least=wanted)
                self._expected = 0  # a rumour is worth one round
                self._rumours_from_s = asyncio.get_running_loop().time() + LOOK_EVERY_S
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._nudge.wait()
            except TimeoutError:
                pass
            self._nudge.clear()

    async def on_frame(self, peer: NodeId, kind: FrameType, body: bytes) -> None:
        """Handle one frame; raises ``PeerFault`` when the peer lies, ``Malformed``."""
        match kind:
            case FrameType.LINEAGE_REQUEST:
                page = serve(self.keeper, _decode(LineageRequest, body))
                self._send(peer, FrameType.LINEAGE_RESPONSE, wire.encode(page))
            case FrameType.LINEAGE_RESPONSE:
                if not await self.asker.received(peer, _decode(LineageResponse, body)):
                    raise PeerFault("bad-lineage", self.asker.liars[peer])
            case FrameType.RANGE_REQUEST:
                asked = _decode(RangeRequest, body)
                found = await threads.surely(self.ranges.serve, asked)
                self._send(peer, FrameType.RANGE_RESPONSE, wire.encode(found))
            case FrameType.RANGE_RESPONSE:
                if not await self.ranges.received(peer, _decode(RangeResponse, body)):
                    raise PeerFault("bad-range", self.ranges.liars.get(peer, ""))
            case _:
                raise PeerFault("unexpected-frame", kind.name.lower())


def build_desk(
    genesis: Genesis,
    store: Store,
    book: Book,
    sync: BlockSync,
    *,
    self_id: str,
    send: Send,
    peers: Callable[[], Sequence[str]],
) -> LineageDesk:
    """Return the desk of a node with these rooms."""
    keeper = LineageKeeper(store, genesis, book.read)

    def base() -> Base:
        return Base(book.tip.height, book.tip.seal_digest, book.tip.log_size)

    def policy_at(size: int) -> Policy:
        own = era_from(book.read)
        if keeper.epoch > own.epoch:
            return keeper.trust.policy_at(size)
        # Executing a barrier tells who follows, before a link of it is at hand.
        origin, network = genesis.origin, genesis.network
        return policy_of_era(own, origin=origin, network=network, quorum=quorum)

    def needed() -> bool:
        # Votes prove blocks under PBFT.  In epoch 0 there may be members who know no proofs
        # yet, but where somebody follows without voting they all do.
        era = era_from(book.read)
        follows = all(item.id != self_id for item in era.members)
        return era.engine == "raft" and (keeper.epoch + keeper.missing() > 0 or follows)

    def ask(peer: str, request: LineageRequest) -> None:
        send(peer, FrameType.LINEAGE_REQUEST, wire.encode(request))

    def ask_range(peer: str, request: RangeRequest) -> None:
        send(peer, FrameType.RANGE_REQUEST, wire.encode(request))

    ranges = RangeSync(
        sync,
        store,
        origin=genesis.origin,
        base=base,
        policy_at=policy_at,
        needed=needed,
        send=ask_range,
    )
    return LineageDesk(keeper, LineageAsker(keeper, ask=ask, peers=peers), ranges, send)


def _decode(kind: type[Any], body: bytes) -> Any:
    return wire.decode(kind, body, size_max=FRAME_BYTES_MAX)
