"""What one PBFT member knows, and the outbox its rules write to.

Owns the fields that the rules (normal, view_change, catch_up) share; it decides nothing.
Invariants, asserted by ``check``: final height and view never go back; at most one accepted
proposal per height and view; slots lie within the window; an inactive member holds the view
change that made it so.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from consensus import codec, wire
from consensus.certs import PreparedCert, proposal_hash
from consensus.effects import Decided, Effects, Envelope, Fetch
from consensus.pbft.dialect import primary
from consensus.pbft.messages import (
    WINDOW_MAX,
    Message,
    NewView,
    PrePrepare,
    Status,
    Suspect,
    ViewChange,
)
from consensus.pbft.records import Accepted, Keys
from consensus.pbft.votes import VoteBook
from consensus.types import Applied, Committee, NodeId, Proposal, Put, Record


@dataclass(frozen=True, slots=True)
class PbftConfig:
    """One member's part in one epoch.  Times in milliseconds."""

    self_id: NodeId
    committee: Committee
    network: bytes
    request_ms: int = 2000
    view_change_ms: int = 2000
    resend_ms: int = 1000
    status_ms: int = 500
    window: int = 1

    def __post_init__(self) -> None:
        if self.committee.index(self.self_id) is None:
            raise ValueError("only a member of the committee runs the engine")
        if len(self.network) != 32:
            raise ValueError("the network digest is 32 bytes")
        times = (self.request_ms, self.view_change_ms, self.resend_ms, self.status_ms)
        if min(times) < 1:
            raise ValueError("timeouts are at least one millisecond")
        if not 1 <= self.window <= WINDOW_MAX:
            raise ValueError(f"the window is 1 to {WINDOW_MAX} blocks")

    @property
    def quorum(self) -> int:
        return self.committee.byzantine_quorum

    @property
    def weak_quorum(self) -> int:
        """Votes of which at least one is honest."""
        return self.committee.faults_max + 1


@dataclass(slots=True)
class Slot:
    """One height in flight.  Either part may stem from a view already left."""

    accepted: Accepted | None = None
    accepted_ms: int = 0
    prepared: PreparedCert | None = None
    content: bytes = b""  # ``proposal_hash`` of the accepted proposal: kept, it is large

    def __post_init__(self) -> None:
        if self.accepted is not None:
            self.content = proposal_hash(self.accepted.proposal)

    def accept(self, accepted: Accepted, now_ms: int) -> None:
        self.accepted, self.accepted_ms = accepted, now_ms
        self.content = proposal_hash(accepted.proposal)


class Outbox:
    """Effects since the last drain, in the order they were asked for."""

    def __init__(self) -> None:
        self.token = 0
        self.records: list[Record] = []
        self.must_sync = False
        self.bodies: list[Proposal] = []
        self.send_now: list[Envelope] = []
        self.send_after: list[Envelope] = []
        self.deliver: list[Decided] = []
        self.fetch: list[Fetch] = []

    def promise(self, *records: Put) -> None:
        """Write ``records`` and sync: a message of the same drain relies on them."""
        self.records.extend(records)
        self.must_sync = True

    def any(self) -> bool:
        return bool(
            self.records
            or self.bodies
            or self.send_now
            or self.send_after
            or self.deliver
            or self.fetch
        )

    def drain(self) -> Effects:
        self.token += 1
        effects = Effects(
            self.token,
            tuple(self.records),
            self.must_sync,
            tuple(self.bodies),
            tuple(self.send_now),
            tuple(self.send_after),
            tuple(self.deliver),
            tuple(self.fetch),
        )
        for part in (self.records, self.bodies, self.send_now, self.send_after):
            part.clear()
        self.deliver.clear()
        self.fetch.clear()
        self.must_sync = False
        return effects


