"""Status hints and block gaps.

Owns when to say where we stand, and when to ask whom for final blocks.
Hints are not believed: a claimed height only makes us ask the claimant for the next blocks,
at most ``FETCH_BLOCKS_MAX`` at a time, with growing pauses and another peer each time.
Invariant: a liar costs one request per pause; it can never make us skip or vote.
"""

from typing import Final

from consensus.effects import Envelope, Fetch
from consensus.pbft import assist, view_change
from consensus.pbft.messages import Status
from consensus.pbft.normal import known
from consensus.pbft.select import select
from consensus.pbft.state import HINTS_MAX, State
from consensus.types import NodeId, Rng

FETCH_BLOCKS_MAX: Final = 64
_PAUSE_DOUBLINGS_MAX: Final = 3


def on_status(state: State, sender: NodeId, message: Status) -> None:
    if state.config.committee.index(sender) is None or sender == state.me:
        state.refuse("status-stranger")
        return
    before = state.statuses.get(sender)
    state.statuses[sender] = message
    assist.answer(state, sender, message, before)


def on_hint(state: State, peer: NodeId, height: int) -> None:
    """Note that ``peer``, whoever it is, may serve blocks up to ``height``."""
    hints = {p: at for p, at in state.hints.items() if at > state.delivered}
    if peer != state.me and height > state.delivered:
        if peer in hints or len(hints) < HINTS_MAX:
            hints[peer] = max(height, hints.get(peer, 0))
        else:
            state.refuse("hint-flood")
    state.hints = hints


def announce(state: State) -> None:
    """Tell everyone where we stand."""
    if any(member != state.me for member in state.config.committee.ids):
        state.out.send_now.append(Envelope(None, assist.status(state)))
        assist.tell_odd_votes(state)
    state.status_due_ms = state.now_ms + state.config.status_ms


def _proven(state: State) -> tuple[int, tuple[str, ...]]:
    """Return the highest height that signatures at hand prove final, and who has it."""
    if state.pending is not None:
        base = select(state.pending.view_changes)
        if base.height > state.delivered:
            return base.height, base.holders
    quorum = state.votes.quorum("commit", state.next, state.config.quorum)
    if quorum is not None and known(state, state.next, quorum.value) is None:
        return state.next, tuple(sorted(quorum.signatures))
    return state.delivered, ()


def _claims(state: State, proven: int, holders: tuple[str, ...]) -> dict[NodeId, int]:
    """Return, by peer, up to which height it may serve us."""
    delivered = state.delivered
    claims = {
        NodeId(peer): status.height
        for peer, status in state.statuses.items()
        if status.height > delivered
    }
    for peer, height in state.hints.items():
        if height > delivered:
            claims[peer] = max(height, claims.get(peer, 0))
    for change in state.view_changes.values():
        if change.height > delivered and change.signer != state.me:
            claims[NodeId(change.signer)] = max(
                change.height, claims.get(NodeId(change.signer), 0)
            )
    for holder in holders:
        if holder != state.me:
            claims[NodeId(holder)] = max(proven, claims.get(NodeId(holder), 0))
    return claims


def review(state: State) -> None:
    """Notice or forget a gap; call after every input."""
    proven, holders = _proven(state)
    claims = _claims(state, proven, holders)
    if not claims:
        state.gap_since_ms = state.fetch_due_ms = None
        state.fetch_attempts = state.fetch_hi = 0
        return
    if state.fetch_due_ms is not None and state.gap_since_ms is None:
        return  # a request is out
    far = max(claims.values()) > state.next or proven > state.delivered
    if state.gap_since_ms is None:
        state.gap_since_ms = state.now_ms
    # One block behind is how every block looks to whoever hears of it last: wait a moment.
    pause = 0 if far else state.config.status_ms
    state.fetch_due_ms = state.gap_since_ms + pause


def ask(state: State, rng: Rng) -> None:
    """Ask one peer for the missing blocks; the next attempt asks another."""
    claims = _claims(state, *_proven(state))
    if not claims:
        return  # leaving the view in this very tick dropped them; ``review`` forgets the gap
    peers = sorted(claims)
    if state.fetch_attempts == 0:
        state.fetch_offset = rng.randrange(0, len(peers))
    peer = peers[(state.fetch_offset + state.fetch_attempts) % len(peers)]
    state.fetch_hi = min(claims[peer], state.delivered + FETCH_BLOCKS_MAX)
    state.out.fetch.append(Fetch(peer, state.next, state.fetch_hi))
    doublings = min(state.fetch_attempts, _PAUSE_DOUBLINGS_MAX)
    state.fetch_attempts += 1
    state.gap_since_ms = None
    state.fetch_due_ms = state.now_ms + (state.config.resend_ms << doublings)


def suspect_left_view(state: State) -> None:
    """Add our suspicion to a view that peers still work in and that we can never vote in.

    A member past an active view is as good as silent there.  Without its suspicion, that view
    could lack both the votes to go on and the suspicions to end.
    """
    if state.active:
        return
    views = [
        status.view
        for status in state.statuses.values()
        if status.active and status.view < state.view
    ]
    if views:
        view_change.suspect(state, max(views))
