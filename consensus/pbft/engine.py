"""PbftEngine: the inputs, the clock and the order in which the rules run.

Owns nothing but the ``State``; the rules are in ``normal``, ``view_change`` and ``catch_up``.
Refused here: messages of another epoch or from a non-member that slipped past the dialect.
Invariant: every public call leaves the state settled, that is, no rule has a step left to take.
"""

from collections.abc import Iterable
from typing import Any

from consensus import certs
from consensus.codec import Malformed
from consensus.effects import Effects, Envelope, ProposeResult, WantPayload
from consensus.effects import Status as EngineStatus
from consensus.pbft import catch_up, normal, view_change
from consensus.pbft.dialect import primary
from consensus.pbft.messages import (
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Status,
    Suspect,
    ViewChange,
)
from consensus.pbft.records import Accepted, Keys, Restored
from consensus.pbft.state import PbftConfig, Slot, State
from consensus.types import Applied, NodeId, Proposal, Rng

__all__ = ["PbftConfig", "PbftEngine"]


class PbftEngine:
    """Implements ``consensus.engine.Engine`` for the committee of one epoch.

    ``pairs``: every stored pair under ``pbft/``.  ``applied``: the ledger's last block; on the
    first start of an epoch it is where the epoch begins.  A damaged record raises
    ``Malformed`` or ``ValueError``: the node must not guess what it once signed.
    """

    def __init__(
        self,
        config: PbftConfig,
        *,
        pairs: Iterable[tuple[bytes, bytes]],
        applied: Applied,
        rng: Rng,
        now_ms: int,
    ) -> None:
        found = Keys(config.committee.epoch).restore(pairs)
        self._rng = rng
        self._state = _restored_state(config, found, applied, now_ms)
        self._resume(found)
        self._settle()

    def _resume(self, found: Restored) -> None:
        """Deliver what was decided but not applied, then repeat what we last said."""
        state = self._state
        if found.start is None:
            state.out.promise(state.keys.start(state.start))
        if found.other_epochs:
            state.out.records.append(state.keys.forget_older_epochs())
        if found.start is not None and state.applied > state.start.height:
            state.out.records.extend(state.keys.forget(state.applied))
        # Certificate and proposal of a decided block share a batch, so this reaches the last
        # block we ever said was final: a view change never shows less than an earlier one.
        while (certificate := found.certificates.get(state.next)) is not None:
            decided = certs.decode_commit(certificate)
            proposal = normal.known(state, state.next, decided.digest)
            if proposal is None:
                raise ValueError("a decided block's proposal is missing")
            normal.deliver(state, proposal, certificate)
            _fill_slots(state, found)
        if not state.active:
            assert state.own_view_change is not None
            state.state_everyone(state.own_view_change)
            if state.own_new_view is not None:
                state.state_everyone(state.own_new_view)
        self._repeat_votes()

    # --- inputs ---------------------------------------------------------------------------

    def step(self, sender: NodeId, message: Any) -> None:
        state = self._state
        if not self._admissible(sender, message):
            return
        if sender != state.me:
            state.heard_ms[sender] = state.now_ms
        match message:
            case PrePrepare():
                normal.on_pre_prepare(state, message)
            case Prepare():
                normal.on_prepare(state, message)
            case Commit():
                normal.on_commit(state, message)
            case Suspect():
                view_change.on_suspect(state, message)
            case ViewChange():
                view_change.on_view_change(state, message)
            case NewView():
                view_change.on_new_view(state, message)
            case Status():
                catch_up.on_status(state, sender, message)
            case _:
                state.refuse("unknown-message")
        self._settle()

    def _admissible(self, sender: NodeId, message: Any) -> bool:
        state = self._state
        committee = state.config.committee
        if getattr(message, "epoch", committee.epoch) != committee.epoch:
            state.refuse("wrong-epoch")
            return False
        if committee.index(sender) is None:
            state.refuse("stranger")
            return False
        author = getattr(message, "signer", sender)
        leads = isinstance(message, PrePrepare | NewView)
        if committee.index(author) is None or (
            leads and author != primary(message.view, committee)
        ):
            state.refuse("wrong-author")
            return False
        return True

    def tick(self, now_ms: int) -> None:
        state = self._state
        assert now_ms >= state.now_ms, "time never goes back"
        state.now_ms = now_ms
        if state.new_view_due_ms is not None and now_ms >= state.new_view_due_ms:
            view_change.give_up(state)
        due = self._request_due_ms()
        if due is not None and now_ms >= due:
            view_change.suspect(state, state.view)
        if self._unfinished() and now_ms >= state.resend_due_ms:
            self._repeat()
        if now_ms >= state.status_due_ms:
            catch_up.announce(state)
        if state.fetch_due_ms is not None and now_ms >= state.fetch_due_ms:
            catch_up.ask(state, self._rng)
        self._settle()

    def propose(self, proposal: Proposal) -> ProposeResult:
        state = self._state
        wanted = self.want()
        if wanted is None:
            leads = state.active and state.primary == state.me
            return ProposeResult.BUSY if leads else ProposeResult.NOT_LEADER
        if (proposal.height, proposal.parent) != (wanted.height, wanted.parent):
            return ProposeResult.BUSY
        normal.accept(state, proposal, fresh=True)
        self._settle()
        return ProposeResult.ACCEPTED

    def persisted(self, token: int) -> None:
        assert token <= self._state.out.token, "a token that was never drained"

    def applied(self, height: int) -> None:
        state = self._state
        assert height <= state.delivered, "applied before it was delivered"
        if height > state.applied:
            state.applied = height
            state.out.records.extend(state.keys.forget(height))

    def synced(self, proposal: Proposal, certificate: bytes) -> bool:
        state = self._state
        if proposal.height != state.next or proposal.parent != state.tip:
            return False
        try:
            decided = certs.decode_commit(certificate)
        except Malformed:
            return False
        if (decided.height, decided.digest) != (proposal.height, proposal.digest):
            return False
        # Replaces what we accepted here, if anything: a restart delivers before it votes.
        state.out.promise(state.keys.accepted(Accepted(state.view, proposal, fresh=False)))
        state.out.bodies.append(proposal)
        normal.deliver(state, proposal, certificate)
        self._settle()
        return True

    def work(self, since_ms: int | None) -> None:
        self._state.work_since_ms = since_ms

    # --- outputs --------------------------------------------------------------------------

    def read(self, token: int) -> bool:  # noqa: ARG002
        return False

    def stable(self, height: int) -> None:
        pass

    def unreachable(self, peer: NodeId) -> None:
        pass

    def want(self) -> WantPayload | None:
        state = self._state
        if not state.active or state.primary != state.me or state.applied != state.delivered:
            return None
        decided = state.votes.quorum("commit", state.next, state.config.quorum)
        if state.accepted_at(state.next) is not None or decided is not None:
            return None
        return WantPayload(state.next, state.tip)

    def has_effects(self) -> bool:
        return self._state.out.any()

    def drain(self) -> Effects:
        return self._state.out.drain()

    @property
    def deadline_ms(self) -> int | None:
        state = self._state
        due = [state.status_due_ms]
        due += [
            at
            for at in (state.new_view_due_ms, self._request_due_ms(), state.fetch_due_ms)
            if at is not None
        ]
        if self._unfinished():
            due.append(state.resend_due_ms)
        return min(due)

    def status(self) -> EngineStatus:
        state = self._state
        role = "view-change"
        if state.active:
            role = "primary" if state.primary == state.me else "backup"
        since = state.now_ms - 3 * state.config.status_ms
        heard = tuple(
            member
            for member in state.config.committee.ids
            if member == state.me or state.heard_ms.get(member, since - 1) >= since
        )
        return EngineStatus(
            engine="pbft",
            role=role,
            round=state.view,
            leader=state.primary if state.active else None,
            committed=state.delivered,
            delivered=state.delivered,
            quorum=state.config.quorum,
            members=len(state.config.committee.members),
            heard=heard,
            last_round_change_ms=state.round_change_ms,
        )

    @property
    def refused(self) -> dict[str, int]:
        """How many messages had no effect, by reason (a closed set)."""
        return dict(self._state.refused)

    def fingerprint(self) -> bytes:
        return self._state.fingerprint()

    def check_invariants(self) -> None:
        self._state.check()

    # --- the inside -----------------------------------------------------------------------

    def _settle(self) -> None:
        state = self._state
        while normal.advance(state) or view_change.advance(state):
            pass
        catch_up.review(state)

    def _request_due_ms(self) -> int | None:
        """When our patience with the active view ends; None when nothing waits."""
        state = self._state
        if not state.active or state.suspicion is not None:
            return None
        waits = [] if state.work_since_ms is None else [state.work_since_ms]
        if state.accepted_at(state.next) is not None:
            waits.append(state.slots[state.next].accepted_ms)
        if not waits:
            return None
        since = max(min(waits), state.delivery_ms, state.view_entry_ms)
        return since + view_change.patience_ms(state.config.request_ms, state.failed_views)

    def _unfinished(self) -> bool:
        """Is there anything of ours worth repeating?"""
        state = self._state
        return (
            not state.active
            or state.suspicion is not None
            or state.accepted_at(state.next) is not None
        )

    def _repeat(self) -> None:
        """Say again what we last said: messages get lost, and repetition promises nothing."""
        state = self._state
        state.resend_due_ms = state.now_ms + state.config.resend_ms
        if not state.active:
            assert state.own_view_change is not None
            state.state_everyone(state.own_view_change)
            if state.own_new_view is not None:
                # To each peer, not to all: our own copy is already held until bodies arrive.
                state.out.send_after.extend(
                    Envelope(member, state.own_new_view)
                    for member in state.config.committee.ids
                    if member != state.me
                )
            catch_up.suspect_left_view(state)
        self._repeat_votes()
        if state.suspicion is not None:
            state.state_everyone(state.suspicion)
        pause = state.config.resend_ms
        state.resend_due_ms = state.now_ms + pause + self._rng.randrange(0, pause // 4 + 1)

    def _repeat_votes(self) -> None:
        state = self._state
        if not state.active:
            return
        for height in sorted(state.slots):
            slot = state.slots[height]
            if state.accepted_at(height) is not None:
                normal.vote_again(state, slot)
            if slot.prepared is not None and slot.prepared.view == state.view:
                normal.commit_again(state, slot)


def _restored_state(
    config: PbftConfig, found: Restored, applied: Applied, now_ms: int
) -> State:
    start = found.start or applied
    certificate = b""
    if applied.height > start.height:
        if applied.height not in found.certificates:
            raise ValueError("the commit certificate of the applied block is missing")
        certificate = found.certificates[applied.height]
    state = State(
        config=config,
        start=start,
        now_ms=now_ms,
        delivered=applied.height,
        tip=applied.digest,
        certificate=certificate,
        applied=applied.height,
        view=found.view.view,
        active=found.view.active,
        own_view_change=found.view_change,
        new_view=found.new_view if found.view.active else None,
        view_entry_ms=now_ms,
        delivery_ms=now_ms,
        status_due_ms=now_ms,
        resend_due_ms=now_ms,
        round_change_ms=now_ms,
    )
    state.votes.enter_view(state.view)
    own = found.own_new_view
    if own is not None and own.view == state.view and not state.active:
        state.own_new_view = own
    _fill_slots(state, found)
    return state


def _fill_slots(state: State, found: Restored) -> None:
    for height in range(state.next, state.next + state.config.window):
        slot = Slot(found.accepted.get(height), state.now_ms, found.prepared.get(height))
        if slot.accepted is not None or slot.prepared is not None:
            state.slots[height] = slot
