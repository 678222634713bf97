"""An oracle that is not ours: explanations of benefit that Synthea computed.

Every ExplanationOfBenefit of Synthea's bundles obeys one table: all is allowed, the patient's
coinsurance is 20 %.  Each is run through the real rules, submitted, adjudicated, explained, and
compared line by line in cents.

One thing cannot be compared to the cent: Synthea pays the sum of amounts that it has not
rounded (404.488 + 112.416 = 516.904), while the ledger pays what its lines say, and each line
is whole cents (404.49 + 112.42 = 516.91).  So payments are compared with the sum of Synthea's
lines in cents, exactly, and with Synthea's own sum as near as rounding the lines allows.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from consensus import wire
from node.fhir import amounts, claim, claim_response
from node.fhir.claim import ClaimRefused
from node.fhir.claim_response import Adjudicated, Said
from node.ledger import registry
from node.ledger.canon import Number, read_json
from node.ledger.facts import claims
from node.ledger.facts.claim_bodies import Adjudicate
from node.ledger.transaction import Op
from tests.support.story import Rules, founded, named

BUNDLES = Path(__file__).parents[3].parent / "shared" / "data" / "synthea-r4"
VARIABLES = "https://bluebutton.cms.gov/resources/variables/"


class Desk:
    """One clinic and one payer with Synthea's table in force."""

    def __init__(self) -> None:
        self.rules = Rules()
        self.rules.found(founded(["clinic:author", "payer:payer"]))
        rest = {"code_class": "*", "allowed": None, "percent_bp": 10_000}
        tariffs = [rest | {"coinsurance_bp": 2000}]
        plan = {"plan": "synthea", "version": 1}
        self.act("payer", "claim.rule.publish", **plan, currency="USD", tariffs=tariffs)
        self.act("payer", "claim.rule.activate", **plan, from_height=3)
        self.act(
            "payer",
            "claim.coverage.register",
            coverage=named("cover").hex(),
            plan="synthea",
            commitment=named("paper").hex(),
            from_ms=0,
            until_ms=1 << 62,
            period_ms=10**11,
        )
        visit = named("visit").hex()
        self.act("clinic", "record.anchor", commitment=visit, tag="00" * 16, canon=2)

    def act(self, org: str, kind: str, **fields: Any) -> None:
        body = wire.from_plain(registry.OPERATIONS[kind].body, fields)
        assert self.rules.act(org, Op(kind, wire.to_value(body)), ()) == "applied"

    def submit(self, name: str, charges: list[int]) -> None:
        lines = [
            {
                "code_class": "institutional",
                "units": 1,
                "charge": charge,
                "nullifier": named(f"{name}/{at}").hex(),
            }
            for at, charge in enumerate(charges)
        ]
        self.act(
            "clinic",
            "claim.submit",
            claim=named(name).hex(),
            coverage=named("cover").hex(),
            period=17,
            lines=lines,
            anchors=[{"commitment": named("visit").hex()}],
            detail=named("sealed").hex(),
        )

    def adjudicated(self, name: str, said: Said) -> Adjudicated:
        """Submit what ``said`` charges, adjudicate it; items without a price cost nothing."""
        handle = named(name)
        self.submit(name, [item.charge or 0 for item in said.items])
        computed = self.rules.ask("claim.computed", {"claim": handle.hex()})
        assert computed.pop("known")
        assert computed.pop("waits")
        self.act("payer", "claim.adjudicate", claim=handle.hex(), **computed)
        row = claims.claim_row(self.rules.get, handle)
        made = claims.claim_round(self.rules.get, handle, 1)
        found = claims.claim_lines(self.rules.get, handle)
        assert row is not None
        assert made is not None
        assert found is not None
        return Adjudicated(claim=handle, row=row, lines=found.lines, shares=made.shares)


@dataclass
class Tally:
    explanations: int = 0
    lines: int = 0
    payments_alike: int = 0
    different: list[str] = field(default_factory=list)

    def compare(self, name: str, theirs: Said, ours: Said) -> None:
        priced = 0
        for their, our in zip(theirs.items, ours.items, strict=True):
            if their.charge is None:
                assert not their.amounts
                assert our.amounts["benefit"] == our.amounts["memberliability"] == 0
                continue
            priced += 1
            same = {category: our.amounts[category] for category in their.amounts}
            if same != their.amounts:
                self.different.append(f"{name} item {their.sequence}")
        paid = sum(item.amounts.get("benefit", 0) for item in theirs.items)
        assert theirs.payment is not None
        if ours.payment != paid or 2 * abs(paid - theirs.payment) > priced:
            self.different.append(f"{name} payment")
        self.explanations += 1
        self.lines += priced
        self.payments_alike += ours.payment == theirs.payment


