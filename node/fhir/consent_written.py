"""A ledger consent as an FHIR R4 Consent after IHE PCF.

Written is what the ledger keeps and no more: handles and commitments in logical references.
With the remainder that its sender kept (``remainder.rejoin``) the resource is whole again.
"""

from typing import Any, Final

from node.fhir import consent_codes as codes
from node.fhir.moments import instant
from node.ledger.facts.consent_rows import ConsentRow
from node.ledger.facts.consent_rule import Rule, Scope
from node.ledger.families.consent import Grant

# How a consent stands (``consent.list``) in the words of R4.
STATUS: Final = {
    "active": "active",
    "expired": "inactive",
    "not-yet": "active",
    "revoked": "inactive",
}


def write_consent(
    grant: Grant,
    *,
    status: str = "active",
    since_ms: int | None = None,
    version: int | None = None,
    custodian: str | None = None,
) -> dict[str, Any]:
    """Return the resource.  ``status`` in R4's words; ``since_ms``, ``version``, ``custodian``:
    when it was recorded, which version it is, who knows the patient, where that is known."""
    found: dict[str, Any] = {"resourceType": "Consent", "id": grant.cid.hex()}
    if version is not None:
        found["meta"] = {"versionId": str(version)}
    found["extension"] = [{"url": codes.HOW, "valueCode": grant.how}]
    found["status"] = status
    found["scope"] = _concept(codes.SCOPES, "patient-privacy")
    found["category"] = [_concept(codes.LOINC, "59284-0")]
    found["patient"] = _reference(codes.SUBJECT, grant.subject.hex())
    if since_ms is not None:
        found["dateTime"] = instant(since_ms)
    if custodian is not None:
        found["organization"] = [_reference(codes.INSTITUTION, custodian)]
    if grant.source is not None:
        found["sourceReference"] = _reference(codes.COMMITMENT, grant.source.hex())
    if grant.policy is not None:
        found["policy"] = [{"uri": codes.POLICY + grant.policy}]
    found["provision"] = _rule(grant.rule)
    return found


def write_row(
    row: ConsentRow, *, subject: bytes, status: str, custodian: str | None = None
) -> dict[str, Any]:
    """Return a version of a consent; ``status`` as ``consent.list`` says it."""
    grant = Grant(row.cid, subject, row.rule, row.how, row.source, row.policy)
    return write_consent(
        grant,
        status=STATUS[status],
        since_ms=row.from_ms,
        version=row.version,
        custodian=custodian,
    )


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _reference(system: str, value: str) -> dict[str, Any]:
    return {"identifier": {"system": system, "value": value}}


def _rule(rule: Rule) -> dict[str, Any]:
    found = _provision(rule.scope, permit=rule.permit)
    if rule.exemptions:
        found["provision"] = [
            _provision(item.scope, permit=item.permit) for item in rule.exemptions
        ]
    return found


def _provision(scope: Scope, *, permit: bool) -> dict[str, Any]:
    actors = [(codes.INSTITUTION, org) for org in scope.orgs]
    actors += [(codes.ROLE, role) for role in scope.roles]
    actors += [(codes.LICENCE, licence.hex()) for licence in scope.practitioners]
    parts: dict[str, Any] = {
        "type": "permit" if permit else "deny",
        "period": _period(scope.from_ms, scope.until_ms),
        "actor": [
            {
                "role": _concept(codes.PARTICIPATION, codes.RECIPIENTS[0]),
                "reference": _reference(system, value),
            }
            for system, value in actors
        ],
        "securityLabel": [{"system": _labels(item), "code": item} for item in scope.labels],
        "purpose": [{"system": codes.ACT_REASON, "code": item} for item in scope.purposes],
        "class": [{"system": codes.RECORD_CLASS, "code": str(item)} for item in scope.classes],
        "dataPeriod": _period(scope.data_from_ms, scope.data_until_ms),
        "data": [
            {
                "meaning": item.meaning,
                "reference": _reference(codes.COMMITMENT, item.commitment.hex()),
            }
            for item in scope.named
        ],
    }
    return {name: value for name, value in parts.items() if value}


def _labels(label: str) -> str:
    return codes.CONFIDENTIALITY if label in codes.CONFIDENTIAL else codes.ACT_CODE


def _period(from_ms: int | None, until_ms: int | None) -> dict[str, str]:
    found = {}
    if from_ms is not None:
        found["start"] = instant(from_ms)
    if until_ms is not None:
        found["end"] = instant(until_ms - 1)  # FHIR's end is included, to its precision
    return found
