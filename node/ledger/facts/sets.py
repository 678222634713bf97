"""Sets in state: what is open just now, complete and provable without reading all history.

Entering and leaving write a few rows whatever the size: the last member moves into the gap, so
no order is promised.  Whoever reads the count and the places by key knows that nothing was
left out.  Lists that only grow are ``facts.numbered``; a set is one that can shrink.

State: ``<name>`` -> ``numbered.Count``; ``<name>/<place be32>`` -> ``Member``;
``<name>@<item>`` -> ``Place``.
"""

from dataclasses import dataclass

from node.ledger.facts import numbered
from node.ledger.state import Overlay, Read


@dataclass(frozen=True, slots=True)
class Member:
    item: bytes


@dataclass(frozen=True, slots=True)
class Place:
    place: int


def _mark(name: bytes, item: bytes) -> bytes:
    return name + b"@" + item


def enter(view: Overlay, name: bytes, item: bytes) -> None:
    """Put ``item`` into a set; one that is there stays as it is."""
    if view.get(_mark(name, item)) is not None:
        return
    view.save(_mark(name, item), Place(numbered.append(view, name, Member(item))))


def leave(view: Overlay, name: bytes, item: bytes) -> None:
    """Take ``item`` out of a set; one that is not there is no fault."""
    found = view.load(Place, _mark(name, item))
    if found is None:
        return
    last = numbered.length(view.get, name) - 1
    if found.place != last:
        moved = numbered.row(view.get, name, Member, last)
        view.save(numbered.row_key(name, found.place), moved)
        view.save(_mark(name, moved.item), found)
    view.delete(numbered.row_key(name, last))
    view.delete(_mark(name, item))
    view.save(name, numbered.Count(last))


def members(
    read: Read, name: bytes, *, start: int, limit: int
) -> tuple[tuple[bytes, ...], int | None]:
    """Return up to ``limit`` members from place ``start`` on, and where the next page is."""
    found, following = numbered.page(read, name, Member, start=start, limit=limit)
    return tuple(member.item for member in found), following
