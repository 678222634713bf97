"""`chartseal person`: keys of patients, guardians and devices, and what they sign."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from consensus import wire
from node.cli import person as keys
from node.cli.main import Group
from node.cli.output import Session
from node.cli.showing import lines
from node.errors import ChartsealError
from node.keys import read_seed
from node.ledger.crypto import Signer
from node.ledger.execute import typed_body
from node.ledger.payload import decode_payload
from node.ledger.rules import Refused
from node.ledger.transaction import TransactionMalformed
from node.record_files import read_bytes

_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_PREPARED_BYTES_MAX: Final = 1 << 20


@click.group(cls=Group)
def person() -> None:
    """Keys of patients, guardians and devices; one key file for each subject."""


def _show(session: Session, path: Path) -> None:
    seed = read_seed(path)
    sign_key = Signer(seed).public_key
    session.show({"sign_key": sign_key.hex(), "seal_key": keys.seal_key(seed).hex()})


@person.command()
@click.argument("file", type=_FILE)
@click.pass_obj
def new(session: Session, file: Path) -> None:
    """Make a key in FILE (mode 0600) and print its public keys."""
    keys.make(file)
    _show(session, file)


@person.command()
@click.argument("file", type=_FILE)
@click.pass_obj
def show(session: Session, file: Path) -> None:
    """Print the public keys of the key in FILE."""
    _show(session, file)


@person.command()
@click.argument("prepared", type=_FILE)
@click.option("--key", "key_path", type=_FILE, required=True, help="Key file that signs.")
@click.option("--yes", is_flag=True, help="Sign without asking.")
@click.pass_obj
def sign(session: Session, prepared: Path, key_path: Path, yes: bool) -> None:
    """Show what PREPARED (printed by --prepare -o json) says, and sign it after a yes.

    Prints key and signature; `tx cosigned` sends them.
    """
    asked, signer = read_prepared(prepared), keys.signer_of(key_path)
    message = keys.message_of(asked)
    if signer.public_key.hex() not in asked["cosigners"]:
        raise ChartsealError("bad-request", "it was not prepared for this key")
    for line in said_by(asked["payload"]):
        click.echo(line, err=True)
    if not yes:
        if not sys.stdin.isatty():
            raise ChartsealError("confirmation-needed", "a signature cannot be taken back")
        click.confirm("Sign this?", abort=True, err=True)
    signature = signer.sign(message).hex()
    session.show({"key": signer.public_key.hex(), "signature": signature})


def said_by(payload: str) -> Iterator[str]:
    """Yield what a payload says, operation by operation."""
    try:
        said = decode_payload(bytes.fromhex(payload))
    except TransactionMalformed as error:
        raise ChartsealError("transaction-malformed", str(error)) from error
    yield f"{said.org} asks you to sign, valid until height {said.expires_height}:"
    for op in said.ops:
        yield op.kind
        try:
            yield from lines(wire.to_plain(typed_body(op)), "  ")
        except Refused as refusal:
            raise ChartsealError(refusal.result.code, op.kind) from refusal


def read_prepared(path: Path) -> dict[str, Any]:
    """Return the members of a prepared payload; raises ``ChartsealError``."""
    raw = read_bytes(path, bytes_max=_PREPARED_BYTES_MAX)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ChartsealError("bad-request", f"{path} is not what --prepare -o json prints")
    keys.message_of(found)
    return found
