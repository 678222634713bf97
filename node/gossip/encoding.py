"""Bodies of the gossip frames.

TRANSACTIONS: canonical array of byte strings, one per transaction.  INVENTORY and WANT: one
canonical byte string, the 32-byte transaction ids after one another, none twice.  Decoders
refuse what is empty, too long or not canonical with ``Malformed`` and nothing else.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from consensus import codec
from consensus.codec import Malformed

TXID_BYTES: Final = 32
TRANSACTION_BYTES_MAX: Final = 65_535
TRANSACTIONS_BODY_BYTES_MAX: Final = 256 << 10
INVENTORY_IDS_MAX: Final = 4096

_ARRAY_HEAD_BYTES = 5
_BIN_HEAD_BYTES = 3


def batches(raws: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Cut transactions into groups whose TRANSACTIONS body stays within its limit."""
    group: list[bytes] = []
    size = _ARRAY_HEAD_BYTES
    for raw in raws:
        assert 0 < len(raw) <= TRANSACTION_BYTES_MAX, f"transaction of {len(raw)} bytes"
        if group and size + _BIN_HEAD_BYTES + len(raw) > TRANSACTIONS_BODY_BYTES_MAX:
            yield tuple(group)
            group, size = [], _ARRAY_HEAD_BYTES
        group.append(raw)
        size += _BIN_HEAD_BYTES + len(raw)
    if group:
        yield tuple(group)


def encode_transactions(raws: Sequence[bytes]) -> bytes:
    """Return the body of one TRANSACTIONS frame; ``raws`` come from ``batches``."""
    return codec.encode_typed(list(raws))


def decode_transactions(body: bytes) -> tuple[bytes, ...]:
    raws = codec.decode(body, size_max=TRANSACTIONS_BODY_BYTES_MAX)
    if type(raws) is not list or not raws:
        raise Malformed("expected transactions")
    for raw in raws:
        if type(raw) is not bytes or not 0 < len(raw) <= TRANSACTION_BYTES_MAX:
            raise Malformed("expected transaction bytes")
    return tuple(raws)


def encode_ids(txids: Sequence[bytes]) -> bytes:
    """Return the body of one INVENTORY or WANT frame of at most ``INVENTORY_IDS_MAX`` ids."""
    assert 0 < len(txids) <= INVENTORY_IDS_MAX, f"{len(txids)} ids"
    return codec.encode(b"".join(txids))


def decode_ids(body: bytes) -> tuple[bytes, ...]:
    joined = codec.decode(body, size_max=INVENTORY_IDS_MAX * TXID_BYTES + _ARRAY_HEAD_BYTES)
    if type(joined) is not bytes or not joined or len(joined) % TXID_BYTES:
        raise Malformed("expected 32-byte ids")
    txids = tuple([joined[at : at + TXID_BYTES] for at in range(0, len(joined), TXID_BYTES)])
    if len(txids) > INVENTORY_IDS_MAX or len(set(txids)) != len(txids):
        raise Malformed("too many ids, or one twice")
    return txids
