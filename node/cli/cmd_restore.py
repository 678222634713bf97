"""`chartseal restore`: a data directory from a backup, or a rehearsal of it."""

from pathlib import Path
from typing import Any

import click

from node.cli.copies import GENESIS_OPTION, PATH, genesis_for, progress, show_findings
from node.cli.output import Session
from node.cli.remote import Remote


@click.command()
@click.argument("source", metavar="FROM", type=PATH)
@click.argument("name", required=False)
@click.option("--to", type=PATH, help="The new data directory (node.data_dir).")
@click.option("--genesis", "genesis_path", **GENESIS_OPTION)
@click.option(
    "--verify",
    "depth",
    type=click.Choice(["roots", "full"]),
    default="roots",
    show_default=True,
    help="What is checked afterwards: hashes, or every block executed again.",
)
@click.option("--drill", "rehearse", is_flag=True, help="Restore into a sandbox and report.")
@click.option("--live", is_flag=True, help="With --drill: compare with the node at --endpoint.")
@click.option("--scratch-dir", type=PATH, help="Where the sandbox is made.")
@click.pass_obj
def restore(
    session: Session,
    source: Path,
    name: str | None,
    to: Path | None,
    genesis_path: Path | None,
    depth: str,
    rehearse: bool,
    live: bool,
    scratch_dir: Path | None,
) -> None:
    """Make a data directory from a backup in FROM; the newest without NAME.

    The directory is fenced: a node that is started on it never votes with the old key, whose
    twin may still run.  With --drill nothing stays: it says how long it took and what would be
    lost.
    """
    from node import backups

    if rehearse == (to is not None):
        raise click.UsageError("give either --to DIR or --drill")
    found = backups.choose(source, name)
    genesis = genesis_for(session, genesis_path, lambda: backups.own_genesis(source, found))
    if to is None:
        _drill(session, source, found, genesis, depth, live=live, scratch_dir=scratch_dir)
        return
    import time

    from storage.restore import restore as bring_back

    now_ms = time.time_ns() // 1_000_000
    bring_back(source, found, to, now_ms=now_ms, progress=progress(session))
    findings = backups.check_restored(
        to, found, genesis, full=depth == "full", scratch_dir=scratch_dir
    )
    row = {"name": found.manifest.name, "height": found.manifest.height, "to": str(to)}
    show_findings(session, row, findings)


def _drill(
    session: Session,
    source: Path,
    found: Any,
    genesis: Any,
    depth: str,
    *,
    live: bool,
    scratch_dir: Path | None,
) -> None:
    from node.drill import drill

    remote = Remote(session)
    done = drill(
        source,
        found,
        genesis,
        scratch_dir=scratch_dir,
        full=depth == "full",
        live=(lambda: _live(remote)) if live else None,
        path=lambda old, new: _path(remote, old, new),
        progress=progress(session),
    )
    row = {
        "name": done.backup,
        "height": done.height,
        "restore_s": f"{done.restore_s:.1f}",
        "check_s": f"{done.check_s:.1f}",
        "recovery_s": f"{done.recovery_s:.1f}",
        "live_height": done.live_height,
        "lost_blocks": done.lost_blocks,
        "lost_leaves": done.lost_leaves,
        "lost_s": None if done.lost_s is None else f"{done.lost_s:.1f}",
    }
    show_findings(session, row, done.findings)


def _live(remote: Remote) -> Any:
    from node.drill import Live

    answer = remote.request("GET", "/v1/checkpoint")
    time_ms = None
    if remote.session.token_file is not None:
        time_ms = int(remote.get("/v1/status")["time_ms"])
    return Live(answer.body, int(answer.headers.get("chartseal-height", "0")), time_ms)


def _path(remote: Remote, old: int, new: int) -> list[bytes]:
    found = remote.get("/v1/checkpoint/consistency", old=old, new=new)
    return [bytes.fromhex(item) for item in found["path"]]
