"""The three phases of a block: accept, prepare, commit.

Rules over ``State``; each ``advance`` looks at what is there instead of reacting inside a
message handler, so buffered messages are never processed recursively.
Refused: proposals off our tip, a second proposal in one view and height, anything that the view
or window has no place for.
Invariant: a Prepare or Commit leaves only with its record, and never for a delivered height.
"""

from consensus import certs, wire
from consensus.certs import CommitCert, PreparedCert
from consensus.effects import Decided
from consensus.pbft.messages import WINDOW_MAX, Commit, Prepare, PrePrepare
from consensus.pbft.records import Accepted
from consensus.pbft.state import Slot, State
from consensus.pbft.votes import Verdict, Vote
from consensus.types import Proposal


def cast(state: State, vote: Vote) -> None:
    """Keep a verified vote, or count why not."""
    verdict = state.votes.cast(vote, height_min=state.next, height_max=state.height_max)
    if verdict is Verdict.CONFLICT:
        state.refuse("contradiction")
    elif verdict is Verdict.OUTSIDE:
        state.refuse("vote-outside")


def on_prepare(state: State, message: Prepare) -> None:
    vote = Vote(
        "prepare",
        message.view,
        message.height,
        message.content,
        message.signer,
        message.signature,
    )
    cast(state, vote)


def on_commit(state: State, message: Commit) -> None:
    vote = Vote(
        "commit",
        message.view,
        message.height,
        message.digest,
        message.signer,
        message.signature,
    )
    cast(state, vote)


def on_pre_prepare(state: State, message: PrePrepare) -> None:
    """Count the primary's prepare and keep the proposal until it can be accepted."""
    height = message.proposal.height
    if message.view < state.view or not state.next <= height <= state.height_max:
        state.refuse("proposal-outside")
        return
    vote = Vote(
        "prepare",
        message.view,
        height,
        certs.proposal_hash(message.proposal),
        message.signer,
        message.signature,
    )
    cast(state, vote)
    if message.view > state.view:
        _keep_for_later(state, message)
        return
    earlier = state.early.get(height)
    taken = earlier.proposal if earlier is not None else state.accepted_at(height)
    if taken is None:
        state.early[height] = message
    elif taken != message.proposal:
        state.refuse("second-proposal")


def _keep_for_later(state: State, message: PrePrepare) -> None:
    """Keep a proposal for a view above ours: of each proposer, those of its newest view."""
    views = [each.view for (signer, _), each in state.ahead.items() if signer == message.signer]
    newest = max(views, default=0)
    if message.view < newest:
        return
    if message.view > newest:
        state.ahead = {p: each for p, each in state.ahead.items() if p[0] != message.signer}
    state.ahead.setdefault((message.signer, message.proposal.height), message)


def accept(state: State, proposal: Proposal, *, fresh: bool) -> None:
    """Bind ourselves to ``proposal`` in the view in force.

    Crash before the write: nothing left.  Crash after it: the restart repeats the same vote.
    """
    assert state.active
    window = state.config.window if fresh else WINDOW_MAX
    assert state.delivered < proposal.height <= state.delivered + window
    assert state.accepted_at(proposal.height) is None, "one proposal per view and height"
    slot = state.slots.setdefault(proposal.height, Slot())
    accepted = Accepted(state.view, proposal, fresh)
    slot.accept(accepted, state.now_ms)
    state.out.promise(state.keys.accepted(accepted))
    state.out.bodies.append(proposal)
    vote_again(state, slot)


def vote_again(state: State, slot: Slot) -> None:
    """State (or repeat) our part in the first phase of ``slot``."""
    assert slot.accepted is not None
    assert slot.accepted.view == state.view
    proposal = slot.accepted.proposal
    if slot.accepted.fresh and state.primary_at(proposal.height) == state.me:
        state.state_everyone(PrePrepare(state.epoch, state.view, proposal, state.me))
        return
    assert proposal.height > state.delivered, "never vote below the final height"
    content = slot.content
    state.state_everyone(Prepare(state.epoch, state.view, proposal.height, content, state.me))


