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


class Raft:
    """Elections in a few hundred milliseconds and logs of a few entries, so that a short run
    sees many leaders and much compaction."""

    def __init__(self) -> None:
        from consensus.raft.dialect import DIALECT

        self.dialect: Dialect = DIALECT

    def engine(self, world: "World", node: str, **state: Any) -> Engine:
        from consensus.raft.config import RaftConfig
        from consensus.raft.engine import RaftEngine

        plan = world.plan
        config = RaftConfig(
            self_id=NodeId(node),
            committee=world.committee,
            election_ms_min=250,
            election_ms_spread=250,
            heartbeat_ms=50,
            window=plan.window,
            message_entries_max=plan.message_entries_max,
            inflight_messages_max=plan.inflight_messages_max,
            log_keep_entries=plan.log_keep_entries,
        )
        return RaftEngine(config, **state)


class Pbft:
    """Timeouts a fifth of the defaults, so that a short run changes views often."""

    def __init__(self) -> None:
        from consensus.pbft.dialect import DIALECT

        self.dialect: Dialect = DIALECT

    def engine(self, world: "World", node: str, **state: Any) -> Engine:
        from consensus.pbft.engine import PbftEngine
        from consensus.pbft.state import PbftConfig

        config = PbftConfig(
            self_id=NodeId(node),
            committee=world.committee,
            network=ledger.NETWORK,
            request_ms=400,
            view_change_ms=400,
            resend_ms=200,
            status_ms=200,
            window=world.plan.window,
        )
        return PbftEngine(config, **state)


def flavour(name: str) -> Flavour:
    """Return how to build the engine ``name``; imports it only now."""
    if name == "oneleader":
        return OneLeader()
    if name == "raft":
        return Raft()
    if name == "pbft":
        return Pbft()
    raise ValueError(f"no engine called {name!r}")
