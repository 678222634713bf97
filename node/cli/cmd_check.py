"""`chartseal check`: read a stopped node's directory again, by the ledger's own rules."""

import sys
from pathlib import Path
from typing import Any, Final

import click

from node.cli.output import Session
from node.errors import ChartsealError, Exit
from storage.check import CheckReport

_COLUMNS: Final = ("code", "where", "detail")
_DIRECTORY: Final = click.Path(path_type=Path)
_TALK_STEP: Final = 100  # blocks between two words on a terminal


@click.command()
@click.option("--config", "config_path", type=_DIRECTORY, help="The node's config.toml.")
@click.option("--data-dir", type=_DIRECTORY, help="Instead: the directory itself.")
@click.option("--genesis", "genesis_path", type=_DIRECTORY, help="The network's genesis file.")
@click.option("--key", "key_path", type=_DIRECTORY, help="Its key file, to check the mark.")
@click.option("--scratch-dir", type=_DIRECTORY, help="Where the second copy is built.")
@click.option("--repair", is_flag=True, help="Mend what is damaged; see --from and --resync.")
@click.option(
    "--from",
    "sources",
    type=_DIRECTORY,
    multiple=True,
    help="With --repair: a backup, an archive, or a stopped node's data directory.",
)
@click.option("--resync", is_flag=True, help="With --repair: begin empty, fetch from peers.")
@click.option("--yes", is_flag=True, help="With --repair: also replace the whole directory.")
@click.pass_obj
def check(
    session: Session,
    config_path: Path | None,
    data_dir: Path | None,
    genesis_path: Path | None,
    key_path: Path | None,
    scratch_dir: Path | None,
    repair: bool,
    sources: tuple[Path, ...],
    resync: bool,
    yes: bool,
) -> None:
    """Execute the whole ledger of a stopped node again and compare every row.

    Give --config, or --data-dir and --genesis, then also --key to compare what was signed with
    the mark beside the key.  Nothing is repaired without --repair, which mends damaged bodies,
    tiles and pages, and replaces a directory whose database is damaged.  Exit code 0: all is as
    the rules give it; 8: findings.
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
    genesis = load_genesis(genesis_path)
    if repair:
        _repair(session, data_dir, genesis, sources, scratch_dir, resync=resync, yes=yes)
    elif sources or resync or yes:
        raise click.UsageError("--from, --resync and --yes belong to --repair")
    report = check_ledger(
        data_dir,
        genesis,
        progress=_progress(session),
        scratch_dir=scratch_dir,
        key_path=key_path,
    )
    _show(session, report)


def _show(session: Session, report: CheckReport) -> None:
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


def _repair(
    session: Session,
    data_dir: Path,
    genesis: Any,
    sources: tuple[Path, ...],
    scratch_dir: Path | None,
    *,
    resync: bool,
    yes: bool,
) -> None:
    """Do what the damage asks for, and tell it; the check that follows says what is left."""
    from node import repair

    why = repair.unreadable(data_dir, genesis)
    if why is None:
        steps = repair.mend(data_dir, genesis, sources, scratch_dir=scratch_dir)
    else:
        session.talk(f"the database cannot be read: {why}")
        if not sources and not resync:
            raise click.UsageError("give --from a backup or a node's data, or --resync")
        source = sources[0] if sources else None
        if not yes:
            told = repair.EMPTY if source is None else str(source)
            raise ChartsealError("confirmation-needed", f"would replace it from {told}")
        steps = repair.replace(data_dir, genesis, source, scratch_dir=scratch_dir)
    for step in steps:
        session.talk(f"{'mended' if step.done else 'left'}: {step.where}: {step.what}")


def _progress(session: Session) -> Any:
    """Return what tells a person how far the check is; scripts see nothing."""
    if session.quiet or not sys.stderr.isatty():
        return lambda _stage, _done, _total: None

    def tell(stage: str, done: int, total: int) -> None:
        if done % _TALK_STEP == 0 or done == total:
            click.echo(f"\r{stage} {done} of {total}", err=True, nl=done == total)

    return tell
