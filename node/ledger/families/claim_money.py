"""Family ``claim``, second part: pends, appeals, payments and what is taken back.

A claim waits for documents with a clock, never without end.  A denial is appealed by the
provider or by the patient (whose key signs too), first to the payer, then to a regulator; what
is overturned must be adjudicated again and cannot be denied a second time.  Money obeys one
line: paid - recouped <= approved - recouped, so nothing is paid twice and nothing is taken back
that was not paid.  Taking back needs the provider's signature or a regulator's.

Appeal of a line: none -> open (1, payer) -> upheld, overturned or lapsed (no answer in time)
-> open (2, regulator) -> upheld or overturned, which is final.
"""

from dataclasses import replace
from typing import Final

from node.ledger.facts import claim_results as results
from node.ledger.facts.claim_bodies import (
    Appeal,
    AppealDecide,
    Inform,
    Pay,
    Pend,
    Reconcile,
    Recoup,
)
from node.ledger.facts.claim_steps import (
    Step,
    change,
    due,
    payers_claim,
    providers_claim,
    the_claim,
)
from node.ledger.facts.claim_tables import APPEALABLE
from node.ledger.facts.claims import (
    ADJUDICATED,
    APPEALS_MAX,
    PENDED,
    PENDS_MAX,
    PROVIDER,
    REOPENED,
    SUBMITTED,
    AppealRow,
    ClaimRow,
    Part,
    PaymentRow,
    PlanRow,
    appeal_key,
    claim_round,
    coverage_row,
    member_keys,
    payment_key,
    plan_key,
    table,
    used,
    used_key,
)
from node.ledger.facts.keys import signing_orgs
from node.ledger.genesis import Institution
from node.ledger.rules import Context, Operation, Refused, Result
from node.ledger.state import institution

NOT_PENDED: Final = Result(434, "claim-not-pended", "The claim does not wait for documents.")
MEMBER_MISSING: Final = Result(
    435, "claim-member-missing", "The patient's key for this coverage must sign too."
)
NOT_DENIED: Final = Result(
    436, "claim-not-denied", "A line that was not denied, or not by discretion or limit."
)
APPEAL_OPEN: Final = Result(437, "claim-appeal-open", "An appeal of this claim is open.")
APPEAL_LATE: Final = Result(438, "claim-appeal-late", "The time to appeal is over.")
APPEAL_FINAL: Final = Result(439, "claim-appeal-final", "A regulator decided this already.")
APPEAL_MIXED: Final = Result(
    440, "claim-appeal-mixed", "Lines appealed together must stand at the same level."
)
NO_APPEAL: Final = Result(441, "claim-appeal-unknown", "No appeal of this claim is open.")
NOT_JUDGE: Final = Result(
    442, "claim-appeal-not-yours", "Another institution decides an appeal at this level."
)
NOT_APPEALED: Final = Result(443, "claim-line-not-appealed", "That line was not appealed.")
PAYMENT_EXISTS: Final = Result(444, "claim-payment-exists", "That payment exists already.")
PAYMENT_UNKNOWN: Final = Result(445, "claim-payment-unknown", "No such payment.")
OVERPAID: Final = Result(446, "claim-overpaid", "More than what is still owed on the claim.")
RECONCILED: Final = Result(
    447, "claim-payment-reconciled", "That payment was reconciled already."
)
RECOUP_EXCEEDS: Final = Result(
    448, "claim-recoup-exceeds", "More than what was paid and not taken back."
)
RECOUP_ALONE: Final = Result(
    449, "claim-recoup-alone", "The provider or a regulator must sign a recoupment."
)
RESULTS: Final = (
    NOT_PENDED,
    MEMBER_MISSING,
    NOT_DENIED,
    APPEAL_OPEN,
    APPEAL_LATE,
    APPEAL_FINAL,
    APPEAL_MIXED,
    NO_APPEAL,
    NOT_JUDGE,
    NOT_APPEALED,
    PAYMENT_EXISTS,
    PAYMENT_UNKNOWN,
    OVERPAID,
    RECONCILED,
    RECOUP_EXCEEDS,
    RECOUP_ALONE,
)
DUE: Final = "claim.due"  # the clock that family claim answers


# --- pends -----------------------------------------------------------------------------------


def _pend(context: Context, body: Pend) -> None:
    row = payers_claim(context, body.claim)
    if row.status != SUBMITTED:
        raise Refused(results.STATE_WRONG)
    if row.pends >= PENDS_MAX:
        raise Refused(results.TOO_MANY)
    waits = replace(
        row,
        status=PENDED,
        pends=row.pends + 1,
        due_ms=due(context, body.claim, DUE, body.wait_ms),
    )
    step = Step("pended", code=body.reason, about=body.needed)
    change(context, body.claim, waits, step)


