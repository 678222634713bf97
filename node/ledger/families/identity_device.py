"""Family ``identity``, devices: made, worn, asked what runs on them, retired.

A device is 32 random bytes and a key that never leaves it.  Its manufacturer registers it; the
institution that has it in hand assigns it to a one-time tag, never to a patient, and takes it
back.  The device's own key signs what only it can know: that it was there when it was
registered and assigned, and which firmware runs.

A firmware version is published before a device may run it (``identity_firmware``).  A device
that is quarantined, or runs firmware that is, is assigned to nobody; it may be taken back,
report other firmware, and be retired.

State: ``device/<device>`` -> ``DeviceRow``, ``device-change/<device>`` and
``device-wear/<device>`` numbered lists, ``device-tag/<tag>`` (a tag is used once),
``model-device/<model>`` a numbered list.  Bounded: ``DATA_CLASSES_MAX`` of a device.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import devices, keys, numbered, people
from node.ledger.facts.keys import Holder
from node.ledger.facts.people import ACTIVE, ENDED, DeviceRow, Wear
from node.ledger.facts.words import sized
from node.ledger.facts.words_identity import MODEL_PATTERN, matching
from node.ledger.rules import Context, Operation, Refused, Result

DATA_CLASSES_MAX: Final = 16

EXISTS: Final = Result(230, "identity-device-known", "That device is registered already.")
UNKNOWN: Final = Result(231, "identity-device-unknown", "No such device on the ledger.")
UNUSABLE: Final = Result(
    232, "identity-device-unusable", "The device is retired or quarantined, or its firmware is."
)
UNSIGNED: Final = Result(233, "identity-device-unsigned", "The device's key must sign too.")
WORN: Final = Result(234, "identity-device-worn", "The device is assigned already.")
NOT_WORN: Final = Result(235, "identity-device-not-worn", "The device is assigned to nobody.")
TAG_USED: Final = Result(236, "identity-tag-used", "That tag was used before; draw another.")
NOT_YOURS: Final = Result(
    237, "identity-device-not-yours", "Another institution answers for that device or model."
)
FIRMWARE_UNKNOWN: Final = Result(
    239, "identity-firmware-unknown", "No such firmware was published for that model."
)
RESULTS: Final = (
    EXISTS,
    UNKNOWN,
    UNUSABLE,
    UNSIGNED,
    WORN,
    NOT_WORN,
    TAG_USED,
    NOT_YOURS,
    FIRMWARE_UNKNOWN,
)


@dataclass(frozen=True, slots=True)
class Register:
    """``device``: 32 random bytes; ``model``: its UDI-DI; ``sign_key``: Ed25519, signs too;
    ``firmware``: digest of the published version that runs; ``serial``: commitment to the
    serial number; ``data_classes``: what it may report, codes of the telemetry family."""

    device: bytes
    model: str
    sign_key: bytes
    firmware: bytes
    serial: bytes
    data_classes: tuple[int, ...]

    def __post_init__(self) -> None:
        sized(self.device, 32, "device")
        sized(self.sign_key, 32, "sign_key")
        sized(self.firmware, 32, "firmware")
        sized(self.serial, 32, "serial")
        matching(self.model, MODEL_PATTERN, "model")
        if len(set(self.data_classes)) != len(self.data_classes):
            raise ValueError("data_classes are named once")
        if len(self.data_classes) > DATA_CLASSES_MAX:
            raise ValueError("data_classes are 16 at most")
        if any(item > 0xFFFF for item in self.data_classes):
            raise ValueError("a data class is two bytes")


@dataclass(frozen=True, slots=True)
class Assign:
    """``tag``: one-time tag of the subject that wears it, 16 bytes, drawn for this once."""

    device: bytes
    tag: bytes

    def __post_init__(self) -> None:
        sized(self.device, 32, "device")
        sized(self.tag, 16, "tag")


@dataclass(frozen=True, slots=True)
class Attest:
    """``firmware``: digest of the version that runs now, says the device."""

    device: bytes
    firmware: bytes

    def __post_init__(self) -> None:
        sized(self.device, 32, "device")
        sized(self.firmware, 32, "firmware")


@dataclass(frozen=True, slots=True)
class Device:
    device: bytes

    def __post_init__(self) -> None:
        sized(self.device, 32, "device")


def _save(context: Context, row: DeviceRow, what: str) -> None:
    people.save_device(
        context.view,
        row,
        what,
        by=context.org.id,
        height=context.height,
        time_ms=context.time_ms,
    )


def _in_use(context: Context, device: bytes) -> DeviceRow:
    """Return a device that is not retired."""
    row = people.device(context.view.get, device)
    if row is None:
        raise Refused(UNKNOWN)
    if row.status == ENDED:
        raise Refused(UNUSABLE)
    return row


def _register(context: Context, body: Register) -> None:
    view = context.view
    if people.device(view.get, body.device) is not None:
        raise Refused(EXISTS)
    model = devices.model_row(view.get, body.model)
    if model is None or devices.version_row(view.get, body.model, body.firmware) is None:
        raise Refused(FIRMWARE_UNKNOWN)
    if model.manufacturer != context.org.id:
        raise Refused(NOT_YOURS)
    keys.hold(context, body.sign_key, Holder("device", body.device))
    row = DeviceRow(
        device=body.device,
        manufacturer=context.org.id,
        model=body.model,
        sign_key=body.sign_key,
        firmware=body.firmware,
        data_classes=body.data_classes,
        status=ACTIVE,
        assigned=None,
        custodian=None,
        counter=0,
        since_height=context.height,
        serial=body.serial,
    )
    _save(context, row, "register")
    numbered.append(view, devices.model_devices(body.model), devices.Name(body.device))


def _assign(context: Context, body: Assign) -> None:
    view = context.view
    row = _in_use(context, body.device)
    if people.device_refusal(view.get, row) is not None:
        raise Refused(UNUSABLE)
    if row.assigned is not None:
        raise Refused(WORN)
    if not context.signed_by(row.sign_key):
        raise Refused(UNSIGNED)
    if view.get(devices.wear_tag_key(body.tag)) is not None:
        raise Refused(TAG_USED)
    view.save(devices.wear_tag_key(body.tag), devices.Name(body.device))
    wear = Wear(body.tag, context.org.id, context.height, context.time_ms)
    numbered.append(view, people.device_wears(body.device), wear)
    worn = replace(row, assigned=body.tag, custodian=context.org.id)
    view.save(people.device_key(body.device), worn)


def _take_back(context: Context, row: DeviceRow) -> DeviceRow:
    """Close the assignment that is open and return the device without it."""
    view = context.view
    name = people.device_wears(row.device)
    number = numbered.length(view.get, name) - 1
    wear = numbered.row(view.get, name, Wear, number)
    closed = replace(wear, until_height=context.height, until_ms=context.time_ms)
    view.save(numbered.row_key(name, number), closed)
    return replace(row, assigned=None)


def _unassign(context: Context, body: Device) -> None:
    row = _in_use(context, body.device)
    if row.assigned is None:
        raise Refused(NOT_WORN)
    if row.custodian != context.org.id:
        raise Refused(NOT_YOURS)
    context.view.save(people.device_key(body.device), _take_back(context, row))


def _attest(context: Context, body: Attest) -> None:
    row = _in_use(context, body.device)
    if not context.signed_by(row.sign_key):
        raise Refused(UNSIGNED)
    if devices.version_row(context.view.get, row.model, body.firmware) is None:
        raise Refused(FIRMWARE_UNKNOWN)
    _save(context, replace(row, firmware=body.firmware), "attest")


def _retire(context: Context, body: Device) -> None:
    row = _in_use(context, body.device)
    if context.org.id not in (row.manufacturer, row.custodian):
        raise Refused(NOT_YOURS)
    if row.assigned is not None:
        if row.custodian != context.org.id:
            raise Refused(WORN)
        row = _take_back(context, row)
    _save(context, replace(row, status=ENDED), "retire")


_ANY: Final[frozenset[str]] = frozenset()
_MAKERS: Final = frozenset({"manufacturer"})
_CARE: Final = frozenset({"author", "custodian", "research"})
OPERATIONS: Final = (
    Operation("identity.device.register", Register, _register, _MAKERS, "Register a device."),
    Operation(
        "identity.device.assign", Assign, _assign, _CARE, "Assign a device to a one-time tag."
    ),
    Operation("identity.device.unassign", Device, _unassign, _CARE, "Take a device back."),
    Operation(
        "identity.device.attest", Attest, _attest, _ANY, "Say which firmware a device runs."
    ),
    Operation("identity.device.retire", Device, _retire, _ANY, "Take a device out of use."),
)
