"""The follower's half of replication: take the leader's log, acknowledge what is durable.

Raft paper 5.3.  Every answer, refusals too, leaves only after the turn's records are durable.
What is committed here is never replaced: a leader that contradicts it means that the rules of
Raft were broken somewhere, and the node stops rather than rewrite the past.
"""

from consensus.raft.core import Core, Role
from consensus.raft.log import Entry, chain_breaks
from consensus.raft.messages import Append, AppendResponse, Heartbeat, HeartbeatResponse
from consensus.types import NodeId


def heard_leader(core: Core, leader: NodeId) -> bool:
    """Note a sign of life from ``leader`` of the current term; False if it cannot lead it."""
    if core.role is Role.LEADER or core.leader not in (None, leader):
        core.refuse("a second leader in one term")
        return False
    if core.role is not Role.FOLLOWER or core.leader is None:
        core.become_follower(core.term, leader)
    core.heard_ms = core.now_ms
    core.rearm_election()
    return True


def answer_old_leader(core: Core, leader: NodeId) -> None:
    """Tell a leader of an older term that the term moved on, or it would wait for ever."""
    _answer(core, leader, success=False, index=0)


def acknowledge(core: Core, index: int) -> None:
    """Tell the leader that our log equals its own up to ``index``, once that is durable."""
    if core.leader is not None:
        _answer(core, core.leader, success=True, index=index)


def _answer(
    core: Core,
    leader: NodeId,
    *,
    success: bool,
    index: int,
    hint_index: int = 0,
    hint_term: int = 0,
) -> None:
    epoch = core.config.committee.epoch
    core.say_after(
        leader,
        AppendResponse(epoch, core.term, core.self_id, success, index, hint_index, hint_term),
    )


def on_heartbeat(core: Core, message: Heartbeat) -> None:
    if not heard_leader(core, message.sender):
        return
    if message.commit > core.log.last:
        # We acknowledged these committed entries and have them no longer: our disk lost data.
        # Until a leader has refilled the log, our vote could elect somebody without them.
        core.commit_floor = max(core.commit_floor, message.commit)
    core.commit_to(min(message.commit, core.log.last))
    core.say_now(
        message.sender,
        HeartbeatResponse(core.config.committee.epoch, core.term, core.self_id),
    )


def on_append(core: Core, message: Append) -> None:
    if not heard_leader(core, message.sender):
        return
    _learn_base_term(core, message)
    if message.prev_index > core.commit:
        term = core.log.term_at(message.prev_index)
        if term != message.prev_term:
            _refuse_gap(core, message)
            return
    else:
        _assert_agrees(core, message.prev_index, message.prev_term)
    entries = _unknown_entries(core, message)
    if entries:
        before = entries[0].index - 1
        if chain_breaks(core.log.tip_at(before), entries):
            core.refuse("append whose blocks do not continue our chain")
            return
        if before < core.log.last:
            core.truncate(before + 1)
        core.append(entries)
    # Committed entries equal the leader's by leader completeness, covered or not.
    known = max(message.last_index, core.commit)
    core.commit_to(min(message.commit, known))
    acknowledge(core, known)


def _unknown_entries(core: Core, message: Append) -> tuple[Entry, ...]:
    """Return the entries from the first one that our log lacks or has in another term.

    A shorter message is no reason to truncate: it may just be older than what we have.
    """
    for position, entry in enumerate(message.entries):
        if entry.index <= core.commit:
            _assert_agrees(core, entry.index, entry.term)
        elif core.log.term_at(entry.index) != entry.term:
            return message.entries[position:]
    return ()


def _assert_agrees(core: Core, index: int, term: int) -> None:
    known = core.log.term_at(index)  # None: compacted, thus executed
    if known is None or (index == core.log.base.index and not core.log.base.term_known):
        return
    assert known == term, f"conflict below commit: term {known} at {index}, leader says {term}"


def _refuse_gap(core: Core, message: Append) -> None:
    """Say at most where the logs can agree, so that each term costs one probe (5.3)."""
    hint = core.log.find_conflict_by_term(message.prev_index, message.prev_term)
    hint = max(hint, core.commit)
    term = core.log.term_at(hint)
    assert term is not None
    _answer(
        core,
        message.sender,
        success=False,
        index=message.prev_index,
        hint_index=hint,
        hint_term=term,
    )


def _learn_base_term(core: Core, message: Append) -> None:
    """After a lost log: the leader's append over our base tells the base's term."""
    base = core.log.base
    if base.term_known:
        return
    if message.prev_index == base.index:
        term = message.prev_term
    elif message.prev_index < base.index <= message.last_index:
        term = message.entries[base.index - message.prev_index - 1].term
    else:
        return
    core.log.learn_base_term(term)
    core.journal.note_base(wiped=False)
