"""What makes pages of the state tree out of what they were: rows for ``storage.pagelog``.

Only slots that changed, the head when its bits did, and the checksum: a block that changes one
slot of the root page writes some 50 bytes of 520.

Owns: finding what changed.  Refuses: putting patches on; the store does, and knows no slots.
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final

from node.ledger.undo import cut

_OP: Final = Struct(">HHH").pack  # bytes to keep, to leave out, to put in
_ALL: Final = 0xFFFF  # whatever is there


def row(pages: Iterable[tuple[bytes, bytes | None, bytes | None]]) -> bytes:
    """Return u8 size, page key, be16 size, patch for each (page key, before, after)."""
    parts: list[bytes] = []
    for key, before, after in pages:
        patch = of(before, after)
        parts += (bytes((len(key),)), key, len(patch).to_bytes(2, "big"), patch)
    return b"".join(parts)


def of(before: bytes | None, after: bytes | None) -> bytes:
    """Return the patch; None is no page.  Both as the tree reads and writes them."""
    if after is None:
        return b""
    if before is None:
        return _OP(0, _ALL, len(after)) + after
    parts: list[bytes] = []
    kept = 0
    for old, new in zip(_fields(before), _fields(after), strict=True):
        if old == new:
            kept += len(old)
        else:
            parts += (_OP(kept, len(old), len(new)), new)
            kept = 0
    if kept:
        parts.append(_OP(kept, 0, 0))
    return b"".join(parts)


def _fields(page: bytes) -> tuple[bytes, ...]:
    return page[:4], *cut(page), page[-4:]
