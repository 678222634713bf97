"""Family ``identity``, firmware: what was published for a model, what is wrong with it, and
what may not be used.

The manufacturer that publishes firmware for a model first answers for the model; which
manufacturer may call a model its own is not for these rules to know, and a wrong claim is for
the regulator and the members' vote.  Manufacturers advise about their models, regulators about
any; an advisory that is published again is a new version of it.

A quarantine is of one firmware version of a model, or of one device.  A device's custodian may
stop a single device as well.  Whoever began a quarantine clears it, or a regulator does; a
regulator takes over the quarantine of another, and then only a regulator clears it.

State: ``node.ledger.facts.devices``.  Bounded: 8 models and 32 firmware versions of one
advisory; lists are numbered and read in pages.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import devices, numbered, people
from node.ledger.facts.devices import (
    AdvisoryName,
    AdvisoryRow,
    FirmwareChange,
    FirmwareRow,
    ModelRow,
    Name,
    QuarantineRow,
)
from node.ledger.facts.people import ACTIVE, ENDED, QUARANTINED, DeviceRow
from node.ledger.facts.words import known, sized
from node.ledger.facts.words_identity import (
    ADVISORY_PATTERN,
    MODEL_PATTERN,
    SEVERITIES,
    VERSION_PATTERN,
    matching,
)
from node.ledger.rules import Context, Operation, Refused, Result

MODELS_MAX: Final = 8
FIRMWARES_MAX: Final = 32

EXISTS: Final = Result(238, "identity-firmware-known", "That firmware is published already.")
UNKNOWN: Final = Result(
    240, "identity-target-unknown", "No such model, firmware or device that is in use."
)
QUARANTINED_ALREADY: Final = Result(
    241, "identity-quarantine-known", "It is quarantined already."
)
NOT_QUARANTINED: Final = Result(242, "identity-quarantine-none", "It is not quarantined.")
NOT_YOURS: Final = Result(
    243, "identity-model-not-yours", "Another institution decides about that."
)
RESULTS: Final = (EXISTS, UNKNOWN, QUARANTINED_ALREADY, NOT_QUARANTINED, NOT_YOURS)


@dataclass(frozen=True, slots=True)
class Publish:
    """``model``: UDI-DI; ``firmware``: digest of the image; ``version``: as people call it;
    ``sbom``: digest of its software bill of materials (CycloneDX or SPDX)."""

    model: str
    firmware: bytes
    version: str
    sbom: bytes

    def __post_init__(self) -> None:
        matching(self.model, MODEL_PATTERN, "model")
        matching(self.version, VERSION_PATTERN, "version")
        sized(self.firmware, 32, "firmware")
        sized(self.sbom, 32, "sbom")


@dataclass(frozen=True, slots=True)
class Advise:
    """``advisory``: CVE, ICSMA or plain number; ``firmwares``: digests, none for every version
    of ``models``; ``severity``: CVSS rating; ``text``: digest of what it says."""

    advisory: str
    models: tuple[str, ...]
    firmwares: tuple[bytes, ...]
    severity: str
    text: bytes

    def __post_init__(self) -> None:
        matching(self.advisory, ADVISORY_PATTERN, "advisory")
        known(self.severity, SEVERITIES, "severity")
        sized(self.text, 32, "text")
        for model in self.models:
            matching(model, MODEL_PATTERN, "model")
        for firmware in self.firmwares:
            sized(firmware, 32, "firmware")
        if not 1 <= len(self.models) <= MODELS_MAX or len(self.firmwares) > FIRMWARES_MAX:
            raise ValueError("an advisory is about 1 to 8 models and at most 32 versions")
        for items in (self.models, self.firmwares):
            if len(set(items)) != len(items):
                raise ValueError("models and firmwares are named once")


@dataclass(frozen=True, slots=True)
class Target:
    """``firmware`` of ``model``, or one ``device``; ``advisory``: why, if there is one."""

    model: str | None = None
    firmware: bytes | None = None
    device: bytes | None = None
    advisory: str | None = None

    def __post_init__(self) -> None:
        sized(self.firmware, 32, "firmware")
        sized(self.device, 32, "device")
        if self.model is not None:
            matching(self.model, MODEL_PATTERN, "model")
        if self.advisory is not None:
            matching(self.advisory, ADVISORY_PATTERN, "advisory")
        of_model = self.model is not None and self.firmware is not None
        neither = self.model is None and self.firmware is None
        if not (of_model if self.device is None else neither):
            raise ValueError("name a model and its firmware, or one device")


def _regulator(context: Context) -> bool:
    return "regulator" in context.org.roles


def _publish(context: Context, body: Publish) -> None:
    view = context.view
    model = devices.model_row(view.get, body.model)
    if model is None:
        model = ModelRow(context.org.id, context.height, context.time_ms)
        view.save(devices.model_key(body.model), model)
    if model.manufacturer != context.org.id:
        raise Refused(NOT_YOURS)
    if devices.version_row(view.get, body.model, body.firmware) is not None:
        raise Refused(EXISTS)
    row = FirmwareRow(body.firmware, body.version, body.sbom, context.height, context.time_ms)
    view.save(devices.version_key(body.model, body.firmware), row)
    numbered.append(view, devices.model_firmwares(body.model), Name(body.firmware))


def _advise(context: Context, body: Advise) -> None:
    view, org = context.view, context.org.id
    for name in body.models:
        model = devices.model_row(view.get, name)
        if model is None:
            raise Refused(UNKNOWN)
        if model.manufacturer != org and not _regulator(context):
            raise Refused(NOT_YOURS)
    for firmware in body.firmwares:
        rows = (devices.version_row(view.get, name, firmware) for name in body.models)
        if all(row is None for row in rows):
            raise Refused(UNKNOWN)
    versions = devices.advisory_versions(org, body.advisory)
    before = numbered.last(view.get, versions, AdvisoryRow)
    row = AdvisoryRow(
        org,
        body.advisory,
        body.models,
        body.firmwares,
        body.severity,
        body.text,
        context.height,
        context.time_ms,
    )
    numbered.append(view, versions, row)
    for name in body.models:
        if before is None or name not in before.models:
            entry = AdvisoryName(org, body.advisory)
            numbered.append(view, devices.model_advisories(name), entry)


# --- quarantine ----------------------------------------------------------------------------


def _device_of(context: Context, device: bytes) -> DeviceRow:
    row = people.device(context.view.get, device)
    if row is None or row.status == ENDED:
        raise Refused(UNKNOWN)
    return row


def _target(context: Context, body: Target) -> tuple[bytes, DeviceRow | None]:
    """Return where a quarantine of the target stands, and the device that it is about; refuses
    those who have no say over it."""
    view, org = context.view, context.org.id
    if body.device is not None:
        row = _device_of(context, body.device)
        if org not in (row.manufacturer, row.custodian) and not _regulator(context):
            raise Refused(NOT_YOURS)
        return devices.device_quarantine_key(body.device), row
    assert body.model is not None, "a target names a device or a model"
    assert body.firmware is not None, "a target names a device or a firmware"
    model = devices.model_row(view.get, body.model)
    if model is None or devices.version_row(view.get, body.model, body.firmware) is None:
        raise Refused(UNKNOWN)
    if model.manufacturer != org and not _regulator(context):
        raise Refused(NOT_YOURS)
    return people.firmware_key(body.model, body.firmware), None


def _note(context: Context, body: Target, row: DeviceRow | None, what: str) -> None:
    """Write the change at the end of the target's history."""
    org, height, time_ms = context.org.id, context.height, context.time_ms
    if row is not None:
        status = QUARANTINED if what == "quarantine" else ACTIVE
        changed = replace(row, status=status)
        people.save_device(context.view, changed, what, by=org, height=height, time_ms=time_ms)
        return
    assert body.model is not None, "a target that is no device has a model"
    assert body.firmware is not None, "a target that is no device has a firmware"
    change = FirmwareChange(what, org, body.advisory, height, time_ms)
    name = devices.firmware_changes(body.model, body.firmware)
    numbered.append(context.view, name, change)


