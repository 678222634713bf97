"""From a contradiction that this node saw to a record on the ledger, and the news of it.

Owns: contradictions between the moment somebody here notices them and the moment the ledger
has them; when to submit, so that not every member reports the same thing.  Refuses: judging;
the ledger's rule proves each by itself, and people draw conclusions.
Members report in turn: each waits ``STAGGER_S`` longer than the one before it and looks at the
ledger first.  What was noticed and not yet recorded is lost with the process; the others
noticed it too.
Bounded for each accused, so that one liar cannot hide another: ``KNOWN_MAX`` contradictions,
``PENDING_MAX`` of them waiting, ``TRIES_MAX`` submissions of each.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from consensus import wire
from consensus.effects import Contradiction
from consensus.pbft import evidence as pbft
from node.book import Committed
from node.intake import Answer
from node.ledger.families import evidence
from node.ledger.families.evidence import EvidenceRow, Heads, Place, Votes
from node.ledger.state import Overlay, Read
from node.ledger.transaction import Op, TransactionMalformed
from node.log import event
from node.publish import HeadsConflict

KNOWN_MAX: Final = evidence.OF_ONE_MEMBER_MAX
PENDING_MAX: Final = 16
TRIES_MAX: Final = 5
STAGGER_S: Final = 2.0
RANKS_MAX: Final = 16
AGAIN_S: Final = 30.0
LOOK_S: Final = 0.5


@dataclass(slots=True)
class _Pending:
    op: Op
    due: float
    tries: int = 0


@dataclass(slots=True)
class Reporter:
    """``read`` reads applied state; ``submit`` signs operations as this institution.

    ``members``: the voters in force; whoever knows of a new era sets them.
    """

    self_id: str
    members: Sequence[str]
    read: Read
    submit: Callable[[Sequence[Op]], Awaitable[Answer]]
    now_s: Callable[[], float]
    found: Counter[str] = field(default_factory=Counter)
    turned_away: int = 0  # found, and no room to report them
    latest: tuple[EvidenceRow, float] | None = None  # recorded last since the start, and when
    _pending: dict[Place, _Pending] = field(default_factory=dict)
    _known: dict[str, set[Place]] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """Contradictions that wait to be reported."""
        return len(self._pending)

    def votes(self, seen: Contradiction) -> None:
        """Take a contradiction from the engine."""
        place = Place(seen.member, seen.kind, seen.epoch, seen.round, seen.height)
        try:
            body = Votes(pbft.encode(seen))
        except ValueError:  # two huge messages: no transaction holds them
            self._note(place, None)
            return
        self._note(place, Op("evidence.votes", wire.to_value(body)))

    def heads(self, seen: HeadsConflict) -> None:
        """Take two tree heads of one size that one member stands for."""
        body = Heads(seen.member, seen.epoch, seen.head, seen.against)
        place = Place(seen.member, evidence.HEADS, seen.epoch, 0, seen.size)
        self._note(place, Op("evidence.heads", wire.to_value(body)))

    def _note(self, place: Place, op: Op | None) -> None:
        known = self._known.setdefault(place.member, set())
        if place in known or len(known) >= KNOWN_MAX or place.member not in self.members:
            return
        known.add(place)
        self.found[place.kind] += 1
        event(
            "evidence.found",
            level=logging.WARNING,
            member=place.member,
            kind=place.kind,
            epoch=place.epoch,
            round=place.round,
            height=place.height,
            reportable=op is not None,
        )
        waiting = sum(1 for other in self._pending if other.member == place.member)
        self.turned_away += waiting >= PENDING_MAX
        if op is not None and waiting < PENDING_MAX:
            self._pending[place] = _Pending(op, self.now_s() + self._turn(place) * STAGGER_S)

    def _turn(self, place: Place) -> int:
        """Return how many members report before this one; never the accused."""
        others = [member for member in self.members if member != place.member]
        if self.self_id not in others:
            return RANKS_MAX
        return min(others.index(self.self_id), RANKS_MAX)

    async def run(self) -> None:
        """Report what is due, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = self.now_s()
            for place in [place for place, item in self._pending.items() if item.due <= now]:
                await self._report(place)

    async def _report(self, place: Place) -> None:
        item = self._pending[place]
        if self._settled(place) or item.tries == TRIES_MAX:
            del self._pending[place]
            return
        item.tries += 1
        item.due = self.now_s() + AGAIN_S  # look again, and again if it came to nothing
        try:
            await self.submit([item.op])
        except TransactionMalformed:  # two long messages and the frame around them
            del self._pending[place]

    def _settled(self, place: Place) -> bool:
        if self.read(evidence.evidence_key(place)) is not None:
            return True
        return self.recorded(place.member) >= evidence.OF_ONE_MEMBER_MAX

    def recorded(self, member: str) -> int:
        """Return how many contradictions of ``member`` the ledger has."""
        return evidence.count_of(Overlay(self.read), member)

    def applied(self, result: Committed) -> None:
        """Tell the log what a block recorded."""
        for key in result.evidence:
            row = Overlay(self.read).load(EvidenceRow, key)
            assert row is not None, "recorded by the block that was just applied"
            self.latest = row, self.now_s()
            event(
                "evidence.recorded",
                level=logging.WARNING,
                member=row.member,
                kind=row.kind,
                epoch=row.epoch,
                round=row.round,
                height=row.height,
                reporter=row.reporter,
                tx=row.txid.hex(),
            )
