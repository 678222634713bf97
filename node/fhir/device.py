"""FHIR R4 Device in and out: a device as the ledger registers it.

``read_device`` makes the body of ``identity.device.register``; ``write_device`` says what the
ledger has.  The model is the UDI device identifier (``udiCarrier.deviceIdentifier``, or the
GTIN behind ``(01)`` in ``carrierHRF``).  What a resource of another system cannot say (the
random handle, the key, digest of the firmware, commitment to the serial number) the caller
gives; what we write carries it in identifiers and one extension, so a device survives the
round trip.

Stays off the ledger, and is named in ``Taken.stays``: serial number, lot, patient, location,
names, notes.  Refused by name, never guessed: no UDI or two, an identifier that is none,
``entered-in-error``, modifiers.  A refusal quotes no value.

Source: http://hl7.org/fhir/R4/device.html.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from node.ledger.facts.people import ACTIVE, ENDED, QUARANTINED, DeviceRow
from node.ledger.facts.words_identity import MODEL_PATTERN
from node.ledger.families.identity_device import Register

Resource = dict[str, Any]

OURS: Final = "urn:chartseal:"
DEVICE: Final = OURS + "device"
SIGN_KEY: Final = OURS + "device-key"
SERIAL: Final = OURS + "device-serial"
FIRMWARE: Final = OURS + "firmware"
DATA_CLASS: Final = OURS + "data-class"
STATUS: Final = OURS + "device-status"
_STATUSES: Final = (ACTIVE, ENDED, QUARANTINED)
_HRF_GTIN: Final = re.compile(r"\(01\)([0-9]{14})")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NUMBER: Final = re.compile(r"[0-9]{1,5}")
_TAKEN: Final = frozenset({"resourceType", "identifier", "udiCarrier", "status", "version"})


class DeviceRefused(Exception):
    """A resource that cannot be registered; ``element`` is a FHIRPath without values."""

    def __init__(self, code: str, element: str) -> None:
        super().__init__(f"{element}: {code}")
        self.code = code
        self.element = element


@dataclass(frozen=True, slots=True)
class Given:
    """What the resource of another system cannot say; see ``Register``."""

    device: bytes
    sign_key: bytes
    firmware: bytes
    serial: bytes
    data_classes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """``status``: active, ended or quarantined; ``stays``: elements that do not go on the
    ledger, in alphabetical order."""

    register: Register
    status: str
    stays: tuple[str, ...]


def read_device(resource: Mapping[str, Any], given: Given | None = None) -> Taken:
    """Return what the ledger takes of ``resource``; raises ``DeviceRefused``.

    Without ``given`` all of it must stand in the resource, as ``write_device`` puts it there.
    """
    if resource.get("resourceType") != "Device":
        raise DeviceRefused("not-a-device", "Device")
    if "modifierExtension" in resource:
        raise DeviceRefused("modifier", "Device.modifierExtension")
    status = _status(resource)
    model = _model(resource)
    known = _ours(resource) if given is None else given
    try:
        register = Register(
            device=known.device,
            model=model,
            sign_key=known.sign_key,
            firmware=known.firmware,
            serial=known.serial,
            data_classes=known.data_classes,
        )
    except ValueError as error:
        raise DeviceRefused("not-registrable", "Device") from error
    return Taken(register, status, _stays(resource, read=given is None))


def _stays(resource: Mapping[str, Any], *, read: bool) -> tuple[str, ...]:
    ours = {"extension", "manufacturer", "owner", "property"} if read else {"version"}
    taken = _TAKEN | ours if read else _TAKEN - ours
    return tuple(sorted(name for name in resource if name not in taken))


def _status(resource: Mapping[str, Any]) -> str:
    for item in _records(resource, "extension", "Device"):
        if item.get("url") == STATUS:
            code = item.get("valueCode")
            if code not in _STATUSES:
                raise DeviceRefused("unknown-code", "Device.extension")
            return str(code)
    match resource.get("status"):
        case None | "active" | "unknown":
            return ACTIVE
        case "inactive":
            return ENDED
        case "entered-in-error":
            raise DeviceRefused("entered-in-error", "Device.status")
        case _:
            raise DeviceRefused("unknown-code", "Device.status")


def _model(resource: Mapping[str, Any]) -> str:
    """Return the one device identifier of the UDI."""
    found = set()
    for carrier in _records(resource, "udiCarrier", "Device"):
        identifier = carrier.get("deviceIdentifier")
        if identifier is None:
            match = _HRF_GTIN.search(str(carrier.get("carrierHRF", "")))
            identifier = None if match is None else match[1]
        if identifier is None:
            continue
        if not isinstance(identifier, str) or not MODEL_PATTERN.fullmatch(identifier):
            raise DeviceRefused("udi-malformed", "Device.udiCarrier.deviceIdentifier")
        found.add(identifier)
    if not found:
        raise DeviceRefused("udi-missing", "Device.udiCarrier")
    if len(found) > 1:
        raise DeviceRefused("udi-ambiguous", "Device.udiCarrier")
    return str(found.pop())


def _ours(resource: Mapping[str, Any]) -> Given:
    """Return what ``write_device`` put into identifiers, version and properties."""
    named = {
        str(item.get("system")): item.get("value")
        for item in _records(resource, "identifier", "Device")
    }
    version: object = None
    for item in _records(resource, "version", "Device"):
        kind = item.get("type")
        if isinstance(kind, dict) and _coded(kind, FIRMWARE) is not None:
            version = item.get("value")
    return Given(
        device=_digest(named.get(DEVICE), "Device.identifier"),
        sign_key=_digest(named.get(SIGN_KEY), "Device.identifier"),
        firmware=_digest(version, "Device.version"),
        serial=_digest(named.get(SERIAL), "Device.identifier"),
        data_classes=_classes(resource),
    )


def _classes(resource: Mapping[str, Any]) -> tuple[int, ...]:
    found = []
    for item in _records(resource, "property", "Device"):
        kind = item.get("type")
        if not isinstance(kind, dict) or _coded(kind, DATA_CLASS) is None:
            continue
        for value in _records(item, "valueCode", "Device.property"):
            code = _coded(value, DATA_CLASS)
            if code is None or not _NUMBER.fullmatch(code):
                raise DeviceRefused("unknown-code", "Device.property.valueCode")
            found.append(int(code))
    return tuple(found)


def _coded(concept: Mapping[str, Any], system: str) -> str | None:
    for coding in _records(concept, "coding", "Device"):
        if coding.get("system") == system:
            return str(coding.get("code"))
    return None


def _digest(value: object, element: str) -> bytes:
    if value is None:
        raise DeviceRefused("not-given", element)
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise DeviceRefused("malformed", element)
    return bytes.fromhex(value)


def _records(owner: Mapping[str, Any], name: str, path: str) -> list[dict[str, Any]]:
    found = owner.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise DeviceRefused("malformed", f"{path}.{name}")
    return found


# --- out ----------------------------------------------------------------------------------


def write_device(row: DeviceRow) -> Resource:
    """Return ``row`` as a Device.  A quarantined device is inactive; the extension says why."""
    identifiers = [
        {"system": DEVICE, "value": row.device.hex()},
        {"system": SIGN_KEY, "value": row.sign_key.hex()},
    ]
    if row.serial is not None:
        identifiers.append({"system": SERIAL, "value": row.serial.hex()})
    found: Resource = {
        "resourceType": "Device",
        "id": row.device.hex(),
        "extension": [{"url": STATUS, "valueCode": row.status}],
        "identifier": identifiers,
        "udiCarrier": [{"deviceIdentifier": row.model}],
        "status": "active" if row.status == ACTIVE else "inactive",
        "manufacturer": row.manufacturer,
        "version": [
            {"type": _concept(FIRMWARE, "digest"), "value": row.firmware.hex()},
        ],
    }
    if row.data_classes:
        values = [_concept(DATA_CLASS, str(number)) for number in row.data_classes]
        found["property"] = [{"type": _concept(DATA_CLASS, "allowed"), "valueCode": values}]
    if row.custodian is not None:
        found["owner"] = {
            "identifier": {"system": OURS + "institution", "value": row.custodian}
        }
    return found


def _concept(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}
