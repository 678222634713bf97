"""How a log begins that is not the first: everybody's vote in term 1 is given away beforehand.

Theory of operation.  A network that comes to Raft at some height, or begins a new log there,
knows who shall lead: whoever ordered the last block, or, if that one has no vote here, the
lowest id.  Every member starts in term 1 with its vote given to that one, as if an election
had been held among all of them before the log began.

Why it is safe.  In term 1 nobody else can be elected: no vote of term 1 is left.  The
designated one leads only after its own term and vote are on disk, so a restart finds either
nothing, and then nothing ever left it, or the record, and then it follows and never leads
term 1 again.
So there is one leader in term 1, in one life, and its log is the empty one that all share.
A member that dies before its first write starts the same way once more, and promised nothing.
Later terms are elected as ever; a leader of a later term holds whatever term 1 committed,
because a majority acknowledged it before any of them voted again.

Why it is live.  A designated leader that is dead, or late, is missed for an election timeout.
"""

from consensus.raft.core import Role
from consensus.raft.ledger import LedgerCore
from consensus.raft.messages import VoteResponse
from consensus.raft.records import Restored
from consensus.types import Applied, Era, NodeId


def first_leader(era: Era, proposer: str | None) -> NodeId:
    """Return who leads a Raft era first: who proposed the barrier, else the lowest id.

    A function of the chain alone, so that all members give their vote to the same one.
    """
    members = era.committee
    named = None if proposer is None else members.index(proposer)
    return members.ids[0 if named is None else named]


def is_new(restored: Restored, applied: Applied) -> bool:
    """Whether the log begins here and now: nothing is written, and nothing was ever ordered."""
    return not restored.base_stored and applied.position == 0 and restored.hard.term == 0


def found(core: LedgerCore, first: NodeId) -> None:
    """Begin term 1 with everybody's vote for ``first``; its own counts once it is durable."""
    assert (core.term, core.log.last) == (0, 0), "a log begins once"
    core.reset(1)
    core.vote = first
    if first != core.self_id:
        return
    core.role = Role.CANDIDATE
    for peer in core.tracker.voters:
        if peer != core.self_id:
            core.tracker.record_vote(peer, granted=True)
    answer = VoteResponse(core.settings.epoch, core.term, first, first, granted=True)
    core.promise(first, answer)
