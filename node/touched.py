"""Everything that a key signed between two times, read from the blocks themselves.

There is no index for it: that would cost every transaction something, and the question is asked
once in years, after a key was stolen.  Block times rise strictly, so a binary search finds the
first block; each body is searched for the key's bytes and only one that holds them is decoded.

Owns: the walk and its bounds: ``BLOCKS_MAX`` blocks, ``BODY_BYTES_MAX`` bytes of bodies and
``IDS_MAX`` ids a page.  Refuses: to leave anything out in silence; a page says up to which
height it has looked and where the next one begins.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from consensus import wire
from node.book import TxRow, before_snapshot
from node.ledger import block as blocks
from node.ledger.facts.keys import key_row
from node.ledger.frame import slice_frame, txid_of
from node.ledger.payload import Op, Transaction, parse
from node.records import commitments_in
from storage.errors import Pruned
from storage.reader import Reader

BLOCKS_MAX: Final = 2000
BODY_BYTES_MAX: Final = 64 << 20
IDS_MAX: Final = 20_000
_ID_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class TouchedTransaction:
    """A transaction that the key signed: ``author`` as its first signer, else as co-signer.

    ``commitments`` are records that it anchors itself; ``ids`` the other 32-byte values that
    stand at the top of its operations: records amended or retracted, batch roots, subjects,
    handles.  They are what it names, whatever its ``code`` says became of it.
    """

    txid: bytes
    height: int
    position: int
    time_ms: int
    org: str
    author: bool
    kinds: tuple[str, ...]
    code: int
    commitments: tuple[bytes, ...]
    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Touched:
    """One page.  Blocks from ``first`` to ``looked_to`` hold nothing else that the key signed
    and that an earlier page does not show; ``next`` is where to go on, None at the end.

    ``first`` above ``looked_to``: no block lies in that time.  What the key signed from
    ``compromised_since_ms`` on is flagged: its institution doubts that it was they.
    """

    transactions: tuple[TouchedTransaction, ...]
    first: int
    looked_to: int
    next: tuple[int, int] | None  # height, position in its body
    as_of_height: int
    compromised_since_ms: int | None = None


def first_at(view: Reader, time_ms: int, top: int) -> int:
    """Return the first height whose block is not before ``time_ms``; ``top`` + 1 if none is.

    Raises ``Pruned`` when that block may be one that is not here.
    """
    low, high = view.lowest(), top + 1
    if 1 < low <= top and time_ms <= _time(view, low):
        raise Pruned(low)
    while low < high:
        middle = (low + high) // 2
        if _time(view, middle) < time_ms:
            low = middle + 1
        else:
            high = middle
    return low


def _time(view: Reader, height: int) -> int:
    row = view.block(height)
    assert row is not None, "an applied height has its row"
    return blocks.decode_header(row.header).time_ms


def touched(
    view: Reader,
    key: bytes,
    *,
    from_ms: int,
    until_ms: int | None,
    start: tuple[int, int] | None,
    limit: int,
) -> Touched:
    """Return what ``key`` signed in blocks with ``from_ms`` <= time < ``until_ms`` (None: to
    the newest), from ``start`` (height, position) on; ``limit`` transactions at most."""
    page = _walk(view, key, from_ms=from_ms, until_ms=until_ms, start=start, limit=limit)
    row = key_row(view.state_get, key)
    return page if row is None else replace(page, compromised_since_ms=row.compromised_since_ms)


def _walk(
    view: Reader,
    key: bytes,
    *,
    from_ms: int,
    until_ms: int | None,
    start: tuple[int, int] | None,
    limit: int,
) -> Touched:
    applied = view.applied()
    top = 0 if applied is None else applied.height
    first = first_at(view, from_ms, top)
    last = top if until_ms is None else first_at(view, until_ms, top) - 1
    position = 0
    if start is not None and start[0] >= first:
        first, position = start
    found: list[TouchedTransaction] = []
    size = ids = 0
    for height in range(first, last + 1):
        if height - first >= BLOCKS_MAX or size >= BODY_BYTES_MAX:
            return Touched(tuple(found), first, height - 1, (height, 0), top)
        row = view.block(height)
        assert row is not None, "an applied height has its row"
        body = view.body_of(height)
        assert body is not None, "an applied height"
        size += len(body)
        for item in _signed(view, body, key, position if height == first else 0):
            if len(found) >= limit or ids >= IDS_MAX:
                following = (height, item.position)
                return Touched(tuple(found), first, height - 1, following, top)
            found.append(item)
            ids += len(item.commitments) + len(item.ids)
    return Touched(tuple(found), first, max(last, first - 1), None, top)


def _signed(view: Reader, body: bytes, key: bytes, low: int) -> Iterator[TouchedTransaction]:
    """Yield what ``key`` signed in one body and what has its place in that block."""
    if key not in body:
        return
    header, raws = blocks.decode_body(body, size_max=len(body))
    for position, raw in enumerate(raws):
        if position < low or key not in raw or key not in slice_frame(raw).keys:
            continue
        encoded = view.tx_row(txid_of(raw))
        assert encoded is not None, "a transaction in a body is applied"
        if before_snapshot(encoded):
            continue  # a repetition, too
        row = wire.decode(TxRow, encoded, size_max=256)
        if row.height != header.height:
            continue  # a repetition: it has its outcome in an earlier block
        tx = parse(raw)
        commitments = commitments_in(tx)
        yield TouchedTransaction(
            tx.txid,
            header.height,
            position,
            header.time_ms,
            tx.payload.org,
            tx.keys[0] == key,
            tuple(op.kind for op in tx.payload.ops),
            row.code,
            tuple(sorted(commitments)),
            tuple(sorted(_ids(tx) - commitments)),
        )


def _ids(tx: Transaction) -> set[bytes]:
    return {value for op in tx.payload.ops for value in _values(op) if len(value) == _ID_BYTES}


def _values(op: Op) -> Iterator[bytes]:
    return (value for value in op.body if type(value) is bytes)
