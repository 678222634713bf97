"""Provenance in FHIR R4: what the ledger did to records, and what others ask it to do."""

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest

from node.fhir.provenance import (
    AMEND,
    ANCHOR,
    BATCH,
    CUSTODY,
    ERASE,
    HOLD,
    KINDS,
    RELEASE,
    RETRACT,
    Act,
    Agent,
    ProvenanceRefused,
    Seal,
    Taken,
    read_provenance,
    write_provenance,
)
from tests.support.examples import broken, official

OPERATIONS = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
LEDGER = "urn:chartseal:commitment|"
ACT = Act(
    kind=ANCHOR,
    targets=(b"c" * 32,),
    org="hospital-a",
    txid=b"t" * 32,
    height=12,
    time_ms=1_767_225_600_123,
    seal=Seal("text/plain", b"a receipt"),
)
WRITTEN: dict[str, Any] = {
    "resourceType": "Provenance",
    "id": "one",
    "target": [{"reference": "DiagnosticReport/1"}],
    "recorded": "2026-01-01T01:00:00+01:00",
    "reason": [{"text": "treatment"}],
    "activity": {"coding": [{"system": OPERATIONS, "code": "CREATE"}]},
    "agent": [
        {
            "type": {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/"
                        "provenance-participant-type",
                        "code": "author",
                    }
                ]
            },
            "who": {"reference": "Practitioner/1"},
        }
    ],
}


def known(reference: str) -> bytes | None:
    """Resolve what the ledger names by its name, and everything else to some commitment."""
    if reference.startswith(LEDGER):
        return bytes.fromhex(reference.removeprefix(LEDGER))
    return hashlib.sha256(reference.encode()).digest()


def refused(resource: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(ProvenanceRefused) as caught:
        read_provenance(resource, known)
    return caught.value.code, caught.value.element


def entity(role: str) -> dict[str, Any]:
    return {"role": role, "what": {"reference": "DiagnosticReport/0"}}


# --- in -----------------------------------------------------------------------------------


def test_a_creation_is_taken_as_an_anchor_and_reasons_stay() -> None:
    assert read_provenance(WRITTEN, known) == Taken(
        kind=ANCHOR,
        targets=(hashlib.sha256(b"DiagnosticReport/1").digest(),),
        previous=None,
        recorded_ms=1_767_225_600_000,
        agents=(Agent(("author",), "Practitioner/1"),),
        seals=(),
        stays=("reason",),
    )


@pytest.mark.parametrize(
    ("name", "targets", "roles", "seals", "stays"),
    [
        (
            "Provenance-example",
            1,
            [("AUT",), ("DEV",)],
            0,
            ("location", "occurredPeriod", "policy", "reason", "text"),
        ),
        ("Provenance-consent-signature", 1, [("AUT",)], 1, ("text",)),
        (
            "Provenance-example-biocompute-object",
            1,
            [("AUT",)],
            0,
            ("occurredPeriod", "reason", "text"),
        ),
        ("Provenance-example-cwl", 1, [("AUT",)], 0, ("occurredPeriod", "reason", "text")),
    ],
)
def test_official_examples_are_taken_as_anchors(
    name: str, targets: int, roles: list[Any], seals: int, stays: tuple[str, ...]
) -> None:
    taken = read_provenance(official(name), known)
    assert (taken.kind, len(taken.targets), taken.previous) == (ANCHOR, targets, None)
    assert [agent.roles for agent in taken.agents] == roles
    assert (len(taken.seals), taken.stays) == (seals, stays)


def test_the_official_verification_is_refused_it_did_nothing_to_the_record() -> None:
    example = official("Provenance-signature")
    assert refused(example) == ("activity-unknown", "Provenance.activity")


@pytest.mark.parametrize(
    ("role", "kind"), [("removal", ERASE), ("revision", AMEND), ("source", ANCHOR)]
)
def test_without_an_activity_the_entities_decide(role: str, kind: str) -> None:
    resource = {name: value for name, value in WRITTEN.items() if name != "activity"}
    taken = read_provenance(resource | {"entity": [entity(role)]}, known)
    assert taken.kind == kind
    assert (taken.previous is not None) == (role == "revision")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"resourceType": "AuditEvent"}, "not-a-provenance"),
        ({"modifierExtension": [{"url": "urn:x"}]}, "modifier"),
        ({"target": []}, "missing"),
        ({"target": [{"display": "a report"}]}, "nameless"),
        ({"agent": []}, "missing"),
        ({"agent": [{"who": {"reference": "Practitioner/1"}}]}, "role-unknown"),
        ({"recorded": "2026-01-01"}, "not-an-instant"),
        ({"recorded": "2026-13-01T00:00:00Z"}, "not-an-instant"),
        (
            {"activity": {"coding": [{"system": OPERATIONS, "code": "JUMP"}]}},
            "activity-unknown",
        ),
        ({"activity": {"text": "created"}}, "activity-unknown"),
        ({"entity": [entity("mother")]}, "unknown-code"),
        ({"entity": [entity("revision"), entity("revision")]}, "two-revised"),
        ({"signature": [{"type": [{"code": "1"}], "sigFormat": "a/b"}]}, "missing"),
        (
            {"signature": [{"type": [{"code": "1"}], "sigFormat": "a/b", "data": "%%"}]},
            "malformed",
        ),
    ],
)
def test_what_the_ledger_cannot_take_is_refused_by_name(
    changed: dict[str, Any], code: str
) -> None:
    assert refused(WRITTEN | changed)[0] == code