def commit_again(state: State, slot: Slot) -> None:
    """State (or repeat) our commit for the certificate of the view in force."""
    assert slot.prepared is not None
    assert slot.prepared.view == state.view
    proposal = slot.prepared.proposal
    assert proposal.height > state.delivered
    state.state_everyone(
        Commit(state.epoch, state.view, proposal.height, proposal.digest, state.me)
    )


def advance(state: State) -> bool:
    """Take one step that the messages at hand allow; False when there is none."""
    return _accept_next(state) or _prepare_next(state) or _commit_next(state)


def _accept_next(state: State) -> bool:
    if not state.active:
        return False
    for height in range(state.next, state.next + state.config.window):
        message = state.early.get(height)
        if message is None:
            continue
        taken, tip = state.accepted_at(height), state.tip_at(height - 1)
        if taken is None and (tip is None or not state.open_at(height)):
            return False  # it waits for its parent, for the ledger or for cosignatures
        del state.early[height]
        if taken is not None:
            if taken != message.proposal:
                state.refuse("second-proposal")
        elif tip != message.proposal.parent:
            state.refuse("wrong-parent")
        else:
            accept(state, message.proposal, fresh=True)
        return True
    return False


def _prepare_next(state: State) -> bool:
    if not state.active:
        return False
    tip = state.tip
    for height in range(state.next, state.next + WINDOW_MAX):
        proposal = state.accepted_at(height)
        if proposal is None or proposal.parent != tip:
            return False
        tip = proposal.digest
        slot = state.slots[height]
        if slot.prepared is not None and slot.prepared.view == state.view:
            continue
        signatures = state.votes.agreeing("prepare", height, slot.content)
        if len(signatures) < state.config.quorum:
            # Later heights must wait: prepared at a height means prepared below it in the
            # same view, or a gap could precede a committed block.
            return False
        signers, signed = certs.bundle(signatures, state.config.committee)
        slot.prepared = PreparedCert(state.epoch, state.view, proposal, signers, signed)
        state.out.promise(state.keys.prepared(slot.prepared))
        commit_again(state, slot)
        return True
    return False


def known(state: State, height: int, digest: bytes) -> Proposal | None:
    """Return the proposal of ``digest`` if we accepted it in any view."""
    slot = state.slots.get(height)
    if slot is None:
        return None
    if slot.accepted is not None and slot.accepted.proposal.digest == digest:
        return slot.accepted.proposal
    if slot.prepared is not None and slot.prepared.proposal.digest == digest:
        return slot.prepared.proposal
    return None


def _commit_next(state: State) -> bool:
    if state.barrier is not None:
        return False  # the votes keep until the ledger says whose votes count
    quorum = state.votes.quorum("commit", state.next, state.config.quorum)
    if quorum is None:
        return False
    proposal = known(state, state.next, quorum.value)
    if proposal is None:
        return False  # final without us: catch_up asks one of the signers for the block
    signers, signatures = certs.bundle(quorum.signatures, state.config.committee)
    certificate = CommitCert(
        state.epoch, quorum.view, state.next, quorum.value, signers, signatures
    )
    deliver(state, proposal, wire.encode(certificate))
    return True


def deliver(state: State, proposal: Proposal, certificate: bytes) -> None:
    """Hand on the next final block, exactly once, and forget what its height needed.

    Its records stay until the ledger applied it: a crash before that must find our own votes.
    """
    assert proposal.height == state.next
    assert proposal.parent == state.tip, "a final block off our chain: more than f members lie"
    state.out.records.append(state.keys.certificate(proposal.height, certificate))
    state.out.deliver.append(Decided(proposal, certificate, proposal.height))
    state.delivered, state.tip = proposal.height, proposal.digest
    if proposal.barrier:
        state.barrier = proposal.height
    state.certificate = certificate
    state.slots.pop(proposal.height, None)
    state.early.pop(proposal.height, None)
    state.votes.delivered(proposal.height)
    state.suspicion = None
    state.delivery_ms = state.now_ms
    state.gap_since_ms = None
    if state.delivered >= state.fetch_hi:
        state.fetch_due_ms, state.fetch_attempts = None, 0
    else:  # what we asked for is still coming
        state.fetch_due_ms = state.now_ms + state.config.resend_ms
    if state.active:
        state.failed_views = 0
