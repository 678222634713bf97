"""The EPCIS event hash: what two partners' systems must agree on about one event.

Owns the pre-hash string of an EPCIS 2.0 event in JSON-LD (CBV 2.0, section 8.9; numbered rules
and worked examples: github.com/RalphTro/epcis-event-hash-generator, README) and its hash.  The
string is the same whatever the order of members, the time zone, or the notation of identifiers
and vocabulary.  Never on the ledger: an institution computes it and the partners compare.

Refuses, instead of guessing, whatever the rules leave open or implementations disagree about:
sensor elements (their form changed under one version number), more than three decimals of a
second, strings that look like numbers or times but are not in canonical form, compact URIs,
identifiers that ``node.ledger.gs1`` does not know.  What it returns is meant to be right.
Left out by the rules: eventID, recordTime, errorDeclaration, certificationInfo.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from node.ledger import gs1
from node.ledger.canon import JSON_BYTES_MAX, CanonRefused, Number, Reason, read_json

EVENTS_MAX: Final = 1000
EVENT_TYPES: Final = (
    "AggregationEvent",
    "AssociationEvent",
    "ObjectEvent",
    "TransactionEvent",
    "TransformationEvent",
)
ACTIONS: Final = ("ADD", "DELETE", "OBSERVE")
_IGNORED: Final = frozenset(
    {"@context", "type", "eventID", "recordTime", "errorDeclaration", "certificationInfo"}
)
_CBV: Final = "https://ref.gs1.org/cbv/"
_URN: Final = {"bizstep": "BizStep", "disp": "Disp", "btt": "BTT", "sdt": "SDT", "er": "ER"}
_URN_WORD: Final = re.compile(r"urn:epcglobal:cbv:(bizstep|disp|btt|sdt|er):(.+)")
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_]*")
_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.([0-9]{1,3})0*)?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_TIME_LIKE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T.*")
_OFFSET: Final = re.compile(r"[+-][0-9]{2}:[0-9]{2}")
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.([0-9]+))?")
_TINY: Final = re.compile(r"-0|-?0\.0000.*")  # some readers drop the sign or add an exponent
_COMPACT: Final = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):(?!//).*")
_DIGITS_MAX: Final = 15  # more are not the same number in every reader

Prefixes = Mapping[str, str]


def _refuse(what: str) -> CanonRefused:
    return CanonRefused(Reason.CANON_UNSUPPORTED, f"EPCIS event hash: {what}")


# --- values -----------------------------------------------------------------------------------


def _number(lexeme: str) -> str:
    """Return a number without trailing zeros (rule 6)."""
    match = _DECIMAL.fullmatch(lexeme)
    if match is None:
        raise _refuse("a number with an exponent")
    text = lexeme.rstrip("0").rstrip(".") if match[1] else lexeme
    digits = text.lstrip("-0.").replace(".", "")
    if len(digits) > _DIGITS_MAX or _TINY.fullmatch(text):
        raise _refuse("a number that readers print differently")
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _time(value: Any) -> str:
    """Return a timestamp in UTC with milliseconds (rules 8 and 9)."""
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise _refuse("a time that is no timestamp with a zone, to the millisecond")
    zone = "+00:00" if match[3] == "Z" else match[3]
    try:
        moment = datetime.fromisoformat(match[1] + zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _refuse("a time that no calendar has") from error
    second = moment.replace(tzinfo=None).isoformat(timespec="seconds")
    return f"{second}.{(match[2] or '').ljust(3, '0')}Z"


def _text(value: Any, prefixes: Prefixes) -> str:
    """Return any value of a field in canonical form (rules 5, 6, 14, 17, 18)."""
    if isinstance(value, Number):
        return _number(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str) or not value.strip():
        raise _refuse("a value that is no text, number or truth")
    text = value.strip()
    if _is_number(text):
        if _number(text) != text:
            raise _refuse("a text that looks like a number in another form")
        return text
    if _TIME_LIKE.fullmatch(text):
        if _time(text) != text:
            raise _refuse("a text that looks like a time in another form")
        return text
    return _identifier(text, prefixes)


def _identifier(text: str, prefixes: Prefixes) -> str:
    if word := _URN_WORD.fullmatch(text):
        return f"{_CBV}{_URN[word[1]]}-{word[2]}"
    try:
        if text.startswith("urn:epc:"):
            return gs1.from_epc(text)
        if text.startswith(("http://", "https://")):
            return gs1.canonical_link(text)
    except gs1.Unknown as error:
        raise _refuse(str(error)) from error
    compact = _COMPACT.fullmatch(text)
    if compact is not None and (
        compact[1] in prefixes or compact[1] in ("gs1", "cbv", "epcis")
    ):
        raise _refuse("a compact URI")
    return text


def _word(value: Any, family: str, prefixes: Prefixes) -> str:
    """Return a term of the core business vocabulary (rules 14 and 16)."""
    if isinstance(value, str) and _WORD.fullmatch(value.strip()):
        return f"{_CBV}{family}-{value.strip()}"
    return _text(value, prefixes)


# --- user extensions and master data of the lot -----------------------------------------


def _name(key: str, prefixes: Prefixes) -> str:
    prefix, colon, local = key.partition(":")
    if not colon or prefix not in prefixes or not local:
        raise _refuse("a field that the standard does not have, without a namespace")
    return "{" + prefixes[prefix] + "}" + local


def _extension(key: str, value: Any, prefixes: Prefixes) -> list[str]:
    """Return the strings of one extension; a list gives one for each member (rules 19, 20)."""
    name = _name(key, prefixes)
    if isinstance(value, list):
        if any(isinstance(item, list) for item in value):
            raise _refuse("a list in a list")
        return [part for item in value for part in _extension(key, item, prefixes)]
    if isinstance(value, dict):
        return [name + _extensions(value, prefixes)]
    return [f"{name}={_text(value, prefixes)}"]


def _extensions(members: Mapping[str, Any], prefixes: Prefixes) -> str:
    parts = (_extension(key, value, prefixes) for key, value in members.items())
    return "".join(sorted(part for found in parts for part in found))


# --- the fields of the standard ---------------------------------------------------------


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _refuse("a list that is none")
    return value


def _members(value: Any, allowed: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict) or not set(value).issubset(allowed):
        raise _refuse("an element with a member that the standard does not give it")
    return value


def _epcs(name: str, value: Any, prefixes: Prefixes) -> str:
    items = sorted(f"epc={_text(item, prefixes)}" for item in _list(value))
    return name + "".join(items) if items else ""


def _quantities(name: str, value: Any, prefixes: Prefixes) -> str:
    allowed = ("epcClass", "quantity", "uom")
    items = []
    for item in _list(value):
        members = _members(item, allowed)
        said = [f"{key}={_text(members[key], prefixes)}" for key in allowed if key in members]
        items.append("quantityElement" + "".join(said))
    return name + "".join(sorted(items)) if items else ""


def _plain(name: str, value: Any, prefixes: Prefixes) -> str:
    return f"{name}={_text(value, prefixes)}"


def _action(name: str, value: Any, _prefixes: Prefixes) -> str:
    if value not in ACTIONS:
        raise _refuse("an action that the standard does not have")
    return f"{name}={value}"


def _place(name: str, value: Any, prefixes: Prefixes) -> str:
    if not isinstance(value, dict) or "id" not in value:
        raise _refuse("a place without an id")
    return f"{name}id={_text(value['id'], prefixes)}"


def _persistent(name: str, value: Any, prefixes: Prefixes) -> str:
    members = _members(value, ("set", "unset"))
    said = [
        f"{key}={word}"
        for key in ("set", "unset")
        for word in sorted(
            _word(item, "Disp", prefixes) for item in _list(members.get(key, []))
        )
    ]
    return name + "".join(said) if said else ""


def _ilmd(name: str, value: Any, prefixes: Prefixes) -> str:
    if not isinstance(value, dict):
        raise _refuse("ilmd that is no object")
    return name + _extensions(value, prefixes) if value else ""


def _worded(family: str) -> Callable[[str, Any, Prefixes], str]:
    return lambda name, value, prefixes: f"{name}={_word(value, family, prefixes)}"


def _typed(member: str, family: str) -> Callable[[str, Any, Prefixes], str]:
    """Elements with a type: it stands before the value and sorts first (rule 13)."""

    def write(name: str, value: Any, prefixes: Prefixes) -> str:
        items = []
        for item in _list(value):
            members = _members(item, ("type", member))
            if member not in members:
                raise _refuse(f"a {member} that is missing")
            kind = _word(members["type"], family, prefixes) if "type" in members else ""
            said = f"{member}={_text(members[member], prefixes)}"
            items.append((f"type={kind}" if kind else "") + said)
        return name + "".join(sorted(items)) if items else ""

    return write


# In the canonical order of properties; ``readPoint`` and ``bizLocation`` may hold extensions,
# which CBV 2.0 puts at the end of the string behind the name of their field.
_FIELDS: Final[dict[str, Callable[[str, Any, Prefixes], str]]] = {
    "epcList": _epcs,
    "parentID": _plain,
    "inputEPCList": _epcs,
    "childEPCs": _epcs,
    "quantityList": _quantities,
    "childQuantityList": _quantities,
    "inputQuantityList": _quantities,
    "outputEPCList": _epcs,
    "outputQuantityList": _quantities,
    "action": _action,
    "transformationID": _plain,
    "bizStep": _worded("BizStep"),
    "disposition": _worded("Disp"),
    "persistentDisposition": _persistent,
    "readPoint": _place,
    "bizLocation": _place,
    "bizTransactionList": _typed("bizTransaction", "BTT"),
    "sourceList": _typed("source", "SDT"),
    "destinationList": _typed("destination", "SDT"),
    "ilmd": _ilmd,
}
_TIMES: Final = ("eventTime", "eventTimeZoneOffset")


def _trailing(event: Mapping[str, Any], prefixes: Prefixes) -> str:
    """Return what stands after the standard's fields, sorted."""
    parts = []
    for key, value in event.items():
        if key in ("readPoint", "bizLocation"):
            inner = {name: item for name, item in value.items() if name != "id"}
            if inner:
                parts.append(key + _extensions(inner, prefixes))
        elif key not in _FIELDS and key not in _TIMES and key not in _IGNORED:
            parts += _extension(key, value, prefixes)
    return "".join(sorted(parts))


