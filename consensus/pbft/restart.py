"""From what is on disk back to the member that wrote it.

Owns the rebuilding of ``State`` after a stop of any kind, and the first words after it: what
was decided but not applied is delivered once more, and what was last said is said again, byte
for byte.  Refused: records that contradict the ledger's applied block, with ``ValueError``.
Invariant: nothing is signed here that was not signed before the stop.
"""

from consensus import certs
from consensus.pbft import normal, timers
from consensus.pbft.config import PbftConfig
from consensus.pbft.messages import WINDOW_MAX
from consensus.pbft.records import Restored
from consensus.pbft.state import Slot, State
from consensus.types import Applied


def restored(config: PbftConfig, found: Restored, applied: Applied, now_ms: int) -> State:
    """Return the state of the epoch of ``config`` as its records and the ledger left it."""
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
    for height in range(state.next, state.next + WINDOW_MAX):
        slot = Slot(found.accepted.get(height), state.now_ms, found.prepared.get(height))
        if slot.accepted is not None or slot.prepared is not None:
            state.slots[height] = slot


def resume(state: State, found: Restored) -> None:
    """Deliver what was decided but not applied, then repeat what we last said."""
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
    timers.repeat_votes(state)
