"""A follower whose next entry the leader no longer has: fetch blocks, then join the log.

The ledger's blocks are the snapshot.  The pointer to it is kept, on disk too, until the ledger
was handed every block up to its height; only then the log is replaced, with who the members
are, in one batch.  Fetched blocks are final, and are kept until the ledger has executed them,
so a crash at any point restarts with a log that is as true as before and with the blocks that
are not executed yet.  Log entries that a fetched block confirms are committed instead: others
we may have acknowledged, and a majority may count on them.
"""

from consensus.codec import Malformed
from consensus.effects import Fetch
from consensus.raft import following
from consensus.raft.core import Role
from consensus.raft.ledger import LedgerCore
from consensus.raft.log import Base
from consensus.raft.messages import NOBODY, Snapshot
from consensus.raft.records import Fetched, Target, decode_certificate
from consensus.types import NodeId, Proposal


def on_snapshot(core: LedgerCore, message: Snapshot) -> None:
    if not following.heard_leader(core, message.sender):
        return
    base = Base(message.index, message.log_term, message.height, message.digest)
    members = message.members if message.members != NOBODY else core.founders
    target = Target(base, message.sender, members)
    known = core.log.term_at(base.index) == base.term
    if base.index <= core.commit or known:
        core.commit_to(max(base.index, core.commit))
        following.acknowledge(core, message.sender, core.commit)
    elif core.self_id not in target.members.everybody:
        core.refuse("snapshot of a group that we are not in")
    elif _contradicts(core, base):
        core.refuse("snapshot of another chain")
    elif _points_on(core, target):
        core.target = target
        core.journal.note_target(target)
        if not try_finish(core):
            fetch(core)


def _points_on(core: LedgerCore, target: Target) -> bool:
    """Whether to go where ``target`` says: not for a late word of the same leader.

    Another leader's snapshot may lie below its predecessor's: what that one pointed at was
    final there, and may be out of reach until this one has our log.
    """
    known = core.target
    if known is None or known.source != target.source:
        return True
    return target.base.index >= known.base.index


def _contradicts(core: LedgerCore, base: Base) -> bool:
    """Whether the snapshot is of a chain that cannot be the one we know to be final."""
    tip = core.log.tip_at(core.commit)
    if tip.height < core.delivered.height:
        tip = core.delivered
    same_height = base.height == tip.height and base.digest != tip.digest
    return same_height or base.height < core.log.tip_at(core.commit).height


def ended(core: LedgerCore, source: NodeId, base: Base) -> None:
    """The group went on without this log after ``base``: hear it as a snapshot of no leader.

    ``base`` is final, so what follows is safe for a member of any role.  Whoever leads here in
    ``base.term`` or later has that entry (paper 5.4.3) and commits it.  Whoever lacks it stops
    leading or campaigning, fetches, and goes on voting and taking entries: the others may
    still need it to finish, should all be gone that have finished.
    """
    if base.index <= core.commit:
        return  # it is handed on by itself
    if core.log.term_at(base.index) == base.term:
        core.commit_to(base.index)
    elif _contradicts(core, base):
        core.refuse("end of another chain")
    else:
        if core.role is not Role.FOLLOWER or base.term > core.term:
            core.become_follower(max(core.term, base.term), None)
        core.ended_by = source
        target = Target(base, source, core.tracker.members)
        if core.target != target:
            core.target = target
            core.journal.note_target(target)
        if not try_finish(core):
            fetch(core)


def fetch(core: LedgerCore) -> None:
    """Ask for the missing blocks, and again after a heartbeat interval until none is."""
    core.fetch_due_ms = core.now_ms + core.config.heartbeat_ms
    hi = core.missing_to
    peer = core.leader
    if peer is None and core.target is not None:
        peer = core.target.source
    if core.ended_by is not None and core.target is not None:
        peer = core.ended_by  # a leader that was left behind as well has nothing for us
    if hi is not None and peer is not None and peer != core.self_id:
        core.fetches = [Fetch(peer, core.delivered.height + 1, hi)]


def synced(core: LedgerCore, proposal: Proposal, certificate: bytes) -> bool:
    """Take the next missing block; False when it is not that."""
    hi = core.missing_to
    if hi is None or proposal.height != core.delivered.height + 1 or proposal.height > hi:
        return False
    if proposal.parent != core.delivered.digest:
        return False
    try:
        term, index = decode_certificate(certificate)
    except Malformed:
        return False
    block = Fetched(proposal, certificate)
    if proposal.height <= core.log.base.height:
        taken = _take_below_base(core, block, index)
    else:
        taken = _take_above_base(core, block, term, index)
    if taken:
        try_finish(core)
    return taken


def _take_below_base(core: LedgerCore, block: Fetched, index: int) -> bool:
    """Fill the gap between the ledger and a base that is ahead of it."""
    base, height = core.log.base, block.proposal.height
    if index > base.index or (height == base.height and block.proposal.digest != base.digest):
        return False
    _keep(core, block)
    return True


def _take_above_base(core: LedgerCore, block: Fetched, term: int, index: int) -> bool:
    target, proposal = core.target, block.proposal
    assert target is not None, "above the base only a snapshot's blocks are missing"
    if not core.log.base.index < index <= target.base.index:
        return False
    if proposal.height == target.base.height and proposal.digest != target.base.digest:
        return False
    if index <= core.commit and core.log.term_at(index) != term:
        return False
    if core.log.term_at(index) == term:
        if core.log.tip_at(index).digest != proposal.digest:
            return False
        core.commit_to(index)
    _keep(core, block)
    return True


def _keep(core: LedgerCore, block: Fetched) -> None:
    core.journal.note_fetched(block)
    core.bodies.append(block.proposal)
    core.hand_on_fetched(block)


def try_finish(core: LedgerCore) -> bool:
    """Continue the log where the snapshot ends, once every block up to it was handed on."""
    target = core.target
    if target is None or core.delivered.height < target.base.height:
        return False
    if core.role is not Role.FOLLOWER:
        return False  # a candidate cannot be, see ``may_campaign``
    base = target.base
    if base.index > core.commit:
        if core.log.term_at(base.index) == base.term:
            core.commit_to(base.index)
        elif core.log.restoring is None:
            core.install(base, target.members)
        else:
            return False  # the one before is still being written
    core.target = None
    core.journal.note_target(None)
    core.forget_fetched()
    if core.leader is not None:
        following.acknowledge(core, core.leader, core.commit)
    return True
