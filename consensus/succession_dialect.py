"""One dialect for all eras: which engine's words a frame holds, and whose keys check them.

Messages of epoch 0 are the founders' engine's own bytes, as they always were.  Later ones stand
behind ``0x01``, the epoch (be64) and the engine (one byte); ``0x02`` is a ``Standing``.  No
message of an engine begins with either: it is an array, ``0x92``.
What belongs to another era is not parsed: it becomes ``Foreign``, without checks, and is a hint
at most.  So nobody is punished for being elsewhere.

Owns: these prefixes, and the choice of engine.  Refuses: judging messages and certificates of
any era but the one in force, whose committee it takes from ``InForce``.
Pure but for that one reference, which ``Succession`` moves when an era begins.
"""

from dataclasses import dataclass
from typing import Any, Final

from consensus.codec import Malformed
from consensus.engine import Dialect
from consensus.pbft import dialect as pbft
from consensus.pbft import messages as pbft_messages
from consensus.raft import dialect as raft
from consensus.standing import Foreign, Standing, decode_standing
from consensus.types import Check, Committee, Era, NodeId, Proposal, Statement

ERA_PREFIX: Final = 0x01
STANDING_PREFIX: Final = 0x02
BARE: Final = 0x92  # an array of two: what every engine's message is
ENGINE_CODES: Final = {"raft": 1, "pbft": 2}
_HEAD_BYTES: Final = 10
_HINTS: Final = (Standing, Foreign)


@dataclass(slots=True)
class InForce:
    """The era that orders the next block."""

    era: Era


class SuccessionDialect:
    """Implements ``consensus.engine.Dialect``; ``founders``: the engine of epoch 0.

    ``rotation_blocks``: see ``PbftDialect``.
    """

    name: Final = "succession"

    def __init__(
        self, in_force: InForce, *, founders: str, rotation_blocks: int | None = None
    ) -> None:
        self._in_force = in_force
        self._founders = founders
        self._engines: dict[str, Dialect] = {
            "raft": raft.DIALECT,
            "pbft": pbft.PbftDialect(rotation_blocks),
        }

    def _dialect(self) -> Dialect:
        return self._engines[self._in_force.era.engine]

    def _of(self, message: Any) -> Dialect:
        """The dialect of our own or a decoded message, by its type."""
        engine = "pbft" if isinstance(message, pbft_messages.Message) else "raft"
        return self._engines[engine]

    def encode(self, message: Any) -> bytes:
        if isinstance(message, Standing):
            return bytes([STANDING_PREFIX]) + message.encode()
        dialect = self._of(message)
        epoch: int = message.epoch
        raw = dialect.encode(message)
        if epoch == 0:
            return raw
        head = bytes([ERA_PREFIX]) + epoch.to_bytes(8, "big")
        return head + bytes([ENGINE_CODES[dialect.name]]) + raw

    def decode(self, raw: bytes, *, size_max: int) -> Any:
        """Return the message, or ``Foreign``; ``Malformed`` for what no era's member sends."""
        if len(raw) > size_max:
            raise Malformed(f"{len(raw)} bytes, at most {size_max} allowed")
        if raw[:1] == bytes([STANDING_PREFIX]):
            return decode_standing(raw[1:])
        epoch, engine, body = 0, ENGINE_CODES[self._founders], raw
        if raw[:1] == bytes([ERA_PREFIX]):
            if len(raw) < _HEAD_BYTES:
                raise Malformed("shorter than its head")
            epoch, engine, body = int.from_bytes(raw[1:9], "big"), raw[9], raw[_HEAD_BYTES:]
            if epoch == 0:
                raise Malformed("the founders' messages have no head")
        elif raw[:1] != bytes([BARE]):
            raise Malformed("no message begins so")
        era = self._in_force.era
        if epoch != era.committee.epoch or engine != ENGINE_CODES[era.engine]:
            return Foreign(epoch)
        message = self._dialect().decode(body, size_max=size_max)
        if message.epoch != epoch:
            raise Malformed("a message of another epoch than its head says")
        return message

    def statement(self, message: Any, network: bytes) -> Statement | None:
        return (
            None
            if isinstance(message, _HINTS)
            else self._of(message).statement(message, network)
        )

    def with_signature(self, message: Any, signature: bytes) -> Any:
        return self._of(message).with_signature(message, signature)

    def checks(
        self,
        message: Any,
        *,
        sender: NodeId,
        committee: Committee,  # noqa: ARG002 - that of the era in force counts
        network: bytes,
    ) -> tuple[Check, ...]:
        """None for what is not of the era in force: it has no effect but a question."""
        era = self._in_force.era
        if isinstance(message, _HINTS) or message.epoch != era.committee.epoch:
            return ()
        return self._dialect().checks(
            message, sender=sender, committee=era.committee, network=network
        )

    def proposals(self, message: Any) -> tuple[Proposal, ...]:
        return () if isinstance(message, _HINTS) else self._of(message).proposals(message)

    def is_fresh(self, message: Any) -> bool:
        return not isinstance(message, _HINTS) and self._of(message).is_fresh(message)

    def certificate_checks(
        self, certificate: bytes, *, proposal: Proposal, committee: Committee, network: bytes
    ) -> tuple[Check, ...]:
        """Check a block of the era in force, which ``committee`` must be of.

        ``Malformed`` for a block below it, or when ``committee`` is of another era.  Blocks
        above the next barrier cannot be told from those below; whoever fetches stops there.
        """
        era = self._in_force.era
        if committee != era.committee or proposal.height < era.from_height:
            raise Malformed("a certificate of another era")
        return self._dialect().certificate_checks(
            certificate, proposal=proposal, committee=committee, network=network
        )
