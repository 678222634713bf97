"""FHIR R4 ClaimResponse and ExplanationOfBenefit of an adjudicated claim, out and in.

Out: each line's share in the categories of HL7 (submitted, eligible, deductible, copay,
benefit) and of CARIN for Blue Button, C4BB (coinsurance, noncovered, discount,
memberliability).  What they add up to is what the ledger's rules guarantee:

    submitted = eligible + discount + noncovered,  eligible = benefit + memberliability
    memberliability = deductible + copay + coinsurance + (what lies beyond the plan's limit)

In: ``said`` reads what a payer's ExplanationOfBenefit says per item, in those categories or in
the CMS Blue Button variables, to compare it with the ledger's own.

Sources: http://hl7.org/fhir/R4/claimresponse.html, explanationofbenefit.html;
http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBAdjudication; X12 claim adjustment reason codes.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.fhir import amounts
from node.fhir.claim import (
    CLASS_SYSTEM,
    ClaimRefused,
    Resource,
    amount_at,
    codings,
    identifier,
    listed,
    member,
)
from node.ledger.facts import money
from node.ledger.facts.claim_tables import DENIALS, Line, Share
from node.ledger.facts.claims import ADJUDICATED, ClaimRow

HL7: Final = "http://terminology.hl7.org/CodeSystem/adjudication"
C4BB: Final = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBAdjudication"
C4BB_REASON: Final = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBAdjudicationDiscriminator"
CARC: Final = "https://x12.org/codes/claim-adjustment-reason-codes"
OUR_REASON: Final = "urn:chartseal:claim-reason"
BLUE_BUTTON: Final = "https://bluebutton.cms.gov/resources/variables/"

_SYSTEMS: Final = {
    "submitted": HL7,
    "eligible": HL7,
    "deductible": HL7,
    "copay": HL7,
    "benefit": HL7,
    "coinsurance": C4BB,
    "noncovered": C4BB,
    "discount": C4BB,
    "memberliability": C4BB,
}
# Our reasons and the adjustment reason code that says the same.
_CARC: Final = {
    "documents-missing": "16",
    "experimental": "55",
    "limit-partly": "119",
    "limit-reached": "119",
    "no-preauth": "197",
    "not-covered": "96",
    "not-eligible": "27",
    "not-necessary": "50",
    "other-payer": "22",
    "out-of-network": "242",
}
_VARIABLES: Final = {
    "line_sbmtd_chrg_amt": "submitted",
    "line_alowd_chrg_amt": "eligible",
    "line_bene_ptb_ddctbl_amt": "deductible",
    "line_coinsrnc_amt": "coinsurance",
    "line_prvdr_pmt_amt": "benefit",
}


# --- out -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjudicated:
    """An adjudicated claim.  ``original``: the unsealed Claim, if the reader has it: its type,
    patient and item numbers are used; without it the ledger's handles stand in."""

    claim: bytes
    row: ClaimRow
    lines: Sequence[Line]
    shares: Sequence[Share]
    original: Resource | None = None


def parts(line: Line, share: Share) -> dict[str, int]:
    """Return a line's amounts by category, in minor units."""
    denied = share.reason in DENIALS
    rest = line.charge - share.allowed
    return {
        "submitted": line.charge,
        "eligible": share.allowed,
        "deductible": share.deductible,
        "copay": share.copay,
        "coinsurance": share.coinsurance,
        "noncovered": rest if denied else 0,
        "discount": 0 if denied else rest,
        "memberliability": share.patient,
        "benefit": share.pay,
    }


def _category(name: str) -> Resource:
    return {"coding": [{"system": _SYSTEMS[name], "code": name}]}


def _adjudication(currency: str, line: Line, share: Share) -> list[Resource]:
    found = [
        {"category": _category(name), "amount": amounts.money_of(currency, value)}
        for name, value in parts(line, share).items()
    ]
    if share.reason in _CARC:
        why = {"coding": [{"system": C4BB_REASON, "code": "denialreason"}]}
        reason = [
            {"system": OUR_REASON, "code": share.reason},
            {"system": CARC, "code": _CARC[share.reason]},
        ]
        found.append({"category": why, "reason": {"coding": reason}})
    return found


def _totals(adjudicated: Adjudicated) -> list[Resource]:
    pairs = zip(adjudicated.lines, adjudicated.shares, strict=True)
    rows = [parts(line, share) for line, share in pairs]
    currency = adjudicated.row.currency
    return [
        {
            "category": _category(name),
            "amount": amounts.money_of(currency, sum(row[name] for row in rows)),
        }
        for name in _SYSTEMS
    ]


def _sequences(adjudicated: Adjudicated) -> list[int]:
    if adjudicated.original is None:
        return list(range(1, len(adjudicated.lines) + 1))
    items = listed(adjudicated.original, "item", "Claim")
    if len(items) != len(adjudicated.lines):
        raise ClaimRefused("item-count", "Claim.item")
    return [
        amount_at(f"Claim.item[{at}].sequence", amounts.whole, item.get("sequence"))
        for at, item in enumerate(items)
    ]


def _head(kind: str, adjudicated: Adjudicated) -> Resource:
    row, original = adjudicated.row, adjudicated.original or {}
    ours = {"identifier": identifier("member", row.coverage.hex())}
    return {
        "resourceType": kind,
        "identifier": [identifier("claim", adjudicated.claim.hex())],
        "status": "active",
        "type": original.get("type", {"coding": [{"system": CLASS_SYSTEM, "code": "claim"}]}),
        "use": "claim",
        "patient": original.get("patient", ours),
        "created": instant(row.adjudicated_ms or row.submitted_ms),
        "insurer": {"identifier": identifier("institution", row.payer)},
    }


