"""PbftEngine: the inputs, the clock and the order in which the rules run.

Owns nothing but the ``State``; the rules are in ``normal``, ``view_change`` and ``catch_up``.
Refused here: messages of another epoch or from a non-member that slipped past the dialect.
Invariant: every public call leaves the state settled, that is, no rule has a step left to take.
"""

from collections.abc import Iterable
from typing import Any

from consensus import certs
from consensus.codec import Malformed
from consensus.effects import Effects, ProposeResult, WantPayload
from consensus.effects import Status as EngineStatus
from consensus.pbft import catch_up, detect, epochs, normal, reads, restart, timers, view_change
from consensus.pbft.config import PbftConfig
from consensus.pbft.dialect import primary
from consensus.pbft.messages import (
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    ReadAnswer,
    ReadRequest,
    Status,
    Suspect,
    ViewChange,
)
from consensus.pbft.records import Accepted, Keys
from consensus.types import Applied, Committee, Era, NodeId, Proposal, Rng

__all__ = ["PbftConfig", "PbftEngine"]


class PbftEngine:
    """Implements ``consensus.engine.Engine``, from one epoch to the next.

    ``config.committee``: who votes on the block after ``applied``, by the ledger's own account.
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
        self._due_ms: int | None = None
        self._state = restart.restored(config, found, applied, now_ms)
        restart.resume(self._state, found)
        self._settle()

    # --- inputs ---------------------------------------------------------------------------

    def step(self, sender: NodeId, message: Any) -> None:
        state = self._state
        self._due_ms = None
        if not self._admissible(sender, message):
            self._settle()  # a hint from a later epoch shows a gap
            return
        if sender != state.me:
            state.heard_ms[sender] = state.now_ms
        detect.see(state, message)
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
            case ReadRequest():
                reads.on_request(state, sender, message)
            case ReadAnswer():
                reads.on_answer(state, sender, message)
            case _:
                state.refuse("unknown-message")
        self._settle()

    def _admissible(self, sender: NodeId, message: Any) -> bool:
        state = self._state
        committee = state.config.committee
        if not epochs.admits(state, sender, message):
            return False
        author = getattr(message, "signer", sender)
        match message:
            case PrePrepare():
                right = author == state.primary_of(message.view, message.proposal.height)
            case NewView():
                right = author == primary(message.view, committee)
            case _:
                right = committee.index(author) is not None
        if not right:
            state.refuse("wrong-author")
        return right

    def tick(self, now_ms: int) -> None:
        state = self._state
        assert now_ms >= state.now_ms, "time never goes back"
        state.now_ms = now_ms
        if now_ms < self.deadline_ms:
            return  # no rule looks at the clock before: the state stays settled
        self._due_ms = None
        if state.new_view_due_ms is not None and now_ms >= state.new_view_due_ms:
            view_change.give_up(state)
        due = timers.suspect_due_ms(state)
        if due is not None and now_ms >= due:
            view_change.suspect(state, state.view)
        if timers.unfinished(state) and now_ms >= state.resend_due_ms:
            timers.repeat(state, self._rng)
        if now_ms >= state.status_due_ms:
            catch_up.announce(state)
        if state.fetch_due_ms is not None and now_ms >= state.fetch_due_ms:
            catch_up.ask(state, self._rng)
        reads.tick(state)
        self._settle()

    def propose(self, proposal: Proposal) -> ProposeResult:
        state = self._state
        wanted = self.want()
        if wanted is None:
            leads = state.active and any(
                state.primary_at(height) == state.me
                for height in range(state.next, state.next + state.config.window)
            )
            return ProposeResult.BUSY if leads else ProposeResult.NOT_LEADER
        if (proposal.height, proposal.parent) != (wanted.height, wanted.parent):
            return ProposeResult.BUSY
        self._due_ms = None
        normal.accept(state, proposal, fresh=True)
        self._settle()
        return ProposeResult.ACCEPTED

    def persisted(self, token: int) -> None:
        assert token <= self._state.out.token, "a token that was never drained"

    def applied(self, height: int, next_era: Era | None = None) -> None:
        state = self._state
        assert height <= state.delivered, "applied before it was delivered"
        if height > state.applied:
            self._due_ms = None
            state.applied = height
            state.out.records.extend(state.keys.forget(height))
            if state.barrier == height:
                state.barrier = None
                if next_era is not None and next_era.committee.epoch > state.epoch:
                    self._state = epochs.entered(state, next_era.committee)
                self._settle()
            else:
                assert next_era is None, "a committee changes at a barrier only"

    def synced(self, proposal: Proposal, certificate: bytes) -> bool:
        state = self._state
        if proposal.height != state.next or proposal.parent != state.tip:
            return False
        if state.barrier is not None:
            return False  # we do not know yet which committee certifies it
        try:
            decided = certs.decode_commit(certificate)
        except Malformed:
            return False
        place = (state.epoch, proposal.height, proposal.digest)
        if (decided.epoch, decided.height, decided.digest) != place:
            return False
        # Replaces what we accepted here, if anything: a restart delivers before it votes.
        state.out.promise(state.keys.accepted(Accepted(state.view, proposal, fresh=False)))
        state.out.bodies.append(proposal)
        self._due_ms = None
        normal.deliver(state, proposal, certificate)
        self._settle()
        return True

    def work(self, since_ms: int | None) -> None:
        self._state.work_since_ms, self._due_ms = since_ms, None

    def hint(self, peer: NodeId, height: int) -> None:
        """Whoever ``peer`` is, it says that it has executed ``height``: ask it, if we lack it.

        Never believed: blocks count by their certificates.
        """
        self._due_ms = None
        catch_up.on_hint(self._state, peer, height)
        self._settle()

    # --- outputs --------------------------------------------------------------------------

    def read(self, token: int) -> bool:
        self._due_ms = None
        return reads.ask(self._state, token, self._rng)

    def stable(self, height: int) -> None:
        """Raise the low watermark.  Nothing is deleted here: that goes by applied height."""
        state = self._state
        self._due_ms = None
        state.low = height if state.low is None else max(state.low, height)
        self._settle()

    def unreachable(self, peer: NodeId) -> None:
        pass

    def want(self) -> WantPayload | None:
        """Return the first free height of the window, when it is our turn there.

        The window is counted from the applied height: a ledger that falls behind slows the
        primary down.
        """
        state = self._state
        if not state.active:
            return None
        for height in range(state.next, state.applied + state.config.window + 1):
            if state.accepted_at(height) is not None:
                continue
            tip = state.tip_at(height - 1)
            if tip is None or not state.open_at(height) or state.primary_at(height) != state.me:
                return None
            if state.votes.quorum("commit", height, state.config.quorum) is not None:
                return None  # decided by the others while we were away
            return WantPayload(height, tip)
        return None

    def has_effects(self) -> bool:
        return self._state.out.any()

    def drain(self) -> Effects:
        return self._state.out.drain()

    @property
    def deadline_ms(self) -> int:
        """When ``tick`` has something to do; worked out once after each input."""
        if self._due_ms is None:
            self._due_ms = timers.deadline_ms(self._state)
        return self._due_ms

    def status(self) -> EngineStatus:
        state = self._state
        role = "observer" if state.observes else "view-change"
        if state.active and not state.observes:
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
    def committee(self) -> Committee:
        """Who votes on the next block: certificates of that height and messages of this epoch
        are checked with its keys.  Changes in ``applied`` only."""
        return self._state.config.committee

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
        reads.settle(state)