def _inform(context: Context, body: Inform) -> None:
    """Documents may come after their time too, as long as the payer has not adjudicated."""
    row = providers_claim(context, body.claim)
    if row.status != PENDED:
        raise Refused(NOT_PENDED)
    goes_on = replace(
        row, status=SUBMITTED, due_ms=due(context, body.claim, DUE, _spans(context, row)[0])
    )
    change(context, body.claim, goes_on, Step("informed", about=body.document))


def _spans(context: Context, row: ClaimRow) -> tuple[int, int]:
    """Return how long a payer may take to answer, and how long a denial can be appealed."""
    rules = table(context.view.get, row.payer, row.plan, row.version)
    assert rules is not None, "a claim keeps its table"
    return rules.answer_ms, rules.appeal_ms


# --- appeals ---------------------------------------------------------------------------------


def _appeal(context: Context, body: Appeal) -> None:
    row = the_claim(context, body.claim)
    _may_appeal(context, body, row)
    if row.status != ADJUDICATED:
        raise Refused(results.STATE_WRONG)
    if row.appeals >= APPEALS_MAX:
        raise Refused(results.TOO_MANY)
    row = _lapse(context, body.claim, row)
    lines = tuple(number - 1 for number in body.lines)
    level, since_ms = _level(context, body.claim, row, lines)
    answer_ms, appeal_ms = _spans(context, row)
    if appeal_ms and context.time_ms > since_ms + appeal_ms:
        raise Refused(APPEAL_LATE)
    due_ms = due(context, body.claim, DUE, answer_ms)
    made = AppealRow(
        level=level,
        by=body.by,
        lines=lines,
        document=body.document,
        status="open",
        opened_ms=context.time_ms,
        due_ms=due_ms or 0,
        decided_ms=None,
        overturned=(),
    )
    context.view.save(appeal_key(body.claim, row.appeals), made)
    opened = replace(row, appeals=row.appeals + 1, appeal_open=True, due_ms=due_ms)
    change(context, body.claim, opened, Step("appealed", code=body.by, about=body.document))


def _may_appeal(context: Context, body: Appeal, row: ClaimRow) -> None:
    if body.by == PROVIDER:
        if row.provider != context.org.id:
            raise Refused(results.NOT_PROVIDER)
        return
    coverage = coverage_row(context.view.get, row.coverage)
    assert coverage is not None, "a claim keeps its coverage"
    keys = member_keys(context.view.get, coverage)
    if not any(context.signed_by(key) for key in keys):
        raise Refused(MEMBER_MISSING)


def _lapse(context: Context, claim: bytes, row: ClaimRow) -> ClaimRow:
    """Close an open appeal that the payer let pass, so that the next level can be asked."""
    if not row.appeal_open:
        return row
    key = appeal_key(claim, row.appeals - 1)
    open_one = context.view.load(AppealRow, key)
    assert open_one is not None, "appeals are numbered without a gap"
    silent = open_one.level == 1 and 0 < open_one.due_ms <= context.time_ms
    if not silent:
        raise Refused(APPEAL_OPEN)
    context.view.save(key, replace(open_one, status="lapsed", decided_ms=open_one.due_ms))
    return replace(row, appeal_open=False)


def _level(
    context: Context, claim: bytes, row: ClaimRow, lines: tuple[int, ...]
) -> tuple[int, int]:
    """Return the level at which these lines are appealed now, and since when they can be."""
    last = claim_round(context.view.get, claim, row.rounds)
    assert last is not None, "it was adjudicated"
    assert row.adjudicated_ms is not None, "it was adjudicated"
    for line in lines:
        if line >= len(last.shares) or last.shares[line].reason not in APPEALABLE:
            raise Refused(NOT_DENIED)
    levels = dict.fromkeys(lines, 0)
    since_ms = row.adjudicated_ms
    for number in range(row.appeals):
        earlier = context.view.load(AppealRow, appeal_key(claim, number))
        assert earlier is not None, "appeals are numbered without a gap"
        assert earlier.decided_ms is not None, "all of them are closed"
        for line in earlier.lines:
            if line in levels:
                levels[line] = max(levels[line], earlier.level)
                since_ms = max(since_ms, earlier.decided_ms)
    if len(set(levels.values())) > 1:
        raise Refused(APPEAL_MIXED)
    level = levels[lines[0]] + 1
    if level > 2:
        raise Refused(APPEAL_FINAL)
    return level, since_ms


def _regulates(org: Institution) -> bool:
    return "regulator" in org.roles


