"""The CapabilityStatement: what this node does, made from the table that its routes come from.

Source: hl7.org/fhir/R4/capabilitystatement.html, kind ``instance``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.fhir.forms import Resource, instant
from node.fhir.types import TYPES

_OPERATIONS: Final = "urn:chartseal:operation:"


@dataclass(frozen=True, slots=True)
class Search:
    """A search parameter that a route reads; ``kind``: of FHIR's search parameter types."""

    name: str
    kind: str
    say: str


@dataclass(frozen=True, slots=True)
class Interaction:
    """Something a client can do.  ``type`` None: with the whole system; ``code``: of FHIR's
    interactions, or ``operation`` with a ``name``."""

    code: str
    type: str | None = None
    name: str | None = None
    searches: tuple[Search, ...] = ()
    say: str = ""


def statement(
    interactions: Sequence[Interaction], *, version: str, time_ms: int, name: str
) -> Resource:
    """Return the statement of the node ``name`` for what it offers."""
    named = sorted(
        {item.type for item in interactions if item.type not in (None, "*")} - {None}
    )
    anything = [item for item in interactions if item.type == "*"]
    others = sorted(TYPES - set(named))
    system = [item for item in interactions if item.type is None and item.code != "operation"]
    operations = [item for item in interactions if item.code == "operation"]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(time_ms),
        "kind": "instance",
        "software": {"name": "chartseal", "version": version},
        "implementation": {
            "description": f"Chartseal node {name}: proofs of records, no records"
        },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "documentation": "Resources are not kept: what is posted is committed to, and "
                "the commitment is anchored. The id of a resource here is its commitment.",
                "security": {"description": "Bearer token or client certificate over TLS."},
                "resource": [
                    *(_resource(kind, interactions) for kind in named),
                    *(_resource(kind, anything, anchored=True) for kind in others),
                ],
                "interaction": [{"code": item.code} for item in system],
                "operation": [
                    {
                        "name": item.name,
                        "definition": f"{_OPERATIONS}{item.name}",
                        "documentation": item.say,
                    }
                    for item in operations
                ],
            }
        ],
    }


def _resource(
    kind: str, interactions: Sequence[Interaction], *, anchored: bool = False
) -> Resource:
    own = [item for item in interactions if anchored or item.type == kind]
    searches = [search for item in own for search in item.searches]
    found: Resource = {
        "type": kind,
        "interaction": [
            {"code": item.code, "documentation": item.say} if item.say else {"code": item.code}
            for item in own
        ],
        "conditionalCreate": any(item.code == "create" for item in own),
    }
    if searches:
        found["searchParam"] = [
            {"name": item.name, "type": item.kind, "documentation": item.say}
            for item in searches
        ]
    return found
