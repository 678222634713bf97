"""What must hold whatever happens: the judge of a simulated cluster.

The judge sees every honest node's deliveries, restarts, rounds, reads and accusations, keeps
the one final chain that all of them must share, and raises ``Violation`` at the first event
that breaks a rule.  A wiped member follows the rules but has forgotten what it promised: it
counts as honest for what it delivers and as a liar for what others may rely on.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from consensus.codec import Malformed
from consensus.effects import Contradiction, Decided, ReadReady
from consensus.types import Applied, Committee, Era
from tests.sim import ledger

if TYPE_CHECKING:
    from tests.sim.node import SimNode
    from tests.sim.world import World

RECORDS_MAX = 400  # engine records on one disk, next to what the log is told to keep


class Violation(Exception):
    """A rule of the ordering is broken; ``rule`` is its short name."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule


@dataclass(frozen=True, slots=True)
class _Read:
    floor: int
    node: str
    incarnation: int


class Judge:
    def __init__(self, world: "World") -> None:
        self._world = world
        self.chain: dict[int, bytes] = {0: ledger.GENESIS.digest}
        self.tx_height: dict[bytes, int] = {}
        self.delivered: dict[str, int] = {}
        self.acknowledged = 0  # the highest height that anybody reported as executed
        self.moved = True  # something was delivered or applied since the world last looked
        self.top_round = 0
        self.first_round = 0  # the newest when the first block was delivered
        self.accused: dict[tuple[str, str, int, int, int], None] = {}
        self.eras: list[Era] = [world.first_era]
        self._roots: dict[int, bytes] = {}
        self._leaders: dict[tuple[int, int], str] = {}
        self._counted: dict[str, tuple[tuple[int, int, int, int], dict[str, int]]] = {}
        self._final_index = 0  # the highest place in any log that is known to be final
        self._certificates: set[tuple[bytes, bytes]] = set()
        self._applied: dict[str, int] = {}
        self._round: dict[str, tuple[int, int]] = {}
        self._tops: dict[tuple[str, int], int] = {}  # highest view, by member and epoch
        self._commits: dict[tuple[int, int, int, bytes], set[str]] = {}
        self._certain: dict[int, bytes] = {}  # what a quorum may hold to be final
        self._reads: dict[int, _Read] = {}
        self.answers: dict[str, int] = {}  # reads answered, by node

    # --- one member over time -------------------------------------------------------------

    def booted(self, node: "SimNode", applied: Applied, round_now: int) -> None:
        """A node came up from its disk: it must not have forgotten what it reported."""
        if applied.height < self._applied.get(node.id, 0):
            raise Violation("applied-lost", f"{node.id} is back at {applied.height}")
        if self.chain.get(applied.height) != applied.digest:
            raise Violation("applied-foreign", f"{node.id} holds another {applied.height}")
        at = (node.engine_epoch, round_now)
        if at < self._round.get(node.id, (0, 0)):
            raise Violation("round-forgotten", f"{node.id} is back in round {round_now}")
        self._reached(node, at)
        self.delivered[node.id] = self._applied[node.id] = applied.height

    def forgot(self, node: "SimNode") -> None:
        """The disk of ``node`` was lost: hold it to nothing that it said before."""
        self._applied.pop(node.id, None)
        self._round.pop(node.id, None)
        self.delivered[node.id] = 0

    def promised(self, node: "SimNode", at: tuple[int, int]) -> None:
        """A synced turn of ``node`` was taken in epoch and round ``at``."""
        if at < self._round.get(node.id, (0, 0)):
            raise Violation("round-back", f"{node.id} went back to round {at}")
        of_pbft = self.era(at[0]).engine == "pbft"
        if of_pbft and at[1] > self._tops.get((node.id, at[0]), 0):
            self._accompanied(node, *at)
        self._reached(node, at)
        self._round[node.id] = at
        self.top_round = max(self.top_round, at[1])

    def _reached(self, node: "SimNode", at: tuple[int, int]) -> None:
        place = (node.id, at[0])
        self._tops[place] = max(self._tops.get(place, 0), at[1])

    def _relied_on(self, committee: Committee) -> list[str]:
        """Who of ``committee`` neither lies nor forgot."""
        return [member for member in committee.ids if member in self._world.trusted]

    def era(self, epoch: int) -> Era:
        return next(each for each in reversed(self.eras) if each.committee.epoch == epoch)

    def _epoch(self, epoch: int) -> Committee:
        return self.era(epoch).committee

    def _accompanied(self, node: "SimNode", epoch: int, view: int) -> None:
        """A view is left by a quorum: nobody runs ahead alone, and liars drive nobody."""
        committee = self._epoch(epoch)
        sound = self._relied_on(committee)
        there = [each for each in sound if self._tops.get((each, epoch), 0) >= view - 1]
        lying = len(committee.ids) - len(sound)
        if len(there) + lying < committee.byzantine_quorum:
            raise Violation(
                "lone-mover", f"{node.id} is in view {view}, in {view - 1} were only {there}"
            )

    def committed(self, node: "SimNode", message: Any) -> None:
        """``node`` states its commit: two blocks of a height never gather a quorum each.

        That the second certificate is never put together does not make it less of a fork.
        """
        if node.id not in self._world.trusted:
            return
        place = (message.epoch, message.view, message.height, message.digest)
        votes = self._commits.setdefault(place, set())
        votes.add(node.id)
        committee = self._epoch(message.epoch)
        sound = self._relied_on(committee)
        lying = len(committee.ids) - len(sound)
        if len(votes.intersection(sound)) + lying < committee.byzantine_quorum:
            return
        height, digest = message.height, message.digest
        known = {digest, self._certain.setdefault(height, digest), self.chain.get(height)}
        if len(known - {None}) > 1:
            raise Violation("two-certificates", f"a second block may be final at {height}")

    def applied(self, node: "SimNode", height: int, root: bytes) -> None:
        if height != self._applied[node.id] + 1:
            raise Violation("applied-gap", f"{node.id} applied {height}")
        if self._roots.setdefault(height, root) != root:
            raise Violation("state-root", f"{node.id} has another state after {height}")
        self._applied[node.id] = height
        self.acknowledged = max(self.acknowledged, height)
        self.moved = True

    # --- deliveries -----------------------------------------------------------------------

    def deliver(self, node: "SimNode", decided: Decided) -> None:
        proposal = decided.proposal
        height = proposal.height
        expected = self.delivered.get(node.id, 0) + 1
        if height != expected:
            raise Violation("in-order-once", f"{node.id} got {height}, next is {expected}")
        if proposal.parent != self.chain.get(height - 1):
            raise Violation("parent", f"{node.id}: block {height} has another parent")
        known = self.chain.get(height)
        if known is None:
            self._first_delivery(decided)
        elif known != proposal.digest:
            raise Violation("agreement", f"{node.id}: a second block at height {height}")
        self._certificate(node, decided)
        self.delivered[node.id] = height
        self.moved = True

    def era_at(self, height: int) -> Era:
        """Who decides ``height``, and how; with the newest observers of that time."""
        for era in reversed(self.eras):
            if height >= era.from_height:
                return era
        return self.eras[0]

    def committee_at(self, height: int) -> Committee:
        return self.era_at(height).committee

    def _first_delivery(self, decided: Decided) -> None:
        proposal, world = decided.proposal, self._world
        if not world.well_formed(proposal):
            raise Violation("validity", f"block {proposal.height} is not well formed")
        for txid in ledger.txids_of(proposal):
            if txid not in world.submitted:
                raise Violation("validity", f"block {proposal.height}: unknown transaction")
            if txid in self.tx_height:
                raise Violation("transaction-once", f"block {proposal.height} repeats one")
            self.tx_height[txid] = proposal.height
        self._kept_by_a_quorum(decided)
        rival = world.flavour.electable_without(world, proposal)
        if rival is not None:
            raise Violation("electable", f"{rival} could lead without block {proposal.height}")
        if len(self.chain) == 1:
            self.first_round = self.top_round
        self.chain[proposal.height] = proposal.digest
        if proposal.barrier:
            after = world.era_after(self.era_at(proposal.height), proposal)
            if after is not None:
                self.eras.append(after)

    def _kept_by_a_quorum(self, decided: Decided) -> None:
        """A final block's body is on enough disks to survive any allowed loss."""
        world = self._world
        committee = self.committee_at(decided.proposal.height)
        key = b"b/" + decided.proposal.digest
        members = [node for node in world.honest if committee.index(node.id) is not None]
        kept = sum(1 for node in members if key in node.disk.synced)
        needed = committee.majority
        if self.era_at(decided.proposal.height).engine == "pbft":
            needed = committee.byzantine_quorum
        needed -= len(world.plan.byzantine)  # of a quorum, all but the liars keep what they say
        needed -= sum(1 for node in members if node.wiped)
        if world.plan.engine == "raft" and world.plan.member_changes:
            needed = 1  # a majority of whom, only the log knows
        if kept < needed:
            raise Violation(
                "durable", f"block {decided.proposal.height} is on {kept} disks, not {needed}"
            )

    def _certificate(self, node: "SimNode", decided: Decided) -> None:
        key = (decided.proposal.digest, decided.certificate)
        if key in self._certificates:
            return
        world = self._world
        try:
            era = self.era_at(decided.proposal.height)
            checks = world.dialect_of(era).certificate_checks(
                decided.certificate,
                proposal=decided.proposal,
                committee=era.committee,
                network=ledger.NETWORK,
            )
        except Malformed as error:
            raise Violation("certificate", f"{node.id}: {error}") from error
        if not all(world.keys.holds(check) for check in checks):
            raise Violation("certificate", f"{node.id}: signature does not hold")
        self._certificates.add(key)

    def leader(self, node: "SimNode", round_now: int) -> None:
        """``node`` says it leads ``round_now``: nobody else may ever have said so.

        What was acknowledged to it in that round is a fact, and stays one.
        """
        known = self._leaders.setdefault((node.engine_epoch, round_now), node.id)
        if known != node.id:
            raise Violation("one-leader", f"{node.id} and {known} lead round {round_now}")
        before = self._counted.get(node.id)
        changed, counted = self._world.flavour.acknowledged(node.driver.engine)
        at = (node.incarnation, node.engine_epoch, round_now, changed)
        if before is not None and before[0] == at:
            for peer, index in before[1].items():
                if counted.get(peer, index) < index:
                    raise Violation("match-back", f"{node.id} takes back what {peer} holds")
        self._counted[node.id] = (at, counted)

    def changes(self, node: "SimNode") -> None:
        """Members change one step at a time: of two that are not final yet one may be dropped,
        and then the quorums before and after need not meet (thesis 4.1)."""
        final, places = self._world.flavour.changes(node.driver.engine)
        self._final_index = max(self._final_index, final)
        under_way = [place for place in places if place > self._final_index]
        if len(under_way) > 1:
            raise Violation("one-change", f"{node.id} holds changes of members at {under_way}")

    def logs(self) -> None:
        """After the last fault, and at the end."""
        world = self._world
        where = world.flavour.forked([node for node in world.honest if node.up])
        if where is not None:
            raise Violation("log-matching", f"two pasts of one entry: {where}")

    # --- cosignatures, reads, evidence ----------------------------------------------------

    def cosigned(self, node: "SimNode", height: int, root: bytes) -> None:
        """``node`` holds a quorum of cosignatures over the state after ``height``."""
        if self._roots.get(height) != root:
            raise Violation("state-root", f"{node.id}: a quorum cosigned another {height}")

    def asked(self, node: "SimNode", token: int, floor: int) -> None:
        self._reads[token] = _Read(floor, node.id, node.incarnation)
        self._world.count("read")

    def answered(self, node: "SimNode", answer: ReadReady) -> None:
        """What was acknowledged before the question lies at or below the answer."""
        read = self._reads.pop(answer.token, None)
        if read is None or (read.node, read.incarnation) != (node.id, node.incarnation):
            raise Violation("read-token", f"{node.id} answers what it was not asked")
        if answer.height is None:
            self._world.count("read-lost")
            return
        self._world.count("read-answered")
        self.answers[node.id] = self.answers.get(node.id, 0) + 1
        self.moved = True
        if node.honest and answer.height < read.floor:
            raise Violation(
                "stale-read", f"{node.id} reads {answer.height}, {read.floor} was acknowledged"
            )

    def evidence(self, node: "SimNode", contradiction: Contradiction) -> None:
        """An accusation: never against an honest member, and provable by anybody."""
        world = self._world
        if contradiction.member in world.trusted:
            raise Violation(
                "evidence", f"{node.id} accuses {contradiction.member}: {contradiction.kind}"
            )
        if not node.honest:
            return
        committee = self._epoch(contradiction.epoch)
        try:
            checks = world.flavour.proven(contradiction, committee)
        except (Malformed, AssertionError) as error:
            raise Violation("evidence-proof", f"{node.id}: {error}") from error
        if not all(world.keys.holds(check) for check in checks):
            raise Violation("evidence-proof", f"{node.id}: a signature does not hold")
        place = (contradiction.round, contradiction.height)
        self.accused[contradiction.kind, contradiction.member, contradiction.epoch, *place] = (
            None
        )
        world.count("evidence")

    # --- at the end -----------------------------------------------------------------------

    def finished(self) -> None:
        """After healing: everybody has everything, and nobody hoards."""
        world = self._world
        top = max(self.chain)
        for node in world.following(world.honest):
            if node.chain.executed != top:
                raise Violation("progress", f"{node.id} is at {node.chain.executed}, not {top}")
            node.check()
            kept = sum(1 for key in node.disk.live if key.startswith(b"e/"))
            if kept > RECORDS_MAX + 2 * min(world.plan.log_keep_entries, len(self.chain) + 200):
                raise Violation("bounded", f"{node.id} keeps {kept} engine records")
