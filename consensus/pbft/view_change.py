"""Leaving a view and opening the next one.

Theory of operation.  A member that waits too long *suspects* (view, next height) and keeps
working.  A quorum of equal suspicions is a transferable certificate; whoever holds one for its
view or a later one leaves at once with a ViewChange that carries it.  The certificate that made
us leave is our *lineage*: while views fail without ever becoming active, each further
ViewChange carries the same lineage.  Such a step has two grounds only: our own new-view timer,
which runs once a quorum of members is in our view or beyond, or f + 1 members already beyond
(then the smallest of their views).  So liars alone move nobody, and with f faulty primaries in
a row all honest members step together, waiting twice as long each time.

Members *beyond* our view count for the timer: they will not come back, and without them a
member that missed one message would wait for ever.  A member that stepped past an active view
can never vote there again, hence it adds its Suspect for that view (see ``catch_up``).

The primary of the new view collects a quorum and proposes what ``select`` says; every member
recomputes that before entering.  Signatures were verified before; a view change that cannot be
used is dropped alone and never spoils the set.
"""

from dataclasses import replace

from consensus import certs
from consensus.certs import SuspectCert
from consensus.pbft import normal
from consensus.pbft.config import backoff_ms
from consensus.pbft.messages import WINDOW_MAX, NewView, Suspect, ViewChange
from consensus.pbft.select import select
from consensus.pbft.state import State
from consensus.types import U63_MAX


def suspect(state: State, view: int) -> None:
    """State that we wait in vain for the next height in ``view``; no promise of silence."""
    assert view <= state.view
    message = Suspect(state.epoch, view, state.next, state.me)
    if view == state.view:
        state.suspicion = message
    state.state_everyone(message)


def on_suspect(state: State, message: Suspect) -> None:
    if message.view < state.view:
        state.refuse("suspect-outside")
        return
    # Two places per signer: a suspicion of a later view must not hide the one we wait for.
    suspects = state.suspects if message.view == state.view else state.suspects_ahead
    known = suspects.get(message.signer)
    if known is not None and (known.view, known.height) >= (message.view, message.height):
        return
    suspects[message.signer] = message
    agreeing = {
        each.signer: each.signature
        for each in suspects.values()
        if (each.view, each.height) == (message.view, message.height)
    }
    if len(agreeing) >= state.config.quorum:
        signers, signatures = certs.bundle(agreeing, state.config.committee)
        follow(
            state,
            SuspectCert(state.epoch, message.view, message.height, signers, signatures),
        )


def follow(state: State, certificate: SuspectCert) -> None:
    """Leave the suspected view, if we are still in it or below."""
    if certificate.view >= state.view:
        leave(state, certificate.view + 1, certificate)


def leave(state: State, view: int, lineage: SuspectCert) -> None:
    """Enter the change to ``view``: from here on no vote of ours names a lower one.

    The view, and the very ViewChange, are durable before it leaves: after a restart we repeat
    it and stay silent in the views it closed.
    """
    assert view > state.view
    if view > U63_MAX:
        state.refuse("view-out-of-range")
        return
    enter(state, view, active=False)
    state.failed_views += 1
    state.own_view_change = ViewChange(
        state.epoch,
        view,
        state.delivered,
        state.tip,
        state.certificate,
        _prepared_chain(state),
        lineage,
        state.me,
    )
    state.out.promise(
        state.keys.view(view, active=False), state.keys.view_change(state.own_view_change)
    )
    state.state_everyone(state.own_view_change)
    _restart_patience(state)


def enter(state: State, view: int, *, active: bool) -> None:
    """Move to ``view`` and drop what only lower views needed."""
    assert view > state.view or (view == state.view and active and not state.active)
    if view > state.view:
        state.round_change_ms = state.now_ms
        state.own_new_view = None
        state.early = {
            each.proposal.height: each
            for _, each in sorted(state.ahead.items())
            if each.view == view and state.next <= each.proposal.height <= state.height_max
        }
    state.view, state.active = view, active
    state.ahead = {signer: each for signer, each in state.ahead.items() if each.view > view}
    state.votes.enter_view(view)
    waiting = {**state.suspects, **state.suspects_ahead}
    state.suspects = {s: each for s, each in waiting.items() if each.view == view}
    state.suspects_ahead = {s: each for s, each in waiting.items() if each.view > view}
    oldest = view + 1 if active else view
    state.view_changes = {s: c for s, c in state.view_changes.items() if c.view >= oldest}
    if state.pending is not None and state.pending.view < oldest:
        state.pending = None
    state.suspicion = None
    state.new_view_due_ms = None


def _prepared_chain(state: State) -> tuple[certs.PreparedCert, ...]:
    """Return our prepared certificates, contiguous and chained from the final block."""
    chain: list[certs.PreparedCert] = []
    tip = state.tip
    for height in range(state.next, state.next + WINDOW_MAX):
        slot = state.slots.get(height)
        if slot is None or slot.prepared is None or slot.prepared.proposal.parent != tip:
            break
        chain.append(slot.prepared)
        tip = slot.prepared.proposal.digest
    return tuple(chain)


