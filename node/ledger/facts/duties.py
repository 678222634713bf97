"""What an institution still has to answer, by when: a list that can be read whole, and proven.

A *duty* is opened with a deadline on ledger time and closed when it is done.  When its time
passes first, an alarm marks it in the same block on every node; it stays open.  The list of an
institution is dense: ``count`` places, and closing one moves the last into its place.  So the
count and the places below it are complete at any height, and nothing is ever scanned.
Bounded: each operation opens at most one duty, and opens, moves or closes O(1) rows.

State: ``access-duties/<org>`` -> ``DutyCount``; ``access-duties/<org>/<place be64>`` ->
``DutyRow``; ``access-duty/<kind>/<rid><part be32>`` -> ``DutyPlace``.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.rules import Moment
from node.ledger.state import Overlay, Read, load_from

DECIDE: Final = "decide"
ACKNOWLEDGE: Final = "acknowledge"
REVIEW: Final = "review"
ALARM_OF: Final = {
    DECIDE: "access.undecided",
    ACKNOWLEDGE: "access.unacknowledged",
    REVIEW: "access.unreviewed",
}


@dataclass(frozen=True, slots=True)
class DutyRow:
    """``org`` owes ``kind`` for the access ``rid``; ``part`` numbers the release."""

    kind: str  # decide, acknowledge, review
    rid: bytes
    part: int
    org: str
    since_ms: int
    due_ms: int
    overdue: bool  # marked by the clock

    @property
    def id(self) -> bytes:
        return duty_id(self.kind, self.rid, self.part)


@dataclass(frozen=True, slots=True)
class DutyCount:
    count: int


@dataclass(frozen=True, slots=True)
class DutyPlace:
    org: str
    place: int


def duty_id(kind: str, rid: bytes, part: int) -> bytes:
    return kind.encode("ascii") + b"/" + rid + part.to_bytes(4, "big")


def count_key(org: str) -> bytes:
    return b"access-duties/" + org.encode("ascii")


def row_key(org: str, place: int) -> bytes:
    return count_key(org) + b"/" + place.to_bytes(8, "big")


def place_key(duty: bytes) -> bytes:
    return b"access-duty/" + duty


def count_of(read: Read, org: str) -> int:
    row = load_from(read, DutyCount, count_key(org))
    return 0 if row is None else row.count


def duty_at(read: Read, org: str, place: int) -> DutyRow:
    found = load_from(read, DutyRow, row_key(org, place))
    assert found is not None, "places below the count are all taken"
    return found


def find(read: Read, duty: bytes) -> tuple[DutyPlace, DutyRow] | None:
    """Return an open duty and where it stands; None once it is done."""
    place = load_from(read, DutyPlace, place_key(duty))
    return None if place is None else (place, duty_at(read, place.org, place.place))


def _put(view: Overlay, place: int, duty: DutyRow) -> None:
    view.save(row_key(duty.org, place), duty)
    view.save(place_key(duty.id), DutyPlace(duty.org, place))


def begin(moment: Moment, duty: DutyRow) -> None:
    """Open ``duty``; the alarm of its kind fires for it once its time has passed."""
    count = count_of(moment.view.get, duty.org)
    _put(moment.view, count, duty)
    moment.view.save(count_key(duty.org), DutyCount(count + 1))
    moment.alarm(ALARM_OF[duty.kind], duty.id, time_ms=duty.due_ms)


def done(view: Overlay, duty: bytes) -> None:
    """Close a duty, which is open: what was done already is refused before it comes here."""
    found = find(view.get, duty)
    assert found is not None, "a duty is open until it is done"
    at, _ = found
    last = count_of(view.get, at.org) - 1
    if at.place != last:
        _put(view, at.place, duty_at(view.get, at.org, last))
    view.delete(row_key(at.org, last))
    view.delete(place_key(duty))
    view.save(count_key(at.org), DutyCount(last))


def mark_overdue(view: Overlay, duty: bytes) -> DutyRow | None:
    """Mark a duty whose time has passed and return it; None if it was done in time."""
    found = find(view.get, duty)
    if found is None:
        return None
    at, row = found
    marked = replace(row, overdue=True)
    view.save(row_key(at.org, at.place), marked)
    return marked