def played(desk: Desk, name: str, resource: dict[str, Any], tally: Tally) -> None:
    theirs = claim_response.said(resource)
    out = claim_response.explanation(desk.adjudicated(name, theirs))
    tally.compare(name, theirs, claim_response.said(read_json(amounts.written(out).encode())))


def row(variable: str, value: str) -> dict[str, Any]:
    return {
        "category": {"coding": [{"system": "x", "code": VARIABLES + variable}]},
        "amount": {"value": Number(value), "currency": "USD"},
    }


def priced(sequence: int, net: str, coinsurance: str, pay: str) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "net": {"value": Number(net), "currency": "USD"},
        "adjudication": [
            row("line_coinsrnc_amt", coinsurance),
            row("line_prvdr_pmt_amt", pay),
            row("line_sbmtd_chrg_amt", net),
            row("line_alowd_chrg_amt", net),
            row("line_bene_ptb_ddctbl_amt", "0"),
            {
                "category": {
                    "coding": [{"system": "x", "code": VARIABLES + "line_prcsg_ind_cd"}]
                }
            },
        ],
    }


def explanation() -> dict[str, Any]:
    """Return an explanation in Synthea's manner: its floats, an item without a price."""
    return {
        "resourceType": "ExplanationOfBenefit",
        "item": [
            {"sequence": 1},
            priced(2, "140.52", "28.104000000000003", "112.41600000000001"),
            priced(3, "505.61", "101.12200000000001", "404.48800000000006"),
        ],
        "payment": {"amount": {"value": Number("516.9040000000001"), "currency": "USD"}},
    }


def test_an_explanation_in_syntheas_manner_is_reproduced_to_the_cent() -> None:
    tally = Tally()
    played(Desk(), "inline", explanation(), tally)
    assert tally == Tally(explanations=1, lines=2, payments_alike=0)


def test_a_cent_more_in_a_line_is_found() -> None:
    tally = Tally()
    wrong = explanation()
    wrong["item"][1] = priced(2, "140.52", "28.114", "112.406")
    played(Desk(), "inline", wrong, tally)
    assert tally.different == ["inline item 2", "inline payment"]


def test_an_adjudication_a_cent_off_is_refused_by_the_rules() -> None:
    desk = Desk()
    done = desk.adjudicated("first", claim_response.said(explanation()))
    desk.submit("second", [line.charge for line in done.lines])
    last = done.shares[2]
    bent = replace(last, coinsurance=last.coinsurance - 1, pay=last.pay + 1)
    shares = (*done.shares[:2], bent)
    allowed, pay = (sum(getattr(item, name) for item in shares) for name in ("allowed", "pay"))
    body = Adjudicate(named("second"), 1, shares, allowed, allowed - pay, pay)
    code = desk.rules.act("payer", Op("claim.adjudicate", wire.to_value(body)), ())
    assert code == "claim-adjudication-disagrees"


def resources(kind: str) -> list[tuple[str, dict[str, Any]]]:
    if not BUNDLES.is_dir():
        pytest.skip("Synthea's bundles (../shared/data/synthea-r4) are not here")
    return [
        (f"{path.stem[:24]} {at}", entry["resource"])
        for path in sorted(BUNDLES.glob("*.json"))
        for at, entry in enumerate(read_json(path.read_bytes())["entry"])
        if entry["resource"]["resourceType"] == kind
    ]


def test_every_explanation_of_synthea_is_reproduced_to_the_cent() -> None:
    tally, desk = Tally(), Desk()
    found = resources("ExplanationOfBenefit")
    for name, resource in found:
        played(desk, name, resource, tally)
    assert tally.different == []
    assert tally.explanations == len(found) >= 44
    assert tally.lines >= 63
    print(f"{tally}")


def test_syntheas_claims_are_refused_with_a_reason_because_they_leave_prices_out() -> None:
    codes = []
    for _, resource in resources("Claim"):
        with pytest.raises(ClaimRefused) as refusal:
            claim.taken(resource)
        codes.append(refusal.value.code)
    assert len(codes) >= 54
    assert set(codes) == {"price-missing"}
