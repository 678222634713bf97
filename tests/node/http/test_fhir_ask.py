"""FHIR out: consents, decisions, accesses and audit batches, over a real ledger."""

import json
from typing import Any

from consensus import wire
from node.ledger import transaction
from node.ledger.families.access import Request
from node.ledger.families.identity_patient import Bind
from node.ledger.families.record import Amend, Anchor
from node.ledger.families.record_custody import Erase
from node.ledger.transaction import Op, Payload
from tests.node.http.conftest import Client
from tests.support.fhir import (
    AUDIT,
    CONSENT,
    FHIR_JSON,
    MRN,
    OBSERVATION,
    Fhir,
    bundle,
    code_of,
    commitment_of,
    named,
)
from tests.support.ledger_fixture import Ledger, key


def bind(ledger: Ledger, subject: str) -> None:
    """Put the patient on the ledger, as the institution and the patient's key do."""
    person = key("anna")
    body = Bind(bytes.fromhex(subject), person.public_key, bytes(32), 2)
    op = Op("identity.patient.bind", wire.to_value(body))
    payload = Payload(ledger.network, "alder", 1000, b"bind0000", (op,))
    ledger.commit(transaction.sign(payload, key("alder identity"), person))


# --- consents and accesses --------------------------------------------------------------------


async def test_a_consent_is_put_on_the_ledger_found_and_evaluated(
    fhir: Fhir, ledger: Ledger
) -> None:
    subject = await fhir.register()
    bind(ledger, subject)
    status, _headers, provenance = await fhir.post("/fhir/Consent", CONSENT)
    assert status == 201, provenance
    by = {"patient.identifier": f"{MRN['system']}|{MRN['value']}"}
    status, found = await fhir.get("/fhir/Consent", params={**by, "status": "active"})
    assert status == 200
    (entry,) = found["entry"]
    consent = entry["resource"]
    assert consent["sourceReference"]["identifier"]["value"] == commitment_of(provenance)
    assert consent["provision"]["type"] == "permit"
    _status, none = await fhir.get("/fhir/Consent", params={**by, "status": "inactive"})
    assert "entry" not in none

    asked = {**by, "requester": "birch", "purpose": "TREAT"}
    _status, decision = await fhir.get("/fhir/$evaluate-consent", params=asked)
    assert named(decision)["decision"] == "permit"
    assert named(decision)["basis"]["identifier"]["value"] == consent["id"]
    values = [{"name": "patient", "valueString": subject}]
    values += [{"name": "requester", "valueString": "cedar"}]
    values += [{"name": "purpose", "valueCode": "TREAT"}]
    body = {"resourceType": "Parameters", "parameter": values}
    _status, _headers, decision = await fhir.post("/fhir/$evaluate-consent", body)
    assert named(decision)["decision"] == "deny"

    ended = {**CONSENT, "status": "inactive", "id": consent["id"]}
    status, _headers, _answer = await fhir.post("/fhir/Consent", ended)
    assert status == 201
    _status, decision = await fhir.get("/fhir/$evaluate-consent", params=asked)
    assert named(decision)["decision"] == "deny"


async def test_a_consent_of_an_unknown_patient_is_refused(fhir: Fhir) -> None:
    status, _headers, refused = await fhir.post("/fhir/Consent", CONSENT)
    assert (status, code_of(refused)) == (404, "patient-unknown")


async def test_a_rule_that_refuses_is_an_outcome_with_its_code(fhir: Fhir) -> None:
    await fhir.register()  # but the ledger has not heard of the patient
    status, _headers, refused = await fhir.post("/fhir/Consent", CONSENT)
    assert (status, code_of(refused)) == (409, "consent-subject-unknown")


