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
    """Show the version of this software and of what it runs on.

    Accelerator and event loop are those that a node started here would use; a running node
    tells its own in the event `node.start`.
    """
    from node import eventloop
    from node.ledger import accel

    session.show(
        {
            "chartseal": software_version(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "accelerator": accel.describe(),
            "event loop": eventloop.chosen(),
        }
    )
