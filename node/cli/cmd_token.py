"""`chartseal token`: the node's file of access tokens; a running node notices changes."""

import time
from pathlib import Path

import click

from node import tokens
from node.cli.main import Group
from node.cli.output import Session
from node.errors import ChartsealError

_DAY_MS = 86_400_000
_file_argument = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
_COLUMNS = ("id", "scopes", "expires_ms", "hash")


@click.group(cls=Group)
def token() -> None:
    """Create, list and revoke access tokens in a node's tokens file."""


@token.command()
@_file_argument
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(tokens.SCOPES),
    help="What it may do; may be repeated.",
)
@click.option(
    "--expires-days",
    type=click.IntRange(1, 3660),
    default=365,
    show_default=True,
    help="Days until it is refused.",
)
@click.pass_obj
def create(session: Session, file: Path, scopes: tuple[str, ...], expires_days: int) -> None:
    """Add a token to FILE; prints it once, the file keeps only its hash."""
    expires_ms = time.time_ns() // 1_000_000 + expires_days * _DAY_MS
    rows = tokens.read_file(file) if file.exists() else {}
    text, made = tokens.create(scopes, expires_ms=expires_ms)
    tokens.write_file(file, [*rows.values(), made])
    session.talk("this is shown once; keep it in a file of mode 0600")
    if session.json:
        session.show({"token": text, **_shown(made)})
    else:
        click.echo(text)


@token.command("list")
@_file_argument
@click.pass_obj
def list_(session: Session, file: Path) -> None:
    """List the tokens in FILE (their hashes open nothing)."""
    session.show_list([_shown(row) for row in tokens.read_file(file).values()], _COLUMNS)


@token.command()
@_file_argument
@click.argument("id_", metavar="ID")
@click.pass_obj
def revoke(session: Session, file: Path, id_: str) -> None:
    """Remove the token ID from FILE."""
    rows = tokens.read_file(file)
    if rows.pop(id_, None) is None:
        raise ChartsealError("not-found", f"no token {id_} in {file}")
    tokens.write_file(file, list(rows.values()))
    session.talk(f"token {id_} is revoked")


def _shown(row: tokens.Token) -> dict[str, object]:
    return {
        "id": row.id,
        "scopes": sorted(row.scopes),
        "expires_ms": row.expires_ms,
        "hash": row.hash,
    }
