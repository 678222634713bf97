"""`chartseal upgrade check`: may this node be upgraded now, and what would happen."""

import shutil
import time
from pathlib import Path
from typing import Any, Final

import click

from node.cli.main import Group
from node.cli.output import Session
from node.cli.remote import Remote, curl_option, pick, rows_of
from node.cli.situation import ask
from node.errors import Exit

_COLUMNS: Final = ("check", "ok", "detail")
_VERSIONS: Final = ("software", "wire_low", "wire_high", "store", "members")
_SNAPSHOT_ROOM: Final = 128 << 20  # its copies, and what a migration writes
_BACKUP_DAYS: Final = 2
Row = dict[str, Any]


@click.group(cls=Group)
def upgrade() -> None:
    """Prepare the upgrade of a node."""


@upgrade.command()
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The node's config.toml on this machine: space for the snapshot too.",
)
@click.option(
    "--backup",
    type=click.Path(path_type=Path),
    help="Where its backups are: the newest file there tells their age.",
)
@curl_option
@click.pass_obj
def check(session: Session, config_path: Path | None, backup: Path | None, curl: bool) -> None:
    """Say whether a node may be taken down for an upgrade; exit code 9 when not.

    Ask each node before its turn: one after the other, the leader last.
    """
    remote = Remote(session, curl=curl)
    versions = pick(remote.get("/v1/versions"), _VERSIONS)
    status = pick(remote.get("/v1/status"), ("engine", "peers", "node", "life", "height"))
    rows = [_quorum(status), _level(status), *_members(versions), _disk(status)]
    rows.append(_features(remote, status["height"]))
    if config_path is not None:
        rows.append(_space(config_path))
    if backup is not None:
        rows.append(_backup(backup))
    session.show_list(rows, _COLUMNS)
    if not all(row["ok"] for row in rows):
        raise click.exceptions.Exit(Exit.UNHEALTHY)


def _quorum(status: Row) -> Row:
    """Without this node there must be a quorum: else the network stands still meanwhile."""
    engine = pick(status["engine"], ("quorum",))
    present = len({*status["peers"]} - {status["node"]})
    detail = f"{present} others connected, {engine['quorum']} needed without this node"
    return {"check": "quorum-without", "ok": present >= engine["quorum"], "detail": detail}


def _level(status: Row) -> Row:
    engine = pick(status["engine"], ("committed", "role", "leader"))
    lag = max(0, engine["committed"] - status["height"])
    leads = ", leads: upgrade it last" if engine["role"] == "leader" else ""
    return {"check": "caught-up", "ok": lag == 0, "detail": f"{lag} blocks behind{leads}"}


def _members(versions: Row) -> list[Row]:
    """Every connected member must share a version with the software on this machine."""
    from node.net.versions import OURS

    rows = []
    for item in rows_of(versions, "members"):
        member = pick(item, ("member", "wire", "software"))
        software = member["software"] or "older than version 2"
        detail = f"speaks {member['wire']}, runs {software}; this software speaks {OURS}"
        ok = member["wire"] in OURS
        rows.append({"check": f"wire-{member['member']}", "ok": ok, "detail": detail})
    return rows


def _features(remote: Remote, height: int) -> Row:
    """The software on this machine must know every feature that is or will be in force."""
    from node.ledger.facts.features import FEATURES

    found = [
        pick(item, ("feature",))["feature"]
        for item in rows_of(ask(remote, "network.features"), "features")
    ]
    rows = [pick(item, ("name", "from_height")) for item in found]
    missing = sorted(row["name"] for row in rows if row["name"] not in FEATURES)
    pending = sorted(
        f"{row['name']}@{row['from_height']}" for row in rows if row["from_height"] > height
    )
    detail = f"not known to this software: {', '.join(missing) or 'none'}"
    detail += f"; still to come: {', '.join(pending) or 'none'}"
    return {"check": "features", "ok": not missing, "detail": detail}


def _disk(status: Row) -> Row:
    life = status["life"]
    low = isinstance(life, dict) and life.get("disk_low") is True
    return {"check": "disk", "ok": not low, "detail": "low" if low else "enough for service"}


def _space(config_path: Path) -> Row:
    from node import config

    directory = config.load(config_path).node.data_dir
    free = shutil.disk_usage(directory).free
    detail = f"{free} bytes free, {_SNAPSHOT_ROOM} for the snapshot before a migration"
    return {"check": "snapshot-room", "ok": free >= _SNAPSHOT_ROOM, "detail": detail}


def _backup(where: Path) -> Row:
    newest = max(
        (path.stat().st_mtime for path in where.rglob("*") if path.is_file()), default=0
    )
    days = (time.time() - newest) / 86_400
    detail = f"the newest is {days:.1f} days old" if newest else f"none in {where}"
    return {"check": "backup", "ok": bool(newest) and days <= _BACKUP_DAYS, "detail": detail}
