"""What the commands on backups, archives and restores share: progress, genesis, findings."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from node.cli.output import Session
from node.errors import Exit
from node.ledger.genesis import Genesis
from storage.check import Finding

PATH: Final = click.Path(path_type=Path)
FINDING_COLUMNS: Final = ("code", "where", "detail")
GENESIS_OPTION: Final[dict[str, Any]] = {
    "type": PATH,
    "help": "The network's genesis file, from a source that you trust.",
}


def progress(session: Session) -> Callable[[str, int, int], None]:
    """Return what tells a person how far it is; scripts see nothing."""
    if session.quiet or not sys.stderr.isatty():
        return lambda _what, _done, _total: None

    def tell(what: str, done: int, total: int) -> None:
        of = f" of {total}" if total else ""
        click.echo(f"\r\033[K{what} {done}{of}", err=True, nl=bool(total) and done == total)

    return tell


def genesis_for(session: Session, path: Path | None, own: Callable[[], Genesis]) -> Genesis:
    """Return the genesis to verify against; the copy's own one only with a word about it."""
    if path is not None:
        from node.daemon import load_genesis

        return load_genesis(path)
    genesis = own()
    session.talk(
        f"no --genesis: the copy's own was used; compare network {genesis.network.hex()}"
    )
    return genesis


def show_findings(
    session: Session, row: Mapping[str, Any], findings: Sequence[Finding]
) -> None:
    """Show the verdict and leave with exit code 8 unless there is nothing to find."""
    shown = [
        {"code": str(item.code.value), "where": item.where, "detail": item.detail}
        for item in findings
    ]
    if session.json:
        session.show({"clean": not findings, **row, "findings": shown})
    else:
        session.show({"clean": not findings, **row, "findings": len(findings)})
        if shown:
            click.echo()
            session.show_list(shown, FINDING_COLUMNS)
    if findings:
        raise click.exceptions.Exit(Exit.VERIFICATION_FAILED)
