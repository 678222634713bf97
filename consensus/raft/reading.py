"""Linearizable reads without writing: the leader says up to where a reader must have applied.

Thesis 6.4.  An answer is the commit index at the time of asking, confirmed by a majority that
still followed this leader afterwards, and not before the leader has committed an entry of its
own term: until then it may know less than its predecessor told its clients.
"""

from consensus.raft import replication
from consensus.raft.core import Core, Outcome, ReadState, Role
from consensus.raft.messages import ReadRequest, ReadResponse
from consensus.raft.reads import WaitingRead
from consensus.types import NodeId


def read(core: Core, token: int) -> Outcome:
    """Ask for a read index on our own behalf; the answer comes as a ``ReadState``."""
    if core.role is Role.LEADER:
        _take(core, core.self_id, token)
        return Outcome.TAKEN
    if core.role is not Role.FOLLOWER or core.leader is None:
        core.refuse("read without a leader")
        return Outcome.DROPPED
    core.say(core.leader, ReadRequest(core.settings.epoch, 0, core.self_id, token))
    return Outcome.FORWARDED


def on_read_request(core: Core, message: ReadRequest) -> None:
    if core.role is Role.LEADER:
        _take(core, message.sender, message.token)
    else:
        core.refuse("read asked of no leader")


def on_read_response(core: Core, message: ReadResponse) -> None:
    if core.role is not Role.FOLLOWER:
        core.refuse("read answer while not following")
        return
    core.read_states.append(ReadState(message.token, message.index))


def _take(core: Core, reader: NodeId, token: int) -> None:
    if core.tracker.is_singleton:
        _answer(core, WaitingRead(reader, token, core.commit))
    elif core.committed_in_term:
        _ask_majority(core, reader, token)
    else:
        core.reads_postponed.append((reader, token))


def _ask_majority(core: Core, reader: NodeId, token: int) -> None:
    read = WaitingRead(reader, token, core.commit)
    if core.settings.lease_reads:
        _answer(core, read)
        return
    core.reads.add(read)
    core.reads.repeat(core.self_id, core.reads.asked)
    replication.send_heartbeats(core)
    # In a joint configuration whose halves are both ourselves nobody else will answer.
    settle(core)


def settle(core: Core) -> None:
    """Answer what majorities have confirmed."""
    for read in core.reads.take_confirmed(core.tracker.members):
        _answer(core, read)


def release_postponed(core: Core) -> None:
    """The first commit of the term happened: take the reads that waited for it."""
    if not core.reads_postponed or not core.committed_in_term:
        return
    waiting, core.reads_postponed = core.reads_postponed, []
    for reader, token in waiting:
        _ask_majority(core, reader, token)


def _answer(core: Core, read: WaitingRead) -> None:
    if read.reader == core.self_id:
        core.read_states.append(ReadState(read.token, read.index))
        return
    answer = ReadResponse(core.settings.epoch, core.term, core.self_id, read.index, read.token)
    core.say(read.reader, answer)
