"""Following without a vote: learners on their way in, demoted members, whoever was left out.

Theory of operation.  An observer is told, by anybody, who has executed how much (``hint``).  It
asks one peer at a time for the next blocks, takes those whose certificates its driver verified,
and hands them on in order.  A hint is not believed: it only makes its author somebody to ask.
A peer that brings nothing within the pause loses its word and is asked last from then on.
A barrier ends everything until the ledger has executed it, because the block above it may be
certified by others.

Owns: whom to ask, the chain up to the newest block handed on.  Refuses: proposing, voting,
reads, and every message but the height in a PBFT ``Status``.
It keeps no records: what was handed on and not executed is fetched again after a crash.
Invariant: nothing that it sends is a statement; one request is out at a time; it runs at most
``AHEAD_MAX`` blocks and one answer ahead of its ledger.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from consensus import certs, codec, wire
from consensus.codec import Malformed
from consensus.effects import Decided, Effects, Fetch, ProposeResult, Status, WantPayload
from consensus.pbft import messages as pbft
from consensus.raft.records import decode_certificate
from consensus.standing import PEERS_MAX
from consensus.types import Applied, Era, NodeId, Proposal

FETCH_BLOCKS_MAX: Final = 64
AHEAD_MAX: Final = 128
_SETTLING: Final = 8  # an answer is over when nothing came of it for this part of the pause


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is out; ``due_ms``: when to stop waiting; ``came``: blocks of it came."""

    peer: NodeId
    hi: int
    due_ms: int
    came: bool = False


