"""From one committee to the next, and what members of different epochs say to each other.

Theory of operation.  A block that may change the committee is a barrier: nothing is proposed,
accepted or carried over on top of it before it is final and applied.  The ledger then names
the next committee, or none.  With a new one, the epoch grows by one and everything that was
about the old one ends: its views, votes, suspicions and records.  So the block at the barrier
is certified by the old committee and the block above it by the new one, and no certificate is
ever checked against any other (one engine in the field did, and took proofs of a committee
long gone).

Old records are dropped only after the ledger has the barrier on disk: no block at or below it
is voted on any more, and none of the old epoch lies above it.  Crash before the drop: the
restart is told the new committee by the ledger and drops them then.

A member left behind in an older epoch cannot check what the newer one signs.  It learns from
unsigned hints that blocks exist, fetches them with the certificates of its own committee, and
crosses the barrier as everybody did.  Whoever is not in the committee *observes*: fetches,
delivers, answers hints and never votes.
Invariant: a message of another epoch, or of somebody outside the committee, costs at most one
hint per pause and peer, and a bounded table.
"""

from dataclasses import replace
from typing import Any, Final

from consensus.effects import Envelope
from consensus.pbft.messages import Status
from consensus.pbft.state import State
from consensus.types import Applied, Committee, NodeId

HINTED_PEERS_MAX: Final = 64


def entered(state: State, committee: Committee) -> State:
    """Return the state with which ``committee`` begins on top of the applied barrier.

    The ledger has the barrier on disk.  Carried over: the chain, the clock, what waits, what
    is queued to be written or delivered.  Whether we are in the new committee does not matter.
    """
    assert committee.epoch == state.epoch + 1, "epochs follow one another"
    assert state.applied == state.delivered, "an epoch begins on an applied block"
    start = Applied(state.delivered, state.tip, state.delivered)
    fresh = State(
        config=replace(state.config, committee=committee),
        start=start,
        now_ms=state.now_ms,
        delivered=state.delivered,
        tip=state.tip,
        certificate=b"",
        applied=state.applied,
        view_entry_ms=state.now_ms,
        delivery_ms=state.now_ms,
        work_since_ms=state.work_since_ms,
        resend_due_ms=state.now_ms,
        status_due_ms=state.now_ms,  # laggards learn of the epoch at once
        round_change_ms=state.now_ms,
        statuses={
            peer: status
            for peer, status in state.statuses.items()
            if status.epoch == committee.epoch and committee.index(peer) is not None
        },
        heard_ms={p: at for p, at in state.heard_ms.items() if committee.index(p) is not None},
        hinted_ms=state.hinted_ms,
        reads=state.reads.carried(),
        refused=state.refused,
        out=state.out,
    )
    out = fresh.out
    # Nobody can check them any more, and the block they are about is final.
    out.send_now = [e for e in out.send_now if e.message.epoch == committee.epoch]
    out.send_after = [e for e in out.send_after if e.message.epoch == committee.epoch]
    out.promise(fresh.keys.start(start))
    out.records.append(fresh.keys.forget_older_epochs())
    return fresh


def admits(state: State, sender: NodeId, message: Any) -> bool:
    """Is ``message`` one of our epoch, from a member to a member?

    Otherwise it is answered here, as far as it deserves an answer, and has no other effect.
    """
    member = state.config.committee.index(sender) is not None
    if message.epoch == state.epoch and member:
        if state.observes and not isinstance(message, Status):
            state.refuse("observer")
            return False
        return True
    if not isinstance(message, Status):
        state.refuse("stranger" if message.epoch == state.epoch else "wrong-epoch")
        if message.epoch < state.epoch and member:
            _hint(state, sender)
        return False
    if message.epoch > state.epoch and member:
        # Of an epoch that we do not know, only the height tells us anything.
        state.statuses[sender] = Status(
            message.epoch, message.view, active=False, height=message.height
        )
    elif message.epoch < state.epoch or message.height < state.delivered:
        _hint(state, sender)
    else:
        state.refuse("status-stranger")
    return False


def _hint(state: State, peer: NodeId) -> None:
    """Tell one peer where we stand, at most once per resend pause."""
    if peer == state.me:
        return
    since = state.now_ms - state.config.resend_ms
    hinted = {p: at for p, at in state.hinted_ms.items() if at > since}
    if peer not in hinted and len(hinted) < HINTED_PEERS_MAX:
        hinted[peer] = state.now_ms
        status = Status(state.epoch, state.view, state.active, state.delivered)
        state.out.send_now.append(Envelope(peer, status))
    state.hinted_ms = hinted
