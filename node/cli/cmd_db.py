"""`chartseal db`: the layout of a stopped node's directory, its migration, and the way back."""

from pathlib import Path
from typing import Final

import click

from node.cli.main import Group
from node.cli.output import Session
from node.errors import ChartsealError
from storage.migrate import Plan
from storage.schema import SCHEMA_VERSION

_CONFIG: Final = click.Path(dir_okay=False, path_type=Path)


@click.group(cls=Group)
def db() -> None:
    """Bring a stopped node's directory to another layout, and back."""


@db.command()
@click.option("--config", "config_path", type=_CONFIG, required=True, help="Its config.toml.")
@click.option("--to", "target", type=click.IntRange(1), help="Version; default: the newest.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--undo", is_flag=True, help="Put the newest snapshot back.")
@click.option("--forget", is_flag=True, help="Remove the snapshots.")
@click.option("--yes", is_flag=True, help="Do not ask: for --undo and --forget.")
@click.pass_obj
def migrate(
    session: Session,
    config_path: Path,
    target: int | None,
    dry_run: bool,
    undo: bool,
    forget: bool,
    yes: bool,
) -> None:
    """Migrate a stopped node's directory; a snapshot is taken first.

    A node does the same by itself when it starts on an older layout.  With --to an older
    version everything written since stays, where a step has a way back; --undo puts the
    directory back as it was before, for a migration that failed.
    """
    from node import config
    from node.daemon import load_genesis
    from storage import migrate as storage

    loaded = config.load(config_path)
    directory = loaded.node.data_dir
    network = load_genesis(loaded.network.genesis).network
    if undo or forget:
        if (undo and forget) or target is not None or dry_run:
            raise click.UsageError("--undo and --forget stand alone")
        if not yes:
            kept = ", ".join(path.name for path in storage.snapshots(directory)) or "none"
            session.talk(f"Snapshots in {directory}: {kept}.")
            if undo:
                session.talk("What the node wrote after the snapshot will be gone.")
            raise ChartsealError("confirmation-needed", "nothing was changed")
        if undo:
            session.show({"restored": str(storage.undo(directory))})
        else:
            session.show({"removed": storage.forget(directory)})
        return
    wanted = SCHEMA_VERSION if target is None else target
    if dry_run:
        session.show(_row(storage.plan(directory, network=network, target=wanted)))
        return
    session.show(_row(storage.migrate(directory, network=network, target=wanted)))


def _row(plan: Plan) -> dict[str, object]:
    return {
        "from": plan.found,
        "to": plan.target,
        "steps": list(plan.steps),
        "snapshot": str(plan.snapshot) if plan.steps else None,
        "copied_bytes": plan.copy_bytes if plan.steps else 0,
        "free_bytes": plan.free_bytes,
        "interrupted": plan.interrupted,
    }
