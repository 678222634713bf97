"""`chartseal dev chaos`: a rehearsal with real processes and real faults, from a seed."""

import secrets
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from node.chaos.plan import KINDS, NAMES
from node.cli.output import Session
from node.errors import ChartsealError, Exit

_SEED_MAX = (1 << 32) - 1
_COLUMNS = ("rule", "held", "looked_at", "detail")


@click.command(short_help="Rehearse faults on a network of real nodes.")
@click.option("--seed", type=click.IntRange(0, _SEED_MAX), help="Repeat a rehearsal.")
@click.option(
    "--rounds",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="How many faults, one after the other.",
)
@click.option(
    "--consensus",
    type=click.Choice(["pbft", "raft"]),
    default="pbft",
    show_default=True,
    help="Ordering engine at the start.",
)
@click.option(
    "--voters",
    type=click.IntRange(3, 16),
    default=4,
    show_default=True,
    help="Nodes that vote at the start; one more only watches.",
)
@click.option(
    "--only",
    "kinds",
    multiple=True,
    type=click.Choice(NAMES),
    help="Only such faults (repeatable).  "
    + "; ".join(f"{kind.name}: {kind.say}" for kind in KINDS),
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the nodes' files are, and stay; default: a temporary place.",
)
@click.pass_obj
def chaos(
    session: Session,
    seed: int | None,
    rounds: int,
    consensus: str,
    voters: int,
    kinds: tuple[str, ...],
    directory: Path | None,
) -> None:
    """Start a network on this machine, let faults befall it under load, judge what clients saw.

    Judged: every history is linearizable, nothing acknowledged is lost, all nodes have equal
    roots, every node's directory passes `chartseal check`.  Exit code 8 when one of them does
    not hold; the files are kept then.
    """
    from node.chaos.runner import Rehearsal, rehearse

    seed = secrets.randbelow(_SEED_MAX + 1) if seed is None else seed
    played = Rehearsal(seed, rounds, consensus, voters, kinds=kinds or NAMES)
    where = directory or Path(tempfile.mkdtemp(prefix="chartseal-chaos-"))
    if directory is None:
        where.rmdir()  # the network makes it
    session.talk(f"seed {seed}, {rounds} rounds, {consensus}, {voters} voters, in {where}")
    report = rehearse(played, where, session.talk)
    rows = [asdict(verdict) for verdict in report.verdicts]
    if session.json:
        session.show({"seed": seed, "passed": report.passed, **asdict(report)})
    else:
        counted = ", ".join(f"{kind} {count}" for kind, count in sorted(report.struck.items()))
        session.show_list(rows, _COLUMNS)
        session.talk(
            f"{report.rounds} rounds ({counted}), {report.operations} operations, "
            f"{report.acknowledged} acknowledged transactions, {report.seconds:.0f} s"
        )
    if report.passed:
        if directory is None:
            shutil.rmtree(where)
        return
    if report.failure is not None:
        raise ChartsealError("rehearsal-failed", f"{report.failure} (files in {where})")
    raise click.exceptions.Exit(Exit.VERIFICATION_FAILED)
