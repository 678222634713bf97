"""The snapshots of this node: when one is made, which ones others are offered.

Owns: the schedule (at the first suitable height at or above each multiple of ``every``, so that
all members make theirs at the same heights and a newcomer can fetch from all of them), the
moment's view that a snapshot is made of, what is served.  The making runs on a thread of its
own; at most one at a time.  With the disk nearly full none is made.
Refuses: to hold a view for long: what is not certified within ``VIEW_BLOCKS_MAX`` blocks is
given up, because an open view keeps LevelDB from dropping what blocks replace.
"""

import asyncio
from collections.abc import Callable
from math import lcm
from typing import Final

from consensus import wire
from node import threads
from node.book import Committed
from node.diskspace import DiskSpace
from node.ledger import snapshot
from node.ledger.genesis import Parameters
from node.log import event
from node.publish import COSIGN_EVERY
from node.snapshot_wire import (
    EVIDENCE_PART,
    FIRST_CHUNK,
    LIST,
    MANIFEST_PART,
    OFFERS_MAX,
    Offer,
    Offers,
    SnapshotRequest,
    SnapshotResponse,
)
from node.snapshotting import SnapshotUnready, certified_at, make
from node.threads import in_background
from storage.errors import Corrupt, StorageFailure
from storage.snapshots import EVIDENCE, MANIFEST, Snapshots, chunk_name
from storage.store import Store
from storage.view import Snapshot

VIEW_BLOCKS_MAX: Final = 64
LOOK_AGAIN_S: Final = 0.25
REQUEST_PATIENCE_S: Final = 30.0


def is_due(height: int, *, every: int, root_every: int) -> bool:
    """Return whether a snapshot belongs at ``height``: the first at or above a multiple of
    ``every`` that all members cosign and whose state has a root of its own."""
    step = lcm(COSIGN_EVERY, root_every)
    return height % step == 0 and height // every > (height - step) // every


