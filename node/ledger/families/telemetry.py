"""Family ``telemetry``: what devices measured, in batches that cannot be replayed or rewound.

``telemetry.batch`` puts the root over a device's readings on the ledger: an RFC 6962 tree whose
leaf data are commitments, one for each reading, so that a single reading is proven by a path
and the others stay hidden.  The device signs with its own key, or a gateway does that the
device's custodian registered with ``telemetry.gateway.register``.

A device numbers its readings by a counter that only grows.  A batch begins beyond the last
counter known: the same batch again is a replay, another one at or below that counter a
roll-back (a cloned device, a restored backup, an old message from the air).  Counters that
were skipped are kept as a gap.  The firmware is the one the device attested, and not
quarantined; the class is one that the device may report; where the data goes to anybody but
the device's custodian, the patient's consent for treatment is asked, and asked again for each
batch.

A refused batch stays on the ledger as a failed transaction with its code.

State and bounds: see ``facts.telemetry``.  A batch has at most 2^20 readings.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import keys, numbered, people
from node.ledger.facts import telemetry as facts
from node.ledger.facts.keys import Holder
from node.ledger.facts.telemetry import BatchRow, Flow, GapRow, GatewayName, GatewayRow
from node.ledger.facts.words import org_id, sized
from node.ledger.rules import Context, Operation, Refused, Result

READINGS_MAX: Final = 1 << 20
AHEAD_MS: Final = 300_000  # how far a device's clock may run ahead of the ledger's
TIME_MS_MAX: Final = (1 << 53) - 1

REPLAYED: Final = Result(
    356, "telemetry-replayed", "That batch of that device is there already."
)
ROLLED_BACK: Final = Result(
    357, "telemetry-rolled-back", "The batch does not begin beyond the device's last counter."
)
AHEAD: Final = Result(362, "telemetry-window-ahead", "The batch ends in the future.")
GATEWAY_UNKNOWN: Final = Result(
    363, "telemetry-gateway-unknown", "This institution has no such gateway in use."
)
RESULTS: Final = (
    facts.DEVICE_UNKNOWN,
    facts.DEVICE_ENDED,
    facts.DEVICE_QUARANTINED,
    facts.FIRMWARE_QUARANTINED,
    facts.FIRMWARE_DIFFERS,
    facts.UNSIGNED,
    REPLAYED,
    ROLLED_BACK,
    facts.CLASS_REFUSED,
    facts.RECIPIENT_UNKNOWN,
    facts.SUBJECT_MISSING,
    facts.CONSENT_MISSING,
    AHEAD,
    GATEWAY_UNKNOWN,
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings of ``device``, made from ``from_ms`` to ``until_ms``.

    ``root``: RFC 6962 root over ``count`` leaves whose data are the readings' commitments.
    ``first_counter`` to ``last_counter``: the device's monotonic counter, at least one step for
    each reading.  ``firmware``: digest of the version that runs.  ``data_class``: the coarse
    class, the same codes as of records and consents.  ``recipient``: the institution that gets
    the readings; ``subject``: whose data it is, where that needs consent.
    """

    device: bytes
    from_ms: int
    until_ms: int
    count: int
    root: bytes
    first_counter: int
    last_counter: int
    firmware: bytes
    data_class: int
    recipient: str
    subject: bytes | None = None

    def __post_init__(self) -> None:
        org_id(self.recipient, "recipient")
        sized(self.device, 32, "device")
        sized(self.root, 32, "root")
        sized(self.firmware, 32, "firmware")
        sized(self.subject, 32, "subject")
        if not 1 <= self.count <= READINGS_MAX:
            raise ValueError("count must be 1 to 2^20")
        if not self.from_ms <= self.until_ms < TIME_MS_MAX:
            raise ValueError("the window ends before it begins, or after 2^53 ms")
        if self.first_counter < 1 or self.last_counter < self.first_counter + self.count - 1:
            raise ValueError("counters start at 1 and take a step for each reading")
        if self.data_class > 255:
            raise ValueError("data_class is one byte")


@dataclass(frozen=True, slots=True)
class Gateway:
    """``key``: Ed25519 key of a gateway that signs for devices of this institution; it co-signs
    here, to show that somebody holds it."""

    key: bytes

    def __post_init__(self) -> None:
        sized(self.key, 32, "key")


@dataclass(frozen=True, slots=True)
class GatewayEnd(Gateway):
    """``key`` signs for no device any more, and never will again."""


def _batch(context: Context, body: Batch) -> None:
    view = context.view
    device = facts.usable_device(context, body.device)
    gateway = facts.vouched_by(context, device)
    if body.firmware != device.firmware:
        raise Refused(facts.FIRMWARE_DIFFERS)
    if view.get(facts.root_key(body.device, body.root)) is not None:
        raise Refused(REPLAYED)
    if body.first_counter <= device.counter:
        raise Refused(ROLLED_BACK)
    if body.until_ms > context.time_ms + AHEAD_MS:
        raise Refused(AHEAD)
    flow = Flow(body.recipient, body.data_class, body.subject, body.from_ms, body.until_ms)
    basis = facts.permitted(context, device, flow)
    row = BatchRow(
        org=context.org.id,
        gateway=gateway,
        from_ms=body.from_ms,
        until_ms=body.until_ms,
        count=body.count,
        root=body.root,
        first_counter=body.first_counter,
        last_counter=body.last_counter,
        firmware=body.firmware,
        data_class=body.data_class,
        recipient=body.recipient,
        subject=body.subject,
        basis=basis,
        txid=context.txid,
        height=context.height,
        time_ms=context.time_ms,
    )
    number = numbered.append(view, facts.batches_name(body.device), row)
    view.save(facts.root_key(body.device, body.root), facts.Numbered(number))
    if number and body.first_counter > device.counter + 1:
        gap = GapRow(
            device.counter, body.first_counter, number, context.height, context.time_ms
        )
        numbered.append(view, facts.gaps_name(body.device), gap)
    view.save(people.device_key(body.device), replace(device, counter=body.last_counter))


def _gateway(context: Context, body: Gateway) -> None:
    keys.hold(context, body.key, Holder("gateway", body.key))
    row = GatewayRow(context.org.id, context.height, context.time_ms)
    context.view.save(facts.gateway_key(body.key), row)
    numbered.append(context.view, facts.gateways_name(context.org.id), GatewayName(body.key))


def _gateway_end(context: Context, body: GatewayEnd) -> None:
    row = context.view.load(GatewayRow, facts.gateway_key(body.key))
    if row is None or row.org != context.org.id or row.until_ms is not None:
        raise Refused(GATEWAY_UNKNOWN)
    ended = replace(row, until_height=context.height, until_ms=context.time_ms)
    context.view.save(facts.gateway_key(body.key), ended)


_EVERYBODY: Final = frozenset[str]()
OPERATIONS: Final = (
    Operation("telemetry.batch", Batch, _batch, _EVERYBODY, "Anchor readings of a device."),
    Operation(
        "telemetry.gateway.register",
        Gateway,
        _gateway,
        _EVERYBODY,
        "Let a gateway sign for devices.",
    ),
    Operation(
        "telemetry.gateway.end",
        GatewayEnd,
        _gateway_end,
        _EVERYBODY,
        "Put a gateway out of use.",
    ),
)
