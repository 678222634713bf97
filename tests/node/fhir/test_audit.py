"""Accesses as AuditEvents in BALP's shape, and local AuditEvents as leaves of a batch."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.fhir import audit, audit_local
from node.fhir.audit import ACT_REASON, DCM, PROFILE
from node.fhir.audit_local import Coded, EventRefused, Kept
from node.ledger import commitment as commitments
from node.ledger import merkle
from node.ledger.facts import audits
from node.ledger.facts.accesses import Event, items_digest
from node.ledger.families.access import Decide, Glass, Request, Review
from node.ledger.families.access_audit import Audit, Gap
from node.ledger.families.access_release import Ack, Disclose, Release
from tests.support.accesses import ANNA, DOCTOR, Bench
from tests.support.story import START_MS, named

EXAMPLES = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "fhir-r4-examples"
OBSERVER = {"identifier": {"system": "urn:chartseal:institution", "value": "north"}}
RID, DID = named("rid"), named("did")
SCAN = named("scan")


# --- out -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told() -> dict[str, Event]:
    """Return one event of each kind, as the rules made them."""
    bench = Bench()
    do = bench.do
    asked = Request(RID, ANNA, "north", "TREAT", bytes(32), 3, practitioner=DOCTOR)
    assert do("south", asked) == "applied"
    found = bench.verdict(RID)
    permit = Decide(RID, True, found.residual, 1, found.basis, found.basis_version)
    assert do("north", permit) == "applied"
    assert do("north", Release(RID, (SCAN,), bytes(32), found.residual)) == "applied"
    assert do("south", Ack(RID, 0, items_digest((SCAN,)), "ok")) == "applied"
    assert do("north", Release(RID, (SCAN,), bytes(32), found.residual)) == "applied"
    bench.later(2 * 86_400_000)
    glass = Glass(named("glass"), ANNA, "north", "patient-unable", DOCTOR, bytes(32))
    bench.policy("break-glass-only", glass=())
    assert do("south", glass) == "applied"
    assert do("north", Review(glass.rid, "breach")) == "applied"
    court = Disclose(DID, ANNA, "HLEGAL", "court", 1, items_digest((SCAN,)), START_MS)
    assert do("north", court) == "applied"
    bench.policy("deny", glass=())
    assert (
        do("payer", replace(asked, rid=named("second"), purpose="HPAYMT", practitioner=None))
        == "applied"
    )
    denial = bench.verdict(named("second"))
    deny = Decide(
        named("second"), False, denial.residual, 1, denial.basis, denial.basis_version
    )
    assert do("north", deny) == "applied"
    events = bench.ask("access.log", subject=ANNA).events
    return {event.event: event for event in reversed(events)}  # the first of each kind


def codes(concepts: list[dict[str, Any]]) -> list[str]:
    return [item["coding"][0]["code"] for item in concepts]


def shape(found: dict[str, Any]) -> tuple[str, list[str], str, str]:
    """Return type, subtypes, action and outcome."""
    subtypes = [item["code"] for item in found["subtype"]]
    return found["type"]["code"], subtypes, found["action"], found["outcome"]


@pytest.mark.parametrize(
    ("name", "profile", "wanted"),
    [
        ("request", "PatientQuery", ("rest", ["search"], "E", "0")),
        ("permit", "AuthZconsent", ("110113", ["AuthZ-Consent"], "E", "0")),
        ("deny", "AuthZconsent", ("110113", ["AuthZ-Consent"], "E", "8")),
        ("glass", "AuthZconsent", ("110113", ["AuthZ-Consent", "110127"], "E", "0")),
        ("release", "PrivacyDisclosure.Source", ("110106", ["disclose"], "R", "0")),
        ("disclosure", "PrivacyDisclosure.Source", ("110106", ["disclose"], "R", "0")),
        ("receipt", "PrivacyDisclosure.Recipient", ("110107", ["disclose"], "C", "0")),
    ],
)  # fmt: skip
def test_each_event_has_the_shape_of_its_profile(
    told: dict[str, Event], name: str, profile: str, wanted: tuple[str, list[str], str, str]
) -> None:
    found = audit.audit_event(told[name], ANNA)
    assert found["meta"]["profile"] == [PROFILE + profile]
    assert shape(found) == wanted
    assert found["resourceType"] == "AuditEvent"
    people = [item for item in found["entity"] if item["type"]["code"] == "1"]
    assert [item["what"]["identifier"]["value"] for item in people] == [ANNA.hex()]
    observer = found["source"]["observer"]
    assert observer == {
        "type": "Organization",
        "identifier": {"system": "urn:chartseal:institution", "value": told[name].org},
    }


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("permit", "authserver"),
        ("deny", "authserver"),
        ("release", "110153"),
        ("disclosure", "110153"),
        ("receipt", "110152"),
    ],
)
def test_who_recorded_the_event_is_the_agent_that_its_profile_names(
    told: dict[str, Event], name: str, role: str
) -> None:
    """BALP's invariant val-audit-source."""
    found = audit.audit_event(told[name], ANNA)
    (agent,) = [item for item in found["agent"] if codes([item["type"]]) == [role]]
    assert agent["who"] == found["source"]["observer"]


