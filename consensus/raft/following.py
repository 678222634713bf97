"""The follower's half of replication: take the leader's log, acknowledge what is durable.

Raft paper 5.3.  Every answer, refusals too, leaves only after everything it rests on is
durable.  What is committed here is never replaced: a leader that contradicts it means that
the rules of Raft were broken somewhere, and the node stops rather than rewrite the past.
"""

from consensus.raft.core import Core, Role
from consensus.raft.log import Base, Entry
from consensus.raft.messages import (
    Append,
    AppendResponse,
    Heartbeat,
    HeartbeatResponse,
    Snapshot,
)
from consensus.types import NodeId


def heard_leader(core: Core, leader: NodeId) -> bool:
    """Note a sign of life from ``leader`` of the current term; False if it cannot lead it."""
    if core.role is Role.LEADER or (
        core.role is Role.FOLLOWER and core.leader not in (None, leader)
    ):
        core.refuse("a second leader in one term")
        return False
    if core.role is not Role.FOLLOWER:
        core.become_follower(core.term, leader)
    core.leader = leader
    core.election_elapsed = 0
    return True


def answer_old_leader(core: Core, leader: NodeId) -> None:
    """Tell a leader of an older term that the term moved on, or it would wait for ever."""
    acknowledge(core, leader, 0)


def acknowledge(core: Core, leader: NodeId, index: int) -> None:
    """Tell ``leader`` that our log equals its own up to ``index``, once that is durable."""
    answer = AppendResponse.holds(core.settings.epoch, core.term, core.self_id, index)
    core.promise(leader, answer)


def on_heartbeat(core: Core, message: Heartbeat) -> None:
    if not heard_leader(core, message.sender):
        return
    if message.commit > core.log.last:
        # We acknowledged these committed entries and have them no longer: our disk lost data.
        # Until a leader has refilled the log, our vote could elect somebody without them.
        core.commit_floor = max(core.commit_floor, message.commit)
    core.commit_to(min(message.commit, core.log.last))
    answer = HeartbeatResponse(core.settings.epoch, core.term, core.self_id, message.reads)
    core.say(message.sender, answer)


def on_append(core: Core, message: Append) -> None:
    if not heard_leader(core, message.sender):
        return
    _learn_base_term(core, message)
    _assert_agrees(core, message.prev_index, message.prev_term)
    if message.prev_index < core.commit:
        for entry in message.entries:
            _assert_agrees(core, entry.index, entry.term)
        acknowledge(core, message.sender, core.commit)
        return
    log = core.log
    term = log.term_at(message.prev_index)
    if term is None or term != message.prev_term:
        _refuse_gap(core, message)
        return
    entries = _unknown_entries(core, message)
    if entries:
        if not log.admits(entries):
            core.refuse("append whose blocks do not continue our chain")
            return
        core.truncate_to(entries)
    core.commit_to(min(message.commit, message.last_index))
    acknowledge(core, message.sender, message.last_index)


def _unknown_entries(core: Core, message: Append) -> tuple[Entry, ...]:
    """Return the entries from the first one that our log lacks or has in another term.

    A shorter message is no reason to truncate: it may just be older than what we have.
    """
    for position, entry in enumerate(message.entries):
        if core.log.term_at(entry.index) != entry.term:
            return message.entries[position:]
    return ()


def _assert_agrees(core: Core, index: int, term: int) -> None:
    """Everybody who may lead has everything that is committed here."""
    if index > core.commit:
        return
    known = core.log.term_at(index)  # None: compacted, thus final
    if known is None or (index == core.log.base.index and not core.log.base.term_known):
        return
    assert known == term, f"conflict below commit: term {known} at {index}, leader says {term}"


def _refuse_gap(core: Core, message: Append) -> None:
    """Say at most where the logs can agree, so that each term costs one probe (5.3)."""
    log = core.log
    hint, term = log.find_conflict_by_term(min(message.prev_index, log.last), message.prev_term)
    answer = AppendResponse(
        core.settings.epoch,
        core.term,
        core.self_id,
        success=False,
        index=message.prev_index,
        hint_index=hint,
        hint_term=term,
    )
    core.promise(message.sender, answer)


def _learn_base_term(core: Core, message: Append) -> None:
    """After a lost log: the leader's append over our base tells the base's term."""
    base = core.log.base
    if base.term_known:
        return
    if message.prev_index == base.index:
        core.learn_base_term(message.prev_term)
    elif message.prev_index < base.index <= message.last_index:
        core.learn_base_term(message.entries[base.index - message.prev_index - 1].term)


def on_snapshot(core: Core, message: Snapshot) -> None:
    if not heard_leader(core, message.sender):
        return
    base = Base(message.index, message.log_term, message.height, message.digest)
    if restore(core, base, message):
        acknowledge(core, message.sender, core.log.last)
    else:
        acknowledge(core, message.sender, core.commit)


def restore(core: Core, base: Base, message: Snapshot) -> bool:
    """Continue from a snapshot; False when it brings nothing, or we are not meant."""
    if base.index <= core.commit:
        return False
    if core.self_id not in message.members.everybody:
        core.refuse("snapshot of a group that we are not in")
        return False
    if core.log.term_at(base.index) == base.term:
        # Our log leads there by itself, and holds what follows: only the commit was news.
        core.commit_to(base.index)
        return False
    core.install(base, message.members)
    return True
