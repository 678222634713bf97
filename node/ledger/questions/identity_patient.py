"""Questions about patients: whose keys speak for a subject, what changed, what waits."""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts import numbered, people
from node.ledger.facts.people import PatientChange
from node.ledger.facts.recovery import (
    LinkRow,
    RecoveryRow,
    link_key,
    open_recovery,
    recoveries,
)
from node.ledger.facts.words import sized
from node.ledger.state import load_from


@dataclass(frozen=True, slots=True)
class Bound:
    """``at_height``: none for now."""

    subject: bytes
    at_height: int | None = None

    def __post_init__(self) -> None:
        sized(self.subject, 32, "subject")


@dataclass(frozen=True, slots=True)
class Binding:
    """``active``: keys and guardians are those at the height asked for; else there was no
    binding yet, or none any more.  ``recovery``: new keys that wait today, if any do."""

    known: bool
    active: bool
    org: str | None = None
    level: int = 0
    sign_key: bytes | None = None
    seal_key: bytes | None = None
    guardians: tuple[bytes, ...] = ()
    guardians_needed: int = 0
    since_height: int = 0
    since_ms: int = 0
    recovery: RecoveryRow | None = None


@dataclass(frozen=True, slots=True)
class OfSubject:
    subject: bytes
    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        sized(self.subject, 32, "subject")


@dataclass(frozen=True, slots=True)
class Changes:
    changes: tuple[PatientChange, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Recoveries:
    recoveries: tuple[RecoveryRow, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class OfLink:
    link: bytes

    def __post_init__(self) -> None:
        sized(self.link, 32, "link")


@dataclass(frozen=True, slots=True)
class LinkState:
    """``link`` says who stands for it, since when and until when."""

    known: bool
    in_force: bool
    link: LinkRow | None


def _bound(facts: Facts, asked: Bound) -> Binding:
    row = people.patient(facts.get, asked.subject)
    if row is None:
        return Binding(known=False, active=False)
    height = facts.height if asked.at_height is None else asked.at_height
    changes = numbered.backwards(
        facts.get, people.patient_changes(asked.subject), PatientChange
    )
    change = next((item for item in changes if item.height <= height), None)
    _, waits = open_recovery(facts.get, asked.subject)
    active = change is not None and change.what != "end"
    shown = change if active else None
    return Binding(
        known=True,
        active=active,
        org=row.org,
        level=row.level,
        sign_key=None if shown is None else shown.sign_key,
        seal_key=None if shown is None else shown.seal_key,
        guardians=() if shown is None else shown.guardians,
        guardians_needed=0 if shown is None else shown.guardians_needed,
        since_height=row.since_height,
        since_ms=row.since_ms,
        recovery=waits,
    )


def _history(facts: Facts, asked: OfSubject) -> Changes:
    name = people.patient_changes(asked.subject)
    rows, following = numbered.page(
        facts.get, name, PatientChange, start=asked.start, limit=asked.limit
    )
    return Changes(rows, following)


def _recoveries(facts: Facts, asked: OfSubject) -> Recoveries:
    name = recoveries(asked.subject)
    rows, following = numbered.page(
        facts.get, name, RecoveryRow, start=asked.start, limit=asked.limit
    )
    return Recoveries(rows, following)


def _linked(facts: Facts, asked: OfLink) -> LinkState:
    row = load_from(facts.get, LinkRow, link_key(asked.link))
    return LinkState(row is not None, row is not None and row.until_height is None, row)


QUESTIONS: Final = (
    Question(
        "identity.patient.bound",
        Bound,
        Binding,
        _bound,
        "Which keys speak for this subject, now or at that height?",
    ),
    Question(
        "identity.patient.history",
        OfSubject,
        Changes,
        _history,
        "How did the keys and guardians of this subject change?",
    ),
    Question("identity.patient.linked", OfLink, LinkState, _linked, "Is this link in force?"),
    Question(
        "identity.recovery.of",
        OfSubject,
        Recoveries,
        _recoveries,
        "Which recoveries were opened for this subject, and what became of them?",
    ),
)
