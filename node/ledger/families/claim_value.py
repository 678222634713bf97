"""Family ``claim``, outcome contracts: paid for what came of care, by numbers with evidence.

Payer and provider sign a contract: measures, bands, caps, periods.  When a period is over the
provider reports each measure with its numerator, denominator, a commitment to the cohort and
batches of records or audit events that it anchored; the payer settles, and every node
recomputes the settlement.  Until the dispute window (ledger time) has passed, either side can
dispute; then reports may be made again and it is settled again.  What is final is owed and can
be paid.

Period: open -> settled -> final, or settled -> disputed -> settled -> ...
Refuses: contracts that one side did not sign, reports before the period is over or without
evidence, settlements that the formula does not give, payments beyond what is owed.
Privacy: cohorts below ``COHORT_MIN`` people are not reported at all.

State: see ``node.ledger.facts.claim_value``.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import claim_results as results
from node.ledger.facts import claim_value, money
from node.ledger.facts.claim_evidence import Evidence, backs
from node.ledger.facts.claim_tables import TIME_SPAN_MS_MAX
from node.ledger.facts.claim_value import (
    COHORT_MAX,
    COHORT_MIN,
    DISPUTED,
    DISPUTES_MAX,
    FINAL,
    MEASURES_MAX,
    OPEN,
    PERIODS_MAX,
    REVISIONS_MAX,
    SETTLED,
    ContractRow,
    DisputeRow,
    Measure,
    Outcome,
    PeriodRow,
    ReportRow,
    SettlementRow,
    contract_key,
    contract_row,
    dispute_key,
    is_final,
    measure_id,
    period_key,
    period_row,
    report_key,
    reported,
    settlement_key,
)
from node.ledger.facts.keys import signing_orgs
from node.ledger.facts.words import known, sized
from node.ledger.rules import Alarm, Context, Moment, Operation, Refused, Result
from node.ledger.transaction import ORG_PATTERN

DAY_MS: Final = 86_400_000
EVIDENCE_MAX: Final = 16
DISPUTE_REASONS: Final = ("cohort", "data", "exclusions", "measure")

CONTRACT_EXISTS: Final = Result(450, "claim-contract-exists", "That contract exists already.")
CONTRACT_UNKNOWN: Final = Result(451, "claim-contract-unknown", "No such contract.")
CONTRACT_UNSIGNED: Final = Result(
    452, "claim-contract-unsigned", "The provider named in the contract must sign it too."
)
MEASURE_MISSING: Final = Result(
    453, "claim-measure-missing", "A measure of the contract is not reported yet."
)
PERIOD_WRONG: Final = Result(
    454, "claim-period-wrong", "The contract has no such period, or it is not over yet."
)
MEASURE_UNKNOWN: Final = Result(
    455, "claim-measure-unknown", "The contract has no such measure."
)
EVIDENCE_MISSING: Final = Result(
    456, "claim-evidence-missing", "A cited batch is not on the ledger, or is somebody else's."
)
SETTLEMENT_DISAGREES: Final = Result(
    457, "claim-settlement-disagrees", "The contract's formula gives another settlement."
)
SETTLEMENT_STATE: Final = Result(
    458, "claim-settlement-state", "Where this period stands now does not allow that."
)
SETTLEMENT_OVERPAID: Final = Result(
    459, "claim-settlement-overpaid", "More than what is owed, or not by the side that owes."
)
RESULTS: Final = (
    CONTRACT_EXISTS,
    CONTRACT_UNKNOWN,
    CONTRACT_UNSIGNED,
    MEASURE_MISSING,
    PERIOD_WRONG,
    MEASURE_UNKNOWN,
    EVIDENCE_MISSING,
    SETTLEMENT_DISAGREES,
    SETTLEMENT_STATE,
    SETTLEMENT_OVERPAID,
)
CLOCK: Final = "claim.value"


@dataclass(frozen=True, slots=True)
class Contract:
    """An outcome contract; the payer sends it, the provider signs it too.

    ``contract``: 32 random bytes.  Caps and amounts in minor units, per period of ``period_ms``
    from ``from_ms`` on.  ``dispute_ms``: how long a settlement can be disputed.  ``document``:
    commitment to the contract's text.
    """

    contract: bytes
    provider: str
    currency: str
    measures: tuple[Measure, ...]
    bonus_max: int
    penalty_max: int
    from_ms: int
    until_ms: int
    period_ms: int
    dispute_ms: int
    document: bytes

    def __post_init__(self) -> None:
        sized(self.contract, 32, "contract")
        if not ORG_PATTERN.fullmatch(self.provider):
            raise ValueError("provider must be an institution's id")
        money.currency(self.currency)
        names = {item.measure for item in self.measures}
        if not 1 <= len(self.measures) <= MEASURES_MAX or len(names) != len(self.measures):
            raise ValueError(f"1 to {MEASURES_MAX} measures, each once")
        money.amount(self.bonus_max, "bonus_max")
        money.amount(self.penalty_max, "penalty_max")
        if not self.from_ms < self.until_ms < 1 << 63:
            raise ValueError("from_ms must lie before until_ms, and that below 2^63")
        for span in (self.period_ms, self.dispute_ms):
            if not DAY_MS <= span <= TIME_SPAN_MS_MAX:
                raise ValueError("period_ms and dispute_ms are a day to ten years")
        if (self.until_ms - self.from_ms - 1) // self.period_ms >= PERIODS_MAX:
            raise ValueError(f"a contract has at most {PERIODS_MAX} periods")
        sized(self.document, 32, "document")


def _period(contract: bytes, period: int) -> None:
    sized(contract, 32, "contract")
    if period >= PERIODS_MAX:
        raise ValueError(f"periods count from 0, at most {PERIODS_MAX}")


@dataclass(frozen=True, slots=True)
class Report:
    """One measure of a period that is over.

    ``cohort``: commitment to who was counted.  ``evidence``: batches that the provider put on
    the ledger, of records or of audit events.  A later report of the same measure replaces
    an earlier one until it is settled.
    """

    contract: bytes
    period: int
    measure: str
    numerator: int
    denominator: int
    cohort: bytes
    evidence: tuple[Evidence, ...]

    def __post_init__(self) -> None:
        _period(self.contract, self.period)
        measure_id(self.measure)
        if not COHORT_MIN <= self.denominator <= COHORT_MAX:
            raise ValueError(f"denominator must be {COHORT_MIN} to {COHORT_MAX} people")
        if self.numerator > self.denominator:
            raise ValueError("numerator is at most the denominator")
        sized(self.cohort, 32, "cohort")
        if not 1 <= len(self.evidence) <= EVIDENCE_MAX:
            raise ValueError(f"1 to {EVIDENCE_MAX} batches of evidence")


@dataclass(frozen=True, slots=True)
class Settle:
    """What each measure comes to, in the contract's order, and the sums with their caps."""

    contract: bytes
    period: int
    outcomes: tuple[Outcome, ...]
    bonus: int
    penalty: int

    def __post_init__(self) -> None:
        _period(self.contract, self.period)
        if not 1 <= len(self.outcomes) <= MEASURES_MAX:
            raise ValueError(f"1 to {MEASURES_MAX} outcomes")


