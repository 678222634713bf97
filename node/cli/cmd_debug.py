"""`chartseal debug`: a support bundle, and what the process of this machine's node is doing."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from node import config as configuration
from node.cli.client import Client
from node.cli.main import Group
from node.cli.output import Session, printable
from node.errors import ChartsealError

F = TypeVar("F", bound=Callable[..., Any])
_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_SPAN: Final = re.compile(r"(\d{1,6})(s|min|m|h|d)")
_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}

_config_option: Callable[[F], F] = click.option(
    "--config",
    "config_path",
    type=_FILE,
    envvar="CHARTSEAL_CONFIG",
    default=Path("config.toml"),
    show_default=True,
    help="The node's configuration file.",
)


@click.group(cls=Group)
def debug() -> None:
    """Make a support bundle; look into the running process."""


def _span(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    match = _SPAN.fullmatch(value)
    if match is None:
        raise click.BadParameter("a span like 90s, 30min, 2h or 1d")
    return float(int(match[1]) * _UNITS[match[2]])


@debug.command("zip")
@_config_option
@click.option("--output", "target", type=_FILE, help="The file to make.")
@click.option(
    "--since", callback=_span, default="2h", show_default=True, help="How far back logs go."
)
@click.option("--log", "logs", type=_FILE, multiple=True, help="A log of the node; repeatable.")
@click.option("--offline", is_flag=True, help="Do not ask the node: read its files.")
@click.option(
    "--nodes",
    type=click.Choice(["self", "all"]),
    default="self",
    show_default=True,
    help="all: ask the members named by --node as well.",
)
@click.option("--node", "named", multiple=True, metavar="ID=URL", help="A member's API.")
@click.option(
    "--node-timeout",
    "node_timeout_s",
    type=click.FloatRange(1, 600),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="Patience with each node; who does not answer is listed.",
)
@click.option(
    "--gap",
    "gap_s",
    type=click.FloatRange(0, 60),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Between the two readings of the metrics.",
)
@click.option(
    "--scratch-dir", type=click.Path(path_type=Path), help="Where a stopped ledger is copied."
)
@click.pass_obj
def zip_(
    session: Session,
    config_path: Path,
    target: Path | None,
    since: float,
    logs: tuple[Path, ...],
    offline: bool,
    nodes: str,
    named: tuple[str, ...],
    node_timeout_s: float,
    gap_s: float,
    scratch_dir: Path | None,
) -> None:
    """Gather what helps to find a fault, without patients' data and without secrets.

    Ids become pseudonyms under a salt that is not kept.  Keys, passphrases, tokens, the vault,
    block bodies and state are never read.
    """
    from node.bundle import archive
    from node.bundle.gather import Gatherer, Part, public_of
    from node.bundle.redact import Redactor
    from node.doctor.scene import Scene

    clients = _clients(session, nodes, named)
    with Scene.of(config_path, offline=True, scratch_dir=scratch_dir) as scene:
        node = "unknown" if scene.config is None else scene.config.node.id
        redactor = Redactor(public_of(scene.genesis))
        others = [] if scene.genesis is None else [m.id for m in scene.genesis.validators]
    gatherer = Gatherer(
        config_path,
        redactor,
        since_s=since,
        logs=logs,
        offline=offline,
        timeout_s=node_timeout_s,
        gap_s=gap_s,
        scratch_dir=scratch_dir,
    )
    failed: dict[str, str] = {}
    if nodes == "all":
        silent = sorted(set(others) - {node} - set(clients))
        failed |= {f"members/{member}": "no --node names its API" for member in silent}

    def parts() -> Iterator[Part]:
        for name, raw in gatherer.parts():
            yield f"self/{name}", raw
        found, lost = archive.remote(clients, redactor, timeout_s=node_timeout_s)
        failed.update({f"self/{name}": why for name, why in gatherer.failed.items()} | lost)
        yield from found

    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = target or Path(f"chartseal-debug-{node}-{stamp}.zip")
    manifest = archive.write(path, parts(), node=node, failed=lambda: failed, since_s=since)
    _show_made(session, path, manifest)


def _show_made(session: Session, path: Path, manifest: dict[str, Any]) -> None:
    not_had = manifest["not_had"]
    session.show(
        {
            "bundle": str(path),
            "files": len(manifest["files"]),
            "bytes": path.stat().st_size,
            "not_had": not_had if session.json else list(not_had),
        }
    )


def _clients(session: Session, nodes: str, named: tuple[str, ...]) -> dict[str, Client]:
    if named and nodes != "all":
        raise click.UsageError("--node needs --nodes all")
    found = {}
    for item in named:
        member, equals, url = item.partition("=")
        if not equals or not member or "/" in member:
            raise click.BadParameter(f"{item!r} is not ID=URL", param_hint="--node")
        found[member] = Client.with_token_file(
            url,
            session.token_file,
            timeout_s=session.timeout_s,
            ca_file=session.ca_file,
            cert_file=session.cert_file,
            key_file=session.key_file,
        )
    return found


@debug.command()
@click.argument("bundle", type=_FILE)
@click.option("--file", "name", help="Print this file of it instead of the summary.")
@click.pass_obj
def show(session: Session, bundle: Path, name: str | None) -> None:
    """Read a bundle: check its digests, name the causes and what the doctor found."""
    from node.bundle import archive

    found = archive.read(bundle)
    if name is not None:
        if name not in found.files:
            raise ChartsealError("not-found", f"{name}; there are {', '.join(found.files)}")
        click.echo(printable_lines(found.files[name]))
        return
    report, findings = found.json("self/why.json") or {}, found.json("self/doctor.json") or []
    summary = {
        "node": found.manifest["node"],
        "version": found.manifest["version"],
        "made": found.manifest["made"],
        "causes": [item["id"] for item in report.get("causes", [])],
        "failures": [row["id"] for row in findings if row["severity"] == "failure"],
        "warnings": [row["id"] for row in findings if row["severity"] == "warning"],
        "files": sorted(found.files),
        "not_had": dict(found.manifest["not_had"]) if session.json else list(
            found.manifest["not_had"]
        ),
    }  # fmt: skip
    session.show(summary)


def printable_lines(raw: bytes) -> str:
    """Return a file's text, line by line without control characters."""
    return "\n".join(printable(line) for line in raw.decode("utf-8", "replace").splitlines())


