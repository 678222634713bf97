"""Questions about devices and models: usable or not and why, worn when, affected by what.

Lists are by the model's own numbered rows, so none is left out; a page counts the devices that
were looked at, not those that are shown.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts import devices, numbered, people
from node.ledger.facts.devices import (
    AdvisoryName,
    AdvisoryRow,
    FirmwareChange,
    FirmwareRow,
    Name,
    QuarantineRow,
)
from node.ledger.facts.people import DeviceChange, DeviceRow, Wear
from node.ledger.facts.words import sized
from node.ledger.facts.words_identity import ADVISORY_PATTERN, MODEL_PATTERN, matching
from node.ledger.state import load_from
from node.ledger.transaction import ORG_PATTERN


@dataclass(frozen=True, slots=True)
class OfDevice:
    device: bytes

    def __post_init__(self) -> None:
        sized(self.device, 32, "device")


@dataclass(frozen=True, slots=True)
class DeviceState:
    """``usable``: what it says may be relied upon; if not, ``refusal`` is unknown, ended,
    quarantined (the device) or firmware (what runs on it).  ``quarantine`` is the one in
    force, of the device or else of its firmware."""

    known: bool
    usable: bool
    refusal: str | None = None
    device: DeviceRow | None = None
    version: str | None = None
    quarantine: QuarantineRow | None = None


@dataclass(frozen=True, slots=True)
class DevicePage:
    device: bytes
    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        sized(self.device, 32, "device")


@dataclass(frozen=True, slots=True)
class DeviceChanges:
    changes: tuple[DeviceChange, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Wears:
    wears: tuple[Wear, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class ModelPage:
    model: str
    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        matching(self.model, MODEL_PATTERN, "model")


@dataclass(frozen=True, slots=True)
class Firmware:
    """``changes``: the last hundred quarantines and clearings, the newest first."""

    firmware: FirmwareRow
    quarantine: QuarantineRow | None
    changes: tuple[FirmwareChange, ...]


@dataclass(frozen=True, slots=True)
class Firmwares:
    manufacturer: str | None
    firmwares: tuple[Firmware, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A device as its custodian must know it: whom to tell, and whether it is stopped."""

    device: bytes
    model: str
    firmware: bytes
    version: str | None
    status: str
    usable: bool
    custodian: str | None
    assigned: bytes | None


@dataclass(frozen=True, slots=True)
class Devices:
    """``looked_at``: how many devices this page is about, shown or not."""

    devices: tuple[Listed, ...]
    looked_at: int
    next: int | None


