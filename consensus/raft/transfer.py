"""Handing leadership to a chosen member (thesis 3.10).

One at a time, and given up after an election timeout.  Meanwhile the leader takes no
proposals, so that the target can catch up with a log that stands still; then it tells the
target to campaign at once.
"""

from consensus.raft import replication
from consensus.raft.core import Core, Outcome, Role
from consensus.raft.messages import TransferRequest
from consensus.types import NodeId


def transfer(core: Core, to: NodeId) -> Outcome:
    if core.role is Role.LEADER:
        return _start(core, to)
    if core.role is not Role.FOLLOWER or core.leader is None:
        core.refuse("transfer without a leader")
        return Outcome.DROPPED
    request = TransferRequest(core.settings.epoch, core.term, core.self_id, to)
    core.say(core.leader, request)
    return Outcome.FORWARDED


def on_transfer_request(core: Core, message: TransferRequest) -> None:
    if core.role is Role.LEADER:
        _start(core, message.transferee)
    else:
        core.refuse("transfer asked of no leader")


def _start(core: Core, to: NodeId) -> Outcome:
    progress = core.tracker.progress.get(to)
    if progress is None or progress.is_learner:
        core.refuse("transfer to a member that cannot lead")
        return Outcome.DROPPED
    if core.transferee == to:
        return Outcome.TAKEN
    core.transferee = None
    if to == core.self_id:
        return Outcome.DROPPED
    core.election_elapsed = 0
    core.transferee = to
    if progress.match == core.log.last:
        replication.send_timeout_now(core, to)
    else:
        replication.send_append(core, to)
    return Outcome.TAKEN
