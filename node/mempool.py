"""Transactions that are valid on their own and not yet in a block.

Owns: admission by room, order of arrival, a share per institution, expiry.  Refuses:
signatures and format (intake has checked them), state-dependent rules (only execution knows).
Invariant: ``count`` and ``bytes`` stay within the limits, whatever arrives.
"""

import heapq
from collections.abc import Iterable, Sequence, Set
from enum import Enum, auto

from consensus.frozen import dataclass
from node.ledger.transaction import Transaction, TxId


@dataclass(frozen=True, slots=True, kw_only=True)
class MempoolLimits:
    transactions_max: int = 50_000
    bytes_max: int = 64 << 20
    org_share_percent: int = 60  # of either limit, so that one member cannot starve the rest


class Admission(Enum):
    ADDED = auto()
    KNOWN = auto()  # in the pool already
    FULL = auto()  # no room at all; try again after the next blocks
    SHARE_FULL = auto()  # this institution has used its share


@dataclass(frozen=True, slots=True)
class Entry:
    transaction: Transaction
    arrived_ms: int


class Mempool:
    def __init__(self, limits: MempoolLimits) -> None:
        self._limits = limits
        self._share_count = limits.transactions_max * limits.org_share_percent / 100
        self._share_bytes = limits.bytes_max * limits.org_share_percent / 100
        self._entries: dict[TxId, Entry] = {}
        self._expiries: list[tuple[int, TxId]] = []
        self._org_bytes: dict[str, int] = {}
        self._org_count: dict[str, int] = {}
        self.bytes = 0
        self.turned_away = 0  # for lack of room

    @property
    def transactions_max(self) -> int:
        return self._limits.transactions_max

    def ids(self) -> frozenset[TxId]:
        """Return what waits now."""
        return frozenset(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, txid: bytes) -> bool:
        return txid in self._entries

    @property
    def oldest_ms(self) -> int | None:
        """Arrival of the transaction that waits longest; None when nothing waits."""
        for entry in self._entries.values():
            return entry.arrived_ms
        return None

    def room(self, transaction: Transaction) -> Admission:
        """Say what ``add`` would answer."""
        limits = self._limits
        if transaction.txid in self._entries:
            return Admission.KNOWN
        size = len(transaction.raw)
        if (
            len(self._entries) >= limits.transactions_max
            or self.bytes + size > limits.bytes_max
        ):
            return Admission.FULL
        org = transaction.payload.org
        if (
            self._org_count.get(org, 0) >= self._share_count
            or self._org_bytes.get(org, 0) + size > self._share_bytes
        ):
            return Admission.SHARE_FULL
        return Admission.ADDED

    def add(self, transaction: Transaction, now_ms: int) -> Admission:
        """Take ``transaction`` when there is room."""
        admission = self.room(transaction)
        if admission is not Admission.ADDED:
            self.turned_away += admission is not Admission.KNOWN
            return admission
        txid, org, size = transaction.txid, transaction.payload.org, len(transaction.raw)
        self._entries[txid] = Entry(transaction, now_ms)
        heapq.heappush(self._expiries, (transaction.payload.expires_height, txid))
        self.bytes += size
        self._org_bytes[org] = self._org_bytes.get(org, 0) + size
        self._org_count[org] = self._org_count.get(org, 0) + 1
        return admission

    def get(self, txid: bytes) -> Transaction | None:
        entry = self._entries.get(TxId(txid))
        return None if entry is None else entry.transaction

    def take(
        self, *, count_max: int, bytes_max: int, without: Set[TxId] = frozenset()
    ) -> list[Transaction]:
        """Return the oldest transactions that fit, none of ``without``; they stay here until
        ``remove``."""
        taken: list[Transaction] = []
        room = bytes_max
        for txid, entry in self._entries.items():
            if txid in without:
                continue
            room -= len(entry.transaction.raw) + 5  # MessagePack's length prefix
            if len(taken) == count_max or room < 0:
                break
            taken.append(entry.transaction)
        return taken

    def pending(self, count_max: int) -> list[TxId]:
        """Return up to ``count_max`` waiting ids, oldest first."""
        ids: list[TxId] = []
        for txid in self._entries:
            if len(ids) == count_max:
                break
            ids.append(txid)
        return ids

    def remove(self, txids: Iterable[bytes]) -> None:
        """Forget transactions that are in a block (or cannot enter one any more)."""
        for txid in txids:
            entry = self._entries.pop(TxId(txid), None)
            if entry is None:
                continue
            org, size = entry.transaction.payload.org, len(entry.transaction.raw)
            self.bytes -= size
            self._org_bytes[org] -= size
            self._org_count[org] -= 1
            if not self._org_count[org]:
                del self._org_bytes[org], self._org_count[org]

    def expire(self, next_height: int) -> Sequence[TxId]:
        """Drop and return what may not enter ``next_height`` any more."""
        dropped: list[TxId] = []
        while self._expiries and self._expiries[0][0] < next_height:
            _height, txid = heapq.heappop(self._expiries)
            if txid in self._entries:
                dropped.append(txid)
        self.remove(dropped)
        if len(self._expiries) > 2 * len(self._entries) + 1024:
            alive = self._entries.items()
            self._expiries = [(e.transaction.payload.expires_height, t) for t, e in alive]
            heapq.heapify(self._expiries)
        return dropped
