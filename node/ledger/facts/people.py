"""Patients, practitioners and devices in state: who may sign for whom, and what may be used.

A patient is known to the ledger by a *subject*: 32 random bytes that one institution drew for
this patient and uses nowhere else.  Subjects of one patient at two institutions are unrelated
to everybody who was not told.  Keys of patients are made for one subject only, for the same
reason.  Nothing here is derived from anything about the person.

Rows say how things stand; beside each there is a numbered list of all its changes, so that
"at height h" and "at time t" have answers: ``patient-change/<subject>``,
``practitioner-change/<licence>``, ``device-change/<device>``, and ``device-wear/<device>``
(which institution assigned it to which tag).
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.facts import numbered
from node.ledger.rules import Result
from node.ledger.state import Overlay, Read, load_from

ACTIVE: Final = "active"
SUSPENDED: Final = "suspended"
ENDED: Final = "ended"
QUARANTINED: Final = "quarantined"
PENDING: Final = "pending"
EXPIRED: Final = "expired"
GUARDIANS_MAX: Final = 8

LICENCE_UNKNOWN: Final = Result(
    213, "identity-licence-unknown", "No such licence on the ledger."
)


@dataclass(frozen=True, slots=True)
class PatientRow:
    """A patient as one institution (``org``) knows them.

    ``guardians`` are keys, ``guardians_needed`` of which recover a lost key.  ``level`` is the
    assurance level of the binding (1 low, 2 substantial, 3 high).
    """

    subject: bytes
    org: str
    sign_key: bytes  # Ed25519, 32 bytes
    seal_key: bytes  # X25519, 32 bytes
    level: int
    status: str  # active, ended
    guardians: tuple[bytes, ...]
    guardians_needed: int
    version: int  # counts changes of keys
    since_height: int
    since_ms: int


@dataclass(frozen=True, slots=True)
class PractitionerRow:
    """A licence: ``licence`` commits to a credential that its holder keeps; no name here."""

    licence: bytes  # 32 bytes
    issuer: str  # the institution that vouches
    profession: str  # a word of PROFESSIONS in facts.words_identity
    status: str  # active, suspended, ended; ended too when its time is over
    from_ms: int
    until_ms: int
    since_height: int
    by: str = ""  # the institution that changed the status last


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device: ``device`` is 32 random bytes, not its serial number.

    ``counter`` is the highest monotonic counter of its telemetry; ``assigned`` the one-time
    tag (16 bytes) of the subject that wears it, ``custodian`` the institution that assigned it
    last: it answers for the device after the patient has given it back, too.  ``serial``
    commits to the serial number.
    """

    device: bytes
    manufacturer: str
    model: str  # UDI-DI of the model: public, the same for every piece of it
    sign_key: bytes
    firmware: bytes  # 32-byte digest of the version that runs
    data_classes: tuple[int, ...]
    status: str  # active, quarantined, ended
    assigned: bytes | None
    custodian: str | None
    counter: int
    since_height: int
    serial: bytes | None = None


@dataclass(frozen=True, slots=True)
class PatientChange:
    """One change of a binding, and how keys and guardians stood after it."""

    what: str  # bind, rotate, guard, recover, end
    sign_key: bytes
    seal_key: bytes
    guardians: tuple[bytes, ...]
    guardians_needed: int
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class LicenceChange:
    """A licence's status from a height on: pending, active, suspended, ended or expired."""

    status: str
    by: str
    reason: bytes | None  # commitment to a document
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """One change of a device, and how status and firmware stood after it."""

    what: str  # register, attest, quarantine, clear, retire
    status: str
    firmware: bytes
    by: str
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Wear:
    """Who assigned a device to which one-time tag, and for how long."""

    tag: bytes
    custodian: str
    from_height: int
    from_ms: int
    until_height: int | None = None
    until_ms: int | None = None


def patient_key(subject: bytes) -> bytes:
    return b"patient/" + subject


def practitioner_key(licence: bytes) -> bytes:
    return b"practitioner/" + licence


def device_key(device: bytes) -> bytes:
    return b"device/" + device


def firmware_key(model: str, firmware: bytes) -> bytes:
    """Return where a quarantine of one firmware version of one model stands, if any."""
    return b"firmware/" + model.encode() + b"/" + firmware


def patient_changes(subject: bytes) -> bytes:
    return b"patient-change/" + subject


def licence_changes(licence: bytes) -> bytes:
    return b"practitioner-change/" + licence


def device_changes(device: bytes) -> bytes:
    return b"device-change/" + device


def device_wears(device: bytes) -> bytes:
    return b"device-wear/" + device


def patient(read: Read, subject: bytes) -> PatientRow | None:
    return load_from(read, PatientRow, patient_key(subject))


def practitioner(read: Read, licence: bytes) -> PractitionerRow | None:
    return load_from(read, PractitionerRow, practitioner_key(licence))


def device(read: Read, device: bytes) -> DeviceRow | None:
    return load_from(read, DeviceRow, device_key(device))


def save_patient(
    view: Overlay, row: PatientRow, what: str, *, height: int, time_ms: int
) -> None:
    """Write a binding, and its change at the end of its history."""
    view.save(patient_key(row.subject), row)
    change = PatientChange(
        what, row.sign_key, row.seal_key, row.guardians, row.guardians_needed, height, time_ms
    )
    numbered.append(view, patient_changes(row.subject), change)


def save_device(
    view: Overlay, row: DeviceRow, what: str, *, by: str, height: int, time_ms: int
) -> None:
    """Write a device, and its change at the end of its history."""
    view.save(device_key(row.device), row)
    change = DeviceChange(what, row.status, row.firmware, by, height, time_ms)
    numbered.append(view, device_changes(row.device), change)


def licensed(row: PractitionerRow | None, now_ms: int) -> bool:
    """Return whether a licence is valid at ``now_ms``, as its status stands."""
    return row is not None and row.status == ACTIVE and row.from_ms <= now_ms < row.until_ms


def firmware_quarantined(read: Read, model: str, firmware: bytes) -> bool:
    """Return whether one firmware version of one model may not be used."""
    return read(firmware_key(model, firmware)) is not None


def device_refusal(read: Read, row: DeviceRow | None) -> str | None:
    """Return why what a device says must not be relied upon; None for one that may be used:
    ``unknown``, ``ended``, ``quarantined`` (this device), ``firmware`` (what runs on it)."""
    if row is None:
        return "unknown"
    if row.status != ACTIVE:
        return row.status
    return "firmware" if firmware_quarantined(read, row.model, row.firmware) else None


def device_usable(read: Read, device_id: bytes) -> bool:
    """Return whether a device is registered, in use, and runs firmware that may be used."""
    return device_refusal(read, device(read, device_id)) is None
