"""Family ``claim``: submitted once, adjudicated so that every node can recompute it.

A provider submits claims that cite encounters it anchored; every service carries a nullifier,
so it is billed once, to whichever payer.  The payer's adjudication is compared with what the
plan's table in force when the claim came gives for it: one that differs by a cent is refused.
What can be wrong here is what the provider says it did; what follows from it cannot.

Refuses, beside bad bounds: services billed before, encounters that are unknown, foreign or
stale, spent or expired pre-authorisations, shares and totals that the rules do not give.
Privacy: random ids, commitments, classes of codes and amounts; the full lines go to the payer
sealed, off the ledger.

State: see ``node.ledger.facts.claims``.  No index rows: every list is in state.  Plans,
coverages and pre-authorisations: ``claim_plan``; pends, appeals and money: ``claim_money``;
outcome contracts: ``claim_value``.
"""

from collections import Counter
from dataclasses import replace
from typing import Final

from node.ledger.facts import claim_results as results
from node.ledger.facts import claim_tables, numbered
from node.ledger.facts.claim_bodies import (
    Adjudicate,
    Submit,
    Withdraw,
)
from node.ledger.facts.claim_evidence import FINE, FOREIGN, STALE, UNKNOWN, standing
from node.ledger.facts.claim_steps import (
    Step,
    case_of,
    change,
    due,
    payers_claim,
    providers_claim,
    ran_out,
    the_coverage,
)
from node.ledger.facts.claim_tables import DISCRETIONARY, DOCUMENTS, Case, Line, Share
from node.ledger.facts.claims import (
    ADJUDICATED,
    PAYER,
    PENDED,
    PROVIDER,
    REOPENED,
    ROUNDS_MAX,
    SUBMITTED,
    WITHDRAWN,
    ClaimRow,
    DenialRow,
    DeniedLine,
    Grant,
    LinesRow,
    NullifierRow,
    PreauthRow,
    RoundRow,
    claim_is_late,
    claim_key,
    claim_lines,
    claim_round,
    claim_row,
    denial_list,
    lines_key,
    nullifier_key,
    preauth_key,
    round_key,
    table,
    used,
    used_key,
    version_at,
)
from node.ledger.rules import Alarm, Context, Moment, Operation, Refused

RESULTS: Final = results.SHARED
DUE: Final = "claim.due"
_ANCHORS: Final = {
    UNKNOWN: results.ANCHOR_UNKNOWN,
    FOREIGN: results.ANCHOR_FOREIGN,
    STALE: results.ANCHOR_STALE,
}


def _submit(context: Context, body: Submit) -> None:
    view = context.view
    if view.get(claim_key(body.claim)) is not None:
        raise Refused(results.CLAIM_EXISTS)
    coverage = the_coverage(context, body.coverage)
    starts = coverage.starts_ms(body.period)
    if starts > context.time_ms or starts >= coverage.end_ms:
        raise Refused(results.COVERAGE_ENDED)
    version = version_at(view.get, coverage.payer, coverage.plan, context.height)
    rules = None if version is None else table(view.get, coverage.payer, coverage.plan, version)
    if rules is None:
        raise Refused(results.RULES_INACTIVE)
    for cited in body.anchors:
        verdict = standing(view.get, context.org.id, cited)
        if verdict != FINE:
            raise Refused(_ANCHORS[verdict])
    _bill_once(context, body)
    _spend(context, body)
    anchors = tuple(item.commitment for item in body.anchors)
    view.save(lines_key(body.claim), LinesRow(body.lines, anchors))
    row = ClaimRow(
        provider=context.org.id,
        payer=coverage.payer,
        plan=coverage.plan,
        version=rules.version,
        currency=rules.currency,
        coverage=body.coverage,
        period=body.period,
        detail=body.detail,
        preauth=body.preauth,
        status=SUBMITTED,
        charge=sum(line.charge for line in body.lines),
        approved=0,
        patient=0,
        paid=0,
        recouped=0,
        steps=0,
        rounds=0,
        pends=0,
        appeals=0,
        appeal_open=False,
        anew=(),
        submitted_ms=context.time_ms,
        adjudicated_ms=None,
        due_ms=due(context, body.claim, DUE, rules.answer_ms),
        listed=False,
    )
    change(context, body.claim, row, Step("submitted", row.charge))


def _spend(context: Context, body: Submit) -> None:
    """Use units of the pre-authorisation that a claim cites."""
    if body.preauth is None:
        return
    row = context.view.load(PreauthRow, preauth_key(body.preauth))
    if row is None:
        raise Refused(results.PREAUTH_UNKNOWN)
    mine = row.provider == context.org.id and row.coverage == body.coverage
    if not mine or row.status != "granted":
        raise Refused(results.PREAUTH_INVALID)
    if row.until_ms <= context.time_ms:
        raise Refused(results.PREAUTH_EXPIRED)
    grants = _moved(row.grants, body.lines, 1)
    if any(item.used > item.units for item in grants):
        raise Refused(results.PREAUTH_SPENT)
    context.view.save(preauth_key(body.preauth), replace(row, grants=grants))


def _moved(grants: tuple[Grant, ...], lines: tuple[Line, ...], sign: int) -> tuple[Grant, ...]:
    """Return the grants with the units of ``lines`` used (1) or given back (-1)."""
    units: Counter[str] = Counter()
    for line in lines:
        units[line.code_class] += line.units
    return tuple(
        replace(item, used=item.used + sign * units[item.code_class]) for item in grants
    )


def _bill_once(context: Context, body: Submit) -> None:
    """Take the nullifier of every line; refuse one that a claim not withdrawn has."""
    for number, line in enumerate(body.lines):
        key = nullifier_key(line.nullifier)
        seen = context.view.load(NullifierRow, key)
        if seen is not None:
            earlier = claim_row(context.view.get, seen.claim)
            if earlier is None or earlier.status != WITHDRAWN:
                raise Refused(results.DOUBLE_BILLED)
        context.view.save(key, NullifierRow(body.claim, number, context.height))


