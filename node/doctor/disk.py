"""The disk under the ledger: room, speed of synced writes, kind of file system."""

from pathlib import Path
from typing import Final

from node.diskspace import RESERVE_NAME
from node.doctor.finding import Check, Said, failure, not_applicable, ok, warning
from node.doctor.scene import Scene

FREE: Final = 5 << 30
FREE_SHARE: Final = 10  # percent
SYNC_WARN_MS: Final = 10.0
SYNC_FAIL_MS: Final = 50.0
REMOTE: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"})
PASSING: Final = frozenset({"tmpfs", "ramfs", "overlay"})


def directory(scene: Scene) -> Path:
    """Return the data directory, or what is there of the way to it."""
    path = scene.settings.node.data_dir
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def free(scene: Scene) -> Said:
    left, total = scene.machine.free(directory(scene))
    say = f"{left >> 20} MiB of {total >> 20} MiB are free"
    if left < scene.settings.storage.min_free_bytes:
        return failure(f"{say}: clients' writes are refused")
    if left < FREE and 100 * left < FREE_SHARE * total:
        return warning(say)
    return ok(say)


def inodes(scene: Scene) -> Said:
    left, total = scene.machine.inodes(directory(scene))
    if not total:
        return not_applicable("this file system counts none")
    say = f"{left} of {total} inodes are free"
    if left < 1_000:
        return failure(say)
    return warning(say) if left * 100 < total * 5 else ok(say)


def sync(scene: Scene) -> Said:
    try:
        took = sorted(scene.machine.sync_ms(directory(scene)))
    except OSError as error:
        return failure(f"no file can be written and synced: {error.strerror}")
    worst = took[min(len(took) - 1, len(took) * 99 // 100)]
    say = f"a synced write of 4 KiB takes {took[len(took) // 2]:.1f} ms, at worst {worst:.1f}"
    if worst > SYNC_FAIL_MS:
        return failure(say)
    return warning(say) if worst > SYNC_WARN_MS else ok(say)


def kind(scene: Scene) -> Said:
    found = scene.machine.file_system(directory(scene))
    if found is None:
        return not_applicable("this system does not say")
    if found in REMOTE:
        return failure(f"{found}: locks and syncs do not hold as they must")
    if found in PASSING:
        return warning(f"{found}: gone with the machine or the container")
    return ok(found)


def reserve(scene: Scene) -> Said:
    """The file that is given up when a full disk would not let the node start."""
    wanted, where = scene.settings.storage.reserve_bytes, scene.settings.node.data_dir
    if not wanted:
        return not_applicable("storage.reserve_bytes is 0: none is kept")
    if not where.is_dir():
        return not_applicable("no ledger yet: the node makes it")
    path = where / RESERVE_NAME
    size = path.stat().st_size if path.exists() else 0
    say = f"{size >> 20} of {wanted >> 20} MiB"
    if size < wanted:
        return warning(f"{say}: given up, not made yet, or there is no room for it")
    return ok(say)


CHECKS = (
    Check("disk.free", "there is room for the ledger", free, "free space under node.data_dir"),
    Check("disk.inodes", "there is room for files", inodes, "remove files, or make it larger"),
    Check("disk.sync", "synced writes are fast", sync, "a disk of its own, or a faster one"),
    Check("disk.kind", "the file system keeps what it promised", kind, "a local ext4 or xfs"),
    Check(
        "disk.reserve",
        "a reserve for a full disk is kept",
        reserve,
        "free space: the node makes it again by itself",
    ),
)
