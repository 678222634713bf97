"""How transactions reach every member: pushed once, announced after, asked for when lacking.

Owns what each peer is known to have, what we asked whom for, and when to announce.  Refuses to
hold transaction bytes beyond the next flush (the mempool has them), to read a clock, and to
judge transactions.  A transaction that our own intake admits is pushed to all; one that came
from a peer is only announced, and only if it is still pending after ``announce_after_ms``, so
a block that commits quickly costs nothing more.  Announcements repeat while it stays pending:
they carry it round links that are cut and pushes that were dropped.
Invariant: every table is bounded by ``GossipLimits``, whatever peers send; a table that is
full forgets its oldest entry, which costs a repeated announcement, never a lost transaction
that somebody still announces.

Memory at the default limits: about 200 bytes per id, so 13 MB for pending, 7 MB for settled,
8 MB for wanted ids, and 9 MB per peer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from itertools import islice
from typing import Final

from consensus.frozen import dataclass
from consensus.types import NodeId
from node.gossip.encoding import (
    INVENTORY_IDS_MAX,
    TRANSACTIONS_BODY_BYTES_MAX,
    batches,
    encode_ids,
    encode_transactions,
)
from node.net.frame import FrameType

NEVER_MS: Final = (1 << 63) - 1
# Half a body: the heads of many small transactions still fit, so one flush is one frame.
PUSH_BYTES_MAX: Final = TRANSACTIONS_BODY_BYTES_MAX // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class GossipLimits:
    announce_after_ms: int = 200
    announce_again_ms: int = 5_000
    want_timeout_ms: int = 1_000
    serve_again_ms: int = 1_000  # one peer gets one transaction at most this often
    refused_ms: int = 10_000  # how long not to ask again for what the mempool refused
    pending_ids_max: int = 65_536
    settled_ids_max: int = 32_768
    known_ids_max: int = 32_768  # per peer
    served_ids_max: int = 8_192  # per peer
    wanted_ids_max: int = 16_384
    wanted_per_peer_max: int = 4_096
    announcers_max: int = 4  # others to ask for a wanted id


@dataclass(frozen=True, slots=True)
class Send:
    """One frame to queue: for ``peer``, or for all when ``peer`` is ``None``."""

    peer: NodeId | None
    kind: FrameType
    payload: bytes


Sends = tuple[Send, ...]


@dataclass(slots=True)
class _Peer:
    up: bool = False
    known: dict[bytes, None] = field(default_factory=dict)  # oldest first
    served: dict[bytes, int] = field(default_factory=dict)  # txid -> when, oldest first
    asked: int = 0  # ids wanted from this peer now


@dataclass(slots=True)
class _Want:
    asked: str
    deadline_ms: int
    others: list[str]


class Gossip:
    """The batch gossip of one member.  Every event returns the frames to send now.

    ``peers`` are the other members; all start down until ``peer_up``.  Ids are 32 bytes and
    were computed by the caller; ``now_ms`` never goes back.  Strangers are ignored.
    """

    def __init__(
        self, self_id: str, peers: Iterable[str], limits: GossipLimits | None = None
    ) -> None:
        self._self_id = self_id
        self._limits = limits or GossipLimits()
        self._peers = {peer: _Peer() for peer in peers if peer != self_id}
        # Both map a txid to when it is due and stay sorted by that: one constant delay each.
        self._fresh: dict[bytes, int] = {}
        self._again: dict[bytes, int] = {}
        self._settled: dict[bytes, int] = {}  # txid -> until when it is not asked for
        self._wanted: dict[bytes, _Want] = {}  # sorted by deadline
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0

    # --- what the daemon tells us ---

    def admitted(self, transactions: Mapping[bytes, bytes], now_ms: int) -> Sends:
        """Our intake admitted ``{txid: raw}``: push to all, at the latest with the next tick.

        A batch that is full leaves at once.
        """
        sends: list[Send] = []
        for txid, raw in transactions.items():
            if self._pending(txid):
                continue
            self._hold(txid, now_ms)
            if self._outbox_bytes + len(raw) > PUSH_BYTES_MAX:
                sends += self.flush()
            self._outbox.append(raw)
            self._outbox_bytes += len(raw)
        return tuple(sends)

    def received(
        self, peer: str, txids: Sequence[bytes], new: Iterable[bytes], now_ms: int
    ) -> Sends:
        """``peer`` sent ``txids``; the mempool took ``new`` of them.

        What it did not take is not asked for again for ``refused_ms``.
        """
        accepted = frozenset(new)
        self._learn(peer, txids)
        for txid in txids:
            self._drop_want(txid)
            if txid in accepted:
                self._hold(txid, now_ms)
            elif not self._pending(txid) and self._settled.get(txid, now_ms) <= now_ms:
                self._settle(txid, now_ms + self._limits.refused_ms)
        return ()

    def inventory(self, peer: str, txids: Sequence[bytes], now_ms: int) -> Sends:
        """``peer`` announced ``txids``: ask it for what nobody was asked for yet."""
        self._learn(peer, txids)
        state = self._peers.get(peer)
        if state is None:
            return ()
        ask: list[bytes] = []
        for txid in txids:
            if self._pending(txid) or self._settled.get(txid, now_ms) > now_ms:
                continue
            want = self._wanted.get(txid)
            if want is None:
                if self._ask(txid, peer, state, [], now_ms):
                    ask.append(txid)
            elif (
                peer != want.asked
                and peer not in want.others
                and len(want.others) < self._limits.announcers_max
            ):
                want.others.append(peer)
        return _id_frames(NodeId(peer), FrameType.WANT, ask)

    def want(self, peer: str, txids: Sequence[bytes], now_ms: int) -> tuple[bytes, ...]:
        """Return which of ``txids`` to look up and send to ``peer`` (see ``transactions``).

        Only pending ones, and each at most once per ``serve_again_ms``: 32 bytes asked must
        not become 64 KiB sent over and over.
        """
        state = self._peers.get(peer)
        if state is None:
            return ()
        serve: list[bytes] = []
        for txid in txids:
            served_ms = state.served.get(txid)
            again = served_ms is None or now_ms - served_ms >= self._limits.serve_again_ms
            if again and self._pending(txid):
                state.served.pop(txid, None)
                state.served[txid] = now_ms
                serve.append(txid)
        _trim(state.served, self._limits.served_ids_max)
        return tuple(serve)

    def tick(self, now_ms: int) -> Sends:
        """Flush, announce what is due, and ask another announcer for what did not come."""
        return self.flush() + self._announce_due(now_ms) + self._ask_others(now_ms)

    def flush(self) -> Sends:
        """Push what our intake admitted since the last flush."""
        if not self._outbox:
            return ()
        raws, self._outbox, self._outbox_bytes = self._outbox, [], 0
        return transactions(None, raws)

    def forget(self, txids: Iterable[bytes]) -> None:
        """``txids`` are committed or expired: never announce, ask for or serve them again."""
        for txid in txids:
            self._fresh.pop(txid, None)
            self._again.pop(txid, None)
            self._drop_want(txid)
            self._settle(txid, NEVER_MS)

    def peer_up(self, peer: str) -> Sends:
        """Frames flow to ``peer`` (again): offer all that is pending.

        It may have restarted with an empty mempool, so what it was known to have is void.
        """
        state = self._peers.get(peer)
        if state is None:
            return ()
        state.up = True
        state.known.clear()
        state.served.clear()
        return _id_frames(NodeId(peer), FrameType.INVENTORY, [*self._again, *self._fresh])

    def peer_down(self, peer: str) -> None:
        """No frames flow to ``peer``; what it was asked for is asked of others when due."""
        state = self._peers.get(peer)
        if state is not None:
            state.up = False

    def set_peers(self, peers: Iterable[str]) -> None:
        """Follow the ledger's members; newcomers start down."""
        keep = {peer for peer in peers if peer != self._self_id}
        for gone in [peer for peer in self._peers if peer not in keep]:
            for txid in [txid for txid, want in self._wanted.items() if want.asked == gone]:
                del self._wanted[txid]
            del self._peers[gone]
        for peer in keep:
            self._peers.setdefault(peer, _Peer())

    @property
    def deadline_ms(self) -> int:
        """When ``tick`` has something to do; 0 for now, ``NEVER_MS`` for nothing pending."""
        if self._outbox:
            return 0
        heads = [next(iter(due.values())) for due in (self._fresh, self._again) if due]
        heads += [want.deadline_ms for want in islice(self._wanted.values(), 1)]
        return min(heads, default=NEVER_MS)

    @property
    def pending_count(self) -> int:
        return len(self._fresh) + len(self._again)

    @property
    def wanted_count(self) -> int:
        return len(self._wanted)

    def check_invariants(self) -> None:
        """Assert the bounds; for tests and simulations."""
        limits = self._limits
        assert self.pending_count <= limits.pending_ids_max
        assert not self._fresh.keys() & self._again.keys()
        assert len(self._settled) <= limits.settled_ids_max
        assert len(self._wanted) <= limits.wanted_ids_max
        assert self._outbox_bytes <= PUSH_BYTES_MAX
        for name, peer in self._peers.items():
            assert len(peer.known) <= limits.known_ids_max
            assert len(peer.served) <= limits.served_ids_max
            asked = [want for want in self._wanted.values() if want.asked == name]
            assert len(asked) == peer.asked <= limits.wanted_per_peer_max
        for due in (self._fresh, self._again):
            assert list(due.values()) == sorted(due.values())

    # --- tables ---

    def _pending(self, txid: bytes) -> bool:
        return txid in self._fresh or txid in self._again

    def _hold(self, txid: bytes, now_ms: int) -> None:
        if self._pending(txid):
            return
        self._drop_want(txid)
        self._settled.pop(txid, None)
        self._fresh[txid] = now_ms + self._limits.announce_after_ms
        if self.pending_count > self._limits.pending_ids_max:
            oldest = self._again or self._fresh
            del oldest[next(iter(oldest))]

    def _settle(self, txid: bytes, until_ms: int) -> None:
        self._settled.pop(txid, None)
        self._settled[txid] = until_ms
        _trim(self._settled, self._limits.settled_ids_max)

    def _learn(self, peer: str, txids: Iterable[bytes]) -> None:
        state = self._peers.get(peer)
        if state is None:
            return
        for txid in txids:
            state.known.pop(txid, None)  # to the young end
            state.known[txid] = None
        _trim(state.known, self._limits.known_ids_max)

    def _drop_want(self, txid: bytes) -> None:
        want = self._wanted.pop(txid, None)
        if want is not None:
            self._peers[want.asked].asked -= 1

    def _ask(
        self, txid: bytes, peer: str, state: _Peer, others: list[str], now_ms: int
    ) -> bool:
        """Note that ``peer`` is asked; ``False`` when it or the table has enough already."""
        if (
            state.asked >= self._limits.wanted_per_peer_max
            or len(self._wanted) >= self._limits.wanted_ids_max
        ):
            return False
        state.asked += 1
        self._wanted[txid] = _Want(peer, now_ms + self._limits.want_timeout_ms, others)
        return True

    # --- what time does ---

    def _announce_due(self, now_ms: int) -> Sends:
        due = _take_due(self._fresh, now_ms) + _take_due(self._again, now_ms)
        for txid in due:
            self._again[txid] = now_ms + self._limits.announce_again_ms
        sends: list[Send] = []
        for name, peer in self._peers.items():
            if peer.up:
                lacking = [txid for txid in due if txid not in peer.known]
                sends += _id_frames(NodeId(name), FrameType.INVENTORY, lacking)
        return tuple(sends)

    def _ask_others(self, now_ms: int) -> Sends:
        late: list[tuple[bytes, _Want]] = []
        for txid, want in self._wanted.items():
            if want.deadline_ms > now_ms:
                break
            late.append((txid, want))
        asks: dict[str, list[bytes]] = {}
        for txid, want in late:
            self._drop_want(txid)
            while want.others:
                # Without another announcer the id is dropped: whoever has it announces again.
                name = want.others.pop(0)
                state = self._peers.get(name)
                if (
                    state is not None
                    and state.up
                    and self._ask(txid, name, state, want.others, now_ms)
                ):
                    asks.setdefault(name, []).append(txid)
                    break
        return tuple(
            [
                send
                for name, txids in asks.items()
                for send in _id_frames(NodeId(name), FrameType.WANT, txids)
            ]
        )


def transactions(peer: str | None, raws: Iterable[bytes]) -> Sends:
    """Return the TRANSACTIONS frames that carry ``raws`` to ``peer``, or to all."""
    to = None if peer is None else NodeId(peer)
    return tuple(
        [
            Send(to, FrameType.TRANSACTIONS, encode_transactions(group))
            for group in batches(raws)
        ]
    )


def _id_frames(peer: NodeId, kind: FrameType, txids: Sequence[bytes]) -> Sends:
    return tuple(
        [
            Send(peer, kind, encode_ids(txids[at : at + INVENTORY_IDS_MAX]))
            for at in range(0, len(txids), INVENTORY_IDS_MAX)
        ]
    )


def _take_due(due_by_id: dict[bytes, int], now_ms: int) -> list[bytes]:
    due: list[bytes] = []
    for txid, due_ms in due_by_id.items():
        if due_ms > now_ms:
            break
        due.append(txid)
    for txid in due:
        del due_by_id[txid]
    return due


def _trim(table: dict[bytes, int] | dict[bytes, None], count_max: int) -> None:
    """Forget the oldest entries beyond ``count_max``."""
    for txid in list(islice(table, max(0, len(table) - count_max))):
        del table[txid]
