"""FHIR R4 Provenance in and out: what was done to records, by whom, with which proof.

``write_provenance`` says what a transaction of family ``record`` did: targets are commitments,
the activity is a code of HL7 v3-DataOperation, agents are institutions, the entity is what an
amendment revises, and the signature's slot takes a receipt or a signature that the caller has.
``read_provenance`` takes a Provenance of another system as the wish to anchor, amend, retract
or erase: what it is about must be resolvable to commitments, when it was recorded must be an
instant, and its activity one that the ledger knows.  Without an activity the entities decide:
a revision is an update, a removal a deletion, anything else a creation.

Stays off the ledger, and is named in ``Taken.stays``: reasons, places, policies, periods, and
who the agents are (they are kept as written, for the caller).  Refused by name, never guessed:
targets that are not known, activities without a word here, agents without a role or a name.
A refusal quotes no value.

Source: http://hl7.org/fhir/R4/provenance.html.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from node.fhir.moments import instant, span_of

Resource = dict[str, Any]
Resolve = Callable[[str], bytes | None]
"""From a reference as written (or ``system|value`` of an identifier) to a commitment."""

OURS: Final = "urn:chartseal:"
OPERATIONS: Final = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
AGENT_TYPES: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
SIGNERS: Final = "http://terminology.hl7.org/CodeSystem/contractsignertypecodes"
SIGNATURES: Final = "urn:iso-astm:E1762-95:2013"
AUTHORS_SIGNATURE: Final = "1.2.840.10065.1.12.1.1"
ANCHOR: Final = "record.anchor"
BATCH: Final = "record.batch"
AMEND: Final = "record.amend"
RETRACT: Final = "record.retract"
ERASE: Final = "record.erase"
HOLD: Final = "record.hold"
RELEASE: Final = "record.release"
CUSTODY: Final = "record.custody"
# Kind of operation -> code of v3-DataOperation, and the part that its author takes.
_WRITTEN: Final = {
    ANCHOR: ("CREATE", "author"),
    BATCH: ("CREATE", "author"),
    AMEND: ("UPDATE", "author"),
    RETRACT: ("NULLIFY", "author"),
    ERASE: ("DELETE", "custodian"),
    HOLD: ("HOLD", "legal"),
    RELEASE: ("RELEASE", "legal"),
    CUSTODY: ("UPDATE", "attester"),
}
KINDS: Final = tuple(_WRITTEN)
_READ: Final = {"CREATE": ANCHOR, "UPDATE": AMEND, "NULLIFY": RETRACT, "DELETE": ERASE}
_ENTITIES: Final = ("derivation", "quotation", "removal", "revision", "source")
_TAKEN: Final = frozenset(
    {"resourceType", "id", "target", "recorded", "activity", "agent", "entity", "signature"}
)
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")


class ProvenanceRefused(Exception):
    """A resource that says nothing the ledger could take; ``element`` is a FHIRPath."""

    def __init__(self, code: str, element: str) -> None:
        super().__init__(f"{element}: {code}")
        self.code = code
        self.element = element


@dataclass(frozen=True, slots=True)
class Seal:
    """What goes into the signature's slot: a receipt (``text/plain``), a detached JWS
    (``application/jose``); ``format`` is its media type, ``target_format`` that of what it is
    about."""

    format: str
    data: bytes
    target_format: str = "application/fhir+json"
    type: str = AUTHORS_SIGNATURE  # a code of ASTM E1762-95


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An operation on records as the ledger has it.

    ``targets``: commitments, or the root of a batch; ``previous``: what an amendment revises;
    ``to``: the new custodian.
    """

    kind: str
    targets: tuple[bytes, ...]
    org: str
    txid: bytes
    height: int
    time_ms: int
    previous: bytes | None = None
    to: str | None = None
    seal: Seal | None = None

    def __post_init__(self) -> None:
        if self.kind not in _WRITTEN or not self.targets:
            raise ValueError("an act is an operation on records, with targets")
        if (self.kind == AMEND) != (self.previous is not None):
            raise ValueError("an amendment revises something, nothing else does")
        if (self.kind == CUSTODY) != (self.to is not None):
            raise ValueError("a hand-over has a new custodian, nothing else has")


