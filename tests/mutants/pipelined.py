"""One Raft core under any leaders that the paper allows, with several writes under way.

Two things our own surroundings never do, while the core answers for them.  The driver lets one
write be under way at a time, so does the daemon, and so does the simulated node; here writes
end late and in order, and after every event each prefix of those under way may be all that a
crash leaves: all of them must hold what the core counts as durable.  And our leaders find the
end of agreement in one step and open every term with an entry, so that a follower's leftovers
are always cut off by the first append; here leaders of rising terms send any slice of their
logs, and whatever the core acknowledges must be in the log of the leader whom it tells.
"""

import random

from consensus.raft import engine, step
from consensus.raft import turn as turns
from consensus.raft.core import Core, HardState
from consensus.raft.log import Base, Entry, Log
from consensus.raft.membership import Members
from consensus.raft.messages import Append, AppendResponse
from consensus.raft.settings import Settings
from consensus.types import NodeId

ME, ONE, OTHER = NodeId("m0"), NodeId("m1"), NodeId("m2")
EVENTS = 60
Disk = dict[int, int]  # index -> term


class Pipeline:
    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"pipelined/{seed}")
        settings = Settings(
            self_id=ME, election_ticks=10, election_spread=10, heartbeat_ticks=1
        )
        self.core = Core(
            settings,
            Log(Base(0, 0, 0, bytes(32))),
            Members(voters=(ME, ONE, OTHER)),
            hard=HardState(0, None),
            commit=0,
            applied=0,
            rng=self._rng,
        )
        self._disk: Disk = {}
        self._writes: list[turns.CoreTurn] = []
        self._logs: dict[NodeId, tuple[int, ...]] = {ONE: (), OTHER: ()}  # terms of entries
        self._term = 0
        self._leader = ONE

    def run(self) -> None:
        for _ in range(EVENTS):
            self._rng.choice((self._elect, self._append, self._append, self._take, self._end))()
            self._check()

    def _elect(self) -> None:
        """The other one leads now; both may hold entries of terms that nobody committed."""
        self._term += 1
        self._leader = self._rng.choice((ONE, OTHER))

    def _append(self) -> None:
        """The leader may add to its log, and sends a slice of it."""
        if not self._term:
            return
        if self._rng.random() < 0.5:
            self._logs[self._leader] += (self._term,)
        terms = self._logs[self._leader]
        prev = self._rng.randint(0, len(terms))
        sent = terms[prev : prev + self._rng.choice((1, 2, EVENTS))]
        entries = tuple(Entry(term, prev + 1 + at, None) for at, term in enumerate(sent))
        prev_term = terms[prev - 1] if prev else 0
        message = Append(0, self._term, self._leader, prev, prev_term, 0, entries)
        step.step(self.core, message, engine._HANDLERS)
        answer = self.core.send_after[-1].message
        if isinstance(answer, AppendResponse) and answer.success:
            held = tuple(self.core.log.term_at(index + 1) for index in range(answer.index))
            assert held == terms[: answer.index], f"acknowledged {answer.index} of {terms}"

    def _take(self) -> None:
        if turns.has_turn(self.core):
            self._writes.append(turns.take(self.core))

    def _end(self) -> None:
        if self._writes:
            turn = self._writes.pop(0)
            _write(self._disk, turn)
            if turn.stored is not None:
                turns.stored(self.core, turn.stored)

    def _check(self) -> None:
        log, disk = self.core.log, dict(self._disk)
        durable = log.unstable_from - 1
        for turn in (None, *self._writes):
            if turn is not None:
                _write(disk, turn)
            for index in range(1, durable + 1):
                assert disk.get(index) == log.term_at(index), f"entry {index} is not durable"


def _write(disk: Disk, turn: turns.CoreTurn) -> None:
    if turn.entries:
        for index in [index for index in disk if index >= turn.entries[0].index]:
            del disk[index]
        disk.update((entry.index, entry.term) for entry in turn.entries)


def play(seed: int) -> None:
    """Play one seed; raises ``AssertionError`` when something acknowledged is not so."""
    Pipeline(seed).run()
