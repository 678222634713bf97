"""The door of the core: the term rules that come before any message, and time.

Raft paper 5.1.  A higher term is followed, with two exceptions: asking for a pre-vote changes
nobody's term, and neither does a granted one, which only names the term that was asked for.
A lower term is answered where silence would leave its sender stuck, and dropped otherwise.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from consensus.raft import (
    election,
    following,
    reading,
    reconfigure,
    replication,
    transfer,
)
from consensus.raft.core import Core, Outcome, Role
from consensus.raft.messages import (
    Append,
    AppendResponse,
    Heartbeat,
    HeartbeatResponse,
    Message,
    PreVoteRequest,
    PreVoteResponse,
    ProposeRequest,
    ReadRequest,
    ReadResponse,
    Snapshot,
    TimeoutNow,
    TransferRequest,
    VoteRequest,
    VoteResponse,
)

HANDLERS: Final[dict[type, Callable[[Any, Any], None]]] = {
    PreVoteRequest: election.on_pre_vote_request,
    PreVoteResponse: election.on_pre_vote_response,
    VoteRequest: election.on_vote_request,
    VoteResponse: election.on_vote_response,
    Append: following.on_append,
    AppendResponse: replication.on_append_response,
    Heartbeat: following.on_heartbeat,
    HeartbeatResponse: replication.on_heartbeat_response,
    Snapshot: following.on_snapshot,
    TimeoutNow: election.on_timeout_now,
    TransferRequest: transfer.on_transfer_request,
    ReadRequest: reading.on_read_request,
    ReadResponse: reading.on_read_response,
}
_ANSWERS: Final = frozenset(
    (PreVoteResponse, VoteResponse, AppendResponse, HeartbeatResponse, ReadResponse)
)
_OF_LEADERS: Final = frozenset((Append, Heartbeat, Snapshot))


def step(
    core: Core, message: Message, handlers: Mapping[type, Callable[[Any, Any], None]] = HANDLERS
) -> Outcome:
    """Take a message of another member, or a promise to ourselves that is durable now."""
    kind = type(message)
    if kind in _ANSWERS and message.sender not in core.tracker.progress:
        core.refuse("answer of a stranger")
        return Outcome.STRANGER
    if isinstance(message, ProposeRequest):
        return reconfigure.on_propose_request(core, message)
    if message.term != core.term and not settle_term(core, message):
        return Outcome.DROPPED
    handler = handlers.get(kind)
    if handler is None:
        core.refuse("not a message")
        return Outcome.DROPPED
    handler(core, message)
    return Outcome.TAKEN


def settle_term(core: Core, message: Message) -> bool:
    """Apply the term rules; return whether ``message`` is to be handled at all."""
    if isinstance(message, ReadRequest):
        return True
    if message.term > core.term:
        return _settle_higher(core, message)
    if message.term == core.term:
        return True
    settings = core.settings
    if isinstance(message, Append | Heartbeat):
        # Not stepping down would be its right: it may be unable to hear of our term.
        if settings.check_quorum or settings.pre_vote:
            following.answer_old_leader(core, message.sender)
    elif isinstance(message, PreVoteRequest):
        election.refuse_old_pre_vote(core, message)
    core.refuse("message of an older term")
    return False


def _settle_higher(core: Core, message: Message) -> bool:
    if isinstance(message, PreVoteRequest | VoteRequest):
        forced = isinstance(message, VoteRequest) and message.forced
        if not forced and election.in_lease(core):
            core.refuse("vote asked while a leader is heard")
            return False
    if isinstance(message, PreVoteRequest):
        return True
    if isinstance(message, PreVoteResponse) and message.granted:
        return True
    leads = type(message) in _OF_LEADERS
    core.become_follower(message.term, message.sender if leads else None)
    return True


def tick(core: Core, ticks: int = 1) -> None:
    """Let time pass.  Whatever falls due in between happens once, at the end."""
    core.election_elapsed += ticks
    if core.role is Role.LEADER:
        core.heartbeat_elapsed += ticks
        _tick_leader(core)
    elif core.promotable and core.election_elapsed >= core.election_timeout:
        core.election_elapsed = 0
        election.on_timeout(core)


def _tick_leader(core: Core) -> None:
    settings = core.settings
    if core.election_elapsed >= settings.election_ticks:
        core.election_elapsed = 0
        if settings.check_quorum:
            election.check_quorum(core)
        if core.role is not Role.LEADER:
            return
        core.transferee = None  # it had its time
    if core.heartbeat_elapsed >= settings.heartbeat_ticks:
        core.heartbeat_elapsed = 0
        replication.send_heartbeats(core)


def ticks_left(core: Core) -> int | None:
    """How many ticks from now the next one can matter; None: no number of them does."""
    settings = core.settings
    if core.role is Role.LEADER:
        beat = settings.heartbeat_ticks - core.heartbeat_elapsed
        return max(0, min(beat, settings.election_ticks - core.election_elapsed))
    if not core.promotable:
        return None
    return max(0, core.election_timeout - core.election_elapsed)