@dataclass(frozen=True, slots=True)
class Agent:
    """``roles`` are codes as written; ``who`` a reference or ``system|value``."""

    roles: tuple[str, ...]
    who: str


@dataclass(frozen=True, slots=True)
class Taken:
    """``kind``: the operation it asks for; ``previous``: what an update revises, if it says
    so; ``stays``: elements that do not go on the ledger, in alphabetical order."""

    kind: str
    targets: tuple[bytes, ...]
    previous: bytes | None
    recorded_ms: int
    agents: tuple[Agent, ...]
    seals: tuple[Seal, ...]
    stays: tuple[str, ...]


# --- out ----------------------------------------------------------------------------------


def write_provenance(act: Act) -> Resource:
    """Return ``act`` as a Provenance; its id is the transaction's."""
    code, part = _WRITTEN[act.kind]
    recorded = instant(act.time_ms)
    what = "batch" if act.kind == BATCH else "commitment"
    agents = [_agent(part, act.org)]
    if act.to is not None:
        agents.append(_agent("custodian", act.to))
    entities = [
        {
            "role": "source",
            "what": _identified("transaction", act.txid.hex())
            | {"display": f"block {act.height}"},
        }
    ]
    if act.previous is not None:
        revised = _identified("commitment", act.previous.hex())
        entities.insert(0, {"role": "revision", "what": revised})
    found: Resource = {
        "resourceType": "Provenance",
        "id": act.txid.hex(),
        "target": [_identified(what, target.hex()) for target in act.targets],
        "recorded": recorded,
        "activity": {"coding": [{"system": OPERATIONS, "code": code}]},
        "agent": agents,
        "entity": entities,
    }
    if act.seal is not None:
        found["signature"] = [_signature(act.seal, act.org, recorded)]
    return found


def _identified(what: str, value: str) -> Resource:
    return {"identifier": {"system": OURS + what, "value": value}}


def _agent(part: str, org: str) -> Resource:
    return {
        "type": {"coding": [{"system": AGENT_TYPES, "code": part}]},
        "who": _identified("institution", org) | {"type": "Organization"},
    }


def _signature(seal: Seal, org: str, when: str) -> Resource:
    return {
        "type": [{"system": SIGNATURES, "code": seal.type}],
        "when": when,
        "who": _identified("institution", org) | {"type": "Organization"},
        "targetFormat": seal.target_format,
        "sigFormat": seal.format,
        "data": base64.b64encode(seal.data).decode("ascii"),
    }


# --- in -----------------------------------------------------------------------------------


def read_provenance(resource: Mapping[str, Any], resolve: Resolve) -> Taken:
    """Return what ``resource`` asks of the ledger; raises ``ProvenanceRefused``."""
    if resource.get("resourceType") != "Provenance":
        raise ProvenanceRefused("not-a-provenance", "Provenance")
    if "modifierExtension" in resource:
        raise ProvenanceRefused("modifier", "Provenance.modifierExtension")
    targets = tuple(
        _commitment(item, resolve, "Provenance.target")
        for item in _records(resource, "target", "Provenance")
    )
    if not targets:
        raise ProvenanceRefused("missing", "Provenance.target")
    roles, previous = _entities(resource, resolve)
    agents = tuple(_read_agent(item) for item in _records(resource, "agent", "Provenance"))
    if not agents:
        raise ProvenanceRefused("missing", "Provenance.agent")
    return Taken(
        kind=_kind(resource, roles),
        targets=targets,
        previous=previous,
        recorded_ms=_recorded(resource),
        agents=agents,
        seals=tuple(_seal(item) for item in _records(resource, "signature", "Provenance")),
        stays=tuple(sorted(name for name in resource if name not in _TAKEN)),
    )