def test_every_kind_of_event_can_be_read_back_as_an_audit_event(told: dict[str, Event]) -> None:
    assert set(told) == set(audit._FORMS)
    for event in told.values():
        raw = json.dumps(audit.audit_event(event, ANNA)).encode()
        kept = audit_local.read(raw)
        assert kept.recorded_ms == event.time_ms
        assert kept.purposes == (Coded(ACT_REASON, event.purpose),)
        assert kept.outcome is not None


def test_a_decision_names_the_four_agents_and_two_entities_that_its_profile_asks_for(
    told: dict[str, Event],
) -> None:
    found = audit.audit_event(told["permit"], ANNA)
    assert codes([item["type"] for item in found["agent"]]) == [
        "110150",
        "IRCP",
        "PROV",
        "authserver",
    ]
    user, authorizer = found["agent"][1], found["agent"][3]
    assert user["who"]["identifier"]["value"] == DOCTOR.hex()
    assert codes(user["purposeOfUse"]) == ["TREAT"]
    assert authorizer["who"] == found["source"]["observer"]
    assert [item["type"]["code"] for item in found["entity"]] == ["1", "Consent"]
    consent = found["entity"][1]
    assert consent["what"]["identifier"] == {"system": "urn:chartseal:basis", "value": "net"}
    assert {"type": "access", "valueString": RID.hex()} in consent["detail"]


def test_a_consent_is_named_by_its_id_and_nothing_at_all_by_words(
    told: dict[str, Event],
) -> None:
    cid = bytes(range(200, 216))
    for reason in ("patient-permits", "patient-unable"):
        event = replace(told["glass"], basis=cid, reason=reason)
        what = audit.audit_event(event, ANNA)["entity"][1]["what"]
        assert what["type"] == "Consent"
        assert what["identifier"]["value"] == cid.hex()
    event = replace(told["deny"], basis=None, reason="no-policy")
    assert "display" in audit.audit_event(event, ANNA)["entity"][1]["what"]


def test_a_broken_glass_says_so_as_purpose(told: dict[str, Event]) -> None:
    found = audit.audit_event(told["glass"], ANNA)
    assert codes(found["purposeOfEvent"]) == ["BTG"]
    assert found["outcomeDesc"] == "patient-unable"


def test_who_received_a_disclosure_off_the_ledger_is_told_by_kind(
    told: dict[str, Event],
) -> None:
    found = audit.audit_event(told["disclosure"], ANNA)
    recipient = next(item for item in found["agent"] if codes([item["type"]]) == ["110152"])
    assert recipient["who"] == {"display": "court"}
    assert found["period"] == {
        "start": "2026-01-01T00:00:00.000Z",
        "end": "2026-01-01T00:00:00.000Z",
    }


def test_a_receipt_that_is_not_in_order_is_a_minor_failure(told: dict[str, Event]) -> None:
    event = replace(told["receipt"], reason="mismatch-altered")
    assert audit.audit_event(event, ANNA)["outcome"] == "4"


