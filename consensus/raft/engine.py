"""Raft behind the common engine interface: the door, the clock, and the turn.

Owns: which message goes to which part, the term rules that come before any of them (Raft
paper 5.1), timers, and the assembly of effects.  The rules themselves are in election.py,
replication.py, following.py and catchup.py, over the state in core.py.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Final

from consensus import codec, wire
from consensus.effects import Effects, ProposeResult, Status, WantPayload
from consensus.raft import catchup, election, following, replication
from consensus.raft.config import RaftConfig
from consensus.raft.core import Core, Role, Write
from consensus.raft.messages import (
    MESSAGES,
    Append,
    AppendResponse,
    Heartbeat,
    HeartbeatResponse,
    Message,
    PreVoteRequest,
    PreVoteResponse,
    Snapshot,
    VoteRequest,
    VoteResponse,
)
from consensus.raft.records import restore
from consensus.types import Applied, NodeId, Proposal, Rng

_HANDLERS: Final[dict[type, Callable[[Core, Any], None]]] = {
    PreVoteRequest: election.on_pre_vote_request,
    PreVoteResponse: election.on_pre_vote_response,
    VoteRequest: election.on_vote_request,
    VoteResponse: election.on_vote_response,
    Append: following.on_append,
    AppendResponse: replication.on_append_response,
    Heartbeat: following.on_heartbeat,
    HeartbeatResponse: replication.on_heartbeat_response,
    Snapshot: catchup.on_snapshot,
}


class RaftEngine:
    """One member.  ``pairs`` are all pairs the store holds; foreign ones are passed over.

    Raises ``RecordsDamaged`` when they contradict themselves or ``applied``.  At height 0,
    ``applied.digest`` is the parent of the first block.
    """

    def __init__(
        self,
        config: RaftConfig,
        *,
        pairs: Iterable[tuple[bytes, bytes]],
        applied: Applied,
        rng: Rng,
        now_ms: int,
    ) -> None:
        restored = restore(pairs, applied)
        self._core = Core(config, restored, applied, rng=rng, now_ms=now_ms)
        self._token = 0
        self._waiting_since_ms: int | None = None

    # --- inputs ------------------------------------------------------------------------

    def step(self, sender: NodeId, message: Any) -> None:
        """Take a message; whatever it says, the state stays sound or the message is counted.

        Raises ``AssertionError`` when a leader contradicts what is committed here.
        """
        core = self._core
        handler = _HANDLERS.get(type(message))
        if handler is None or sender == core.self_id or message.sender != sender:
            core.refuse("not a message from that sender")
        elif core.config.committee.index(sender) is None:
            core.refuse("sender is not a member")
        elif message.epoch != core.config.committee.epoch:
            core.refuse("message of another epoch")
        elif self._settle_term(message):
            handler(core, message)

    def _settle_term(self, message: Message) -> bool:
        """Apply the term rules; return whether ``message`` is to be handled at all."""
        core = self._core
        if message.term > core.term:
            asks = isinstance(message, PreVoteRequest | VoteRequest)
            if asks and core.in_lease:
                core.refuse("vote asked while a leader is heard")
                return False
            promised = isinstance(message, PreVoteResponse) and message.granted
            if not promised and not isinstance(message, PreVoteRequest):
                leads = isinstance(message, Append | Heartbeat | Snapshot)
                core.become_follower(message.term, message.sender if leads else None)
            return True
        if message.term < core.term:
            if isinstance(message, Append | Heartbeat | Snapshot):
                following.answer_old_leader(core, message.sender)
            elif isinstance(message, PreVoteRequest):
                # Unanswered, a member that is behind in terms would ask for ever.
                core.say_after(
                    message.sender,
                    PreVoteResponse(message.epoch, core.term, core.self_id, granted=False),
                )
            core.refuse("message of an older term")
            return False
        return True

    def tick(self, now_ms: int) -> None:
        core = self._core
        assert now_ms >= core.now_ms, f"time went back from {core.now_ms} to {now_ms}"
        core.now_ms = now_ms
        if core.role is Role.LEADER:
            leads = now_ms < core.quorum_due_ms or election.check_quorum(core)
            if leads and now_ms >= core.heartbeat_due_ms:
                replication.send_heartbeats(core)
            return
        if now_ms >= core.election_due_ms:
            election.on_timeout(core)
        if core.missing_to is not None and now_ms >= core.fetch_due_ms:
            catchup.fetch(core)

    def propose(self, proposal: Proposal) -> ProposeResult:
        return replication.propose(self._core, proposal)

    def persisted(self, token: int) -> None:
        """Everything drained up to ``token`` is durable: count our own vote and entries.

        Only what the token covered and nothing overwrote since (``Write.last`` shrinks with
        truncation); a newer entry at the same index waits for its own token.
        """
        core = self._core
        while core.writes and core.writes[0].token <= token:
            write = core.writes.popleft()
            core.durable = max(core.durable, write.last)
            election.on_durable_vote(core, write.hard.term, write.hard.vote)
        if core.role is Role.LEADER:
            replication.maybe_commit(core)

    def applied(self, height: int) -> None:
        core = self._core
        assert height <= core.delivered.height, f"height {height} was never handed on"
        if height <= core.applied_height:
            return
        core.applied_height = height
        if core.fetched_kept:
            core.journal.forget_fetched(height)
            if height >= core.fetched_kept:
                core.fetched_kept = 0

    def synced(self, proposal: Proposal, certificate: bytes) -> bool:
        return catchup.synced(self._core, proposal, certificate)

    def work(self, since_ms: int | None) -> None:
        """Remember it; a Raft leader is judged by its heartbeats, not by its progress."""
        self._waiting_since_ms = since_ms

    def read(self, token: int) -> bool:  # noqa: ARG002
        return False

    def stable(self, height: int) -> None:
        pass

    def unreachable(self, peer: NodeId) -> None:
        pass

    # --- outputs -----------------------------------------------------------------------

    def want(self) -> WantPayload | None:
        return replication.want(self._core)

    def has_effects(self) -> bool:
        core = self._core
        return bool(
            core.send_now
            or core.send_after
            or core.ready
            or core.fetches
            or core.bodies
            or core.journal.pending(core.log, core.hard, core.commit)
        )

    def drain(self) -> Effects:
        core = self._core
        core.compact()
        records, bodies, must_sync = core.journal.take(core.log, core.hard, core.commit)
        self._token += 1
        core.writes.append(Write(self._token, core.log.last, core.hard))
        effects = Effects(
            token=self._token,
            records=records,
            must_sync=must_sync,
            bodies=(*core.bodies, *bodies),
            send_now=tuple(core.send_now),
            send_after=tuple(core.send_after),
            deliver=tuple(core.ready),
            fetch=tuple(core.fetches),
        )
        for queue in (core.send_now, core.send_after, core.ready, core.fetches, core.bodies):
            queue.clear()
        return effects

    @property
    def deadline_ms(self) -> int | None:
        core = self._core
        if core.role is Role.LEADER:
            return min(core.heartbeat_due_ms, core.quorum_due_ms)
        if core.missing_to is not None:
            return min(core.election_due_ms, core.fetch_due_ms)
        return core.election_due_ms

    def status(self) -> Status:
        core = self._core
        known = core.log.tip_at(core.commit).height
        return Status(
            engine="raft",
            role=core.role.value,
            round=core.term,
            leader=core.leader,
            committed=max(known, core.missing_to or 0),
            delivered=core.delivered.height,
            quorum=core.majority,
            members=len(core.config.committee.members),
            heard=self._heard(),
            last_round_change_ms=core.round_changed_ms,
        )

    def _heard(self) -> tuple[NodeId, ...]:
        """Members heard from within an election timeout, ourselves included."""
        core = self._core
        since_ms = core.now_ms - core.config.election_ms_min
        heard = {core.self_id}
        for peer, progress in core.progress.items():
            if progress.heard_ms >= max(since_ms, 0):
                heard.add(peer)
        if core.role is Role.FOLLOWER and core.leader is not None and core.in_lease:
            heard.add(core.leader)
        return tuple(sorted(heard))

    @property
    def refusals(self) -> dict[str, int]:
        """How many messages were refused, by reason."""
        return dict(sorted(self._core.refusals.items()))

    def fingerprint(self) -> bytes:
        core, log = self._core, self._core.log
        target = core.target
        state = [
            [core.now_ms, core.term, core.vote, core.role.value, core.leader, core.commit],
            [wire.to_value(log.base), [wire.to_value(entry) for entry in log.entries]],
            [core.applied_height, core.delivered.height, core.delivered.digest],
            [core.delivered_index, core.durable, core.term_start, core.commit_floor],
            [[write.token, write.last, wire.to_value(write.hard)] for write in core.writes],
            [[peer, _progress_value(at)] for peer, at in sorted(core.progress.items())],
            [[peer, granted] for peer, granted in sorted(core.votes.items())],
            None if target is None else [wire.to_value(target.base), target.source],
            [core.fetched_kept, core.heard_ms, core.election_due_ms, core.heartbeat_due_ms],
            [core.quorum_since_ms, core.fetch_due_ms, core.round_changed_ms],
            [[reason, count] for reason, count in sorted(core.refusals.items())],
            [[e.to, MESSAGES.to_value(e.message)] for e in (*core.send_now, *core.send_after)],
            [len(core.send_now), [wire.to_value(decided) for decided in core.ready]],
            [[wire.to_value(body) for body in core.bodies], wire.to_value(tuple(core.fetches))],
            [self._token, self._waiting_since_ms],
        ]
        return hashlib.sha256(codec.encode(state)).digest()

    def check_invariants(self) -> None:
        core, log = self._core, self._core.log
        log.check_invariants()
        assert log.base.index <= core.commit <= log.last, "base <= commit <= last"
        assert core.durable <= log.last, "nothing durable beyond the log"
        assert core.applied_height <= core.delivered.height, "applied <= delivered"
        assert core.delivered_index <= core.commit, "delivered <= committed"
        assert log.last_term <= core.term or not log.last, "no entry of a future term"
        assert len(core.votes) <= len(core.config.committee.members)
        assert bool(core.progress) == (core.role is Role.LEADER and bool(core.peers))
        for progress in core.progress.values():
            progress.check_invariants()
            assert progress.match <= log.last, "a peer holds only what the leader has"
        if core.role is Role.LEADER:
            assert core.leader == core.self_id
            assert core.vote == core.self_id, "a leader voted for itself"
            assert core.target is None
            assert log.last >= core.term_start
        if core.role is Role.CANDIDATE:
            assert core.vote == core.self_id
        for envelope in core.send_now:
            ahead = isinstance(envelope.message, PreVoteRequest)
            assert envelope.message.term <= core.term + ahead, "no message of a future term"


def _progress_value(progress: Any) -> list[Any]:
    window = progress.inflights
    return [
        [progress.match, progress.next, progress.state.value, progress.paused],
        [progress.heard_ms + 1, progress.sent_commit, progress.snapshot_sent_ms],
        [window.bytes_held, [[last, size] for last, size in window.sent]],
    ]
