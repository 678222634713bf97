"""The one place that knows the order: persist, sync, mark, sign, send, deliver.

Sans-IO: the daemon's replica and the simulator run this same code and differ only in how they
write and send.  A turn is ``turn()``, then the caller makes ``Turn.records`` and bodies
durable, then ``Turn.mark`` where there is one, then ``durable(turn)`` signs and gives what may
leave.  There is no other way to reach a signed vote or a decided block, and ``durable`` asks
the mark itself whether it was written, so a caller cannot get the order wrong.

Crash before the write: nothing left, nothing happened.  Crash after the write, before or after
the mark: the engine restores from its records and says the same again, byte for byte.
"""

from collections.abc import Callable
from typing import Any

from consensus.effects import Contradiction, Decided, Effects, Envelope, Fetch, ReadReady
from consensus.engine import Dialect, Engine
from consensus.frozen import dataclass
from consensus.guard import SignGuard
from consensus.mark import Mark, Marked
from consensus.types import Era, Proposal, Record, Statement


@dataclass(frozen=True, slots=True)
class Turn:
    """Write ``records`` and the bodies of ``bodies`` atomically; sync when told.

    ``mark`` is there whenever ``must_sync`` is: made durable after them, before ``durable``.
    With ``delivers`` the records are written, synced or not, before the block reaches the
    ledger: its own synced batch makes them durable (a node that applied a block must have its
    certificate).  Without it and without ``must_sync`` they may wait for the next turn's.
    """

    token: int
    records: tuple[Record, ...]
    must_sync: bool
    mark: Mark | None
    bodies: tuple[Proposal, ...]
    send_now: tuple[Envelope, ...]
    fetch: tuple[Fetch, ...]
    _effects: Effects

    @property
    def delivers(self) -> bool:
        return bool(self._effects.deliver)


@dataclass(frozen=True, slots=True)
class Released:
    """What a durable turn lets go: messages for peers, messages to step here, blocks."""

    send: tuple[Envelope, ...]
    loopback: tuple[Any, ...]
    deliver: tuple[Decided, ...]
    reads: tuple[ReadReady, ...] = ()
    evidence: tuple[Contradiction, ...] = ()


class Driver:
    """Owns the engine, the guard and the signing key's use.

    ``sign(message) -> signature`` must be deterministic (Ed25519 is).  ``marked`` is where the
    caller keeps marks; it must be level with what the guard was loaded from.
    """

    def __init__(
        self,
        engine: Engine,
        dialect: Dialect,
        guard: SignGuard,
        *,
        marked: Marked,
        network: bytes,
        sign: Callable[[bytes], bytes],
    ) -> None:
        self.engine = engine
        self.dialect = dialect
        assert marked.sequence == guard.mark.sequence, "the mark is of another database"
        self._guard = guard
        self._marked = marked
        self._network = network
        self._sign = sign
        self._prune_records: tuple[Record, ...] = ()
        self._durable_token = -1
        self._open_token: int | None = None

    def applied(self, height: int, next_era: Era | None = None) -> None:
        """The ledger executed ``height``: tell the engine, let the guard forget below it.

        ``next_era``: see ``Engine.applied``.
        """
        self.engine.applied(height, next_era)
        self._prune_records = (*self._prune_records, *self._guard.prune(height))

    def turn(self) -> Turn | None:
        """Drain the engine; None when it asks for nothing.  Raises ``GuardRefused``."""
        assert self._open_token is None, "a turn must be durable before the next one starts"
        if not self.engine.has_effects():
            return None
        effects = self.engine.drain()
        records = [*self._prune_records, *effects.records]
        self._prune_records = ()
        stated: list[Statement] = []
        for envelope in effects.send_after:
            statement = self.dialect.statement(envelope.message, self._network)
            if statement is not None and (admitted := self._guard.admit(statement)):
                records.extend(admitted)
                stated.append(statement)
        must_sync, mark = effects.must_sync or bool(stated), None
        if must_sync:
            mark, record = self._guard.advance(stated, effects.bodies)
            records.append(record)
        self._open_token = effects.token
        return Turn(
            effects.token,
            tuple(records),
            must_sync,
            mark,
            effects.bodies,
            effects.send_now,
            effects.fetch,
            effects,
        )

    def durable(self, turn: Turn) -> Released:
        """Sign and release ``turn`` once its records, then its mark, survive power loss."""
        assert turn.token == self._open_token, "turns become durable in order"
        assert turn.mark is None or self._marked.sequence == turn.mark.sequence, (
            "nothing is signed before the mark is durable"
        )
        assert turn.token > self._durable_token
        self._durable_token, self._open_token = turn.token, None
        self.engine.persisted(turn.token)
        send: list[Envelope] = []
        loopback: list[Any] = []
        for envelope in turn._effects.send_after:  # noqa: SLF001 - Turn is this module's own
            message = envelope.message
            statement = self.dialect.statement(message, self._network)
            if statement is not None and statement.signed is not None:
                message = self.dialect.with_signature(message, self._sign(statement.signed))
            send.append(Envelope(envelope.to, message))
            if envelope.to is None:
                loopback.append(message)
        effects = turn._effects  # noqa: SLF001
        return Released(
            tuple(send), tuple(loopback), effects.deliver, effects.reads, effects.evidence
        )