def _decide(context: Context, body: AppealDecide) -> None:
    row = the_claim(context, body.claim)
    if not row.appeal_open:
        raise Refused(NO_APPEAL)
    key = appeal_key(body.claim, row.appeals - 1)
    appeal = context.view.load(AppealRow, key)
    assert appeal is not None, "appeals are numbered without a gap"
    if appeal.level == 1:
        judge = row.payer == context.org.id
    else:
        plan = context.view.load(PlanRow, plan_key(row.payer, row.plan))
        named = None if plan is None else plan.regulator
        third = context.org.id not in (row.payer, row.provider)
        judge = _regulates(context.org) and third and named in (None, context.org.id)
    if not judge:
        raise Refused(NOT_JUDGE)
    lines = tuple(number - 1 for number in body.overturned)
    if not set(lines) <= set(appeal.lines):
        raise Refused(NOT_APPEALED)
    status = "overturned" if lines else "upheld"
    decided = replace(appeal, status=status, decided_ms=context.time_ms, overturned=lines)
    context.view.save(key, decided)
    row = replace(row, appeal_open=False, due_ms=None)
    if lines:
        span_ms = _spans(context, row)[0]
        due_ms = due(context, body.claim, DUE, span_ms)
        row = replace(row, status=REOPENED, anew=lines, due_ms=due_ms)
    change(context, body.claim, row, Step(status, about=body.document))


# --- money -----------------------------------------------------------------------------------


def _pay(context: Context, body: Pay) -> None:
    key = payment_key(body.payment)
    if context.view.get(key) is not None:
        raise Refused(PAYMENT_EXISTS)
    for part in body.parts:
        row = payers_claim(context, part.claim)
        if row.provider != body.provider:
            raise Refused(results.NOT_PROVIDER)
        if row.currency != body.currency:
            raise Refused(results.CURRENCY_WRONG)
        if part.amount > row.owed:
            raise Refused(OVERPAID)
        paid = replace(row, paid=row.paid + part.amount)
        step = Step("paid", part.amount, about=body.payment)
        change(context, part.claim, paid, step)
    made = PaymentRow(
        payer=context.org.id,
        provider=body.provider,
        currency=body.currency,
        amount=sum(part.amount for part in body.parts),
        parts=tuple(Part(part.claim, part.amount) for part in body.parts),
        remittance=body.remittance,
        status="paid",
        received=None,
        paid_ms=context.time_ms,
        reconciled_ms=None,
    )
    context.view.save(key, made)


def _reconcile(context: Context, body: Reconcile) -> None:
    key = payment_key(body.payment)
    row = context.view.load(PaymentRow, key)
    if row is None:
        raise Refused(PAYMENT_UNKNOWN)
    if row.provider != context.org.id:
        raise Refused(results.NOT_PROVIDER)
    if row.reconciled_ms is not None:
        raise Refused(RECONCILED)
    status = "reconciled" if body.received == row.amount else "differs"
    done = replace(row, status=status, received=body.received, reconciled_ms=context.time_ms)
    context.view.save(key, done)
    for part in row.parts:
        claim = the_claim(context, part.claim)
        change(context, part.claim, claim, Step(status, part.amount, about=body.payment))


def _recoup(context: Context, body: Recoup) -> None:
    row = payers_claim(context, body.claim)
    if body.amount > row.paid - row.recouped:
        raise Refused(RECOUP_EXCEEDS)
    agreed = institution(context.view, body.agreed)
    third = agreed is not None and agreed.id != row.payer and _regulates(agreed)
    entitled = body.agreed == row.provider or third
    if not entitled or body.agreed not in signing_orgs(context):
        raise Refused(RECOUP_ALONE)
    key = used_key(row.coverage, row.period)
    counted = used(context.view.get, row.coverage, row.period)
    context.view.save(key, replace(counted, benefit=counted.benefit - body.amount))
    step = Step("recouped", body.amount, body.reason, body.document)
    change(context, body.claim, replace(row, recouped=row.recouped + body.amount), step)


_PAYER: Final = frozenset({"payer"})
_PROVIDERS: Final = frozenset({"author", "custodian", "dispenser", "laboratory"})
OPERATIONS: Final = (
    Operation("claim.pend", Pend, _pend, _PAYER,
              "Ask the provider for something, with a clock."),
    Operation("claim.inform", Inform, _inform, _PROVIDERS,
              "Say that what was asked for is sent."),
    Operation("claim.appeal.open", Appeal, _appeal, frozenset(),
              "Appeal denied lines of a claim."),
    Operation("claim.appeal.decide", AppealDecide, _decide, frozenset({"payer", "regulator"}),
              "Decide an appeal."),
    Operation("claim.pay", Pay, _pay, _PAYER, "Pay claims of one provider."),
    Operation("claim.reconcile", Reconcile, _reconcile, _PROVIDERS,
              "Say what of a payment arrived."),
    Operation("claim.recoup", Recoup, _recoup, _PAYER, "Take back money that was paid."),
)  # fmt: skip