def _based(state: State, change: ViewChange) -> bool:
    """A final block needs its certificate, except the one where this epoch began."""
    start = (state.start.height, state.start.digest)
    return bool(change.certificate) or (change.height, change.digest) == start


def on_view_change(state: State, message: ViewChange) -> None:
    if message.view < state.view or (message.view == state.view and state.active):
        state.refuse("view-change-outside")
        return
    if not _based(state, message) or message.suspected.view >= message.view:
        state.refuse("view-change-base")
        return
    known = state.view_changes.get(message.signer)
    if known is not None and known.view >= message.view:
        if known.view == message.view and replace(known, signature=b"") != replace(
            message, signature=b""
        ):
            state.refuse("contradiction")
        return
    state.view_changes[message.signer] = message
    follow(state, message.suspected)
    _join(state)
    _restart_patience(state)


def _join(state: State) -> None:
    """Follow f + 1 members beyond our view: one of them at least is honest."""
    while True:
        beyond = [c for c in state.view_changes.values() if c.view > state.view]
        if len(beyond) < state.config.weak_quorum:
            return
        view = min(change.view for change in beyond)
        # The smallest view's own lineage lies below it, so there is at least one.
        lineage = max(
            (change.suspected for change in beyond if change.suspected.view < view),
            key=lambda certificate: (certificate.view, certificate.height),
        )
        leave(state, view, lineage)


def _restart_patience(state: State) -> None:
    """Start the new-view timer once a quorum is in our view change or beyond."""
    if state.active or state.new_view_due_ms is not None:
        return
    there = sum(change.view >= state.view for change in state.view_changes.values())
    if there >= state.config.quorum:
        failed = max(state.failed_views - 1, 0)
        state.new_view_due_ms = state.now_ms + backoff_ms(state.config.view_change_ms, failed)


def give_up(state: State) -> None:
    """The new-view timer ran out: step to the next view on the same lineage."""
    assert state.own_view_change is not None
    state.new_view_due_ms = None
    leave(state, state.view + 1, state.own_view_change.suspected)


def advance(state: State) -> bool:
    """Open or enter a view if the messages at hand allow; False when they do not."""
    return _open_view(state) or _enter_pending(state)


def _open_view(state: State) -> bool:
    if state.active or state.own_new_view is not None or state.opener != state.me:
        return False
    changes = [change for change in state.view_changes.values() if change.view == state.view]
    if len(changes) < state.config.quorum:
        return False
    # Durable before it leaves: a restart that forgot the set would choose another quorum and
    # sign a second, different NewView.
    order = {member: position for position, member in enumerate(state.config.committee.ids)}
    changes.sort(key=lambda change: order[change.signer])  # type: ignore[index]
    quorum = tuple(changes[: state.config.quorum])
    chosen = select(quorum).chosen
    state.own_new_view = NewView(state.epoch, state.view, quorum, chosen, state.me)
    state.out.promise(state.keys.own_new_view(state.own_new_view))
    state.state_everyone(state.own_new_view)
    return True


def on_new_view(state: State, message: NewView) -> None:
    """Check the choice; enter at once or as soon as we hold the block it starts from."""
    if message.view < state.view or (message.view == state.view and state.active):
        state.refuse("new-view-outside")
        return
    if state.pending is not None and state.pending.view >= message.view:
        return
    authors = {change.signer for change in message.view_changes}
    if len(authors) < state.config.quorum or any(
        change.view != message.view for change in message.view_changes
    ):
        state.refuse("new-view-quorum")
        return
    if not all(_based(state, change) for change in message.view_changes):
        state.refuse("new-view-base")
        return
    if select(message.view_changes).chosen != message.chosen:
        # Signed proof that this primary lies.  Others refuse it as we do; our suspicion lets
        # a quorum leave before the timer runs out.
        state.refuse("new-view-choice")
        if message.view == state.view and state.suspicion is None:
            suspect(state, message.view)
        return
    state.pending = message


def _enter_pending(state: State) -> bool:
    message = state.pending
    if message is None:
        return False
    selection = select(message.view_changes)
    if selection.height > state.delivered:
        return False  # catch_up fetches up to there
    if selection.chosen and state.barrier is not None:
        return False  # the others applied the barrier, and our ledger will: then we vote too
    state.pending = None
    if selection.height == state.delivered and selection.digest != state.tip:
        state.refuse("new-view-fork")
        return True
    enter(state, message.view, active=True)
    state.view_entry_ms = state.now_ms
    state.new_view = message
    state.out.promise(state.keys.view(message.view, active=True), state.keys.new_view(message))
    for proposal in selection.chosen:
        # What is final here already is not voted on again: others fetch it from us.
        if proposal.height > state.delivered:
            if state.tip_at(proposal.height - 1) != proposal.parent:
                state.refuse("new-view-fork")
                break
            normal.accept(state, proposal, fresh=False)
    return True
