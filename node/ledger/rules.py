"""What a rule is made of: results, refusals, the context of one operation, the operation.

Families (one file each) are written in these words; ``node.ledger.registry`` finds them.
Result codes are part of the ledger: they are hashed into seals, so a number is never reused
and never changes its meaning.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from node.ledger import clock
from node.ledger.accel import Items
from node.ledger.genesis import Institution
from node.ledger.state import Overlay


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome: a be16 ``number`` for the ledger, a stable ``code``, a sentence."""

    number: int
    code: str
    say: str


APPLIED: Final = Result(0, "applied", "Applied.")
EXPIRED: Final = Result(1, "transaction-expired", "Ordered after its expiry height.")
UNKNOWN_SIGNER: Final = Result(
    2, "unknown-signer", "The key does not speak for that institution."
)
OP_UNKNOWN: Final = Result(3, "op-unknown", "No such operation in this ledger's rules.")
OP_MALFORMED: Final = Result(4, "op-malformed", "The operation's body breaks its format.")
ROLE_MISSING: Final = Result(5, "role-missing", "The institution lacks the role for this.")
WRONG_NETWORK: Final = Result(6, "wrong-network", "Signed for another network.")
EXPIRY_TOO_FAR: Final = Result(7, "expiry-too-far", "Expiry lies beyond the ledger's limit.")
COMMON: Final = (
    APPLIED,
    EXPIRED,
    UNKNOWN_SIGNER,
    OP_UNKNOWN,
    OP_MALFORMED,
    ROLE_MISSING,
    WRONG_NETWORK,
    EXPIRY_TOO_FAR,
)


class Refused(Exception):
    """A rule says no; the transaction is recorded as failed with this result."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.code)
        self.result = result


@dataclass(slots=True, kw_only=True)
class Moment:
    """Where and when something happens.  ``index`` collects rows for look-ups: derived data,
    outside the state root, rebuilt from the log if lost."""

    view: Overlay
    network: bytes
    height: int
    time_ms: int
    index: list[tuple[bytes, bytes]] = field(default_factory=list)
    items: list[Items] = field(default_factory=list)  # more of the index, rows not yet made

    def alarm(self, name: str, key: bytes, *, time_ms: int) -> None:
        """Have the alarm ``name`` fire for ``key`` in the first block at or after ``time_ms``.

        It cannot be taken back: what fires looks whether it still matters.
        """
        clock.set_alarm(self.view, name, key, time_ms=time_ms)


@dataclass(slots=True, kw_only=True)
class Context(Moment):
    """What one operation may see and do.  ``anchored`` counts commitments, for metrics."""

    org: Institution
    keys: tuple[bytes, ...]  # the author's first, then those of the co-signers
    txid: bytes
    leaf_index: int
    op_index: int = 0
    anchored: int = 0

    @property
    def place(self) -> bytes:
        """Return leaf index (be64) and position (be16): unique, in ledger order."""
        return self.leaf_index.to_bytes(8, "big") + self.op_index.to_bytes(2, "big")

    def signed_by(self, key: bytes) -> bool:
        """Return whether ``key`` signed this transaction, as author or co-signer."""
        return key in self.keys


@dataclass(frozen=True, slots=True)
class Alarm:
    """What happens when a clock runs out.

    ``fire`` is given the key that the alarm was set for, sees the state as it stands then, and
    must not raise: nobody is there to be refused.
    """

    name: str  # family.word
    fire: Callable[[Moment, bytes], None]
    say: str


@dataclass(frozen=True, slots=True)
class Operation:
    """A verb: how its body is typed, who may emit it, what it does.

    ``apply`` raises ``Refused`` or changes ``context.view``; it must be deterministic.  Empty
    ``roles``: every institution may emit it.  ``barrier``: it may change who votes, so nothing
    is ordered on top of its block before that block is applied.
    """

    kind: str
    body: type
    apply: Callable[[Context, Any], None]
    roles: frozenset[str]
    say: str
    barrier: bool = False
