"""`chartseal init`: from nothing to a node that others can list in their genesis."""

import json
from pathlib import Path

import click

from node.cli.cmd_key import ask_new_passphrase, if_terminal
from node.cli.fields import address_option, id_option
from node.cli.layout import institution, join_card, make_directory
from node.cli.output import Session
from node.errors import ChartsealError
from node.keys import read_passphrase
from node.ledger.genesis import ROLES


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--id", "node", required=True, callback=id_option, help="Id on the ledger.")
@click.option("--name", help="Name for people; default: the id.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(sorted(ROLES)),
    default=("author",),
    show_default=True,
    help="What it does; may be repeated.",
)
@click.option(
    "--validator/--no-validator", default=True, show_default=True, help="Whether it votes."
)
@click.option(
    "--p2p-listen",
    default="127.0.0.1:7650",
    show_default=True,
    metavar="HOST:PORT",
    callback=address_option,
    help="Where it listens for the other members.",
)
@click.option(
    "--api-listen",
    default="127.0.0.1:7651",
    show_default=True,
    metavar="HOST:PORT",
    callback=address_option,
    help="Where it listens for clients.",
)
@click.option(
    "--ops-listen",
    default="127.0.0.1:7652",
    show_default=True,
    metavar="HOST:PORT",
    callback=address_option,
    help="Where it listens for health checks and metrics.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of mode 0600 with the passphrase; default: ask.",
)
@click.option("--dev", is_flag=True, help="Random passphrase, kept in a file beside the keys.")
@click.pass_obj
def init(
    session: Session,
    directory: Path,
    node: str,
    name: str | None,
    roles: tuple[str, ...],
    validator: bool,
    p2p_listen: str,
    api_listen: str,
    ops_listen: str,
    passphrase_file: Path | None,
    dev: bool,
) -> None:
    """Make DIRECTORY with new keys and a commented configuration.

    Prints the join card (JSON, public): hand it to whoever writes the genesis file.
    """
    if dev and passphrase_file is not None:
        raise click.UsageError("--dev makes its own passphrase; drop --passphrase-file")
    values = {"p2p.listen": p2p_listen, "api.listen": api_listen, "ops.listen": ops_listen}
    passphrase = None
    if not dev:
        passphrase = read_passphrase(passphrase_file, prompt=if_terminal(ask_new_passphrase))
        if passphrase_file is not None:
            values["keystore.passphrase_file"] = str(passphrase_file.absolute())
    keys = make_directory(directory, node, values=values, peers={}, passphrase=passphrase)
    try:
        founder = institution(keys, name=name or node, roles=roles, validator=validator)
    except ValueError as error:
        raise ChartsealError("bad-request", str(error)) from error
    session.talk(f"made {directory} with keys and config.toml")
    if dev:
        session.talk("the passphrase lies beside the keys: for development only")
    session.talk("next: put the network's genesis file there, list the peers, `chartseal run`")
    click.echo(json.dumps(join_card(founder), indent=2))
