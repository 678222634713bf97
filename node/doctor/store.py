"""The ledger's files: whole, readable, of this network.  A copy is read (storage.aside)."""

from contextlib import suppress
from typing import Final

from node.doctor.finding import Check, Said, failure, not_applicable, ok, warning
from node.doctor.scene import Scene
from storage.errors import Corrupt, DataDirLocked, DataDirMissing
from storage.snapshots import Snapshots

SAMPLED: Final = 64  # blocks, from the newest down, and as many spread over the rest
_RUNS: Final = "the node runs and has it open"


def lock(scene: Scene) -> Said:
    if scene.running:
        return not_applicable(_RUNS)
    if isinstance(scene.store_error, DataDirLocked):
        return failure(f"{scene.store_error}, and the ops port says: {scene.down}")
    return ok("free")


def opens(scene: Scene) -> Said:
    if scene.running:
        failed = scene.causes("store-failed")
        return failure(str(failed[0]["say"])) if failed else ok(_RUNS)
    if isinstance(scene.store_error, DataDirMissing):
        return not_applicable("no ledger yet: the node makes one at its first start")
    if scene.store_error is not None:
        return failure(str(scene.store_error))
    return ok("opens") if scene.store is not None else not_applicable("no genesis to open with")


def heights(scene: Scene) -> Said:
    """The applied record, the newest block's row, its body and its seal speak of one height."""
    store = scene.store
    if store is None or (applied := store.applied()) is None:
        return not_applicable(_RUNS if scene.running else "no block yet, or it does not open")
    try:
        row = store.block(applied.height)
        if row is None or row.digest != applied.digest:
            return failure(f"height {applied.height} has no row of its own")
        if store.body(row.digest) is None or store.seal(applied.height) is None:
            return failure(f"height {applied.height} lacks its body or its seal")
        if store.block(applied.height + 1) is not None:
            return failure(f"there is a row above height {applied.height}")
    except Corrupt as damage:
        return failure(str(damage))
    return ok(f"height {applied.height}")


def sample(scene: Scene) -> Said:
    """Read blocks with all their parts: checksums and digests are verified on the way."""
    store = scene.store
    if store is None or (applied := store.applied()) is None:
        return not_applicable(_RUNS if scene.running else "no block yet, or it does not open")
    top = applied.height
    step = max(1, top // SAMPLED)
    wanted = sorted({*range(max(1, top - SAMPLED + 1), top + 1), *range(1, top + 1, step)})
    for height in wanted:
        try:
            found = list(store.iter_blocks(height, height + 1))
        except Corrupt as damage:
            return failure(str(damage))
        if not found:
            return failure(f"block {height} is missing")
    return ok(f"{len(wanted)} of {top} blocks read, each as it was written")


def torn(scene: Scene) -> Said:
    if scene.store is None:
        return not_applicable(_RUNS if scene.running else "it does not open")
    cut = scene.store.torn_bytes
    return warning(f"{cut} bytes of an unfinished write") if cut else ok("no torn end")


def writable(scene: Scene) -> Said:
    path = scene.settings.node.data_dir
    if not path.exists():
        return not_applicable("no ledger yet")
    probe = path / ".doctor-probe"
    try:
        probe.touch()
    except OSError as error:
        return failure(f"{path}: {error.strerror}")
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return ok("files can be made there")


def snapshots(scene: Scene) -> Said:
    every = scene.settings.snapshots.every_blocks
    if not every:
        return not_applicable("snapshots.every_blocks is 0: none are made")
    if scene.why is not None:
        top = int(scene.why.get("height") or 0)
    elif scene.store is not None and (applied := scene.store.applied()) is not None:
        top = applied.height
    else:
        return not_applicable("no block yet, or it does not open")
    if top < 2 * every:
        return not_applicable(f"height {top}: the first are not due yet, or just now")
    newest = max(Snapshots(scene.settings.node.data_dir).heights(), default=0)
    say = f"height {newest}, {top - newest} blocks back"
    return warning(say) if top - newest > 2 * every else ok(say)


CHECKS = (
    Check("store.lock", "no other process has the data", lock, "end the other process"),
    Check(
        "store.opens",
        "the ledger's rows open",
        opens,
        "fetch the ledger anew from the members, or restore a backup",
    ),
    Check(
        "store.heights",
        "rows and bodies end at one height",
        heights,
        "`chartseal check` says more; fetch the ledger anew from the members",
    ),
    Check(
        "store.sample",
        "blocks read as they were written",
        sample,
        "`chartseal check` finds every one; fetch the ledger anew from the members",
    ),
    Check(
        "store.torn",
        "nothing was cut at the last end",
        torn,
        "nothing: the next start cuts it off, nobody was promised anything of it",
    ),
    Check(
        "store.writable",
        "the directory can be written",
        writable,
        "chown it to the node's user; mount it for writing",
    ),
    Check(
        "store.snapshots",
        "the newest snapshot is young",
        snapshots,
        "see the log: it waits for a certified block and for disk space",
    ),
)
