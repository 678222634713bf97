"""The seam of the hot path: everything that is done to many transactions at once.

Callers hand over whole batches of raw bytes.  Two backends answer, with the same answers for
the same bytes; types.py says what each call promises:

    pure      pure.py: hashlib, msgpack, and the wheel around the crate ed25519-zebra.  Every
              call HOLDS the interpreter lock: callers that share a thread with an event loop
              pass at most ``CHUNK`` items (about 4 ms of signatures) and give the loop a turn.
    native    native.py: the wheel built from native/.  Every call RELEASES the lock, so that
              a batch of any size may run in a worker thread.

Owns: which backend is in force.  At import that is the native one when it is installed and
fits, else the pure one; the command line may ``choose`` otherwise before the first call.
Refuses: policy.  Whether a key may sign at all is asked elsewhere.
Invariant: the tests hold the backends to one another; the accept set over the Ed25519 edge
cases is pinned by a digest in the conformance tests, for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.ledger.accel import native, pure
from node.ledger.accel.types import (
    Backend,
    Grown,
    Items,
    Name,
    Range,
    Row,
    Settled,
    StateUpdate,
)
from node.ledger.frame import Check, TransactionMalformed
from node.ledger.pages import ReadPages
from node.ledger.payload import Opened

__all__ = ["CHOICES", "CHUNK", "EMPTY_ROOT", "AcceleratorMissing", "Backend", "Items", "Range"]

CHOICES: Final = ("auto", "native", "pure")
CHUNK: Final = 64  # items per call that keep one call of the pure backend near 4 ms
EMPTY_ROOT: Final = pure.EMPTY_ROOT


class AcceleratorMissing(Exception):
    """The native backend was asked for by name and cannot be used.  The text says why."""

    code = "accelerator-missing"


@dataclass(slots=True)
class _InForce:
    backend: Backend


def _best() -> Backend:
    return pure if native.unusable() else native


_in_force: Final = _InForce(_best())


def choose(name: str) -> None:
    """Put a backend in force: one of ``CHOICES``; raises ``AcceleratorMissing``.

    For the start of a process.  A change between two calls is harmless, because the answers
    are the same; a change during one leaves it where it began.
    """
    assert name in CHOICES, f"no backend {name}"
    if name == "native" and (reason := native.unusable()):
        raise AcceleratorMissing(reason)
    _in_force.backend = pure if name == "pure" else _best()


def backend() -> Name:
    """Return the name of the backend in force."""
    return _in_force.backend.NAME


def releases_lock() -> bool:
    """Return whether other threads run during a call."""
    return _in_force.backend.RELEASES_LOCK


def describe() -> str:
    """Return the backend in force for people, with why it is not the native one."""
    if backend() == native.NAME:
        return f"native {native.version()}"
    return f"pure ({native.unusable() or 'by choice'})"


def verify_batch(items: Sequence[Check]) -> list[bool]:
    return _in_force.backend.verify_batch(items)


def leaf_hashes(leaves: Sequence[bytes]) -> list[bytes]:
    return _in_force.backend.leaf_hashes(leaves)


def txids(raws: Sequence[bytes]) -> list[bytes]:
    """Return the ids of whole transactions: the leaf hash of each one's bytes."""
    return _in_force.backend.leaf_hashes(raws)


def items_root(row: bytes) -> bytes:
    return _in_force.backend.items_root(row)


def sorted_rows(head: bytes, rows: Sequence[Row], items: Sequence[Items] = ()) -> list[Row]:
    return _in_force.backend.sorted_rows(head, rows, items)


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    return _in_force.backend.merkle_root(hashes)


def row_root(row: bytes) -> bytes:
    return _in_force.backend.row_root(row)


def roots_of_runs(row: bytes, width: int) -> bytes:
    return _in_force.backend.roots_of_runs(row, width)


def roots_of_ranges(hashes: Sequence[bytes], ranges: Sequence[Range]) -> list[bytes]:
    return _in_force.backend.roots_of_ranges(hashes, ranges)


def extend_frontier(size: int, peaks: bytes, leaves: Sequence[bytes]) -> bytes:
    return _in_force.backend.extend_frontier(size, peaks, leaves)


def update_state(
    changes: Sequence[tuple[bytes, bytes | None]], read_pages: ReadPages
) -> StateUpdate:
    return _in_force.backend.update_state(changes, read_pages)


def grow_state(row: bytes, depth: int) -> Grown:
    return _in_force.backend.grow_state(row, depth)


def pages_lost(pairs: Sequence[tuple[bytes, bytes | None]]) -> list[bytes]:
    return _in_force.backend.pages_lost(pairs)


def page_rows(head: bytes, settled: Sequence[Settled]) -> list[Row]:
    return _in_force.backend.page_rows(head, settled)


def are_canonical(raws: Sequence[bytes]) -> list[bool]:
    return _in_force.backend.are_canonical(raws)


def open_batch(raws: Sequence[bytes]) -> list[Opened | TransactionMalformed]:
    return _in_force.backend.open_batch(raws)
