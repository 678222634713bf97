"""The leader's half of replication: what to send to whom, and what is committed.

Raft paper 5.3 and 5.4.2; thesis 10.2.1 for appends that leave while the leader's own write is
under way.  The leader's own entries count towards a majority only once they are durable here:
it acknowledges them to itself, after its write, like any follower.
"""

from collections.abc import Sequence

from consensus.raft import reading
from consensus.raft.core import Core, Role
from consensus.raft.log import Entry, Restore
from consensus.raft.membership import Change
from consensus.raft.messages import (
    Append,
    AppendResponse,
    Heartbeat,
    HeartbeatResponse,
    Snapshot,
    TimeoutNow,
)
from consensus.raft.progress import Progress, ProgressState
from consensus.types import NodeId, Proposal


def append(core: Core, contents: Sequence[tuple[Proposal | None, Change | None]]) -> bool:
    """Put entries at the end of our log; False when too much waits to be committed."""
    index = core.log.last
    made: list[Entry] = []
    for proposal, change in contents:
        index += 1
        made.append(Entry(core.term, index, proposal, change))
    payload = sum(entry.payload_bytes for entry in made)
    waiting = core.uncommitted_bytes
    # The first is taken at any size, and what carries nothing is never refused: a leader
    # must be able to open its term and to leave a joint configuration.
    if waiting and payload and waiting + payload > core.settings.uncommitted_bytes_max:
        return False
    core.uncommitted_bytes += payload
    core.log.append(tuple(made))
    own = AppendResponse.holds(core.settings.epoch, core.term, core.self_id, index)
    core.promise(core.self_id, own)
    return True


def broadcast(core: Core, *, even_empty: bool = True) -> None:
    for peer in core.others():
        send_append(core, peer, even_empty=even_empty)


def send_append(core: Core, peer: NodeId, *, even_empty: bool = True) -> bool:
    """Send ``peer`` what it lacks, one message; return whether one left.

    ``even_empty``: also without entries, which tells the commit index.  With a full window
    only such messages leave: one of them will be refused if the window was lost.
    """
    progress, log, settings = core.tracker.progress[peer], core.log, core.settings
    if progress.is_paused:
        return False
    prev_index = progress.next - 1
    prev_term = log.term_at(prev_index)
    if prev_term is None:
        return _send_snapshot(core, peer, progress)
    entries: tuple[Entry, ...] = ()
    streaming = progress.state is ProgressState.REPLICATE
    if progress.next <= log.last and not (streaming and progress.inflights.is_full):
        entries = log.slice(
            progress.next,
            entries_max=settings.message_entries_max,
            bytes_max=settings.message_bytes_max,
        )
    if not entries and not even_empty:
        return False
    message = Append(
        settings.epoch, core.term, core.self_id, prev_index, prev_term, core.commit, entries
    )
    core.say(peer, message)
    progress.sent_entries(len(entries), sum(entry.payload_bytes for entry in entries))
    progress.note_commit(core.commit)
    return True


def _send_snapshot(core: Core, peer: NodeId, progress: Progress) -> bool:
    """Point ``peer`` at our newest snapshot, and wait for it."""
    newest = core.newest_restore() if progress.recent_active else None
    if newest is None:
        return False
    core.say(peer, snapshot_message(core, newest))
    progress.become_snapshot(newest.base.index)
    return True


def snapshot_message(core: Core, restore: Restore) -> Snapshot:
    base = restore.base
    return Snapshot(
        core.settings.epoch,
        core.term,
        core.self_id,
        base.index,
        base.term,
        base.height,
        base.digest,
        restore.members,
    )


def send_heartbeats(core: Core) -> None:
    epoch, asked = core.settings.epoch, core.reads.asked
    for peer in core.others():
        progress = core.tracker.progress[peer]
        # Never beyond what the peer acknowledged: it may not have those entries, or others.
        commit = min(progress.match, core.commit)
        core.say(peer, Heartbeat(epoch, core.term, core.self_id, commit, asked))
        progress.note_commit(commit)