def _ask(session: Session, config_path: Path, path: str) -> Any:
    config = configuration.load(config_path)
    return Client(f"http://{config.ops.listen}", timeout_s=session.timeout_s).get(path)


@debug.command()
@_config_option
@click.pass_obj
def tasks(session: Session, config_path: Path) -> None:
    """Show the tasks of the running node and where each of them waits."""
    rows = _ask(session, config_path, "/debug/tasks")
    if session.json:
        click.echo(json.dumps(rows, indent=2))
        return
    session.show_list([{"name": r["name"], "at": r["at"][-1:]} for r in rows], ("name", "at"))


@debug.command()
@_config_option
@click.pass_obj
def stacks(session: Session, config_path: Path) -> None:
    """Show where every thread of the running node is."""
    rows = _ask(session, config_path, "/debug/stacks")
    if session.json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(printable(str(row["thread"])))
        for line in row["at"]:
            click.echo(f"  {printable(str(line))}")


@debug.command()
@_config_option
@click.pass_obj
def memory(session: Session, config_path: Path) -> None:
    """Show how much memory the running node has, and what fills it by type."""
    row = _ask(session, config_path, "/debug/memory")
    if session.json:
        session.show(row)
        return
    session.show({name: row[name] for name in ("resident_bytes", "left_bytes")})
    click.echo()
    objects = [{"type": name, "objects": count} for name, count in row["objects"].items()]
    session.show_list(objects, ("type", "objects"))
