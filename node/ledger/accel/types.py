"""What a backend of the seam answers to.

Owns: the contract of every batch call; the two modules beside this one fulfil it.  A *row* is
hashes of 32 bytes, joined.  Hashes of another length raise ``ValueError``.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from node.ledger.frame import Check, TransactionMalformed
from node.ledger.pages import PageWrite, ReadPages
from node.ledger.payload import Opened

Name = Literal["native", "pure"]
Row = tuple[bytes, bytes | None]  # a stored pair; None deletes the key
# Head, row, tail, value: for each item of the row a pair of head, item, tail, the item's number
# as be32; and the value.
Items = tuple[bytes, bytes, bytes, bytes]
Range = tuple[int, int]  # hashes [start, end) of a list
Settled = tuple[bytes, bytes | None, bytes | None]  # page key, page before, page now
Grown = tuple[bytes, list[PageWrite]]  # node, pages
StateUpdate = tuple[bytes, list[PageWrite], bytes]  # root, pages, row of patches


class Backend(Protocol):
    @property
    def NAME(self) -> Name: ...  # noqa: N802 - constants of a module
    @property
    def RELEASES_LOCK(self) -> bool: ...  # noqa: N802

    def verify_batch(self, items: Sequence[Check]) -> list[bool]:
        """Return for each (key, message, signature) whether ZIP 215 accepts it.

        Wrong lengths and garbage are False; nothing is raised for any bytes.
        """
        ...

    def leaf_hashes(self, leaves: Sequence[bytes]) -> list[bytes]:
        """Return the RFC 6962 leaf hash of each leaf's data."""
        ...

    def items_root(self, row: bytes) -> bytes:
        """Return the RFC 6962 root over leaves whose data are the items of a row."""
        ...

    def sorted_rows(
        self, head: bytes, rows: Sequence[Row], items: Sequence[Items] = ()
    ) -> list[Row]:
        """Return ``rows``, and after them those of ``items``, with ``head`` in front of each
        key, in ascending order of keys.

        Of equal keys the last one comes last.
        """
        ...

    def merkle_root(self, hashes: Sequence[bytes]) -> bytes:
        """Return the RFC 6962 root over leaf hashes; ``EMPTY_ROOT`` for none."""
        ...

    def grow_state(self, row: bytes, depth: int) -> Grown:
        """Return the node of a tree of exactly these keys at ``depth`` nibbles, and its pages
        from there on (``pages.grown``).

        ``row``: path and hash of the value of each key, 64 bytes, in any order, all with the
        same first ``depth`` nibbles.  ``ValueError`` for a row that is not so.
        """
        ...

    def pages_lost(self, pairs: Sequence[tuple[bytes, bytes | None]]) -> list[bytes]:
        """Return what each page lost when it became the second of its pair (``undo.lost``)."""
        ...

    def page_rows(self, head: bytes, settled: Sequence[Settled]) -> list[Row]:
        """Return a pair for each slot that is not what it was in (page key, page before, page
        now): ``head``, page key and slot (u8), and the node; None for a slot left empty.

        In the order of ``settled`` and of slots.  Both as the tree reads and writes them.
        """
        ...

    def row_root(self, row: bytes) -> bytes:
        """Like ``merkle_root``, over a row."""
        ...

    def roots_of_runs(self, row: bytes, width: int) -> bytes:
        """Return, joined, the root of each whole run of ``width`` hashes of a row."""
        ...

    def roots_of_ranges(self, hashes: Sequence[bytes], ranges: Sequence[Range]) -> list[bytes]:
        """Return the root over each range of ``hashes``; ``ValueError`` for one beyond them."""
        ...

    def extend_frontier(self, size: int, peaks: bytes, leaves: Sequence[bytes]) -> bytes:
        """Return the peaks of a tree of ``size`` leaves after more leaf hashes were added.

        Peaks are a row: the roots of the complete subtrees from the left of the tree to its
        right, one for each bit of the size, which is below 2^63.
        """
        ...

    def update_state(
        self, changes: Sequence[tuple[bytes, bytes | None]], read_pages: ReadPages
    ) -> StateUpdate:
        """Return the state tree's root after changes, its page writes (pages.py), and a row of
        patches that make these pages out of what they were (patch.py).

        At least one change, no key twice.  Reads each page once, those of a level together
        where the backend can.  Raises ``PageCorrupt``, and whatever ``read_pages`` raises.
        """
        ...

    def are_canonical(self, raws: Sequence[bytes]) -> list[bool]:
        """Return for each whether ``consensus.codec.decode`` would take it at any size."""
        ...

    def open_batch(self, raws: Sequence[bytes]) -> list[Opened | TransactionMalformed]:
        """Return each transaction with what its signers signed, or what is wrong with it.

        The same values and errors as ``payload.parse``; signatures are not verified.
        """
        ...
