"""`chartseal key`: key files, without a node; and what a key did, from a node."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from node import keys as keyfile
from node.cli.cmd_key_touched import touched
from node.cli.cmd_mark import reset_mark
from node.cli.main import Group
from node.cli.output import Session
from node.keys import NodeKeys, PublicKeys
from node.settings import ID_PATTERN

_PATH = click.Path(dir_okay=False, path_type=Path)
_passphrase_option = click.option(
    "--passphrase-file", type=_PATH, help="File of mode 0600; default: variable, then prompt."
)


def ask_new_passphrase() -> str:
    """Ask twice for a new passphrase."""
    answer: str = click.prompt(
        "New passphrase", hide_input=True, confirmation_prompt=True, err=True
    )
    return answer


def ask_passphrase() -> str:
    """Ask for the passphrase of a key file."""
    answer: str = click.prompt("Passphrase", hide_input=True, err=True)
    return answer


def if_terminal(ask: Callable[[], str]) -> Callable[[], str] | None:
    """Return ``ask``, or None without a terminal: a service must fail at once, not wait."""
    return ask if sys.stdin.isatty() else None


def open_keys(path: Path, passphrase_file: Path | None) -> NodeKeys:
    passphrase = keyfile.read_passphrase(passphrase_file, prompt=if_terminal(ask_passphrase))
    return keyfile.load(path, passphrase)


def _show(session: Session, node: str, public: PublicKeys) -> None:
    session.show({"node": node, **public.plain()})


@click.group(cls=Group)
def key() -> None:
    """Make, show, check and re-encrypt key files; reset the mark; see what a key did."""


key.add_command(reset_mark)
key.add_command(touched)


@key.command()
@click.argument("path", type=_PATH)
@click.option("--id", "node", required=True, help="Id of the institution.")
@_passphrase_option
@click.pass_obj
def generate(session: Session, path: Path, node: str, passphrase_file: Path | None) -> None:
    """Write four new keys to PATH, encrypted; prints the public ones."""
    if not ID_PATTERN.fullmatch(node):
        raise click.BadParameter("an id matches [a-z0-9][a-z0-9-]{0,62}", param_hint="--id")
    passphrase = keyfile.read_passphrase(
        passphrase_file, prompt=if_terminal(ask_new_passphrase)
    )
    made = NodeKeys.generate(node)
    made.save(path, passphrase)
    session.talk(f"wrote {path}; back it up, nobody can restore it")
    _show(session, node, made.public)


@key.command()
@click.argument("path", type=_PATH)
@click.pass_obj
def show(session: Session, path: Path) -> None:
    """Show the public keys in PATH, without the passphrase."""
    node, public = keyfile.load_public(path)
    _show(session, node, public)


@key.command("change-passphrase")
@click.argument("path", type=_PATH)
@_passphrase_option
@click.option("--new-passphrase-file", type=_PATH, help="File of mode 0600; default: prompt.")
@click.pass_obj
def change_passphrase(
    session: Session, path: Path, passphrase_file: Path | None, new_passphrase_file: Path | None
) -> None:
    """Encrypt PATH anew; the keys stay.  A crash leaves the old file or the new one."""
    opened = open_keys(path, passphrase_file)
    fresh = keyfile.read_passphrase(
        new_passphrase_file, environment={}, prompt=if_terminal(ask_new_passphrase)
    )
    opened.save(path, fresh, replace=True)
    session.talk(f"{path} opens with the new passphrase only; destroy old copies")


@key.command()
@click.argument("path", type=_PATH)
@_passphrase_option
@click.pass_obj
def verify(session: Session, path: Path, passphrase_file: Path | None) -> None:
    """Open PATH and check that its keys sign what its public keys accept."""
    from node.ledger import crypto

    opened = open_keys(path, passphrase_file)
    probe = b"chartseal key verify"
    for signer in (opened.identity, opened.consensus, opened.cosigner):
        assert crypto.verify(signer.public_key, probe, signer.sign(probe)), "own signature"
    session.talk(f"{path} opens and its keys sign")
    _show(session, opened.node, opened.public)
