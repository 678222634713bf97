"""FHIR Consent to the ledger and back: nothing kept is lost, nothing unsayable is dropped."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.fhir import consent_codes as codes
from node.fhir.consent import EXCEPTION, LIMITS, REFUSE, Choices, Mapped, read_consent
from node.fhir.consent_codes import NotMapped
from node.fhir.consent_written import write_consent, write_row
from node.fhir.moments import instant, span_of
from node.fhir.remainder import Path as Place
from node.fhir.remainder import rejoin, remainder
from node.ledger.facts.consent_rows import ConsentRow
from node.ledger.facts.consent_rule import Exemption, Named, Rule, Scope
from node.ledger.families.consent import Grant
from tests.support.consents import rules
from tests.support.story import named

EXAMPLES = Path(__file__).resolve().parents[4] / "shared/data/fhir-r4-examples"
CID = named("cid", 16)
CHOICES = Choices(CID, custodian="f001")


def resolve(reference: str) -> bytes | str | None:
    """Know every person and document, institutions by their id, one class and one policy."""
    if reference.startswith("Organization/"):
        return reference.removeprefix("Organization/")
    if reference == "http://hl7.org/fhir/resource-types|MedicationRequest":
        return "7"
    if reference.startswith("http"):
        return "leaflet" if reference == "http://example.org/policies/leaflet.txt" else None
    return None if reference.endswith("/unknown") else named(reference.lower().replace(".", ""))


def coding(system: str, code: str) -> dict[str, str]:
    return {"system": system, "code": code}


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [coding(system, code)]}


def recipient(reference: str, part: str = "IRCP") -> dict[str, Any]:
    return {
        "role": concept(codes.PARTICIPATION, part),
        "reference": {"reference": reference, "display": "as people call them"},
    }


def pcf(provision: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a consent as the IHE PCF profiles ask for it."""
    return {
        "resourceType": "Consent",
        "id": "one",
        "text": {"status": "generated", "div": "<div>What the patient read</div>"},
        "status": "active",
        "scope": concept(codes.SCOPES, "patient-privacy"),
        "category": [concept(codes.LOINC, "59284-0")],
        "patient": {"reference": "Patient/anna", "display": "Anna"},
        "dateTime": "2026-01-13",
        "performer": [{"reference": "Patient/anna"}],
        "organization": [{"reference": "Organization/f001"}],
        "sourceReference": {"reference": "DocumentReference/signed"},
        "policy": [{"uri": "http://example.org/policies/leaflet.txt"}],
        "provision": provision,
        **more,
    }


BASIC = pcf(
    {
        "type": "permit",
        "period": {"start": "2026-01-13", "end": "2026-12"},
        "purpose": [coding(codes.ACT_REASON, item) for item in ("TREAT", "HPAYMT", "HOPERAT")],
    }
)
INTERMEDIATE = pcf(
    {
        "type": "permit",
        "actor": [recipient("Organization/clinic-b"), recipient("Practitioner/dr-who")],
        "dataPeriod": {"start": "2020", "end": "2020-06-30T12:00:00+02:00"},
        "provision": [
            {
                "type": "deny",
                "data": [{"meaning": "related", "reference": {"reference": "Encounter/e1"}}],
            }
        ],
    }
)
ADVANCED = pcf(
    {
        "type": "permit",
        "securityLabel": [coding(codes.CONFIDENTIALITY, "N")],
        "purpose": [coding(codes.ACT_REASON, "TREAT")],
        "provision": [
            {
                "type": "permit",
                "actor": [recipient("Practitioner/dr-who")],
                "securityLabel": [coding(codes.ACT_CODE, item) for item in ("PSY", "HIV")],
            }
        ],
    }
)


def mapped(resource: dict[str, Any], **changes: Any) -> Mapped:
    return read_consent(resource, resolve, Choices(CID, **{"custodian": "f001"} | changes))


def day(text: str) -> int:
    return span_of(text)[0]


def test_a_basic_consent_is_a_permit_for_purposes_and_a_time() -> None:
    done = mapped(BASIC)
    scope = Scope(
        purposes=("HOPERAT", "HPAYMT", "TREAT"),
        from_ms=day("2026-01-13"),
        until_ms=day("2027-01-01"),  # the end is included: all of December
    )
    source = named("documentreference/signed")
    assert done.active
    assert done.grant == Grant(
        CID, named("patient/anna"), Rule(True, scope), "signed", source, "leaflet"
    )