class Shelf:
    def __init__(
        self,
        store: Store,
        snapshots: Snapshots,
        disk: DiskSpace,
        *,
        parameters: Callable[[], Parameters],
        every: int,
        keep: int,
    ) -> None:
        self.snapshots = snapshots
        self.made = 0
        self.failed = 0
        self._store = store
        self._disk = disk
        self._parameters = parameters
        self._every = every
        self._keep = keep
        self._view: tuple[int, Snapshot] | None = None
        self._wanted: asyncio.Future[int] | None = None
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._digests: dict[int, bytes] = {}

    # --- making ------------------------------------------------------------------------------

    def applied(self, result: Committed) -> None:
        """Take the view of a block at which a snapshot is due; the store stands right there."""
        height = result.tip.height
        if self._view is not None and height > self._view[0] + VIEW_BLOCKS_MAX:
            self._drop_view()
        root_every = self._parameters().state_root_every
        due = self._every and is_due(height, every=self._every, root_every=root_every)
        asked = self._wanted is not None and is_due(height, every=1, root_every=root_every)
        if (due or asked) and self._view is None and not self._turn.locked():
            self._view = (height, self._store.snapshot())
        if self._view is not None:
            self._wake.set()

    def _drop_view(self) -> None:
        if self._view is not None:
            view, self._view = self._view[1], None
            view.close()

    async def create(self) -> int:
        """Make a snapshot now, or of the next block that allows it; return its height.

        Raises ``SnapshotUnready`` when none is certified within half a minute, or the disk is
        nearly full.
        """
        if self._disk.low():
            raise SnapshotUnready("the disk is nearly full")
        if self._wanted is None:
            self._wanted = asyncio.get_running_loop().create_future()
            self._wake.set()
        try:
            async with asyncio.timeout(REQUEST_PATIENCE_S):
                return await asyncio.shield(self._wanted)
        except TimeoutError as error:
            self._wanted = None
            raise SnapshotUnready("no block was certified in time") from error

    async def run(self) -> None:
        """Make snapshots as they fall due, until cancelled."""
        await threads.surely(self.snapshots.sweep)
        try:
            while True:
                await self._woken()
                if self._view is None and self._wanted is not None:
                    # At rest the newest block is the certified one.
                    self._view = self._at_rest()
                if self._view is not None:
                    await self._try(*self._view)
        finally:
            async with self._turn:  # a thread that still reads the view ends first
                self._drop_view()

    async def _woken(self) -> None:
        """Return at the next block, or soon while something waits to be certified."""
        waits = self._view is not None or self._wanted is not None
        loop = asyncio.get_running_loop()
        timer = loop.call_later(LOOK_AGAIN_S, self._wake.set) if waits else None
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()
        self._wake.clear()

    def _at_rest(self) -> tuple[int, Snapshot] | None:
        applied = self._store.applied()
        if applied is None or self._store.checkpoint(applied.height) is None:
            return None
        view = self._store.snapshot()
        now = view.applied()
        if now != applied:
            view.close()
            return None
        return applied.height, view

    async def _try(self, height: int, view: Snapshot) -> None:
        """Make the snapshot of ``view`` once it is certified."""
        note = self._store.checkpoint(height)
        if note is None:
            return
        async with self._turn:
            try:
                await self._make(view, note)
            finally:
                self._drop_view()

    async def _make(self, view: Snapshot, note: bytes) -> None:
        wanted, self._wanted = self._wanted, None
        try:
            if self._disk.low():
                raise SnapshotUnready("the disk is nearly full")
            certified_at(view, view.applied(), note)
            height = await in_background(
                lambda: make(view, self.snapshots, note), name="snapshot"
            )
            gone = await threads.surely(self.snapshots.keep, self._keep)
        except Corrupt:
            raise  # the ledger on this disk is damaged: that is no matter of snapshots
        except (SnapshotUnready, StorageFailure, OSError) as error:
            # A full disk among others; the node lives on without the snapshot.
            self.failed += 1
            event("snapshot.skipped", why=str(error))
            if wanted is not None and not wanted.done():
                wanted.set_exception(error)
            return
        self.made += 1
        size = await threads.surely(self.snapshots.bytes_of, height)
        event("snapshot.made", height=height, bytes=size, removed=len(gone))
        if wanted is not None and not wanted.done():
            wanted.set_result(height)

    # --- serving -----------------------------------------------------------------------------

    def newest(self) -> int | None:
        """Return the height of the newest snapshot, or None.  Reads a directory."""
        heights = self.snapshots.heights()
        return heights[-1] if heights else None

    def serve(self, request: SnapshotRequest) -> SnapshotResponse:
        """Return what was asked for; without payload when it is not here.  Reads the disk."""
        payload = b""
        if request.digest == LIST:
            payload = wire.encode(self._offers())
        else:
            height = next((h for h, d in self._named() if d == request.digest), None)
            if height is not None:
                payload = self._part(height, request.part)
        return SnapshotResponse(request.digest, request.part, payload)

    def _part(self, height: int, part: int) -> bytes:
        named = {MANIFEST_PART: MANIFEST, EVIDENCE_PART: EVIDENCE}
        name = named.get(part) or chunk_name(part - FIRST_CHUNK)
        try:
            return self.snapshots.read(height, name) or b""
        except Corrupt:
            # Handing on a damaged part would make this member a liar.
            return b""

    def _offers(self) -> Offers:
        applied = self._store.applied()
        tip = 0 if applied is None else applied.height
        named = self._named()[-OFFERS_MAX:]
        return Offers(self._store.lowest(), tip, tuple(Offer(height, d) for height, d in named))

    def _named(self) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        for height in self.snapshots.heights():
            digest = self._digests.get(height)
            if digest is None:
                try:
                    manifest = self.snapshots.read(height, MANIFEST)
                except Corrupt:
                    continue
                if manifest is None:
                    continue
                digest = self._digests[height] = snapshot.digest_of(manifest)
            found.append((height, digest))
        self._digests = dict(found)
        return found
