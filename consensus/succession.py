"""One engine after another: the era in force has one, and its end starts the next.

Theory of operation.  An era is one committee under one engine; its last block is a barrier,
ordered, certified and cosigned by the era that it ends.  When the ledger has that block on disk
it tells so (``applied`` with the next ``Era``), and the engine is exchanged between two inputs:
the old one keeps its evidence and its hints, its open reads are answered with None, everything
else of it is dropped, and a new one starts from nothing but the barrier.  It is the voters'
engine if we vote, an ``Observer`` if not.

Why nothing is lost.  What the old engine had not sent yet could at most have helped others to
make blocks up to the barrier final; those are on our disk, and we serve them.  Above the
barrier the old era never orders a block, because nobody orders on a barrier that it has not
executed, and whoever has executed it is here.  So no vote, ack or record of the old era is of
use to us again: records are dropped in the first batch of the new era, in front of its own.

Restart.  ``succession/era`` says which epoch the engines' records belong to (none: 0).
Died before the ledger had the barrier: the old era goes on.  Died after, before that batch: the
ledger's era is newer than the records; they are dropped once more, nothing of the new era was
promised.  Died after the batch: the engine restores from its own records.

Laggards.  Who is left behind in an older era cannot be understood by it, nor understand.  A
message of another era is answered with ``Standing``, which for the member of an ended Raft era
names where its log ended: it fetches up to there with its own engine (``RaftEngine.ended``,
``PbftEngine.hint``) and crosses the barrier as everybody did.  It keeps voting in its era until
then: should all be gone that have crossed, the rest still finish it alone.  Observers, and
members that know of a later era, ask by telling their own standing once per pause.

Owns: the engine in force, the record above, bases of ended Raft logs, tokens.  Refuses:
knowing how engines are configured (``Make``), believing a ``Standing``.
Invariant: nothing of an era is stated, counted or proposed while another is in force.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from consensus import codec, wire
from consensus.effects import (
    Contradiction,
    Decided,
    Effects,
    Envelope,
    ProposeResult,
    ReadReady,
    Status,
    WantPayload,
)
from consensus.engine import Engine
from consensus.observer import Observer
from consensus.raft.log import Base
from consensus.raft.records import decode_certificate, place_of
from consensus.standing import Ahead, Endable, Ended, Foreign, Hinted, Pace, Standing
from consensus.succession_dialect import InForce
from consensus.succession_records import ENDED_KEPT, Annals, Pair
from consensus.types import Applied, Era, NodeId, Proposal, Record

Make = Callable[[Era, Iterable[Pair], Applied, int], Engine]
"""``make(era, pairs, applied, now_ms)``: the voters' engine of ``era``.