@dataclass(frozen=True, slots=True)
class Advisories:
    advisories: tuple[AdvisoryRow, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class OfAdvisory:
    """``org``: who published it; ``custodian``: only devices that this one answers for."""

    org: str
    advisory: str
    custodian: str | None = None
    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        matching(self.org, ORG_PATTERN, "org")
        matching(self.advisory, ADVISORY_PATTERN, "advisory")


@dataclass(frozen=True, slots=True)
class Affected:
    """``advisory``: its newest version; the devices as they run and are worn today."""

    known: bool
    advisory: AdvisoryRow | None = None
    devices: tuple[Listed, ...] = ()
    looked_at: int = 0
    next: int | None = None


def _version(facts: Facts, model: str, firmware: bytes) -> str | None:
    row = devices.version_row(facts.get, model, firmware)
    return None if row is None else row.version


def _show(facts: Facts, asked: OfDevice) -> DeviceState:
    row = people.device(facts.get, asked.device)
    refusal = people.device_refusal(facts.get, row)
    if row is None:
        return DeviceState(known=False, usable=False, refusal=refusal)
    places = (
        devices.device_quarantine_key(row.device),
        people.firmware_key(row.model, row.firmware),
    )
    found = (load_from(facts.get, QuarantineRow, place) for place in places)
    return DeviceState(
        known=True,
        usable=refusal is None,
        refusal=refusal,
        device=row,
        version=_version(facts, row.model, row.firmware),
        quarantine=next((item for item in found if item is not None), None),
    )


def _history(facts: Facts, asked: DevicePage) -> DeviceChanges:
    name = people.device_changes(asked.device)
    rows, following = numbered.page(
        facts.get, name, DeviceChange, start=asked.start, limit=asked.limit
    )
    return DeviceChanges(rows, following)


def _wears(facts: Facts, asked: DevicePage) -> Wears:
    name = people.device_wears(asked.device)
    rows, following = numbered.page(facts.get, name, Wear, start=asked.start, limit=asked.limit)
    return Wears(rows, following)


def _firmware(facts: Facts, model: str, digest: bytes) -> Firmware:
    row = devices.version_row(facts.get, model, digest)
    assert row is not None, "every listed version has its row"
    quarantine = load_from(facts.get, QuarantineRow, people.firmware_key(model, digest))
    name = devices.firmware_changes(model, digest)
    changes = numbered.backwards(facts.get, name, FirmwareChange)
    return Firmware(
        row, quarantine, tuple(change for change, _ in zip(changes, range(100), strict=False))
    )


def _firmwares(facts: Facts, asked: ModelPage) -> Firmwares:
    model = devices.model_row(facts.get, asked.model)
    names, following = numbered.page(
        facts.get,
        devices.model_firmwares(asked.model),
        Name,
        start=asked.start,
        limit=asked.limit,
    )
    found = tuple(_firmware(facts, asked.model, item.name) for item in names)
    return Firmwares(None if model is None else model.manufacturer, found, following)


def _listed(facts: Facts, device: bytes) -> Listed:
    row = people.device(facts.get, device)
    assert row is not None, "every listed device has its row"
    return Listed(
        device=row.device,
        model=row.model,
        firmware=row.firmware,
        version=_version(facts, row.model, row.firmware),
        status=row.status,
        usable=people.device_refusal(facts.get, row) is None,
        custodian=row.custodian,
        assigned=row.assigned,
    )


def _devices(facts: Facts, asked: ModelPage) -> Devices:
    name = devices.model_devices(asked.model)
    names, following = numbered.page(
        facts.get, name, Name, start=asked.start, limit=asked.limit
    )
    found = tuple(_listed(facts, item.name) for item in names)
    return Devices(found, len(found), following)


def _newest(facts: Facts, org: str, advisory: str) -> AdvisoryRow | None:
    return numbered.last(facts.get, devices.advisory_versions(org, advisory), AdvisoryRow)


def _advisories(facts: Facts, asked: ModelPage) -> Advisories:
    name = devices.model_advisories(asked.model)
    names, following = numbered.page(
        facts.get, name, AdvisoryName, start=asked.start, limit=asked.limit
    )
    found = (_newest(facts, item.by, item.advisory) for item in names)
    return Advisories(tuple(row for row in found if row is not None), following)


def _affected(facts: Facts, asked: OfAdvisory) -> Affected:
    """Walk the devices of all models that it names as if they were one list."""
    advisory = _newest(facts, asked.org, asked.advisory)
    if advisory is None:
        return Affected(known=False)
    names = [devices.model_devices(model) for model in advisory.models]
    counts = [numbered.length(facts.get, name) for name in names]
    numbers, following = numbered.span(sum(counts), asked.start, asked.limit)
    found = []
    for at in numbers:
        place, number = 0, at
        while number >= counts[place]:
            number -= counts[place]
            place += 1
        entry = numbered.row(facts.get, names[place], Name, number)
        item = _listed(facts, entry.name)
        if advisory.firmwares and item.firmware not in advisory.firmwares:
            continue
        if item.status == people.ENDED or asked.custodian not in (None, item.custodian):
            continue
        found.append(item)
    return Affected(
        known=True,
        advisory=advisory,
        devices=tuple(found),
        looked_at=len(numbers),
        next=following,
    )


QUESTIONS: Final = (
    Question("identity.device.show", OfDevice, DeviceState, _show, "May this device be used?"),
    Question(
        "identity.device.history",
        DevicePage,
        DeviceChanges,
        _history,
        "What happened to this device, and which firmware did it run?",
    ),
    Question(
        "identity.device.wears",
        DevicePage,
        Wears,
        _wears,
        "Which tags was this device assigned to, by whom, from when to when?",
    ),
    Question(
        "identity.model.firmware",
        ModelPage,
        Firmwares,
        _firmwares,
        "Which firmware was published for this model, and which is quarantined?",
    ),
    Question(
        "identity.model.devices",
        ModelPage,
        Devices,
        _devices,
        "Which devices of this model are there, and who answers for them?",
    ),
    Question(
        "identity.model.advisories",
        ModelPage,
        Advisories,
        _advisories,
        "What was warned of about this model?",
    ),
    Question(
        "identity.advisory.affected",
        OfAdvisory,
        Affected,
        _affected,
        "Which devices does this advisory affect, and whom must be told?",
    ),
)
