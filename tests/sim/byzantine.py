"""Members that lie, with their own real key.

``twins`` needs no script: two honest instances share one identity and each talks to a part of
the cluster, so the member equivocates as primary, votes twice and hides certificates.  The
others bend what an honest instance sends: nothing at all, garbage and replays, or well-signed
messages with fields changed or left out.
"""

import dataclasses
import random
from typing import Any

from consensus.engine import Dialect
from tests.sim import ledger
from tests.sim.keys import Keys
from tests.sim.plan import FORGER, GARBAGE, SILENT

REPLAY_KEPT_MAX = 64


class Liar:
    """Bends the outgoing messages of one Byzantine member."""

    def __init__(
        self, kind: str, node: str, dialect: Dialect, keys: Keys, rng: random.Random
    ) -> None:
        self._kind = kind
        self._node = node
        self._dialect = dialect
        self._keys = keys
        self._rng = rng
        self._past: list[bytes] = []

    def bend(self, message: Any, raw: bytes) -> list[bytes]:
        """Return what leaves for one peer in place of ``raw``."""
        if self._kind == SILENT:
            return []
        if self._kind == GARBAGE:
            return self._garbage(raw)
        if self._kind == FORGER and self._rng.random() < 0.3:
            return self._forgeries(message, raw)
        return [raw]

    def _garbage(self, raw: bytes) -> list[bytes]:
        rng, out = self._rng, [raw]
        if len(self._past) < REPLAY_KEPT_MAX:
            self._past.append(raw)
        draw = rng.random()
        if draw < 0.15:
            out.append(rng.randbytes(rng.randint(0, 200)))
        elif draw < 0.3:
            at = rng.randrange(len(raw))
            out.append(raw[:at] + bytes([raw[at] ^ (1 << rng.randrange(8))]) + raw[at + 1 :])
        elif draw < 0.5:
            out.append(rng.choice(self._past))
        elif draw < 0.6:
            out = []
        return out

    def _forgeries(self, message: Any, raw: bytes) -> list[bytes]:
        forged = self._conceal(message) if self._rng.random() < 0.4 else message
        if forged is message:
            forged = mutate(message, self._rng, depth=0)
        statement = self._dialect.statement(forged, ledger.NETWORK)
        if statement is not None and statement.signed is not None:
            signature = self._keys.sign(self._node, statement.signed)
            forged = self._dialect.with_signature(forged, signature)
        bent = self._dialect.encode(forged)
        return [bent] if self._rng.random() < 0.5 else [bent, raw]

    def _conceal(self, message: Any) -> Any:
        """Leave out one list of the message: certificates, choices, entries."""
        names = [field.name for field in dataclasses.fields(message)]
        lists = [name for name in names if type(getattr(message, name)) is tuple]
        filled = [name for name in lists if getattr(message, name)]
        if not filled:
            return message
        return dataclasses.replace(message, **{self._rng.choice(filled): ()})


def mutate(value: Any, rng: random.Random, *, depth: int) -> Any:
    """Return ``value`` with one thing somewhere inside it changed, left out or repeated."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        if not names:
            return value
        name = rng.choice(names)
        try:
            return dataclasses.replace(
                value, **{name: mutate(getattr(value, name), rng, depth=depth + 1)}
            )
        except ValueError:  # the record refuses to say this: say the old thing
            return value
    if type(value) is tuple:
        return _mutate_tuple(value, rng, depth)
    if type(value) is bool:
        return not value
    if type(value) is int:
        return max(0, rng.choice((value - 1, value + 1, value + 2, 0)))
    if type(value) is bytes and value:
        at = rng.randrange(len(value))
        return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
    return value


def _mutate_tuple(value: tuple[Any, ...], rng: random.Random, depth: int) -> tuple[Any, ...]:
    if not value:
        return value
    at = rng.randrange(len(value))
    way = rng.randrange(4)
    if way == 0:
        return value[:at] + value[at + 1 :]
    if way == 1:
        return ()
    if way == 2:
        return (*value[:at], value[at], *value[at:])
    return (*value[:at], mutate(value[at], rng, depth=depth + 1), *value[at + 1 :])
