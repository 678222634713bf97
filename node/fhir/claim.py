"""FHIR R4 Claim in and out: what of it goes on the ledger, and what is sealed off it.

A Claim is read once: use, currency, and of each item the class of its code, the units and the
charge.  Everything else, codes and dates and people, stays in the resource, which is committed
to (``detail``) and goes to the payer sealed.  ``agrees`` is what the payer asks when it opens
that: does the resource say what the ledger says?

Refuses with ``ClaimRefused`` what the ledger could not keep without guessing: items without a
price, amounts finer than the currency's smallest unit, two currencies, totals that are not the
sum of the items.  A refusal names the element and a stable code; it never quotes a value.

Source: http://hl7.org/fhir/R4/claim.html.  R4's own rule for an item: net = quantity x
unitPrice x factor; where ``net`` is missing it is computed, without rounding.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from node.fhir import amounts
from node.fhir.amounts import AmountRefused
from node.ledger.facts import money
from node.ledger.facts.claim_bodies import PreauthRequest, Submit, Wanted
from node.ledger.facts.claim_evidence import Cited
from node.ledger.facts.claim_tables import CLASS_PATTERN, LINES_MAX, UNITS_MAX, Line

Resource = dict[str, Any]
T = TypeVar("T")

CLASS_SYSTEM: Final = "urn:chartseal:code-class"
CLAIM_TYPE: Final = "http://terminology.hl7.org/CodeSystem/claim-type"
CLAIM: Final = "claim"
PREAUTHORIZATION: Final = "preauthorization"


class ClaimRefused(Exception):
    """A resource that the ledger cannot take; ``element`` is a FHIRPath without values."""

    def __init__(self, code: str, element: str) -> None:
        super().__init__(f"{element}: {code}")
        self.code = code
        self.element = element


@dataclass(frozen=True, slots=True)
class Priced:
    """One item as the ledger keeps it.  ``sequence``: the item's own number in the resource."""

    sequence: int
    code_class: str
    units: int
    charge: int  # minor units


