"""What a running node does for its own future: backups, archive, pruning; also by the clock.

Owns: one such act at a time, on a worker thread, and when the next one is due.  Refuses: to
write anywhere but where the settings say: who may ask over the network may not choose paths.
Invariant: a failure is an event and a metric, never the end of the node; the next time comes.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from node import backups, cover, threads
from node.archive.layout import ArchiveInvalid
from node.archive.write import Written, write
from node.errors import ChartsealError, from_exception
from node.ledger import crypto
from node.ledger.genesis import Genesis
from node.log import event
from node.settings import Archive, Backup, Storage
from storage import backup, manifest
from storage.backup import Made, Origin
from storage.errors import StorageError
from storage.manifest import BackupInvalid, Found
from storage.prune import Plan
from storage.store import Store

T = TypeVar("T")
LOOK_S: Final = 60.0
PRUNE_EVERY_S: Final = 3600.0
_EXPECTED: Final = (ChartsealError, StorageError, BackupInvalid, ArchiveInvalid, OSError)


class Upkeep:
    """``origin()`` says who signs and what goes along with a backup."""

    def __init__(
        self,
        store: Store,
        genesis: Genesis,
        *,
        origin: Callable[[], Origin],
        backup_: Backup,
        archive: Archive,
        storage: Storage,
    ) -> None:
        self._store = store
        self._genesis = genesis
        self._origin = origin
        self._backup = backup_
        self._archive = archive
        self._storage = storage
        self._turn = asyncio.Lock()
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.backup_ms = 0
        self.backup_height = 0

    # --- asked for ---------------------------------------------------------------------------

    async def backup(self) -> Made:
        """Add a backup to ``backup.path`` and drop those beyond ``backup.keep``.

        Raises ``ChartsealError`` (not-set-up, file-unreadable), ``StorageError``.
        """
        directory = _set_up(self._backup.path, "backup.path")
        made = await self._act("backup", lambda: self._make(directory))
        self.backup_ms, self.backup_height = made.manifest.created_ms, made.manifest.height
        event(
            "backup.made",
            backup=made.manifest.name,
            height=made.manifest.height,
            bytes=made.manifest.bytes_total,
            written_bytes=made.written_bytes,
        )
        return made

    def _make(self, directory: Path) -> Made:
        network = self._genesis.network
        made = backups.create(self._store, directory, self._origin(), network=network)
        if self._backup.keep:
            try:
                backup.prune(directory, keep=self._backup.keep, verify=crypto.verify)
            except (BackupInvalid, OSError) as error:
                # The new backup is good; what was to make room for it waits for a person.
                self.failed["old-backups"] += 1
                code = getattr(error, "code", "file-unreadable")
                event("upkeep.failed", level=logging.WARNING, what="old-backups", code=code)
        return made

    async def backups(self) -> tuple[list[Found], list[BackupInvalid]]:
        """Return the backups in ``backup.path``, oldest first, and what is none."""
        directory = _set_up(self._backup.path, "backup.path")
        return await threads.surely(partial(backup.found, directory, verify=crypto.verify))

    async def archive(self, up_to: int | None = None) -> Written:
        """Extend the archive in ``archive.path``; see ``node.archive.write``."""
        root = _set_up(self._archive.path, "archive.path")
        done = await self._act(
            "archive", lambda: write(self._store, self._genesis, root, up_to=up_to)
        )
        if done.first <= done.height:
            event("archive.extended", first=done.first, height=done.height)
        return done

    async def prune(
        self, before: int, *, force: bool = False, dry: bool = False
    ) -> Plan | None:
        """Drop bodies below ``before`` that the archive or the newest backup holds."""
        archives = [] if self._archive.path is None else [self._archive.path]
        copies = [] if self._backup.path is None else [self._backup.path]

        def act() -> Plan | None:
            return cover.prune(
                self._store,
                self._genesis,
                before,
                archives=archives,
                copies=copies,
                force=force,
                dry=dry,
            )

        done = await self._act("prune", act)
        if done is not None and not dry:
            event(
                "blocks.pruned",
                lowest=done.floor.lowest,
                segments=len(done.segments),
                bytes=done.bytes,
            )
        return done

    async def _act(self, what: str, act: Callable[[], T]) -> T:
        async with self._turn:
            try:
                result = await threads.surely(act)
            except _EXPECTED:
                self.failed[what] += 1
                raise
            self.done[what] += 1
            return result

    # --- by the clock ------------------------------------------------------------------------

    async def run(self) -> None:
        """Make what is due, for ever; end by being cancelled."""
        prune_from_s = time.monotonic() + PRUNE_EVERY_S
        while True:
            if self._backup_due():
                await self._try("backup", self.backup)
            if time.monotonic() >= prune_from_s:
                prune_from_s = time.monotonic() + PRUNE_EVERY_S
                await self._try("prune", self.keep_blocks)
            await asyncio.sleep(LOOK_S)

    def _backup_due(self) -> bool:
        directory, hours = self._backup.path, self._backup.every_hours
        if directory is None or not hours:
            return False
        if not self.backup_ms:
            for path in reversed(manifest.paths(directory)):
                try:
                    newest = manifest.read(path, verify=crypto.verify).manifest
                except BackupInvalid:
                    continue
                self.backup_ms, self.backup_height = newest.created_ms, newest.height
                break
        return time.time() * 1000 - self.backup_ms >= hours * 3_600_000

    async def keep_blocks(self) -> None:
        """Archive and prune so that ``storage.keep_blocks`` bodies stay; 0: nothing to do."""
        keep, applied = self._storage.keep_blocks, self._store.applied()
        if not keep or applied is None or applied.height <= keep:
            return
        before = applied.height - keep + 1
        if await self._spared(before):
            return
        if self._archive.path is not None:
            await self.archive(up_to=None)
        await self.prune(before)

    async def _spared(self, before: int) -> bool:
        """Return whether nothing can go: then nothing is verified either."""
        return await threads.surely(partial(self._store.prune, before, dry=True)) is None

    async def _try(self, what: str, act: Callable[[], object]) -> None:
        try:
            result = act()
            if asyncio.iscoroutine(result):
                await result
        except _EXPECTED as error:
            code = "file-unreadable" if isinstance(error, OSError) else ""
            event(
                "upkeep.failed",
                level=logging.WARNING,
                what=what,
                code=code or from_exception(error).code,
            )


def _set_up(path: Path | None, name: str) -> Path:
    if path is None:
        raise ChartsealError("not-set-up", name)
    return path
