"""What a question is made of: what it may read, how it is asked, what it answers.

A question is a pure function of state.  One that reads state by key only is *provable*: a node
answers it with the rows it read and their proofs, and anyone can ask it again over those rows
alone, offline, and must come to the same answer (``node.ledger.answers``).  So lists that must
be complete are kept in state, numbered and counted; look-ups by ``scan`` are for convenience.
Questions do not raise: what is not there is answered as such.
"""

import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, Final, Protocol, TypeVar

from consensus import wire
from consensus.codec import Malformed

T = TypeVar("T")
PAGE_MAX: Final = 1000


class NotProvable(Exception):
    """A question looked something up in the index, which no state root covers."""

    code = "answer-not-provable"


class Facts(Protocol):
    """What a question may read: the ledger as it stood after one block."""

    @property
    def height(self) -> int: ...

    @property
    def time_ms(self) -> int:
        """The time of that block."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """Return the state under ``key``."""
        ...

    def scan(
        self, prefix: bytes, *, start: bytes = b"", limit: int
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield up to ``limit`` index rows under ``prefix`` in order, from ``prefix + start``
        on; raises ``NotProvable`` where only proven rows may be read."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """``params`` is a flat record (bytes, int, str, bool, optional, tuples of those);
    ``answer`` any record that ``consensus.wire`` carries; ``say`` how a person asks it."""

    name: str  # family.word
    params: type
    answer: type
    ask: Callable[[Facts, Any], Any]
    say: str
    provable: bool = True


def read_params(kind: type[T], given: Mapping[str, str]) -> T:
    """Return parameters that came as text: hexadecimal, decimal, true or false, comma lists.

    Raises ``Malformed`` and names the parameter.
    """
    hints = typing.get_type_hints(kind)
    names = [field.name for field in fields(typing.cast(Any, kind))]
    plain = {}
    for name, text in given.items():
        if name not in names:
            raise Malformed("no parameter of that name")
        try:
            plain[name] = _plain(hints[name], text)
        except ValueError as error:
            raise Malformed(f"{name}: {error}") from error
    return typing.cast(T, wire.from_plain(kind, plain))


def inner_kind(kind: Any) -> Any:
    """Return what an optional or a NewType is about."""
    while isinstance(kind, typing.NewType):
        kind = kind.__supertype__
    if typing.get_origin(kind) in (typing.Union, UnionType):
        (kind,) = [item for item in typing.get_args(kind) if item is not type(None)]
    return kind


def _plain(kind: Any, text: str) -> Any:
    kind = inner_kind(kind)
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        return [_plain(item, part) for part in text.split(",")] if text else []
    if kind is int:
        if not (text.isascii() and text.isdigit() and len(text) <= 20):
            raise ValueError("expected a whole number")
        return int(text)
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError("expected true or false")
        return text == "true"
    return text
