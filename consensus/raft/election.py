"""Who leads: pre-vote, vote, and the leader's check that it still reaches a majority.

Raft paper 5.2 and 5.4.1, thesis 9.6 (pre-vote), 4.2.3 (members who hear a leader refuse) and
3.10 (a leader asks its successor to campaign).  Pre-vote keeps a returning member from raising
terms for nothing; check-quorum makes a leader that is cut off step down; each needs the other
to stay live.  A vote counts, also one's own, only after it is on disk: it is a promise to
ourselves.
"""

from dataclasses import replace
from enum import Enum
from typing import TypeVar

from consensus.quorum import VoteResult
from consensus.raft import replication
from consensus.raft.core import Core, Role
from consensus.raft.messages import (
    TERM_MAX,
    PreVoteRequest,
    PreVoteResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from consensus.types import NodeId

_Answer = TypeVar("_Answer", PreVoteResponse, VoteResponse)


class Campaign(Enum):
    PRE_VOTE = "pre-vote"
    VOTE = "vote"
    TRANSFER = "transfer"  # a vote in which members who hear the leader answer too


def on_timeout(core: Core) -> None:
    """No leader for an election timeout: ask whether an election could be won."""
    try_campaign(core, Campaign.PRE_VOTE if core.settings.pre_vote else Campaign.VOTE)


def on_timeout_now(core: Core, message: TimeoutNow) -> None:  # noqa: ARG001
    if core.role is not Role.FOLLOWER:
        core.refuse("asked to campaign while not following")
        return
    # No pre-vote: we know from the leader that it can be won.
    try_campaign(core, Campaign.TRANSFER)


def try_campaign(core: Core, campaign: Campaign) -> None:
    if core.role is Role.LEADER:
        return
    if not core.promotable or core.term >= TERM_MAX:
        core.refuse("campaign of a member that cannot lead")
    elif not core.may_campaign:
        # The leader was silent for an election timeout: others may have our vote at once.
        core.leader = None
    elif _has_unapplied_change(core):
        core.refuse("campaign before a committed change of members is applied")
    else:
        _campaign(core, campaign)


def _has_unapplied_change(core: Core) -> bool:
    """Our idea of who votes may be older than what we know to be decided."""
    if core.applied >= core.commit:
        return False
    waiting = core.log.between(core.applied + 1, core.commit)
    return any(entry.change is not None for entry in waiting)


def _campaign(core: Core, campaign: Campaign) -> None:
    assert core.role is not Role.LEADER, "a leader does not campaign"
    asks = campaign is Campaign.PRE_VOTE
    if asks:
        core.tracker.reset_votes()
        core.leader, core.role = None, Role.PRE_CANDIDATE
    else:
        core.reset(core.term + 1)
        core.vote, core.role = core.self_id, Role.CANDIDATE
    epoch, log, me = core.settings.epoch, core.log, core.self_id
    term = core.term + asks
    for peer in core.tracker.voters:
        if peer == me and asks:
            core.promise(me, PreVoteResponse(epoch, term, me, granted=True))
        elif peer == me:
            core.promise(me, VoteResponse(epoch, term, me, me, granted=True))
        elif asks:
            core.say(peer, PreVoteRequest(epoch, term, me, log.last, log.last_term))
        else:
            forced = campaign is Campaign.TRANSFER
            core.say(peer, VoteRequest(epoch, term, me, log.last, log.last_term, forced))


def _count(core: Core, voter: NodeId, *, granted: bool) -> None:
    core.tracker.record_vote(voter, granted=granted)
    result = core.tracker.tally().result
    if result is VoteResult.WON:
        if core.role is Role.PRE_CANDIDATE:
            _campaign(core, Campaign.VOTE)
        else:
            become_leader(core)
            replication.broadcast(core)
    elif result is VoteResult.LOST:
        # A follower waits for its next timeout, and grants votes meanwhile.
        core.become_follower(core.term, None)


def become_leader(core: Core) -> None:
    """Open the term with an empty entry: only own-term entries commit by counting (5.4.2)."""
    assert core.role is Role.CANDIDATE, "only a candidate is elected"
    assert core.may_campaign, "a leader fills any log from its own"
    core.reset(core.term)
    core.role, core.leader = Role.LEADER, core.self_id
    own = core.tracker.progress[core.self_id]
    own.become_replicate()
    own.recent_active = True
    # A change of members may lie in the part of the log that is not applied; not looking
    # for it costs one round in which no other is taken.
    core.pending_change = core.log.last
    accepted = replication.append(core, ((None, None),))
    assert accepted, "an empty entry is never too much"


def on_pre_vote_request(core: Core, message: PreVoteRequest) -> None:
    """Answer without recording anything: a pre-vote binds nobody."""
    free = core.vote == message.sender or (core.vote is None and core.leader is None)
    granted = (free or message.term > core.term) and _would_vote(core, message)
    # A grant names the term asked for, or the asker, who is behind it, would pass it over.
    term = message.term if granted else core.term
    answer = PreVoteResponse(core.settings.epoch, term, core.self_id, granted)
    core.promise(message.sender, answer if granted else _telling(core, answer))


def refuse_old_pre_vote(core: Core, message: PreVoteRequest) -> None:
    """Unanswered, a member that is behind in terms would ask for ever."""
    answer = PreVoteResponse(core.settings.epoch, core.term, core.self_id, granted=False)
    core.promise(message.sender, _telling(core, answer))


def on_vote_request(core: Core, message: VoteRequest) -> None:
    """Grant at most one candidate per term our vote, and only a log as good as ours.

    Learners answer too: the candidate may know that they were promoted when they do not yet.
    """
    free = core.vote == message.sender or (core.vote is None and core.leader is None)
    granted = free and _would_vote(core, message)
    if granted:
        assert core.vote in (None, message.sender), "one vote in a term"
        core.vote = message.sender
        core.election_elapsed = 0
    answer = VoteResponse(core.settings.epoch, core.term, core.self_id, message.sender, granted)
    core.promise(message.sender, answer if granted else _telling(core, answer))


def _telling(core: Core, refusal: _Answer) -> _Answer:
    """Add to a refusal what we know to be committed."""
    term = core.log.term_at(core.commit)
    if not core.settings.commit_by_refusal or not term:
        return refusal
    return replace(refusal, commit=core.commit, commit_term=term)


def _learn_commit(core: Core, answer: PreVoteResponse | VoteResponse) -> None:
    """What is committed is so for everybody, in whatever term it is told."""
    told, term = answer.commit, answer.commit_term
    if core.settings.commit_by_refusal and term and core.log.term_at(told) == term:
        core.commit_to(told)


def _would_vote(core: Core, message: PreVoteRequest | VoteRequest) -> bool:
    return core.may_vote and core.log.is_up_to_date(
        last_index=message.last_index, last_term=message.last_term
    )


def in_lease(core: Core) -> bool:
    """Whether we hear a leader: then nobody gets our vote (thesis 4.2.3)."""
    settings = core.settings
    recent = core.election_elapsed < settings.election_ticks
    return settings.check_quorum and core.leader is not None and recent


def on_pre_vote_response(core: Core, message: PreVoteResponse) -> None:
    _learn_commit(core, message)
    expected = core.term + 1 if message.granted else core.term
    if core.role is not Role.PRE_CANDIDATE or message.term != expected:
        core.refuse("pre-vote answer nobody waits for")
        return
    _count(core, message.sender, granted=message.granted)


def on_vote_response(core: Core, message: VoteResponse) -> None:
    _learn_commit(core, message)
    if core.role is not Role.CANDIDATE or message.candidate != core.self_id:
        core.refuse("vote nobody waits for")
        return
    _count(core, message.sender, granted=message.granted)


def check_quorum(core: Core) -> None:
    """Step down unless a majority answered since the last check (thesis 6.2)."""
    if not core.tracker.quorum_active():
        core.become_follower(core.term, None)
    for peer, progress in core.tracker.visit():
        if peer != core.self_id:
            progress.recent_active = False


def forget_leader(core: Core) -> bool:
    """Stop believing that the leader lives, so that others can be granted a pre-vote.

    Not under reads by lease: the leader counts on us until its lease ends.
    """
    if core.role is not Role.FOLLOWER or core.leader is None:
        return False
    if core.settings.lease_reads:
        core.refuse("a leader under a lease is not forgotten")
        return False
    core.leader = None
    return True
