"""What one PBFT member knows.

Owns the fields that the rules (normal, view_change, catch_up) share; it decides nothing.
Invariants, asserted by ``check``: final height and view never go back; at most one accepted
proposal per height and view; slots lie within the window; an inactive member holds the view
change that made it so.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from consensus import codec, wire
from consensus.certs import PreparedCert, proposal_hash
from consensus.effects import Envelope
from consensus.pbft.config import PbftConfig
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
from consensus.pbft.outbox import Outbox
from consensus.pbft.reads import Reads
from consensus.pbft.records import Accepted, Keys
from consensus.pbft.votes import VoteBook
from consensus.pbft.watch import Watch
from consensus.types import Applied, NodeId, Proposal

HINTS_MAX: Final = 128  # peers, members or not, that said how far they are


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
    watch: Watch = field(default_factory=Watch)
    early: dict[int, PrePrepare] = field(default_factory=dict)  # this view, by height
    # Of each proposer the newest view above ours, by its height there.
    ahead: dict[tuple[str, int], PrePrepare] = field(default_factory=dict)
    suspects: dict[str, Suspect] = field(default_factory=dict)  # this view, by signer
    suspects_ahead: dict[str, Suspect] = field(default_factory=dict)  # newest, by signer
    suspicion: Suspect | None = None  # our own, while it stands
    view_changes: dict[str, ViewChange] = field(default_factory=dict)  # newest, by signer
    own_view_change: ViewChange | None = None
    own_new_view: NewView | None = None
    new_view: NewView | None = None  # signed proof of the view in force
    pending: NewView | None = None  # valid, but it starts from a block we still lack
    low: int | None = None  # highest cosigned height; None before the first in this epoch
    barrier: int | None = None  # final block that the ledger must apply before the next one
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
    shown_ms: dict[str, int] = field(default_factory=dict)
    hinted_ms: dict[str, int] = field(default_factory=dict)  # peers of other epochs, strangers
    hints: dict[NodeId, int] = field(default_factory=dict)  # heights that others speak of
    gap_since_ms: int | None = None
    fetch_due_ms: int | None = None
    fetch_attempts: int = 0
    fetch_offset: int = 0
    fetch_hi: int = 0
    reads: Reads = field(default_factory=Reads)
    refused: Counter[str] = field(default_factory=Counter)
    out: Outbox = field(default_factory=Outbox)
    # Follow from ``config``, which stays as it is for an epoch; every message asks for them.
    me: NodeId = field(init=False)
    epoch: int = field(init=False)
    keys: Keys = field(init=False)
    observes: bool = field(init=False)  # not in the committee: we deliver and never vote

    def __post_init__(self) -> None:
        committee = self.config.committee
        self.me, self.epoch, self.keys = (
            self.config.self_id,
            committee.epoch,
            Keys(committee.epoch),
        )
        self.observes = committee.index(self.me) is None

    @property
    def next(self) -> int:
        return self.delivered + 1

    @property
    def height_max(self) -> int:
        """Votes are kept up to here: the widest window and one block beyond.

        The widest, not ours: a new view may carry over what members with another window, or
        further behind than we are, have prepared.
        """
        return self.delivered + WINDOW_MAX + 1

    @property
    def opener(self) -> NodeId:
        """Who opens the view in force and proposes again what it carries over."""
        return primary(self.view, self.config.committee)

    @property
    def primary(self) -> NodeId:
        return self.primary_at(self.next)

    def primary_at(self, height: int) -> NodeId:
        """Who proposes new blocks at ``height`` in the view in force."""
        return self.primary_of(self.view, height)

    def primary_of(self, view: int, height: int) -> NodeId:
        config = self.config
        return primary(
            view, config.committee, height=height, rotation_blocks=config.rotation_blocks
        )

    def open_at(self, height: int) -> bool:
        """May anything new be ordered at ``height``, as far as checkpoints and barriers go?

        The high watermark counts from the first ``stable`` of an epoch on: where nobody
        collects cosignatures there is no mark to keep.
        """
        if self.barrier is not None:
            return False
        lag_max = self.config.checkpoint_lag_max
        return self.low is None or lag_max == 0 or height <= self.low + lag_max

    def accepted_at(self, height: int) -> Proposal | None:
        """The proposal accepted in the view in force, if any."""
        slot = self.slots.get(height)
        if slot is None or slot.accepted is None or slot.accepted.view != self.view:
            return None
        return slot.accepted.proposal

    def tip_at(self, height: int) -> bytes | None:
        """Digest that a proposal at ``height + 1`` must name as parent.

        None unless every block up to ``height`` is final or accepted in the view in force, one
        on top of the other, and none of those in flight is a barrier.
        """
        tip = self.tip
        for at in range(self.next, height + 1):
            accepted = self.accepted_at(at)
            if accepted is None or accepted.parent != tip or accepted.barrier:
                return None
            tip = accepted.digest
        return tip

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
        window = range(self.next, self.next + WINDOW_MAX)
        for height, slot in self.slots.items():
            assert height in window, "a slot outside the window"
            if slot.accepted is not None:
                assert slot.accepted.view <= self.view
                assert slot.accepted.proposal.height == height
            if slot.prepared is not None:
                assert slot.prepared.view <= self.view
                assert slot.prepared.proposal.height == height
        members = len(self.config.committee.members)
        assert len(self.votes) <= 4 * (WINDOW_MAX + 1) * members
        assert len(self.watch) <= self.watch.places_max(members=members, window=WINDOW_MAX)
        assert len(self.ahead) <= (WINDOW_MAX + 1) * members
        assert self.barrier is None or self.applied < self.barrier == self.delivered
        assert all(self.next <= height <= self.height_max for height in self.early)
        if not self.active:
            assert self.own_view_change is not None
            assert self.own_view_change.view == self.view
        if self.suspicion is not None:
            assert (self.suspicion.view, self.suspicion.height) == (self.view, self.next)
        assert self.pending is None or self.pending.view >= self.view
        if self.observes:
            assert self.active
            assert not self.slots
            assert self.own_view_change is None
        kept_by_member = (
            self.suspects,
            self.suspects_ahead,
            self.view_changes,
            self.statuses,
        )
        for kept in kept_by_member:
            assert len(kept) <= members
        assert len(self.hints) <= HINTS_MAX

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
            self.fetch_offset, self.fetch_hi, self.low, self.barrier,
            self.out.token, self.out.must_sync,
        ]  # fmt: skip
        messages = (
            self.suspicion, self.own_view_change, self.own_new_view, self.new_view,
            self.pending, self.start,
        )  # fmt: skip
        out = self.out
        queued = (
            out.records, out.bodies, out.send_now, out.send_after, out.deliver, out.fetch,
            out.reads, out.evidence,
        )  # fmt: skip
        tables: tuple[dict[str, object], ...] = (
            {f"{s} {h}": m for (s, h), m in self.ahead.items()},
            dict(self.suspects), dict(self.suspects_ahead), dict(self.view_changes),
            dict(self.statuses), dict(self.heard_ms), dict(self.assisted_ms),
            dict(self.shown_ms),
            dict(self.hinted_ms), {str(p): at for p, at in self.hints.items()},
            dict(self.refused), dict(self.watch.caught),
            {str(h): m for h, m in self.early.items()},
        )  # fmt: skip
        whole = [
            numbers, self.tip, self.certificate, slots,
            [wire.to_value(vote) for vote in self.votes],
            [wire.to_value(said) for said in self.watch],
            self.reads.plain(),
            [wire.to_value(message) for message in messages],
            [table(each) for each in tables],
            [[type(item).__name__, wire.to_value(item)] for part in queued for item in part],
        ]  # fmt: skip
        return hashlib.sha256(codec.encode_typed(whole)).digest()