def test_a_review_and_a_lateness_tell_who_and_what(told: dict[str, Event]) -> None:
    review = audit.audit_event(told["review"], ANNA)
    late = audit.audit_event(told["overdue"], ANNA)
    assert (review["outcome"], review["outcomeDesc"]) == ("4", "breach")
    assert (late["outcomeDesc"], late["subtype"][0]["code"]) == ("acknowledge", "overdue")
    justified = replace(told["review"], reason="justified")
    assert audit.audit_event(justified, ANNA)["outcome"] == "0"


def test_a_request_carries_its_query(told: dict[str, Event]) -> None:
    query = audit.audit_event(told["request"], ANNA)["entity"][0]["query"]
    assert (
        base64.b64decode(query)
        == f"access.request?rid={RID.hex()}&purpose=TREAT&data_class=3".encode()
    )


def test_a_request_for_everything_names_no_class(told: dict[str, Event]) -> None:
    event = replace(told["request"], data_class=None)
    query = audit.audit_event(event, ANNA)["entity"][0]["query"]
    assert base64.b64decode(query).endswith(b"purpose=TREAT")


def test_no_identifier_but_random_ones_goes_out(told: dict[str, Event]) -> None:
    systems = set()

    def walk(tree: Any) -> None:
        if isinstance(tree, dict):
            if "value" in tree and "system" in tree:
                systems.add(tree["system"])
            for item in tree.values():
                walk(item)
        elif isinstance(tree, list):
            for item in tree:
                walk(item)

    for event in told.values():
        walk(audit.audit_event(event, ANNA))
    ours = {"institution", "subject", "access", "released", "licence", "basis"}
    assert systems <= {f"urn:chartseal:{what}" for what in ours}


def test_batches_and_outages_are_audit_events_of_the_institution() -> None:
    bench = Bench()
    root, path = audits.grow([named("event")], 0)
    first = Audit(root, 1, START_MS, START_MS + 500, merkle.EMPTY_ROOT, path, 3_600_000)
    assert bench.do("north", first) == "applied"
    assert bench.do("north", Gap(START_MS + 600, START_MS + 900, "power")) == "applied"
    batch, gap = bench.ask("access.chain", org="north").entries
    found = audit.audit_entry(batch, "north")
    assert shape(found) == ("110101", ["batch"], "E", "0")
    assert found["period"]["end"] == "2026-01-01T00:00:00.500Z"
    assert found["entity"][0]["what"]["identifier"]["value"] == root.hex()
    outage = audit.audit_entry(gap, "north")
    assert shape(outage) == ("110100", ["gap"], "E", "4")
    assert outage["outcomeDesc"] == "power"
    assert audit_local.read(json.dumps(outage).encode()).recorded_ms == gap.time_ms


# --- in --------------------------------------------------------------------------------------


def example(**changes: Any) -> bytes:
    """Return a small AuditEvent; None takes an element away."""
    tree: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "type": {"system": DCM, "code": "110110", "display": "Patient Record"},
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": "read"}],
        "action": "R",
        "recorded": "2024-02-29T23:59:59.123456+01:00",
        "outcome": "0",
        "purposeOfEvent": [{"coding": [{"system": ACT_REASON, "code": "TREAT"}]}],
        "agent": [
            {
                "requestor": True,
                "purposeOfUse": [{"coding": [{"system": ACT_REASON, "code": "ETREAT"}]}],
            }
        ],
        "source": {"observer": {"display": "ward 3"}},
    }
    tree.update(changes)
    return json.dumps({name: item for name, item in tree.items() if item is not None}).encode()


def test_what_is_kept_of_a_local_event() -> None:
    assert audit_local.read(example()) == Kept(
        type=Coded(DCM, "110110"),
        subtypes=(Coded("http://hl7.org/fhir/restful-interaction", "read"),),
        action="R",
        outcome="0",
        recorded="2024-02-29T23:59:59.123456+01:00",
        recorded_ms=1_709_247_599_123,
        purposes=(Coded(ACT_REASON, "TREAT"),),
        uses=(Coded(ACT_REASON, "ETREAT"),),
    )


