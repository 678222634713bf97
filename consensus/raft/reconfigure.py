"""Proposals, and the proposals that change who the members are.

A change takes effect when it is applied, on every member at its own time; one at a time is
under way, so that any two configurations in use at once share a majority (thesis 4.1).  A
change of several members goes through a joint configuration (4.3), which the leader leaves by
itself when it was asked to.
"""

from consensus.raft import replication
from consensus.raft.core import Core, Outcome, Role
from consensus.raft.membership import Change, Members, apply_change
from consensus.raft.messages import ProposeRequest
from consensus.types import Proposal


def propose(core: Core, proposal: Proposal | None, change: Change | None) -> Outcome:
    """Order a block or a change of members, here or, passed on, at the leader."""
    if core.role is Role.LEADER:
        return _propose_here(core, proposal, change)
    lost = core.role is not Role.FOLLOWER or core.leader is None
    if lost or not core.settings.forward_proposals:
        core.refuse("proposal without a leader" if lost else "proposal to a follower")
        return Outcome.DROPPED
    assert core.leader is not None
    request = ProposeRequest(core.settings.epoch, 0, core.self_id, proposal, change)
    core.say(core.leader, request)
    return Outcome.FORWARDED


def on_propose_request(core: Core, message: ProposeRequest) -> Outcome:
    if core.settings.forward_proposals:
        return propose(core, message.proposal, message.change)
    core.refuse("proposal passed on")
    return Outcome.DROPPED


def _propose_here(core: Core, proposal: Proposal | None, change: Change | None) -> Outcome:
    if core.self_id not in core.tracker.progress:
        core.refuse("proposal to a removed leader")
        return Outcome.DROPPED
    if core.transferee is not None:
        core.refuse("proposal while leadership is handed over")
        return Outcome.DROPPED
    outcome, pending = Outcome.TAKEN, core.pending_change
    if change is not None:
        why = change_refusal(core, change)
        if why is not None and core.settings.validate_changes:
            core.refuse(why)
            change, outcome = None, Outcome.REPLACED
        else:
            pending = core.log.last + 1
    if not replication.append(core, ((proposal, change),)):
        core.refuse("too much waits to be committed")
        return Outcome.DROPPED
    core.pending_change = pending
    replication.broadcast(core)
    return outcome


def change_refusal(core: Core, change: Change) -> str | None:
    """Why ``change`` is not due now, as far as what is applied here tells."""
    is_joint = core.tracker.members.is_joint
    if core.pending_change > core.applied:
        return "change of members while another may be under way"
    if is_joint and change.steps:
        return "change of members while the configuration is joint"
    if not is_joint and not change.steps:
        return "leaving a joint configuration that there is not"
    return None


def apply(core: Core, change: Change) -> Members:
    """Adopt the configuration after a committed change; return it.

    Raises ``ChangeRefused`` for a change that the configuration does not allow; committed, it
    can only come from members that validate none.
    """
    config = apply_change(core.tracker.members, change)
    core.tracker.adopt(config, last_index=core.log.last)
    _follow_up(core)
    return config


def _follow_up(core: Core) -> None:
    config = core.tracker.members
    counts = core.self_id in config.all_voters
    if core.role is not Role.LEADER:
        if core.role is not Role.FOLLOWER and not counts:
            # The refusal of a vote can tell that we were removed meanwhile.
            core.become_follower(core.term, None)
        return
    if not counts:
        if core.settings.step_down_on_removal:
            core.become_follower(core.term, None)
        return
    # Fewer may be needed for a majority now; newcomers are probed at once.
    replication.broadcast(core, even_empty=replication.maybe_commit(core))
    if core.transferee is not None and core.transferee not in config.all_voters:
        core.transferee = None


def maybe_auto_leave(core: Core) -> None:
    """Leave a joint configuration that was entered to be left, once it is applied.

    Refused while leadership is handed over; tried again with whatever is applied next.
    """
    if core.role is not Role.LEADER or not core.tracker.members.auto_leave:
        return
    if core.applied >= core.pending_change:
        propose(core, None, Change())