def instant(time_ms: int) -> str:
    """Return ledger time as FHIR dateTime, in UTC."""
    at = datetime.datetime.fromtimestamp(time_ms // 1000, datetime.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _outcome(adjudicated: Adjudicated) -> str:
    """Return the outcome: an open appeal or a new adjudication to come leaves it partial."""
    if not adjudicated.shares:
        return "queued"
    row = adjudicated.row
    stands = row.status == ADJUDICATED and not row.appeal_open
    return "complete" if stands else "partial"


def _payment(row: ClaimRow) -> Resource:
    state = "complete" if row.paid >= row.approved else "partial"
    system = "http://terminology.hl7.org/CodeSystem/ex-paymenttype"
    return {
        "type": {"coding": [{"system": system, "code": state}]},
        "amount": amounts.money_of(row.currency, row.approved),
    }


def claim_response(adjudicated: Adjudicated) -> Resource:
    """Return the R4 ClaimResponse that the payer would send."""
    row = adjudicated.row
    found = _head("ClaimResponse", adjudicated) | {
        "requestor": {"identifier": identifier("institution", row.provider)},
        "request": {"identifier": identifier("claim", adjudicated.claim.hex())},
        "outcome": _outcome(adjudicated),
    }
    if not adjudicated.shares:
        return found
    triples = zip(_sequences(adjudicated), adjudicated.lines, adjudicated.shares, strict=True)
    return found | {
        "item": [
            {"itemSequence": number, "adjudication": _adjudication(row.currency, line, share)}
            for number, line, share in triples
        ],
        "total": _totals(adjudicated),
        "payment": _payment(row),
    }


def explanation(adjudicated: Adjudicated) -> Resource:
    """Return the R4 ExplanationOfBenefit for the patient: the claim and what came of it."""
    row = adjudicated.row
    coverage = {"identifier": identifier("coverage", row.coverage.hex())}
    found = _head("ExplanationOfBenefit", adjudicated) | {
        "provider": {"identifier": identifier("institution", row.provider)},
        "claim": {"identifier": identifier("claim", adjudicated.claim.hex())},
        "outcome": _outcome(adjudicated),
        "insurance": [{"focal": True, "coverage": coverage}],
    }
    if not adjudicated.shares:
        return found
    originals = listed(adjudicated.original or {}, "item", "Claim")
    items = []
    triples = zip(_sequences(adjudicated), adjudicated.lines, adjudicated.shares, strict=True)
    for at, (number, line, share) in enumerate(triples):
        ours = {"coding": [{"system": CLASS_SYSTEM, "code": line.code_class}]}
        product = originals[at].get("productOrService", ours) if originals else ours
        items.append(
            {
                "sequence": number,
                "productOrService": product,
                "quantity": {"value": line.units},
                "net": amounts.money_of(row.currency, line.charge),
                "adjudication": _adjudication(row.currency, line, share),
            }
        )
    return found | {"item": items, "total": _totals(adjudicated), "payment": _payment(row)}


# --- in --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SaidItem:
    """What an explanation says of one item: minor units by category, rounded half to even if
    it says more digits than the currency has."""

    sequence: int
    codes: tuple[tuple[str, str], ...]
    charge: int | None
    amounts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Said:
    """``payment`` in minor units, rounded; None where the explanation has none."""

    currency: str
    items: tuple[SaidItem, ...]
    payment: int | None


def said(resource: Resource) -> Said:
    """Return what an R4 ExplanationOfBenefit says, item by item."""
    if resource.get("resourceType") != "ExplanationOfBenefit":
        raise ClaimRefused("not-an-explanation", "resourceType")
    items = listed(resource, "item", "ExplanationOfBenefit")
    currency = _one_currency(resource, items)
    found = []
    for at, item in enumerate(items):
        path = f"ExplanationOfBenefit.item[{at}]"
        charge = None
        if "net" in item:
            charge = _minor(currency, member(item, "net", path), f"{path}.net")
        said_of = {}
        for row in listed(item, "adjudication", path):
            name = _name(member(row, "category", path), path)
            if name and "amount" in row:
                money_row = member(row, "amount", path)
                said_of[name] = _minor(currency, money_row, f"{path}.adjudication.amount")
        number = amount_at(f"{path}.sequence", amounts.whole, item.get("sequence"))
        product = member(item, "productOrService", path)
        found.append(SaidItem(number, tuple(codings(product, path)), charge, said_of))
    paid = member(resource, "payment", "ExplanationOfBenefit")
    payment = None
    if "amount" in paid:
        where = "ExplanationOfBenefit.payment"
        payment = _minor(currency, member(paid, "amount", where), f"{where}.amount")
    return Said(currency, tuple(found), payment)


def _minor(currency: str, amount: Resource, path: str) -> int:
    if amount.get("currency", currency) != currency:
        raise ClaimRefused("currency-mixed", f"{path}.currency")
    return amount_at(path, amounts.rounded, currency, amount.get("value"))


def _one_currency(resource: Resource, items: Sequence[Resource]) -> str:
    """Return the currency of the first amount that names one."""
    path = "ExplanationOfBenefit"
    candidates = [member(item, "net", path) for item in items]
    candidates += [member(row, "amount", path) for row in listed(resource, "total", path)]
    for amount in candidates:
        code = amount.get("currency")
        if isinstance(code, str) and code in money.DIGITS:
            return code
    raise ClaimRefused("currency-unknown", "ExplanationOfBenefit.item.net.currency")


def _name(category: Resource, path: str) -> str | None:
    """Return our name of an adjudication category, if it is one that we know."""
    for system, code in codings(category, path):
        if code.startswith(BLUE_BUTTON):
            return _VARIABLES.get(code.removeprefix(BLUE_BUTTON))
        if _SYSTEMS.get(code) == system or (not system and code in _SYSTEMS):
            return code
    return None
