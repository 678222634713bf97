"""Real networks under kills, pauses and partitions: what clients saw is linearizable.

Every client operation of a run is recorded with its interval, and the checker that agrees with
recorded histories of other stores judges the whole.  The quick form runs in every test run;
``make histories`` runs 40 faults for each engine (``CHARTSEAL_HISTORIES``).  The seed of the
faults is printed.  A control shows that the same judge finds a stale answer when there is one.
"""

import os
import random
import time
from pathlib import Path

import pytest

from node.chaos.clients import LINEARIZABLE, Clients, Registers
from node.chaos.linear import READ, Operation, Outcome, check, register
from node.chaos.wires import Wires
from node.cli.cluster import Cluster
from node.ledger.genesis import Parameters
from tests.support.histories import Faults

FAULTS = int(os.environ.get("CHARTSEAL_HISTORIES", "3"))
REGISTERS = 6
CLIENTS = 8
SETTLE_S = 40  # members redial one another at least every ten
QUICK = Parameters(
    election_ms=500, heartbeat_ms=60, request_ms=800, view_change_ms=800, resend_ms=200
)

pytestmark = pytest.mark.cluster


@pytest.mark.timeout(120 + 30 * FAULTS)
@pytest.mark.parametrize(("engine", "members"), [("raft", 3), ("pbft", 4)])
def test_what_clients_see_is_linearizable(engine: str, members: int, tmp_path: Path) -> None:
    seed = int(os.environ.get("CHARTSEAL_SEED", random.randrange(1 << 32)))
    print(f"CHARTSEAL_SEED={seed} CHARTSEAL_HISTORIES={FAULTS} engine {engine}")
    chance = random.Random(seed)
    made = Cluster.create(tmp_path / "net", members=members, engine=engine, params=QUICK)
    with made as cluster, Wires(cluster) as wires:
        cluster.up()
        registers, faults = Registers(cluster, count=REGISTERS), Faults(cluster, wires)
        with Clients(registers, clients=CLIENTS, seed=seed):
            registers.wait_for(30)
            kinds = faults.kinds()
            for number in range(FAULTS):
                befall = kinds[number] if number < len(kinds) else chance.choice(kinds)
                member = chance.randrange(members)
                if chance.random() < 0.5:  # the one that matters most
                    member = faults.leader()
                with befall(member):
                    registers.wait_for(chance.randrange(15, 40))
                registers.wait_for(20)
        newest = [_newest(registers, key) for key in range(REGISTERS)]
        history = registers.history
        verdict = check(history, register())
        assert verdict.is_linearizable, f"CHARTSEAL_SEED={seed}: {verdict}"
        _assert_meant_something(history)
        _stale_answers_are_found(registers, faults, newest[0])


def _newest(registers: Registers, key: int) -> bytes:
    """Ask every member; all must answer, and the history holds their answers."""
    seen = {_insist(registers, node, key) for node in range(len(registers.cluster.members))}
    (only,) = seen
    return only


def _insist(registers: Registers, node: int, key: int) -> bytes:
    """Read through a member that may still be finding its way back."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        found = registers.read(-2, node, key, registers.latest[key], LINEARIZABLE)
        if found is not None:
            return found
        time.sleep(0.1)
    raise AssertionError(f"node {node} answers no linearizable read")


def _assert_meant_something(history: list[Operation]) -> None:
    reads = [item for item in history if item.input == READ]
    swaps = [item for item in history if item.input[0] == "cas" and not item.is_pending]
    assert len(reads) > 30
    assert len([item for item in swaps if item.output]) > 15, "amendments that took effect"
    assert any(not item.output for item in swaps), "amendments of an old version"


def _stale_answers_are_found(registers: Registers, faults: Faults, known: bytes) -> None:
    """Cut a follower off: its local answers are old, and the judge says so."""
    members = len(registers.cluster.members)
    leader = faults.leader()
    follower, other = (leader + 1) % members, (leader + 2) % members
    with faults.isolated(follower):
        for _ in range(20):
            newest = registers.amend(-3, other, 0, known)
            if newest is not None:
                break
        assert newest is not None, "the others go on without it"
        before = registers.history
        # Asked for the newest it must rather refuse ...
        assert registers.read(-3, follower, 0, known, LINEARIZABLE) is None
        assert registers.history == before
        # ... and asked for what it has, it says what was true once.
        assert registers.read(-3, follower, 0, known, {}) == known
    assert check(before, register()).is_linearizable
    verdict = check(registers.history, register())
    assert verdict.outcome is Outcome.VIOLATED
    assert verdict.key == 0