def _context(value: Any) -> dict[str, str]:
    """Return the prefixes that a JSON-LD context defines."""
    found: dict[str, str] = {}
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            if any(key[:1] == "@" or not isinstance(item[key], str) for key in item):
                raise _refuse("a context with terms of its own")
            found |= item
        elif not isinstance(item, str):
            raise _refuse("a context that is neither a name nor prefixes")
    return found


def _event(event: Any, prefixes: Prefixes) -> bytes:
    if not isinstance(event, dict) or event.get("type") not in EVENT_TYPES:
        raise _refuse("something that is no EPCIS event")
    prefixes = {**prefixes, **_context(event.get("@context", []))}
    offset = event.get("eventTimeZoneOffset")
    if not isinstance(offset, str) or _OFFSET.fullmatch(offset) is None:
        raise _refuse("an event without its time zone offset")
    head = f"eventType={event['type']}eventTime={_time(event.get('eventTime'))}"
    fields = [
        write(name, event[name], prefixes) for name, write in _FIELDS.items() if name in event
    ]
    text = f"{head}eventTimeZoneOffset={offset}{''.join(fields)}{_trailing(event, prefixes)}"
    return text.encode("utf-8")


# --- the entrances ----------------------------------------------------------------------


def prehashes(raw: bytes, *, size_max: int = JSON_BYTES_MAX) -> tuple[bytes, ...]:
    """Return the pre-hash string of each event of an EPCIS document, or of one bare event.

    Raises ``CanonRefused`` and nothing else.
    """
    tree = read_json(raw, size_max=size_max)
    if not isinstance(tree, dict):
        raise _refuse("something that is no EPCIS document")
    if tree.get("type") in EVENT_TYPES:
        return (_event(tree, {}),)
    body = tree.get("epcisBody")
    events = body.get("eventList") if isinstance(body, dict) else None
    if not isinstance(events, list) or not 1 <= len(events) <= EVENTS_MAX:
        raise _refuse(f"a document without 1 to {EVENTS_MAX} events")
    prefixes = _context(tree.get("@context", []))
    return tuple(_event(event, prefixes) for event in events)


def prehash(raw: bytes, *, size_max: int = JSON_BYTES_MAX) -> bytes:
    """Return the pre-hash string of the one event in ``raw``; raises ``CanonRefused``."""
    found = prehashes(raw, size_max=size_max)
    if len(found) != 1:
        raise _refuse("a document with several events")
    return found[0]


def event_hash(raw: bytes) -> bytes:
    """Return the 32 bytes that supply operations take as ``event``: SHA-256 of the pre-hash
    string, which partners write as ``ni:///sha-256;<hex>?ver=CBV2.0``."""
    return hashlib.sha256(prehash(raw)).digest()
