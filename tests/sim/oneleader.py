"""The smallest engine that keeps the contract: the first member orders, a majority stores.

No elections, so it survives any crash but waits for its leader.  It exists to try the
simulator and the driver on something that can be read in two minutes.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from consensus import codec, wire
from consensus.effects import (
    Decided,
    Effects,
    Envelope,
    Fetch,
    ProposeResult,
    Status,
    WantPayload,
)
from consensus.types import (
    Applied,
    Check,
    Committee,
    Era,
    NodeId,
    Proposal,
    Put,
    Record,
    Rng,
    Statement,
)

RESEND_MS = 40


@dataclass(frozen=True, slots=True)
class Append:
    """The leader's newest block, and how far the leader knows the order to be final."""

    proposal: Proposal | None
    committed: int


@dataclass(frozen=True, slots=True)
class Stored:
    """The sender keeps ``height`` on disk."""

    height: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Final:
    """The sender knows ``height`` to be final: its answer to a leader that forgot."""

    height: int


@dataclass(frozen=True, slots=True)
class Config:
    me: NodeId
    committee: Committee
    network: bytes


class OneLeaderDialect:
    name = "oneleader"
    _kinds = wire.Tagged({1: Append, 2: Stored, 3: Final})

    def encode(self, message: Any) -> bytes:
        return self._kinds.encode(message)

    def decode(self, raw: bytes, *, size_max: int) -> Any:
        return self._kinds.decode(raw, size_max=size_max)

    def statement(self, message: Any, network: bytes) -> Statement | None:
        if type(message) is not Stored:
            return None
        return Statement("prepare", 1, 0, message.height, message.digest, None)

    def with_signature(self, message: Any, signature: bytes) -> Any:
        return message

    def checks(
        self, message: Any, *, sender: NodeId, committee: Committee, network: bytes
    ) -> tuple[Check, ...]:
        return ()

    def proposals(self, message: Any) -> tuple[Proposal, ...]:
        if type(message) is Append and message.proposal is not None:
            return (message.proposal,)
        return ()

    def is_fresh(self, message: Any) -> bool:
        return type(message) is Append

    def certificate_checks(
        self, certificate: bytes, *, proposal: Proposal, committee: Committee, network: bytes
    ) -> tuple[Check, ...]:
        if certificate != proposal.digest:
            raise codec.Malformed("not the certificate of this block")
        return ()


DIALECT = OneLeaderDialect()


