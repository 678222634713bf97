"""The ledger as it stood after one block, for questions: state with its proofs, at any height
that the history still holds.

Owns: reading state and state tree as of a height, within one snapshot of the store; which
heights can be read.  Refuses: a height whose past is gone (``HeightUnavailable``), and a value
that the tree of that height does not vouch for.
Invariant: an older value is never taken from a row alone: the tree of that height says whether
the key was there and which hash its value had.  So a damaged row stops the answer.

The state root may move only every few blocks (``state_root_every``): an older height is then
read as of the newest root at or below it, and says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from node.ledger import block as blocks
from node.ledger import undo
from node.ledger.answers import ROWS_BYTES_MAX, ROWS_MAX
from node.ledger.asking import NotProvable
from node.ledger.pages import PageCorrupt
from node.ledger.smt import StateProof, StateTree
from storage.errors import Corrupt, Pruned
from storage.pagelog import Layer, patched
from storage.reader import Reader

_WHERE: Final = "the state as of a height"


class HeightUnavailable(Exception):
    """This node cannot read the state of that height: not reached yet, or its past is gone."""

    code = "height-unavailable"


class ValueAhead(Exception):
    """The value has changed since the newest state root, and no history is kept."""

    code = "not-ready"


class AnswerTooLarge(Exception):
    """A question read more state than one proven answer may carry."""

    code = "answer-too-large"


@dataclass(frozen=True, slots=True)
class Base:
    """The block that an older state is read at: ``height`` is what its root speaks of."""

    height: int
    time_ms: int
    seal: bytes
    seal_index: int
    state_root: bytes


def base_at(view: Reader, height: int) -> Base:
    """Return the newest block at or below ``height`` that has a state root of its own.

    Raises ``HeightUnavailable`` for a height that is not applied.
    """
    row = view.block(height)
    if row is not None and row.state_height != height:
        row = view.block(row.state_height)
    if row is None and 0 < height < (lowest := view.lowest()):
        raise Pruned(lowest)
    if row is None:
        raise HeightUnavailable("the height is not applied, or no state root is at or below it")
    seal = view.seal(row.height)
    assert seal is not None, "one batch"
    time_ms = blocks.decode_header(row.header).time_ms
    return Base(row.height, time_ms, seal, row.first_index + row.count, row.state_root)


class StateAt:
    """State and state tree as of the height of ``base``; reads ``view``, which must not move.

    Raises ``HeightUnavailable`` when made for a height that the history does not hold.
    """

    def __init__(self, view: Reader, base: Base) -> None:
        applied = view.applied()
        assert applied is not None, "a base is an applied block"
        self._view = view
        self._height = base.height
        self._newest = applied.state_height == base.height
        history = view.history()
        whole = history is not None and history.last == applied.height
        floor = history.floor if history is not None and whole else applied.state_height
        self._kept = whole and floor <= base.height < applied.height
        if not self._newest and not self._kept:
            raise HeightUnavailable(f"the state of height {base.height}: kept from {floor} on")
        self._pages: dict[bytes, bytes | None] = {}
        self._base = base.height
        self._layers: list[Layer] | None = None  # read when they are needed
        self._tree = StateTree(self._view.page if self._newest else self.page)
        try:
            sealed = self._tree.root() == base.state_root
        except PageCorrupt as error:
            raise Corrupt(str(error), where=_WHERE) from error
        if not sealed:
            raise Corrupt("the root page is not the one that was sealed", where=_WHERE)

    def page(self, page_key: bytes) -> bytes | None:
        """Return a page of the state tree as it was."""
        if page_key not in self._pages:
            recent = self._view.recent_page(page_key, self._height)
            if recent is None:
                self._pages[page_key] = self._older_page(page_key)
            else:
                newer, page = recent
                self._pages[page_key] = page if newer else self._view.stored_page(page_key)
        return self._pages[page_key]

    def _older_page(self, page_key: bytes) -> bytes | None:
        """Return a page as it was stored at or before this height, with what the blocks from
        then on made of it."""
        view = self._view
        if self._layers is None:
            self._base = view.pages_base(self._height)
            self._layers = view.page_layers(self._base, self._height)
        page = view.stored_page(page_key)
        page = undo.before(page_key, page, view.pages_after(page_key, self._base))
        for layer in self._layers:
            if page_key in layer:
                page = patched(page, layer[page_key])
        return page

    def prove(self, key: bytes) -> tuple[bytes | None, StateProof]:
        """Return the value under ``key``, None when it was not there, with the proof.

        Raises ``Corrupt`` when the disk no longer holds what was sealed, ``ValueAhead`` for a
        value that changed after the newest root, without history.
        """
        try:
            value_hash, proof = self._tree.look_up(key)
        except PageCorrupt as error:
            raise Corrupt(str(error), where=_WHERE) from error
        if value_hash is None:
            return None, proof
        value = self._view.state_after(key, self._height) if self._kept else None
        if value is None:
            value = self._view.state_get(key)
        if value is None or sha256(value).digest() != value_hash:
            if not self._kept:
                raise ValueAhead("the value is newer than the newest state root")
            raise Corrupt("a value is not the one that its tree speaks of", where=_WHERE)
        return value, proof


class FactsAt:
    """``node.ledger.asking.Facts`` at the newest block, or as of ``base``.

    ``scans``: whether the index may be read; it knows the newest block only.
    """

    def __init__(
        self, view: Reader, *, height: int, time_ms: int, state: StateAt | None, scans: bool
    ) -> None:
        self._view = view
        self._state = state
        self._scans = scans
        self.height = height
        self.time_ms = time_ms

    def get(self, key: bytes) -> bytes | None:
        if self._state is None:
            return self._view.state_get(key)
        return self._state.prove(key)[0]

    def scan(
        self, prefix: bytes, *, start: bytes = b"", limit: int
    ) -> Iterator[tuple[bytes, bytes]]:
        if not self._scans:
            raise NotProvable("the index knows the newest height only")
        if (lowest := self._view.lowest()) > 1:
            raise Pruned(lowest)  # the index begins there: what it lacks may be older
        return self._view.index_scan(prefix + start, _behind(prefix), limit=limit)


class Traced:
    """Facts as of a base that remember which rows a question read, with their proofs.

    Raises ``AnswerTooLarge`` beyond ``ROWS_MAX`` keys or ``ROWS_BYTES_MAX`` bytes of values.
    """

    def __init__(self, state: StateAt, base: Base) -> None:
        self._state = state
        self._bytes = 0
        self.height = base.height
        self.time_ms = base.time_ms
        self.rows: dict[bytes, tuple[bytes | None, StateProof]] = {}

    def get(self, key: bytes) -> bytes | None:
        known = self.rows.get(key)
        if known is not None:
            return known[0]
        if len(self.rows) >= ROWS_MAX:
            raise AnswerTooLarge(f"more than {ROWS_MAX} rows")
        value, _ = self.rows[key] = self._state.prove(key)
        self._bytes += len(key) + len(value or b"")
        if self._bytes > ROWS_BYTES_MAX:
            raise AnswerTooLarge(f"rows with more than {ROWS_BYTES_MAX} bytes")
        return value

    def scan(
        self, prefix: bytes, *, start: bytes = b"", limit: int
    ) -> Iterator[tuple[bytes, bytes]]:
        del prefix, start, limit
        raise NotProvable("a proven answer reads state by key")


def _behind(prefix: bytes) -> bytes:
    """Return the least key greater than every key that begins with ``prefix``."""
    kept = prefix.rstrip(b"\xff")
    assert kept, "an index prefix is not empty"
    return kept[:-1] + bytes([kept[-1] + 1])
