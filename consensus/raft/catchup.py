"""A follower whose next entry the leader no longer has: fetch blocks, then join the log.

The ledger's blocks are the snapshot.  Each fetched block is final, so it becomes the log's new
base in the same batch that keeps the block itself; a crash at any point restarts with a log
and a base that are true, and with the fetched blocks that the ledger has not executed yet.
Log entries beyond a fetched block are dropped only when they contradict it: others we may have
acknowledged, and a majority may count on them.
"""

from consensus import codec
from consensus.codec import Malformed
from consensus.effects import Fetch
from consensus.raft import following
from consensus.raft.core import Core, Target
from consensus.raft.log import Base
from consensus.raft.messages import INDEX_MAX, TERM_MAX, Snapshot
from consensus.raft.records import Fetched
from consensus.types import Proposal

CERTIFICATE_BYTES_MAX = 32


def decode_certificate(certificate: bytes) -> tuple[int, int]:
    """Return (term, index) of a block; raise ``Malformed`` for anything else."""
    value = codec.decode(certificate, size_max=CERTIFICATE_BYTES_MAX)
    if type(value) is not list or len(value) != 2:
        raise Malformed("expected [term, index]")
    term, index = value
    if type(term) is not int or type(index) is not int:
        raise Malformed("expected [term, index]")
    if not (1 <= term <= TERM_MAX and 1 <= index <= INDEX_MAX):
        raise Malformed("term or index out of range")
    return term, index


def on_snapshot(core: Core, message: Snapshot) -> None:
    if not following.heard_leader(core, message.sender):
        return
    log = core.log
    if message.index <= core.commit:
        following.acknowledge(core, core.commit)
        return
    if log.term_at(message.index) == message.log_term:
        core.commit_to(message.index)
        following.acknowledge(core, message.index)
        return
    base = Base(message.index, message.log_term, message.height, message.digest)
    reached = log.tip_at(core.commit)
    if message.height < reached.height:
        core.refuse("snapshot behind our commit")
    elif message.height == reached.height:
        if message.digest != reached.digest:
            core.refuse("snapshot of another chain")
            return
        core.reset_log(base)  # only entries without blocks lie between
        following.acknowledge(core, base.index)
    elif core.target is None or base.index >= core.target.base.index:
        core.target = Target(base, message.sender)
        fetch(core)


def fetch(core: Core) -> None:
    """Ask for the missing blocks, and again after a heartbeat interval until none is."""
    core.fetch_due_ms = core.now_ms + core.config.heartbeat_ms
    hi = core.missing_to
    peer = core.leader
    if peer is None and core.target is not None:
        peer = core.target.source
    if hi is not None and peer is not None and peer != core.self_id:
        core.fetches = [Fetch(peer, core.delivered.height + 1, hi)]


def synced(core: Core, proposal: Proposal, certificate: bytes) -> bool:
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
        return _take_below_base(core, block, index)
    return _take_above_base(core, block, term, index)


def _take_below_base(core: Core, block: Fetched, index: int) -> bool:
    """Fill the gap between the ledger and a base that is ahead of it."""
    base, height = core.log.base, block.proposal.height
    if index > base.index or (height == base.height and block.proposal.digest != base.digest):
        return False
    _keep(core, block)
    core.deliver_committed()
    return True


def _take_above_base(core: Core, block: Fetched, term: int, index: int) -> bool:
    target, proposal = core.target, block.proposal
    assert target is not None
    if not core.commit < index <= target.base.index:
        return False
    last_one = proposal.height == target.base.height
    if last_one and proposal.digest != target.base.digest:
        return False
    if core.log.term_at(index) == term:
        if core.log.tip_at(index).digest != proposal.digest:
            return False
        core.commit_to(index)
    else:
        core.reset_log(Base(index, term, proposal.height, proposal.digest))
        _keep(core, block)
    if last_one:
        _finish(core, target.base)
    return True


def _keep(core: Core, block: Fetched) -> None:
    core.journal.note_fetched(block)
    core.bodies.append(block.proposal)
    core.hand_on_fetched(block)


def _finish(core: Core, base: Base) -> None:
    """All blocks are here: continue the log where the leader's snapshot ends."""
    core.target = None
    if base.index > core.commit:
        if core.log.term_at(base.index) == base.term:
            core.commit_to(base.index)
        else:
            core.reset_log(base)
    following.acknowledge(core, base.index)
