"""`chartseal backup`: make, list, show, verify and prune backups.

With --config the stopped node's directory is backed up from outside; without it the running
node at --endpoint is asked to do it, into its own backup.path.  Everything but `create` reads
only the backup's directory: no node, no key.
"""

from pathlib import Path
from typing import Any, Final

import click

from node.cli.copies import GENESIS_OPTION, PATH, genesis_for, progress, show_findings
from node.cli.main import Group
from node.cli.output import Session
from node.cli.remote import Remote, curl_option, utc
from node.errors import ChartsealError
from storage.manifest import Found

_LIST: Final = ("name", "height", "time", "bytes", "rows", "files", "problem")


@click.group(cls=Group)
def backup() -> None:
    """Make, list, show, verify and prune backups of a node's ledger."""


@backup.command()
@click.option("--config", "config_path", type=PATH, help="The stopped node's config.toml.")
@click.option("--to", type=PATH, help="With --config: where to; default: backup.path.")
@click.option("--link", is_flag=True, help="Link closed block files instead of copying them.")
@curl_option
@click.pass_obj
def create(
    session: Session, config_path: Path | None, to: Path | None, link: bool, curl: bool
) -> None:
    """Add a backup: whole the first time, then only what changed.

    Ask the running node (token with scope node:operate), or give --config of a stopped one;
    its key file signs the backup.  Private keys, the sign mark and local secrets stay out.
    """
    if config_path is None:
        if to is not None or link:
            raise click.UsageError("a running node writes to its backup.path; see --config")
        remote = Remote(session, curl=curl)
        session.show(remote.request("POST", "/v1/backups", wait_s=3600).json())
        return
    from node import backups
    from node import config as configuration
    from node import keys as keyfile
    from node.cli.cmd_key import ask_passphrase, if_terminal
    from node.daemon import load_genesis
    from storage.store import Store

    settings = configuration.load(config_path)
    target = to or settings.backup.path
    if target is None:
        raise click.UsageError("give --to, or set backup.path")
    genesis = load_genesis(settings.network.genesis)
    passphrase = keyfile.read_passphrase(
        settings.keystore.passphrase_file, prompt=if_terminal(ask_passphrase)
    )
    keys = keyfile.load(settings.keystore.path, passphrase)
    origin = backups.origin_of(settings, settings.network.genesis.read_bytes(), keys)
    with Store.open(settings.node.data_dir, network=genesis.network) as store:
        made = backups.create(
            store,
            target,
            origin,
            network=genesis.network,
            link=link,
            progress=progress(session),
        )
    session.show(
        {
            "name": made.manifest.name,
            "height": made.manifest.height,
            "bytes": made.manifest.bytes_total,
            "written_bytes": made.written_bytes,
            "rows": made.manifest.rows,
            "path": str(made.path),
        }
    )


@backup.command("list")
@click.argument("directory", type=PATH)
@click.pass_obj
def list_(session: Session, directory: Path) -> None:
    """List the backups in DIRECTORY, oldest first."""
    from node.ledger import crypto
    from storage import backup as backups
    from storage import manifest

    good, bad = backups.found(directory, verify=crypto.verify)
    rows = [{**_row(item), "problem": None} for item in good]
    rows += [
        {
            **dict.fromkeys(_LIST),
            "name": Path(item.where).name.removesuffix(manifest.SUFFIX),
            "problem": item.what,
        }
        for item in bad
    ]
    session.show_list(rows, _LIST)


def _row(found: Found) -> dict[str, Any]:
    made = found.manifest
    return {
        "name": made.name,
        "height": made.height,
        "time": utc(made.created_ms),
        "bytes": made.bytes_total,
        "rows": made.rows,
        "files": len(made.files),
    }


@backup.command()
@click.argument("directory", type=PATH)
@click.argument("name", required=False)
@click.pass_obj
def show(session: Session, directory: Path, name: str | None) -> None:
    """Show what a backup holds; the newest without NAME."""
    from node import backups

    found = backups.choose(directory, name)
    made = found.manifest
    session.show(
        {
            **_row(found),
            "node": made.node,
            "network": made.network.hex(),
            "software": made.software,
            "schema": made.schema,
            "log_size": made.log_size,
            "log_root": made.log_root.hex(),
            "state_root": made.state_root.hex(),
            "lowest_body": made.lowest_body,
            "certified_height": made.checkpoint_height,
            "signed_by": found.key.hex(),
            "previous": made.previous.hex() or None,
        }
    )


@backup.command()
@click.argument("directory", type=PATH)
@click.argument("name", required=False)
@click.option("--genesis", "genesis_path", **GENESIS_OPTION)
@click.option(
    "--depth",
    type=click.Choice(["bytes", "roots", "full"]),
    default="roots",
    show_default=True,
    help="bytes: hashes and signature; roots: also chain, log, state; full: execute again.",
)
@click.option("--scratch-dir", type=PATH, help="Room for the restored directory.")
@click.pass_obj
def verify(
    session: Session,
    directory: Path,
    name: str | None,
    genesis_path: Path | None,
    depth: str,
    scratch_dir: Path | None,
) -> None:
    """Verify a backup without a node and without its keys; the newest without NAME.

    Exit code 0: every byte is what was signed, and hashes and cosignatures hold; 8: findings,
    each with the file that holds it.
    """
    from node import backups

    found = backups.choose(directory, name)
    genesis = genesis_for(session, genesis_path, lambda: backups.own_genesis(directory, found))
    findings = backups.verify(
        directory,
        found,
        genesis,
        depth=depth,
        scratch_dir=scratch_dir,
        progress=progress(session),
    )
    row = {
        "name": found.manifest.name,
        "height": found.manifest.height,
        "network": genesis.network.hex(),
        "depth": depth,
    }
    show_findings(session, row, findings)


@backup.command()
@click.argument("directory", type=PATH)
@click.option("--keep", type=click.IntRange(1), required=True, help="Backups that stay.")
@click.option("--yes", is_flag=True, help="Do it; without this it only shows what would go.")
@click.pass_obj
def prune(session: Session, directory: Path, keep: int, yes: bool) -> None:
    """Remove all but the newest backups, and what only the removed ones needed."""
    from node.ledger import crypto
    from storage import backup as backups

    done = backups.prune(directory, keep=keep, verify=crypto.verify, dry=not yes)
    session.show({"removed": list(done.names), "chunks": done.chunks, "bytes": done.bytes})
    if done.names and not yes:
        raise ChartsealError("confirmation-needed", f"would remove {len(done.names)} backups")
