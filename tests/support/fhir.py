"""A client that speaks FHIR, and the few resources that tests post with it."""

import json
from typing import Any

FHIR_JSON = "application/fhir+json"
FHIR = {"Content-Type": FHIR_JSON}
MRN = {"system": "urn:oid:1.2.3", "value": "MRN-4711-secret"}
NAMED = {"identifier": MRN}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "glucose"},
    "subject": NAMED,
    "valueQuantity": {"value": 6.30, "unit": "mmol/l"},
}
PATIENT = {"resourceType": "Patient", "identifier": [MRN], "name": [{"family": "Hidden"}]}
AUDIT = {
    "resourceType": "AuditEvent",
    "type": {
        "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
        "code": "rest",
    },
    "recorded": "2026-01-01T08:00:00Z",
    "agent": [{"requestor": True}],
    "source": {"observer": {"display": "ward 3"}},
}
CONSENT = {
    "resourceType": "Consent",
    "status": "active",
    "scope": {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/consentscope",
                "code": "patient-privacy",
            }
        ]
    },
    "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
    "patient": NAMED,
    "provision": {
        "type": "permit",
        "actor": [
            {
                "role": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/"
                            "v3-ParticipationType",
                            "code": "IRCP",
                        }
                    ]
                },
                "reference": {"reference": "Organization/birch"},
            }
        ],
        "purpose": [
            {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}
        ],
    },
}


class Fhir:
    """Speaks FHIR; answers are (status, headers, resource)."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any, Any]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.post(path, data=raw, headers={**FHIR, **named}) as answer:
            return answer.status, answer.headers, await answer.json(content_type=FHIR_JSON)

    async def get(self, path: str, **more: Any) -> tuple[int, Any]:
        async with self.client.get(path, **more) as answer:
            return answer.status, await answer.json(content_type=FHIR_JSON)

    async def register(self) -> str:
        status, _headers, shown = await self.post("/fhir/Patient", PATIENT)
        assert status in (200, 201)
        return str(shown["id"])


def bundle(kind: str, *resources: Any, **request: Any) -> dict[str, Any]:
    entries = []
    for item in resources:
        asked = {"method": "POST", "url": item["resourceType"], **request}
        entries.append({"resource": item, "request": asked})
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def commitment_of(provenance: Any) -> str:
    (target,) = provenance["target"]
    return str(target["identifier"]["value"])


def txid_of(provenance: Any) -> str:
    return str(provenance["entity"][0]["what"]["identifier"]["value"])


def code_of(outcome: Any) -> str:
    assert outcome["resourceType"] == "OperationOutcome"
    return str(outcome["issue"][0]["details"]["coding"][0]["code"])


def named(verdict: Any) -> dict[str, Any]:
    """Return the parameters by name, each with its one value."""
    return {
        item["name"]: next(v for k, v in item.items() if k != "name")
        for item in verdict["parameter"]
    }
