"""Eras in the simulator: what a change of members or engine means, and engines in succession.

A ledger of a few operations.  ``listen``: an observer comes; ``vote``: an observer votes from
the next era on; ``demote`` and ``remove``: a voter becomes one, or nobody; ``rotate``: another
key; ``switch``: the other engine; ``alone``: one voter stays, all others become observers.  One
block may hold several: they make one era.  What does not fit changes nothing, so that barriers
without a change occur as well.

The only place that knows how ``Succession`` is built here.  A liar lies in PBFT eras only, and
about those: members of a Raft era trust one another, that is what its mode means.
"""

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from consensus.engine import Dialect, Engine
from consensus.raft.engine import RaftEngine
from consensus.raft.founding import first_leader
from consensus.succession import Succession
from consensus.succession_dialect import InForce, SuccessionDialect
from consensus.types import Applied, Check, Committee, Era, Member, NodeId, Proposal
from tests.sim import ledger
from tests.sim.flavours import Pbft, Raft
from tests.sim.plan import Plan

if TYPE_CHECKING:
    from consensus.effects import Contradiction
    from tests.sim.keys import Keys
    from tests.sim.node import SimNode
    from tests.sim.world import World

KINDS = (
    "listen", "listen", "vote", "vote", "vote", "demote", "remove", "rotate", "rotate",
    "switch", "switch", "switch",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One operation on who orders blocks, and how."""

    kind: str
    node: NodeId


def changed(
    era: Era, changes: Iterable[Change], *, height: int, keys: "Keys", voters_min: int
) -> Era | None:
    """Return what follows the block at ``height`` that holds ``changes``; None: no change."""
    voters = {member.id: member for member in era.committee.members}
    observers, engine = dict.fromkeys(era.observers), era.engine
    for each in changes:
        node = each.node
        if each.kind == "listen" and node not in voters:
            observers[node] = None
        elif each.kind == "vote" and node in observers:
            del observers[node]
            voters[node] = Member(node, keys.public[node])
        elif each.kind in ("demote", "remove") and node in voters and len(voters) > voters_min:
            del voters[node]
            if each.kind == "demote":
                observers[node] = None
        elif each.kind == "remove":
            observers.pop(node, None)
        elif each.kind == "alone" and node in voters and voters_min == 1:
            observers |= dict.fromkeys(other for other in voters if other != node)
            voters = {node: voters[node]}
        elif each.kind == "rotate" and node in voters:
            voters[node] = Member(node, keys.rotated(node, height))
        elif each.kind == "switch":
            engine = "raft" if engine == "pbft" else "pbft"
    members = tuple(voters[node] for node in sorted(voters))
    observing = tuple(sorted(observers))
    if (members, engine) != (era.committee.members, era.engine):
        committee = Committee(era.committee.epoch + 1, members)
        return Era(engine, committee, height + 1, observing)
    return replace(era, observers=observing) if observing != era.observers else None


class Eras:
    """Both engines, one after the other; implements ``flavours.Flavour``."""

    reads = True

    def __init__(self) -> None:
        self._engines: dict[str, Any] = {"raft": Raft(), "pbft": Pbft()}
        self.dialect: Dialect = SuccessionDialect(
            InForce(Era("raft", Committee(0, (Member(NodeId("nobody"), bytes(32)),)))),
            founders="raft",
        )
        self._dialects: dict[Era, SuccessionDialect] = {}

    def dialect_of(self, era: Era, founders: str) -> Dialect:
        """The dialect of somebody who is in ``era``."""
        known = self._dialects.get(era)
        if known is None:
            known = self._dialects[era] = SuccessionDialect(InForce(era), founders=founders)
        return known

    def succession(
        self, world: "World", node: "SimNode", in_force: InForce, **state: Any
    ) -> Engine:
        rng = state.pop("rng")

        def make(era: Era, pairs: Any, applied: Applied, now_ms: int) -> Engine:
            given = {"pairs": pairs, "applied": applied, "rng": rng, "now_ms": now_ms}
            if era.engine == "pbft":
                return self._engines["pbft"].engine(world, node.id, era.committee, **given)
            leader = None
            if era.committee.epoch:
                leader = first_leader(era, node.chain.proposer(era.from_height - 1))
            return self._engines["raft"].engine(
                world, node.id, era.committee, voters=era.committee.ids, first=leader, **given
            )

        pause_ms = self.patience_ms(world.plan) // 2
        return Succession(make, in_force, self_id=NodeId(node.id), pause_ms=pause_ms, **state)

    def engine(self, *_: Any, **__: Any) -> Engine:
        raise AssertionError("eras are built by ``succession``")

    def patience_ms(self, plan: Plan) -> int:
        return int(160 * plan.patience)

    def hand_over(self, engine: Any, peers: tuple[str, ...], rng: random.Random) -> bool:
        inner = engine.inner
        if not isinstance(inner, RaftEngine):
            return False
        return bool(self._engines["raft"].hand_over(inner, peers, rng))

    def members(self, node: "SimNode") -> tuple[str, ...]:
        return node.chain.committee.ids

    def acknowledged(self, engine: Any) -> tuple[int, dict[str, int]]:
        counted: tuple[int, dict[str, int]] = self._engines["raft"].acknowledged(engine.inner)
        return counted

    def changes(self, engine: Any) -> tuple[int, list[int]]:
        return 0, []

    def electable_without(self, world: "World", proposal: Proposal) -> str | None:
        return None

    def forked(self, nodes: list["SimNode"]) -> str | None:
        """Log matching within each Raft era."""
        of_raft = [node for node in nodes if node.chain.era.engine == "raft"]
        of_raft = [node for node in of_raft if not node.observes]
        for _, group in itertools.groupby(
            sorted(of_raft, key=lambda node: node.engine_epoch),
            key=lambda node: node.engine_epoch,
        ):
            logs = {node.id: node.driver.engine.inner._core.log for node in group}
            where: str | None = self._engines["raft"].forked_logs(logs)
            if where is not None:
                return where
        return None

    def change_members(self, engine: Any, ids: tuple[str, ...], rng: random.Random) -> bool:
        return False

    def proven(self, contradiction: "Contradiction", committee: Committee) -> tuple[Check, ...]:
        checks: tuple[Check, ...] = self._engines["pbft"].proven(contradiction, committee)
        return checks


def draw_change(world: "World") -> Change:
    """What a client asks for; most of it fits, some does not."""
    rng, liars = world.rng, {f"m{index}" for index, _ in world.plan.byzantine}
    kind = rng.choice((*KINDS, *world.plan.changes))
    node = rng.choice(world.ids)
    if kind == "rotate" and node in liars:
        kind = "switch"  # a liar's one key is known to its script
    return Change(kind, NodeId(node))


def first_era(world: "World") -> Era:
    plan = world.plan
    voters = world.ids[: plan.members]
    members = tuple(Member(NodeId(node), world.keys.public[node]) for node in sorted(voters))
    return Era(plan.founders, Committee(0, members))


def era_after(world: "World", before: Era, proposal: Proposal) -> Era | None:
    known = [world.member_changes.get(txid) for txid in ledger.txids_of(proposal)]
    return changed(
        before,
        [each for each in known if isinstance(each, Change)],
        height=proposal.height,
        keys=world.keys,
        voters_min=4 if world.plan.byzantine else world.plan.voters_min,
    )
