"""What a node asks of the ledger for itself: a vote once it has caught up, its new voting keys.

A learner that the members admitted says ``membership.ready`` when its ledger is as far as what
a quorum cosigned.  A node whose voting keys are not those that the ledger names (they were made
anew) says ``membership.rotate``, each new key proving itself.  Both take effect at a barrier;
until then the node follows, or votes with the keys that the ledger knows.  What features its
software knows it says as soon as another member began to (``membership.supports``).

Owns: when to ask, and when to ask again.  Refuses: asking in a loop: what the ledger refused is
tried once more after ``AGAIN_BLOCKS``, what was lost on the way after ``AGAIN_S``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from consensus import wire
from node.book import Tip
from node.intake import Answer
from node.ledger.facts import features, membership
from node.ledger.facts.governance import voter_ids
from node.ledger.facts.membership import CONSENSUS, COSIGNER, LEARNER
from node.ledger.families.membership import Knows, Ready, Rotate
from node.ledger.genesis import Institution
from node.ledger.state import Read
from node.ledger.transaction import Op
from node.log import event
from node.ring import Ring
from node.roster import OBSERVER, VOTER, Roster
from node.service import TxStatus

LOOK_S: Final = 0.2
NEAR_BLOCKS: Final = 4  # behind what a quorum cosigned, and still caught up
AGAIN_BLOCKS: Final = 64
AGAIN_S: Final = 30.0


@dataclass(slots=True)
class _Asked:
    kind: str
    txid: bytes
    height: int
    at_s: float


class Joining:
    """``cosigned()``: the height that a quorum says to have; ``submit`` signs operations as
    this institution; ``status`` tells what became of a transaction."""

    def __init__(
        self,
        roster: Roster,
        ring: Ring,
        *,
        network: bytes,
        read: Read,
        tip: Callable[[], Tip],
        cosigned: Callable[[], int],
        submit: Callable[[Sequence[Op]], Awaitable[Answer]],
        status: Callable[[bytes], TxStatus],
        now_s: Callable[[], float],
    ) -> None:
        self._roster = roster
        self._ring = ring
        self._network = network
        self._read = read
        self._tip = tip
        self._cosigned = cosigned
        self._submit = submit
        self._status = status
        self._now_s = now_s
        self._asked: _Asked | None = None

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Ask for what is due, if anything is and it was not asked for lately."""
        ops = self._due()
        if not ops or not self._may_ask(ops[-1].kind):
            return
        answer = await self._submit(ops)
        tip = self._tip()
        if answer.txid is None:
            return  # not even ours to decide: a full pool, a disk that is nearly full
        self._asked = _Asked(ops[-1].kind, answer.txid, tip.height, self._now_s())
        event("member.asks", kind=ops[-1].kind, height=tip.height, tx=answer.txid.hex())

    def _may_ask(self, kind: str) -> bool:
        asked = self._asked
        if asked is None or asked.kind != kind:
            return True
        status = self._status(asked.txid)
        if status.state == "rejected":
            return self._tip().height >= asked.height + AGAIN_BLOCKS
        if status.state == "committed" and self._tip().height < asked.height + AGAIN_BLOCKS:
            return False  # it takes effect with its block: the roster is about to follow
        return self._now_s() >= asked.at_s + AGAIN_S

    def _due(self) -> list[Op]:
        roster = self._roster
        mine = roster.institution(roster.self_id)
        if mine is None or roster.role not in (VOTER, OBSERVER):
            return []
        cosigned = self._cosigned()
        if not 0 < cosigned <= self._tip().height + NEAR_BLOCKS:
            return []
        return self._rotation(mine) or self._readiness(mine) or self._declaration(mine)

    def _readiness(self, mine: Institution) -> list[Op]:
        if membership.seat(self._read, mine).standing != LEARNER:
            return []
        tip, known = self._tip(), features.supports(self._read, mine.id)
        ready = Op("membership.ready", wire.to_value(Ready(tip.height, tip.digest)))
        if all(row.name in known for row in features.all_features(self._read)):
            return [ready]
        return [*self._supports(mine), ready]

    def _declaration(self, mine: Institution) -> list[Op]:
        """Say what our software knows, once anybody asks (``features.to_declare``)."""
        asked = features.to_declare(self._read, mine.id, voter_ids(self._read))
        return [] if asked is None else self._supports(mine)

    def _supports(self, mine: Institution) -> list[Op]:
        if features.supports(self._read, mine.id) == features.FEATURES:
            return []
        return [Op("membership.supports", wire.to_value(Knows(features.FEATURES)))]

    def _rotation(self, mine: Institution) -> list[Op]:
        keys = self._ring.newest
        given = (keys.public.consensus, keys.public.cosigner)
        if given == (mine.consensus_key, mine.cosigner_key):
            return []
        pairs = ((CONSENSUS, keys.consensus), (COSIGNER, keys.cosigner))
        proofs = [
            signer.sign(
                membership.rotation_statement(self._network, mine.id, role, signer.public_key)
            )
            for role, signer in pairs
        ]
        return [Op("membership.rotate", wire.to_value(Rotate(*given, *proofs)))]
