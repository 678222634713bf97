"""Pruning with a net: bodies leave a node only when a copy that was just verified holds them.

Owns: what counts as a copy (an archive without findings; a backup whose every byte is as
signed), and the refusal when none reaches far enough.  Refuses: to believe that a copy is whole
because it was once.
"""

from collections.abc import Sequence
from pathlib import Path

from node import backups
from node.archive import layout
from node.archive.layout import ArchiveInvalid
from node.archive.verify import verify as verify_archive
from node.errors import ChartsealError
from node.ledger.genesis import Genesis
from storage.manifest import BackupInvalid
from storage.prune import Plan
from storage.store import Store


def covered_height(
    store: Store, genesis: Genesis, *, archives: Sequence[Path], copies: Sequence[Path]
) -> tuple[int, list[str]]:
    """Return up to which height a verified copy holds every body, and what speaks against the
    copies that do not count."""
    highest, against = 0, []
    for root in archives:
        wrong = verify_archive(root, genesis)
        try:
            head = None if wrong else layout.read_head(root)
        except ArchiveInvalid as invalid:
            head = None
            against.append(str(invalid))
        if wrong:
            against.append(f"{root}: {len(wrong)} findings, the first in {wrong[0].where}")
        if head is not None:
            highest = max(highest, head.height)
    for directory in copies:
        try:
            found = backups.choose(directory, None)
            damaged = backups.verify(directory, found, genesis, depth=backups.BYTES)
        except (BackupInvalid, ChartsealError) as error:
            against.append(str(error))
            continue
        if damaged:
            against.append(f"{damaged[0].where}: {damaged[0].detail}")
        elif found.manifest.lowest_body <= store.lowest_body():
            highest = max(highest, found.manifest.height)
        else:
            against.append(f"{found.manifest.name} holds bodies from another height on")
    return highest, against


def prune(
    store: Store,
    genesis: Genesis,
    before: int,
    *,
    archives: Sequence[Path] = (),
    copies: Sequence[Path] = (),
    force: bool = False,
    dry: bool = False,
) -> Plan | None:
    """Drop bodies below ``before``; return what was done, with ``dry`` what would be.

    Raises ``ChartsealError`` (not-covered) unless a verified copy holds all that would go, or
    ``force``.  None: no whole file is below.
    """
    planned = store.prune(before, dry=True)
    if planned is None or dry:
        return planned
    if not force:
        held, against = covered_height(store, genesis, archives=archives, copies=copies)
        if held < planned.floor.lowest - 1:
            detail = f"bodies up to {planned.floor.lowest - 1} would go, copies hold {held}"
            raise ChartsealError("not-covered", "; ".join([detail, *against]))
    return store.prune(before)