def test_a_target_that_nobody_anchored_is_refused() -> None:
    with pytest.raises(ProvenanceRefused, match="not-on-the-ledger"):
        read_provenance(WRITTEN, lambda _: None)


@pytest.mark.parametrize("junk", [None, 7, "", [], {}, [[]], [{}], {"coding": 3}], ids=repr)
def test_no_damage_leads_to_anything_but_a_refusal(junk: Any) -> None:
    amendment = replace(ACT, kind=AMEND, previous=b"p" * 32)
    for resource in (*broken(WRITTEN, junk), *broken(write_provenance(amendment), junk)):
        if not isinstance(resource, dict):
            continue
        try:
            read_provenance(resource, known)
        except ProvenanceRefused as error:
            assert error.element.startswith("Provenance")  # noqa: PT017


# --- out ----------------------------------------------------------------------------------


def test_an_anchor_is_written_whole() -> None:
    institution = {
        "identifier": {"system": "urn:chartseal:institution", "value": "hospital-a"},
        "type": "Organization",
    }
    assert write_provenance(ACT) == {
        "resourceType": "Provenance",
        "id": "74" * 32,
        "target": [{"identifier": {"system": "urn:chartseal:commitment", "value": "63" * 32}}],
        "recorded": "2026-01-01T00:00:00.123Z",
        "activity": {"coding": [{"system": OPERATIONS, "code": "CREATE"}]},
        "agent": [
            {
                "type": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/"
                            "provenance-participant-type",
                            "code": "author",
                        }
                    ]
                },
                "who": institution,
            }
        ],
        "entity": [
            {
                "role": "source",
                "what": {
                    "identifier": {"system": "urn:chartseal:transaction", "value": "74" * 32},
                    "display": "block 12",
                },
            }
        ],
        "signature": [
            {
                "type": [
                    {"system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.1"}
                ],
                "when": "2026-01-01T00:00:00.123Z",
                "who": institution,
                "targetFormat": "application/fhir+json",
                "sigFormat": "text/plain",
                "data": base64.b64encode(b"a receipt").decode(),
            }
        ],
    }


@pytest.mark.parametrize(
    ("kind", "code", "parts"),
    [
        (ANCHOR, "CREATE", ["author"]),
        (BATCH, "CREATE", ["author"]),
        (AMEND, "UPDATE", ["author"]),
        (RETRACT, "NULLIFY", ["author"]),
        (ERASE, "DELETE", ["custodian"]),
        (HOLD, "HOLD", ["legal"]),
        (RELEASE, "RELEASE", ["legal"]),
        (CUSTODY, "UPDATE", ["attester", "custodian"]),
    ],
)
def test_each_operation_has_its_activity_and_its_agents(
    kind: str, code: str, parts: list[str]
) -> None:
    act = replace(
        ACT,
        kind=kind,
        previous=b"p" * 32 if kind == AMEND else None,
        to="hospital-b" if kind == CUSTODY else None,
        seal=None,
    )
    written = write_provenance(act)
    assert written["activity"]["coding"][0]["code"] == code
    assert [agent["type"]["coding"][0]["code"] for agent in written["agent"]] == parts
    assert "signature" not in written
    system = "urn:chartseal:batch" if kind == BATCH else "urn:chartseal:commitment"
    assert written["target"][0]["identifier"]["system"] == system


@pytest.mark.parametrize("kind", [ANCHOR, AMEND, RETRACT, ERASE])
def test_what_is_written_is_understood_again(kind: str) -> None:
    targets = (b"1" * 32, b"2" * 32)
    previous = b"p" * 32 if kind == AMEND else None
    act = replace(ACT, kind=kind, targets=targets, previous=previous)
    taken = read_provenance(write_provenance(act), known)
    assert (taken.kind, taken.targets, taken.previous) == (kind, targets, previous)
    assert (taken.recorded_ms, taken.stays) == (ACT.time_ms, ())
    assert taken.seals == (ACT.seal,)


def test_an_act_that_makes_no_sense_cannot_be_made() -> None:
    assert len(KINDS) == 8
    for changed in ({"kind": "record.read"}, {"targets": ()}, {"kind": AMEND}, {"to": "b"}):
        with pytest.raises(ValueError, match=r"act|amendment|hand-over"):
            replace(ACT, **changed)