def test_an_intermediate_consent_names_actors_a_data_period_and_data() -> None:
    rule = mapped(INTERMEDIATE).grant.rule
    assert rule.scope == Scope(
        orgs=("clinic-b",),
        practitioners=(named("practitioner/dr-who"),),
        data_from_ms=day("2020"),
        data_until_ms=day("2020-06-30") + 10 * 3_600_000 + 1000,
    )
    encounter = Named("related", named("encounter/e1"))
    assert rule.exemptions == (Exemption(False, Scope(named=(encounter,))),)


def test_an_advanced_consent_singles_out_sensitivity() -> None:
    rule = mapped(ADVANCED).grant.rule
    focused = Scope(practitioners=(named("practitioner/dr-who"),), labels=("HIV", "PSY"))
    assert rule == Rule(
        True, Scope(purposes=("TREAT",), labels=("N",)), (Exemption(True, focused),)
    )


@pytest.mark.parametrize("resource", [BASIC, INTERMEDIATE, ADVANCED])
def test_ledger_and_remainder_make_the_resource_whole_again(resource: dict[str, Any]) -> None:
    done = mapped(resource)
    assert rejoin(write_consent(done.grant), done.remainder) == resource


def test_what_the_ledger_writes_names_nobody() -> None:
    written = json.dumps(write_consent(mapped(INTERMEDIATE).grant))
    for word in ("Patient/", "Anna", "dr-who", "Encounter", "DocumentReference", "example.org"):
        assert word not in written


@given(rules(), st.sampled_from(["ink", "proxy", "signed"]), st.sampled_from([None, "leaflet"]))
def test_a_ledger_consent_survives_fhir(rule: Rule, how: str, policy: str | None) -> None:
    grant = Grant(CID, named("anna"), rule, how, named("form"), policy)
    written = write_consent(grant, since_ms=1, version=3, custodian="f001")
    assert read_consent(json.loads(json.dumps(written)), resolve, CHOICES).grant == grant


def test_a_revoked_consent_is_inactive_there_and_back() -> None:
    row = ConsentRow(CID, 2, Rule(True), "ink", None, "f001", named("s"), None, b"", 0, 5, 77)
    written = write_row(row, subject=named("anna"), status="revoked", custodian="f001")
    assert written["meta"] == {"versionId": "2"}
    assert written["dateTime"] == instant(77)
    assert not read_consent(written, resolve, CHOICES).active


# --- what is refused ------------------------------------------------------------------------