@dataclass(frozen=True, slots=True)
class Dispute:
    """One side does not accept a settlement.  ``document``: commitment to the grounds."""

    contract: bytes
    period: int
    reason: str
    document: bytes

    def __post_init__(self) -> None:
        _period(self.contract, self.period)
        known(self.reason, DISPUTE_REASONS, "reason")
        sized(self.document, 32, "document")


@dataclass(frozen=True, slots=True)
class PayValue:
    """The side that owes pays ``amount`` minor units.  ``remittance``: commitment to the
    advice that goes with it."""

    contract: bytes
    period: int
    amount: int
    remittance: bytes

    def __post_init__(self) -> None:
        _period(self.contract, self.period)
        money.amount(self.amount, "amount")
        if not self.amount:
            raise ValueError("nothing is no payment")
        sized(self.remittance, 32, "remittance")


def _contract(context: Context, body: Contract) -> None:
    if context.view.get(contract_key(body.contract)) is not None:
        raise Refused(CONTRACT_EXISTS)
    if body.provider == context.org.id or body.provider not in signing_orgs(context):
        raise Refused(CONTRACT_UNSIGNED)
    row = ContractRow(
        payer=context.org.id,
        provider=body.provider,
        currency=body.currency,
        measures=body.measures,
        bonus_max=body.bonus_max,
        penalty_max=body.penalty_max,
        from_ms=body.from_ms,
        until_ms=body.until_ms,
        period_ms=body.period_ms,
        dispute_ms=body.dispute_ms,
        document=body.document,
        since_height=context.height,
    )
    context.view.save(contract_key(body.contract), row)


def _found(context: Context, contract: bytes, period: int) -> tuple[ContractRow, PeriodRow]:
    """Return a contract and a period of it that is over."""
    row = contract_row(context.view.get, contract)
    if row is None:
        raise Refused(CONTRACT_UNKNOWN)
    if not row.has(period) or context.time_ms < row.ends_ms(period):
        raise Refused(PERIOD_WRONG)
    return row, period_row(context.view.get, contract, period, len(row.measures))


