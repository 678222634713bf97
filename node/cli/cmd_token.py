"""`chartseal token`: the node's file of access tokens."""

import time
from dataclasses import asdict
from pathlib import Path

import click

from node.cli.main import Group
from node.cli.output import Session
from node.cli.tokens import SCOPES, create_token, read_tokens, write_tokens
from node.errors import ChartsealError

_DAY_MS = 86_400_000
_file_argument = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.group(cls=Group)
def token() -> None:
    """Create, list and revoke access tokens in a node's tokens file."""


@token.command()
@_file_argument
@click.option("--id", "id_", required=True, help="Who uses it, for logs and revocation.")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(SCOPES), required=True,
    help="What it may do; may be repeated.",
)  # fmt: skip
@click.option(
    "--expires-days", type=click.IntRange(1, 3660), default=365, show_default=True,
    help="Days until it is refused.",
)  # fmt: skip
@click.pass_obj
def create(
    session: Session, file: Path, id_: str, scopes: tuple[str, ...], expires_days: int
) -> None:
    """Add a token to FILE; prints it once, the file keeps only its hash."""
    expires_ms = int(time.time() * 1000) + expires_days * _DAY_MS
    text = create_token(
        file, name=id_, scopes=tuple(sorted(set(scopes))), expires_ms=expires_ms
    )
    session.talk("this is shown once; keep it in a file of mode 0600")
    if session.json:
        session.show({"id": id_, "token": text, "scopes": scopes, "expires_ms": expires_ms})
    else:
        click.echo(text)


@token.command("list")
@_file_argument
@click.pass_obj
def list_(session: Session, file: Path) -> None:
    """List the tokens in FILE (their hashes are not secret)."""
    rows = [asdict(line) for line in read_tokens(file)]
    session.show_list(rows, ["id", "hash", "scopes", "expires_ms"])


@token.command()
@_file_argument
@click.argument("id_", metavar="ID")
@click.pass_obj
def revoke(session: Session, file: Path, id_: str) -> None:
    """Remove the token ID from FILE; the node reads the file again when it starts."""
    tokens = read_tokens(file)
    rest = [line for line in tokens if line.id != id_]
    if len(rest) == len(tokens):
        raise ChartsealError("not-found", f"no token {id_} in {file}")
    write_tokens(file, rest)
    session.talk(f"token {id_} is revoked")
