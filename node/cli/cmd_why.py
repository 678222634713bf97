"""`chartseal why`: what is wrong with a node, since when, and what to do next."""

from pathlib import Path
from typing import Any, Final

import click

from node.cli.output import Session, printable
from node.cli.remote import Remote, curl_option, utc
from node.errors import ChartsealError, Exit

COLUMNS: Final = ("severity", "id", "member", "since", "say")


@click.command()
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="This machine's node: its own port is asked, or its files when it is down.",
)
@click.option("--all", "everything", is_flag=True, help="Facts and next acts of every cause.")
@click.option("--check", is_flag=True, help="Exit 9 unless the node is well.")
@curl_option
@click.pass_obj
def why(
    session: Session, config_path: Path | None, everything: bool, check: bool, curl: bool
) -> None:
    """Name the causes of what does not work, the first one first.

    Without --config the node of --endpoint is asked.  With it, no token is needed, and a node
    that is down is explained from its files and from how it ended.
    """
    if config_path is None:
        report = Remote(session, curl=curl).get("/v1/why")
    else:
        from node.why.local import report_of

        report = report_of(config_path, timeout_s=session.timeout_s)
    if not isinstance(report, dict) or not isinstance(report.get("causes"), list):
        raise ChartsealError("answer-malformed", "not a diagnosis")
    if session.json:
        session.show(report)
    else:
        show(session, report, everything=everything)
    if check and not report["well"]:
        raise click.exceptions.Exit(Exit.UNHEALTHY)


def show(session: Session, report: dict[str, Any], *, everything: bool = False) -> None:
    """Print a diagnosis for people."""
    causes = report["causes"]
    if not causes:
        click.echo(f"{printable(str(report['node']))}: nothing is wrong")
        return
    first = causes[0]
    click.echo(f"{printable(str(first['say']))}")
    click.echo(f"  since {utc(first['since_ms'])}, {first['severity']}: {first['id']}")
    click.echo(f"  next: {printable(str(first['next']))}")
    click.echo(f"  docs: {printable(str(first['docs']))}")
    if everything:
        for item in causes:
            click.echo(f"\n{item['id']}  {printable(str(item['say']))}")
            for name, value in item["facts"].items():
                click.echo(f"  {name}: {printable(str(value))}")
            click.echo(f"  next: {printable(str(item['next']))}")
        return
    if len(causes) > 1:
        click.echo("")
        rows = [{**item, "since": utc(item["since_ms"])} for item in causes]
        session.show_list([{name: row[name] for name in COLUMNS} for row in rows], COLUMNS)
