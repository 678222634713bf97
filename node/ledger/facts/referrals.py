"""Referrals in state: how each stands, what happened to it, and lists by institution.

A *side* is ``sent`` or ``received``: every referral has its place on both.

State: ``referral/<referral>`` -> ``ReferralRow``; ``referral-event/<referral>``, a numbered
list of ``EventRow``; for each side and institution the numbered list
``referral-<side>/<org>`` of ``ReferralName``, the set ``referral-open-<side>/<org>`` and
``referral-count-<side>/<org>`` -> ``Counts``.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import numbered, sets
from node.ledger.state import Overlay, Read, load_from

SENT: Final = "sent"
RECEIVED: Final = "received"
SIDES: Final = (RECEIVED, SENT)
OPEN: Final = "open"
ACCEPTED: Final = "accepted"
DECLINED: Final = "declined"
COMPLETED: Final = "completed"
CANCELLED: Final = "cancelled"


@dataclass(frozen=True, slots=True)
class ReferralRow:
    """``request``: commitment to the ServiceRequest.  ``record`` (with ``root``, an item of
    that batch) is what completed it.  ``overdue_ms``: block time at which its deadline ran
    out while it was open."""

    referral: bytes
    sender: str
    to: str
    request: bytes
    priority: str
    opened_height: int
    opened_ms: int
    deadline_ms: int
    status: str  # open, accepted, declined, completed, cancelled
    overdue_ms: int | None = None
    record: bytes | None = None
    root: bytes | None = None
    reason: str | None = None  # why it was declined or cancelled
    closed_ms: int | None = None

    @property
    def closed(self) -> bool:
        return self.status not in (OPEN, ACCEPTED)

    def of(self, side: str) -> str:
        """Return the institution on one side."""
        return self.sender if side == SENT else self.to


@dataclass(frozen=True, slots=True)
class EventRow:
    """``what``: the new status, or overdue; ``org``: who said so, None for the clock."""

    what: str
    org: str | None
    txid: bytes | None
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class ReferralName:
    referral: bytes


@dataclass(frozen=True, slots=True)
class Counts:
    """How referrals of one side went.  ``overdue``: those whose deadline ran out, closed since
    or not; ``accepted``: that ever were."""

    opened: int = 0
    accepted: int = 0
    declined: int = 0
    completed: int = 0
    cancelled: int = 0
    overdue: int = 0


def referral_key(referral: bytes) -> bytes:
    return b"referral/" + referral


def events_name(referral: bytes) -> bytes:
    return b"referral-event/" + referral


def list_name(side: str, org: str) -> bytes:
    return f"referral-{side}/{org}".encode()


def open_name(side: str, org: str) -> bytes:
    return f"referral-open-{side}/{org}".encode()


def counts_key(side: str, org: str) -> bytes:
    return f"referral-count-{side}/{org}".encode()


def referral_of(read: Read, referral: bytes) -> ReferralRow | None:
    return load_from(read, ReferralRow, referral_key(referral))


def counts_of(read: Read, side: str, org: str) -> Counts:
    return load_from(read, Counts, counts_key(side, org)) or Counts()


def keep(view: Overlay, row: ReferralRow, event: EventRow, word: str) -> None:
    """Write how a referral stands after ``event``; ``word`` is what it counts as."""
    view.save(referral_key(row.referral), row)
    numbered.append(view, events_name(row.referral), event)
    for side in SIDES:
        org = row.of(side)
        counts = counts_of(view.get, side, org)
        view.save(counts_key(side, org), replace(counts, **{word: getattr(counts, word) + 1}))
        if word == "opened":
            numbered.append(view, list_name(side, org), ReferralName(row.referral))
            sets.enter(view, open_name(side, org), row.referral)
        elif row.closed:
            sets.leave(view, open_name(side, org), row.referral)
