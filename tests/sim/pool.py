"""What one node knows of transactions: the real mempool and gossip, and bodies to wait for.

A message that speaks of blocks is held until every transaction in them is at hand; what is
missing is asked of the sender first, then of everybody.  Held messages and their time are
bounded.
"""

from typing import TYPE_CHECKING, Any

from consensus.codec import Malformed
from node.gossip.encoding import decode_ids, decode_transactions
from node.gossip.protocol import Gossip, GossipLimits, Sends, transactions
from node.mempool import Admission, Mempool, MempoolLimits
from node.net.frame import FrameType

if TYPE_CHECKING:
    from tests.sim.node import SimNode

HELD_MAX = 256
HELD_US_MAX = 2_000_000
BODY_RETRY_US = 60_000
RECONNECT_US = 10_000
LIMITS = GossipLimits(
    announce_after_ms=40,
    announce_again_ms=200,
    want_timeout_ms=80,
    serve_again_ms=40,
    refused_ms=400,
)
POOL_LIMITS = MempoolLimits(transactions_max=1000, org_share_percent=100)


class Pool:
    def __init__(self, node: "SimNode") -> None:
        self._node = node
        self._world = node.world
        self.mempool = Mempool(POOL_LIMITS)
        self._gossip = Gossip(node.id, node.world.ids, LIMITS)
        self._due_ms: int | None = None
        self.bodies: set[bytes] = set()  # transactions at hand, in whatever place
        self._held: list[tuple[int, str, Any, dict[bytes, None]]] = []
        self._asked: set[bytes] = set()

    @property
    def gossip_due_ms(self) -> int:
        """When ``tick`` matters; worked out once after each thing that may move it."""
        if self._due_ms is None:
            self._due_ms = self._gossip.deadline_ms
        return self._due_ms

    def check(self) -> None:
        self._gossip.check_invariants()
        assert len(self._held) <= HELD_MAX

    # --- transactions ---------------------------------------------------------------------

    def submit(self, txid: bytes) -> None:
        """Our own intake admitted ``txid``."""
        self._due_ms = None
        if self._admit(txid):
            transaction = self._world.transactions[txid]
            self._send(self._gossip.admitted({txid: transaction.raw}, self._node.now_ms()))
            self._arrived((txid,))

    def _admit(self, txid: bytes) -> bool:
        node = self._node
        self.bodies.add(txid)
        if txid in node.chain.committed:
            return False
        transaction = self._world.transactions[txid]
        return self.mempool.add(transaction, node.now_ms()) is Admission.ADDED

    def on_frame(
        self, source: "SimNode", incarnation: int, kind: FrameType, payload: bytes
    ) -> None:
        if incarnation != source.incarnation:
            return  # its process died since, and the connection with it: another stands now
        sender = source.id
        now_ms, gossip = self._node.now_ms(), self._gossip
        self._due_ms = None
        try:
            if kind is FrameType.TRANSACTIONS:
                self._take(sender, decode_transactions(payload))
            elif kind is FrameType.INVENTORY:
                self._send(gossip.inventory(sender, decode_ids(payload), now_ms))
            else:
                wanted = gossip.want(sender, decode_ids(payload), now_ms)
                have = [self.mempool.get(txid) for txid in wanted]
                self._send(transactions(sender, [each.raw for each in have if each]))
        except Malformed:
            self._world.refused(sender, "a gossip frame that does not decode")

    def _take(self, sender: str, raws: tuple[bytes, ...]) -> None:
        found = [self._world.by_raw.get(raw) for raw in raws]
        txids = [txid for txid in found if txid is not None]  # intake refuses the others
        new = [txid for txid in txids if self._admit(txid)]
        self._gossip.received(sender, txids, new, self._node.now_ms())
        self._arrived(txids)

    def tick(self, now_ms: int) -> None:
        if now_ms >= self.gossip_due_ms:
            self._due_ms = None
            self._send(self._gossip.tick(now_ms))

    def linked(self, peer: str) -> None:
        """The link to ``peer`` stands (again)."""
        self._send(self._gossip.peer_up(peer))

    def unlinked(self, peer: str) -> None:
        self._gossip.peer_down(peer)

    def _send(self, sends: Sends) -> None:
        node, world = self._node, self._world
        for send in sends:
            frame = (node, node.incarnation, send.kind, send.payload)
            for peer in world.ids if send.peer is None else (send.peer,):
                world.send(node, peer, "gossip", frame)

    def passed(self, txids: list[bytes]) -> None:
        """``txids`` are in a final block."""
        self._due_ms = None
        self.bodies.update(txids)
        self.mempool.remove(txids)
        self._gossip.forget(txids)

    # --- bodies ---------------------------------------------------------------------------

    def have(self, txids: list[bytes]) -> None:
        """Blocks brought these along."""
        self.bodies.update(txids)

    def hold(self, sender: str, message: Any, missing: list[bytes]) -> None:
        """Keep ``message`` until ``missing`` are here."""
        node, world = self._node, self._world
        self._held = [item for item in self._held if item[0] > world.now][-HELD_MAX + 1 :]
        self._held.append((world.now + HELD_US_MAX, sender, message, dict.fromkeys(missing)))
        ask = [txid for txid in missing if txid not in self._asked]
        if ask:
            self._asked.update(ask)
            for peer in world.ids if sender == node.id else (sender,):
                world.send(node, peer, "need", ask)
            node.after(BODY_RETRY_US, self._ask_again)

    def _ask_again(self) -> None:
        node, world = self._node, self._world
        self._held = [item for item in self._held if item[0] > world.now]
        wanted = list(dict.fromkeys(txid for item in self._held for txid in item[3]))
        if not wanted:
            self._asked.clear()
            return
        for peer in world.ids:
            world.send(node, peer, "need", wanted)
        node.after(BODY_RETRY_US, self._ask_again)

    def serve(self, sender: str, wanted: list[bytes]) -> None:
        have = [txid for txid in wanted if txid in self.bodies]
        if have:
            self._world.send(self._node, sender, "bodies", have)

    def bodies_came(self, txids: list[bytes]) -> None:
        """Bodies that were asked for: at hand, but not in the pool, as in the daemon."""
        known = [txid for txid in txids if txid in self._world.transactions]
        self.bodies.update(known)
        self._arrived(known)

    def _arrived(self, txids: Any) -> None:
        if not self._held:
            return
        for item in self._held:
            for txid in txids:
                item[3].pop(txid, None)
        ready = [item for item in self._held if not item[3]]
        if ready:
            self._held = [item for item in self._held if item[3]]
            for _, sender, message, _ in ready:
                self._node.bodies_complete(sender, message)