class OneLeaderEngine:
    def __init__(
        self,
        config: Config,
        *,
        pairs: Iterable[tuple[bytes, bytes]],
        applied: Applied,
        rng: Rng,
        now_ms: int,
    ) -> None:
        self._me = config.me
        self._committee = config.committee
        self._leader = config.committee.ids[0]
        self._now = now_ms
        self._next_send = now_ms + rng.randrange(1, RESEND_MS)
        self._tip, self._tip_digest = applied.height, applied.digest
        self._open: Proposal | None = None
        self._stored: dict[str, bool] = {}
        self._committed = self._delivered = self._applied = applied.height
        for _, value in pairs:
            proposal = wire.decode(Proposal, value, size_max=1 << 20)
            if proposal.height == applied.height + 1:
                self._open = proposal
                self._tip, self._tip_digest = proposal.height, proposal.digest
        if self._open is not None:
            self._stored = {self._me: True}
        self._token = 0
        self._reset()
        self._count_stored()

    def _reset(self) -> None:
        self._records: list[Record] = []
        self._bodies: list[Proposal] = []
        self._now_out: list[Envelope] = []
        self._after_out: list[Envelope] = []
        self._deliver: list[Decided] = []
        self._fetch: list[Fetch] = []

    def step(self, sender: NodeId, message: Any) -> None:
        if type(message) is Stored:
            if self._open is not None and self._open.digest == message.digest:
                self._stored[sender] = True
                self._count_stored()
            return
        if type(message) is Final:
            if self._open is not None and self._open.height <= message.height:
                self._finish()
            return
        proposal = message.proposal
        if sender != self._leader or self._me == self._leader:
            return
        if message.committed > self._delivered + 1 or (
            message.committed == self._delivered + 1 and self._open is None
        ):
            self._fetch.append(Fetch(sender, self._delivered + 1, message.committed))
        elif message.committed == self._delivered + 1:
            self._finish()
        if proposal is not None and proposal.height == self._delivered + 1:
            self._store(proposal)
        elif proposal is not None and proposal.height <= self._delivered:
            self._now_out.append(Envelope(sender, Final(self._delivered)))

    def _store(self, proposal: Proposal) -> None:
        if self._open is None:
            self._open = proposal
            self._tip, self._tip_digest = proposal.height, proposal.digest
            self._records.append(Put(b"open", wire.encode(proposal)))
            self._bodies.append(proposal)
        stored = Stored(self._open.height, self._open.digest)
        self._after_out.append(Envelope(self._leader, stored))

    def _count_stored(self) -> None:
        if self._me == self._leader and len(self._stored) >= self._committee.majority:
            self._finish()

    def _finish(self) -> None:
        assert self._open is not None
        self._committed = self._delivered = self._open.height
        self._deliver.append(Decided(self._open, self._open.digest, self._open.height))
        self._open, self._stored = None, {}
        self._announce()

    def tick(self, now_ms: int) -> None:
        assert now_ms >= self._now
        self._now = now_ms
        if now_ms >= self._next_send:
            self._announce()

    def _announce(self) -> None:
        self._next_send = self._now + RESEND_MS
        if self._me != self._leader:
            return
        for node in self._committee.ids:
            if node != self._me:
                message = Append(self._open, self._committed)
                # A block leaves only when it is on the leader's own disk.
                self._after_out.append(Envelope(node, message))

    def propose(self, proposal: Proposal) -> ProposeResult:
        if self._me != self._leader:
            return ProposeResult.NOT_LEADER
        if self.want() is None or proposal.parent != self._tip_digest:
            return ProposeResult.BUSY
        self._open = proposal
        self._tip, self._tip_digest = proposal.height, proposal.digest
        self._records.append(Put(b"open", wire.encode(proposal)))
        self._bodies.append(proposal)
        self._announce()
        own = Stored(proposal.height, proposal.digest)
        self._after_out.append(Envelope(None, own))
        return ProposeResult.ACCEPTED

    def persisted(self, token: int) -> None:
        assert token <= self._token

    def applied(self, height: int, next_era: Era | None = None) -> None:
        assert height <= self._delivered
        self._applied = height

    def synced(self, proposal: Proposal, certificate: bytes) -> bool:
        if proposal.height != self._delivered + 1:
            return False
        self._delivered = self._committed = proposal.height
        self._tip, self._tip_digest = proposal.height, proposal.digest
        self._open = None
        self._deliver.append(Decided(proposal, certificate, proposal.height))
        return True

    def work(self, since_ms: int | None) -> None:
        pass

    def read(self, token: int) -> bool:
        return False

    def stable(self, height: int) -> None:
        pass

    def unreachable(self, peer: NodeId) -> None:
        pass

    def want(self) -> WantPayload | None:
        # One block is kept on disk here, so the next waits until the ledger holds the last.
        if self._me != self._leader or self._open is not None or self._applied < self._tip:
            return None
        return WantPayload(self._tip + 1, self._tip_digest)

    def has_effects(self) -> bool:
        return bool(
            self._records or self._now_out or self._after_out or self._deliver or self._fetch
        )

    def drain(self) -> Effects:
        self._token += 1
        effects = Effects(
            self._token,
            tuple(self._records),
            bool(self._records),
            tuple(self._bodies),
            tuple(self._now_out),
            tuple(self._after_out),
            tuple(self._deliver),
            tuple(self._fetch),
        )
        self._reset()
        return effects

    @property
    def deadline_ms(self) -> int | None:
        return self._next_send if self._me == self._leader else None

    def status(self) -> Status:
        role = "leader" if self._me == self._leader else "follower"
        return Status(
            "oneleader",
            role,
            0,
            self._leader,
            self._committed,
            self._delivered,
            self._committee.majority,
            len(self._committee.members),
        )

    def fingerprint(self) -> bytes:
        state = [self._tip, self._tip_digest, self._delivered, sorted(self._stored)]
        return hashlib.sha256(codec.encode(state)).digest()

    def check_invariants(self) -> None:
        assert self._tip - self._delivered in (0, 1)
