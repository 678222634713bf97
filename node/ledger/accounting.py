"""The patient's check that an access log is whole: nothing left out, nothing changed.

A patient holds one proven value, the head of their log (how many events, and the hash that
chains them), and gets the events themselves from anybody.  ``account`` accepts them only if
they are exactly the events behind that head: a log with an event missing, added, moved or
changed in one bit gives another chain, and a chain with the right hash but fewer events has
the wrong count.  To find another log for the same head is to find a collision of SHA-256.

``Handed`` is state of which only some rows were handed out: a question asked over it either
answers as it does over the whole state, or stops at the row that was kept back.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from consensus import wire
from consensus.codec import Malformed
from node.ledger.facts import accesses
from node.ledger.facts.accesses import Event, LogHead
from node.ledger.state import VALUE_BYTES_MAX

Kind = TypeVar("Kind")


class Incomplete(Exception):
    """These rows are not the whole log; ``number`` is the first event that shows it."""

    code = "accounting-incomplete"

    def __init__(self, say: str, *, number: int) -> None:
        super().__init__(say)
        self.number = number


class KeptBack(Exception):
    """A question read a row that was not handed out."""

    code = "accounting-row-kept-back"

    def __init__(self, key: bytes) -> None:
        super().__init__(key.hex())
        self.key = key


def account(head: bytes | None, rows: Sequence[bytes]) -> tuple[Event, ...]:
    """Return the events of a log, given the bytes of its head (None: proven absent) and of its
    events in order.  Raises ``Incomplete`` unless they are exactly the whole log."""
    at_head = LogHead(0, bytes(32)) if head is None else _read(LogHead, head, 0)
    chain = bytes(32)
    events = []
    for number, raw in enumerate(rows):
        event = _read(Event, raw, number)
        if event.number != number:
            raise Incomplete(f"event {number} is missing", number=number)
        chain = accesses.chained(chain, raw)
        events.append(event)
    if len(events) != at_head.count:
        fewest = min(len(events), at_head.count)
        raise Incomplete(f"{len(events)} events, not {at_head.count}", number=fewest)
    if chain != at_head.chain:
        raise Incomplete("an event differs from what was recorded", number=0)
    return tuple(events)


def account_events(head: LogHead, events: Sequence[Event]) -> None:
    """Raise ``Incomplete`` unless these are all the events of the log with this head.

    For who has pages of the answer to ``access.log`` instead of rows: each page tells ``count``
    and ``chain``, which make the head.
    """
    account(wire.encode(head), [wire.encode(event) for event in events])


def _read(kind: type[Kind], raw: bytes, number: int) -> Kind:
    try:
        return wire.decode(kind, raw, size_max=VALUE_BYTES_MAX)
    except Malformed as error:
        raise Incomplete(f"row {number} is no {kind.__name__}", number=number) from error


@dataclass(frozen=True, slots=True)
class Handed:
    """Rows that somebody handed out, each with its value or, proven, without one (None)."""

    rows: Mapping[bytes, bytes | None]
    height: int
    time_ms: int

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a row; raises ``KeptBack`` for one that was not handed out."""
        if key not in self.rows:
            raise KeptBack(key)
        return self.rows[key]

    def scan(
        self,
        prefix: bytes,
        *,
        start: bytes = b"",
        limit: int,  # noqa: ARG002
    ) -> Iterator[tuple[bytes, bytes]]:
        """Raise ``KeptBack``: an index proves nothing about what it leaves out."""
        raise KeptBack(prefix + start)
