"""`chartseal check`: read a stopped node's directory again, by the ledger's own rules."""

import sys
from pathlib import Path
from typing import Any, Final

import click

from node.cli.output import Session
from node.errors import Exit

_COLUMNS: Final = ("code", "where", "detail")
_DIRECTORY: Final = click.Path(path_type=Path)
_TALK_STEP: Final = 100  # blocks between two words on a terminal


@click.command()
@click.option("--config", "config_path", type=_DIRECTORY, help="The node's config.toml.")
@click.option("--data-dir", type=_DIRECTORY, help="Instead: the directory itself.")
@click.option("--genesis", "genesis_path", type=_DIRECTORY, help="The network's genesis file.")
@click.option("--key", "key_path", type=_DIRECTORY, help="Its key file, to check the mark.")
@click.option("--scratch-dir", type=_DIRECTORY, help="Where the second copy is built.")
@click.pass_obj
def check(
    session: Session,
    config_path: Path | None,
    data_dir: Path | None,
    genesis_path: Path | None,
    key_path: Path | None,
    scratch_dir: Path | None,
) -> None:
    """Execute the whole ledger of a stopped node again and compare every row.

    Give --config, or --data-dir and --genesis, then also --key to compare what was signed with
    the mark beside the key.  Nothing is repaired.  Exit code 0: all is as the rules give it; 8:
    findings.
    """
    from node.check import check_ledger
    from node.daemon import load_genesis

    if config_path is not None:
        from node import config

        settings = config.load(config_path)
        data_dir = data_dir or settings.node.data_dir
        genesis_path = genesis_path or settings.network.genesis
        if key_path is None and settings.keystore.path.exists():
            key_path = settings.keystore.path
    if data_dir is None or genesis_path is None:
        raise click.UsageError("give --config, or --data-dir and --genesis")
    report = check_ledger(
        data_dir,
        load_genesis(genesis_path),
        progress=_progress(session),
        scratch_dir=scratch_dir,
        key_path=key_path,
    )
    findings = [
        {"code": str(item.code.value), "where": item.where, "detail": item.detail}
        for item in report.findings
    ]
    counted = {
        "clean": report.clean,
        "pairs": report.pairs,
        "records": report.records,
        "blocks": report.blocks,
        "tiles": report.tiles,
    }
    if session.json:
        session.show({**counted, "findings": findings})
    else:
        session.show({**counted, "findings": len(findings)})
        if findings:
            click.echo()
            session.show_list(findings, _COLUMNS)
    if findings:
        raise click.exceptions.Exit(Exit.VERIFICATION_FAILED)


def _progress(session: Session) -> Any:
    """Return what tells a person how far the check is; scripts see nothing."""
    if session.quiet or not sys.stderr.isatty():
        return lambda _stage, _done, _total: None

    def tell(stage: str, done: int, total: int) -> None:
        if done % _TALK_STEP == 0 or done == total:
            click.echo(f"\r{stage} {done} of {total}", err=True, nl=done == total)

    return tell