``pairs`` are that era's records, none when it begins.  ``applied.position`` is of that era:
0 on its barrier for Raft, whose ``RaftConfig.first_leader`` is ``founding.first_leader(...)``.
"""


class LedgerBehind(Exception):
    """Records of an era that the ledger does not know: it lost blocks that it had applied."""

    code = "succession-ledger-behind"


class Succession:
    """Implements ``consensus.engine.Engine`` over all eras.

    ``in_force.era``: the era that orders the block after ``applied``, by the ledger's own
    account; moved here when the next begins, for whoever shares it.  ``pairs``: every stored
    consensus pair.  ``holds``: do we have this consensus key, and may use it?  Whoever is named
    in a committee with another key observes there: a key that was lost, or is fenced off until
    the next era names a new one.  ``pause_ms``: between two questions to, or words for, a peer.
    Raises ``LedgerBehind``, and what the engine in force raises on damaged records.
    """

    def __init__(
        self,
        make: Make,
        in_force: InForce,
        *,
        self_id: NodeId,
        pairs: Iterable[Pair],
        applied: Applied,
        now_ms: int,
        holds: Callable[[bytes], bool] = lambda _: True,
        pause_ms: int = 1000,
    ) -> None:
        self._make = make
        self._holds = holds
        self._in_force = in_force
        self._me = self_id
        self._now_ms = self._announce_due_ms = now_ms
        self._pause_ms = pause_ms
        self._token = 0
        self._tokens: list[tuple[int, int]] = []  # ours and the engine's, not yet durable
        self._records: list[Record] = []
        self._send: list[Envelope] = []
        self._evidence: list[Contradiction] = []
        self._reads: set[int] = set()
        self._answers: list[ReadReady] = []  # to be handed on
        self._early: list[ReadReady] = []  # of heights that our ledger has not executed
        self._handed: dict[int, Decided] = {}  # by height, until the ledger reports it
        self._applied = applied.height
        self._work_since_ms: int | None = None
        self._stable = 0
        self._later = Ahead()
        self._told = Pace(max(1, pause_ms // 2))
        stored = sorted(pairs)
        self._annals = Annals(stored)
        epoch, era = self._annals.epoch, in_force.era
        if epoch > era.committee.epoch:
            raise LedgerBehind(f"records of epoch {epoch}, ledger in {era.committee.epoch}")
        if epoch < era.committee.epoch:
            # Died between the ledger's batch and ours: only these records still tell where
            # the log of a Raft era ended.
            self._records += self._annals.end(place_of(stored, applied))
            self._records += self._annals.begin(era.committee.epoch)
            stored = []
        self._inner = self._start(era, stored, applied)

    def _start(self, era: Era, pairs: Iterable[Pair], applied: Applied) -> Engine:
        if era.engine == "raft" and applied.height == era.from_height - 1:
            applied = Applied(applied.height, applied.digest, 0)  # its log begins here
        key = era.committee.key(self._me)
        if key is None or not self._holds(key):
            return Observer(
                era,
                self_id=self._me,
                applied=applied,
                now_ms=self._now_ms,
                pause_ms=self._pause_ms,
            )
        return self._make(era, pairs, applied, self._now_ms)

    # --- inputs ---------------------------------------------------------------------------

    def step(self, sender: NodeId, message: Any) -> None:
        if isinstance(message, Standing):
            if sender != self._me:
                self._on_standing(sender, message)
        elif isinstance(message, Foreign) or message.epoch != self._epoch:
            # Also what was of the era in force when it was decoded, and no longer is.
            if sender != self._me:
                self._on_foreign(sender, message.epoch)
        else:
            self._inner.step(sender, message)

    def tick(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._inner.tick(now_ms)
        if self._asks and now_ms >= self._announce_due_ms:
            self._announce_due_ms = now_ms + self._pause_ms
            self._tell_all(self._sources())

    def propose(self, proposal: Proposal) -> ProposeResult:
        return self._inner.propose(proposal)

    def persisted(self, token: int) -> None:
        """Tell the engine in force of its own turns; those of an older era concern nobody."""
        done = [inner for ours, inner in self._tokens if ours <= token]
        if done:
            self._tokens = self._tokens[len(done) :]
            self._inner.persisted(done[-1])

    def applied(self, height: int, next_era: Era | None = None) -> None:
        """Pass it on; with an era of the next epoch, end this one and start that.

        Crash before our next batch: the restart starts it in the same way.
        """
        if next_era is not None and next_era.committee.epoch != self._epoch:
            self._succeed(height, next_era)
        else:
            self._inner.applied(height, next_era)
            if next_era is not None:
                self._in_force.era = next_era  # the same voters, other observers
        self._applied = max(self._applied, height)
        self._handed = {at: handed for at, handed in self._handed.items() if at > height}
        self._answer(())

    def synced(self, proposal: Proposal, certificate: bytes) -> bool:
        return self._inner.synced(proposal, certificate)

    def hint(self, peer: NodeId, height: int) -> None:
        """``peer`` is known to have executed ``height`` (a cosignature, say): may be asked.

        For observers; voters hear of one another by themselves.
        """
        if isinstance(self._inner, Observer):
            self._inner.hint(peer, height)

    def work(self, since_ms: int | None) -> None:
        self._work_since_ms = since_ms
        self._inner.work(since_ms)

    def read(self, token: int) -> bool:
        taken = self._inner.read(token)
        if taken:
            self._reads.add(token)
        return taken

    def stable(self, height: int) -> None:
        self._stable = max(self._stable, height)
        self._inner.stable(height)

    def unreachable(self, peer: NodeId) -> None:
        self._inner.unreachable(peer)

    # --- outputs --------------------------------------------------------------------------

    def want(self) -> WantPayload | None:
        return self._inner.want()

    def has_effects(self) -> bool:
        ours = self._records or self._send or self._evidence or self._answers
        return bool(ours) or self._inner.has_effects()

    def drain(self) -> Effects:
        """Put what the change of eras asks for in front of what the engine asks for."""
        self._token += 1
        inner = self._inner.drain() if self._inner.has_effects() else Effects(0)
        if inner.token:
            self._tokens.append((self._token, inner.token))
        self._handed.update({each.proposal.height: each for each in inner.deliver})
        self._answer(inner.reads)
        effects = Effects(
            self._token,
            records=(*self._records, *inner.records),
            must_sync=inner.must_sync or bool(self._records),
            bodies=inner.bodies,
            send_now=(*self._send, *inner.send_now),
            send_after=inner.send_after,
            deliver=inner.deliver,
            fetch=inner.fetch,
            reads=tuple(self._answers),
            evidence=(*self._evidence, *inner.evidence),
        )
        self._records.clear()
        self._send.clear()
        self._evidence.clear()
        self._answers.clear()
        return effects

    @property
    def deadline_ms(self) -> int | None:
        due_ms = self._inner.deadline_ms
        if not self._asks:
            return due_ms
        return self._announce_due_ms if due_ms is None else min(due_ms, self._announce_due_ms)

    @property
    def era(self) -> Era:
        """The era that orders the block after the newest executed one."""
        return self._in_force.era

    @property
    def inner(self) -> Engine:
        """The engine in force, for what only one kind can do; ask anew each time."""
        return self._inner

    def status(self) -> Status:
        return self._inner.status()

    def fingerprint(self) -> bytes:
        state: list[Any] = [
            [self._epoch, self._token, self._now_ms, self._announce_due_ms],
            [list(pair) for pair in self._tokens],
            [self._applied, self._work_since_ms, self._stable, sorted(self._reads)],
            [wire.to_value(self._handed[height]) for height in sorted(self._handed)],
            [[epoch, wire.to_value(self._annals.ended[epoch])] for epoch in self._annals.ended],
            self._later.plain(),
            self._told.plain(),
            [wire.to_value(item) for item in (*self._records, *self._evidence)],
            [wire.to_value(item) for item in (*self._answers, *self._early)],
            [[item.to, wire.to_value(item.message)] for item in self._send],
            self._inner.fingerprint(),
        ]
        return hashlib.sha256(codec.encode_typed(state)).digest()

    def check_invariants(self) -> None:
        self._inner.check_invariants()
        self._later.check(self._epoch)
        assert len(self._annals.ended) <= ENDED_KEPT
        assert all(height > self._applied for height in self._handed), "not executed yet"

    # --- the change -----------------------------------------------------------------------

    @property
    def _epoch(self) -> int:
        return self._in_force.era.committee.epoch

    def _succeed(self, height: int, era: Era) -> None:
        """The ledger has the barrier at ``height``; ``era`` begins on top of it."""
        before, barrier = self._in_force.era, self._handed[height]
        assert era.committee.epoch == self._epoch + 1, "epochs follow one another"
        assert era.from_height == height + 1, "an era begins on its barrier"
        assert max(self._handed) == height, "nothing is ordered on a barrier before it counts"
        self._end()
        if before.engine == "raft":
            term, index = decode_certificate(barrier.certificate)
            self._records += self._annals.end(
                Base(index, term, height, barrier.proposal.digest)
            )
        self._records += self._annals.begin(era.committee.epoch)
        self._in_force.era = era
        self._applied = height
        self._inner = self._start(era, (), Applied(height, barrier.proposal.digest, height))
        self._inner.work(self._work_since_ms)
        if self._stable >= height:
            self._inner.stable(self._stable)
        self._later.entered(self._epoch)
        self._announce_due_ms = self._now_ms + self._pause_ms
        self._tell_all((*before.committee.ids, *era.committee.ids, *era.observers))

    def _answer(self, answers: Iterable[ReadReady]) -> None:
        """Hand answers on once their height is executed here.

        Whoever asked would have to wait so long anyway.  It may be the barrier: then the next
        era may have acknowledged more, of which the old one knows nothing; see ``_end``.
        """
        early, self._early = [*self._early, *answers], []
        for answer in early:
            if answer.height is not None and answer.height > self._applied:
                self._early.append(answer)
            else:
                self._answers.append(answer)
                self._reads.discard(answer.token)

    def _end(self) -> None:
        """Keep of the old engine what is of use without it."""
        if self._inner.has_effects():
            last = self._inner.drain()
            assert not last.deliver, "the barrier is the last block of its era"
            self._send += last.send_now
            self._evidence += last.evidence
        self._early.clear()
        self._answer(ReadReady(token, None) for token in sorted(self._reads))
        self._tokens.clear()

    # --- who is where ---------------------------------------------------------------------

    @property
    def _asks(self) -> bool:
        """Whether we depend on others telling us what they have."""
        return bool(self._later) or isinstance(self._inner, Observer)

    def _sources(self) -> tuple[NodeId, ...]:
        """Whom to ask: who is ahead of us, and for an observer all who vote."""
        if isinstance(self._inner, Observer):
            return (*self._in_force.era.committee.ids, *self._later)
        return tuple(self._later)

    def _standing(self, of_epoch: int) -> Standing:
        """Our standing, with the end of the Raft log of ``of_epoch`` if it had one."""
        base = self._annals.ended.get(of_epoch)
        ended = None if base is None else Ended(of_epoch, base)
        return Standing(self._epoch, self._applied, ended)

    def _tell_all(self, peers: Iterable[NodeId]) -> None:
        standing = self._standing(self._epoch - 1)
        for peer in dict.fromkeys(peers):
            if peer != self._me:
                self._send.append(Envelope(peer, standing))

    def _tell(self, peer: NodeId, of_epoch: int) -> None:
        if self._told.admits(peer, self._now_ms):
            self._send.append(Envelope(peer, self._standing(of_epoch)))

    def _on_foreign(self, sender: NodeId, epoch: int) -> None:
        self._later.note(sender, epoch, ours=self._epoch)
        if epoch != self._epoch:
            self._tell(sender, epoch)  # to one ahead this is a question, to one behind a hint

    def _on_standing(self, sender: NodeId, theirs: Standing) -> None:
        self._later.note(sender, theirs.epoch, ours=self._epoch)
        if theirs.epoch < self._epoch:
            self._tell(sender, theirs.epoch)
        elif theirs.epoch > self._epoch:
            self._follow(sender, theirs)
        elif theirs.height > self._applied:
            self.hint(sender, theirs.height)
        elif theirs.height < self._applied:
            self._tell(sender, theirs.epoch)

    def _follow(self, peer: NodeId, theirs: Standing) -> None:
        """``peer`` is in a later era and has the blocks up to our barrier."""
        inner = self._inner
        if isinstance(inner, Hinted):
            inner.hint(peer, theirs.height)
        elif isinstance(inner, Endable):
            if theirs.ended is not None and theirs.ended.epoch == self._epoch:
                inner.ended(peer, theirs.ended.base)
            else:
                self._tell(peer, theirs.epoch)  # it answers for our epoch
