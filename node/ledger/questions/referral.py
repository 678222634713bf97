"""Questions about referrals: what waits, what is overdue, one story, how many loops closed.

All read rows by key: complete, and provable.  What is open is a set of its own, so that nobody
reads through years of closed referrals to find it.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts import numbered, sets
from node.ledger.facts import referrals as rows
from node.ledger.facts.referrals import Counts, EventRow, ReferralName, ReferralRow
from node.ledger.facts.words import known as one_of
from node.ledger.facts.words import sized

WHICH: Final = ("all", "open", "overdue")


@dataclass(frozen=True, slots=True)
class OfOrg:
    """``side``: received or sent; ``which``: open (accepted or not yet), overdue (open, and the
    deadline is past), or all there ever were."""

    org: str
    side: str = rows.RECEIVED
    which: str = "open"
    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        one_of(self.side, rows.SIDES, "side")
        one_of(self.which, WHICH, "which")


@dataclass(frozen=True, slots=True)
class Worklist:
    """``open``: how many are open; ``next`` counts places of the list that was read, not the
    referrals that were kept."""

    referrals: tuple[ReferralRow, ...]
    open: int
    next: int | None


def _worklist(facts: Facts, asked: OfOrg) -> Worklist:
    opened = rows.open_name(asked.side, asked.org)
    if asked.which == "all":
        names, after = numbered.page(
            facts.get,
            rows.list_name(asked.side, asked.org),
            ReferralName,
            start=asked.start,
            limit=asked.limit,
        )
        handles = tuple(item.referral for item in names)
    else:
        handles, after = sets.members(facts.get, opened, start=asked.start, limit=asked.limit)
    found = tuple(_row(facts, handle) for handle in handles)
    if asked.which == "overdue":
        found = tuple(row for row in found if row.deadline_ms <= facts.time_ms)
    return Worklist(found, numbered.length(facts.get, opened), after)


def _row(facts: Facts, referral: bytes) -> ReferralRow:
    row = rows.referral_of(facts.get, referral)
    assert row is not None, "a listed referral has its row"
    return row


@dataclass(frozen=True, slots=True)
class One:
    referral: bytes

    def __post_init__(self) -> None:
        sized(self.referral, 32, "referral")


@dataclass(frozen=True, slots=True)
class Story:
    """How it stands, and everything that happened to it in order; ``overdue``: not closed by
    its deadline, by the clock of the newest block or when it was closed."""

    known: bool
    overdue: bool
    referral: ReferralRow | None
    events: tuple[EventRow, ...]


def _story(facts: Facts, asked: One) -> Story:
    row = rows.referral_of(facts.get, asked.referral)
    if row is None:
        return Story(known=False, overdue=False, referral=None, events=())
    name = rows.events_name(asked.referral)
    events, _ = numbered.page(facts.get, name, EventRow, start=0, limit=10)
    until_ms = facts.time_ms if row.closed_ms is None else row.closed_ms
    return Story(known=True, overdue=until_ms >= row.deadline_ms, referral=row, events=events)


@dataclass(frozen=True, slots=True)
class Institution:
    org: str


@dataclass(frozen=True, slots=True)
class Closure:
    """How loops closed on both sides; what is neither declined, completed nor cancelled is
    open."""

    received: Counts
    received_open: int
    sent: Counts
    sent_open: int


def _closure(facts: Facts, asked: Institution) -> Closure:
    return Closure(
        rows.counts_of(facts.get, rows.RECEIVED, asked.org),
        numbered.length(facts.get, rows.open_name(rows.RECEIVED, asked.org)),
        rows.counts_of(facts.get, rows.SENT, asked.org),
        numbered.length(facts.get, rows.open_name(rows.SENT, asked.org)),
    )


QUESTIONS: Final = (
    Question(
        "referral.worklist",
        OfOrg,
        Worklist,
        _worklist,
        "Which referrals of an institution are open, and which are overdue?",
    ),
    Question("referral.story", One, Story, _story, "What became of a referral?"),
    Question(
        "referral.closure",
        Institution,
        Closure,
        _closure,
        "How many referrals of an institution were closed, and how?",
    ),
)
