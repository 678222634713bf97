"""`chartseal inspect`: serve a stopped node's ledger read-only, for whoever seeks a fault."""

import asyncio
import signal
from pathlib import Path

import click

from node.cli.output import Session
from node.settings import Address

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--config", "config_path", type=_PATH, help="The node's config.toml.")
@click.option("--data-dir", type=_PATH, help="Instead: the directory itself.")
@click.option("--genesis", "genesis_path", type=_PATH, help="The network's genesis file.")
@click.option("--scratch-dir", type=_PATH, help="Where the copy is kept while it is served.")
@click.option(
    "--listen",
    default="127.0.0.1:0",
    show_default=True,
    help="Where; loopback only, 0: any port.",
)
@click.pass_obj
def inspect(
    session: Session,
    config_path: Path | None,
    data_dir: Path | None,
    genesis_path: Path | None,
    scratch_dir: Path | None,
    listen: str,
) -> None:
    """Answer questions from a stopped node's directory, without changing a byte of it.

    The node's lock is held, so it cannot start meanwhile; a node that runs is refused with
    exit code 80.  Tables and closed block files are linked when --scratch-dir is on their file
    system, all else is copied.  Prints the address; Ctrl-C ends it.
    """
    from node import inspect as inspection
    from node.daemon import load_genesis

    node_id = inspection.NOBODY
    if config_path is not None:
        from node import config

        settings = config.load(config_path)
        data_dir = data_dir or settings.node.data_dir
        genesis_path = genesis_path or settings.network.genesis
        node_id = settings.node.id
    if data_dir is None or genesis_path is None:
        raise click.UsageError("give --config, or --data-dir and --genesis")
    try:
        address = Address.parse(listen)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--listen") from error
    genesis = load_genesis(genesis_path)

    async def main() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await inspection.serve(
            data_dir,
            genesis,
            listen=address,
            stop=stop,
            ready=lambda url: session.show({"endpoint": url, "inspect": True}),
            node_id=node_id,
            scratch_dir=scratch_dir,
        )

    asyncio.run(main())
