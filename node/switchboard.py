"""What arrives from members goes to the room that owns it; what rooms send goes out.

Owns: the table from frame type to handler, decoding at the edge, charging the peer for lies,
and the clock of the gossip.  Refuses: state of its own beyond that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from consensus import wire
from consensus.codec import Malformed
from consensus.effects import Envelope
from consensus.types import NodeId
from node import threads
from node.belonging import Belonging
from node.blocksync import BlockSync, SyncRequest, SyncResponse
from node.book import Committed, Tip
from node.gossip import encoding
from node.gossip.protocol import Gossip, Sends, transactions
from node.intake import Intake
from node.ledger.checkpoint import CheckpointMalformed
from node.ledger.transaction import Transaction
from node.lineage_desk import LineageDesk
from node.log import event
from node.mempool import Mempool
from node.net.faults import PeerFault
from node.net.frame import FRAME_BYTES_MAX, FrameType
from node.net.peers import Peers
from node.observe import Tally
from node.publish import (
    COSIGN_EVERY,
    COSIGN_SLOT_MS,
    Publisher,
    Share,
    decode_shares,
    encode_shares,
)
from node.replica import Replica
from node.reporting import Reporter
from node.roster import Roster
from node.snapshot_wire import SnapshotRequest, SnapshotResponse
from node.supply import BodyRequest, BodyResponse, Supply
from storage.store import Store

GOSSIP_PAUSE_S: Final = 0.002
ASK_AGAIN_S: Final = 1.0
TIMER_EARLY_S: Final = 0.001  # loops may fire a timer a tick of their clock early


class Switchboard:
    """Wired in two steps: rooms need ``send`` before the switchboard can know the rooms."""

    def __init__(
        self, *, mempool: Mempool, publisher: Publisher, store: Store, roster: Roster
    ) -> None:
        self.tally = Tally()
        self.roster = roster
        self.mempool = mempool
        self.publisher = publisher
        self._store = store
        self._flush = asyncio.Event()
        self._nudge = asyncio.Event()  # for the task that cosigns
        self._cosign_later: Tip | None = None
        self._cosign_slot = -1  # of the newest applied block
        self._rests_s = 0.0  # when the ledger rests, if no other block comes
        self._push_from_s = 0.0
        self.snapshot_asked: Callable[[SnapshotRequest], SnapshotResponse] | None = None
        self.snapshot_given: Callable[[str, SnapshotResponse], None] | None = None
        self._peers: Peers
        self._replica: Replica
        self._supply: Supply
        self._sync: BlockSync
        self._intake: Intake
        self._gossip: Gossip
        self._reporter: Reporter
        self.lineage: LineageDesk
        self.belonging: Belonging

    def wire(
        self,
        *,
        peers: Peers,
        replica: Replica,
        supply: Supply,
        sync: BlockSync,
        intake: Intake,
        gossip: Gossip,
        reporter: Reporter,
        lineage: LineageDesk,
        belonging: Belonging,
    ) -> None:
        self.lineage = lineage
        self.belonging = belonging
        self._peers = peers
        self._replica = replica
        self._supply = supply
        self._sync = sync
        self._intake = intake
        self._gossip = gossip
        self._reporter = reporter

    # --- out ---------------------------------------------------------------------------------

    def connected(self) -> Sequence[str]:
        return sorted(self._peers.statistics.sending_to)

    def send(self, envelope: Envelope) -> None:
        """Queue a consensus message; it may be lost, engines repeat themselves."""
        raw = self._replica.driver.dialect.encode(envelope.message)
        if envelope.to is None:
            # To voters: observers follow by blocks.
            self._peers.multicast(self.roster.voters, FrameType.CONSENSUS, raw)
        else:
            self._peers.enqueue(envelope.to, FrameType.CONSENSUS, raw)

    def ask_body(self, peer: str, request: BodyRequest) -> None:
        self._peers.enqueue(peer, FrameType.BODY_REQUEST, wire.encode(request))

    def ask_blocks(self, peer: str, request: SyncRequest) -> None:
        if self.lineage.ranges.needed():
            self.lineage.ranges.ask(peer, request)
            return
        self._peers.enqueue(peer, FrameType.SYNC_REQUEST, wire.encode(request))

    def send_frame(self, peer: str, kind: FrameType, body: bytes) -> None:
        self._peers.enqueue(NodeId(peer), kind, body)

    def ask_snapshot(self, peer: str, request: SnapshotRequest) -> None:
        self._peers.enqueue(peer, FrameType.SNAPSHOT_REQUEST, wire.encode(request))

    def _send_all(self, sends: Sends) -> None:
        for item in sends:
            if item.peer is None:
                self._peers.broadcast(item.kind, item.payload)
            else:
                self._peers.enqueue(item.peer, item.kind, item.payload)

    def admitted(self, new: list[Transaction]) -> None:
        """Clients brought these: tell the others, and look whether to propose.

        Told at once when it was quiet, so that a proposal does not overtake the push and make
        its receivers ask for what is under way; else with what comes in the next moment.
        """
        self._send_all(self._gossip.admitted({tx.txid: tx.raw for tx in new}, _now_ms()))
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._push_from_s:
            self._push_from_s = now_s + GOSSIP_PAUSE_S
            self._send_all(self._gossip.flush())
        else:
            self._flush.set()
        self._replica.work_arrived()

    def applied(self, result: Committed) -> None:
        """A block is durable: forget its transactions, cosign the log."""
        tally = self.tally
        tally.blocks += 1
        tally.transactions += len(result.codes)
        tally.refused += sum(1 for code in result.codes if code)
        tally.commitments += result.items
        self._gossip.forget(result.txids)
        self.belonging.applied(result)
        barrier, loop = result.next_era is not None, asyncio.get_running_loop()
        before, self._cosign_slot = self._cosign_slot, result.tip.time_ms // COSIGN_SLOT_MS
        if barrier or before != self._cosign_slot or result.tip.height % COSIGN_EVERY == 0:
            self.cosign(result.tip, barrier=barrier)
            return
        self._rests_s = loop.time() + COSIGN_SLOT_MS / 1000
        if self._cosign_later is None:
            loop.call_at(self._rests_s, self._nudge.set)
        self._cosign_later = result.tip

    def moved(self, voters: Iterable[str], everybody: Iterable[str]) -> None:
        """Other members vote, or follow, than did."""
        self._reporter.members = tuple(voters)
        self._gossip.set_peers(everybody)

    def cosign(self, tip: Tip, *, barrier: bool = False) -> None:
        """Put our name to the log at ``tip`` and tell everybody.

        ``barrier``: an era ends with it, and its own voters' names to it are never waited for
        in vain: see ``Publisher.applied``.
        """
        self._cosign_later = None
        if tip.height == 0:
            return
        share = self.publisher.applied(tip, int(time.time()), barrier=barrier)
        if share is not None:
            self._peers.broadcast(FrameType.COSIGNATURES, encode_shares([share]))
        self._certify(tip.log_size)

    def _certify(self, size: int) -> None:
        certified = self.publisher.certify(size)
        if certified is not None:
            self._store.save_checkpoint(*certified)
            self.lineage.certified()
            self._stable(certified[0])

    def _stable(self, height: int) -> None:
        """A certified checkpoint of ``height`` is on disk: the engine may move its window."""
        if height > self.tally.certified_height:
            self.tally.certified_height = height
            self._replica.stable(height)

    def resume(self, tip: Tip) -> None:
        """Take up where the last run ended: what is certified on disk, our name to the rest."""
        newest = self._store.latest_checkpoint()
        height = 0 if newest is None else newest[0]
        self.tally.certified_height = height
        # Told in any case, height 0 too: without a first mark an engine knows no limit.
        self._replica.stable(height)
        self.belonging.resume()
        self._resume_barrier(tip)
        self.cosign(tip)

    def _resume_barrier(self, tip: Tip) -> None:
        """Cosign the newest barrier again if the last run ended before it was certified."""
        height = self.roster.now.era.from_height - 1
        if not 0 < height <= tip.height or self._store.checkpoint(height) is not None:
            return
        row = self._store.block(height)
        assert row is not None, "the barrier below the tip is applied"
        at = replace(tip, height=height, log_size=row.log_size, log_root=row.log_root)
        self.cosign(at, barrier=True)

    async def run_cosigning(self) -> None:
        """Cosign where the ledger comes to rest; ask again for what the newest head lacks.

        A share that was lost would otherwise be missed until the next block, and without
        certified checkpoints there may be no next block: the engine's window is then full.
        """
        loop = asyncio.get_running_loop()
        ask_s = loop.time() + ASK_AGAIN_S
        while True:
            timer = loop.call_at(ask_s, self._nudge.set)
            try:
                await self._nudge.wait()
            finally:
                timer.cancel()
            self._nudge.clear()
            if self._cosign_later is not None:
                if loop.time() + TIMER_EARLY_S >= self._rests_s:
                    self.cosign(self._cosign_later)
                else:
                    loop.call_at(self._rests_s, self._nudge.set)
            if loop.time() + TIMER_EARLY_S >= ask_s:
                self._ask_cosignatures()
                self.belonging.look()
                ask_s = loop.time() + ASK_AGAIN_S

    def _ask_cosignatures(self) -> None:
        connected = set(self.connected())
        for share, members in self.publisher.silent():
            frame = encode_shares([share], ask=True)
            for member in members:
                if member in connected:
                    self._peers.enqueue(NodeId(member), FrameType.COSIGNATURES, frame)

    def peer_up(self, peer: NodeId) -> None:
        event("peer.up", peer=peer)
        self._peers.enqueue(peer, FrameType.ADDRESS, self.belonging.address())
        self._send_all(self._gossip.peer_up(peer))
        if self.publisher.mine is not None:
            frame = encode_shares([self.publisher.mine])
            self._peers.enqueue(peer, FrameType.COSIGNATURES, frame)

    def peer_down(self, peer: NodeId) -> None:
        event("peer.down", peer=peer)
        self._gossip.peer_down(peer)
        self._replica.unreachable(peer)

    async def run_gossip(self) -> None:
        """Push together what came close together; announce what stays pending."""
        loop = asyncio.get_running_loop()
        while True:
            wait_s = min(max(self._gossip.deadline_ms - _now_ms(), 10), 200) / 1000
            timer = loop.call_later(wait_s, self._flush.set)
            try:
                await self._flush.wait()
            finally:
                timer.cancel()
            await asyncio.sleep(GOSSIP_PAUSE_S)
            self._flush.clear()
            self._push_from_s = loop.time() + GOSSIP_PAUSE_S
            self._send_all(self._gossip.tick(_now_ms()))

    # --- in ----------------------------------------------------------------------------------

    def on_frame(self, peer: NodeId, kind: FrameType, body: bytes) -> Awaitable[None] | None:
        """Handle one frame, at once or (by what is returned) later; the peer waits for it.

        Raises ``PeerFault``, now or there, when the peer broke the protocol.
        """
        try:
            match kind:
                case FrameType.CONSENSUS:
                    if not self._replica.on_frame(peer, body):
                        raise PeerFault("bad-message", "consensus")
                case FrameType.TRANSACTIONS:
                    return self._on_transactions(peer, encoding.decode_transactions(body))
                case FrameType.INVENTORY:
                    txids = encoding.decode_ids(body)
                    self._send_all(self._gossip.inventory(peer, txids, _now_ms()))
                case FrameType.WANT:
                    self._on_want(peer, encoding.decode_ids(body))
                case FrameType.ADDRESS:
                    self.belonging.heard(peer, body)
                case FrameType.COSIGNATURES:
                    self._on_cosignatures(peer, body)
                case _:
                    return self._on_sync_frame(peer, kind, body)
        except Malformed as error:
            raise PeerFault("malformed", kind.name.lower()) from error
        return None

    async def _on_sync_frame(self, peer: NodeId, kind: FrameType, body: bytes) -> None:
        try:
            await self._sync_frame(peer, kind, body)
        except Malformed as error:
            raise PeerFault("malformed", kind.name.lower()) from error

    async def _sync_frame(self, peer: NodeId, kind: FrameType, body: bytes) -> None:
        match kind:
            case FrameType.BODY_REQUEST:
                request = _decode(BodyRequest, body)
                found = self._supply.serve(request)
                self._peers.enqueue(peer, FrameType.BODY_RESPONSE, wire.encode(found))
            case FrameType.BODY_RESPONSE:
                if not await self._supply.received(_decode(BodyResponse, body)):
                    raise PeerFault("bad-body")
            case FrameType.SYNC_REQUEST:
                asked = _decode(SyncRequest, body)
                answer = await threads.surely(self._sync.serve, asked)
                self._peers.enqueue(peer, FrameType.SYNC_RESPONSE, wire.encode(answer))
            case FrameType.SYNC_RESPONSE if self.lineage.ranges.needed():
                pass  # late, from before proofs were needed
            case FrameType.SYNC_RESPONSE:
                if not await self._sync.received(peer, _decode(SyncResponse, body)):
                    raise PeerFault("bad-block")
            case FrameType.SNAPSHOT_REQUEST if self.snapshot_asked is not None:
                wanted = _decode(SnapshotRequest, body)
                part = await threads.surely(self.snapshot_asked, wanted)
                self._peers.enqueue(peer, FrameType.SNAPSHOT_RESPONSE, wire.encode(part))
            case FrameType.SNAPSHOT_RESPONSE if self.snapshot_given is not None:
                self.snapshot_given(peer, _decode(SnapshotResponse, body))
            case _:
                await self.lineage.on_frame(peer, kind, body)

    async def _on_transactions(self, peer: NodeId, raws: Sequence[bytes]) -> None:
        answers, new = await self._intake.submit(raws)
        txids = [answer.txid for answer in answers if answer.txid is not None]
        fresh = [tx.txid for tx in new]
        self._send_all(self._gossip.received(peer, txids, fresh, _now_ms()))
        if new:
            self._replica.work_arrived()
        if any(answer.code in ("bad-signature", "transaction-malformed") for answer in answers):
            raise PeerFault("bad-transaction")

    def _on_want(self, peer: NodeId, txids: Sequence[bytes]) -> None:
        serve = self._gossip.want(peer, txids, _now_ms())
        raws = [tx.raw for txid in serve if (tx := self.mempool.get(txid)) is not None]
        self._send_all(transactions(peer, raws))

    def _on_cosignatures(self, peer: NodeId, body: bytes) -> None:
        ask, shares = decode_shares(body)
        for share in shares:
            if not self.publisher.received(peer, share):
                self.tally.cosignatures_refused += 1
                raise PeerFault("bad-cosignature")
            self._certify(share.size)
            self._replica.hint(peer, share.height)
        for conflict in self.publisher.conflicts():
            self._reporter.heads(conflict)
        missed = [self._own(share) for share in shares] if ask else []
        if answers := [share for share in missed if share is not None]:
            # Never a question in return: two members could not stop asking each other.
            self._peers.enqueue(peer, FrameType.COSIGNATURES, encode_shares(answers))

    def _own(self, asked: Share) -> Share | None:
        """Return our cosignature at that size: from memory, or from the certificate on disk."""
        share = self.publisher.own(asked.size)
        if share is not None or not 0 < asked.height <= self.roster.height:
            return share
        note = self._store.checkpoint(asked.height)
        try:
            found = None if note is None else self.publisher.own_of_note(asked.height, note)
        except CheckpointMalformed:
            return None
        return found if found is not None and found.size == asked.size else None


def _decode(kind: type[Any], body: bytes) -> Any:
    return wire.decode(kind, body, size_max=FRAME_BYTES_MAX)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
