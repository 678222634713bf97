"""SignGuard: a member never puts its name to two different things in one slot.

Sits beside the key, outside the engines, so that neither an engine bug nor a restart can make
the member equivocate (CometBFT's privval check, generalised).  A slot is
``(kind, epoch, round, height)``.  The record of a statement is written in the same synced batch
as the engine's records, before the signature is made; Ed25519 is deterministic, so repeating
an admitted statement gives the same bytes.

Statements about heights (prepare, commit, suspect) are kept above the floor; ``prune(height)``
moves the floor up and what lies at or below it is refused from then on.  Of the other kinds
(vote, view-change, new-view) the newest round is kept and older rounds are refused.  After a
view change to v is stated, prepares and commits in views below v are refused.
Beside the slots stands the mark of the newest synced turn (``consensus.mark``), by which a
start notices that this memory is older than what was signed.
Memory: slots above the floor and one slot for each other kind.
"""

from collections.abc import Iterable
from typing import Final

from consensus import codec, wire
from consensus.mark import NOTHING, Mark
from consensus.types import Delete, Proposal, Put, Record, Statement

PREFIX: Final = b"guard/"
_FLOOR_KEY: Final = PREFIX + b"floor"
_ROUND_KEY: Final = PREFIX + b"round"
MARK_KEY: Final = PREFIX + b"mark"
_SLOT_PREFIX: Final = PREFIX + b"slot/"
_MARK_BYTES_MAX: Final = 256
_HEIGHT_BOUND: Final = frozenset({"prepare", "commit", "suspect"})


class GuardRefused(Exception):
    """Signing would equivocate.  The node must stop: this is our bug or a cloned key."""

    code = "sign-guard-refused"


def decode_mark(raw: bytes) -> Mark:
    """Return the mark in a record under ``MARK_KEY``; raises ``Malformed``."""
    return wire.decode(Mark, raw, size_max=_MARK_BYTES_MAX)


def _slot_key(statement: Statement) -> bytes:
    slot = [statement.kind, statement.epoch, statement.round, statement.height]
    return _SLOT_PREFIX + codec.encode_typed(slot)


class SignGuard:
    """Load with every stored pair under ``PREFIX``; admit before signing."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._slots: dict[bytes, bytes] = {}
        self._heights: dict[bytes, int] = {}
        self._newest: dict[str, tuple[tuple[int, int], bytes]] = {}
        self._floor = 0
        self._round_min = (0, 0)
        self._mark = NOTHING
        for key, value in pairs:
            self._load(key, value)

    def _load(self, key: bytes, value: bytes) -> None:
        if key == _FLOOR_KEY:
            self._floor = int(codec.decode(value, size_max=16))
        elif key == _ROUND_KEY:
            epoch, view = codec.decode(value, size_max=32)
            self._round_min = (int(epoch), int(view))
        elif key == MARK_KEY:
            self._mark = decode_mark(value)
        elif key.startswith(_SLOT_PREFIX):
            kind, epoch, at, height = codec.decode(key[len(_SLOT_PREFIX) :], size_max=128)
            self._slots[key] = value
            if kind in _HEIGHT_BOUND:
                self._heights[key] = int(height)
            else:
                self._newest[kind] = ((int(epoch), int(at)), key)

    def admit(self, statement: Statement) -> tuple[Record, ...]:
        """Return the records to make durable before signing (empty when already recorded).

        Raises ``GuardRefused`` when the slot holds another digest or lies in the past.
        """
        key = _slot_key(statement)
        known = self._slots.get(key)
        if known is not None:
            if known != statement.digest:
                raise GuardRefused(
                    f"{statement.kind} of round {statement.round} already signed"
                )
            return ()
        self._refuse_the_past(statement)
        records: list[Record] = [Put(key, statement.digest)]
        self._slots[key] = statement.digest
        if statement.kind in _HEIGHT_BOUND:
            self._heights[key] = statement.height
            return tuple(records)
        at = (statement.epoch, statement.round)
        older = self._newest.get(statement.kind)
        if older is not None:
            del self._slots[older[1]]
            records.append(Delete(older[1]))
        self._newest[statement.kind] = (at, key)
        if statement.kind == "view-change":
            self._round_min = max(self._round_min, at)
            records.append(Put(_ROUND_KEY, codec.encode(list(self._round_min))))
        return tuple(records)

    @property
    def mark(self) -> Mark:
        """How far the promises in these records have come."""
        return self._mark

    def advance(
        self, statements: Iterable[Statement], bodies: Iterable[Proposal]
    ) -> tuple[Mark, Record]:
        """Return the mark of a synced turn, and its record for the turn's own batch."""
        self._mark = self._mark.after(statements, bodies)
        return self._mark, Put(MARK_KEY, wire.encode(self._mark))

    def _refuse_the_past(self, statement: Statement) -> None:
        at = (statement.epoch, statement.round)
        if statement.kind in _HEIGHT_BOUND:
            if statement.height <= self._floor:
                raise GuardRefused(f"{statement.kind} at height {statement.height} is pruned")
            if statement.kind != "suspect" and at < self._round_min:
                raise GuardRefused(f"{statement.kind} in round {statement.round} was left")
            return
        newest = self._newest.get(statement.kind)
        if newest is not None and at <= newest[0]:
            raise GuardRefused(f"{statement.kind} of round {statement.round}: newer one signed")

    def prune(self, height: int) -> tuple[Record, ...]:
        """Forget prepares and commits at or below ``height``; the floor only rises."""
        if height <= self._floor:
            return ()
        self._floor = height
        dropped = [key for key, at in self._heights.items() if at <= height]
        for key in dropped:
            del self._slots[key], self._heights[key]
        return (*(Delete(key) for key in dropped), Put(_FLOOR_KEY, codec.encode(height)))