def _report(context: Context, body: Report) -> None:
    contract, row = _found(context, body.contract, body.period)
    if contract.provider != context.org.id:
        raise Refused(results.NOT_PROVIDER)
    if row.status not in (OPEN, DISPUTED):
        raise Refused(SETTLEMENT_STATE)
    place = contract.place(body.measure)
    if place is None:
        raise Refused(MEASURE_UNKNOWN)
    if not all(backs(context.view.get, context.org.id, item) for item in body.evidence):
        raise Refused(EVIDENCE_MISSING)
    number = row.reports[place] + 1
    if number > REVISIONS_MAX:
        raise Refused(results.TOO_MANY)
    made = ReportRow(
        numerator=body.numerator,
        denominator=body.denominator,
        cohort=body.cohort,
        evidence=body.evidence,
        by=context.org.id,
        height=context.height,
        time_ms=context.time_ms,
    )
    context.view.save(report_key(body.contract, body.period, place, number), made)
    reports = (*row.reports[:place], number, *row.reports[place + 1 :])
    context.view.save(period_key(body.contract, body.period), replace(row, reports=reports))


def _settle(context: Context, body: Settle) -> None:
    contract, row = _found(context, body.contract, body.period)
    if contract.payer != context.org.id:
        raise Refused(results.NOT_PAYER)
    if row.status not in (OPEN, DISPUTED):
        raise Refused(SETTLEMENT_STATE)
    reports = reported(context.view.get, body.contract, body.period, row)
    if len(reports) != len(contract.measures):
        raise Refused(MEASURE_MISSING)
    computed = claim_value.settle(contract, reports)
    if computed != (body.outcomes, body.bonus, body.penalty):
        raise Refused(SETTLEMENT_DISAGREES)
    number = row.settlements + 1
    final_ms = context.time_ms + contract.dispute_ms
    settled = replace(
        row,
        status=SETTLED,
        settlements=number,
        final_ms=final_ms,
        bonus=body.bonus,
        penalty=body.penalty,
    )
    made = SettlementRow(*computed, context.height, context.time_ms, context.txid)
    context.view.save(settlement_key(body.contract, body.period, number), made)
    key = period_key(body.contract, body.period)
    context.view.save(key, settled)
    context.alarm(CLOCK, key, time_ms=final_ms)


def _dispute(context: Context, body: Dispute) -> None:
    contract, row = _found(context, body.contract, body.period)
    if context.org.id not in (contract.provider, contract.payer):
        raise Refused(results.NOT_PROVIDER)
    if row.status != SETTLED or is_final(row, context.time_ms) or row.disputes >= DISPUTES_MAX:
        raise Refused(SETTLEMENT_STATE)
    made = DisputeRow(
        row.settlements, context.org.id, body.reason, body.document, context.time_ms
    )
    context.view.save(dispute_key(body.contract, body.period, row.disputes), made)
    disputed = replace(row, status=DISPUTED, disputes=row.disputes + 1)
    context.view.save(period_key(body.contract, body.period), disputed)


def _pay(context: Context, body: PayValue) -> None:
    contract, row = _found(context, body.contract, body.period)
    if not is_final(row, context.time_ms):
        raise Refused(SETTLEMENT_STATE)
    debtor = contract.payer if row.bonus > row.penalty else contract.provider
    if context.org.id != debtor or body.amount > row.owed:
        raise Refused(SETTLEMENT_OVERPAID)
    paid = replace(row, status=FINAL, paid=row.paid + body.amount)
    context.view.save(period_key(body.contract, body.period), paid)


def _stands(moment: Moment, key: bytes) -> None:
    """The window is over: what was settled and not disputed stands."""
    row = moment.view.load(PeriodRow, key)
    if row is not None and row.status == SETTLED and row.final_ms <= moment.time_ms:
        moment.view.save(key, replace(row, status=FINAL))


_PAYER: Final = frozenset({"payer"})
_PROVIDERS: Final = frozenset({"author", "custodian", "dispenser", "laboratory"})
_BOTH: Final = _PAYER | _PROVIDERS
OPERATIONS: Final = (
    Operation("claim.value.contract", Contract, _contract, _PAYER,
              "Conclude an outcome contract with a provider."),
    Operation("claim.value.measure", Report, _report, _PROVIDERS,
              "Report a measure of a period, with evidence."),
    Operation("claim.value.settle", Settle, _settle, _PAYER,
              "Settle a period by the contract's formula."),
    Operation("claim.value.dispute", Dispute, _dispute, _BOTH, "Dispute a settlement."),
    Operation("claim.value.pay", PayValue, _pay, _BOTH, "Pay what a settlement came to."),
)  # fmt: skip
ALARMS: Final = (Alarm(CLOCK, _stands, "The time to dispute a settlement has passed."),)