def _quarantine(context: Context, body: Target) -> None:
    key, row = _target(context, body)
    before = context.view.load(QuarantineRow, key)
    if before is not None and (before.regulator or not _regulator(context)):
        raise Refused(QUARANTINED_ALREADY)
    made = QuarantineRow(
        context.org.id, _regulator(context), body.advisory, context.height, context.time_ms
    )
    context.view.save(key, made)
    _note(context, body, row, "quarantine")


def _clear(context: Context, body: Target) -> None:
    key, row = _target(context, body)
    before = context.view.load(QuarantineRow, key)
    if before is None:
        raise Refused(NOT_QUARANTINED)
    if before.by != context.org.id and not _regulator(context):
        raise Refused(NOT_YOURS)
    context.view.delete(key)
    _note(context, body, row, "clear")


_ANY: Final[frozenset[str]] = frozenset()
_MAKERS: Final = frozenset({"manufacturer"})
_ADVISERS: Final = frozenset({"manufacturer", "regulator"})
OPERATIONS: Final = (
    Operation(
        "identity.device.firmware",
        Publish,
        _publish,
        _MAKERS,
        "Publish a firmware version of a model.",
    ),
    Operation(
        "identity.device.advisory",
        Advise,
        _advise,
        _ADVISERS,
        "Warn of models and firmware versions.",
    ),
    Operation(
        "identity.device.quarantine",
        Target,
        _quarantine,
        _ANY,
        "Say that a firmware version, or one device, must not be used.",
    ),
    Operation("identity.device.clear", Target, _clear, _ANY, "Lift a quarantine."),
)
