"""Accesses as FHIR R4 AuditEvents in the shape of IHE Basic Audit Log Patterns (BALP).

Owns one mapping: an event of a patient's access log, or an entry of an institution's audit
chain, to one AuditEvent (profiles.ihe.net/ITI/BALP).  What has a profile there takes its
shape:

| ledger | BALP | type, subtype, action, outcome |
|---|---|---|
| request | PatientQuery | rest, search, E, 0 |
| permit, deny, glass | AuthZconsent | DCM 110113, AuthZ-Consent, E, 0 or 8 |
| release, disclosure | PrivacyDisclosure.Source | DCM 110106, disclose, R, 0 |
| receipt | PrivacyDisclosure.Recipient | DCM 110107, disclose, C, 0 or 4 |

A broken glass has the purpose ``BTG`` and the subtype DCM 110127 (emergency override started)
as well.  Reviews, what was not done in time, batches and declared outages have no profile:
they are plain R4 events with subtypes of our own.  Persons are not known to the ledger: a
patient is an identifier made of the subject, a practitioner one made of the commitment.
Refuses nothing: every event of the ledger has a form.  Texts are in English, from codes.
"""

import base64
import datetime
import re
from typing import Any, Final

from node.ledger.facts.accesses import Event
from node.ledger.facts.audits import BATCH, EntryRow

Resource = dict[str, Any]

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
SCT: Final = "http://snomed.info/sct"
REST: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTION: Final = "http://hl7.org/fhir/restful-interaction"
LIFECYCLE: Final = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
ROLE_CLASS: Final = "http://terminology.hl7.org/CodeSystem/v3-RoleClass"
SECURITY_ROLE: Final = "http://terminology.hl7.org/CodeSystem/extra-security-role-type"
ENTITY_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OBJECT_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
RESOURCES: Final = "http://hl7.org/fhir/resource-types"
AUTHZ: Final = "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType"
PROFILE: Final = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
OURS: Final = "urn:chartseal:"
_SUCCESS: Final = "0"
_MINOR: Final = "4"
_SERIOUS: Final = "8"
_BY_CONSENT: Final = ("patient-denies", "patient-permits")
_NAME: Final = re.compile(rb"[a-z0-9][a-z0-9.-]{0,62}")  # of a law, policy or opt-out


def _coding(system: str, code: str, display: str | None = None) -> Resource:
    found = {"system": system, "code": code}
    return found if display is None else found | {"display": display}


def _concept(system: str, code: str, display: str | None = None) -> Resource:
    return {"coding": [_coding(system, code, display)]}


def _identified(kind: str | None, what: str, value: str) -> Resource:
    found: Resource = {"identifier": {"system": OURS + what, "value": value}}
    return found if kind is None else {"type": kind} | found


def _org(org: str | None, otherwise: str | None = None) -> Resource:
    if org is not None:
        return _identified("Organization", "institution", org)
    return {"display": otherwise or "not on the ledger"}