def _withdraw(context: Context, body: Withdraw) -> None:
    view = context.view
    row = providers_claim(context, body.claim)
    if row.status == WITHDRAWN or row.appeal_open:
        raise Refused(results.STATE_WRONG)
    last = claim_round(view.get, body.claim, row.rounds) if row.rounds else None
    if last is not None and any(share.units for share in last.shares):
        raise Refused(results.ALLOWED_ALREADY)
    if row.preauth is not None:
        held = view.load(PreauthRow, preauth_key(row.preauth))
        found = claim_lines(view.get, body.claim)
        assert held is not None, "a claim keeps what it cites"
        assert found is not None, "a claim keeps its lines"
        view.save(
            preauth_key(row.preauth), replace(held, grants=_moved(held.grants, found.lines, -1))
        )
    closed = replace(row, status=WITHDRAWN, due_ms=None)
    change(context, body.claim, closed, Step("withdrawn"))


def _adjudicate(context: Context, body: Adjudicate) -> None:
    view = context.view
    row = payers_claim(context, body.claim)
    if row.status == PENDED and not claim_is_late(row, context.time_ms):
        raise Refused(results.STILL_PENDED)
    if row.status not in (SUBMITTED, PENDED, REOPENED):
        raise Refused(results.STATE_WRONG)
    if row.rounds >= ROUNDS_MAX:
        raise Refused(results.TOO_MANY)
    if body.version != row.version:
        raise Refused(results.TABLE_WRONG)
    rules = table(view.get, row.payer, row.plan, row.version)
    found = claim_lines(view.get, body.claim)
    assert rules is not None, "a claim keeps its table"
    assert found is not None, "a claim keeps its lines"
    if len(body.shares) != len(found.lines):
        raise Refused(results.DISAGREES)
    sums = (
        _sum(body.shares, "allowed"),
        _sum(body.shares, "patient"),
        _sum(body.shares, "pay"),
    )
    if (body.allowed, body.patient, body.pay) != sums:
        raise Refused(results.TOTALS_WRONG)
    case = _case(context, body, row)
    before = used(view.get, row.coverage, row.period)
    shares, after = claim_tables.adjudicate(rules, found.lines, before, case)
    if shares != body.shares:
        raise Refused(results.DISAGREES)
    view.save(used_key(row.coverage, row.period), after)
    kept = before.only([line.code_class for line in found.lines])
    _record(context, body, row, found.lines, RoundRow(
        row.version, shares, kept, row.anew, tuple(sorted(case.granted)),
        context.height, context.time_ms, context.txid,
    ))  # fmt: skip


def _sum(shares: tuple[Share, ...], field: str) -> int:
    return sum(getattr(share, field) for share in shares)


def _case(context: Context, body: Adjudicate, row: ClaimRow) -> Case:
    """Return what this adjudication starts from; refuses denials that may not be."""
    denied = {
        number: share.reason
        for number, share in enumerate(body.shares)
        if share.reason in DISCRETIONARY
    }
    if any(number in denied for number in row.anew):
        raise Refused(results.DENIAL_OVERTURNED)
    if DOCUMENTS in denied.values() and not row.pends:
        raise Refused(results.NOT_ASKED)
    return case_of(context.view.get, body.claim, row, denied)


def _record(
    context: Context, body: Adjudicate, row: ClaimRow, lines: tuple[Line, ...], made: RoundRow
) -> None:
    """Save an adjudication: the round, what it denied, where the claim stands now."""
    number = row.rounds + 1
    context.view.save(round_key(body.claim, number), made)
    denied = tuple(
        DeniedLine(at, lines[at].code_class, made.shares[at].reason)
        for at in claim_tables.denied_lines(made.shares)
        if not made.anew or at in made.anew
    )
    if denied:
        denial = DenialRow(body.claim, number, context.time_ms, denied)
        numbered.append(context.view, denial_list(PROVIDER, row.provider), denial)
        numbered.append(context.view, denial_list(PAYER, row.payer), denial)
    adjudicated = replace(
        row,
        status=ADJUDICATED,
        approved=body.pay,
        patient=body.patient,
        rounds=number,
        anew=(),
        adjudicated_ms=context.time_ms,
        due_ms=None,
    )
    change(context, body.claim, adjudicated, Step("adjudicated", body.pay))


_OVERDUE: Final = {
    SUBMITTED: "answer-overdue",
    REOPENED: "answer-overdue",
    PENDED: "pend-lapsed",
    ADJUDICATED: "appeal-overdue",
}


def _overdue(moment: Moment, claim: bytes) -> None:
    """Note in the claim's steps that a time passed; whoever is due still may act."""
    row = claim_row(moment.view.get, claim)
    if row is not None and row.is_open and claim_is_late(row, moment.time_ms):
        ran_out(moment, claim, row, Step(_OVERDUE[row.status]))


_PAYER: Final = frozenset({"payer"})
_PROVIDERS: Final = frozenset({"author", "custodian", "dispenser", "laboratory"})
OPERATIONS: Final = (
    Operation("claim.submit", Submit, _submit, _PROVIDERS, "Submit a claim."),
    Operation("claim.withdraw", Withdraw, _withdraw, _PROVIDERS,
              "Take back a claim of which nothing was allowed."),
    Operation("claim.adjudicate", Adjudicate, _adjudicate, _PAYER,
              "Adjudicate a claim by the plan's rules."),
)  # fmt: skip
ALARMS: Final = (
    Alarm(DUE, _overdue, "The time to answer, to send documents or to decide has passed."),
)
