"""The read side, on the live store or on a snapshot of it.

Owns: turning keys into rows.  Refuses: writing, caching.
Invariant: None means "not there"; anything there but unreadable raises ``Corrupt``.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from storage import history, keys, pagelog, slots
from storage.blocks import Applied, BlockRow, StoredBlock, decode_row, split_body
from storage.errors import Corrupt, Pruned
from storage.history import History
from storage.kv import Readable
from storage.pagelog import Changed, Layer
from storage.segments import Pointer, Segments


@dataclass(frozen=True, slots=True)
class Floor:
    """Bodies are there from height ``lowest`` on, in segments from ``first_segment`` on."""

    lowest: int
    first_segment: int

    def encode(self) -> bytes:
        """Return two be64."""
        return keys.be64(self.lowest) + keys.be64(self.first_segment)

    @classmethod
    def decode(cls, raw: bytes) -> "Floor":
        """Inverse of ``encode``; raises ``Corrupt``."""
        if len(raw) != 16:
            raise Corrupt("the floor of kept bodies has no 16 bytes", where="LevelDB")
        return cls(int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big"))


class Reader:
    """Rows by their names.  Every method raises ``StorageFailure`` on a disk error."""

    def __init__(self, source: Readable, segments: Segments) -> None:
        self._source = source
        self._segments = segments
        self._changed: Changed | None = None
        self._names: list[bytes] | None = None  # of these, in order

    # --- consensus -------------------------------------------------------------------------

    def consensus_pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every engine record in key order, as of the moment of the call."""
        return self._scan(keys.CONSENSUS, b"", None)

    def consensus_value(self, key: bytes) -> bytes | None:
        """Return the engine record under ``key``, or None."""
        return self._source.get(keys.CONSENSUS + key)

    def body(self, digest: bytes) -> bytes | None:
        """Return the stored body, checksum and digest label verified."""
        raw = self._source.get(keys.BODY + digest)
        if raw is None:
            return None
        pointer = Pointer.decode(raw)
        where = f"segment {pointer.segment} offset {pointer.offset}"
        return split_body(self._segments.read(pointer), digest, where=where)

    def has_body(self, digest: bytes) -> bool:
        return self._source.get(keys.BODY + digest) is not None

    def body_digests(self) -> Iterator[bytes]:
        """Yield the digest of every stored body, applied or not, ascending."""
        return (digest for digest, _ in self._scan(keys.BODY, b"", None))

    def lowest_body(self) -> int:
        """Return the lowest height whose body is kept: 1 unless blocks were pruned, or this
        store began with a snapshot."""
        raw = self._source.get(keys.PRUNED)
        return max(self.lowest(), 1 if raw is None else Floor.decode(raw).lowest)

    def body_of(self, height: int) -> bytes | None:
        """Return the body of an applied block; None above the newest.

        Raises ``Pruned`` when it has left the disk, ``Corrupt`` when it is damaged.
        """
        row = self.block(height)
        if row is None:
            return None
        try:
            body = self.body(row.digest)
            if body is None:
                raise Corrupt("the body is missing", where=f"block {height}")
        except Corrupt:
            # Also a file that left between the pointer and the reading.
            if height < (lowest := self.lowest_body()):
                raise Pruned(lowest) from None
            raise
        return body

    # --- blocks ----------------------------------------------------------------------------

    def lowest(self) -> int:
        """Return the lowest height of which anything is kept: 1, or that of the snapshot that
        this store began with."""
        raw = self._source.get(keys.LOWEST)
        return 1 if raw is None else int.from_bytes(raw, "big")

    def applied(self) -> Applied | None:
        """Return where the ledger stands, or None before the first block."""
        raw = self._source.get(keys.APPLIED)
        return None if raw is None else decode_row(Applied, raw, where="applied height")

    def block(self, height: int) -> BlockRow | None:
        raw = self._source.get(keys.block(height))
        return None if raw is None else decode_row(BlockRow, raw, where=f"block {height}")

    def height_of(self, digest: bytes) -> int | None:
        """Return the height of the applied block with this body digest."""
        raw = self._source.get(keys.HEIGHT_OF + digest)
        return None if raw is None else int.from_bytes(raw, "big")

    def seal(self, height: int) -> bytes | None:
        """Return the seal leaf data of an applied block."""
        return self._source.get(keys.seal(height))

    def certificate(self, height: int) -> bytes | None:
        return self._source.get(keys.certificate(height))

    def iter_blocks(self, lo: int, hi: int) -> Iterator[StoredBlock]:
        """Yield applied blocks ``lo <= height < hi`` with all parts, ascending.

        Ends before ``hi`` at the newest block.  Raises ``Corrupt`` when a part is missing,
        ``Pruned`` for a body that is not kept any more.
        """
        for _, raw in self._source.scan(keys.block(lo), keys.block(hi)):
            row = decode_row(BlockRow, raw, where=f"a block from {lo}")
            body, seal, certificate = (
                self.body(row.digest),
                self.seal(row.height),
                self.certificate(row.height),
            )
            if body is None and row.height < (lowest := self.lowest_body()):
                raise Pruned(lowest)
            if body is None or seal is None or certificate is None:
                raise Corrupt("part of a block is missing", where=f"block {row.height}")
            yield StoredBlock(row, body, seal, certificate)

    # --- log -------------------------------------------------------------------------------

    def tile(self, level: int, n: int) -> bytes | None:
        """Return the hashes of log tile ``n`` at ``level``, 32 bytes each."""
        return self._source.get(keys.tile(level, n))

    # --- state, transactions, indexes --------------------------------------------------------

    def state_get(self, key: bytes) -> bytes | None:
        return self._source.get(keys.STATE + key)

    def state_get_many(self, state_keys: Sequence[bytes]) -> list[bytes | None]:
        return self._source.get_many([keys.STATE + key for key in state_keys])

    def state_scan(
        self, prefix: bytes = b"", *, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield state pairs whose key begins with ``prefix``, in key order."""
        return self._scan(keys.STATE, prefix, limit)

    def iter_state(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the whole state in key order."""
        return self._scan(keys.STATE, b"", None)

    def page(self, key: bytes) -> bytes | None:
        """Return a page of the state tree."""
        if key in (changed := self._changed_pages()):
            return changed[key]
        return self.stored_page(key)

    def iter_pages(
        self, first: bytes = b"", end: bytes = slots.END
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield every page of the state tree in key order, from ``first`` up to ``end``."""
        changed = self._changed_pages()
        if self._names is None:
            self._names = sorted(changed)
        names = self._names[bisect_left(self._names, first) : bisect_left(self._names, end)]
        return pagelog.merged(
            [(name, changed[name]) for name in names], self.iter_stored_pages(first, end)
        )

    def stored_page(self, key: bytes) -> bytes | None:
        """Return a page as it is stored: as of ``pages_base()``."""
        return slots.page(self._source, key)

    def iter_stored_pages(
        self, first: bytes = b"", end: bytes = slots.END
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield every stored page in key order, from ``first`` up to ``end``."""
        return slots.every(self.page_rows(first, end))

    def page_rows(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows (``slots``) of stored pages from ``first`` up to ``end``."""
        return self._source.scan(keys.NODE + first, keys.NODE + end)

    def recent_page(self, key: bytes, height: int) -> tuple[bool, bytes | None] | None:
        """Return (True, page) as of ``height``, (False, None) when it is as it is stored; None
        when only the rows say: for a height long ago, and for one before pages were stored."""
        del key, height
        return None

    def pages_base(self, height: int | None = None) -> int:
        """Return as of which height pages are stored; with ``height`` the base of its row, from
        which patches lead there."""
        base = pagelog.stored_base(self._source)
        if height is None or height >= base:
            return base
        return pagelog.base_at(self._source, height)

    def page_layers(self, base: int, height: int) -> list[Layer]:
        """Return the patches of each block above ``base`` up to ``height``, in their order."""
        return [layer for _, layer in pagelog.rows(self._source, base, height)]

    def _changed_pages(self) -> Changed:
        if self._changed is None:
            self._changed, _ = pagelog.load(self._source)
        return self._changed

    def history(self) -> History | None:
        """Return for which heights older state can be read; None when none was kept."""
        return history.bounds(self._source)

    def state_after(self, key: bytes, height: int) -> bytes | None:
        """Return what the first change of ``key`` above ``height`` replaced, or None."""
        return history.state_after(self._source, key, height)

    def pages_after(self, page_key: bytes, height: int) -> Iterator[bytes]:
        """Yield what blocks above ``height`` took from a stored page, oldest block first;
        raises ``Corrupt``."""
        return history.pages_after(self._source, page_key, height)

    def tx_row(self, txid: bytes) -> bytes | None:
        return self._source.get(keys.TRANSACTION + txid)

    def tx_rows(self, txids: Sequence[bytes]) -> list[bytes | None]:
        return self._source.get_many([keys.TRANSACTION + txid for txid in txids])

    def index_get(self, key: bytes) -> bytes | None:
        return self._source.get(keys.INDEX + key)

    def index_scan(
        self, lo: bytes, hi: bytes, *, limit: int | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield index pairs with ``lo <= key < hi``, from the greatest with ``reverse``."""
        pairs = self._source.scan(
            keys.INDEX + lo, keys.INDEX + hi, reverse=reverse, limit=limit
        )
        return ((key[1:], value) for key, value in pairs)

    # --- checkpoints and local facts ---------------------------------------------------------

    def checkpoint(self, height: int) -> bytes | None:
        """Return the checkpoint text saved for ``height``."""
        raw = self._source.get(keys.checkpoint(height))
        return None if raw is None else raw[8:]

    def latest_checkpoint(self, *, covering: int | None = None) -> tuple[int, bytes] | None:
        """Return (height, text) of the newest checkpoint, or None.

        With ``covering``, a log index, None also when that leaf is not under it yet: log
        sizes grow with height, so when the newest does not cover it none does.
        """
        lo, hi = keys.checkpoint(0), keys.after(keys.CHECKPOINT)
        for key, raw in self._source.scan(lo, hi, reverse=True, limit=1):
            if covering is None or int.from_bytes(raw[:8], "big") > covering:
                return int.from_bytes(key[1:], "big"), raw[8:]
        return None

    def first_checkpoint(self, height: int) -> tuple[int, bytes] | None:
        """Return (height, text) of the oldest checkpoint at ``height`` or above, or None."""
        lo, hi = keys.checkpoint(height), keys.after(keys.CHECKPOINT)
        for key, raw in self._source.scan(lo, hi, limit=1):
            return int.from_bytes(key[1:], "big"), raw[8:]
        return None

    def newest_checkpoint(self, up_to: int | None) -> tuple[int, bytes] | None:
        """Return (height, text) of the newest checkpoint not above height ``up_to``."""
        top = keys.HEIGHT_MAX if up_to is None else min(up_to + 1, keys.HEIGHT_MAX)
        lo, hi = keys.checkpoint(0), keys.checkpoint(top)
        for key, raw in self._source.scan(lo, hi, reverse=True, limit=1):
            return int.from_bytes(key[1:], "big"), raw[8:]
        return None

    def link(self, epoch: int) -> bytes | None:
        """Return the link that proves how the era ``epoch`` began, as it was saved."""
        return self._source.get(keys.link(epoch))

    def meta_get(self, name: bytes) -> bytes | None:
        """Return a small local fact that is no part of the ledger."""
        return self._source.get(keys.LOCAL + name)

    def raw_value(self, key: bytes) -> bytes | None:
        """Return the value under a whole key, as ``keys`` writes it."""
        return self._source.get(key)

    def raw_rows(self, letter: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield every pair under ``letter`` with its whole key, as of this moment."""
        return self._source.scan(letter, keys.after(letter))

    def _scan(
        self, letter: bytes, prefix: bytes, limit: int | None
    ) -> Iterator[tuple[bytes, bytes]]:
        whole = letter + prefix
        pairs = self._source.scan(whole, keys.after(whole), limit=limit)
        return ((key[1:], value) for key, value in pairs)