def instant(time_ms: int) -> str:
    """Return ledger time as a FHIR instant in UTC with milliseconds."""
    whole, part = divmod(time_ms, 1000)
    at = datetime.datetime.fromtimestamp(whole, datetime.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{part:03}Z"


def _agent(kind: Resource, who: Resource, *, requestor: bool, **more: Any) -> Resource:
    return {"type": kind, "who": who, "requestor": requestor} | more


def _network(org: str | None) -> Resource:
    """Return the ledger address of an institution: BALP wants one, ours is no host name."""
    return {"address": OURS + "institution:" + (org or "none"), "type": "5"}


def _patient(subject: bytes) -> Resource:
    return {
        "what": _identified("Patient", "subject", subject.hex()),
        "type": _coding(ENTITY_TYPE, "1", "Person"),
        "role": _coding(OBJECT_ROLE, "1", "Patient"),
    }


def _access(event: Event) -> Resource:
    """Return the entity that ties the events of one access together."""
    detail = [{"type": "event", "valueString": str(event.number)}]
    if event.txid is not None:
        detail.append({"type": "txid", "valueString": event.txid.hex()})
    if event.data_class is not None:
        detail.append({"type": "data-class", "valueString": str(event.data_class)})
    return {
        "what": _identified(None, "access", event.rid.hex()),
        "type": _coding(ENTITY_TYPE, "2", "System Object"),
        "role": _coding(OBJECT_ROLE, "20", "Job"),
        "detail": detail,
    }


def _items(event: Event) -> Resource:
    assert event.digest is not None, "what is handed over has a digest"
    return {
        "what": _identified(None, "released", event.digest.hex()),
        "type": _coding(ENTITY_TYPE, "2", "System Object"),
        "role": _coding(OBJECT_ROLE, "3", "Report"),
        "detail": [{"type": "records", "valueString": str(event.items)}],
    }


def _start(event: Event, *, kind: Resource, subtypes: list[Resource], outcome: str) -> Resource:
    """Return what all events share; ``meta``, ``action``, agents and more are added to it."""
    found: Resource = {
        "resourceType": "AuditEvent",
        "type": kind,
        "subtype": subtypes,
        "recorded": instant(event.time_ms),
        "outcome": outcome,
        "purposeOfEvent": [_concept(ACT_REASON, event.purpose)],
        "source": {"observer": _org(event.org)},
    }
    if event.reason is not None:
        found["outcomeDesc"] = event.reason
    if event.happened_ms != event.time_ms:
        at = instant(event.happened_ms)
        found["period"] = {"start": at, "end": at}
    return found


def _user(event: Event) -> Resource:
    """Return the information recipient: a practitioner by commitment, or the institution."""
    who = _org(event.recipient)
    if event.practitioner is not None:
        who = _identified("Practitioner", "licence", event.practitioner.hex())
    use = [_concept(ACT_REASON, event.purpose)]
    kind = _concept(PARTICIPATION, "IRCP", "information recipient")
    return _agent(kind, who, requestor=True, purposeOfUse=use)


def _request(event: Event, subject: bytes) -> Resource:
    query = f"access.request?rid={event.rid.hex()}&purpose={event.purpose}"
    if event.data_class is not None:
        query += f"&data_class={event.data_class}"
    found = _start(
        event,
        kind=_coding(REST, "rest", "Restful Operation"),
        subtypes=[_coding(INTERACTION, "search", "search")],
        outcome=_SUCCESS,
    )
    return found | {
        "meta": {"profile": [PROFILE + "PatientQuery"]},
        "action": "E",
        "agent": [
            _agent(
                _concept(DCM, "110153", "Source Role ID"),
                _org(event.recipient),
                requestor=False,
                network=_network(event.recipient),
            ),
            _agent(
                _concept(DCM, "110152", "Destination Role ID"),
                _org(event.custodian),
                requestor=False,
                network=_network(event.custodian),
            ),
            _user(event),
        ],
        "entity": [
            {
                "type": _coding(ENTITY_TYPE, "2", "System Object"),
                "role": _coding(OBJECT_ROLE, "24", "Query"),
                "query": base64.b64encode(query.encode()).decode(),
            },
            _patient(subject),
            _access(event),
        ],
    }


def _consent(event: Event) -> Resource:
    """Return what decided: a consent by its id, a law, policy or opt-out by its name."""
    if event.basis is None:
        what: Resource = {"display": "no consent, law or policy"}
    elif event.reason in _BY_CONSENT or not _NAME.fullmatch(event.basis):
        what = _identified("Consent", "consent", event.basis.hex())
    else:
        what = _identified(None, "basis", event.basis.decode("ascii"))
    return {"what": what, "type": _coding(RESOURCES, "Consent", "Consent")}


def _decision(event: Event, subject: bytes) -> Resource:
    subtypes = [_coding(AUTHZ, "AuthZ-Consent")]
    if event.event == "glass":
        subtypes.append(_coding(DCM, "110127", "Emergency Override Started"))
    denied = event.event == "deny"
    found = _start(
        event,
        kind=_coding(DCM, "110113", "Security Alert"),
        subtypes=subtypes,
        outcome=_SERIOUS if denied else _SUCCESS,
    )
    client = _concept(DCM, "110150", "Application")
    network = _network(event.recipient)
    server = _concept(SECURITY_ROLE, "authserver", "authorization server")
    provider = _concept(ROLE_CLASS, "PROV", "healthcare provider")
    return found | {
        "meta": {"profile": [PROFILE + "AuthZconsent"]},
        "action": "E",
        "agent": [
            _agent(client, _org(event.recipient), requestor=False, network=network),
            _user(event),
            _agent(provider, _org(event.recipient), requestor=False),
            _agent(server, _org(event.org), requestor=False),
        ],
        # AuthZconsent closes its entities: patient, consent, token.  The access is told by
        # the detail of the consent.
        "entity": [
            _patient(subject),
            _consent(event) | {"detail": _access_detail(event)},
        ],
    }


def _access_detail(event: Event) -> list[Resource]:
    named: list[Resource] = [{"type": "access", "valueString": event.rid.hex()}]
    return named + list(_access(event)["detail"])


def _handover(event: Event, subject: bytes) -> Resource:
    received = event.event == "receipt"
    right = event.reason == "ok" or not received
    found = _start(
        event,
        kind=_coding(DCM, "110107", "Import") if received else _coding(DCM, "110106", "Export"),
        subtypes=[_coding(LIFECYCLE, "disclose", "Disclose Record Lifecycle Event")],
        outcome=_SUCCESS if right else _MINOR,
    )
    side = "Recipient" if received else "Source"
    return found | {
        "meta": {"profile": [f"{PROFILE}PrivacyDisclosure.{side}"]},
        "action": "C" if received else "R",
        "agent": [
            _agent(
                _concept(DCM, "110153", "Source Role ID"),
                _org(event.custodian),
                requestor=False,
                network=_network(event.custodian),
            ),
            _agent(
                _concept(DCM, "110152", "Destination Role ID"),
                _org(event.recipient, event.reason),
                requestor=True,
                network=_network(event.recipient),
            ),
            _agent(
                _concept(SCT, "159541003", "Record keeping/library clerk"),
                _org(event.custodian),
                requestor=False,
            ),
        ],
        "entity": [_patient(subject), _items(event), _access(event)],
    }


def _judgement(event: Event, subject: bytes) -> Resource:
    """Return a review, or something that was not done in time."""
    right = event.event == "review" and event.reason == "justified"
    found = _start(
        event,
        kind=_coding(DCM, "110113", "Security Alert"),
        subtypes=[_coding(OURS + "access-event", event.event)],
        outcome=_SUCCESS if right else _MINOR,
    )
    who = _agent(
        _concept(ROLE_CLASS, "PROV", "healthcare provider"), _org(event.org), requestor=True
    )
    return found | {
        "action": "E",
        "agent": [who],
        "entity": [_patient(subject), _access(event)],
    }


_FORMS: Final = {
    "request": _request,
    "permit": _decision,
    "deny": _decision,
    "glass": _decision,
    "release": _handover,
    "disclosure": _handover,
    "receipt": _handover,
    "review": _judgement,
    "overdue": _judgement,
}


def audit_event(event: Event, subject: bytes) -> Resource:
    """Return an event of the log of ``subject`` as an AuditEvent in BALP's shape."""
    return _FORMS[event.event](event, subject)


def audit_entry(entry: EntryRow, org: str) -> Resource:
    """Return a batch of local events, or a declared outage, as an AuditEvent of ``org``."""
    batch = entry.kind == BATCH
    detail = [
        {"type": name, "valueString": str(value)}
        for name, value in (
            ("number", entry.number),
            ("count", entry.count),
            ("size", entry.size),
            ("txid", entry.txid.hex()),
        )
    ]
    found: Resource = {
        "resourceType": "AuditEvent",
        "type": _coding(DCM, "110101", "Audit Log Used")
        if batch
        else _coding(DCM, "110100", "Application Activity"),
        "subtype": [_coding(OURS + "audit-entry", entry.kind)],
        "action": "E",
        "period": {"start": instant(entry.from_ms), "end": instant(entry.until_ms)},
        "recorded": instant(entry.time_ms),
        "outcome": _SUCCESS if batch else _MINOR,
        "agent": [
            _agent(
                _concept(DCM, "110150", "Application"),
                _org(org),
                requestor=False,
                network=_network(org),
            )
        ],
        "source": {"observer": _org(org)},
        "entity": [
            {
                "what": _identified(None, "audit-root", entry.root.hex()),
                "type": _coding(ENTITY_TYPE, "2", "System Object"),
                "role": _coding(OBJECT_ROLE, "13", "Security Resource"),
                "detail": detail,
            }
        ],
    }
    return found if entry.cause is None else found | {"outcomeDesc": entry.cause}
