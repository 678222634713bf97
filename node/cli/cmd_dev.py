"""`chartseal dev`: networks of real nodes on this machine, and rehearsals with them."""

import contextlib
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from node.cli.cluster import MEMBERS_MAX, Cluster
from node.cli.cmd_chaos import chaos
from node.cli.decisions import decided_at_once
from node.cli.main import Group
from node.cli.output import Session
from node.errors import ChartsealError

_directory_option = click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("net"),
    show_default=True,
    help="Where the cluster's files are.",
)
_wait_option = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(1, 600),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Patience with each node until it is ready.",
)
_nodes_argument = click.argument("nodes", nargs=-1)
_COLUMNS = ("node", "pid", "ready", "height", "peers", "endpoint", "ops_endpoint")


@click.group(cls=Group)
def dev() -> None:
    """Networks of real nodes on this machine."""


dev.add_command(chaos)


@dev.group(cls=Group)
def cluster() -> None:
    """Make, start, break and remove a network of real node processes."""


@cluster.command()
@_directory_option
@click.option(
    "-n",
    "--nodes",
    type=click.IntRange(1, MEMBERS_MAX),
    default=4,
    show_default=True,
    help="How many institutions, one node each.",
)
@click.option(
    "--consensus",
    type=click.Choice(["pbft", "raft"]),
    default="pbft",
    show_default=True,
    help="Ordering engine.",
)
@click.option("--at-once", is_flag=True, help="Decisions of the members wait for nothing.")
@click.pass_obj
def init(session: Session, directory: Path, nodes: int, consensus: str, at_once: bool) -> None:
    """Make genesis, keys, configurations and an access token."""
    policies = decided_at_once() if at_once else ()
    made = Cluster.create(directory, members=nodes, engine=consensus, policies=policies)
    session.talk(f"made {nodes} nodes ({consensus}) in {directory}")
    session.talk(f"next: chartseal dev cluster up --dir {shlex.quote(str(directory))}")
    session.show(
        {
            "directory": str(made.directory),
            "engine": consensus,
            "nodes": [member.id for member in made.members],
            "policy": str(made.policy_path),
            "token_file": str(made.token_path),
        }
    )


@cluster.command()
@_directory_option
@_wait_option
@_nodes_argument
@click.pass_obj
def up(session: Session, directory: Path, wait_s: float, nodes: tuple[str, ...]) -> None:
    """Start NODES (default: all) in the background; wait until ready."""
    opened = Cluster(directory)
    chosen = list(_chosen(opened, nodes))
    for at in chosen:
        opened.start(at)
    for at in chosen:
        opened.wait_ready(at, wait_s)
    session.talk(
        f'next: eval "$(chartseal dev cluster env --dir {shlex.quote(str(directory))})"'
    )
    _show(session, opened)


@cluster.command()
@_directory_option
@click.pass_obj
def down(session: Session, directory: Path) -> None:
    """Stop every node with SIGTERM; touches no process but ours."""
    opened = Cluster(directory)
    stopped = opened.down()
    session.talk(f"stopped {stopped} nodes")
    if session.json:
        _show(session, opened)


@cluster.command()
@_directory_option
@_nodes_argument
@click.pass_obj
def kill(session: Session, directory: Path, nodes: tuple[str, ...]) -> None:
    """End NODES with SIGKILL, as a power cut would."""
    opened = Cluster(directory)
    if not nodes:
        raise click.UsageError("name at least one node")
    for at in list(_chosen(opened, nodes)):  # every name is checked before the first ends
        ran = opened.kill(at)
        session.talk(f"{opened.members[at].id} {'killed' if ran else 'was not running'}")
    if session.json:
        _show(session, opened)


@cluster.command()
@_directory_option
@_wait_option
@_nodes_argument
@click.pass_obj
def restart(session: Session, directory: Path, wait_s: float, nodes: tuple[str, ...]) -> None:
    """Stop and start NODES (default: all), one after the other."""
    opened = Cluster(directory)
    for at in list(_chosen(opened, nodes)):
        opened.restart(at)
        opened.wait_ready(at, wait_s)
        session.talk(f"{opened.members[at].id} is ready")
    _show(session, opened)


@cluster.command()
@_directory_option
@click.pass_obj
def status(session: Session, directory: Path) -> None:
    """Show process, readiness and height of every node; exit 9 unless all are ready."""
    opened = Cluster(directory)
    if not all(row["ready"] for row in _show(session, opened)):
        raise click.exceptions.Exit(ChartsealError("not-ready").exit_code)


@cluster.command()
@_directory_option
@click.argument("node", default="1")
@click.pass_obj
def env(session: Session, directory: Path, node: str) -> None:
    """Print the shell variables that lead later commands to NODE.

    NODE is the first one unless named.  For use as: eval "$(chartseal dev cluster env)"
    """
    opened = Cluster(directory)
    at = next(_chosen(opened, (node,)))
    values = {
        "CHARTSEAL_ENDPOINT": opened.endpoint(at),
        "CHARTSEAL_TOKEN_FILE": str(opened.token_path),
    }
    if session.json:
        session.show(values)
        return
    for name, value in values.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@cluster.command()
@_directory_option
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1, 100_000),
    default=20,
    show_default=True,
    help="How many lines of each node.",
)
@_nodes_argument
def logs(directory: Path, lines: int, nodes: tuple[str, ...]) -> None:
    """Print the last lines of the logs of NODES (default: all)."""
    opened = Cluster(directory)
    for at in _chosen(opened, nodes):
        for line in opened.log_tail(at, lines).splitlines():
            click.echo(f"{opened.members[at].id}  {line}")


@cluster.command()
@_directory_option
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.pass_obj
def clean(session: Session, directory: Path, yes: bool) -> None:
    """Stop the nodes and delete their directory with everything in it."""
    opened = Cluster(directory)  # refuses a directory that is not a cluster
    if not yes:
        raise ChartsealError("confirmation-needed", f"would delete {opened.directory}")
    opened.down()
    shutil.rmtree(opened.directory)
    session.talk(f"deleted {opened.directory}")
    if session.json:
        session.show({"deleted": str(opened.directory)})


def _chosen(opened: Cluster, nodes: tuple[str, ...]) -> Iterator[int]:
    """Yield the places of the named nodes, by id or number from 1; none named: of all."""
    ids = [member.id for member in opened.members]
    for name in nodes or ids:
        if name in ids:
            yield ids.index(name)
        elif name.isdecimal() and 1 <= int(name) <= len(ids):
            yield int(name) - 1
        else:
            raise ChartsealError("not-found", f"no node {name}; there are {', '.join(ids)}")


def _show(session: Session, opened: Cluster) -> list[dict[str, Any]]:
    rows = [_status(session, opened, at) for at in range(len(opened.members))]
    session.show_list(rows, _COLUMNS)
    return rows


def _status(session: Session, opened: Cluster, at: int) -> dict[str, Any]:
    pid, ready, about = opened.pid(at), False, dict[str, Any]()
    if pid is not None:
        wait = min(session.timeout_s, 3.0)
        with contextlib.suppress(ChartsealError):
            opened.ops_client(at, timeout_s=wait).request("GET", "/readyz")
            ready = True
        with contextlib.suppress(ChartsealError):
            answer = opened.client(at, timeout_s=wait).get("/v1/status")
            about = answer if isinstance(answer, dict) else {}
    return {
        "node": opened.members[at].id,
        "pid": pid,
        "ready": ready,
        "height": about.get("height"),
        "peers": about.get("peers"),
        "endpoint": opened.endpoint(at),
        "ops_endpoint": opened.ops_endpoint(at),
    }