@dataclass(slots=True)
class State:
    config: PbftConfig
    start: Applied  # where this epoch began: the only block that needs no certificate
    now_ms: int
    delivered: int
    tip: bytes  # digest of the delivered block
    certificate: bytes  # its encoded CommitCert; empty at the start
    applied: int
    view: int = 0
    active: bool = True
    slots: dict[int, Slot] = field(default_factory=dict)
    votes: VoteBook = field(default_factory=VoteBook)
    early: dict[int, PrePrepare] = field(default_factory=dict)  # this view, by height
    ahead: dict[str, PrePrepare] = field(default_factory=dict)  # newest view, by primary
    suspects: dict[str, Suspect] = field(default_factory=dict)  # this view, by signer
    suspects_ahead: dict[str, Suspect] = field(default_factory=dict)  # newest, by signer
    suspicion: Suspect | None = None  # our own, while it stands
    view_changes: dict[str, ViewChange] = field(default_factory=dict)  # newest, by signer
    own_view_change: ViewChange | None = None
    own_new_view: NewView | None = None
    new_view: NewView | None = None  # signed proof of the view in force
    pending: NewView | None = None  # valid, but it starts from a block we still lack
    failed_views: int = 0  # views left since the last delivery in an active view
    view_entry_ms: int = 0
    delivery_ms: int = 0
    work_since_ms: int | None = None
    new_view_due_ms: int | None = None
    resend_due_ms: int = 0
    status_due_ms: int = 0
    round_change_ms: int = 0
    statuses: dict[str, Status] = field(default_factory=dict)
    heard_ms: dict[str, int] = field(default_factory=dict)
    assisted_ms: dict[str, int] = field(default_factory=dict)
    gap_since_ms: int | None = None
    fetch_due_ms: int | None = None
    fetch_attempts: int = 0
    fetch_offset: int = 0
    fetch_hi: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    out: Outbox = field(default_factory=Outbox)

    @property
    def keys(self) -> Keys:
        return Keys(self.epoch)

    @property
    def me(self) -> NodeId:
        return self.config.self_id

    @property
    def epoch(self) -> int:
        return self.config.committee.epoch

    @property
    def next(self) -> int:
        return self.delivered + 1

    @property
    def height_max(self) -> int:
        """Votes are kept up to here: the window and one block beyond."""
        return self.delivered + self.config.window + 1

    @property
    def primary(self) -> NodeId:
        return primary(self.view, self.config.committee)

    def accepted_at(self, height: int) -> Proposal | None:
        """The proposal accepted in the view in force, if any."""
        slot = self.slots.get(height)
        if slot is None or slot.accepted is None or slot.accepted.view != self.view:
            return None
        return slot.accepted.proposal

    def tip_at(self, height: int) -> bytes | None:
        """Digest that a proposal at ``height + 1`` must name as parent, if it is known."""
        if height == self.delivered:
            return self.tip
        accepted = self.accepted_at(height)
        return None if accepted is None else accepted.digest

    def state_everyone(self, message: Message) -> None:
        """Send own ``message`` to all, ourselves too, once what it relies on is durable."""
        self.out.send_after.append(Envelope(None, message))
        self.resend_due_ms = self.now_ms + self.config.resend_ms

    def refuse(self, reason: str) -> None:
        """Count a message that had no effect; reasons are a closed set of constants."""
        self.refused[reason] += 1

    def check(self) -> None:
        assert self.start.height <= self.applied <= self.delivered
        assert bool(self.certificate) == (self.delivered > self.start.height)
        window = range(self.next, self.next + self.config.window)
        for height, slot in self.slots.items():
            assert height in window, "a slot outside the window"
            if slot.accepted is not None:
                assert slot.accepted.view <= self.view
                assert slot.accepted.proposal.height == height
            if slot.prepared is not None:
                assert slot.prepared.view <= self.view
                assert slot.prepared.proposal.height == height
        members = len(self.config.committee.members)
        assert len(self.votes) <= 4 * (self.config.window + 1) * members
        assert all(self.next <= height <= self.height_max for height in self.early)
        if not self.active:
            assert self.own_view_change is not None
            assert self.own_view_change.view == self.view
        if self.suspicion is not None:
            assert (self.suspicion.view, self.suspicion.height) == (self.view, self.next)
        assert self.pending is None or self.pending.view >= self.view
        kept_by_member = (
            self.ahead,
            self.suspects,
            self.suspects_ahead,
            self.view_changes,
            self.statuses,
        )
        for kept in kept_by_member:
            assert len(kept) <= members

    def fingerprint(self) -> bytes:
        """Hash of every field that can change what this member does next."""

        def table(items: dict[str, object]) -> list[object]:
            return [[key, wire.to_value(items[key])] for key in sorted(items)]

        slots = [
            [
                height,
                wire.to_value(slot.accepted),
                slot.accepted_ms,
                wire.to_value(slot.prepared),
            ]
            for height, slot in sorted(self.slots.items())
        ]
        numbers = [
            self.now_ms, self.delivered, self.applied, self.view, self.active,
            self.failed_views, self.view_entry_ms, self.delivery_ms, self.work_since_ms,
            self.new_view_due_ms, self.resend_due_ms, self.status_due_ms,
            self.round_change_ms, self.gap_since_ms, self.fetch_due_ms, self.fetch_attempts,
            self.fetch_offset, self.fetch_hi,
            self.out.token, self.out.must_sync,
        ]  # fmt: skip
        messages = (
            self.suspicion, self.own_view_change, self.own_new_view, self.new_view,
            self.pending, self.start,
        )  # fmt: skip
        out = self.out
        queued = (out.records, out.bodies, out.send_now, out.send_after, out.deliver, out.fetch)
        tables: tuple[dict[str, object], ...] = (
            dict(self.ahead), dict(self.suspects), dict(self.suspects_ahead),
            dict(self.view_changes),
            dict(self.statuses), dict(self.heard_ms), dict(self.assisted_ms),
            dict(self.refused), {str(h): m for h, m in self.early.items()},
        )  # fmt: skip
        whole = [
            numbers, self.tip, self.certificate, slots,
            [wire.to_value(vote) for vote in self.votes],
            [wire.to_value(message) for message in messages],
            [table(each) for each in tables],
            [[type(item).__name__, wire.to_value(item)] for part in queued for item in part],
        ]  # fmt: skip
        return hashlib.sha256(codec.encode(whole)).digest()
