"""Frames that no honest member would send, made from frames that honest members sent.

Four depths: bytes (flips, cuts, lies about lengths), values (the MessagePack tree of a frame
with parts changed, emptied, repeated or swapped with parts of others), fields (typed messages
moved next to what the victim expects now, proposals rebuilt so that their digests hold), and
order (true frames, too early, too late and again).  What the liar says in its own name is
signed with its own key, so that it gets past the checks; nobody else's name can be signed.
"""

import copy
import dataclasses
import random
from collections.abc import Callable
from typing import Any, Final

from consensus import codec
from consensus.codec import Malformed
from consensus.effects import Status
from consensus.types import Applied, Proposal
from tests.fuzz.members import FRAME_BYTES_MAX, Fabric, Harvest, block
from tests.sim.ledger import NETWORK

INTEGERS: Final = (0, 1, 2, 127, 128, 1 << 31, (1 << 62) - 1, 1 << 62, (1 << 63) - 1, 1 << 63,
                   (1 << 64) - 1)  # fmt: skip
TREES_MAX: Final = 600
PLACES_MAX: Final = 4000
AUTHORS: Final = frozenset({"signer", "sender", "candidate"})
ROUNDS: Final = frozenset({"view", "term", "round", "last_term", "prev_term"})
HEIGHTS: Final = frozenset(
    {"height", "index", "commit", "start", "last_index", "match", "prev_index"}
)

Frame = tuple[str, bytes]  # who brings it, and its bytes


