"""Family ``claim``, first part: a plan's rules, its members' coverage, asking before acting.

The payer publishes a plan's rules as data (``claim.rule.publish``), which come into force at a
later height (``claim.rule.activate``), so that nobody is judged by a rule that did not stand
when the claim came.  A plan can name a regulator whose signature each activation needs.
Pre-authorisations are granted in units of a class of codes until a time of the ledger.

Refuses: what is not the sender's own, versions out of turn, activation in the past or before
one that is waiting, a coverage's end in the past, grants beyond what was asked for.
"""

from dataclasses import replace
from typing import Final

from node.ledger.facts import claim_results as results
from node.ledger.facts import people
from node.ledger.facts.claim_bodies import (
    CoverageEnd,
    CoverageRegister,
    PreauthAnswer,
    PreauthRequest,
    RuleActivate,
    RulePublish,
    Wanted,
)
from node.ledger.facts.claim_steps import the_coverage
from node.ledger.facts.claim_tables import Table
from node.ledger.facts.claims import (
    VERSIONS_MAX,
    ActivationRow,
    CoverageRow,
    Grant,
    PlanRow,
    PreauthRow,
    activation_key,
    coverage_key,
    plan_key,
    preauth_key,
    table_key,
)
from node.ledger.facts.keys import signing_orgs
from node.ledger.rules import Context, Operation, Refused
from node.ledger.state import institution

RESULTS: Final = ()


# --- plans and coverages ---------------------------------------------------------------------


def _publish(context: Context, body: RulePublish) -> None:
    payer = context.org.id
    key = plan_key(payer, body.plan)
    plan = context.view.load(PlanRow, key)
    if plan is None:
        plan = PlanRow(payer, body.plan, body.currency, body.regulator, 0, 0)
        if body.regulator is not None and not _is_regulator(context, body.regulator):
            raise Refused(results.REGULATOR_MISSING)
    if body.version != plan.versions + 1 or body.version > VERSIONS_MAX:
        raise Refused(results.VERSION_WRONG)
    if body.currency != plan.currency:
        raise Refused(results.CURRENCY_WRONG)
    if body.regulator != plan.regulator:
        raise Refused(results.REGULATOR_MISSING)
    made = Table(
        payer=payer,
        plan=body.plan,
        version=body.version,
        currency=body.currency,
        tariffs=body.tariffs,
        deductible=body.deductible,
        out_of_pocket_max=body.out_of_pocket_max,
        benefit_max=body.benefit_max,
        answer_ms=body.answer_ms,
        appeal_ms=body.appeal_ms,
    )
    context.view.save(table_key(payer, body.plan, body.version), made)
    context.view.save(key, replace(plan, versions=body.version))


def _is_regulator(context: Context, org: str) -> bool:
    row = institution(context.view, org)
    return row is not None and "regulator" in row.roles


def _activate(context: Context, body: RuleActivate) -> None:
    payer = context.org.id
    key = plan_key(payer, body.plan)
    plan = context.view.load(PlanRow, key)
    if plan is None:
        raise Refused(results.PLAN_UNKNOWN)
    if not 1 <= body.version <= plan.versions or plan.activations >= VERSIONS_MAX:
        raise Refused(results.VERSION_WRONG)
    earliest = context.height + 1
    if plan.activations:
        last = context.view.load(
            ActivationRow, activation_key(payer, body.plan, plan.activations - 1)
        )
        earliest = max(earliest, last.from_height if last else 0)
    if body.from_height < earliest:
        raise Refused(results.ACTIVATION_PAST)
    if plan.regulator is not None and plan.regulator not in signing_orgs(context):
        raise Refused(results.REGULATOR_MISSING)
    context.view.save(
        activation_key(payer, body.plan, plan.activations),
        ActivationRow(body.version, body.from_height),
    )
    context.view.save(key, replace(plan, activations=plan.activations + 1))