@dataclass(frozen=True, slots=True)
class Taken:
    """What the ledger takes of a Claim.  ``use``: claim or preauthorization."""

    use: str
    currency: str
    lines: tuple[Priced, ...]

    @property
    def charge(self) -> int:
        return sum(item.charge for item in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handles:
    """The random handles and commitments that only the parties know how to make.

    ``nullifiers``: one for each line, in order.  ``detail``: commitment to the resource.
    """

    claim: bytes
    coverage: bytes
    period: int
    anchors: tuple[Cited, ...]
    nullifiers: tuple[bytes, ...]
    detail: bytes
    preauth: bytes | None = None


# --- in --------------------------------------------------------------------------------------


def taken(resource: Resource, *, classes: Mapping[str, str] | None = None) -> Taken:
    """Return what the ledger keeps of an R4 Claim, read by ``node.ledger.canon.read_json``.

    ``classes``: ``system|code`` of ``productOrService`` -> class of codes; a code that is not
    in it has the claim's type (oral, pharmacy, ...) as its class.
    """
    if resource.get("resourceType") != "Claim":
        raise ClaimRefused("not-a-claim", "resourceType")
    if resource.get("status") != "active":
        raise ClaimRefused("status-not-active", "Claim.status")
    use = resource.get("use")
    if use not in (CLAIM, PREAUTHORIZATION):
        raise ClaimRefused("use-unsupported", "Claim.use")
    items = listed(resource, "item", "Claim")
    if not 1 <= len(items) <= LINES_MAX:
        raise ClaimRefused("item-count", "Claim.item")
    currency = _currency(items, resource)
    general = _class_of_type(resource)
    lines = tuple(
        _priced(item, f"Claim.item[{at}]", currency, general, classes or {})
        for at, item in enumerate(items)
    )
    if len({line.sequence for line in lines}) != len(lines):
        raise ClaimRefused("sequence-repeated", "Claim.item.sequence")
    found = Taken(use, currency, lines)
    _check_total(resource, found)
    return found


def listed(owner: Resource, name: str, path: str) -> list[Resource]:
    """Return a repeated element; refuses what is no list of objects."""
    items = owner.get(name, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ClaimRefused("not-a-list", f"{path}.{name}")
    return items


def member(owner: Resource, name: str, path: str) -> Resource:
    """Return an element that is an object; an empty one where it is missing."""
    found = owner.get(name, {})
    if not isinstance(found, dict):
        raise ClaimRefused("not-an-object", f"{path}.{name}")
    return found


def amount_at(path: str, read: Callable[..., int], *values: Any) -> int:
    """Return what ``read`` makes of the values; a refusal names ``path``."""
    try:
        return read(*values)
    except AmountRefused as error:
        raise ClaimRefused(error.code, path) from None


def _currency(items: Sequence[Resource], resource: Resource) -> str:
    """Return the one currency of all amounts."""
    found = set()
    for at, item in enumerate(items):
        for name in ("net", "unitPrice"):
            if name in item:
                path = f"Claim.item[{at}]"
                found.add(_code(member(item, name, path), f"{path}.{name}"))
    if "total" in resource:
        found.add(_code(member(resource, "total", "Claim"), "Claim.total"))
    if not found:
        raise ClaimRefused("price-missing", "Claim.item.net")
    if len(found) > 1:
        raise ClaimRefused("currency-mixed", "Claim.item.net.currency")
    return found.pop()


def _code(amount: Resource, path: str) -> str:
    code = amount.get("currency")
    if not isinstance(code, str) or code not in money.DIGITS:
        raise ClaimRefused("currency-unknown", f"{path}.currency")
    return code


def codings(concept: Resource, path: str) -> list[tuple[str, str]]:
    """Return (system, code) of a CodeableConcept's codings; a missing system is empty."""
    found = []
    for coding in listed(concept, "coding", path):
        system, code = coding.get("system", ""), coding.get("code")
        if isinstance(system, str) and isinstance(code, str):
            found.append((system, code))
    return found


def _class_of_type(resource: Resource) -> str:
    for system, code in codings(member(resource, "type", "Claim"), "Claim.type"):
        if system in (CLAIM_TYPE, CLASS_SYSTEM) and CLASS_PATTERN.fullmatch(code):
            return code
    raise ClaimRefused("type-unknown", "Claim.type")


def _priced(
    item: Resource, path: str, currency: str, general: str, classes: Mapping[str, str]
) -> Priced:
    sequence = item.get("sequence")
    number = amount_at(f"{path}.sequence", amounts.whole, sequence)
    if not number:
        raise ClaimRefused("sequence-invalid", f"{path}.sequence")
    quantity = member(item, "quantity", path).get("value", 1)
    units = amount_at(f"{path}.quantity", amounts.whole, quantity)
    if not 1 <= units <= UNITS_MAX:
        raise ClaimRefused("quantity-out-of-range", f"{path}.quantity")
    return Priced(
        sequence=number,
        code_class=_class(item, path, general, classes),
        units=units,
        charge=_charge(item, path, currency, quantity),
    )


def _class(item: Resource, path: str, general: str, classes: Mapping[str, str]) -> str:
    where = f"{path}.productOrService"
    concept = member(item, "productOrService", path)
    if not concept:
        raise ClaimRefused("product-missing", where)
    for system, code in codings(concept, where):
        found = code if system == CLASS_SYSTEM else classes.get(f"{system}|{code}")
        if found is not None:
            if not CLASS_PATTERN.fullmatch(found):
                raise ClaimRefused("class-invalid", where)
            return found
    return general


def _charge(item: Resource, path: str, currency: str, quantity: Any) -> int:
    if "net" in item:
        net = member(item, "net", path)
        return amount_at(f"{path}.net", amounts.exact, currency, net.get("value"))
    if "unitPrice" not in item:
        raise ClaimRefused("price-missing", f"{path}.net")
    price = member(item, "unitPrice", path).get("value")
    factors = (price, quantity, item.get("factor", 1))
    return amount_at(f"{path}.unitPrice", amounts.exact, currency, *factors)


def _check_total(resource: Resource, found: Taken) -> None:
    if "total" not in resource:
        return
    value = member(resource, "total", "Claim").get("value")
    total = amount_at("Claim.total", amounts.exact, found.currency, value)
    if total != found.charge:
        raise ClaimRefused("total-disagrees", "Claim.total")


# --- to the ledger and back ------------------------------------------------------------------


def submission(found: Taken, handles: Handles) -> Submit:
    """Return the body of ``claim.submit``; raises ``ValueError`` for wrong handles."""
    if found.use != CLAIM:
        raise ClaimRefused("use-not-claim", "Claim.use")
    lines = tuple(
        Line(item.code_class, item.units, item.charge, nullifier)
        for item, nullifier in zip(found.lines, handles.nullifiers, strict=True)
    )
    return Submit(
        claim=handles.claim,
        coverage=handles.coverage,
        period=handles.period,
        lines=lines,
        anchors=handles.anchors,
        detail=handles.detail,
        preauth=handles.preauth,
    )


def preauthorization(
    found: Taken, *, preauth: bytes, coverage: bytes, detail: bytes
) -> PreauthRequest:
    """Return the body of ``claim.preauth.request``: units by class, no amounts."""
    if found.use != PREAUTHORIZATION:
        raise ClaimRefused("use-not-preauthorization", "Claim.use")
    units: dict[str, int] = {}
    for item in found.lines:
        units[item.code_class] = units.get(item.code_class, 0) + item.units
    if any(count > UNITS_MAX for count in units.values()):
        raise ClaimRefused("quantity-out-of-range", "Claim.item.quantity")
    wanted = tuple(Wanted(code, count) for code, count in units.items())
    return PreauthRequest(preauth, coverage, wanted, detail)


def agrees(
    resource: Resource,
    currency: str,
    lines: Sequence[Line],
    *,
    classes: Mapping[str, str] | None = None,
) -> bool:
    """Return whether an unsealed Claim says what the ledger has of it."""
    found = taken(resource, classes=classes)
    mine = [(item.code_class, item.units, item.charge) for item in found.lines]
    theirs = [(item.code_class, item.units, item.charge) for item in lines]
    return found.currency == currency and mine == theirs


def claim_out(
    found: Taken, *, claim: bytes, coverage: bytes, provider: str, payer: str
) -> Resource:
    """Return an R4 Claim of what the ledger keeps; the member is known by the coverage only.

    ``created`` and ``priority``, which R4 requires, are not on the ledger: absent by extension.
    """
    return {
        "resourceType": "Claim",
        "identifier": [identifier("claim", claim.hex())],
        "status": "active",
        "type": {"coding": [{"system": CLASS_SYSTEM, "code": "claim"}]},
        "use": found.use,
        "patient": {"identifier": identifier("member", coverage.hex())},
        "_created": {"extension": [absent()]},
        "insurer": {"identifier": identifier("institution", payer)},
        "provider": {"identifier": identifier("institution", provider)},
        "priority": {"extension": [absent()]},
        "insurance": [
            {
                "sequence": 1,
                "focal": True,
                "coverage": {"identifier": identifier("coverage", coverage.hex())},
            }
        ],
        "item": [
            {
                "sequence": item.sequence,
                "productOrService": {
                    "coding": [{"system": CLASS_SYSTEM, "code": item.code_class}]
                },
                "quantity": {"value": item.units},
                "net": amounts.money_of(found.currency, item.charge),
            }
            for item in found.lines
        ],
        "total": amounts.money_of(found.currency, found.charge),
    }


def identifier(what: str, value: str) -> Resource:
    return {"system": f"urn:chartseal:{what}", "value": value}


def absent() -> Resource:
    """Return the extension that says why a required element is not there."""
    url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    return {"url": url, "valueCode": "not-permitted"}
