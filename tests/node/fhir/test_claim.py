"""FHIR Claims in and out: what is taken, what is refused and how, what comes back."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.fhir import amounts, claim, claim_response
from node.fhir.amounts import AmountRefused
from node.fhir.claim import ClaimRefused, Handles, Priced, Taken
from node.fhir.claim_response import Adjudicated
from node.ledger.canon import Number, read_json
from node.ledger.facts import money
from node.ledger.facts.claim_evidence import Cited
from node.ledger.facts.claim_tables import Case, Table, Tariff, Used, adjudicate
from node.ledger.facts.claims import ClaimRow
from tests.support.story import named

EXAMPLES = Path(__file__).parents[3].parent / "shared" / "data" / "fhir-r4-examples"
DENTIST = """{"resourceType": "Claim", "status": "active", "use": "claim",
 "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/claim-type",
                      "code": "oral"}]},
 "patient": {"reference": "Patient/1"}, "created": "2014-08-16",
 "item": [
  {"sequence": 1, "productOrService": {"coding": [{"system": "urn:dental", "code": "1200"}]},
   "net": {"value": 135.57, "currency": "USD"}},
  {"sequence": 4, "productOrService": {"coding": [{"system": "urn:dental", "code": "67221"}]},
   "quantity": {"value": 2.0}, "unitPrice": {"value": 1400.0, "currency": "USD"},
   "factor": 0.75}],
 "total": {"value": 2235.57, "currency": "USD"}}"""


def dentist(**changed: Any) -> dict[str, Any]:
    return read_json(DENTIST.encode()) | changed


def item(**changed: Any) -> dict[str, Any]:
    found = dentist()["item"][0] | changed
    return {name: value for name, value in found.items() if value is not None}


def usd(text: str) -> dict[str, Any]:
    return {"value": Number(text), "currency": "USD"}


def test_a_claim_is_read_to_the_cent_and_a_missing_net_is_computed() -> None:
    found = claim.taken(dentist(), classes={"urn:dental|67221": "bridge"})
    assert found == Taken(
        "claim", "USD", (Priced(1, "oral", 1, 13557), Priced(4, "bridge", 2, 210000))
    )


def handles() -> Handles:
    return Handles(
        claim=named("claim"),
        coverage=named("coverage"),
        period=0,
        anchors=(Cited(named("visit")),),
        nullifiers=(named("n1"), named("n2")),
        detail=named("detail"),
    )


PRODUCT = "Claim.item[0].productOrService"
NET = "Claim.item[0].net"
QUANTITY = "Claim.item[0].quantity"
EURO = {"value": Number("1"), "currency": "EUR"}
TWICE = {"item": [item(), item()], "total": usd("271.14")}


def of(**changed: Any) -> dict[str, Any]:
    """Return what gives the claim a single item, changed."""
    return {"item": [item(**changed)]}


@pytest.mark.parametrize(
    ("changed", "code", "element"),
    [
        ({"resourceType": "Patient"}, "not-a-claim", "resourceType"),
        ({"status": "draft"}, "status-not-active", "Claim.status"),
        ({"use": "predetermination"}, "use-unsupported", "Claim.use"),
        ({"type": {}}, "type-unknown", "Claim.type"),
        ({"type": []}, "not-an-object", "Claim.type"),
        ({"item": []}, "item-count", "Claim.item"),
        ({"item": "all"}, "not-a-list", "Claim.item"),
        ({"item": [item()] * 201}, "item-count", "Claim.item"),
        (TWICE, "sequence-repeated", "Claim.item.sequence"),
        (of(sequence=None), "not-a-decimal", "Claim.item[0].sequence"),
        (of(sequence=0), "sequence-invalid", "Claim.item[0].sequence"),
        ({"item": [item(), item(sequence=2, net=None)]}, "price-missing", "Claim.item[1].net"),
        (of(net=None) | {"total": usd("1")}, "price-missing", NET),
        (of(productOrService=None), "product-missing", PRODUCT),
        (of(net=usd("1.005")), "amount-precision", NET),
        (of(net=usd("-1")), "amount-negative", NET),
        (of(net=usd("1e30")), "amount-too-large", NET),
        (of(net={"value": "1", "currency": "USD"}), "not-a-decimal", NET),
        (of(net={"value": Number("1")}), "currency-unknown", f"{NET}.currency"),
        ({"total": EURO}, "currency-mixed", "Claim.item.net.currency"),
        (of(quantity={"value": Number("2.5")}), "quantity-not-whole", QUANTITY),
        (of(quantity={"value": Number("0")}), "quantity-out-of-range", QUANTITY),
        ({"total": usd("2235.58")}, "total-disagrees", "Claim.total"),
    ],
    ids=range(23),
)
def test_what_cannot_be_kept_is_refused_by_element_and_code(changed, code, element) -> None:
    with pytest.raises(ClaimRefused) as refusal:
        claim.taken(dentist(**changed))
    assert (refusal.value.code, refusal.value.element) == (code, element)
    assert str(refusal.value) == f"{element}: {code}"


def test_a_class_that_the_ledger_cannot_hold_is_refused() -> None:
    with pytest.raises(ClaimRefused, match="class-invalid"):
        claim.taken(dentist(), classes={"urn:dental|1200": "Not A Class"})


def test_what_is_kept_comes_back_from_the_claim_that_we_write() -> None:
    found = claim.taken(dentist(), classes={"urn:dental|67221": "bridge"})
    out = claim.claim_out(found, claim=named("c"), coverage=named("k"), provider="a", payer="b")
    assert claim.taken(read_json(amounts.written(out).encode())) == found


def test_a_claim_becomes_the_body_of_a_submission_and_agrees_with_it() -> None:
    found = claim.taken(dentist())
    body = claim.submission(found, handles())
    assert [line.charge for line in body.lines] == [13557, 210000]
    assert claim.agrees(dentist(), "USD", body.lines)
    assert not claim.agrees(dentist(), "EUR", body.lines)
    assert not claim.agrees(dentist(), "USD", body.lines[:1])
    with pytest.raises(ClaimRefused, match="use-not-preauthorization"):
        claim.preauthorization(
            found, preauth=named("p"), coverage=named("k"), detail=named("d")
        )


def test_a_preauthorization_asks_for_units_by_class() -> None:
    found = claim.taken(dentist(use="preauthorization"))
    body = claim.preauthorization(
        found, preauth=named("p"), coverage=named("k"), detail=named("d")
    )
    assert [(item.code_class, item.units) for item in body.wanted] == [("oral", 3)]
    with pytest.raises(ClaimRefused, match="use-not-claim"):
        claim.submission(found, handles())


# --- amounts ---------------------------------------------------------------------------------


@given(st.integers(0, money.AMOUNT_MAX), st.sampled_from(["JPY", "EUR", "KWD"]))
def test_minor_units_survive_their_text(value, currency) -> None:
    assert amounts.exact(currency, amounts.text(currency, value)) == value


@pytest.mark.parametrize(
    ("text", "cents"),
    [("1.5", 150), ("1.50", 150), ("15e-1", 150), ("1.5E2", 15000), ("0", 0), ("-0.0", 0)],
)
def test_a_decimal_is_read_as_it_is_written(text, cents) -> None:
    assert amounts.exact("USD", Number(text)) == cents


@pytest.mark.parametrize(
    ("text", "cents"),
    [("28.104000000000003", 2810), ("0.125", 12), ("0.135", 14), ("0.1350000001", 14)],
)
def test_other_peoples_floats_are_rounded_half_to_even(text, cents) -> None:
    assert amounts.rounded("USD", Number(text)) == cents


@pytest.mark.parametrize(
    "value", [1.5, "2.5", None, True, Number("01"), Number("1."), Number("NaN")]
)
def test_what_is_no_decimal_is_refused(value) -> None:
    with pytest.raises(AmountRefused, match="not-a-decimal"):
        amounts.exact("USD", value)


# --- out -------------------------------------------------------------------------------------


def adjudicated() -> Adjudicated:
    body = claim.submission(
        claim.taken(dentist(), classes={"urn:dental|67221": "bridge"}),
        handles(),
    )
    tariffs = (
        Tariff("bridge", None, 9000, preauth=True),
        Tariff("oral", 12000, None, 2000, 1000, True),
    )
    table = Table("payer", "plan", 1, "USD", tariffs, 5000, 0, 0, 0, 0)
    shares, _ = adjudicate(table, body.lines, Used(), Case(denied={}, granted=frozenset()))
    row = ClaimRow(
        provider="clinic", payer="payer", plan="plan", version=1, currency="USD",
        coverage=named("coverage"), period=0, detail=named("detail"), preauth=None,
        status="adjudicated", charge=223557, approved=sum(item.pay for item in shares),
        patient=sum(item.patient for item in shares), paid=0, recouped=0, steps=2, rounds=1,
        pends=0, appeals=0, appeal_open=False, anew=(), submitted_ms=1_767_225_600_000,
        adjudicated_ms=1_767_225_660_000, due_ms=None, listed=True,
    )  # fmt: skip
    return Adjudicated(
        claim=named("claim"), row=row, lines=body.lines, shares=shares, original=dentist()
    )


def shown(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {
        row["category"]["coding"][0]["code"]: str(row["amount"]["value"])
        for row in rows
        if "amount" in row
    }


def test_a_response_says_each_share_in_its_category() -> None:
    response = claim_response.claim_response(adjudicated())
    assert response["created"] == "2026-01-01T00:01:00Z"
    assert [row["itemSequence"] for row in response["item"]] == [1, 4]
    assert shown(response["item"][0]["adjudication"]) == {
        "submitted": "135.57",
        "eligible": "120.00",
        "deductible": "50.00",
        "copay": "10.00",
        "coinsurance": "12.00",
        "noncovered": "0.00",
        "discount": "15.57",
        "memberliability": "72.00",
        "benefit": "48.00",
    }
    denied = response["item"][1]["adjudication"]
    assert shown(denied)["noncovered"] == "2100.00"
    assert [row["code"] for row in denied[-1]["reason"]["coding"]] == ["no-preauth", "197"]
    assert shown(response["total"])["benefit"] == "48.00"
    assert str(response["payment"]["amount"]["value"]) == "48.00"


def test_an_explanation_can_be_read_again_to_the_cent() -> None:
    source = adjudicated()
    resource = claim_response.explanation(source)
    said = claim_response.said(read_json(amounts.written(resource).encode()))
    assert said.payment == source.row.approved
    pairs = zip(source.lines, source.shares, strict=True)
    assert [item.amounts for item in said.items] == [
        claim_response.parts(*pair) for pair in pairs
    ]
    assert [item.codes for item in said.items] == [
        (("urn:dental", "1200"),),
        (("urn:dental", "67221"),),
    ]


def test_json_is_valid_and_carries_decimals_as_numbers() -> None:
    text = amounts.written(claim_response.claim_response(adjudicated()))
    assert json.loads(text)["total"][0]["amount"]["value"] == 2235.57


def test_a_claim_that_waits_is_queued() -> None:
    source = adjudicated()
    waiting = Adjudicated(claim=source.claim, row=source.row, lines=source.lines, shares=())
    response = claim_response.claim_response(waiting)
    assert response["outcome"] == "queued"
    assert "item" not in response
    ours = {"system": "urn:chartseal:member", "value": named("coverage").hex()}
    assert response["patient"] == {"identifier": ours}


# --- the official examples -------------------------------------------------------------------


def test_every_official_example_is_taken_and_comes_back() -> None:
    if not EXAMPLES.is_dir():
        pytest.skip("the official R4 examples (../shared/data/fhir-r4-examples) are not here")
    verdicts = {}
    for path in sorted(EXAMPLES.glob("Claim-*.json")):
        resource = read_json(path.read_bytes())
        try:
            found = claim.taken(resource)
        except ClaimRefused as refusal:
            verdicts[path.stem] = refusal.code
            continue
        out = claim.claim_out(
            found, claim=named("c"), coverage=named("k"), provider="a", payer="b"
        )
        assert claim.taken(read_json(amounts.written(out).encode())) == found
        verdicts[path.stem] = found.use
    assert len(verdicts) == 17
    assert verdicts.pop("Claim-100153") == "preauthorization"
    assert set(verdicts.values()) == {"claim"}, verdicts


def test_the_official_explanations_are_read() -> None:
    if not EXAMPLES.is_dir():
        pytest.skip("the official R4 examples (../shared/data/fhir-r4-examples) are not here")
    path = EXAMPLES / "ExplanationOfBenefit-EB3500.json"
    said = claim_response.said(read_json(path.read_bytes()))
    assert [item.amounts.get("benefit") for item in said.items] == [9600, 18000]
