"""The leader's half of replication: what to send to whom, and what is committed.

Raft paper 5.3 and 5.4.2; thesis 10.2.1 for appends that leave while the leader's own write is
under way.  The leader's own entries count towards a majority only once they are durable here.
"""

from consensus.effects import ProposeResult, WantPayload
from consensus.raft.core import Core, Role
from consensus.raft.log import Base, Entry
from consensus.raft.messages import (
    Append,
    AppendResponse,
    Heartbeat,
    HeartbeatResponse,
    Snapshot,
)
from consensus.raft.progress import Inflights, Progress, ProgressState
from consensus.types import NodeId, Proposal


def become_leader(core: Core) -> None:
    """Open the term with an empty entry: only own-term entries commit by counting (5.4.2)."""
    assert core.may_campaign, "a leader fills any log from its own"
    config = core.config
    core.role, core.leader, core.votes = Role.LEADER, core.self_id, {}
    core.progress = {
        peer: Progress(
            match=0,
            next=core.log.last + 1,
            inflights=Inflights(config.inflight_messages_max, config.inflight_bytes_max),
        )
        for peer in core.peers
    }
    core.term_start = core.log.last + 1
    core.round_changed_ms = core.now_ms
    core.heartbeat_due_ms = core.now_ms + config.heartbeat_ms
    core.quorum_since_ms = core.now_ms
    core.append((Entry(core.term, core.term_start, None),))
    core.each_peer(send_append)


def want(core: Core) -> WantPayload | None:
    tip = core.log.tip
    committed_height = core.log.tip_at(core.commit).height
    if core.role is not Role.LEADER or core.commit < core.term_start:
        return None
    if tip.height - committed_height >= core.config.window:
        return None
    if core.applied_height < tip.height - core.config.window:
        return None
    return WantPayload(tip.height + 1, tip.digest)


def propose(core: Core, proposal: Proposal) -> ProposeResult:
    if core.role is not Role.LEADER:
        return ProposeResult.NOT_LEADER
    if want(core) != WantPayload(proposal.height, proposal.parent):
        return ProposeResult.BUSY
    core.append((Entry(core.term, core.log.last + 1, proposal),))
    core.each_peer(send_append)
    return ProposeResult.ACCEPTED


def send_append(core: Core, peer: NodeId) -> None:
    """Send what ``peer`` lacks, within its limits; nothing when it is paused or up to date."""
    while _send_one(core, peer):
        pass  # ends: the window of unacknowledged appends is bounded


def _send_one(core: Core, peer: NodeId) -> bool:
    """Send one message if one is due; return whether more entries may follow it."""
    progress, log = core.progress[peer], core.log
    if progress.state is ProgressState.SNAPSHOT or progress.paused:
        return False
    if progress.next - 1 < log.base.index:
        _send_snapshot(core, peer)
        return False
    entries: tuple[Entry, ...] = ()
    if not progress.inflights.full:
        entries = log.slice(
            progress.next,
            entries_max=core.config.message_entries_max,
            bytes_max=core.config.message_bytes_max,
        )
    probing = progress.state is ProgressState.PROBE
    if not entries and not probing and progress.sent_commit >= core.commit:
        return False
    _say_append(core, peer, entries)
    return bool(entries) and progress.next <= log.last


def _say_append(core: Core, peer: NodeId, entries: tuple[Entry, ...]) -> None:
    progress = core.progress[peer]
    prev_index = progress.next - 1
    prev_term = core.log.term_at(prev_index)
    assert prev_term is not None, f"the leader's log lacks {prev_index}"
    message = Append(
        core.config.committee.epoch,
        core.term,
        core.self_id,
        prev_index,
        prev_term,
        core.commit,
        entries,
    )
    core.say_now(peer, message)
    size_bytes = sum(entry.size_bytes for entry in entries)
    conveyed = min(core.commit, message.last_index)
    progress.sent(last_index=message.last_index, size_bytes=size_bytes, commit=conveyed)


def _send_snapshot(core: Core, peer: NodeId) -> None:
    """Point ``peer`` at the newest block that our ledger has executed, and wait for it."""
    log = core.log
    executed = min(core.commit, log.last_index_of_height(core.applied_height))
    base: Base = log.base_at(executed)
    message = Snapshot(
        core.config.committee.epoch,
        core.term,
        core.self_id,
        base.index,
        base.term,
        base.height,
        base.digest,
    )
    core.say_now(peer, message)
    core.progress[peer].become_snapshot(base.index, core.now_ms)


def send_heartbeats(core: Core) -> None:
    config = core.config
    core.heartbeat_due_ms = core.now_ms + config.heartbeat_ms
    for peer, progress in core.progress.items():
        # Never beyond what the peer acknowledged: it may not have those entries, or others.
        commit = min(progress.match, core.commit)
        core.say_now(peer, Heartbeat(config.committee.epoch, core.term, core.self_id, commit))
        waited_ms = core.now_ms - progress.snapshot_sent_ms
        if progress.state is ProgressState.SNAPSHOT and waited_ms >= config.election_ms_min:
            _send_snapshot(core, peer)  # the first may have been lost


def on_heartbeat_response(core: Core, message: HeartbeatResponse) -> None:
    if core.role is not Role.LEADER:
        core.refuse("heartbeat answer to no leader")
        return
    progress = core.progress[message.sender]
    progress.heard_ms = core.now_ms
    progress.paused = False
    said = len(core.send_now)
    send_append(core, message.sender)
    lacking = progress.match < core.log.last and len(core.send_now) == said
    if lacking and progress.state is ProgressState.REPLICATE:
        # All is under way and not acknowledged: an append may have been lost.  An empty one at
        # the end makes the peer refuse if so, and say where it stands.
        _say_append(core, message.sender, ())


def on_append_response(core: Core, message: AppendResponse) -> None:
    if core.role is not Role.LEADER:
        core.refuse("append answer to no leader")
        return
    if max(message.index, message.hint_index) > core.log.last:
        core.refuse("append answer beyond our log")
        return
    progress = core.progress[message.sender]
    progress.heard_ms = core.now_ms
    if message.success:
        _on_acknowledged(core, message.sender, message.index)
        return
    hint = message.hint_index
    if message.hint_term > 0:
        # Where our own log cannot agree either, do not probe: one probe per term (5.3).
        hint = core.log.find_conflict_by_term(hint, message.hint_term)
    if progress.refused(message.index, hint):
        send_append(core, message.sender)
    else:
        core.refuse("stale append refusal")


def _on_acknowledged(core: Core, peer: NodeId, index: int) -> None:
    progress = core.progress[peer]
    moved = progress.acknowledged(index)
    if progress.state is ProgressState.REPLICATE:
        progress.inflights.free_to(index)
    elif progress.state is ProgressState.PROBE:
        if index == progress.match:
            progress.become_replicate()
    elif progress.match >= core.log.base.index:
        # By match, not by the snapshot's own index: whatever brought the peer here, appends
        # can go on.
        progress.become_replicate()
    if not (moved and maybe_commit(core)):
        send_append(core, peer)


def maybe_commit(core: Core) -> bool:
    """Commit what a majority holds, if it is of our own term (5.4.2, Figure 8)."""
    matches = [min(core.durable, core.log.last)]
    matches += [progress.match for progress in core.progress.values()]
    index = sorted(matches, reverse=True)[core.majority - 1]
    if index <= core.commit or core.log.term_at(index) != core.term:
        return False
    core.commit_to(index)
    core.each_peer(send_append)
    return True
