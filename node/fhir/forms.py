"""Shapes that every answer is made of: outcomes, bundles, parameters, references.

Owns: HL7 FHIR R4 (hl7.org/fhir/R4) OperationOutcome, Bundle and Parameters, and how the
ledger's own names stand in them (``urn:chartseal:...``).  Refuses: content of any record.
"""

from collections.abc import Sequence
from typing import Any, Final

from node.fhir.audit import OURS
from node.fhir.moments import instant, span_of

__all__ = [
    "OURS",
    "Resource",
    "bundle",
    "codeable",
    "identified",
    "instant",
    "issue",
    "outcome",
]

Resource = dict[str, Any]
MEDIA_TYPE: Final = "application/fhir+json"
PROBLEMS: Final = OURS + "problem"  # codes of node.errors
# hl7.org/fhir/R4/valueset-issue-type.html, by the HTTP status of a condition.
_ISSUE_TYPES: Final = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    408: "timeout",
    409: "conflict",
    413: "too-costly",
    415: "not-supported",
    422: "processing",
    429: "throttled",
    503: "transient",
    504: "timeout",
}


def issue(code: str, title: str, status: int, detail: str = "") -> Resource:
    """Return one issue of an OperationOutcome for a registered condition."""
    found: Resource = {
        "severity": "fatal" if status >= 500 and status != 503 else "error",
        "code": _ISSUE_TYPES.get(status, "exception"),
        "details": {"coding": [{"system": PROBLEMS, "code": code, "display": title}]},
    }
    return found | {"diagnostics": detail} if detail else found


def note(code: str, say: str) -> Resource:
    """Return an issue that informs and refuses nothing."""
    coding = {"system": PROBLEMS, "code": code, "display": say}
    return {"severity": "information", "code": "informational", "details": {"coding": [coding]}}


def outcome(*issues: Resource) -> Resource:
    return {"resourceType": "OperationOutcome", "issue": list(issues)}


def identified(kind: str | None, what: str, value: str) -> Resource:
    """Return a Reference by identifier to something that the ledger names."""
    found: Resource = {"identifier": {"system": OURS + what, "value": value}}
    return found if kind is None else {"type": kind} | found


def codeable(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def bundle(
    kind: str,
    entries: Sequence[Resource],
    *,
    total: int | None = None,
    links: Sequence[tuple[str, str]] = (),
) -> Resource:
    """Return a Bundle of type ``kind``; ``links`` are relation and URL."""
    found: Resource = {"resourceType": "Bundle", "type": kind}
    if total is not None:
        found["total"] = total
    if links:
        found["link"] = [{"relation": name, "url": url} for name, url in links]
    if entries:  # R4 has no empty arrays
        found["entry"] = list(entries)
    return found


def found_entry(resource: Resource) -> Resource:
    """Return an entry of a searchset."""
    return {"resource": resource, "search": {"mode": "match"}}


def parameters(*items: Resource) -> Resource:
    return {"resourceType": "Parameters", "parameter": list(items)}


def date_range(values: Sequence[str]) -> tuple[int, int]:
    """Return from (included) and until (excluded) in ms for search values like ``ge2026-01``.

    Prefixes eq (or none), ge, gt, le, lt, sa, eb (hl7.org/fhir/R4/search.html#prefix).
    Raises ``ValueError`` for anything else.
    """
    low, high = 0, 1 << 62
    for value in values:
        prefix, text = (value[:2], value[2:]) if value[:1].isalpha() else ("eq", value)
        try:
            start, end = span_of(text)
        except OverflowError as error:
            raise ValueError("a date beyond all calendars") from error
        match prefix:
            case "eq":
                low, high = max(low, start), min(high, end)
            case "ge":
                low = max(low, start)
            case "gt" | "sa":
                low = max(low, end)
            case "le":
                high = min(high, end)
            case "lt" | "eb":
                high = min(high, start)
            case _:
                raise ValueError("a date prefix that is not known here")
    return low, high
