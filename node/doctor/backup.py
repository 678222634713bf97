"""Backups where the node puts them: how old the newest is, and whether its bytes are whole."""

from typing import Final

from node import backups
from node.doctor.finding import Check, Said, failure, not_applicable, ok, warning
from node.doctor.scene import Scene
from node.errors import ChartsealError
from node.ledger import crypto
from storage import manifest
from storage.manifest import BackupInvalid, Found

HOUR_MS: Final = 3_600_000
BY_HAND_HOURS: Final = 168  # where none are made by the clock
READ_BYTES_MAX: Final = 1 << 30  # more takes too long here
_NONE: Final = "backup.path is not set: this node makes no backups"


def _newest(scene: Scene) -> Found | Said:
    """Return the newest backup, or what to say instead."""
    where = scene.settings.backup.path
    if where is None:
        return not_applicable(_NONE)
    try:
        paths = manifest.paths(where)
        if not paths:
            return failure(f"there is none in {where}")
        return manifest.read(paths[-1], verify=crypto.verify)
    except OSError as error:
        return failure(f"{where}: {error.strerror}")
    except BackupInvalid as error:
        return failure(str(error))


def age(scene: Scene) -> Said:
    found = _newest(scene)
    if isinstance(found, Said):
        return found
    hours = (scene.machine.now_ms() - found.manifest.created_ms) // HOUR_MS
    every = scene.settings.backup.every_hours or BY_HAND_HOURS
    say = f"of height {found.manifest.height}, {hours} hours old"
    return warning(say) if hours > 2 * every else ok(say)


def verified(scene: Scene) -> Said:
    """Read every byte of the newest one; roots and blocks are for ``backup verify``."""
    found, where = _newest(scene), scene.settings.backup.path
    if isinstance(found, Said):
        return found
    if where is None or scene.genesis is None:
        return not_applicable("no genesis to verify it with")
    size = sum(item.size for item in found.manifest.files)
    if size > READ_BYTES_MAX:
        return not_applicable(f"{size >> 20} MiB: see `chartseal backup verify`")
    try:
        wrong = backups.verify(where, found, scene.genesis, depth=backups.BYTES)
    except (ChartsealError, OSError) as error:
        return failure(str(error))
    if wrong:
        return failure(f"{len(wrong)} findings, the first: {wrong[0].detail}")
    return ok(f"{size >> 10} KiB are as they were written")


CHECKS = (
    Check(
        "backup.age",
        "a young backup is there",
        age,
        "`chartseal backup create`; see the log for why the node made none",
    ),
    Check(
        "backup.verified",
        "the newest one is as it was written",
        verified,
        "make another one, and look at the disk that holds them",
    ),
)
