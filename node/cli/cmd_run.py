"""`chartseal run`: the daemon in the foreground, for a service manager or `dev cluster`."""

import asyncio
import signal
from functools import partial
from pathlib import Path

import click

from node import config as configuration
from node import eventloop, log
from node.cli.cmd_key import ask_passphrase, if_terminal
from node.cli.output import Session
from node.config import Config
from node.keys import read_passphrase
from node.why.ending import Ending


@click.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="CHARTSEAL_CONFIG",
    default=Path("config.toml"),
    show_default=True,
    help="The node's configuration file.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Override a setting."
)
@click.pass_obj
def run(session: Session, config_file: Path, settings: tuple[str, ...]) -> None:
    """Run the node until SIGTERM or SIGINT.

    Exit codes that a service manager must not answer with a restart: 78 bad configuration,
    79 keys cannot be unlocked, 80 data directory locked, 81 sign guard refused, 82 incompatible
    data.  After 83, no disk space, a restart helps as soon as there is some.

    SIGTERM and SIGINT drain first, SIGHUP reads the certificates of the client port again.
    """
    loaded = configuration.load(config_file, flags=parse_settings(settings))
    session.daemon = True
    with Ending(loaded):
        passphrase = read_passphrase(
            loaded.keystore.passphrase_file, prompt=if_terminal(ask_passphrase)
        )
        log.setup(level=loaded.log.level, form=loaded.log.format)
        eventloop.run(_serve(loaded, passphrase))


def parse_settings(settings: tuple[str, ...]) -> dict[str, str]:
    """Return ``section.key=value`` options as a mapping."""
    flags = {}
    for item in settings:
        name, equals, value = item.partition("=")
        if not equals:
            raise click.BadParameter(f"{item!r} is not SECTION.KEY=VALUE", param_hint="--set")
        flags[name] = value
    return flags


async def _serve(loaded: Config, passphrase: bytes) -> None:
    from node import daemon

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await daemon.run(
        loaded,
        passphrase=passphrase,
        stop=stop,
        on_reload=partial(loop.add_signal_handler, signal.SIGHUP),
    )
