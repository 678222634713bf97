"""The interface that Raft and PBFT share, and what the driver needs to know of their messages.

Engines are synchronous and total: any decodable, signature-checked message gives a new state
or a counted refusal, never an exception.  An ``AssertionError`` is our own bug and stops the
node.  Time is integer milliseconds from a clock that never goes back.
"""

from typing import Any, Protocol

from consensus.effects import Effects, ProposeResult, Status, WantPayload
from consensus.types import Check, Committee, Era, NodeId, Proposal, Statement


class Engine(Protocol):
    def step(self, sender: NodeId, message: Any) -> None:
        """Take a message whose ``Dialect.checks`` verified and whose bodies are at hand."""

    def tick(self, now_ms: int) -> None:
        """Advance time; call at ``deadline_ms`` or later, and before each batch of inputs."""

    def propose(self, proposal: Proposal) -> ProposeResult:
        """Order ``proposal``, an answer to ``want``."""

    def persisted(self, token: int) -> None:
        """All records of effects up to ``token`` are durable."""

    def applied(self, height: int, next_era: Era | None = None) -> None:
        """The ledger has executed ``height`` and its state is durable.

        ``next_era``: only with a ``Proposal.barrier`` that changed who orders, or how, from
        ``height + 1`` on; of the epoch in force when only its observers changed.
        """

    def synced(self, proposal: Proposal, certificate: bytes) -> bool:
        """Take a fetched final block, certificate checked by ``Dialect.certificate_checks``.

        Must be the next height; returns False (and changes nothing) otherwise.  The block is
        delivered through ``Effects.deliver`` like any other.
        """

    def work(self, since_ms: int | None) -> None:
        """Tell since when a valid transaction waits here undelivered (None: nothing waits)."""

    def want(self) -> WantPayload | None:
        """Return what the engine would propose now if it had a payload."""

    def read(self, token: int) -> bool:
        """Ask for the height that a linearizable read must wait for (``Effects.reads``).

        ``token`` is the caller's and never used twice.  False: refused now, nothing will come.
        """

    def stable(self, height: int) -> None:
        """A quorum cosigned the state after ``height``: the low watermark."""

    def unreachable(self, peer: NodeId) -> None:
        """A link to ``peer`` broke: what was under way to it may be lost."""

    def has_effects(self) -> bool: ...

    def drain(self) -> Effects:
        """Return everything asked for since the last drain, under a new token."""

    @property
    def deadline_ms(self) -> int | None:
        """The next time at which ``tick`` can matter."""

    def status(self) -> Status: ...

    def fingerprint(self) -> bytes:
        """Hash of the whole state: equal inputs must give equal fingerprints."""

    def check_invariants(self) -> None:
        """Assert what must always hold; cheap enough for production."""


class Dialect(Protocol):
    """Pure knowledge about one engine's messages and certificates."""

    @property
    def name(self) -> str: ...

    def encode(self, message: Any) -> bytes: ...

    def decode(self, raw: bytes, *, size_max: int) -> Any:
        """Return the message; raise ``Malformed`` for anything else."""

    def statement(self, message: Any, network: bytes) -> Statement | None:
        """What sending ``message`` as its author states, or None when it states nothing."""

    def with_signature(self, message: Any, signature: bytes) -> Any: ...

    def checks(
        self, message: Any, *, sender: NodeId, committee: Committee, network: bytes
    ) -> tuple[Check, ...]:
        """Signatures that must hold before ``step``; raise ``Malformed`` on structural lies."""

    def proposals(self, message: Any) -> tuple[Proposal, ...]:
        """Proposals whose valid bodies must be at hand before ``step``."""

    def is_fresh(self, message: Any) -> bool:
        """True when the proposals in it are new, so that the time rule applies to them."""

    def certificate_checks(
        self, certificate: bytes, *, proposal: Proposal, committee: Committee, network: bytes
    ) -> tuple[Check, ...]:
        """Signatures proving that ``proposal`` is final; ``Malformed`` if it cannot be."""
