"""Who leads: pre-vote, vote, and the leader's check that it still reaches a majority.

Raft paper 5.2 and 5.4.1, thesis 9.6 (pre-vote) and 4.2.3 (members who hear a leader refuse).
Pre-vote keeps a returning member from raising terms for nothing; check-quorum makes a leader
that is cut off step down; each needs the other to stay live.  A vote counts, also one's own,
only after it is on disk.
"""

from consensus.raft import replication
from consensus.raft.core import Core, Role
from consensus.raft.messages import (
    TERM_MAX,
    PreVoteRequest,
    PreVoteResponse,
    VoteRequest,
    VoteResponse,
)
from consensus.types import NodeId


def on_timeout(core: Core) -> None:
    """No leader for an election timeout: ask whether an election could be won."""
    core.become_follower(core.term, None)
    if not core.may_campaign or core.term >= TERM_MAX:
        return
    core.role = Role.PRE_CANDIDATE
    core.votes = {core.self_id: True}
    config, log = core.config, core.log
    request = PreVoteRequest(
        config.committee.epoch, core.term + 1, core.self_id, log.last, log.last_term
    )
    for peer in core.peers:
        core.say_now(peer, request)
    _count(core)


def _campaign(core: Core) -> None:
    """Raise the term and vote for ourselves; the vote counts in ``on_durable_vote``."""
    core.become_follower(core.term, None)
    core.enter_term(core.term + 1, core.self_id)
    core.role = Role.CANDIDATE
    config, log = core.config, core.log
    request = VoteRequest(
        config.committee.epoch, core.term, core.self_id, log.last, log.last_term
    )
    # After the vote is durable: the request tells others that we voted in this term.
    for peer in core.peers:
        core.say_after(peer, request)


def on_durable_vote(core: Core, term: int, vote: NodeId | None) -> None:
    """A hard state reached the disk; our vote for ourselves counts from now."""
    if core.role is Role.CANDIDATE and (term, vote) == (core.term, core.self_id):
        core.votes[core.self_id] = True
        _count(core)


def _count(core: Core) -> None:
    granted = sum(core.votes.values())
    if granted >= core.majority:
        if core.role is Role.PRE_CANDIDATE:
            _campaign(core)
        else:
            replication.become_leader(core)
    elif len(core.votes) - granted >= core.majority:
        # Lost; a follower waits for its next timeout, and grants votes meanwhile.
        core.become_follower(core.term, None)


def on_pre_vote_request(core: Core, message: PreVoteRequest) -> None:
    """Answer without recording anything: a pre-vote binds nobody."""
    free = message.term > core.term or (core.vote is None and core.leader is None)
    granted = free and _would_vote(core, message)
    term = message.term if granted else core.term
    core.say_after(
        message.sender,
        PreVoteResponse(core.config.committee.epoch, term, core.self_id, granted),
    )


def on_vote_request(core: Core, message: VoteRequest) -> None:
    """Grant at most one candidate per term our vote, and only a log as good as ours."""
    free = core.vote == message.sender or (core.vote is None and core.leader is None)
    granted = free and _would_vote(core, message)
    if granted:
        core.vote = message.sender
        core.rearm_election()
    core.say_after(
        message.sender,
        VoteResponse(
            core.config.committee.epoch, core.term, core.self_id, message.sender, granted
        ),
    )


def _would_vote(core: Core, message: PreVoteRequest | VoteRequest) -> bool:
    return core.may_vote and core.log.is_up_to_date(
        last_index=message.last_index, last_term=message.last_term
    )


def on_pre_vote_response(core: Core, message: PreVoteResponse) -> None:
    expected = core.term + 1 if message.granted else core.term
    if core.role is not Role.PRE_CANDIDATE or message.term != expected:
        core.refuse("pre-vote answer nobody waits for")
        return
    core.votes.setdefault(message.sender, message.granted)
    _count(core)


def on_vote_response(core: Core, message: VoteResponse) -> None:
    if core.role is not Role.CANDIDATE or message.candidate != core.self_id:
        core.refuse("vote nobody waits for")
        return
    core.votes.setdefault(message.sender, message.granted)
    _count(core)


def check_quorum(core: Core) -> bool:
    """Step down unless a majority answered since the last check (thesis 6.2)."""
    since_ms = core.quorum_since_ms
    heard = [peer for peer, at in core.progress.items() if at.heard_ms >= since_ms]
    if len(heard) + 1 < core.majority:
        core.become_follower(core.term, None)
        return False
    core.quorum_since_ms = core.now_ms
    return True
