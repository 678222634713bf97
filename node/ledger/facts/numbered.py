"""Lists in state that grow at the end: a count, and rows numbered from nought.

Complete by construction: whoever has the count's row and the rows' proofs has the whole list.
Rows are appended and never taken away; a list may close one of its rows (an end, a result).

State: ``<name>`` -> ``Count``; ``<name>/<number be32>`` -> the row.  A list that was never
written has no row and is empty.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from node.ledger.asking import PAGE_MAX
from node.ledger.state import Overlay, Read, load_from

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Count:
    count: int


def row_key(name: bytes, number: int) -> bytes:
    return name + b"/" + number.to_bytes(4, "big")


def length(read: Read, name: bytes) -> int:
    found = load_from(read, Count, name)
    return 0 if found is None else found.count


def append(view: Overlay, name: bytes, row: object) -> int:
    """Put ``row`` at the end; return its number."""
    number = length(view.get, name)
    view.save(row_key(name, number), row)
    view.save(name, Count(number + 1))
    return number


def row(read: Read, name: bytes, kind: type[T], number: int) -> T:
    """Return a row below the list's length."""
    found = load_from(read, kind, row_key(name, number))
    assert found is not None, "a list has every row below its length"
    return found


def last(read: Read, name: bytes, kind: type[T]) -> T | None:
    count = length(read, name)
    return row(read, name, kind, count - 1) if count else None


def backwards(read: Read, name: bytes, kind: type[T]) -> Iterator[T]:
    """Yield the rows, the newest first."""
    for number in range(length(read, name) - 1, -1, -1):
        yield row(read, name, kind, number)


def span(count: int, start: int, limit: int) -> tuple[range, int | None]:
    """Return which of ``count`` numbers make the page, and where the next page starts."""
    end = min(count, start + min(max(limit, 1), PAGE_MAX))
    return range(min(start, end), end), end if start < end < count else None


def page(
    read: Read, name: bytes, kind: type[T], *, start: int, limit: int
) -> tuple[tuple[T, ...], int | None]:
    """Return up to ``limit`` rows from number ``start`` on, and where the next page starts."""
    numbers, following = span(length(read, name), start, limit)
    return tuple(row(read, name, kind, number) for number in numbers), following
