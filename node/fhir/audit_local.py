"""Local audit events on their way into a batch: FHIR R4 AuditEvent in, a leaf out.

Owns: which AuditEvents are accepted, what is kept of each beside its commitment (type,
subtypes, action, outcome, time, purposes: enough to search a local log without opening the
documents), and the way back into FHIR without loss of what is kept.  The document itself stays
with the institution; the leaf is its commitment (``node.ledger.commitment``), so nobody learns
anything from a batch, and every event can be proven to be in it.

Refuses, with a stable ``reason``: what has no canonical form, what is no AuditEvent, and one
that lacks what R4 requires (hl7.org/fhir/R4/auditevent.html: type, recorded, agent with
requestor, source with observer) or that uses codes which R4 does not know.
"""

import datetime
import re
from dataclasses import dataclass
from typing import Any, Final

from node.ledger import commitment as commitments
from node.ledger.canon import CanonRefused, read_json
from node.ledger.commitment import Commitment, Opening

MEDIA_TYPE: Final = "application/fhir+json"
ACTIONS: Final = ("C", "R", "U", "D", "E")
OUTCOMES: Final = ("0", "4", "8", "12")
CODINGS_MAX: Final = 64
EVENT_BYTES_MAX: Final = 1 << 20
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")


class EventRefused(Exception):
    """The bytes are not an AuditEvent that goes into a batch; ``reason`` is a stable code."""

    code = "audit-event-refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Coded:
    """A code and where it is from; some systems' examples leave the system out."""

    system: str | None
    code: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What an institution keeps at hand of a local event.

    ``recorded`` is the instant as written, ``recorded_ms`` the same in ms since 1970;
    ``purposes`` of the event, ``uses`` of its agents, in order.
    """

    type: Coded
    subtypes: tuple[Coded, ...]
    action: str | None
    outcome: str | None
    recorded: str
    recorded_ms: int
    purposes: tuple[Coded, ...]
    uses: tuple[Coded, ...]


@dataclass(frozen=True, slots=True)
class LocalEvent:
    """An accepted event: the leaf for the batch, its secret opening, what is kept of it."""

    commitment: Commitment
    opening: Opening
    kept: Kept


def take(raw: bytes, *, r: bytes) -> LocalEvent:
    """Return the event in ``raw`` as a leaf under the fresh random ``r`` (32 bytes).

    Raises ``EventRefused``.
    """
    kept = read(raw)  # strictly: what passes here has a canonical form
    opening = commitments.open_record(raw, media_type=MEDIA_TYPE, r=r)
    return LocalEvent(commitments.commitment(opening), opening, kept)


def read(raw: bytes) -> Kept:
    """Return what is kept of the AuditEvent in ``raw``; raises ``EventRefused``."""
    try:
        tree = read_json(raw, size_max=EVENT_BYTES_MAX)
    except CanonRefused as error:
        raise EventRefused(error.reason.value) from error
    if type(tree) is not dict or tree.get("resourceType") != "AuditEvent":
        raise EventRefused("not-audit-event")
    kind = _coded(tree.get("type"))
    if kind is None:
        raise EventRefused("type-missing")
    agents = _objects(tree.get("agent"))
    if not agents or any(type(item.get("requestor")) is not bool for item in agents):
        raise EventRefused("agent-missing")
    source = tree.get("source")
    if type(source) is not dict or type(source.get("observer")) is not dict:
        raise EventRefused("source-missing")
    recorded = tree.get("recorded")
    return Kept(
        type=kind,
        subtypes=_codings(tree.get("subtype")),
        action=_word(tree.get("action"), ACTIONS, "action-unknown"),
        outcome=_word(tree.get("outcome"), OUTCOMES, "outcome-unknown"),
        recorded=recorded if type(recorded) is str else "",
        recorded_ms=_instant_ms(recorded),
        purposes=_concepts(tree.get("purposeOfEvent")),
        uses=tuple(code for item in agents for code in _concepts(item.get("purposeOfUse"))),
    )


def to_fhir(kept: Kept, *, observer: dict[str, Any]) -> dict[str, Any]:
    """Return an AuditEvent that says what is kept, observed by ``observer`` (a Reference).

    ``read`` of it gives ``kept`` again.
    """
    agent: dict[str, Any] = {"who": observer, "requestor": False}
    if kept.uses:
        agent["purposeOfUse"] = [{"coding": [_coding(item)]} for item in kept.uses]
    found: dict[str, Any] = {"resourceType": "AuditEvent", "type": _coding(kept.type)}
    if kept.subtypes:
        found["subtype"] = [_coding(item) for item in kept.subtypes]
    if kept.action is not None:
        found["action"] = kept.action
    found["recorded"] = kept.recorded
    if kept.outcome is not None:
        found["outcome"] = kept.outcome
    if kept.purposes:
        found["purposeOfEvent"] = [{"coding": [_coding(item)]} for item in kept.purposes]
    return found | {"agent": [agent], "source": {"observer": observer}}


def _coding(item: Coded) -> dict[str, str]:
    return ({} if item.system is None else {"system": item.system}) | {"code": item.code}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if type(item) is dict] if type(value) is list else []


def _coded(value: Any) -> Coded | None:
    """Return a Coding that has a code; text alone is nothing to search by."""
    if type(value) is not dict or type(value.get("code")) is not str:
        return None
    system = value.get("system")
    return Coded(system if type(system) is str else None, value["code"])


def _codings(value: Any) -> tuple[Coded, ...]:
    found = [code for item in _objects(value) if (code := _coded(item)) is not None]
    if len(found) > CODINGS_MAX:
        raise EventRefused("too-many-codes")
    return tuple(found)


def _concepts(value: Any) -> tuple[Coded, ...]:
    return tuple(code for item in _objects(value) for code in _codings(item.get("coding")))


def _word(value: Any, words: tuple[str, ...], reason: str) -> str | None:
    if value is None:
        return None
    if value not in words:
        raise EventRefused(reason)
    return str(value)


def _instant_ms(value: Any) -> int:
    """Return a FHIR instant (with seconds and zone) in ms since 1970, cut to whole ms."""
    if type(value) is not str or not _INSTANT.fullmatch(value):
        raise EventRefused("recorded-missing")
    try:
        at = datetime.datetime.fromisoformat(value)
    except ValueError as error:
        raise EventRefused("recorded-missing") from error
    since = at - datetime.datetime.fromtimestamp(0, datetime.UTC)
    if since < datetime.timedelta(0):
        raise EventRefused("recorded-before-1970")
    return since // datetime.timedelta(milliseconds=1)