def _progress_of(core: Core, sender: NodeId) -> Progress | None:
    if core.role is not Role.LEADER:
        core.refuse("answer to no leader")
        return None
    progress = core.tracker.progress.get(sender)
    if progress is None:
        core.refuse("answer of a stranger")
    return progress


def on_heartbeat_response(core: Core, message: HeartbeatResponse) -> None:
    progress = _progress_of(core, message.sender)
    if progress is None:
        return
    progress.recent_active = True
    progress.flow_paused = False
    # To a peer with a full window this is empty; see ``send_append``.  A probed one gets it
    # even when it lacks nothing, to come back to streaming.
    if progress.match < core.log.last or progress.state is ProgressState.PROBE:
        send_append(core, message.sender)
    if message.reads and not core.settings.lease_reads:
        core.reads.repeat(message.sender, message.reads)
        reading.settle(core)


def on_append_response(core: Core, message: AppendResponse) -> None:
    progress = _progress_of(core, message.sender)
    if progress is None:
        return
    if max(message.index, message.hint_index) > core.log.last:
        core.refuse("append answer beyond our log")
        return
    progress.recent_active = True
    if message.success:
        _on_acknowledged(core, message.sender, progress, message.index)
    else:
        _on_refused(core, progress, message)


def _on_refused(core: Core, progress: Progress, message: AppendResponse) -> None:
    hint = message.hint_index
    if message.hint_term > 0:
        # Where our own log cannot agree either, do not probe: one probe per term (5.3).
        hint, _ = core.log.find_conflict_by_term(hint, message.hint_term)
    if not progress.maybe_decrement(message.index, hint):
        core.refuse("stale append refusal")
        return
    if progress.state is ProgressState.REPLICATE:
        progress.become_probe()
    send_append(core, message.sender)


def _on_acknowledged(core: Core, peer: NodeId, progress: Progress, index: int) -> None:
    probing = progress.state is ProgressState.PROBE
    if not progress.maybe_update(index) and not (probing and progress.match == index):
        return
    if probing:
        progress.become_replicate()
    elif progress.state is ProgressState.REPLICATE:
        progress.inflights.free_to(index)
    elif progress.match + 1 >= core.log.first:
        # By match, not by the snapshot's own index: whatever brought the peer here, appends
        # can go on.
        progress.become_probe()
        progress.become_replicate()
    if maybe_commit(core):
        reading.release_postponed(core)
        broadcast(core)
    elif peer != core.self_id and progress.can_bump_commit(core.commit):
        send_append(core, peer)
    if peer == core.self_id:
        return
    while send_append(core, peer, even_empty=False):
        pass  # ends: the window of unacknowledged appends is bounded, and so is the log
    if peer == core.transferee and progress.match == core.log.last:
        send_timeout_now(core, peer)


def maybe_commit(core: Core) -> bool:
    """Commit what majorities hold, if it is of our own term (5.4.2, Figure 8)."""
    index = core.tracker.committed()
    if index <= core.commit or core.log.term_at(index) != core.term:
        return False
    return core.commit_to(index)


def send_timeout_now(core: Core, peer: NodeId) -> None:
    core.say(peer, TimeoutNow(core.settings.epoch, core.term, core.self_id))


def report_unreachable(core: Core, peer: NodeId) -> None:
    """A message to ``peer`` was lost: what streams behind it is lost too, most likely."""
    progress = core.tracker.progress.get(peer)
    if core.role is not Role.LEADER or progress is None:
        return
    if progress.state is ProgressState.REPLICATE:
        progress.become_probe()


def report_snapshot(core: Core, peer: NodeId, *, delivered: bool) -> None:
    """Somebody knows what became of the snapshot that ``peer`` was pointed at."""
    progress = core.tracker.progress.get(peer)
    if core.role is not Role.LEADER or progress is None:
        return
    if progress.state is not ProgressState.SNAPSHOT:
        return
    if not delivered:
        progress.pending_snapshot = 0
    progress.become_probe()
    # Delivered: its acknowledgement will come.  Not: try again after a heartbeat.
    progress.flow_paused = True
