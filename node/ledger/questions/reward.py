"""What people ask about rewards: my points, what a programme owes, whether it all adds up.

All provable.  Amounts are points times the worth of a point, in minor units.  A programme whose
time is up is answered as ended, whether or not a block has come since.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts import numbered
from node.ledger.facts.reward import (
    OPEN,
    AwardRow,
    EntryRow,
    HolderRow,
    MerchantRow,
    ProgramRow,
    awards_key,
    entries_key,
    holder_row,
    left_with,
    merchant_key,
    program_at,
)
from node.ledger.state import load_from


@dataclass(frozen=True, slots=True)
class AboutHolder:
    holder: bytes
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class AboutProgram:
    program: bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """A holder's points: totals and, line by line, what happened.  ``usable_until_ms`` is when
    what is left expires."""

    known: bool
    program: bytes | None = None
    org: str | None = None
    status: str | None = None
    currency: str | None = None
    balance: int = 0
    amount_minor: int = 0
    earned: int = 0
    redeemed: int = 0
    expired: int = 0
    clawed: int = 0
    usable_until_ms: int | None = None
    entries_total: int = 0
    entries: tuple[EntryRow, ...] = ()
    next: int | None = None


@dataclass(frozen=True, slots=True)
class Awards:
    """What a holder's points were given for, award by award."""

    total: int
    awards: tuple[AwardRow, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Taken:
    """What one merchant took: the sponsor owes it that amount for this programme."""

    org: str
    points: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Liabilities:
    """What a programme may have to pay: to holders what is outstanding, to merchants what they
    took; ``unearned`` is funded and owed to nobody."""

    known: bool
    org: str | None = None
    status: str | None = None
    currency: str | None = None
    unit_minor: int = 0
    ends_ms: int | None = None
    outstanding: int = 0
    outstanding_minor: int = 0
    unearned: int = 0
    unearned_minor: int = 0
    redeemed: int = 0
    redeemed_minor: int = 0
    merchants: tuple[Taken, ...] = ()


@dataclass(frozen=True, slots=True)
class Conservation:
    """Whether funded = unearned + outstanding + redeemed + expired + clawed, with the terms."""

    known: bool
    holds: bool = False
    funded: int = 0
    unearned: int = 0
    outstanding: int = 0
    redeemed: int = 0
    expired: int = 0
    clawed: int = 0
    holders: int = 0
    budget: int = 0
    award_max: int = 0
    holder_max: int = 0
    evidence: tuple[str, ...] = ()
    about: bytes | None = None
    terms: bytes | None = None
    status: str | None = None


def _statement(facts: Facts, about: AboutHolder) -> Statement:
    row = holder_row(facts.get, about.holder)
    if row is None:
        return Statement(known=False)
    program = program_at(facts.get, row.program, facts.time_ms)
    assert program is not None, "a holder has its programme"
    base = entries_key(about.holder)
    entries, after = numbered.page(
        facts.get, base, EntryRow, start=about.start, limit=about.limit
    )
    left = left_with(row, program)
    return Statement(
        known=True,
        program=row.program,
        org=program.org,
        status=program.status,
        currency=program.currency,
        balance=left,
        amount_minor=left * program.unit_minor,
        earned=row.earned,
        redeemed=row.redeemed,
        expired=row.expired + row.balance - left,
        clawed=row.clawed,
        usable_until_ms=_usable_until(row, program) if left else None,
        entries_total=numbered.length(facts.get, base),
        entries=entries,
        next=after,
    )


def _usable_until(row: HolderRow, program: ProgramRow) -> int:
    if program.lifetime_ms is None:
        return program.ends_ms
    return min(program.ends_ms, row.active_ms + program.lifetime_ms)


def _awards(facts: Facts, about: AboutHolder) -> Awards:
    base = awards_key(about.holder)
    rows, after = numbered.page(facts.get, base, AwardRow, start=about.start, limit=about.limit)
    return Awards(numbered.length(facts.get, base), rows, after)


def _liabilities(facts: Facts, about: AboutProgram) -> Liabilities:
    row = program_at(facts.get, about.program, facts.time_ms)
    if row is None:
        return Liabilities(known=False)
    return Liabilities(
        known=True,
        org=row.org,
        status=row.status,
        currency=row.currency,
        unit_minor=row.unit_minor,
        ends_ms=row.ends_ms,
        outstanding=row.outstanding,
        outstanding_minor=row.outstanding * row.unit_minor,
        unearned=row.unearned,
        unearned_minor=row.unearned * row.unit_minor,
        redeemed=row.redeemed,
        redeemed_minor=row.redeemed * row.unit_minor,
        merchants=tuple(_taken(facts, row, org) for org in row.merchants),
    )


def _taken(facts: Facts, program: ProgramRow, org: str) -> Taken:
    row = load_from(facts.get, MerchantRow, merchant_key(program.program, org))
    points = 0 if row is None else row.points
    return Taken(org, points, points * program.unit_minor)


def _conservation(facts: Facts, about: AboutProgram) -> Conservation:
    row = program_at(facts.get, about.program, facts.time_ms)
    if row is None:
        return Conservation(known=False)
    return Conservation(
        known=True,
        holds=row.is_conserved and (row.status == OPEN or row.outstanding == 0),
        funded=row.funded,
        unearned=row.unearned,
        outstanding=row.outstanding,
        redeemed=row.redeemed,
        expired=row.expired,
        clawed=row.clawed,
        holders=row.holders,
        budget=row.budget,
        award_max=row.award_max,
        holder_max=row.holder_max,
        evidence=row.evidence,
        about=row.about,
        terms=row.terms,
        status=row.status,
    )


QUESTIONS: Final = (
    Question("reward.statement", AboutHolder, Statement, _statement, "What are my points?"),
    Question("reward.awards", AboutHolder, Awards, _awards, "What did I get my points for?"),
    Question(
        "reward.liabilities",
        AboutProgram,
        Liabilities,
        _liabilities,
        "What may this programme have to pay?",
    ),
    Question(
        "reward.conservation",
        AboutProgram,
        Conservation,
        _conservation,
        "Does every point of this programme have its place?",
    ),
)