SECRET = "secret-value"
P = "provision"
REFUSED: list[tuple[Place, Any, str, str]] = [
    (("resourceType",), "Patient", codes.MISSING, "Consent"),
    (("modifierExtension",), [], codes.ELEMENT, "Consent.modifierExtension"),
    (("implicitRules",), SECRET, codes.ELEMENT, "Consent.implicitRules"),
    (("verification",), [], codes.ELEMENT, "Consent.verification"),
    (("status",), SECRET, codes.CODE, "Consent.status"),
    (("scope",), concept(codes.SCOPES, "research"), codes.CODE, "Consent.scope"),
    (("scope",), None, codes.MISSING, "Consent.scope"),
    (("scope",), SECRET, codes.MALFORMED, "Consent.scope"),
    (("category",), [], codes.MISSING, "Consent.category"),
    (("category",), [concept(codes.ACT_CODE, "EMRGONLY")], codes.CODE, "Consent.category"),
    (("patient",), {"reference": "Patient/unknown"}, codes.UNRESOLVED, "Consent.patient"),
    (("patient",), {"reference": "Organization/x"}, codes.UNRESOLVED, "Consent.patient"),
    (("patient",), None, codes.MISSING, "Consent.patient"),
    (("patient",), SECRET, codes.MALFORMED, "Consent.patient"),
    (
        ("patient",),
        {"identifier": {"system": codes.SUBJECT, "value": SECRET}},
        codes.MALFORMED,
        "Consent.patient",
    ),
    (
        ("patient",),
        {"identifier": {"system": codes.SUBJECT}},
        codes.MALFORMED,
        "Consent.patient",
    ),
    (("policy",), [{"uri": "http://a"}, {}], codes.TOO_MUCH, "Consent.policy"),
    (("policy",), [{"uri": "http://a"}], codes.UNRESOLVED, "Consent.policy.uri"),
    (("policy",), [{"authority": SECRET}], codes.ELEMENT, "Consent.policy.authority"),
    (("policy",), [{}], codes.MISSING, "Consent.policy.uri"),
    (("policy",), [SECRET], codes.MALFORMED, "Consent.policy"),
    (("policy",), [{"uri": codes.POLICY + "A B"}], codes.TOO_MUCH, "Consent"),
    (("policyRule",), concept(codes.ACT_CODE, SECRET), codes.CODE, "Consent.policyRule"),
    ((P,), SECRET, codes.MALFORMED, "Consent.provision"),
    ((P,), {}, codes.MISSING, "Consent.provision.type"),
    ((P, "type"), SECRET, codes.CODE, "Consent.provision.type"),
    ((P, "code"), [], codes.ELEMENT, "Consent.provision.code"),
    (
        (P, "action"),
        [concept(codes.ACTIONS, "correct")],
        codes.CODE,
        "Consent.provision.action",
    ),
    ((P, "class"), [coding("urn:x", SECRET)], codes.CODE, "Consent.provision.class"),
    ((P, "class"), [SECRET], codes.MALFORMED, "Consent.provision.class"),
    (
        (P, "class"),
        [coding(codes.RECORD_CLASS, "256")],
        codes.TOO_MUCH,
        "Consent.provision",
    ),
    (
        (P, "securityLabel"),
        [coding(codes.ACT_CODE, "SPI")],
        codes.CODE,
        "Consent.provision.securityLabel",
    ),
    ((P, "purpose"), {}, codes.MALFORMED, "Consent.provision.purpose"),
    ((P, "purpose"), [SECRET], codes.MISSING, "Consent.provision.purpose"),
    ((P, "period"), SECRET, codes.MALFORMED, "Consent.provision.period"),
    ((P, "period"), {"start": SECRET}, codes.MALFORMED, "Consent.provision.period"),
    (
        (P, "period"),
        {"start": "2026-02", "end": "2026-01"},
        codes.TOO_MUCH,
        "Consent.provision.period.end",
    ),
    (
        (P, "dataPeriod"),
        {"start": "1950"},
        codes.TOO_MUCH,
        "Consent.provision.dataPeriod.start",
    ),
    ((P, "data"), [SECRET], codes.MALFORMED, "Consent.provision.data"),
    (
        (P, "data"),
        [{"meaning": SECRET, "reference": {"reference": "Task/1"}}],
        codes.CODE,
        "Consent.provision.data.meaning",
    ),
    ((P, "actor"), [SECRET], codes.MALFORMED, "Consent.provision.actor"),
    ((P, "actor"), [{}], codes.MISSING, "Consent.provision.actor.role"),
    (
        (P, "actor"),
        [recipient("Organization/other", "CST")],
        codes.ELEMENT,
        "Consent.provision.actor.role",
    ),
    (
        (P, "actor"),
        [recipient("Practitioner/unknown")],
        codes.UNRESOLVED,
        "Consent.provision.actor.reference",
    ),
    ((P, P), [SECRET], codes.MALFORMED, "Consent.provision.provision"),
    ((P, P), [{}], codes.MISSING, "Consent.provision.provision.type"),
    (
        (P, P),
        [{"type": "deny", "provision": []}],
        codes.ELEMENT,
        "Consent.provision.provision.provision",
    ),
    ((P, P), [{"type": "deny"}] * 17, codes.TOO_MUCH, "Consent"),
]


@pytest.mark.parametrize(("place", "value", "code", "element"), REFUSED)
def test_what_the_ledger_cannot_say_is_refused_by_name(
    place: Place, value: Any, code: str, element: str
) -> None:
    resource = deepcopy(BASIC)
    *above, last = place
    inside: Any = resource
    for name in above:
        inside = inside[name]
    inside[last] = value
    with pytest.raises(NotMapped) as caught:
        mapped(resource)
    assert (caught.value.code, caught.value.element) == (code, element)
    assert SECRET not in str(caught.value)


def test_every_refusal_is_met_here() -> None:
    assert {code for _, _, code, _ in REFUSED} == set(codes.REFUSALS)


def test_more_than_the_ledger_keeps_of_a_list_is_refused() -> None:
    many = {"type": "permit", "actor": [recipient(f"Organization/o{n}") for n in range(17)]}
    with pytest.raises(NotMapped) as caught:
        mapped(pcf(many))
    assert (caught.value.code, caught.value.element) == (codes.TOO_MUCH, "Consent.provision")


# --- a policy rule beside the provision -----------------------------------------------------

OPT_IN = concept(codes.ACT_CODE, "OPTIN")


