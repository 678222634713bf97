"""How the simulator builds each engine: the only place that knows their configurations."""

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from consensus.engine import Dialect, Engine
from consensus.types import Applied, NodeId
from tests.sim import ledger, oneleader

if TYPE_CHECKING:
    from tests.sim.world import World


class Flavour(Protocol):
    dialect: Dialect

    def engine(
        self,
        world: "World",
        node: str,
        *,
        pairs: Iterable[tuple[bytes, bytes]],
        applied: Applied,
        rng: random.Random,
        now_ms: int,
    ) -> Engine: ...


class OneLeader:
    dialect: Dialect = oneleader.DIALECT

    def engine(self, world: "World", node: str, **state: Any) -> Engine:
        config = oneleader.Config(NodeId(node), world.committee, ledger.NETWORK)
        return oneleader.OneLeaderEngine(config, **state)


def flavour(name: str) -> Flavour:
    if name == "oneleader":
        return OneLeader()
    raise ValueError(f"no engine called {name!r}")
