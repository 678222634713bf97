"""Lists in state that also lose items: whatever is in a bag is found, and nothing else is.

The last item moves into the gap of one that is taken out, so the order says nothing; adding,
removing and reading touch a fixed number of rows.  Complete under proof as numbered lists are,
whose count and rows a bag shares (``node.ledger.facts.numbered``); rows are bare bytes.

State: ``<name>`` -> ``Count``; ``<name>/<number be32>`` -> item; ``<name>@<item>`` ->
``Place``.
"""

from dataclasses import dataclass

from node.ledger.facts.numbered import Count, length, row_key
from node.ledger.state import Overlay, Read


@dataclass(frozen=True, slots=True)
class Place:
    place: int


def _place_key(name: bytes, item: bytes) -> bytes:
    return name + b"@" + item


def put_in(view: Overlay, name: bytes, item: bytes) -> None:
    """Put an item that is not in it into a bag."""
    place = length(view.get, name)
    view.put(row_key(name, place), item)
    view.save(_place_key(name, item), Place(place))
    view.save(name, Count(place + 1))


def take_out(view: Overlay, name: bytes, item: bytes) -> None:
    """Take an item that is in it out of a bag."""
    found = view.load(Place, _place_key(name, item))
    assert found is not None, "only what is in a bag is taken out"
    last_place = length(view.get, name) - 1
    last = item_at(view.get, name, last_place)
    if last != item:
        view.put(row_key(name, found.place), last)
        view.save(_place_key(name, last), found)
    view.delete(row_key(name, last_place))
    view.delete(_place_key(name, item))
    view.save(name, Count(last_place))


def item_at(read: Read, name: bytes, place: int) -> bytes:
    """Return the item at a place below the bag's length."""
    item = read(row_key(name, place))
    assert item is not None, "a bag has every place below its length"
    return item
