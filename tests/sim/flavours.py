"""How the simulator builds each engine: the only place that knows their configurations."""

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from consensus.engine import Dialect, Engine
from consensus.types import Applied, Check, Committee, NodeId
from tests.sim import ledger, oneleader
from tests.sim.plan import Plan

if TYPE_CHECKING:
    from consensus.effects import Contradiction
    from tests.sim.node import SimNode
    from tests.sim.world import World


class Flavour(Protocol):
    dialect: Dialect
    reads: bool  # does the engine answer linearizable reads?

    def engine(
        self,
        world: "World",
        node: str,
        committee: Committee,
        *,
        pairs: Iterable[tuple[bytes, bytes]],
        applied: Applied,
        rng: random.Random,
        now_ms: int,
    ) -> Engine: ...

    def patience_ms(self, plan: Plan) -> int:
        """How long members wait for their leader."""

    def hand_over(self, engine: Any, peers: tuple[str, ...], rng: random.Random) -> bool:
        """Ask ``engine`` to give up its leader or to follow another; False: it cannot."""

    def members(self, node: "SimNode") -> tuple[str, ...]:
        """Who has a say or follows, as far as ``node`` knows."""

    def change_members(self, engine: Any, ids: tuple[str, ...], rng: random.Random) -> bool:
        """Propose a change of members past the blocks; False: refused, or not done so."""

    def proven(self, contradiction: "Contradiction", committee: Committee) -> tuple[Check, ...]:
        """Return the signatures that prove ``contradiction``; ``Malformed`` if none can."""


class OneLeader:
    dialect: Dialect = oneleader.DIALECT
    reads = False

    def engine(self, world: "World", node: str, committee: Committee, **state: Any) -> Engine:
        config = oneleader.Config(NodeId(node), committee, ledger.NETWORK)
        return oneleader.OneLeaderEngine(config, **state)

    def patience_ms(self, plan: Plan) -> int:
        return oneleader.RESEND_MS

    def hand_over(self, engine: Any, peers: tuple[str, ...], rng: random.Random) -> bool:
        return False

    def members(self, node: "SimNode") -> tuple[str, ...]:
        return node.chain.committee.ids

    def change_members(self, engine: Any, ids: tuple[str, ...], rng: random.Random) -> bool:
        return False

    def proven(self, contradiction: "Contradiction", committee: Committee) -> tuple[Check, ...]:
        return ()


class Raft:
    """Elections in a few hundred milliseconds and logs of a few entries, so that a short run
    sees many leaders and much compaction."""

    reads = True

    def __init__(self) -> None:
        from consensus.raft.dialect import DIALECT

        self.dialect: Dialect = DIALECT

    def patience_ms(self, plan: Plan) -> int:
        return int(160 * plan.patience)

    def engine(self, world: "World", node: str, committee: Committee, **state: Any) -> Engine:
        from consensus.raft.config import RaftConfig
        from consensus.raft.engine import RaftEngine

        plan = world.plan
        election_ms = self.patience_ms(plan)
        config = RaftConfig(
            self_id=NodeId(node),
            committee=committee,
            voters=tuple(NodeId(each) for each in world.ids[: plan.members]),
            election_ms_min=election_ms,
            election_ms_spread=election_ms,
            heartbeat_ms=election_ms // 3,
            window=plan.window,
            message_entries_max=plan.message_entries_max,
            inflight_messages_max=plan.inflight_messages_max,
            log_keep_entries=plan.log_keep_entries,
        )
        return RaftEngine(config, **state)

    def hand_over(self, engine: Any, peers: tuple[str, ...], rng: random.Random) -> bool:
        """Leadership transfer, or a follower that forgets its leader."""
        if engine.status().role == "leader":
            return bool(engine.transfer(rng.choice(peers)))
        return bool(engine.forget_leader())

    def members(self, node: "SimNode") -> tuple[str, ...]:
        everybody: tuple[str, ...] = node.driver.engine._core.tracker.members.everybody
        return everybody

    def change_members(self, engine: Any, ids: tuple[str, ...], rng: random.Random) -> bool:
        """Any step, alone or with others, plain or joint; leaving a joint one when in it."""
        from consensus.effects import ProposeResult
        from consensus.raft import membership

        if engine._core.tracker.members.is_joint:
            change = membership.Change()
        else:
            kinds = (membership.ADD_VOTER, membership.ADD_LEARNER, membership.REMOVE)
            chosen = rng.sample(ids, rng.choice((1, 1, 2, 3)))
            steps = [membership.Step(rng.choice(kinds), NodeId(node)) for node in chosen]
            change = membership.Change(rng.choice((0, 0, 1, 2)), tuple(steps))
        try:
            return bool(engine.propose_membership(change) is ProposeResult.ACCEPTED)
        except membership.ChangeRefused:
            return False

    def proven(self, contradiction: "Contradiction", committee: Committee) -> tuple[Check, ...]:
        return ()


class Pbft:
    """Timeouts a tenth of the defaults, so that a short run changes views often."""

    reads = True

    def __init__(self) -> None:
        from consensus.pbft.dialect import DIALECT

        self.dialect: Dialect = DIALECT

    def patience_ms(self, plan: Plan) -> int:
        return int(160 * plan.patience)

    def engine(self, world: "World", node: str, committee: Committee, **state: Any) -> Engine:
        from consensus.pbft.engine import PbftConfig, PbftEngine

        plan = world.plan
        patience_ms = self.patience_ms(plan)
        config = PbftConfig(
            self_id=NodeId(node),
            committee=committee,
            network=ledger.NETWORK,
            request_ms=patience_ms,
            view_change_ms=patience_ms,
            resend_ms=patience_ms // 2,
            status_ms=patience_ms * 5 // 4,
            window=plan.window,
            rotation_blocks=plan.rotation_blocks,
            checkpoint_lag_max=plan.checkpoint_lag_max,
        )
        return PbftEngine(config, **state)

    def hand_over(self, engine: Any, peers: tuple[str, ...], rng: random.Random) -> bool:
        return False

    def members(self, node: "SimNode") -> tuple[str, ...]:
        return node.chain.committee.ids

    def change_members(self, engine: Any, ids: tuple[str, ...], rng: random.Random) -> bool:
        return False

    def proven(self, contradiction: "Contradiction", committee: Committee) -> tuple[Check, ...]:
        from consensus.pbft import evidence

        found, checks = evidence.prove(
            evidence.encode(contradiction), committee=committee, network=ledger.NETWORK
        )
        assert found == contradiction, "evidence proves what it says"
        return checks


_FLAVOURS: dict[str, Any] = {"oneleader": OneLeader, "raft": Raft, "pbft": Pbft}


def flavour(name: str) -> Flavour:
    """Return how to build the engine ``name``; imports it only now."""
    if name not in _FLAVOURS:
        raise ValueError(f"no engine called {name!r}")
    built: Flavour = _FLAVOURS[name]()
    return built
