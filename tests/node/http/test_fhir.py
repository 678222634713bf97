"""FHIR in: what is anchored, found again, repeated and refused, over a real ledger."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from consensus import wire
from node.errors import ChartsealError
from node.fhir_desk import Desk
from node.http.fhir_entries import ENTRIES_MAX
from node.ledger.commitment import encode_opening
from node.ledger.families.record import Retract
from node.ledger.transaction import Op
from node.local_store import LocalStore
from node.patients import Patients
from tests.node.http.conftest import Client, client_of
from tests.support.examples import EXAMPLES
from tests.support.fhir import (
    AUDIT,
    FHIR_JSON,
    MRN,
    OBSERVATION,
    PATIENT,
    Fhir,
    bundle,
    code_of,
    commitment_of,
    named,
    txid_of,
)
from tests.support.ledger_fixture import Ledger

BASIC = {"resourceType": "Basic", "code": {"text": "x"}}


# --- anchoring --------------------------------------------------------------------------------


async def test_a_posted_resource_is_anchored_and_its_copy_is_verified(fhir: Fhir) -> None:
    raw = json.dumps(OBSERVATION, indent=1).encode()
    status, headers, provenance = await fhir.post("/fhir/Observation", raw)
    assert status == 201
    name = commitment_of(provenance)
    assert headers["Location"] == f"/fhir/Observation/{name}"
    assert headers["Chartseal-Transaction"] == txid_of(provenance)
    record = await fhir.client.json(f"/v1/records/{name}")
    assert record["status"] == "live"

    async def verdict(copy: bytes) -> Any:
        head = b'{"resourceType":"Parameters","parameter":['
        said = b'{"name":"commitment","valueString":"%s"},' % name.encode()
        body = head + said + b'{"name":"resource","resource":' + copy + b"}]}"
        _status, _headers, found = await fhir.post("/fhir/$verify", body)
        return named(found)["verdict"]

    assert await verdict(raw) == "exact"
    moved = json.dumps({**OBSERVATION, "meta": {"versionId": "7"}}, sort_keys=True)
    assert await verdict(moved.encode()) == "same-meaning"
    changed = raw.replace(b"6.3", b"6.30")
    assert changed != raw
    assert await verdict(changed) == "altered"


async def test_a_receipt_comes_with_the_provenance_and_proves_the_anchor(fhir: Fhir) -> None:
    _status, _headers, made = await fhir.post("/fhir/Observation", OBSERVATION)
    name = commitment_of(made)
    _status, told = await fhir.get(f"/fhir/Provenance/{name}")
    (signature,) = told["signature"]
    assert signature["sigFormat"] == "text/plain"
    receipt = base64.b64decode(signature["data"]).decode()

    async def proven(commitment: str, text: str) -> tuple[int, Any]:
        values = [{"name": "commitment", "valueString": commitment}]
        values.append({"name": "receipt", "valueString": text})
        body = {"resourceType": "Parameters", "parameter": values}
        status, _headers, found = await fhir.post("/fhir/$verify", body)
        return status, named(found)["receipt"] if status == 200 else code_of(found)

    assert await proven(name, receipt) == (200, "proves")
    assert await proven("ab" * 32, receipt) == (200, "of-something-else")
    lines = receipt.splitlines(keepends=True)
    forged = "".join(line.replace("alder", "bldeq") for line in lines)
    assert (await proven(name, forged))[1] in ("proves-nothing", "receipt-invalid")
    assert await proven(name, "no receipt") == (422, "receipt-invalid")


async def test_verify_knows_nothing_of_what_nobody_anchored(fhir: Fhir) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "commitment", "valueString": "ab" * 32},
            {"name": "resource", "resource": OBSERVATION},
        ],
    }
    status, _headers, found = await fhir.post("/fhir/$verify", body)
    assert (status, named(found)["verdict"]) == (200, "unknown")


async def test_a_transaction_bundle_is_one_transaction_of_the_ledger(fhir: Fhir) -> None:
    both = bundle("transaction", OBSERVATION, {**OBSERVATION, "status": "amended"})
    status, _headers, answer = await fhir.post("/fhir", both)
    assert (status, answer["type"]) == (200, "transaction-response")
    first, second = answer["entry"]
    assert first["response"]["status"] == second["response"]["status"] == "201 Created"
    assert txid_of(first["resource"]) == txid_of(second["resource"])
    assert commitment_of(first["resource"]) != commitment_of(second["resource"])
    tx = await fhir.client.json(f"/v1/transactions/{txid_of(first['resource'])}/content")
    assert [op["kind"] for op in tx["transaction"]["ops"]] == ["record.anchor", "record.anchor"]


async def test_a_bundle_of_as_many_entries_as_one_transaction_takes(
    fhir: Fhir, ledger: Ledger
) -> None:
    many = bundle("transaction", *[OBSERVATION] * ENTRIES_MAX)
    status, _headers, answer = await fhir.post("/fhir", many)
    assert (status, len(answer["entry"])) == (200, ENTRIES_MAX)
    assert len({txid_of(entry["resource"]) for entry in answer["entry"]}) == 1
    height = ledger.book.tip.height
    many["entry"].append(many["entry"][0])
    status, _headers, refused = await fhir.post("/fhir", many)
    assert (status, code_of(refused)) == (413, "body-too-large")
    status, _headers, answer = await fhir.post("/fhir", {**many, "type": "batch"})
    assert {entry["response"]["status"] for entry in answer["entry"]} == {"201 Created"}
    assert ledger.book.tip.height > height


async def test_references_inside_a_bundle_lead_to_its_patient(
    fhir: Fhir, ledger: Ledger
) -> None:
    inside = {**OBSERVATION, "subject": {"reference": "urn:uuid:1"}}
    both = bundle("transaction", inside, PATIENT)
    both["entry"][1]["fullUrl"] = "urn:uuid:1"
    answer = (await fhir.post("/fhir", both))[2]
    observation, patient = answer["entry"]
    assert "outcome" not in observation["response"]
    assert patient["response"]["location"].startswith("Patient/")
    local = LocalStore(ledger.store, ledger.service.disk.path)
    desk = Desk(ledger.service, local, Patients(local))
    held = desk.held(bytes.fromhex(commitment_of(observation["resource"])))
    assert held is not None
    assert held.subject is not None
    assert held.subject.hex() == patient["resource"]["id"]


async def test_synthetic_histories_are_anchored_whole(fhir: Fhir) -> None:
    directory = EXAMPLES.parent / "synthea-r4"
    if not directory.is_dir():
        pytest.skip("the synthetic bundles (../shared/data/synthea-r4) are not here")
    for path in sorted(directory.glob("*.json"))[:4]:
        raw = path.read_bytes()
        status, _headers, answer = await fhir.post("/fhir", raw, Idempotency_Key=path.stem)
        assert status == 200, answer
        assert len(answer["entry"]) == len(json.loads(raw)["entry"])
        strangers = [entry for entry in answer["entry"] if "outcome" in entry["response"]]
        assert strangers == []
        again = (await fhir.post("/fhir", raw, Idempotency_Key=path.stem))[2]
        assert [entry["resource"] for entry in again["entry"]] == [
            entry["resource"] for entry in answer["entry"]
        ]


async def test_one_bad_entry_undoes_a_transaction_and_leaves_a_batch(
    fhir: Fhir, ledger: Ledger
) -> None:
    wrong = {"resourceType": "Teapot"}
    before = ledger.book.tip.height
    status, _headers, refused = await fhir.post(
        "/fhir", bundle("transaction", OBSERVATION, wrong)
    )
    assert (status, code_of(refused)) == (404, "fhir-type-unknown")
    assert ledger.book.tip.height == before
    status, _headers, answer = await fhir.post("/fhir", bundle("batch", OBSERVATION, wrong))
    assert status == 200
    statuses = [entry["response"]["status"] for entry in answer["entry"]]
    assert statuses == ["201 Created", "404"]
    assert code_of(answer["entry"][1]["response"]["outcome"]) == "fhir-type-unknown"


# --- repeating --------------------------------------------------------------------------------


async def test_a_repetition_gives_the_same_answer_after_a_restart(
    tmp_path: Path, tokens_path: Path, token: str
) -> None:
    answers = []
    for _start in range(2):
        ledger = Ledger(tmp_path / "ledger")
        async with client_of(ledger, tokens_path, token) as client:
            fhir = Fhir(client)
            posting = asyncio.create_task(
                fhir.post("/fhir", bundle("batch", OBSERVATION, AUDIT), Idempotency_Key="k1")
            )
            while not posting.done():
                if len(ledger.mempool):
                    ledger.commit()
                await asyncio.sleep(0.005)
            answers.append(posting.result()[2])
            if _start:
                changed = {**OBSERVATION, "status": "amended"}
                _status, _headers, refused = await fhir.post(
                    "/fhir", bundle("transaction", changed, AUDIT), Idempotency_Key="k1"
                )
                assert code_of(refused) == "idempotency-key-reused"
        height = ledger.book.tip.height
        ledger.close()
    first, second = answers
    assert height == 2  # one anchor, one batch of audit events, whatever was repeated
    for once, again in zip(first["entry"], second["entry"], strict=True):
        assert once["response"]["status"] == "201 Created"
        assert again["response"]["status"] == "200 OK"
        assert once["resource"] == again["resource"]


async def test_what_was_kept_but_never_left_is_sent_by_the_repetition(
    client: Client, ledger: Ledger
) -> None:
    """As after a crash between keeping and sending: the pool has lost the transaction."""
    fhir = Fhir(client)
    header = {"If_None_Exist": "identifier=abc", "Prefer": "respond-async"}
    status, _headers, first = await fhir.post("/fhir/Observation", OBSERVATION, **header)
    assert status == 202
    ledger.mempool.remove([bytes.fromhex(txid_of(first))])
    status, _headers, second = await fhir.post("/fhir/Observation", OBSERVATION, **header)
    assert status == 202
    assert first["target"] == second["target"]
    assert txid_of(first) == txid_of(second)
    assert len(ledger.mempool) == 1


async def test_the_same_request_twice_at_once_is_one_transaction(
    fhir: Fhir, ledger: Ledger
) -> None:
    twice = [fhir.post("/fhir/Basic", BASIC, If_None_Exist="x") for _ in range(2)]
    first, second = await asyncio.gather(*twice)
    assert first[2]["target"] == second[2]["target"]
    assert txid_of(first[2]) == txid_of(second[2])
    patients = [fhir.post("/fhir/Patient", PATIENT) for _ in range(4)]
    assert len({shown["id"] for _s, _h, shown in await asyncio.gather(*patients)}) == 1
    assert ledger.book.tip.height == 1


async def test_openings_and_patients_are_unreadable_without_the_secret(
    fhir: Fhir, ledger: Ledger
) -> None:
    subject = await fhir.register()
    _status, _headers, provenance = await fhir.post("/fhir/Observation", OBSERVATION)
    desk_secret = ledger.service.disk.path / "local.secret"
    assert desk_secret.stat().st_mode & 0o777 == 0o600
    name = bytes.fromhex(commitment_of(provenance))
    local = LocalStore(ledger.store, ledger.service.disk.path)
    held = Desk(ledger.service, local, Patients(local)).held(name)
    assert held is not None
    assert held.subject == bytes.fromhex(subject)
    everything = b"".join(key + value for key, value in ledger.disk())
    assert name in everything
    for secret in (held.opening.r, encode_opening(held.opening), b"MRN-4711", b"Hidden"):
        assert secret not in everything
    desk_secret.unlink()
    other = LocalStore(ledger.store, ledger.service.disk.path)
    with pytest.raises(ChartsealError, match=r"keystore"):
        other.blind("a", b"b")


# --- patients ---------------------------------------------------------------------------------


async def test_a_patient_is_registered_once_and_links_its_records(
    fhir: Fhir, ledger: Ledger
) -> None:
    status, headers, shown = await fhir.post("/fhir/Patient", PATIENT)
    assert status == 201
    assert headers["Location"] == f"/fhir/Patient/{shown['id']}"
    assert "Hidden" not in json.dumps(shown)
    assert "MRN" not in json.dumps(shown)
    status, _headers, again = await fhir.post("/fhir/Patient", PATIENT)
    assert (status, again["id"]) == (200, shown["id"])
    other = {"resourceType": "Patient", "identifier": [{"value": "9"}]}
    await fhir.post("/fhir/Patient", other)
    both = {"resourceType": "Patient", "identifier": [MRN, {"value": "9"}]}
    status, _headers, refused = await fhir.post("/fhir/Patient", both)
    assert (status, code_of(refused)) == (409, "patient-ambiguous")
    assert ledger.book.tip.height == 0  # nothing of a patient goes on the ledger


async def test_records_of_a_patient_have_one_time_tags_and_strangers_random_ones(
    fhir: Fhir, ledger: Ledger
) -> None:
    await fhir.register()
    stranger = {**OBSERVATION, "subject": {"identifier": {"value": "nobody"}}}
    answer = (await fhir.post("/fhir", bundle("batch", OBSERVATION, OBSERVATION, stranger)))[2]
    notes = [entry["response"].get("outcome") for entry in answer["entry"]]
    assert notes[:2] == [None, None]
    assert code_of(notes[2]) == "patient-unknown"
    txid = bytes.fromhex(txid_of(answer["entry"][0]["resource"]))
    found = ledger.service.queries.transaction(txid)
    assert found is not None
    tags = {op.body[1] for op in found[1].payload.ops}
    assert len(tags) == 3


# --- the rest ---------------------------------------------------------------------------------


async def test_provenance_tells_every_time_that_the_ledger_heard_of_a_resource(
    fhir: Fhir, ledger: Ledger
) -> None:
    _status, _headers, provenance = await fhir.post("/fhir/Observation", OBSERVATION)
    name = commitment_of(provenance)
    body = Retract(bytes.fromhex(name))
    ledger.commit(ledger.sign(Op("record.retract", wire.to_value(body))))
    _status, found = await fhir.get(
        "/fhir/Provenance", params={"target": f"Observation/{name}"}
    )
    codes = [entry["resource"]["activity"]["coding"][0]["code"] for entry in found["entry"]]
    assert codes == ["CREATE", "NULLIFY"]
    assert (await fhir.get(f"/fhir/Provenance/{name}"))[1]["id"] == name
    status, refused = await fhir.get(f"/fhir/Provenance/{'0' * 64}")
    assert (status, code_of(refused)) == (404, "record-unknown")


async def test_pages_link_to_the_next_one(fhir: Fhir) -> None:
    for number in range(3):
        event = {**AUDIT, "recorded": f"2026-01-01T0{number}:00:00Z"}
        await fhir.post("/fhir/AuditEvent", event)
    status, page = await fhir.get("/fhir/AuditEvent?_count=2")
    assert (status, len(page["entry"])) == (200, 2)
    links = {item["relation"]: item["url"] for item in page["link"]}
    status, rest = await fhir.get(links["next"])
    assert (status, len(rest["entry"])) == (200, 1)
    assert [item["relation"] for item in rest["link"]] == ["self"]


async def test_the_capability_statement_says_what_the_routes_do(fhir: Fhir) -> None:
    status, found = await fhir.get("/fhir/metadata", token=None)
    assert (status, found["fhirVersion"]) == (200, "4.0.1")
    (rest,) = found["rest"]
    offered = {item["type"]: item for item in rest["resource"]}
    codes = {item["code"] for item in offered["Provenance"]["interaction"]}
    assert codes == {"create", "read", "search-type"}
    assert [item["code"] for item in offered["Observation"]["interaction"]] == ["create"]
    assert {item["code"] for item in rest["interaction"]} == {"transaction", "batch"}
    assert {item["name"] for item in rest["operation"]} == {
        "verify",
        "evaluate-consent",
        "access-report",
    }
    for kind in ("Consent", "AuditEvent", "Provenance"):
        for search in offered[kind]["searchParam"]:
            status, answer = await fhir.get(f"/fhir/{kind}?{search['name']}=x")
            assert code_of(answer) != "unknown-parameter" if status != 200 else True


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/fhir/Nothing", 405, "method-not-allowed"),
        ("/fhir/nothing/at/all", 404, "not-found"),
        ("/fhir/Consent", 400, "bad-request"),
        ("/fhir/Consent?patient=zz", 400, "bad-request"),
        ("/fhir/Consent?patient.identifier=a%7Cb", 404, "patient-unknown"),
        ("/fhir/Consent?colour=red", 400, "unknown-parameter"),
        ("/fhir/AuditEvent?date=soon", 400, "bad-request"),
        ("/fhir/$evaluate-consent?patient=" + "0" * 64, 400, "bad-request"),
    ],
)
async def test_every_refusal_is_an_operation_outcome(
    fhir: Fhir, path: str, status: int, code: str
) -> None:
    found = await fhir.get(path)
    assert (found[0], code_of(found[1])) == (status, code)


async def test_callers_need_the_scope(fhir: Fhir) -> None:
    async with fhir.client.get("/fhir/AuditEvent", token=None) as answer:
        assert answer.status == 401
        assert code_of(await answer.json(content_type=FHIR_JSON)) == "unauthorized"


async def test_bodies_that_are_not_fhir_are_refused(fhir: Fhir) -> None:
    for body, code in (
        (b"{", "content-refused"),
        (b'{"resourceType":"Bundle","type":"searchset"}', "fhir-malformed"),
        (b'{"resourceType":"Observation"}', "content-refused"),
    ):
        _status, _headers, refused = await fhir.post("/fhir", body)
        assert code_of(refused) == code
    _status, _headers, refused = await fhir.post("/fhir/Condition", OBSERVATION)
    assert code_of(refused) == "fhir-malformed"
    async with fhir.client.post(
        "/fhir", data=b"<Bundle/>", headers={"Content-Type": "text/xml"}
    ) as answer:
        assert answer.status == 415


async def test_the_public_examples_are_anchored(fhir: Fhir) -> None:
    if not EXAMPLES.is_dir():
        pytest.skip("the public R4 examples (../shared/data/fhir-r4-examples) are not here")
    kinds = {"Observation", "Claim", "DocumentReference", "Device", "Provenance", "AuditEvent"}
    found = [
        path.read_bytes()
        for path in sorted(EXAMPLES.glob("*.json"))
        if path.name.partition("-")[0] in kinds
    ]
    assert len(found) > 50
    for raw in found:
        kind = json.loads(raw)["resourceType"]
        status, _headers, answer = await fhir.post(f"/fhir/{kind}", raw)
        assert status == 201, (kind, answer)