def test_a_root_provision_of_the_other_type_is_an_exception_to_the_policy_rule() -> None:
    denies = {"type": "deny", "actor": [recipient("Organization/clinic-b", "PRCP")]}
    resource = pcf(denies, policyRule=OPT_IN)
    done = mapped(resource)
    clinic = Scope(orgs=("clinic-b",))
    assert done.grant.rule == Rule(True, Scope(), (Exemption(False, clinic),))
    assert rejoin(write_consent(done.grant), done.remainder) == resource
    with pytest.raises(NotMapped, match=r"Consent\.provision\.provision"):
        mapped(pcf({**denies, "provision": [{"type": "permit"}]}, policyRule=OPT_IN))


def test_the_caller_says_what_a_root_provision_without_a_type_means() -> None:
    resource = pcf({"actor": [recipient("Organization/clinic-b")]}, policyRule=OPT_IN)
    clinic = Scope(orgs=("clinic-b",))
    assert mapped(resource, untyped=LIMITS).grant.rule == Rule(True, clinic)
    excepted = Rule(True, Scope(), (Exemption(False, clinic),))
    assert mapped(resource, untyped=EXCEPTION).grant.rule == excepted
    with pytest.raises(NotMapped, match=r"Consent\.provision\.type"):
        mapped(resource)
    assert mapped(pcf({}, policyRule=OPT_IN)).grant.rule == Rule(True)


# --- the official examples ------------------------------------------------------------------

TYPE = f"{codes.MISSING} Consent.provision.type"
NESTED = f"{codes.ELEMENT} Consent.provision.provision"
# Example: what comes of it if untyped root provisions are refused, limits, exceptions.
OFFICIAL = {
    "Emergency": (f"{codes.CODE} Consent.category",) * 3,
    "Out": (TYPE, "deny", "deny"),
    "basic": (TYPE, "permit", "permit"),
    "grantor": (TYPE, "deny", "deny"),
    "notAuthor": (TYPE, "permit", "permit"),
    "notOrg": (f"{codes.CODE} Consent.provision.action",) * 3,
    "notThem": (f"{codes.CODE} Consent.provision.action",) * 3,
    "notThis": (TYPE, "permit", "permit"),
    "notTime": (TYPE, "permit", "permit"),
    "pkb": (TYPE, f"{codes.MISSING} Consent.provision.provision.type", NESTED),
    "signature": (TYPE, f"{codes.ELEMENT} Consent.provision.provision.code", NESTED),
    "smartonfhir": (TYPE, "permit", NESTED),
}


@pytest.mark.parametrize("example", OFFICIAL)
def test_an_official_example_is_kept_whole_or_refused_by_name(example: str) -> None:
    path = EXAMPLES / f"Consent-consent-example-{example}.json"
    if not path.exists():
        pytest.skip("the official examples (../shared/data/fhir-r4-examples) are not here")
    resource = json.loads(path.read_text(encoding="utf-8"))
    outcomes = []
    for untyped in (REFUSE, LIMITS, EXCEPTION):
        try:
            done = mapped(resource, untyped=untyped)
        except NotMapped as refused:
            outcomes.append(f"{refused.code} {refused.element}")
            continue
        written = write_consent(done.grant)
        assert rejoin(written, done.remainder) == resource
        assert read_consent(written, resolve, CHOICES).grant == done.grant
        outcomes.append("permit" if done.grant.rule.permit else "deny")
    assert tuple(outcomes) == OFFICIAL[example]


# --- dates and remainders -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024", "2024-01-01T00:00:00.000Z", "2024-12-31T23:59:59.999Z"),
        ("2024-02", "2024-02-01T00:00:00.000Z", "2024-02-29T23:59:59.999Z"),
        ("2024-12-31", "2024-12-31T00:00:00.000Z", "2024-12-31T23:59:59.999Z"),
        ("2024-01-01T00:30:00+01:00", "2023-12-31T23:30:00.000Z", "2023-12-31T23:30:00.999Z"),
        (
            "2024-01-01T00:30:00.25-01:30",
            "2024-01-01T02:00:00.250Z",
            "2024-01-01T02:00:00.250Z",
        ),
    ],
)
def test_a_date_lasts_to_its_precision(text: str, first: str, last: str) -> None:
    start, end = span_of(text)
    assert (instant(start), instant(end - 1)) == (first, last)


@pytest.mark.parametrize(
    "text", ["", "24", "2024-13", "2024-01-01T10:00", "2024-01-01T00:00:00+15:00", "2024-1-1"]
)
def test_what_is_no_date_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        span_of(text)


_json = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
_object = st.dictionaries(st.sampled_from("abcd"), _json, max_size=4)


@given(_object, _object)
def test_a_remainder_always_makes_the_whole(
    whole: dict[str, Any], kept: dict[str, Any]
) -> None:
    assert rejoin(kept, remainder(whole, kept)) == whole
