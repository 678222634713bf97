"""A rehearsal from the first round to the verdicts.

Owns: the order: lay wires, start, load, strike, heal, compare, judge.  One fault at a time, so
that a majority (or a quorum) is always there, and everything must come back by itself: nothing
here repairs a node.  Refuses: to go on after a verdict against the network; what is on the
disks then is the evidence.
Bounded: rounds, clients, operations of one chapter.
"""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from node.chaos import judge, meeting
from node.chaos.clients import PATIENT_S, WAIT_S, Clients, Registers, genesis_of
from node.chaos.faults import FAULTS
from node.chaos.judge import Verdict
from node.chaos.plan import LEADER, NAMES, Round, draw
from node.chaos.wires import Wires
from node.chaos.world import World
from node.cli.cluster import Cluster
from node.cli.decisions import decided_at_once
from node.ledger.genesis import Parameters

CHAPTER_ROUNDS: Final = 10
REGISTERS: Final = 4
CLIENTS: Final = 6
SLOW: Final = "slow"
SERVE_S: Final = 90.0  # patience with a network that has to elect, suspect or catch up
QUICK: Final = Parameters(
    election_ms=500, heartbeat_ms=60, request_ms=800, view_change_ms=800, resend_ms=200
)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is played.  ``voters`` and ``spares``: nodes that vote at first, and that watch."""

    seed: int
    rounds: int
    engine: str
    voters: int
    spares: int = 1
    kinds: Sequence[str] = NAMES

    def __post_init__(self) -> None:
        unknown = set(self.kinds) - set(NAMES)
        if unknown:
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}")


@dataclass(slots=True)
class Report:
    """``failure``: why the rehearsal ended early, if it did."""

    rounds: int = 0
    operations: int = 0
    acknowledged: int = 0
    seconds: float = 0.0
    struck: dict[str, int] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    failure: str | None = None

    @property
    def passed(self) -> bool:
        return self.failure is None and all(item.held for item in self.verdicts)


def founded(directory: Path, *, engine: str, voters: int, spares: int) -> Cluster:
    """Make the files of a network whose members decide without waiting times."""
    return Cluster.create(
        directory,
        members=voters + spares,
        engine=engine,
        params=QUICK,
        spares=spares,
        policies=decided_at_once(),
    )


Tell = Callable[[str], None]


def rehearse(played: Rehearsal, directory: Path, tell: Tell) -> Report:
    """Play ``played`` in the empty ``directory``; ``tell`` hears one line for each round.

    Leaves the stopped nodes' directories behind.  Raises ``ChartsealError`` when the network
    cannot even be made.
    """
    report, started = Report(), time.monotonic()
    cluster = founded(
        directory, engine=played.engine, voters=played.voters, spares=played.spares
    )
    with cluster, Wires(cluster) as wires:
        world = World(cluster, wires, voters=played.voters)
        try:
            _play(played, world, report, tell)
        except TimeoutError as error:
            report.failure = str(error)
        finally:
            cluster.down()
        if report.passed:
            with tempfile.TemporaryDirectory(dir=directory) as scratch:
                found = judge.directories(world, genesis_of(cluster), Path(scratch))
            report.verdicts += found
    report.seconds = time.monotonic() - started
    return report


def _play(played: Rehearsal, world: World, report: Report, tell: Tell) -> None:
    world.cluster.up(timeout=120)
    meeting.watch(world)
    plan = draw(played.seed, played.rounds, played.kinds)
    txids: list[str] = []
    for first in range(0, len(plan), CHAPTER_ROUNDS):
        chapter = first // CHAPTER_ROUNDS
        registers = Registers(world.cluster, count=REGISTERS)
        seed = played.seed + chapter
        with Clients(registers, clients=CLIENTS, seed=seed):
            registers.wait_for(CLIENTS)
            for item in plan[first : first + CHAPTER_ROUNDS]:
                _round(item, world, registers, report, tell)
        txids += registers.acknowledged
        report.operations += len(registers.history)
        report.acknowledged = len(txids)
        report.verdicts.append(judge.history(chapter, registers.history))
        report.verdicts.append(judge.roots(world.level(), map(world.name, world.nodes)))
        if not report.passed:
            return
    report.verdicts.append(judge.acknowledged(world, txids))


def _round(item: Round, world: World, registers: Registers, report: Report, tell: Tell) -> None:
    """One fault, under load.  Raises ``TimeoutError`` with the round in its text."""
    rng = random.Random(item.chance)  # noqa: S311 - repeated from the seed
    at = world.leader() if item.target == LEADER else _chosen(world, item.target)
    report.struck[item.kind] = report.struck.get(item.kind, 0) + 1
    report.rounds += 1
    registers.wait_s = PATIENT_S if item.kind == SLOW else WAIT_S
    try:
        with ExitStack() as stack:
            if item.kind in meeting.MEETINGS:
                said = meeting.MEETINGS[item.kind](world, at, rng)
            else:
                said = stack.enter_context(FAULTS[item.kind](world, at, rng))
            tell(f"{item.number + 1:4} {item.kind:9} {world.name(at)}: {said}")
            registers.wait_for(item.during, timeout_s=SERVE_S)
        registers.wait_for(item.after, timeout_s=SERVE_S)
        world.whole()
    except TimeoutError as error:
        raise TimeoutError(
            f"round {item.number + 1}, {item.kind} of {world.name(at)}: {error}"
        ) from error


def _chosen(world: World, number: int) -> int:
    return world.voters[number % len(world.voters)]
