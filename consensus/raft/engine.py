"""Raft behind the common engine interface: the door, the clock, and the turn.

Owns: who may speak to the core, milliseconds, reads under a deadline, and the assembly of
effects.  The rules of Raft are in the core and its parts; ledger.py and catchup.py say what
blocks add to them.  One turn of the core is one batch of effects, under the same token.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Final, get_args

from consensus import codec, wire
from consensus.effects import Effects, Envelope, ProposeResult, ReadReady, Status, WantPayload
from consensus.raft import (
    catchup,
    election,
    founding,
    reading,
    reconfigure,
    replication,
    step,
    transfer,
)
from consensus.raft import turn as turns
from consensus.raft.config import RaftConfig
from consensus.raft.core import Outcome, ReadState, Role
from consensus.raft.ledger import LedgerCore, PendingRead, Write
from consensus.raft.log import Base
from consensus.raft.membership import Change, apply_change
from consensus.raft.messages import MESSAGES, Message, PreVoteRequest, Snapshot, VoteRequest
from consensus.raft.progress import ProgressState
from consensus.raft.records import restore
from consensus.types import Applied, Era, NodeId, Proposal, Rng

_HANDLERS: Final = {**step.HANDLERS, Snapshot: catchup.on_snapshot}
_KNOWN: Final = frozenset(get_args(Message))


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
        self._core = LedgerCore(config, restored, applied, rng=rng, now_ms=now_ms)
        if config.first_leader is not None and founding.is_new(restored, applied):
            founding.found(self._core, config.first_leader)
        self._token = 0
        self._waiting_since_ms: int | None = None

    # --- inputs ------------------------------------------------------------------------

    def step(self, sender: NodeId, message: Any) -> None:
        """Take a message; whatever it says, the state stays sound or the message is counted.

        Raises ``AssertionError`` when a leader contradicts what is committed here.
        """
        core = self._core
        known = type(message) in _KNOWN
        if not known or sender == core.self_id or message.sender != sender:
            core.refuse("not a message from that sender")
        elif core.config.committee.index(sender) is None and sender not in core.progress:
            core.refuse("sender is not a member")
        elif message.epoch != core.config.committee.epoch:
            core.refuse("message of another epoch")
        else:
            core.heard_ms[sender] = core.now_ms
            step.step(core, message, _HANDLERS)

    def tick(self, now_ms: int) -> None:
        core = self._core
        assert now_ms >= core.now_ms, f"time went back from {core.now_ms} to {now_ms}"
        elapsed, core.now_ms = now_ms - core.now_ms, now_ms
        step.tick(core, elapsed)
        if core.role is Role.LEADER:
            self._give_up_snapshots()
        elif core.missing_to is not None and now_ms >= core.fetch_due_ms:
            catchup.fetch(core)
        if core.reads_asked or core.reads_indexed:
            self._give_up_reads()

    def _give_up_snapshots(self) -> None:
        """A pointer to a snapshot may be lost: probe again after an election timeout."""
        core = self._core
        waiting = [
            peer for peer, at in core.tracker.visit() if at.state is ProgressState.SNAPSHOT
        ]
        sent = {peer: core.snapshot_sent_ms.get(peer, core.now_ms) for peer in waiting}
        for peer, at_ms in list(sent.items()):
            if core.now_ms - at_ms >= core.config.election_ms_min:
                replication.report_snapshot(core, peer, delivered=False)
                del sent[peer]
        core.snapshot_sent_ms = sent

    def _give_up_reads(self) -> None:
        core = self._core
        for token, read in list(core.reads_asked.items()):
            if core.now_ms >= read.due_ms or core.term != read.term:
                del core.reads_asked[token]
                core.reads_done.append(ReadReady(token, None))

    def propose(self, proposal: Proposal) -> ProposeResult:
        core = self._core
        if core.role is not Role.LEADER:
            return ProposeResult.NOT_LEADER
        if self.want() != WantPayload(proposal.height, proposal.parent):
            return ProposeResult.BUSY
        return _result(reconfigure.propose(core, proposal, None))

    def propose_membership(self, change: Change) -> ProposeResult:
        """Order a change of the group; it takes effect when it is applied.

        BUSY: another one is under way, or this one is not due (see ``Change``).  Raises
        ``ChangeRefused`` when the present configuration does not allow it, ``ValueError`` when
        it names somebody whose key the committee does not have.
        """
        core = self._core
        named = [step.node for step in change.steps if step.node is not None]
        if any(core.config.committee.index(node) is None for node in named):
            raise ValueError("only members of the committee belong to the group")
        if core.role is not Role.LEADER:
            return ProposeResult.NOT_LEADER
        why = reconfigure.change_refusal(core, change)
        if why is not None:
            core.refuse(why)
            return ProposeResult.BUSY
        apply_change(core.tracker.members, change)
        return _result(reconfigure.propose(core, None, change))

    def transfer(self, to: NodeId) -> bool:
        """Ask for leadership to be handed to ``to``; True when it was asked, not yet done."""
        outcome = transfer.transfer(self._core, to)
        return outcome in (Outcome.TAKEN, Outcome.FORWARDED)

    def forget_leader(self) -> bool:
        """Stop believing that the leader lives; see ``election.forget_leader``."""
        return election.forget_leader(self._core)

    def ended(self, source: NodeId, base: Base) -> None:
        """Others left this log behind at ``base``, a final block: fetch up to there.

        ``source`` told so and has the blocks; like a leader, it is trusted.
        """
        catchup.ended(self._core, source, base)

    def persisted(self, token: int) -> None:
        """Everything drained up to ``token`` is durable: count our own vote and entries.

        What was overwritten since does not count; see turn.py.
        """
        core = self._core
        while core.writes and core.writes[0].token <= token:
            core.note_durable(core.writes.popleft().turn)

    def applied(self, height: int, next_era: Era | None = None) -> None:  # noqa: ARG002
        core = self._core
        assert height <= core.delivered.height, f"height {height} was never handed on"
        if height > core.applied_height:
            core.applied_height = height
            core.note_applied()
            core.forget_fetched()

    def synced(self, proposal: Proposal, certificate: bytes) -> bool:
        return catchup.synced(self._core, proposal, certificate)

    def work(self, since_ms: int | None) -> None:
        """Remember it; a Raft leader is judged by its heartbeats, not by its progress."""
        self._waiting_since_ms = since_ms

    def read(self, token: int) -> bool:
        core = self._core
        if reading.read(core, token) is Outcome.DROPPED:
            return False
        due_ms = core.now_ms + core.config.election_ms_min
        core.reads_asked[token] = PendingRead(core.term, due_ms)
        return True

    def stable(self, height: int) -> None:
        """Nothing: what Raft may forget depends on its own ledger only."""

    def unreachable(self, peer: NodeId) -> None:
        replication.report_unreachable(self._core, peer)
        replication.report_snapshot(self._core, peer, delivered=False)

    # --- outputs -----------------------------------------------------------------------

    def want(self) -> WantPayload | None:
        core = self._core
        if core.role is not Role.LEADER or not core.committed_in_term:
            return None
        if core.transferee is not None or core.self_id not in core.progress:
            return None
        tip, window = core.log.tip, core.config.window
        if tip.height - core.log.tip_at(core.commit).height >= window:
            return None
        if core.applied_height < tip.height - window:
            return None
        if core.applied_height < tip.height and core.log.tip_is_barrier:
            return None
        return WantPayload(tip.height + 1, tip.digest)

    def has_effects(self) -> bool:
        core = self._core
        return bool(
            turns.has_turn(core)
            or core.ready
            or core.fetches
            or core.bodies
            or core.reads_done
            or core.journal.pending
            or (core.reads_indexed and min(core.reads_indexed)[0] <= core.commit)
        )

    def drain(self) -> Effects:
        core = self._core
        core.compact()
        turn = turns.take(core)
        core.hand_on_committed(turn.committed)
        records, bodies, must_sync = core.journal.take(turn, core.log)
        self._token += 1
        core.writes.append(Write(self._token, turn))
        # A request for votes tells others that we voted for ourselves.  One of a term that
        # passed before this turn is not sent at all: what we promised since is newer.
        asks = [e for e in turn.send_now if type(e.message) is VoteRequest]
        effects = Effects(
            token=self._token,
            records=records,
            must_sync=must_sync,
            bodies=(*core.bodies, *bodies),
            send_now=_without_requests(turn.send_now) if asks else turn.send_now,
            send_after=(
                *[e for e in turn.send_after if e.to != core.self_id],
                *[e for e in asks if e.message.term == core.term],
            ),
            deliver=tuple(core.ready),
            fetch=tuple(core.fetches),
            reads=self._take_reads(turn.reads),
        )
        for queue in (core.ready, core.fetches, core.bodies):
            queue.clear()
        catchup.try_finish(core)
        return effects

    def _take_reads(self, states: tuple[ReadState, ...]) -> tuple[ReadReady, ...]:
        core = self._core
        for state in states:
            if core.reads_asked.pop(state.token, None) is not None:
                core.reads_indexed.append((state.index, state.token))
        if core.reads_indexed:
            waiting = []
            for index, token in core.reads_indexed:
                if index <= core.commit:
                    at = max(index, core.log.base.index)
                    core.reads_done.append(ReadReady(token, core.log.tip_at(at).height))
                else:
                    waiting.append((index, token))
            core.reads_indexed = waiting
        done, core.reads_done = tuple(core.reads_done), []
        return done

    @property
    def deadline_ms(self) -> int | None:
        core = self._core
        left = step.ticks_left(core)
        due = None if left is None else core.now_ms + left
        if core.role is not Role.LEADER and core.missing_to is not None:
            due = core.fetch_due_ms if due is None else min(due, core.fetch_due_ms)
        for read in core.reads_asked.values():
            due = read.due_ms if due is None else min(due, read.due_ms)
        return due

    def status(self) -> Status:
        core = self._core
        known = core.log.tip_at(core.commit).height
        voters = core.tracker.members.voters
        return Status(
            engine="raft",
            role=core.role.value,
            round=core.term,
            leader=core.leader,
            committed=max(known, core.missing_to or 0),
            delivered=core.delivered.height,
            quorum=len(voters) // 2 + 1,
            members=len(voters),
            heard=self._heard(),
            last_round_change_ms=core.round_changed_ms,
        )

    def _heard(self) -> tuple[NodeId, ...]:
        """Members heard from within an election timeout, ourselves included."""
        core = self._core
        since_ms = core.now_ms - core.config.election_ms_min
        heard = [peer for peer, at_ms in core.heard_ms.items() if at_ms >= since_ms]
        return tuple(sorted({core.self_id, *heard}))

    @property
    def refusals(self) -> dict[str, int]:
        """How many messages were refused, by reason."""
        return dict(sorted(self._core.refusals.items()))

    def fingerprint(self) -> bytes:
        state = [_core_value(self._core), _ledger_value(self._core)]
        state.append([self._token, self._waiting_since_ms])
        return hashlib.sha256(codec.encode_typed(state)).digest()

    def check_invariants(self) -> None:
        core = self._core
        core.check_invariants()
        if core.role is Role.LEADER:
            assert core.target is None, "a leader has every block"
        for envelope in core.send_now:
            message = envelope.message
            ahead = isinstance(message, PreVoteRequest)
            assert message.term <= core.term + ahead, "no message of a future term"


def _result(outcome: Outcome) -> ProposeResult:
    return ProposeResult.ACCEPTED if outcome is Outcome.TAKEN else ProposeResult.BUSY


def _without_requests(sent: tuple[Envelope, ...]) -> tuple[Envelope, ...]:
    return tuple([e for e in sent if type(e.message) is not VoteRequest])


def _core_value(core: LedgerCore) -> list[Any]:
    log = core.log
    return [
        [core.term, core.vote, core.role.value, core.leader, core.transferee],
        [core.commit, core.applying, core.applied, core.applying_bytes, core.applying_paused],
        [core.commit_floor, core.pending_change, core.uncommitted_bytes],
        [core.election_elapsed, core.heartbeat_elapsed, core.election_timeout],
        [wire.to_value(log.base), [wire.to_value(entry) for entry in log.entries]],
        [log.unstable_from, log.in_progress_to, log.restoring is None, log.restore_in_progress],
        wire.to_value(core.tracker.members),
        [[peer, _progress_value(at)] for peer, at in core.tracker.visit()],
        [[peer, granted] for peer, granted in sorted(core.tracker.votes.items())],
        [[r.reader, r.token, r.index] for r in core.reads.waiting],
        [core.reads.confirmed, [[p, n] for p, n in sorted(core.reads.repeated.items())]],
        [[reader, token] for reader, token in core.reads_postponed],
        [[state.token, state.index] for state in core.read_states],
        [[reason, count] for reason, count in sorted(core.refusals.items())],
        [[e.to, MESSAGES.to_value(e.message)] for e in (*core.send_now, *core.send_after)],
        len(core.send_now),
    ]


def _ledger_value(core: LedgerCore) -> list[Any]:
    target = core.target
    return [
        [core.now_ms, core.applied_height, core.delivered.height, core.delivered.digest],
        [core.handed_index, core.fetched_kept, core.fetch_due_ms, core.round_changed_ms],
        core.ended_by,
        None if target is None else wire.to_value(target),
        [[index, wire.to_value(members)] for index, members in core.members_at],
        [[write.token, len(write.turn.entries)] for write in core.writes],
        [wire.to_value(decided) for decided in (*core.held, *core.ready)],
        [[wire.to_value(body) for body in core.bodies], wire.to_value(tuple(core.fetches))],
        [[peer, at_ms] for peer, at_ms in sorted(core.heard_ms.items())],
        [[peer, at_ms] for peer, at_ms in sorted(core.snapshot_sent_ms.items())],
        [[token, read.term, read.due_ms] for token, read in core.reads_asked.items()],
        [list(item) for item in core.reads_indexed],
        wire.to_value(tuple(core.reads_done)),
    ]


def _progress_value(progress: Any) -> list[Any]:
    return [
        [progress.match, progress.next, progress.state.value, progress.flow_paused],
        [progress.recent_active, progress.sent_commit, progress.pending_snapshot],
        [len(progress.inflights), progress.inflights.bytes_total, progress.is_learner],
    ]