def _kind(resource: Mapping[str, Any], roles: set[str]) -> str:
    activity = resource.get("activity")
    if activity is None:
        if "removal" in roles:
            return ERASE
        return AMEND if "revision" in roles else ANCHOR
    for coding in _codings(activity, "Provenance.activity"):
        kind = _READ.get(str(coding.get("code")))
        if coding.get("system") == OPERATIONS and kind is not None:
            return kind
    raise ProvenanceRefused("activity-unknown", "Provenance.activity")


def _entities(resource: Mapping[str, Any], resolve: Resolve) -> tuple[set[str], bytes | None]:
    """Return the roles of all entities, and what is revised where the ledger knows it."""
    roles, revised = set(), []
    for item in _records(resource, "entity", "Provenance"):
        role = item.get("role")
        if role not in _ENTITIES:
            raise ProvenanceRefused("unknown-code", "Provenance.entity.role")
        roles.add(str(role))
        if role == "revision":
            what = item.get("what")
            if not isinstance(what, dict):
                raise ProvenanceRefused("missing", "Provenance.entity.what")
            revised.append(_commitment(what, resolve, "Provenance.entity.what"))
    if len(revised) > 1:
        raise ProvenanceRefused("two-revised", "Provenance.entity")
    return roles, revised[0] if revised else None


def _commitment(reference: Mapping[str, Any], resolve: Resolve, path: str) -> bytes:
    found = resolve(_named(reference, path))
    if found is None:
        raise ProvenanceRefused("not-on-the-ledger", path)
    return found


def _named(reference: Mapping[str, Any], path: str) -> str:
    """Return a Reference as text: as written, or system and value of its identifier."""
    text = reference.get("reference")
    if isinstance(text, str) and text:
        return text
    identifier = reference.get("identifier")
    if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
        return f"{identifier.get('system', '')}|{identifier['value']}"
    raise ProvenanceRefused("nameless", path)


def _read_agent(item: Mapping[str, Any]) -> Agent:
    concepts = [item["type"]] if "type" in item else []
    concepts += _records(item, "role", "Provenance.agent")
    roles = [
        str(coding.get("code"))
        for concept in concepts
        for coding in _codings(concept, "Provenance.agent.type")
        if coding.get("system") in (AGENT_TYPES, PARTICIPATION, SIGNERS)
    ]
    if not roles:
        raise ProvenanceRefused("role-unknown", "Provenance.agent")
    who = item.get("who")
    if not isinstance(who, dict):
        raise ProvenanceRefused("missing", "Provenance.agent.who")
    return Agent(tuple(roles), _named(who, "Provenance.agent.who"))


def _seal(item: Mapping[str, Any]) -> Seal:
    path = "Provenance.signature"
    types = [kind.get("code") for kind in _records(item, "type", path)]
    data, form = item.get("data"), item.get("sigFormat")
    target = item.get("targetFormat", "")
    if not types or not isinstance(types[0], str):
        raise ProvenanceRefused("missing", path + ".type")
    if not all(isinstance(text, str) for text in (data, form, target)):
        raise ProvenanceRefused("missing", path + ".data")
    try:
        raw = base64.b64decode("".join(str(data).split()), validate=True)
    except (ValueError, binascii.Error) as error:
        raise ProvenanceRefused("malformed", path + ".data") from error
    return Seal(str(form), raw, str(target), types[0])


def _recorded(resource: Mapping[str, Any]) -> int:
    text = resource.get("recorded")
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        raise ProvenanceRefused("not-an-instant", "Provenance.recorded")
    try:
        return max(0, span_of(text)[0])
    except (ValueError, OverflowError) as error:
        raise ProvenanceRefused("not-an-instant", "Provenance.recorded") from error


def _codings(concept: object, path: str) -> list[dict[str, Any]]:
    if not isinstance(concept, dict):
        raise ProvenanceRefused("malformed", path)
    return _records(concept, "coding", path)


def _records(owner: Mapping[str, Any], name: str, path: str) -> list[dict[str, Any]]:
    found = owner.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ProvenanceRefused("malformed", f"{path}.{name}")
    return found
