"""`chartseal snapshot`: make, list, verify, carry and install snapshots of the ledger.

With --config the commands read a node's directory (`create` and `import`: of a stopped node);
without it `create` and `list` ask the running node.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import click

from node.cli.main import Group
from node.cli.output import Session
from node.cli.remote import Remote, pick, rows_of
from node.errors import ChartsealError

_FILE: Final = click.Path(path_type=Path)
_COLUMNS: Final = ("height", "bytes")
_config = click.option("--config", "config_path", type=_FILE, help="The node's config.toml.")


@click.group(cls=Group)
def snapshot() -> None:
    """Snapshots of the ledger, for members that come in or come back."""


@snapshot.command()
@_config
@click.pass_obj
def create(session: Session, config_path: Path | None) -> None:
    """Make a snapshot of the newest certified block.

    A running node makes one of the next block that allows it; a stopped node's ledger must end
    with a certified checkpoint.
    """
    if config_path is None:
        answer = Remote(session).request("POST", "/v1/snapshots").json()
        session.show(pick(answer, ("height",)))
        return
    from node.snapshotting import make
    from storage.snapshots import Snapshots
    from storage.store import Store

    settings, genesis = _node(config_path)
    with Store.open(settings.node.data_dir, network=genesis.network) as store:
        applied = store.applied()
        note = None if applied is None else store.checkpoint(applied.height)
        if note is None:
            raise ChartsealError("snapshot-unready", "the newest block is not certified")
        snapshots = Snapshots(settings.node.data_dir)
        height = make(store, snapshots, note)
        snapshots.keep(settings.snapshots.keep)
    session.show({"height": height, "directory": str(snapshots.path(height))})


@snapshot.command("list")
@_config
@click.pass_obj
def list_(session: Session, config_path: Path | None) -> None:
    """Show the snapshots that a node has."""
    if config_path is None:
        rows = rows_of(Remote(session).get("/v1/snapshots"), "snapshots")
    else:
        from storage.snapshots import Snapshots

        found = Snapshots(_node(config_path)[0].node.data_dir)
        rows = [{"height": h, "bytes": found.bytes_of(h)} for h in found.heights()]
    session.show_list([pick(row, _COLUMNS) for row in rows], _COLUMNS)


@snapshot.command()
@click.argument("source", type=_FILE)
@click.option("--genesis", "genesis_path", type=_FILE, required=True, help="Genesis file.")
@click.option("--checkpoint", type=_FILE, help="A checkpoint that it must contain.")
@click.pass_obj
def verify(session: Session, source: Path, genesis_path: Path, checkpoint: Path | None) -> None:
    """Verify a snapshot, a file or a directory, from genesis alone.

    Every chunk is proven against the state root or the log root, and both against a certified
    checkpoint. No node is needed. Exit code 8 when something does not hold.
    """
    from node.daemon import load_genesis
    from node.snapshot_files import verify as verify_directory
    from node.snapshot_trust import pinned_checkpoint

    genesis = load_genesis(genesis_path)
    with tempfile.TemporaryDirectory(prefix="chartseal-snapshot-") as scratch:
        directory = _directory(source, Path(scratch))
        pinned = pinned_checkpoint(checkpoint)
        session.show(_row(verify_directory(directory, genesis, pinned=pinned)))


@snapshot.command()
@click.argument("height", type=click.IntRange(min=1))
@click.argument("target", type=_FILE)
@click.option("--config", "config_path", type=_FILE, required=True, help="The node's file.")
@click.pass_obj
def export(session: Session, height: int, target: Path, config_path: Path) -> None:
    """Write a snapshot of this node to one file."""
    from node.snapshot_files import export as write
    from storage.snapshots import Snapshots

    snapshots = Snapshots(_node(config_path)[0].node.data_dir)
    if height not in snapshots.heights():
        raise ChartsealError("not-found", f"no snapshot of height {height}")
    session.show({"file": str(target), "bytes": write(snapshots.path(height), target)})


@snapshot.command("import")
@click.argument("source", type=_FILE)
@click.option("--config", "config_path", type=_FILE, required=True, help="The node's file.")
@click.option("--yes", is_flag=True, help="Do it; without this it only shows what it would do.")
@click.pass_obj
def import_(session: Session, source: Path, config_path: Path, yes: bool) -> None:
    """Put a snapshot in the place of a stopped node's ledger.

    It is verified first. What the node signed and what it keeps for itself stay; blocks below
    the snapshot leave its disk. The node fetches the rest when it starts.
    """
    from node.snapshot_files import install
    from node.snapshot_files import verify as verify_directory
    from node.snapshot_trust import pinned_checkpoint

    settings, genesis = _node(config_path)
    pinned = pinned_checkpoint(settings.network.trusted_checkpoint)
    with tempfile.TemporaryDirectory(prefix="chartseal-snapshot-") as scratch:
        verified = verify_directory(_directory(source, Path(scratch)), genesis, pinned=pinned)
        session.show({**_row(verified), "data_dir": str(settings.node.data_dir)})
        if not yes:
            raise ChartsealError("confirmation-needed", "would replace the ledger there")
        done = install(
            verified, settings.node.data_dir, genesis, settings.storage.segment_bytes_max
        )
    session.talk("installed" if done else "nothing to do: the ledger is as far ahead")


def _node(config_path: Path) -> tuple[Any, Any]:
    from node import config
    from node.daemon import load_genesis

    settings = config.load(config_path)
    return settings, load_genesis(settings.network.genesis)


def _directory(source: Path, scratch: Path) -> Path:
    from node.snapshot_files import unpack

    if source.is_dir():
        return source
    shutil.rmtree(scratch / "parts", ignore_errors=True)
    unpack(source, scratch / "parts")
    return scratch / "parts"


def _row(verified: Any) -> dict[str, Any]:
    manifest = verified.manifest
    return {
        "height": manifest.height,
        "log_size": manifest.log_size,
        "log_root": manifest.log_root.hex(),
        "state_root": verified.contents.seal.state_root.hex(),
        "chunks": manifest.chunks,
        "epoch": verified.contents.header.epoch,
    }