async def test_accesses_are_told_in_words_and_as_audit_events(
    fhir: Fhir, ledger: Ledger
) -> None:
    subject = await fhir.register()
    bind(ledger, subject)
    await fhir.post("/fhir/Consent", CONSENT)
    body = Request(
        rid=bytes(32),
        subject=bytes.fromhex(subject),
        custodian="alder",
        purpose="TREAT",
        seal_key=bytes(32),
        until_ms=ledger.book.tip.time_ms + 86_400_000,
    )
    ledger.commit(ledger.sign(Op("access.request", wire.to_value(body)), org="birch"))
    by = {"patient": f"Patient/{subject}"}
    status, report = await fhir.get("/fhir/$access-report", params=by)
    assert status == 200
    (line,) = [item["part"] for item in report["parameter"] if item["name"] == "line"]
    assert "birch asked alder for your data, for treatment." in line[0]["valueString"]
    assert line[1]["resource"]["resourceType"] == "AuditEvent"
    _status, report = await fhir.get(
        "/fhir/$access-report", params=by, headers={"Accept-Language": "zh-CN"}
    )
    assert "birch 向 alder 请求查看您的数据" in json.dumps(report, ensure_ascii=False)
    for asked, many in (
        ({}, 1),
        ({"type": "rest"}, 1),
        ({"type": "110113"}, 0),
        ({"date": "ge2026-01-01"}, 1),
        ({"date": "lt2026-01-01"}, 0),
    ):
        _status, found = await fhir.get("/fhir/AuditEvent", params={**by, **asked})
        assert len(found.get("entry", [])) == many, asked
    form = "&".join(f"{name}={value}" for name, value in by.items())
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with fhir.client.post("/fhir/AuditEvent/_search", data=form, headers=headers) as done:
        assert len((await done.json(content_type=FHIR_JSON))["entry"]) == 1


# --- audit events -----------------------------------------------------------------------------


async def test_audit_events_go_into_batches_that_build_on_one_another(
    fhir: Fhir, ledger: Ledger
) -> None:
    for number in range(1, 6):
        many = [
            {**AUDIT, "recorded": f"2026-01-01T0{number}:0{at}:00Z"} for at in range(number)
        ]
        _status, _headers, answer = await fhir.post("/fhir", bundle("transaction", *many))
        statuses = {entry["response"]["status"] for entry in answer["entry"]}
        assert statuses == {"201 Created"}, answer
    _status, found = await fhir.get("/fhir/AuditEvent")
    batches = [entry["resource"]["entity"][0]["detail"] for entry in found["entry"]]
    counts = [
        {item["type"]: item["valueString"] for item in detail}["count"] for detail in batches
    ]
    assert counts == ["1", "2", "3", "4", "5"]
    status, _headers, refused = await fhir.post("/fhir/AuditEvent", {**AUDIT, "agent": []})
    assert (status, code_of(refused)) == (422, "audit-event-refused")


async def test_an_audit_event_waits_while_a_batch_is_on_its_way(
    client: Client, ledger: Ledger
) -> None:
    fhir = Fhir(client)
    first = await fhir.post("/fhir/AuditEvent", AUDIT, Prefer="respond-async")
    later = {**AUDIT, "recorded": "2026-01-01T09:00:00Z"}
    second = await fhir.post("/fhir/AuditEvent", later, Prefer="respond-async")
    assert (first[0], second[0]) == (202, 202)
    assert len(ledger.mempool) == 1
    ledger.commit()
    third = await fhir.post(
        "/fhir/AuditEvent", {**later, "action": "R"}, Prefer="respond-async"
    )
    assert third[0] == 202
    ledger.commit()
    _status, found = await fhir.get("/fhir/AuditEvent")
    assert found["total"] == 2  # the second batch holds both that waited


# --- verdicts ---------------------------------------------------------------------------------


async def test_what_is_erased_or_amended_on_the_ledger_says_so(
    fhir: Fhir, ledger: Ledger
) -> None:
    raw = json.dumps(OBSERVATION).encode()
    name = commitment_of((await fhir.post("/fhir/Observation", raw))[2])

    async def verified() -> dict[str, Any]:
        values = [{"name": "commitment", "valueString": name}]
        values += [{"name": "resource", "resource": json.loads(raw)}]
        values += [{"name": "language", "valueString": "zh"}]
        body = {"resourceType": "Parameters", "parameter": values}
        return named((await fhir.post("/fhir/$verify", body))[2])

    found = await verified()
    assert (found["verdict"], found["status"]) == ("exact", "live")
    assert "未变" in found["text"]
    newer = Amend(bytes.fromhex(name), Anchor(bytes(31) + b"1", bytes(16), 2), "corrected")
    ledger.commit(ledger.sign(Op("record.amend", wire.to_value(newer))))
    found = await verified()
    assert (found["verdict"], found["status"]) == ("exact", "amended")
    gone = Erase((bytes.fromhex(name),), "GDPR17", bytes(32))
    ledger.commit(ledger.sign(Op("record.erase", wire.to_value(gone))))
    found = await verified()
    assert (found["verdict"], found["status"]) == ("erased", "erased")