REFUSED = [
    (b"{", "syntax"),
    (b'{"resourceType":"AuditEvent","resourceType":"AuditEvent"}', "duplicate-key"),
    (b"[]", "not-audit-event"),
    (example(resourceType="Patient"), "not-audit-event"),
    (example(type=None), "type-missing"),
    (example(type={"display": "Patient Record"}), "type-missing"),
    (example(agent=[]), "agent-missing"),
    (example(agent=[{"who": {"display": "x"}}]), "agent-missing"),
    (example(source={"site": "Cloud"}), "source-missing"),
    (example(recorded=None), "recorded-missing"),
    (example(recorded="2024-02-29"), "recorded-missing"),
    (example(recorded="2023-02-29T00:00:00Z"), "recorded-missing"),
    (example(recorded="1969-12-31T23:59:59Z"), "recorded-before-1970"),
    (example(action="X"), "action-unknown"),
    (example(outcome="1"), "outcome-unknown"),
    (example(subtype=[{"code": "x"}] * 65), "too-many-codes"),
]


@pytest.mark.parametrize(
    ("raw", "reason"),
    REFUSED,
    ids=[f"{at}-{reason}" for at, (_, reason) in enumerate(REFUSED)],
)
def test_what_is_no_audit_event_is_refused_with_a_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(EventRefused) as caught:
        audit_local.take(raw, r=named("r"))
    assert caught.value.reason == reason


CODED = st.builds(Coded, st.none() | st.just(DCM), st.text("abc123", min_size=1, max_size=4))


@given(
    kind=CODED,
    subtypes=st.lists(CODED, max_size=3).map(tuple),
    action=st.none() | st.sampled_from(audit_local.ACTIONS),
    outcome=st.none() | st.sampled_from(audit_local.OUTCOMES),
    purposes=st.lists(CODED, max_size=3).map(tuple),
    uses=st.lists(CODED, max_size=3).map(tuple),
)
def test_what_is_kept_survives_the_way_out_and_in(**fields: Any) -> None:
    at = "2024-02-29T23:59:59Z"
    kept = Kept(fields.pop("kind"), recorded=at, recorded_ms=1_709_251_199_000, **fields)
    found = audit_local.to_fhir(kept, observer=OBSERVER)
    assert audit_local.read(json.dumps(found).encode()) == kept


def test_local_events_go_into_a_batch_and_each_is_proven_to_be_in_it() -> None:
    raws = [example(recorded=f"2024-02-29T12:00:{at:02}Z") for at in range(5)]
    _batched(raws)


def _batched(raws: list[bytes]) -> None:
    """Take the events, chain them in as two batches, and prove every one of them."""
    taken = [audit_local.take(raw, r=named(f"r-{at}")) for at, raw in enumerate(raws)]
    leaves = [item.commitment for item in taken]
    assert len(set(leaves)) == len(raws)
    bench, size = Bench(), 0
    for count in (2, len(raws) - 2):
        previous, _ = audits.grow(leaves[:size], 0)
        root, path = audits.grow(leaves[: size + count], size)
        body = Audit(root, count, START_MS, START_MS, previous, path, 3_600_000)
        assert bench.do("north", body) == "applied"
        size += count
    chain = audits.chain(bench.get, "north")
    assert chain is not None
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    for at, (raw, item) in enumerate(zip(raws, taken, strict=True)):
        again = commitments.open_record(
            raw, media_type=audit_local.MEDIA_TYPE, r=item.opening.r
        )
        assert commitments.commitment(again) == item.commitment
        assert merkle.verify_inclusion(
            hashes[at],
            index=at,
            size=chain.size,
            path=merkle.inclusion_path(hashes, at),
            root=chain.root,
        )


def test_the_official_examples_go_into_a_batch_and_come_out_again() -> None:
    paths = sorted(EXAMPLES.glob("AuditEvent-*.json")) if EXAMPLES.is_dir() else []
    if not paths:
        pytest.skip("the official FHIR R4 examples are not here")
    raws = [path.read_bytes() for path in paths]
    assert len(raws) == 9
    _batched(raws)
    for raw in raws:
        kept = audit_local.read(raw)
        found = audit_local.to_fhir(kept, observer=OBSERVER)
        assert audit_local.read(json.dumps(found).encode()) == kept
        tree = json.loads(raw)
        assert kept.type.code == tree["type"]["code"]
        assert [item.code for item in kept.subtypes] == [
            item["code"] for item in tree["subtype"]
        ]
        assert (kept.action, kept.outcome) == (tree["action"], tree["outcome"])
        assert kept.recorded == tree["recorded"]