class Observer:
    """Implements ``consensus.engine.Engine`` for one era.

    ``applied``: the ledger's last block, at or above the barrier that the era began on.
    ``pause_ms``: how long a peer has to bring a block.
    """

    def __init__(
        self, era: Era, *, self_id: NodeId, applied: Applied, now_ms: int, pause_ms: int
    ) -> None:
        assert pause_ms >= 1, "a pause is at least one millisecond"
        self._era = era
        self._me = self_id
        self._pause_ms = pause_ms
        self._now_ms = now_ms
        self._delivered, self._tip = applied.height, applied.digest
        self._applied = applied.height
        self._barrier: int | None = None
        self._claims: dict[NodeId, int] = {}
        self._heard_ms: dict[NodeId, int] = {}
        # By peer: the number of the request that it left unanswered, and of its last one.
        self._late: dict[NodeId, int] = {}
        self._served: dict[NodeId, int] = {}
        self._requests = 0
        self._asked: Asked | None = None
        self._token = 0
        self._fetch: list[Fetch] = []
        self._deliver: list[Decided] = []
        self._refused: Counter[str] = Counter()

    # --- inputs ---------------------------------------------------------------------------

    def step(self, sender: NodeId, message: Any) -> None:
        """Take the height out of a status; nothing else is for us."""
        if isinstance(message, pbft.Status) and message.epoch == self._era.committee.epoch:
            self.hint(sender, message.height)
        else:
            self._refused["observer"] += 1

    def hint(self, peer: NodeId, height: int) -> None:
        """``peer`` says, or somebody says of it, that it has executed ``height``."""
        if peer == self._me:
            return
        if peer not in self._heard_ms and len(self._heard_ms) >= PEERS_MAX:
            self._forget_silent()
            if len(self._heard_ms) >= PEERS_MAX:
                self._refused["hint-flood"] += 1
                return
        self._heard_ms[peer] = self._now_ms
        if height > self._delivered:
            self._claims[peer] = max(height, self._claims.get(peer, 0))
            self._ask()

    def tick(self, now_ms: int) -> None:
        assert now_ms >= self._now_ms, "time never goes back"
        self._now_ms = now_ms
        asked = self._asked
        if asked is not None and now_ms >= asked.due_ms:
            if asked.came:
                self._asked = None  # its answer is over, or as long as an answer may be
            else:
                self._give_up(asked.peer)
            self._ask()

    def synced(self, proposal: Proposal, certificate: bytes) -> bool:
        if self._barrier is not None or proposal.height != self._delivered + 1:
            return False
        if proposal.parent != self._tip:
            return False
        position = self._position(proposal, certificate)
        if position is None:
            return False
        self._deliver.append(Decided(proposal, certificate, position))
        self._delivered, self._tip = proposal.height, proposal.digest
        self._claims = {p: at for p, at in self._claims.items() if at > proposal.height}
        self._came(proposal.height)
        if proposal.barrier:
            self._barrier, self._asked = proposal.height, None
        self._ask()
        return True

    def applied(self, height: int, next_era: Era | None = None) -> None:
        """Go on after a barrier; ``next_era`` may name other observers, and no other era."""
        assert height <= self._delivered, "applied before it was delivered"
        self._applied = max(self._applied, height)
        if next_era is not None:
            assert next_era.committee.epoch == self._era.committee.epoch, "one observer an era"
            self._era = next_era
        if self._barrier is not None and self._applied >= self._barrier:
            self._barrier = None
        self._ask()

    def unreachable(self, peer: NodeId) -> None:
        """Whatever ``peer`` said, it cannot bring it now."""
        if self._asked is not None and self._asked.peer == peer:
            self._give_up(peer)
            self._ask()
        else:
            self._claims.pop(peer, None)

    def propose(self, proposal: Proposal) -> ProposeResult:  # noqa: ARG002
        return ProposeResult.NOT_LEADER

    def persisted(self, token: int) -> None:
        assert token <= self._token, "a token that was never drained"

    def work(self, since_ms: int | None) -> None:
        """Nothing: who does not vote judges nobody's patience."""

    def read(self, token: int) -> bool:  # noqa: ARG002
        """Never: a linearizable read is a question among voters."""
        return False

    def stable(self, height: int) -> None:
        """Nothing: who proposes nothing needs no watermark."""

    # --- outputs --------------------------------------------------------------------------

    def want(self) -> WantPayload | None:
        return None

    def has_effects(self) -> bool:
        return bool(self._fetch or self._deliver)

    def drain(self) -> Effects:
        self._token += 1
        effects = Effects(self._token, deliver=tuple(self._deliver), fetch=tuple(self._fetch))
        self._deliver.clear()
        self._fetch.clear()
        return effects

    @property
    def deadline_ms(self) -> int | None:
        return None if self._asked is None else self._asked.due_ms

    def status(self) -> Status:
        committee = self._era.committee
        pbft_era = self._era.engine == "pbft"
        since = self._now_ms - 3 * self._pause_ms
        heard = [peer for peer, at in self._heard_ms.items() if at >= since]
        return Status(
            engine=self._era.engine,
            role="observer",
            round=0,
            leader=None,
            committed=self._delivered,
            delivered=self._delivered,
            quorum=committee.byzantine_quorum if pbft_era else committee.majority,
            members=len(committee.members),
            heard=tuple(sorted(peer for peer in heard if committee.index(peer) is not None)),
        )

    @property
    def refused(self) -> dict[str, int]:
        """How many inputs had no effect, by reason (a closed set)."""
        return dict(self._refused)

    def fingerprint(self) -> bytes:
        tables: tuple[Mapping[Any, int], ...] = (
            self._claims, self._heard_ms, self._late, self._served, self._refused,
        )  # fmt: skip
        asked = self._asked
        state: list[Any] = [
            [self._now_ms, self._delivered, self._tip, self._applied, self._barrier],
            [self._requests, self._token, None if asked is None else wire.to_value(asked)],
            [[[key, table[key]] for key in sorted(table)] for table in tables],
            [wire.to_value(item) for item in (*self._fetch, *self._deliver)],
        ]
        return hashlib.sha256(codec.encode_typed(state)).digest()

    def check_invariants(self) -> None:
        assert self._applied <= self._delivered, "applied <= delivered"
        assert all(at > self._delivered for at in self._claims.values()), "a stale claim"
        for table in (self._claims, self._heard_ms, self._late, self._served):
            assert len(table) <= PEERS_MAX, "one line for each peer"
        assert self._barrier is None or self._asked is None, "nothing is fetched over a barrier"

    # --- the inside -----------------------------------------------------------------------

    def _position(self, proposal: Proposal, certificate: bytes) -> int | None:
        """The engine's own place of the block; None if the certificate is of another one."""
        try:
            if self._era.engine == "raft":
                return decode_certificate(certificate)[1]
            decided = certs.decode_commit(certificate)
        except Malformed:
            return None
        epoch = self._era.committee.epoch
        named = (decided.epoch, decided.height, decided.digest)
        return proposal.height if named == (epoch, proposal.height, proposal.digest) else None

    def _ask(self) -> None:
        """Ask for what is missing, unless somebody was asked or the ledger is behind."""
        if self._asked is not None or self._barrier is not None or not self._claims:
            return
        if self._delivered - self._applied >= AHEAD_MAX:
            return
        peer = min(
            self._claims,
            key=lambda each: (self._late.get(each, 0), self._served.get(each, 0), each),
        )
        self._requests += 1
        self._served[peer] = self._requests
        hi = min(self._claims[peer], self._delivered + FETCH_BLOCKS_MAX)
        self._asked = Asked(peer, hi, self._now_ms + self._pause_ms)
        self._fetch.append(Fetch(peer, self._delivered + 1, hi))

    def _came(self, height: int) -> None:
        asked = self._asked
        if asked is None:
            return
        self._late.pop(asked.peer, None)
        if height >= asked.hi:
            self._asked = None
        else:
            due_ms = self._now_ms + max(1, self._pause_ms // _SETTLING)
            self._asked = Asked(asked.peer, asked.hi, due_ms, came=True)

    def _give_up(self, peer: NodeId) -> None:
        """``peer`` brought nothing: its word is void, and others come first."""
        self._asked = None
        self._claims.pop(peer, None)
        self._late[peer] = self._requests
        self._refused["unserved"] += 1

    def _forget_silent(self) -> None:
        """Make room: who was not heard of for a while, and promises nothing, is forgotten."""
        since = self._now_ms - 3 * self._pause_ms
        kept = {p: at for p, at in self._heard_ms.items() if at > since or p in self._claims}
        self._heard_ms = kept
        self._late = {p: at for p, at in self._late.items() if p in kept}
        self._served = {p: at for p, at in self._served.items() if p in kept}
