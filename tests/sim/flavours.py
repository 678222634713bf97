"""How the simulator builds each engine: the only place that knows their configurations."""

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from consensus.engine import Dialect, Engine
from consensus.types import Applied, Check, Committee, NodeId, Proposal
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

    def acknowledged(self, engine: Any) -> tuple[int, dict[str, int]]:
        """What a leader counts as held by each of the others, which only grows.

        First the index of the newest change of members: who leaves and comes starts anew.
        """

    def changes(self, engine: Any) -> tuple[int, list[int]]:
        """Up to which place its log is final, and where changes of members lie above that."""

    def electable_without(self, world: "World", proposal: Proposal) -> str | None:
        """Who, by what is on the disks, could come to lead without the final ``proposal``."""

    def forked(self, nodes: list["SimNode"]) -> str | None:
        """Where two logs hold one entry and differ in it, or below it."""

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

    def acknowledged(self, engine: Any) -> tuple[int, dict[str, int]]:
        return 0, {}

    def changes(self, engine: Any) -> tuple[int, list[int]]:
        return 0, []

    def electable_without(self, world: "World", proposal: Proposal) -> str | None:
        return None

    def forked(self, nodes: list["SimNode"]) -> str | None:
        return None

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

    def engine(
        self,
        world: "World",
        node: str,
        committee: Committee,
        *,
        voters: tuple[str, ...] = (),
        first: NodeId | None = None,
        **state: Any,
    ) -> Engine:
        """``voters``: none for the plan's first members; ``first``: who leads first."""
        from consensus.raft.config import RaftConfig
        from consensus.raft.engine import RaftEngine

        plan = world.plan
        election_ms = self.patience_ms(plan)
        config = RaftConfig(
            self_id=NodeId(node),
            committee=committee,
            voters=tuple(NodeId(each) for each in voters or world.ids[: plan.members]),
            first_leader=first,
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

    def acknowledged(self, engine: Any) -> tuple[int, dict[str, int]]:
        core = engine._core
        return core.members_at[-1][0], {peer: at.match for peer, at in core.tracker.visit()}

    def changes(self, engine: Any) -> tuple[int, list[int]]:
        core = engine._core
        above = core.log.between(core.commit + 1, core.log.last)
        return core.commit, [entry.index for entry in above if entry.change is not None]

    def electable_without(self, world: "World", proposal: Proposal) -> str | None:
        """A final entry is in every log that a majority would vote for (paper 5.4)."""
        if world.plan.member_changes:
            return None  # who votes, only the logs know
        logs = {node.id: _stored_log(node) for node in world.honest if not node.lost}
        ends = {node: log.end for node, log in logs.items() if log.end is not None}
        for node, end in ends.items():
            votes = sum(1 for other in ends.values() if other <= end)
            if votes >= world.committee.majority and not logs[node].holds(proposal):
                return node
        return None

    def forked(self, nodes: list["SimNode"]) -> str | None:
        return self.forked_logs({node.id: node.driver.engine._core.log for node in nodes})

    def forked_logs(self, logs: dict[str, Any]) -> str | None:
        """Log matching: one index and term, one entry and one past (paper 5.3)."""
        for (one, mine), (other, theirs) in itertools.combinations(logs.items(), 2):
            met = False
            low = max(mine.first, theirs.first)
            for index in range(min(mine.last, theirs.last), low - 1, -1):
                here, there = mine.entry(index), theirs.entry(index)
                met = met or here.term == there.term
                if met and here != there:
                    return f"{one} and {other} at {index}"
        return None

    def change_members(self, engine: Any, ids: tuple[str, ...], rng: random.Random) -> bool:
        """Any step, alone or with others, plain or joint; leaving a joint one when in it."""
        from consensus.effects import ProposeResult
        from consensus.raft import membership

        members = engine._core.tracker.members
        add, listen, remove = membership.ADD_VOTER, membership.ADD_LEARNER, membership.REMOVE
        if members.is_joint:
            change = membership.Change()
        elif rng.random() < 0.6:  # one step that makes a difference
            node = NodeId(rng.choice(ids))
            kinds = (remove, remove, listen) if node in members.voters else (add, add, listen)
            change = membership.Change(0, (membership.Step(rng.choice(kinds), node),))
        else:
            chosen = rng.sample(ids, min(len(ids), rng.choice((1, 1, 2, 3))))
            steps = [
                membership.Step(rng.choice((add, listen, remove)), NodeId(node))
                for node in chosen
            ]
            change = membership.Change(rng.choice((0, 0, 1, 2)), tuple(steps))
        try:
            return bool(engine.propose_membership(change) is ProposeResult.ACCEPTED)
        except membership.ChangeRefused:
            return False

    def proven(self, contradiction: "Contradiction", committee: Committee) -> tuple[Check, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class _StoredLog:
    """What a member would start with after a crash now; ``end``: the last term and index,
    None when it cannot say and therefore neither votes nor campaigns."""

    end: tuple[int, int] | None
    height: int  # up to here it has every final block
    digests: frozenset[bytes]

    def holds(self, proposal: Proposal) -> bool:
        return proposal.height <= self.height or proposal.digest in self.digests


def _stored_log(node: "SimNode") -> _StoredLog:
    from consensus import wire
    from consensus.raft import records

    stored = node.disk.synced
    applied = stored.get(b"a/applied", ledger.GENESIS).height
    prefix = b"e/" + records.LOG_PREFIX
    keys = sorted(key for key in stored if key.startswith(prefix))
    size_max = records.RECORD_BYTES_MAX
    entries = [wire.decode(records.Entry, stored[key], size_max=size_max) for key in keys]
    digests = frozenset(each.proposal.digest for each in entries if each.proposal is not None)
    raw = stored.get(b"e/" + records.BASE_KEY)
    if raw is None:
        return _StoredLog((0, 0) if not applied else None, applied, digests)
    base = wire.decode(records.Base, raw, size_max=size_max)
    end = (base.term, base.index) if base.term_known else None
    if entries:
        end = (entries[-1].term, entries[-1].index)
    return _StoredLog(end, max(applied, base.height), digests)


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

    def acknowledged(self, engine: Any) -> tuple[int, dict[str, int]]:
        return 0, {}

    def changes(self, engine: Any) -> tuple[int, list[int]]:
        return 0, []

    def electable_without(self, world: "World", proposal: Proposal) -> str | None:
        return None

    def forked(self, nodes: list["SimNode"]) -> str | None:
        return None

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
    if name == "eras":
        from tests.sim.eras import Eras

        return Eras()
    if name not in _FLAVOURS:
        raise ValueError(f"no engine called {name!r}")
    built: Flavour = _FLAVOURS[name]()
    return built
