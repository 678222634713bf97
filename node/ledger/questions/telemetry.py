"""Questions about telemetry: batches of a device, one reading, gaps, gateways, open alerts.

All read numbered rows and sets by key: complete, and provable.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger import merkle
from node.ledger.asking import Facts, Question
from node.ledger.facts import numbered, people, sets
from node.ledger.facts import telemetry as rows
from node.ledger.facts.telemetry import (
    AlertCounts,
    AlertName,
    AlertRow,
    BatchRow,
    GapRow,
    GatewayName,
    GatewayRow,
)
from node.ledger.facts.words import known as one_of
from node.ledger.facts.words import sized
from node.ledger.state import load_from

WHICH: Final = ("all", "open", "unanswered")


@dataclass(frozen=True, slots=True)
class OfDevice:
    device: bytes
    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        sized(self.device, 32, "device")


@dataclass(frozen=True, slots=True)
class Batches:
    """``total`` is how many there are; the first has number ``start``."""

    total: int
    batches: tuple[BatchRow, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Gaps:
    """Each gap with the number of the batch that showed it."""

    total: int
    gaps: tuple[GapRow, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Device:
    """``refusal``: why its word does not count now; none for a device in order.  ``counter``:
    the highest that a batch had."""

    known: bool
    refusal: str | None
    model: str | None = None
    firmware: bytes | None = None
    data_classes: tuple[int, ...] = ()
    counter: int = 0
    batches: int = 0
    gaps: int = 0


def _batches(facts: Facts, asked: OfDevice) -> Batches:
    name = rows.batches_name(asked.device)
    found, after = numbered.page(
        facts.get, name, BatchRow, start=asked.start, limit=asked.limit
    )
    return Batches(numbered.length(facts.get, name), found, after)


def _gaps(facts: Facts, asked: OfDevice) -> Gaps:
    name = rows.gaps_name(asked.device)
    found, after = numbered.page(facts.get, name, GapRow, start=asked.start, limit=asked.limit)
    return Gaps(numbered.length(facts.get, name), found, after)


@dataclass(frozen=True, slots=True)
class OneDevice:
    device: bytes

    def __post_init__(self) -> None:
        sized(self.device, 32, "device")


def _device(facts: Facts, asked: OneDevice) -> Device:
    row = people.device(facts.get, asked.device)
    refusal = people.device_refusal(facts.get, row)
    if row is None:
        return Device(known=False, refusal=refusal)
    return Device(
        known=True,
        refusal=refusal,
        model=row.model,
        firmware=row.firmware,
        data_classes=row.data_classes,
        counter=row.counter,
        batches=numbered.length(facts.get, rows.batches_name(asked.device)),
        gaps=numbered.length(facts.get, rows.gaps_name(asked.device)),
    )


# --- one reading --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OneReading:
    """``batch``: its number among the device's; ``commitment``: the reading's, at ``index``;
    ``path``: RFC 6962 inclusion path."""

    device: bytes
    batch: int
    commitment: bytes
    index: int
    path: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        sized(self.device, 32, "device")
        sized(self.commitment, 32, "commitment")
        if len(self.path) > 20 or any(len(item) != 32 for item in self.path):
            raise ValueError("path is up to 20 hashes of 32 bytes")


@dataclass(frozen=True, slots=True)
class Reading:
    """``proven``: that reading is in that batch; then ``batch`` says when and how it came."""

    proven: bool
    batch: BatchRow | None


def _reading(facts: Facts, asked: OneReading) -> Reading:
    name = rows.batches_name(asked.device)
    if asked.batch >= numbered.length(facts.get, name):
        return Reading(proven=False, batch=None)
    row = numbered.row(facts.get, name, BatchRow, asked.batch)
    proven = merkle.verify_inclusion(
        merkle.leaf_hash(asked.commitment),
        index=asked.index,
        size=row.count,
        path=asked.path,
        root=row.root,
    )
    return Reading(proven, row if proven else None)


# --- gateways and alerts ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OfOrg:
    org: str
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class GatewayLine:
    key: bytes
    row: GatewayRow


@dataclass(frozen=True, slots=True)
class Gateways:
    gateways: tuple[GatewayLine, ...]
    next: int | None


def _gateways(facts: Facts, asked: OfOrg) -> Gateways:
    name = rows.gateways_name(asked.org)
    names, after = numbered.page(
        facts.get, name, GatewayName, start=asked.start, limit=asked.limit
    )
    lines = []
    for item in names:
        row = load_from(facts.get, GatewayRow, rows.gateway_key(item.key))
        assert row is not None, "a listed gateway has its row"
        lines.append(GatewayLine(item.key, row))
    return Gateways(tuple(lines), after)


@dataclass(frozen=True, slots=True)
class Answering:
    """Alerts that ``org`` has to answer; ``which``: open (not answered, in time or not),
    unanswered (open and its time ran out), or all there ever were."""

    org: str
    which: str = "open"
    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        one_of(self.which, WHICH, "which")


@dataclass(frozen=True, slots=True)
class Alerts:
    """``next`` counts places of the list that was read, not lines that were kept."""

    alerts: tuple[AlertRow, ...]
    open: int
    counts: AlertCounts
    next: int | None


def _alerts(facts: Facts, asked: Answering) -> Alerts:
    opened = rows.open_alerts_name(asked.org)
    if asked.which == "all":
        names, after = numbered.page(
            facts.get,
            rows.alerts_name(asked.org),
            AlertName,
            start=asked.start,
            limit=asked.limit,
        )
        items = tuple(name.alert for name in names)
    else:
        items, after = sets.members(facts.get, opened, start=asked.start, limit=asked.limit)
    found = [rows.alert_of(facts.get, item) for item in items]
    alerts = tuple(row for row in found if row is not None)
    if asked.which == "unanswered":
        alerts = tuple(row for row in alerts if row.due_ms <= facts.time_ms)
    counts = load_from(facts.get, AlertCounts, rows.alert_counts_key(asked.org))
    return Alerts(alerts, numbered.length(facts.get, opened), counts or AlertCounts(), after)


QUESTIONS: Final = (
    Question("telemetry.device", OneDevice, Device, _device, "Does a device's word count now?"),
    Question(
        "telemetry.batches",
        OfDevice,
        Batches,
        _batches,
        "What did a device report, and to whom?",
    ),
    Question(
        "telemetry.gaps", OfDevice, Gaps, _gaps, "Which of a device's readings never came?"
    ),
    Question(
        "telemetry.reading",
        OneReading,
        Reading,
        _reading,
        "Is this one reading in that batch of the device?",
    ),
    Question(
        "telemetry.gateways", OfOrg, Gateways, _gateways, "Which gateways has an institution?"
    ),
    Question(
        "telemetry.alerts",
        Answering,
        Alerts,
        _alerts,
        "Which alerts has an institution to answer, and which ran out?",
    ),
)
