"""Questions to the provider directory: what is said, who stands for it, how fresh it is."""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts import numbered
from node.ledger.facts.directory import (
    DISPUTED,
    FRESH,
    FactName,
    FactRow,
    Reliance,
    fact_row,
    facts_of,
    reliance,
)
from node.ledger.facts.words import sized
from node.ledger.transaction import ORG_PATTERN


@dataclass(frozen=True, slots=True)
class Of:
    """``about`` an institution, or about a ``licence``; ``kind``: only facts of that kind;
    ``all``: also what is stale, replaced or withdrawn."""

    about: str | None = None
    licence: bytes | None = None
    kind: str | None = None
    all: bool = False
    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        sized(self.licence, 32, "licence")
        if (self.about is None) == (self.licence is None):
            raise ValueError("name an institution or a licence")
        if self.about is not None and not ORG_PATTERN.fullmatch(self.about):
            raise ValueError("about is an institution id")


@dataclass(frozen=True, slots=True)
class Stated:
    """``own``: the institution says it of itself."""

    fact: FactRow
    own: bool
    reliance: Reliance


@dataclass(frozen=True, slots=True)
class Directory:
    """``looked_at``: how many facts this page is about, shown or not."""

    facts: tuple[Stated, ...]
    looked_at: int
    next: int | None


@dataclass(frozen=True, slots=True)
class OfFact:
    fact: bytes

    def __post_init__(self) -> None:
        sized(self.fact, 32, "fact")


@dataclass(frozen=True, slots=True)
class FactState:
    known: bool
    stated: Stated | None


def _stated(facts: Facts, fact: bytes) -> Stated | None:
    row = fact_row(facts.get, fact)
    if row is None:
        return None
    return Stated(row, row.by == row.about, reliance(row, facts.time_ms))


def _of(facts: Facts, asked: Of) -> Directory:
    name = facts_of(asked.about, asked.licence)
    names, following = numbered.page(
        facts.get, name, FactName, start=asked.start, limit=asked.limit
    )
    found = (_stated(facts, item.fact) for item in names)
    shown = tuple(
        item
        for item in found
        if item is not None
        and asked.kind in (None, item.fact.kind)
        and (asked.all or item.reliance.standing in (FRESH, DISPUTED))
    )
    return Directory(shown, len(names), following)


def _fact(facts: Facts, asked: OfFact) -> FactState:
    found = _stated(facts, asked.fact)
    return FactState(found is not None, found)


QUESTIONS: Final = (
    Question(
        "identity.directory.of",
        Of,
        Directory,
        _of,
        "What does the directory say, who stands for it, and is it fresh?",
    ),
    Question(
        "identity.directory.fact",
        OfFact,
        FactState,
        _fact,
        "Who attested or challenged this fact, and how does it stand?",
    ),
)
