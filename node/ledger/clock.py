"""Ledger time: alarms that fire in the same block on every node.

An alarm is (time, name, key).  The first block whose time has come fires it before its
transactions, in order of time and then of setting; what the alarm does is the business of the
family that set it.  Time is the block's, never a node's own.  A network without traffic makes
no blocks, so an alarm may fire late; questions compare with block time for themselves.

State: ``clock`` -> ``Clock``; ``clock/<place be64>`` -> ``Due``: a binary heap, so that
setting and firing read and write O(log n) rows and nothing is ever scanned.
Bounded: ``FIRED_PER_BLOCK_MAX``; the rest fires in the next block.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.state import Overlay

CLOCK_KEY: Final = b"clock"
FIRED_PER_BLOCK_MAX: Final = 256
_TIME_MS_MAX: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Clock:
    """How many alarms wait, the number of the next one, and when the first is due."""

    count: int
    next_order: int
    first_ms: int


@dataclass(frozen=True, slots=True)
class Due:
    time_ms: int
    order: int
    name: str
    key: bytes

    @property
    def rank(self) -> tuple[int, int]:
        return self.time_ms, self.order


def _place_key(place: int) -> bytes:
    return CLOCK_KEY + b"/" + place.to_bytes(8, "big")


def _at(view: Overlay, place: int) -> Due:
    due = view.load(Due, _place_key(place))
    assert due is not None, "every place of the heap below its count is taken"
    return due


def waiting(view: Overlay) -> Clock:
    """Return the clock as it stands; one that was never used is empty."""
    return view.load_shared(Clock, CLOCK_KEY) or Clock(0, 0, 0)


def set_alarm(view: Overlay, name: str, key: bytes, *, time_ms: int) -> None:
    """Put an alarm into the heap; times beyond 2^63 ms are never due and are not kept."""
    if time_ms > _TIME_MS_MAX:
        return
    clock = waiting(view)
    due = Due(time_ms, clock.next_order, name, key)
    place = clock.count
    while place:
        above = (place - 1) // 2
        parent = _at(view, above)
        if parent.rank <= due.rank:
            break
        view.save(_place_key(place), parent)
        place = above
    view.save(_place_key(place), due)
    first = due.time_ms if place == 0 else clock.first_ms
    view.save(CLOCK_KEY, Clock(clock.count + 1, clock.next_order + 1, first))


def pop_due(view: Overlay, now_ms: int) -> Due | None:
    """Take the first alarm out if its time has come by ``now_ms``."""
    clock = waiting(view)
    if clock.count == 0 or clock.first_ms > now_ms:
        return None
    first, last = _at(view, 0), _at(view, clock.count - 1)
    count = clock.count - 1
    view.delete(_place_key(count))
    if count:
        _sink(view, last, count)
    first_ms = _at(view, 0).time_ms if count else 0
    view.save(CLOCK_KEY, replace(clock, count=count, first_ms=first_ms))
    return first


def _sink(view: Overlay, due: Due, count: int) -> None:
    """Let ``due`` find its place from the top among ``count``."""
    place = 0
    while (left := 2 * place + 1) < count:
        below, child = left, _at(view, left)
        if left + 1 < count:
            right = _at(view, left + 1)
            if right.rank < child.rank:
                below, child = left + 1, right
        if due.rank <= child.rank:
            break
        view.save(_place_key(place), child)
        place = below
    view.save(_place_key(place), due)
