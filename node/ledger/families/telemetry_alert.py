"""Family ``telemetry``, alerts: a device crossed a threshold, and somebody has to answer.

``telemetry.alert`` is vouched for like a batch: by the device or a gateway of its custodian,
firmware in order, the class allowed, consent where the data goes to others.  It names the
institution that must answer and how soon.  ``telemetry.ack`` is the answer, late or not; an
alert whose time ran out counts as unanswered from the same block on everywhere, and stays open
until somebody answers.

The ledger is no alarm channel: it orders within seconds, not within a heartbeat.  It shows
afterwards who was told when, and who did not react.

State and bounds: see ``facts.telemetry``.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import numbered, sets
from node.ledger.facts import telemetry as facts
from node.ledger.facts.telemetry import AlertName, AlertRow, Flow
from node.ledger.facts.words import known, org_id, sized
from node.ledger.rules import Alarm, Context, Moment, Operation, Refused, Result

ANSWER_MS_MIN: Final = 60_000
ANSWER_MS_MAX: Final = 7 * 86_400_000
ACTIONS: Final = (
    "device-checked",
    "false-alarm",
    "forwarded",
    "patient-contacted",
    "seen",
    "treated",
)

EXISTS: Final = Result(364, "telemetry-alert-exists", "That alert is on the ledger already.")
UNKNOWN: Final = Result(365, "telemetry-alert-unknown", "No such alert on the ledger.")
NOT_RECIPIENT: Final = Result(
    366, "telemetry-not-recipient", "That alert is for another institution to answer."
)
ANSWERED: Final = Result(367, "telemetry-alert-answered", "That alert was answered already.")
RESULTS: Final = (EXISTS, UNKNOWN, NOT_RECIPIENT, ANSWERED)


@dataclass(frozen=True, slots=True)
class Alert:
    """``alert``: 32 random bytes, its name from now on.  ``threshold``: 16 bytes that device
    and recipient agreed on; they tell others nothing about what is measured.  ``commitment``:
    to the alert's content.  ``answer_ms``: the time to answer, one minute to seven days.
    ``subject``: whose data it is, where that needs consent."""

    alert: bytes
    device: bytes
    threshold: bytes
    commitment: bytes
    recipient: str
    answer_ms: int
    data_class: int
    subject: bytes | None = None

    def __post_init__(self) -> None:
        org_id(self.recipient, "recipient")
        sized(self.alert, 32, "alert")
        sized(self.device, 32, "device")
        sized(self.threshold, 16, "threshold")
        sized(self.commitment, 32, "commitment")
        sized(self.subject, 32, "subject")
        if not ANSWER_MS_MIN <= self.answer_ms <= ANSWER_MS_MAX:
            raise ValueError("answer_ms must be one minute to seven days")
        if self.data_class > 255:
            raise ValueError("data_class is one byte")


@dataclass(frozen=True, slots=True)
class Ack:
    """``action``: what was done about it."""

    alert: bytes
    action: str

    def __post_init__(self) -> None:
        sized(self.alert, 32, "alert")
        known(self.action, ACTIONS, "action")


def _alert(context: Context, body: Alert) -> None:
    view = context.view
    if facts.alert_of(view.get, body.alert) is not None:
        raise Refused(EXISTS)
    device = facts.usable_device(context, body.device)
    facts.vouched_by(context, device)
    now_ms = context.time_ms
    flow = Flow(body.recipient, body.data_class, body.subject, now_ms, now_ms)
    facts.permitted(context, device, flow)
    row = AlertRow(
        alert=body.alert,
        device=body.device,
        threshold=body.threshold,
        commitment=body.commitment,
        org=context.org.id,
        recipient=body.recipient,
        data_class=body.data_class,
        subject=body.subject,
        raised_height=context.height,
        raised_ms=now_ms,
        due_ms=now_ms + body.answer_ms,
    )
    view.save(facts.alert_key(body.alert), row)
    numbered.append(view, facts.alerts_name(body.recipient), AlertName(body.alert))
    sets.enter(view, facts.open_alerts_name(body.recipient), body.alert)
    facts.count_alerts(view, body.recipient, raised=1)
    context.alarm("telemetry.alert", body.alert, time_ms=row.due_ms)


def _ack(context: Context, body: Ack) -> None:
    view = context.view
    row = facts.alert_of(view.get, body.alert)
    if row is None:
        raise Refused(UNKNOWN)
    if row.recipient != context.org.id:
        raise Refused(NOT_RECIPIENT)
    if row.action is not None:
        raise Refused(ANSWERED)
    row = _run_out(context, row)
    answered = replace(
        row, action=body.action, answered_height=context.height, answered_ms=context.time_ms
    )
    view.save(facts.alert_key(body.alert), answered)
    sets.leave(view, facts.open_alerts_name(row.recipient), body.alert)
    late = row.unanswered_ms is not None
    facts.count_alerts(view, row.recipient, late=int(late), in_time=int(not late))


def _run_out(moment: Moment, row: AlertRow) -> AlertRow:
    """Mark an open alert whose time has run out, once."""
    if row.unanswered_ms is not None or moment.time_ms < row.due_ms:
        return row
    marked = replace(row, unanswered_ms=moment.time_ms)
    moment.view.save(facts.alert_key(row.alert), marked)
    facts.count_alerts(moment.view, row.recipient, ran_out=1)
    return marked


def _unanswered(moment: Moment, alert: bytes) -> None:
    row = facts.alert_of(moment.view.get, alert)
    if row is not None and row.action is None:
        _run_out(moment, row)


OPERATIONS: Final = (
    Operation(
        "telemetry.alert", Alert, _alert, frozenset(), "Raise an alert that must be answered."
    ),
    Operation("telemetry.ack", Ack, _ack, frozenset(), "Answer an alert."),
)
ALARMS: Final = (
    Alarm("telemetry.alert", _unanswered, "An alert was not answered in its time."),
)
