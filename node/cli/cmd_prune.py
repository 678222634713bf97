"""`chartseal prune`: bodies of old blocks leave a node's disk, when a copy holds them."""

import json
from pathlib import Path

import click

from node.cli.copies import PATH
from node.cli.output import Session
from node.cli.remote import Remote
from node.errors import ChartsealError


@click.command()
@click.option("--before", type=click.IntRange(2), required=True, help="Heights below this go.")
@click.option("--config", "config_path", type=PATH, help="The stopped node's config.toml.")
@click.option("--archive", "archives", type=PATH, multiple=True, help="An archive that has it.")
@click.option("--backup", "copies", type=PATH, multiple=True, help="Backups that have it.")
@click.option("--force", is_flag=True, help="Also without a verified copy.")
@click.option("--yes", is_flag=True, help="Do it; without this it only shows what would go.")
@click.pass_obj
def prune(
    session: Session,
    before: int,
    config_path: Path | None,
    archives: tuple[Path, ...],
    copies: tuple[Path, ...],
    force: bool,
    yes: bool,
) -> None:
    """Drop bodies of old blocks, whole files at a time.

    Headers, seals, checkpoints and all that receipts need stay; a receipt of a pruned
    transaction then needs the transaction's bytes. The archive or backup is verified first: by
    the running node at --endpoint (its archive.path and backup.path), or here with --config of
    a stopped one.
    """
    if config_path is None:
        if archives or copies:
            raise click.UsageError("a running node looks at archive.path and backup.path")
        body = json.dumps({"before": before, "force": force, "dry": not yes}).encode()
        answer = Remote(session).request(
            "POST",
            "/v1/blocks:prune",
            body=body,
            headers={"Content-Type": "application/json"},
            wait_s=3600,
        )
        row = answer.json()
    else:
        row = _offline(config_path, before, archives, copies, force=force, dry=not yes)
    session.show(row)
    if row["segments"] and not yes:
        raise ChartsealError("confirmation-needed", f"would drop {row['segments']} files")


def _offline(
    config_path: Path,
    before: int,
    archives: tuple[Path, ...],
    copies: tuple[Path, ...],
    *,
    force: bool,
    dry: bool,
) -> dict[str, int | bool | None]:
    from node import config as configuration
    from node import cover
    from node.daemon import load_genesis
    from storage.store import Store

    settings = configuration.load(config_path)
    genesis = load_genesis(settings.network.genesis)
    known = [path for path in (settings.archive.path,) if path is not None and path.exists()]
    held = [path for path in (settings.backup.path,) if path is not None and path.exists()]
    with Store.open(settings.node.data_dir, network=genesis.network) as store:
        done = cover.prune(
            store,
            genesis,
            before,
            archives=[*archives, *known],
            copies=[*copies, *held],
            force=force,
            dry=dry,
        )
    if done is None:
        return {"lowest": None, "segments": 0, "bytes": 0, "dry": dry}
    return {
        "lowest": done.floor.lowest,
        "segments": len(done.segments),
        "bytes": done.bytes,
        "dry": dry,
    }
