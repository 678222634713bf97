"""Questions about what follows from a plan's rules: the table in force, a claim's adjudication
line by line, a pre-authorisation.  All are answered from state by key, so they can be proven.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts.claim_steps import case_of
from node.ledger.facts.claim_tables import (
    DISCRETIONARY,
    Line,
    Share,
    Table,
    Tariff,
    adjudicate,
)
from node.ledger.facts.claims import (
    PENDED,
    REOPENED,
    SUBMITTED,
    Grant,
    PlanRow,
    PreauthRow,
    claim_is_late,
    claim_lines,
    claim_round,
    claim_row,
    plan_key,
    preauth_key,
    table,
    version_at,
)
from node.ledger.facts.claims import used as used_of
from node.ledger.state import load_from


@dataclass(frozen=True, slots=True)
class PlanAt:
    """``at_height``: left out: now."""

    payer: str
    plan: str
    at_height: int | None = None


@dataclass(frozen=True, slots=True)
class RulesSaid:
    known: bool
    versions: int = 0
    regulator: str | None = None
    height: int = 0
    table: Table | None = None  # in force at that height


def _rules(facts: Facts, asked: PlanAt) -> RulesSaid:
    height = facts.height if asked.at_height is None else asked.at_height
    plan = load_from(facts.get, PlanRow, plan_key(asked.payer, asked.plan))
    if plan is None:
        return RulesSaid(known=False, height=height)
    version = version_at(facts.get, asked.payer, asked.plan, height)
    found = None if version is None else table(facts.get, asked.payer, asked.plan, version)
    return RulesSaid(
        known=True, versions=plan.versions, regulator=plan.regulator, height=height, table=found
    )


@dataclass(frozen=True, slots=True)
class RoundAsked:
    """``number``: which adjudication of the claim, from 1; left out: the last."""

    claim: bytes
    number: int | None = None


@dataclass(frozen=True, slots=True)
class LineSaid:
    """One line: what was asked, the row of the table that applied (``rule``, none: not
    covered), what the coverage had used before this line, and what came out.

    ``computed_now``: in this adjudication; the others were taken over from the one before.
    """

    number: int
    code_class: str
    units: int
    charge: int
    rule: Tariff | None
    preauth: bool
    computed_now: bool
    deductible_before: int
    out_of_pocket_before: int
    benefit_before: int
    units_before: int
    share: Share
    patient: int


@dataclass(frozen=True, slots=True)
class Explained:
    known: bool
    number: int = 0
    of: int = 0
    plan: str = ""
    version: int = 0
    currency: str = ""
    deductible: int = 0  # of the plan, per coverage and period
    out_of_pocket_max: int = 0
    benefit_max: int = 0
    lines: tuple[LineSaid, ...] = ()
    charge: int = 0
    allowed: int = 0
    patient: int = 0
    pay: int = 0


def _explained(facts: Facts, asked: RoundAsked) -> Explained:
    row = claim_row(facts.get, asked.claim)
    number = asked.number if asked.number is not None else 0 if row is None else row.rounds
    if row is None or not 1 <= number <= row.rounds:
        return Explained(known=False)
    made = claim_round(facts.get, asked.claim, number)
    found = claim_lines(facts.get, asked.claim)
    rules = table(facts.get, row.payer, row.plan, row.version)
    assert made is not None, "adjudications are numbered without a gap"
    assert found is not None, "a claim keeps its lines"
    assert rules is not None, "a claim keeps its table"
    used, said = made.used, []
    for at, (line, share) in enumerate(zip(found.lines, made.shares, strict=True)):
        fresh = not made.anew or at in made.anew
        said.append(
            LineSaid(
                number=at + 1,
                code_class=line.code_class,
                units=line.units,
                charge=line.charge,
                rule=rules.tariff(line.code_class),
                preauth=line.code_class in made.granted,
                computed_now=fresh,
                deductible_before=used.deductible,
                out_of_pocket_before=used.out_of_pocket,
                benefit_before=used.benefit,
                units_before=used.of(line.code_class),
                share=share,
                patient=share.patient,
            )
        )
        used = used.after(rules, line, share) if fresh else used
    return Explained(
        known=True,
        number=number,
        of=row.rounds,
        plan=row.plan,
        version=row.version,
        currency=row.currency,
        deductible=rules.deductible,
        out_of_pocket_max=rules.out_of_pocket_max,
        benefit_max=rules.benefit_max,
        lines=tuple(said),
        charge=row.charge,
        allowed=sum(share.allowed for share in made.shares),
        patient=sum(share.patient for share in made.shares),
        pay=sum(share.pay for share in made.shares),
    )


@dataclass(frozen=True, slots=True)
class WhatIf:
    """``denied``: lines (from 1) that the payer would deny, ``reasons``: why, one for each."""

    claim: bytes
    denied: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Computed:
    """What ``claim.adjudicate`` has to say for this claim now.  ``waits``: the claim is in a
    state in which it can be adjudicated."""

    known: bool
    waits: bool = False
    version: int = 0
    shares: tuple[Share, ...] = ()
    allowed: int = 0
    patient: int = 0
    pay: int = 0


def _computed(facts: Facts, asked: WhatIf) -> Computed:
    row = claim_row(facts.get, asked.claim)
    found = claim_lines(facts.get, asked.claim)
    rules = None if row is None else table(facts.get, row.payer, row.plan, row.version)
    if row is None or found is None or rules is None:
        return Computed(known=False)
    pairs = zip(asked.denied, asked.reasons, strict=False)
    denied = {line - 1: reason for line, reason in pairs if reason in DISCRETIONARY}
    case = case_of(facts.get, asked.claim, row, denied)
    used = used_of(facts.get, row.coverage, row.period)
    shares, _ = adjudicate(rules, found.lines, used, case)
    late = row.status == PENDED and claim_is_late(row, facts.time_ms)
    return Computed(
        known=True,
        waits=late or row.status in (SUBMITTED, REOPENED),
        version=row.version,
        shares=shares,
        allowed=sum(share.allowed for share in shares),
        patient=sum(share.patient for share in shares),
        pay=sum(share.pay for share in shares),
    )


@dataclass(frozen=True, slots=True)
class LinesAsked:
    claim: bytes


@dataclass(frozen=True, slots=True)
class Claimed:
    known: bool
    coverage: bytes | None = None
    period: int = 0
    detail: bytes | None = None
    lines: tuple[Line, ...] = ()
    anchors: tuple[bytes, ...] = ()


def _lines(facts: Facts, asked: LinesAsked) -> Claimed:
    row = claim_row(facts.get, asked.claim)
    found = claim_lines(facts.get, asked.claim)
    if row is None or found is None:
        return Claimed(known=False)
    return Claimed(
        known=True,
        coverage=row.coverage,
        period=row.period,
        detail=row.detail,
        lines=found.lines,
        anchors=found.anchors,
    )


@dataclass(frozen=True, slots=True)
class PreauthAsked:
    preauth: bytes


@dataclass(frozen=True, slots=True)
class PreauthSaid:
    """``usable``: granted, and its time is not over."""

    known: bool
    usable: bool = False
    provider: str = ""
    payer: str = ""
    status: str = ""
    reason: str = ""
    grants: tuple[Grant, ...] = ()
    until_ms: int = 0


def _preauth(facts: Facts, asked: PreauthAsked) -> PreauthSaid:
    row = load_from(facts.get, PreauthRow, preauth_key(asked.preauth))
    if row is None:
        return PreauthSaid(known=False)
    return PreauthSaid(
        known=True,
        usable=row.status == "granted" and facts.time_ms < row.until_ms,
        provider=row.provider,
        payer=row.payer,
        status=row.status,
        reason=row.reason,
        grants=row.grants,
        until_ms=row.until_ms,
    )


QUESTIONS: Final = (
    Question("claim.rules", PlanAt, RulesSaid, _rules, "Which rules of a plan are in force?"),
    Question("claim.explained", RoundAsked, Explained, _explained,
             "How did every line of a claim come to its share?"),
    Question("claim.computed", WhatIf, Computed, _computed,
             "Which shares do the rules give a claim now?"),
    Question("claim.lines", LinesAsked, Claimed, _lines, "What was claimed?"),
    Question("claim.preauth.state", PreauthAsked, PreauthSaid, _preauth,
             "Does a pre-authorisation stand, and what is left of it?"),
)  # fmt: skip
