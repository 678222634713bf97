"""Models, firmware, advisories and quarantines in state, and the lists that are complete.

State: ``model/<model>`` -> ``ModelRow``; ``firmware-version/<model>/<firmware>`` ->
``FirmwareRow``; numbered lists ``model-device/<model>``, ``model-firmware/<model>``,
``model-advisory/<model>``, ``advisory/<org>/<advisory>`` (its versions) and
``firmware-change/<model>/<firmware>`` (quarantined, cleared).  A quarantine in force is a
``QuarantineRow`` under ``firmware/<model>/<firmware>`` or ``device-quarantine/<device>``; when
it is cleared the row goes and the history stays.
"""

from dataclasses import dataclass

from node.ledger.state import Read, load_from


@dataclass(frozen=True, slots=True)
class ModelRow:
    """Who answers for a model: the manufacturer that published firmware for it first."""

    manufacturer: str
    since_height: int
    since_ms: int


@dataclass(frozen=True, slots=True)
class FirmwareRow:
    """One version: ``sbom`` is the digest of its software bill of materials."""

    firmware: bytes
    version: str
    sbom: bytes
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Name:
    """An entry of a list of devices or firmware: the 32 bytes that it is known by."""

    name: bytes


@dataclass(frozen=True, slots=True)
class AdvisoryRow:
    """One version of an advisory; no ``firmwares``: every version of ``models``."""

    by: str
    advisory: str
    models: tuple[str, ...]
    firmwares: tuple[bytes, ...]
    severity: str
    text: bytes
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class AdvisoryName:
    by: str
    advisory: str


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """In force: by whom, whether that is a regulator, after which advisory."""

    by: str
    regulator: bool
    advisory: str | None
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class FirmwareChange:
    what: str  # quarantine, clear
    by: str
    advisory: str | None
    height: int
    time_ms: int


def model_key(model: str) -> bytes:
    return b"model/" + model.encode()


def version_key(model: str, firmware: bytes) -> bytes:
    return b"firmware-version/" + model.encode() + b"/" + firmware


def firmware_changes(model: str, firmware: bytes) -> bytes:
    return b"firmware-change/" + model.encode() + b"/" + firmware


def device_quarantine_key(device: bytes) -> bytes:
    return b"device-quarantine/" + device


def wear_tag_key(tag: bytes) -> bytes:
    return b"device-tag/" + tag


def model_devices(model: str) -> bytes:
    return b"model-device/" + model.encode()


def model_firmwares(model: str) -> bytes:
    return b"model-firmware/" + model.encode()


def model_advisories(model: str) -> bytes:
    return b"model-advisory/" + model.encode()


def advisory_versions(org: str, advisory: str) -> bytes:
    return b"advisory/" + org.encode() + b"/" + advisory.encode()


def model_row(read: Read, model: str) -> ModelRow | None:
    return load_from(read, ModelRow, model_key(model))


def version_row(read: Read, model: str, firmware: bytes) -> FirmwareRow | None:
    return load_from(read, FirmwareRow, version_key(model, firmware))
