"""`chartseal doctor`: look a node over, whether it runs or not."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from node.cli.output import Session, printable
from node.errors import Exit

_MARKS = {"ok": "ok", "warning": "WARN", "failure": "FAIL", "not-applicable": "-"}
_COLORS = {"warning": "yellow", "failure": "red"}


@click.command()
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="CHARTSEAL_CONFIG",
    default=Path("config.toml"),
    show_default=True,
    help="The node's configuration file.",
)
@click.option("--offline", is_flag=True, help="Do not ask the node, even if it runs.")
@click.option("--only", multiple=True, metavar="ID", help="A check or a group; repeatable.")
@click.option("--skip", multiple=True, metavar="ID", help="A check or a group; repeatable.")
@click.option("--fix", is_flag=True, help="Mend what is safe: modes of files, nothing else.")
@click.option("--strict", is_flag=True, help="Warnings count as failures.")
@click.option("--all", "everything", is_flag=True, help="Show what is well, too.")
@click.option(
    "--scratch-dir", type=click.Path(path_type=Path), help="Where a stopped ledger is copied."
)
@click.pass_obj
def doctor(
    session: Session,
    config_path: Path,
    offline: bool,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    fix: bool,
    strict: bool,
    everything: bool,
    scratch_dir: Path | None,
) -> None:
    """Check settings, machine, keys, network and ledger of this machine's node.

    Works while the node runs and while it is down; a stopped ledger is read from a copy.  Exit
    code 0: nothing failed; 9: something did.
    """
    from node.doctor.examine import chosen, examine
    from node.doctor.scene import Scene

    checks = chosen(only, skip)
    if not checks:
        raise click.UsageError("no check has that id or group")
    with Scene.of(config_path, offline=offline, scratch_dir=scratch_dir) as scene:
        found = [asdict(item) for item in examine(scene, checks, fix=fix)]
    counts = {word: sum(1 for row in found if row["severity"] == word) for word in _MARKS}
    healthy = not counts["failure"] and not (strict and counts["warning"])
    if session.json:
        session.show({"healthy": healthy, "counts": counts, "findings": found})
    else:
        _print(found, counts, everything=everything)
    if not healthy:
        raise click.exceptions.Exit(Exit.UNHEALTHY)


def _print(found: list[dict[str, Any]], counts: dict[str, int], *, everything: bool) -> None:
    for row in found:
        bad = row["severity"] in _COLORS
        if not bad and not everything and not row["mended"]:
            continue
        mark = click.style(_MARKS[row["severity"]].ljust(4), fg=_COLORS.get(row["severity"]))
        click.echo(f"{mark}  {row['id'].ljust(20)}  {printable(row['evidence'])}")
        for done in row["mended"]:
            click.echo(f"      mended: {printable(done)}")
        if bad:
            click.echo(f"      next: {row['fix']}")
            click.echo(f"      docs: {row['docs']}")
    click.echo(", ".join(f"{count} {word}" for word, count in counts.items()))