def _register(context: Context, body: CoverageRegister) -> None:
    payer = context.org.id
    if context.view.get(plan_key(payer, body.plan)) is None:
        raise Refused(results.PLAN_UNKNOWN)
    if context.view.get(coverage_key(body.coverage)) is not None:
        raise Refused(results.COVERAGE_EXISTS)
    if body.subject is not None:
        patient = people.patient(context.view.get, body.subject)
        if patient is None or patient.org != payer or patient.status != people.ACTIVE:
            raise Refused(results.MEMBER_UNKNOWN)
    row = CoverageRow(
        payer=payer,
        plan=body.plan,
        commitment=body.commitment,
        from_ms=body.from_ms,
        until_ms=body.until_ms,
        period_ms=body.period_ms,
        member_key=body.member_key,
        subject=body.subject,
        ended_ms=None,
        since_height=context.height,
    )
    context.view.save(coverage_key(body.coverage), row)


def _end(context: Context, body: CoverageEnd) -> None:
    row = the_coverage(context, body.coverage)
    if row.payer != context.org.id:
        raise Refused(results.NOT_PAYER)
    if row.ended_ms is not None or not context.time_ms <= body.at_ms < row.until_ms:
        raise Refused(results.COVERAGE_ENDED)
    context.view.save(coverage_key(body.coverage), replace(row, ended_ms=body.at_ms))


# --- pre-authorisation -----------------------------------------------------------------------


def _request(context: Context, body: PreauthRequest) -> None:
    coverage = the_coverage(context, body.coverage)
    if context.time_ms >= coverage.end_ms:
        raise Refused(results.COVERAGE_ENDED)
    if context.view.get(preauth_key(body.preauth)) is not None:
        raise Refused(results.PREAUTH_EXISTS)
    row = PreauthRow(
        provider=context.org.id,
        payer=coverage.payer,
        coverage=body.coverage,
        detail=body.detail,
        status="requested",
        reason="",
        grants=tuple(Grant(item.code_class, item.units, 0) for item in body.wanted),
        until_ms=0,
        requested_ms=context.time_ms,
        answered_ms=None,
    )
    context.view.save(preauth_key(body.preauth), row)


def _answer(context: Context, body: PreauthAnswer) -> None:
    row = context.view.load(PreauthRow, preauth_key(body.preauth))
    if row is None:
        raise Refused(results.PREAUTH_UNKNOWN)
    if row.payer != context.org.id:
        raise Refused(results.NOT_PAYER)
    if row.status != "requested":
        raise Refused(results.PREAUTH_ANSWERED)
    if body.granted and body.until_ms <= context.time_ms:
        raise Refused(results.PREAUTH_EXPIRED)
    asked = {item.code_class: item.units for item in row.grants}
    if any(item.units > asked.get(item.code_class, 0) for item in body.granted):
        raise Refused(results.PREAUTH_EXCEEDED)
    answered = replace(
        row,
        status="granted" if body.granted else "denied",
        reason=body.reason,
        grants=_grants(body.granted),
        until_ms=body.until_ms,
        answered_ms=context.time_ms,
    )
    context.view.save(preauth_key(body.preauth), answered)


def _grants(items: tuple[Wanted, ...]) -> tuple[Grant, ...]:
    return tuple(Grant(item.code_class, item.units, 0) for item in items)


_PAYER: Final = frozenset({"payer"})
_PROVIDERS: Final = frozenset({"author", "custodian", "dispenser", "laboratory"})
OPERATIONS: Final = (
    Operation("claim.rule.publish", RulePublish, _publish, _PAYER,
              "Publish a version of a plan's rules."),
    Operation("claim.rule.activate", RuleActivate, _activate, _PAYER,
              "Put a plan's rules into force from a height on."),
    Operation("claim.coverage.register", CoverageRegister, _register, _PAYER,
              "Register a member's coverage."),
    Operation("claim.coverage.end", CoverageEnd, _end, _PAYER, "End a coverage early."),
    Operation("claim.preauth.request", PreauthRequest, _request, _PROVIDERS,
              "Ask a payer before acting."),
    Operation("claim.preauth.answer", PreauthAnswer, _answer, _PAYER,
              "Grant or deny a pre-authorisation."),
)  # fmt: skip
