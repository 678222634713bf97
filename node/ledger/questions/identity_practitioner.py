"""Questions about licences: valid now, at a time, at a height; every change of status."""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts import numbered, people
from node.ledger.facts.people import ACTIVE, LicenceChange, PractitionerRow
from node.ledger.facts.words import sized


@dataclass(frozen=True, slots=True)
class Validity:
    """``at_ms`` or ``at_height``; neither for now."""

    licence: bytes
    at_ms: int | None = None
    at_height: int | None = None

    def __post_init__(self) -> None:
        sized(self.licence, 32, "licence")
        if self.at_ms is not None and self.at_height is not None:
            raise ValueError("ask about a time or a height, not both")


@dataclass(frozen=True, slots=True)
class Licence:
    """``status`` is the one at the time or height asked for: none before it was issued, else
    pending, active, suspended, ended or expired; ``by`` gave it that status, ``since_ms`` is
    when.  Validity at a time is by what the ledger says now about that time."""

    known: bool
    valid: bool
    status: str = "none"
    by: str | None = None
    since_ms: int = 0
    profession: str | None = None
    issuer: str | None = None
    from_ms: int = 0
    until_ms: int = 0
    issued_height: int = 0


@dataclass(frozen=True, slots=True)
class History:
    licence: bytes
    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        sized(self.licence, 32, "licence")


@dataclass(frozen=True, slots=True)
class Changes:
    changes: tuple[LicenceChange, ...]
    next: int | None


def _change_at(facts: Facts, asked: Validity) -> LicenceChange | None:
    """Return the last change at or before the time or height asked for."""
    name = people.licence_changes(asked.licence)
    for change in numbered.backwards(facts.get, name, LicenceChange):
        if asked.at_ms is not None and change.time_ms > asked.at_ms:
            continue
        if asked.at_height is not None and change.height > asked.at_height:
            continue
        return change
    return None


def _status(row: PractitionerRow, change: LicenceChange, asked: Validity, now_ms: int) -> str:
    """Return how it stood; by a clock that has run out, even if no block has come since."""
    if asked.at_height is not None:
        return change.status
    at_ms = now_ms if asked.at_ms is None else asked.at_ms
    if change.status not in (people.PENDING, ACTIVE):
        return change.status
    if at_ms < row.from_ms:
        return people.PENDING
    return ACTIVE if at_ms < row.until_ms else people.EXPIRED


def _valid(facts: Facts, asked: Validity) -> Licence:
    row = people.practitioner(facts.get, asked.licence)
    if row is None:
        return Licence(known=False, valid=False)
    change = _change_at(facts, asked)
    status = "none" if change is None else _status(row, change, asked, facts.time_ms)
    return Licence(
        known=True,
        valid=status == ACTIVE,
        status=status,
        by=None if change is None else change.by,
        since_ms=0 if change is None else change.time_ms,
        profession=row.profession,
        issuer=row.issuer,
        from_ms=row.from_ms,
        until_ms=row.until_ms,
        issued_height=row.since_height,
    )


def _history(facts: Facts, asked: History) -> Changes:
    name = people.licence_changes(asked.licence)
    rows, following = numbered.page(
        facts.get, name, LicenceChange, start=asked.start, limit=asked.limit
    )
    return Changes(rows, following)


QUESTIONS: Final = (
    Question(
        "identity.practitioner.valid",
        Validity,
        Licence,
        _valid,
        "Is this licence valid, now or then?",
    ),
    Question(
        "identity.practitioner.history",
        History,
        Changes,
        _history,
        "How did the status of this licence change?",
    ),
)
