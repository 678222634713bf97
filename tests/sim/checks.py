"""What must hold whatever happens: the judge of a simulated cluster.

The judge sees every honest node's deliveries, restarts and rounds, keeps the one final chain
that all of them must share, and raises ``Violation`` at the first event that breaks a rule.
"""

from typing import TYPE_CHECKING

from consensus.codec import Malformed
from consensus.effects import Decided
from consensus.types import Applied
from tests.sim import ledger

if TYPE_CHECKING:
    from tests.sim.node import SimNode
    from tests.sim.world import World


class Violation(Exception):
    """A rule of the ordering is broken; ``rule`` is its short name."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule


class Judge:
    def __init__(self, world: "World") -> None:
        self._world = world
        self.chain: dict[int, bytes] = {0: ledger.GENESIS.digest}
        self.tx_height: dict[bytes, int] = {}
        self._leaders: dict[int, str] = {}
        self._certificates: set[tuple[bytes, bytes]] = set()
        self.delivered: dict[str, int] = {}
        self._applied: dict[str, int] = {}
        self._round: dict[str, int] = {}

    def booted(self, node: "SimNode", applied: Applied, round_now: int) -> None:
        """A node came up from its disk: it must not have forgotten what it reported."""
        if applied.height < self._applied.get(node.id, 0):
            raise Violation("applied-lost", f"{node.id} is back at {applied.height}")
        if self.chain.get(applied.height) != applied.digest:
            raise Violation("applied-foreign", f"{node.id} holds another {applied.height}")
        if round_now < self._round.get(node.id, 0):
            raise Violation("round-forgotten", f"{node.id} is back in round {round_now}")
        self.delivered[node.id] = self._applied[node.id] = applied.height

    def promised(self, node: "SimNode", round_now: int) -> None:
        """A synced turn of ``node`` was taken in ``round_now``."""
        if round_now < self._round.get(node.id, 0):
            raise Violation("round-back", f"{node.id} went back to round {round_now}")
        self._round[node.id] = round_now

    def applied(self, node: "SimNode", height: int) -> None:
        if height != self._applied[node.id] + 1:
            raise Violation("applied-gap", f"{node.id} applied {height}")
        self._applied[node.id] = height

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
            self._first_delivery(node, decided)
        elif known != proposal.digest:
            raise Violation("agreement", f"{node.id}: a second block at height {height}")
        self._certificate(node, decided)
        self.delivered[node.id] = height

    def _first_delivery(self, node: "SimNode", decided: Decided) -> None:
        proposal = decided.proposal
        if not ledger.well_formed(proposal):
            raise Violation("validity", f"block {proposal.height} is not well formed")
        for txid in ledger.txids_of(proposal):
            if txid not in self._world.submitted:
                raise Violation("validity", f"block {proposal.height}: unknown transaction")
            if txid in self.tx_height:
                raise Violation("transaction-once", f"block {proposal.height} repeats one")
            self.tx_height[txid] = proposal.height
        self.chain[proposal.height] = proposal.digest
        self._kept_by_a_quorum(decided)

    def _kept_by_a_quorum(self, decided: Decided) -> None:
        """A final block's body is on enough disks to survive any allowed loss."""
        world = self._world
        digest = decided.proposal.digest
        key = b"b/" + digest
        kept = sum(1 for node in world.honest if key in node.disk.synced)
        members = world.plan.members
        needed = members // 2 + 1
        if world.plan.engine == "pbft":  # of a quorum, all but the liars keep what they say
            needed = (members + (members - 1) // 3) // 2 + 1 - len(world.plan.byzantine)
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
            checks = world.dialect.certificate_checks(
                decided.certificate,
                proposal=decided.proposal,
                committee=world.committee,
                network=ledger.NETWORK,
            )
        except Malformed as error:
            raise Violation("certificate", f"{node.id}: {error}") from error
        if not all(world.keys.holds(check) for check in checks):
            raise Violation("certificate", f"{node.id}: signature does not hold")
        self._certificates.add(key)

    def leader(self, node: "SimNode", round_now: int) -> None:
        """``node`` says it leads ``round_now``: nobody else may ever have said so."""
        if self._leaders.setdefault(round_now, node.id) != node.id:
            raise Violation(
                "one-leader", f"{node.id} and {self._leaders[round_now]} lead round {round_now}"
            )

    def finished(self) -> None:
        """After healing: everybody has everything."""
        world = self._world
        top = max(self.chain)
        for node in world.honest:
            if node.executed != top:
                raise Violation("progress", f"{node.id} is at {node.executed}, not {top}")
