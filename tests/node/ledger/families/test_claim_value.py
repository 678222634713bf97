"""Outcome contracts: each way to be refused, the formula, the dispute window, the payment."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import wire
from consensus.codec import Malformed
from node.ledger import clock, registry
from node.ledger.facts import audits
from node.ledger.facts.claim_value import (
    Band,
    ContractRow,
    Measure,
    ReportRow,
    period_row,
    settle,
)
from node.ledger.families import claim_value
from tests.support.claims_bench import DAY_MS, Bench
from tests.support.story import named

CONTROL = {
    "measure": "cms165v12",
    "per_person": True,
    "bands": [{"from_bp": 0, "penalty": 100}, {"from_bp": 7000, "bonus": 1000}],
}
NO_BATCH = {"root": named("none").hex()}
HANDLE = {"contract": named("deal").hex()}
FIRST = HANDLE | {"period": 0}


class Deal(Bench):
    """A bench with a contract whose first period is over and reported."""

    def __init__(self, **changed: Any) -> None:
        super().__init__()
        self.fine("clinic", "record.batch", root=named("q1").hex(), count=9, leaves="")
        assert self.contract(**changed) == "applied"
        self.later(91)

    def contract(self, *, signed: bool = True, **changed: Any) -> str:
        fields = HANDLE | {
            "provider": "clinic",
            "currency": "EUR",
            "measures": [CONTROL],
            "bonus_max": 60_000,
            "penalty_max": 5_000,
            "from_ms": self.rules.time_ms,
            "until_ms": self.rules.time_ms + 180 * DAY_MS,
            "period_ms": 90 * DAY_MS,
            "dispute_ms": 30 * DAY_MS,
            "document": named("text").hex(),
        }
        cosigners = ("clinic/identity",) if signed else ()
        return self.act("insurer", "claim.value.contract", *cosigners, **(fields | changed))

    def report(self, numerator: int = 70, org: str = "clinic", **changed: Any) -> str:
        fields = FIRST | {
            "measure": "cms165v12",
            "numerator": numerator,
            "denominator": 100,
            "cohort": named("who").hex(),
            "evidence": [{"root": named("q1").hex()}],
        }
        return self.act(org, "claim.value.measure", **(fields | changed))

    def settle(self, org: str = "insurer", **changed: Any) -> str:
        computed = self.ask("claim.value.computed", **FIRST)
        fields = {name: computed[name] for name in ("outcomes", "bonus", "penalty")}
        if not fields["outcomes"]:
            fields["outcomes"] = [
                {"measure": "m", "report": 1, "from_bp": 0, "bonus": 0, "penalty": 0}
            ]
        return self.act(org, "claim.value.settle", **(FIRST | fields | changed))

    def dispute(self, org: str = "clinic") -> str:
        fields = {"reason": "data", "document": named("why").hex()}
        return self.act(org, "claim.value.dispute", **(FIRST | fields))

    def give(self, org: str, amount: int) -> str:
        fields = {"amount": amount, "remittance": named("advice").hex()}
        return self.act(org, "claim.value.pay", **(FIRST | fields))

    def settled(self, numerator: int = 70) -> None:
        assert self.report(numerator) == self.settle() == "applied"


Scene = Callable[[Deal], str]
SCENES: dict[str, Scene] = {
    "claim-contract-exists": lambda deal: deal.contract(),
    "claim-contract-unknown": lambda deal: deal.report(contract=named("none").hex()),
    "claim-contract-unsigned": lambda deal: deal.contract(
        signed=False, contract=named("new").hex()
    ),
    "claim-measure-missing": lambda deal: deal.settle(),
    "claim-period-wrong": lambda deal: deal.report(period=1),
    "claim-measure-unknown": lambda deal: deal.report(measure="cms122v12"),
    "claim-evidence-missing": lambda deal: deal.report(evidence=[NO_BATCH]),
    "claim-settlement-disagrees": lambda deal: [deal.report(), deal.settle(bonus=60_001)][-1],
    "claim-settlement-state": lambda deal: [deal.settled(), deal.settle()][-1] or "",
    "claim-settlement-overpaid": lambda deal: [
        deal.settled(), deal.later(31), deal.give("insurer", 60_001)
    ][-1] or "",
}  # fmt: skip


@pytest.mark.parametrize("code", [result.code for result in claim_value.RESULTS])
def test_every_refusal_is_met(code: str) -> None:
    assert SCENES[code](Deal()) == code


def test_a_period_that_the_contract_lacks_is_refused() -> None:
    deal = Deal()
    deal.later(400)
    assert deal.report(period=1) == "applied"
    assert deal.report(period=2) == "claim-period-wrong"


def test_only_the_two_sides_act() -> None:
    deal = Deal()
    assert deal.report(org="hospital") == "claim-not-provider"
    assert deal.report() == "applied"
    assert deal.settle(org="mutual") == "claim-not-payer"
    assert deal.settle() == "applied"
    assert deal.dispute(org="hospital") == "claim-not-provider"
    assert deal.dispute(org="insurer") == "applied"


def test_a_batch_of_the_audit_chain_is_evidence_by_its_entry_and_root() -> None:
    deal = Deal()
    root, _ = audits.grow([named("event")], 0)
    now = deal.rules.time_ms
    deal.fine(
        "clinic",
        "access.audit",
        root=root.hex(),
        count=1,
        from_ms=now - DAY_MS,
        until_ms=now,
        previous=hashlib.sha256().hexdigest(),
        path=[],
        cadence_ms=DAY_MS,
    )
    assert deal.report(evidence=[{"root": root.hex(), "entry": 1}]) == "claim-evidence-missing"
    assert deal.report(evidence=[{"root": root.hex()}]) == "claim-evidence-missing"
    assert deal.report(evidence=[{"root": root.hex(), "entry": 0}]) == "applied"


def test_a_measure_is_corrected_until_it_is_settled_and_sixteen_times_at_most() -> None:
    deal = Deal()
    codes = [deal.report(60 + at) for at in range(17)]
    assert codes == ["applied"] * 16 + ["claim-too-many-steps"]
    outcome = deal.ask("claim.value.computed", **FIRST)["outcomes"][0]
    assert (outcome["report"], outcome["bonus"]) == (16, 100_000)


def test_three_disputes_and_no_more() -> None:
    deal = Deal()
    deal.settled()
    for _ in range(3):
        assert deal.dispute() == deal.settle() == "applied"
    assert deal.dispute() == "claim-settlement-state"


def test_the_window_closes_by_the_ledgers_time_and_a_dispute_reopens_it() -> None:
    deal = Deal()
    deal.settled()
    deal.later(29)
    assert deal.give("insurer", 1) == "claim-settlement-state"
    assert deal.dispute() == "applied"
    deal.later(2)
    said = deal.ask("claim.value.explained", **FIRST)
    assert (said["status"], said["owed"]) == ("disputed", 0)
    assert deal.report(71) == deal.settle() == "applied"
    deal.later(31)
    assert deal.ask("claim.value.explained", **FIRST)["status"] == "final"
    assert period_row(deal.rules.get, named("deal"), 0, 1).status == "final"
    assert deal.dispute() == "claim-settlement-state"


def test_a_clock_that_is_late_keeps_no_window_open(monkeypatch) -> None:
    monkeypatch.setattr(clock, "FIRED_PER_BLOCK_MAX", 0)
    deal = Deal()
    deal.settled()
    deal.later(31)
    assert period_row(deal.rules.get, named("deal"), 0, 1).status == "settled"
    assert deal.ask("claim.value.explained", **FIRST)["status"] == "final"
    assert deal.dispute() == "claim-settlement-state"
    assert deal.give("insurer", 60_000) == "applied"


def test_who_owes_pays_and_nobody_pays_more() -> None:
    deal = Deal()
    deal.settled(69)  # a penalty of 100 for each of 100 people, capped at 5000
    deal.later(31)
    said = deal.ask("claim.value.explained", **FIRST)
    assert (said["debtor"], said["owed"], said["uncapped_penalty"]) == ("clinic", 5_000, 10_000)
    assert deal.give("insurer", 1) == "claim-settlement-overpaid"
    assert deal.give("clinic", 3_000) == "applied"
    assert deal.give("clinic", 2_001) == "claim-settlement-overpaid"
    assert deal.give("clinic", 2_000) == "applied"
    assert deal.ask("claim.value.explained", **FIRST)["owed"] == 0


# --- the formula -----------------------------------------------------------------------------


def row(measure: Measure, bonus_max: int, penalty_max: int) -> ContractRow:
    return ContractRow(
        "p", "c", "EUR", (measure,), bonus_max, penalty_max, 0, 1, 1, 1, bytes(32), 1
    )


@given(
    st.integers(11, 10**7),
    st.data(),
    st.lists(st.integers(1, 10_000), unique=True, max_size=6),
    st.integers(0, 10**9),
)
def test_a_rate_falls_into_the_last_band_that_it_reaches(
    denominator, data, starts, cap
) -> None:
    numerator = data.draw(st.integers(0, denominator))
    bands = tuple(Band(start, bonus=start) for start in (0, *sorted(starts)))
    measure = Measure("m", bands, per_person=True)
    report = ReportRow(numerator, denominator, bytes(32), (), "c", 1, 1)
    outcomes, bonus, penalty = settle(row(measure, cap, 0), [(1, report)])
    reached = [s for s in (0, *starts) if s * denominator <= numerator * 10_000]
    assert outcomes[0].from_bp == max(reached)
    assert outcomes[0].bonus == max(reached) * denominator
    assert (bonus, penalty) == (min(cap, outcomes[0].bonus), 0)


BAD = [
    ("claim.value.measure", {"denominator": 10, "numerator": 1}),
    ("claim.value.measure", {"numerator": 101}),
    ("claim.value.measure", {"evidence": []}),
    ("claim.value.measure", {"evidence": [{"root": "00"}]}),
    ("claim.value.measure", {"measure": "Blood pressure of Anna"}),
    ("claim.value.measure", {"period": 200}),
    ("claim.value.contract", {"measures": []}),
    ("claim.value.contract", {"measures": [CONTROL, CONTROL]}),
    ("claim.value.contract", {"measures": [CONTROL | {"bands": [{"from_bp": 1}]}]}),
    ("claim.value.contract", {"measures": [CONTROL | {"bands": [{"from_bp": 0}] * 2}]}),
    (
        "claim.value.contract",
        {"measures": [CONTROL | {"bands": [{"from_bp": 0, "bonus": 1, "penalty": 1}]}]},
    ),
    ("claim.value.contract", {"dispute_ms": 1}),
    ("claim.value.contract", {"until_ms": 1 << 62}),
    ("claim.value.contract", {"currency": "GOLD"}),
    ("claim.value.pay", {"amount": 0}),
    ("claim.value.dispute", {"reason": "because"}),
    ("claim.value.settle", {"outcomes": []}),
]
GOOD: dict[str, dict[str, Any]] = {
    "claim.value.measure": FIRST
    | {
        "measure": "m",
        "numerator": 1,
        "denominator": 100,
        "cohort": named("who").hex(),
        "evidence": [{"root": named("q1").hex()}],
    },
    "claim.value.contract": HANDLE
    | {
        "provider": "clinic",
        "currency": "EUR",
        "measures": [CONTROL],
        "bonus_max": 1,
        "penalty_max": 1,
        "from_ms": 0,
        "until_ms": DAY_MS,
        "period_ms": DAY_MS,
        "dispute_ms": DAY_MS,
        "document": named("text").hex(),
    },
    "claim.value.pay": FIRST | {"amount": 1, "remittance": named("r").hex()},
    "claim.value.dispute": FIRST | {"reason": "data", "document": named("d").hex()},
    "claim.value.settle": FIRST
    | {
        "outcomes": [{"measure": "m", "report": 1, "from_bp": 0, "bonus": 0, "penalty": 0}],
        "bonus": 0,
        "penalty": 0,
    },
}


@pytest.mark.parametrize(("kind", "changed"), BAD, ids=range(len(BAD)))
def test_a_body_out_of_its_bounds_is_none(kind, changed) -> None:
    body = registry.OPERATIONS[kind].body
    wire.from_plain(body, GOOD[kind])
    with pytest.raises(Malformed):
        wire.from_plain(body, GOOD[kind] | changed)
