"""The backend in Rust, when its wheel is installed and speaks the same version of the seam.

Owns: telling whether it can be used and why not; the way from our arguments to the wheel's.
Every call RELEASES the interpreter lock for all but making Python objects.
"""

from collections.abc import Sequence
from typing import Any, Final

from node.ledger.accel import pure
from node.ledger.accel.types import Grown, Items, Name, Range, Row, Settled, StateUpdate
from node.ledger.frame import Check, TransactionMalformed
from node.ledger.pages import PageCorrupt, ReadPages
from node.ledger.payload import Op, Opened, Payload, Transaction

try:
    import chartseal_native as _found
except ImportError:
    _found = None

NAME: Final[Name] = "native"
RELEASES_LOCK: Final = True
ABI: Final = 9  # the wheel's own constant must be the same; see native/README.md

_wheel: Any = _found
_HASH_BYTES: Final = 32


def unusable(wheel: Any = _wheel) -> str | None:
    """Return why ``wheel`` cannot serve, for people; None when it can."""
    if wheel is None:
        return "the package chartseal-native is not installed"
    abi = getattr(wheel, "ABI", None)
    if abi != ABI:
        return f"the installed chartseal-native has interface {abi}, this software needs {ABI}"
    return None


def version() -> str | None:
    """Return the version of the installed wheel, usable or not; None when there is none."""
    return None if _wheel is None else str(getattr(_wheel, "VERSION", "unknown"))


def verify_batch(items: Sequence[Check]) -> list[bool]:
    verdicts: list[bool] = _wheel.verify_batch(items)
    return verdicts


def _row(hashes: Sequence[bytes]) -> bytes:
    row = b"".join(hashes)
    if len(row) != _HASH_BYTES * len(hashes):
        raise ValueError("hashes of 32 bytes are due")
    return row


def leaf_hashes(leaves: Sequence[bytes]) -> list[bytes]:
    hashes: list[bytes] = _wheel.leaf_hashes(leaves)
    return hashes


def items_root(row: bytes) -> bytes:
    root: bytes = _wheel.items_root(row)
    return root


def sorted_rows(head: bytes, rows: Sequence[Row], items: Sequence[Items] = ()) -> list[Row]:
    ordered: list[Row] = _wheel.sorted_rows(head, rows, items)
    return ordered


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    return row_root(_row(hashes))


def row_root(row: bytes) -> bytes:
    root: bytes = _wheel.row_root(row)
    return root


def roots_of_runs(row: bytes, width: int) -> bytes:
    if width < 1:
        raise ValueError("runs of no hashes")
    roots: bytes = _wheel.roots_of_runs(row, width)
    return roots


def roots_of_ranges(hashes: Sequence[bytes], ranges: Sequence[Range]) -> list[bytes]:
    if any(not 0 <= start <= end <= len(hashes) for start, end in ranges):
        raise ValueError("a range beyond the hashes")
    roots: list[bytes] = _wheel.roots_of_ranges(_row(hashes), ranges)
    return roots


def extend_frontier(size: int, peaks: bytes, leaves: Sequence[bytes]) -> bytes:
    if size < 0:
        raise ValueError("the peaks are not of that size")
    extended: bytes = _wheel.extend_frontier(size, peaks, _row(leaves))
    return extended


def update_state(
    changes: Sequence[tuple[bytes, bytes | None]], read_pages: ReadPages
) -> StateUpdate:
    try:
        after: StateUpdate = _wheel.update_state(changes, read_pages)
    except _wheel.PageDamaged as damage:
        raise PageCorrupt(str(damage)) from damage
    return after


def grow_state(row: bytes, depth: int) -> Grown:
    grown: Grown = _wheel.grow_state(row, depth)
    return grown


def pages_lost(pairs: Sequence[tuple[bytes, bytes | None]]) -> list[bytes]:
    lost: list[bytes] = _wheel.pages_lost(pairs)
    return lost


def page_rows(head: bytes, settled: Sequence[Settled]) -> list[Row]:
    rows: list[Row] = _wheel.page_rows(head, settled)
    return rows


def are_canonical(raws: Sequence[bytes]) -> list[bool]:
    verdicts: list[bool] = _wheel.are_canonical(raws)
    return verdicts


def open_batch(raws: Sequence[bytes]) -> list[Opened | TransactionMalformed]:
    opened: list[Any] = _wheel.open_batch(raws, Transaction, Payload, Op)
    if all(opened):
        return opened
    # What is no transaction is read again by the code that knows what to say of it.
    return [
        pure.open_one(raw) if item is None else item
        for raw, item in zip(raws, opened, strict=True)
    ]
