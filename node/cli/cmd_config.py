"""`chartseal config`: what is in force, why, and whether it can be used."""

from dataclasses import asdict
from pathlib import Path

import click

from node import config as configuration
from node.cli.cmd_run import parse_settings
from node.cli.main import Group
from node.cli.output import Session
from node.errors import ChartsealError

_file_option = click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="CHARTSEAL_CONFIG",
    default=Path("config.toml"),
    show_default=True,
    help="The node's configuration file.",
)
_set_option = click.option(
    "--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Override a setting."
)


@click.group(cls=Group)
def config() -> None:
    """Show and check the configuration."""


@config.command()
@_file_option
@_set_option
@click.option("--all", "everything", is_flag=True, help="Also what each setting means.")
@click.pass_obj
def show(
    session: Session, config_file: Path, settings: tuple[str, ...], everything: bool
) -> None:
    """Show every setting in force and where its value came from."""
    loaded = configuration.load(config_file, flags=parse_settings(settings))
    rows = [asdict(row) for row in configuration.sources(loaded)]
    columns = ["name", "value", "source", "meaning"]
    if not (everything or session.json):
        columns.remove("meaning")
        rows = [{name: row[name] for name in columns} for row in rows]
    session.show_list(rows, columns)


@config.command()
@_file_option
@_set_option
@click.pass_obj
def validate(session: Session, config_file: Path, settings: tuple[str, ...]) -> None:
    """Check the file and that everything it names is there; exit 78 when it cannot be used."""
    loaded = configuration.load(config_file, flags=parse_settings(settings))
    missing = configuration.missing_files(loaded)
    if missing:
        raise ChartsealError("config-invalid", "\n".join(missing))
    session.talk(f"{config_file} can be used")
