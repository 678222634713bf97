"""Telemetry in state: batches of a device, gaps in its counter, gateways, alerts.

State: ``telemetry-batch/<device>``, a numbered list of ``BatchRow``; ``telemetry-gap/<device>``
of ``GapRow``; ``telemetry-root/<device><root>`` -> ``Numbered``, the batch with that root;
``telemetry-gateway/<key>`` -> ``GatewayRow``, ``telemetry-gateway-of/<org>``, a numbered list
of ``GatewayName``; ``telemetry-alert/<alert>`` -> ``AlertRow``; by recipient the list
``telemetry-alert-of/<org>`` of ``AlertName``, the set ``telemetry-alert-open/<org>`` and
``telemetry-alert-count/<org>`` -> ``AlertCounts``.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import consents, people
from node.ledger.facts.people import DeviceRow
from node.ledger.rules import Context, Refused, Result
from node.ledger.state import Overlay, Read, institution, load_from

TREATMENT: Final = "TREAT"

DEVICE_UNKNOWN: Final = Result(350, "telemetry-device-unknown", "No such device is registered.")
DEVICE_ENDED: Final = Result(351, "telemetry-device-ended", "That device is out of use.")
DEVICE_QUARANTINED: Final = Result(
    352, "telemetry-device-quarantined", "That device is quarantined."
)
FIRMWARE_QUARANTINED: Final = Result(
    353, "telemetry-firmware-quarantined", "The firmware that runs on it is quarantined."
)
FIRMWARE_DIFFERS: Final = Result(
    354, "telemetry-firmware-differs", "That is not the firmware the device attested."
)
UNSIGNED: Final = Result(
    355, "telemetry-unsigned", "Neither the device nor a gateway of its custodian signed it."
)
CLASS_REFUSED: Final = Result(
    358, "telemetry-class-refused", "The device may not report data of that class."
)
RECIPIENT_UNKNOWN: Final = Result(
    359, "telemetry-recipient-unknown", "No such institution to receive it."
)
SUBJECT_MISSING: Final = Result(
    360, "telemetry-subject-missing", "Others than the device's custodian need the consent."
)
CONSENT_MISSING: Final = Result(
    361, "telemetry-consent-missing", "No consent permits this data to that institution."
)
_REFUSALS: Final = {
    "unknown": DEVICE_UNKNOWN,
    people.ENDED: DEVICE_ENDED,
    people.QUARANTINED: DEVICE_QUARANTINED,
    "firmware": FIRMWARE_QUARANTINED,
}


@dataclass(frozen=True, slots=True)
class BatchRow:
    """Readings of one device, under one root.  ``gateway``: the key that signed, None for the
    device's own; ``subject`` where consent was asked, with the ``basis`` of the decision."""

    org: str
    gateway: bytes | None
    from_ms: int
    until_ms: int
    count: int
    root: bytes
    first_counter: int
    last_counter: int
    firmware: bytes
    data_class: int
    recipient: str
    subject: bytes | None
    basis: bytes | None
    txid: bytes
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class GapRow:
    """Counters that no batch has: those after ``after`` and before ``before``."""

    after: int
    before: int
    batch: int
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Numbered:
    number: int


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """``until_*`` are None while the key may sign for its institution's devices."""

    org: str
    from_height: int
    from_ms: int
    until_height: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class GatewayName:
    key: bytes


@dataclass(frozen=True, slots=True)
class AlertRow:
    """``unanswered_ms``: the block time at which the deadline ran out without an answer."""

    alert: bytes
    device: bytes
    threshold: bytes
    commitment: bytes
    org: str
    recipient: str
    data_class: int
    subject: bytes | None
    raised_height: int
    raised_ms: int
    due_ms: int
    unanswered_ms: int | None = None
    action: str | None = None
    answered_height: int | None = None
    answered_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AlertName:
    alert: bytes


@dataclass(frozen=True, slots=True)
class AlertCounts:
    """What became of the alerts to an institution; ``late`` ones were answered, but late."""

    raised: int = 0
    in_time: int = 0
    late: int = 0
    ran_out: int = 0


def batches_name(device: bytes) -> bytes:
    return b"telemetry-batch/" + device


def gaps_name(device: bytes) -> bytes:
    return b"telemetry-gap/" + device


def root_key(device: bytes, root: bytes) -> bytes:
    return b"telemetry-root/" + device + root


def gateway_key(key: bytes) -> bytes:
    return b"telemetry-gateway/" + key


def gateways_name(org: str) -> bytes:
    return b"telemetry-gateway-of/" + org.encode()


def alert_key(alert: bytes) -> bytes:
    return b"telemetry-alert/" + alert


def alerts_name(org: str) -> bytes:
    return b"telemetry-alert-of/" + org.encode()


def open_alerts_name(org: str) -> bytes:
    return b"telemetry-alert-open/" + org.encode()


def alert_counts_key(org: str) -> bytes:
    return b"telemetry-alert-count/" + org.encode()


def alert_of(read: Read, alert: bytes) -> AlertRow | None:
    return load_from(read, AlertRow, alert_key(alert))


def count_alerts(view: Overlay, org: str, **more: int) -> None:
    """Add ``more`` to what became of the alerts to ``org``."""
    key = alert_counts_key(org)
    counts = view.load(AlertCounts, key) or AlertCounts()
    added = {name: getattr(counts, name) + count for name, count in more.items()}
    view.save(key, replace(counts, **added))


# --- what batches and alerts have to meet -------------------------------------------------


def usable_device(context: Context, device: bytes) -> DeviceRow:
    """Return a device whose word counts; raises ``Refused`` for any other."""
    row = people.device(context.view.get, device)
    refusal = people.device_refusal(context.view.get, row)
    if refusal is not None:
        raise Refused(_REFUSALS[refusal])
    assert row is not None, "a device that is not refused is there"
    return row


def vouched_by(context: Context, device: DeviceRow) -> bytes | None:
    """Return the gateway's key that signed for ``device``, None when it signed itself."""
    if context.signed_by(device.sign_key):
        return None
    for key in context.keys:
        row = load_from(context.view.get, GatewayRow, gateway_key(key))
        if row is not None and row.until_ms is None and row.org == device.custodian:
            return key
    raise Refused(UNSIGNED)


@dataclass(frozen=True, slots=True)
class Flow:
    """Data of a class, made in a period, on its way to an institution."""

    recipient: str
    data_class: int
    subject: bytes | None
    from_ms: int
    until_ms: int


def permitted(context: Context, device: DeviceRow, flow: Flow) -> bytes | None:
    """Return what permits ``flow``: the basis of a consent decision, or None where none is
    needed because it goes to the device's custodian and names no subject."""
    if institution(context.view, flow.recipient) is None:
        raise Refused(RECIPIENT_UNKNOWN)
    if flow.data_class not in device.data_classes:
        raise Refused(CLASS_REFUSED)
    if flow.subject is None:
        if flow.recipient != device.custodian:
            raise Refused(SUBJECT_MISSING)
        return None
    patient = people.patient(context.view.get, flow.subject)
    if patient is None:
        raise Refused(CONSENT_MISSING)
    request = consents.Request(
        subject=flow.subject,
        custodian=patient.org,
        requester=flow.recipient,
        purpose=TREATMENT,
        data_class=flow.data_class,
        data_from_ms=flow.from_ms,
        data_until_ms=flow.until_ms + 1,
    )
    decision = consents.evaluate(
        context.view.get, request, time_ms=context.time_ms, height=context.height
    )
    if not decision.permit or not consents.releases(decision.residual, request.data):
        raise Refused(CONSENT_MISSING)
    return decision.basis