class Mutator:
    """Makes frames for one victim; everything it does follows from ``rng``."""

    def __init__(self, harvest: Harvest, rng: random.Random, *, victim: str, liar: str) -> None:
        self._fabric: Fabric = harvest.fabric
        self._rng = rng
        self._victim, self._liar = victim, liar
        self._frames = harvest.frames
        self._kinds = sorted(harvest.frames)
        self._parts: list[Any] = []
        self._past: list[Frame] = []
        self._expects: tuple[int, int, bytes] = (0, 0, NETWORK)
        self._depths: tuple[tuple[float, Callable[[Frame], bytes]], ...] = (
            (0.12, self._bytes),
            (0.40, self._values),
            (0.88, self._fields),
            (1.00, lambda frame: frame[1]),
        )

    def meet(self, status: Status, applied: Applied) -> None:
        """Learn where the victim stands: what is close to that goes deepest."""
        self._expects = (status.round, applied.height, applied.digest)

    def frame(self) -> Frame:
        """Return the next frame, and who brings it to the victim."""
        rng = self._rng
        source = rng.choice(self._frames[rng.choice(self._kinds)])
        if self._past and rng.random() < 0.05:
            return rng.choice(self._past)
        dice = rng.random()
        make = next(make for share, make in self._depths if dice < share)
        raw = make(source)
        sender = source[0]
        if sender == self._victim or (make == self._fields and rng.random() < 0.95):
            sender = self._liar
        if len(self._past) < 64:
            self._past.append((sender, raw))
        else:
            self._past[rng.randrange(64)] = (sender, raw)
        return sender, raw

    # --- bytes ----------------------------------------------------------------------------

    def _bytes(self, frame: Frame) -> bytes:
        rng, raw = self._rng, bytearray(frame[1])
        how = rng.randrange(7)
        if how == 0:
            for _ in range(rng.choice((1, 1, 2, 8))):
                raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        elif how == 1:
            del raw[rng.randrange(len(raw)) :]
        elif how == 2:
            raw += rng.randbytes(rng.randrange(1, 40))
        elif how == 3:  # a header that promises far more than there is
            place = rng.randrange(len(raw))
            raw[place : place + 1] = rng.choice((b"\xdd", b"\xc6", b"\xdb", b"\xdf")) + (
                rng.choice((1 << 16, (1 << 32) - 1)).to_bytes(4, "big")
            )
        elif how == 4:
            raw = bytearray(b"\x91" * rng.choice((15, 17, 600, 5000)) + raw)
        elif how == 5:
            raw = bytearray(rng.randbytes(rng.choice((0, 1, 7, 60, 900))))
        else:
            other = rng.choice(self._frames[rng.choice(self._kinds)])[1]
            raw[rng.randrange(len(raw)) :] = other[rng.randrange(len(other)) :]
        return bytes(raw)

    # --- values ---------------------------------------------------------------------------

    def _values(self, frame: Frame) -> bytes:
        tree = codec.decode(frame[1], size_max=FRAME_BYTES_MAX)
        try:
            for _ in range(self._rng.choice((1, 1, 1, 2, 4))):
                tree = self._bend(tree)
            raw = codec.encode(tree)
            if len(raw) > FRAME_BYTES_MAX:
                return raw[:FRAME_BYTES_MAX]
            message = self._fabric.dialect.decode(raw, size_max=FRAME_BYTES_MAX)
        except Malformed:
            return _encoded(tree, frame[1])
        return self._fabric.dialect.encode(self._sign(message))

    def _bend(self, tree: Any) -> Any:
        """Change one part of ``tree``, chosen evenly among its first thousands of parts."""
        places: list[tuple[list[Any], int]] = []
        pending = [tree] if isinstance(tree, list) else []
        while pending and len(places) < PLACES_MAX:
            items = pending.pop()
            places += [(items, at) for at in range(len(items))]
            pending += [item for item in items if isinstance(item, list)]
        if not places:
            return self._value(tree)
        items, at = self._rng.choice(places)
        self._remember(items[at])
        items[at] = self._value(items[at])
        return tree

    def _remember(self, part: Any) -> None:
        """Keep a copy: a tree that holds itself would never end."""
        if isinstance(part, list):
            part = codec.decode(codec.encode(part), size_max=FRAME_BYTES_MAX)
        if len(self._parts) < TREES_MAX:
            self._parts.append(part)
        else:
            self._parts[self._rng.randrange(TREES_MAX)] = part

    def _value(self, old: Any) -> Any:
        rng = self._rng
        if rng.random() < 0.25:
            some = rng.sample(self._parts, min(8, len(self._parts)))
            same = [part for part in some if type(part) is type(old)]
            if same or (some and rng.random() < 0.2):
                return copy.deepcopy(rng.choice(same or some))
        if isinstance(old, bool) or old is None:
            return rng.choice((True, False, None, 0))
        if isinstance(old, int):
            return rng.choice((rng.choice(INTEGERS), max(0, old - 1), old + 1, old ^ 1, -old))
        if isinstance(old, bytes):
            return self._octets(old)
        if isinstance(old, str):
            return rng.choice(
                (*self._fabric.ids, self._liar, "", "stranger", "m" * 64, "\ud800")
            )
        return self._list(old)

    def _octets(self, old: bytes) -> bytes:
        rng = self._rng
        how = rng.randrange(5)
        if how == 0 and old:
            at = rng.randrange(len(old))
            return old[:at] + bytes((old[at] ^ (1 << rng.randrange(8)),)) + old[at + 1 :]
        if how == 1:
            return old[: rng.randrange(len(old) + 1)]
        if how == 2:
            return old + rng.randbytes(rng.choice((1, 32, 2000)))
        return rng.choice((b"", rng.randbytes(len(old)), bytes(len(old)), self._expects[2]))

    def _list(self, old: list[Any]) -> list[Any]:
        rng = self._rng
        how = rng.randrange(6)
        if not old or how == 0:
            return []
        if how == 1:
            at = rng.randrange(len(old))
            return old[:at] + old[at + 1 :]
        if how == 2:
            at = rng.randrange(len(old))
            return old[: at + 1] * 2 + old[at + 1 :]
        if how == 3:
            return copy.deepcopy(old) * rng.choice((2, 9, 70))
        if how == 4:
            return old[::-1]
        return [*old, copy.deepcopy(rng.choice(self._parts)) if self._parts else 0]

    # --- fields ---------------------------------------------------------------------------

    def _fields(self, frame: Frame) -> bytes:
        dialect = self._fabric.dialect
        message = dialect.decode(frame[1], size_max=FRAME_BYTES_MAX)
        try:
            moved = self._move(message)
            for _ in range(self._rng.choice((0, 0, 1, 2))):
                moved = self._change(moved)
            return dialect.encode(self._sign(moved))
        except (ValueError, Malformed):
            return frame[1]  # the record's own limits forbid it

    def _move(self, message: Any) -> Any:
        """Put the message into the victim's present and the liar's mouth."""
        rng, (at_round, height, tip) = self._rng, self._expects
        new: dict[str, Any] = {}
        for field in dataclasses.fields(message):
            old = getattr(message, field.name)
            if field.name in AUTHORS and rng.random() < 0.85:
                new[field.name] = self._liar
            elif field.name in ROUNDS and rng.random() < 0.7:
                new[field.name] = max(
                    0, at_round + rng.choice((-1, 0, 0, 0, 0, 1, 1, 2, 4, 40))
                )
            elif field.name in HEIGHTS and rng.random() < 0.7:
                new[field.name] = max(0, height + rng.choice((-1, 0, 1, 1, 1, 2, 3, 9, 300)))
            elif isinstance(old, Proposal) and rng.random() < 0.8:
                new[field.name] = self._proposal(old, height + 1, tip)
            elif _is_chain(old) and rng.random() < 0.6:
                new[field.name] = self._chain(len(old), height + rng.choice((0, 1, 1, 2)), tip)
        return dataclasses.replace(message, **new)

    def _proposal(self, old: Proposal, height: int, tip: bytes) -> Proposal:
        rng = self._rng
        how = rng.randrange(6)
        if how == 0:
            return old
        at = max(1, height + rng.choice((0, 0, 0, 0, 1, 2, -1)))
        parent = tip if rng.random() < 0.7 else rng.choice((old.digest, old.parent, bytes(32)))
        note = rng.choice((b"one", b"two", rng.randbytes(8)))
        return block(at, parent, note, barrier=rng.random() < 0.1)

    def _chain(self, length: int, start: int, tip: bytes) -> tuple[Proposal, ...]:
        made: list[Proposal] = []
        for at in range(max(1, start), max(1, start) + length):
            made.append(self._proposal(block(at, tip, b"old"), at, tip))
            tip = made[-1].digest
        return tuple(made)

    def _change(self, message: Any) -> Any:
        """Change one field by its type, at any depth of the typed message."""
        rng = self._rng
        field = rng.choice(dataclasses.fields(message))
        old = getattr(message, field.name)
        new: Any
        if dataclasses.is_dataclass(old) and not isinstance(old, Proposal):
            new = self._change(old)
        elif isinstance(old, tuple):
            new = self._tuple(old)
        elif isinstance(old, bool):
            new = not old
        elif isinstance(old, int):
            new = rng.choice((rng.choice(INTEGERS), old + 1, max(0, old - 1)))
        elif isinstance(old, bytes):
            new = self._octets(old)
        elif isinstance(old, str):
            new = rng.choice((*self._fabric.ids, self._liar))
        else:
            return message
        return dataclasses.replace(message, **{field.name: new})

    def _tuple(self, old: tuple[Any, ...]) -> tuple[Any, ...]:
        rng = self._rng
        how = rng.randrange(6)
        if not old or how == 0:
            return ()
        at = rng.randrange(len(old))
        if how == 1:
            return old[:at] + old[at + 1 :]
        if how == 2:
            return (*old[: at + 1], *old[at:])
        if how == 3:
            return old[::-1]
        if how == 4 or not dataclasses.is_dataclass(old[at]):
            return old * rng.choice((2, 5))
        part = old[at]
        if isinstance(part, Proposal):
            bent: Any = self._proposal(part, part.height, part.parent)
        else:
            bent = self._change(part)
        return (*old[:at], bent, *old[at + 1 :])

    # --- signatures -----------------------------------------------------------------------

    def _sign(self, message: Any) -> Any:
        """Sign all that stands in ``message`` in the liar's name, from the inside out."""
        if not dataclasses.is_dataclass(message) or isinstance(message, type):
            return message
        inner = {}
        for field in dataclasses.fields(message):
            value = getattr(message, field.name)
            if isinstance(value, tuple) and value and hasattr(value[0], "signer"):
                inner[field.name] = tuple(self._sign(item) for item in value)
        if inner:
            message = dataclasses.replace(message, **inner)
        if getattr(message, "signer", None) != self._liar:
            return message
        stated = self._fabric.dialect.statement(message, NETWORK)
        if stated is None or stated.signed is None or self._rng.random() < 0.02:
            return message
        signature = self._fabric.keys.sign(self._liar, stated.signed)
        return self._fabric.dialect.with_signature(message, signature)


def _encoded(tree: Any, otherwise: bytes) -> bytes:
    try:
        return codec.encode(tree)
    except Malformed:
        return otherwise


def _is_chain(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], Proposal)
