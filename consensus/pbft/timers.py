"""When a member loses patience, and what it says again while it waits.

Owns four clocks of one member, all driven by ``tick``:

- the request timer: something waits (a transaction, or an accepted block) and nothing was
  delivered for ``request_ms``; every delivered block starts it anew;
- the patience timer: blocks are delivered, yet the oldest transaction waits ``patience_ms``: a
  primary that leaves it out.  Only a quorum that waits alike can leave the view;
- the new-view timer, in ``view_change``, which starts once a quorum is in the view change;
- the resend timer, with jitter, so that repetitions of many members do not arrive in step.

The first three double with each view that failed, capped (one engine in the field let round
10 wait for more than an hour).  Invariant: repeating promises nothing new, every word of it is
durable already.
"""

from consensus.effects import Envelope
from consensus.pbft import catch_up, normal, reads
from consensus.pbft.config import backoff_ms
from consensus.pbft.state import State
from consensus.types import Rng


def suspect_due_ms(state: State) -> int | None:
    """When our patience with the active view ends; None when nothing waits for its primary."""
    if state.observes or not state.active or state.suspicion is not None:
        return None
    if not state.open_at(state.next):
        return None  # the primary waits as we do: for the ledger, or for cosignatures
    since, failed = state.work_since_ms, state.failed_views
    config = state.config
    waits = [] if since is None else [since]
    if state.accepted_at(state.next) is not None:
        waits.append(state.slots[state.next].accepted_ms)
    if not waits:
        return None
    idle = max(min(waits), state.delivery_ms, state.view_entry_ms)
    due = idle + backoff_ms(config.request_ms, failed)
    if since is None:
        return due
    # Not reset by deliveries: who leaves one transaction out delivers the others.
    censored = max(since, state.view_entry_ms) + backoff_ms(config.censorship_ms, failed)
    return min(due, censored)


def unfinished(state: State) -> bool:
    """Is there anything of ours worth repeating?"""
    return not state.active or state.suspicion is not None


def deadline_ms(state: State) -> int:
    due = [state.status_due_ms]
    due += [
        at
        for at in (
            state.new_view_due_ms,
            suspect_due_ms(state),
            state.fetch_due_ms,
            reads.due_ms(state),
        )
        if at is not None
    ]
    if unfinished(state):
        due.append(state.resend_due_ms)
    return min(due)


def repeat(state: State, rng: Rng) -> None:
    """Say again what we last said: messages get lost, and repetition promises nothing."""
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
    if state.suspicion is not None:
        state.state_everyone(state.suspicion)
    pause = state.config.resend_ms
    state.resend_due_ms = state.now_ms + pause + rng.randrange(0, pause // 4 + 1)


def repeat_votes(state: State) -> None:
    if not state.active:
        return
    for height in sorted(state.slots):
        slot = state.slots[height]
        if state.accepted_at(height) is not None:
            normal.vote_again(state, slot)
        if slot.prepared is not None and slot.prepared.view == state.view:
            normal.commit_again(state, slot)
