"""`chartseal version`."""

import importlib.metadata
import platform

import click

from node.cli.output import Session


def software_version() -> str:
    """Return the installed version; a source tree without metadata says so."""
    try:
        return importlib.metadata.version("chartseal")
    except importlib.metadata.PackageNotFoundError:
        return "unpackaged"


@click.command()
@click.pass_obj
def version(session: Session) -> None:
    """Show the version of this software and of what it runs on."""
    session.show(
        {
            "chartseal": software_version(),
            "python": platform.python_version(),
            "platform": platform.platform(),
        }
    )
