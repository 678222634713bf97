"""The scrub: everything on disk read again, slowly, for ever; what can be mended is.

One round reads all segments, the newest first, then every row, then compares tiles with leaves
and the state's pages with its pairs.  Bodies are mended from peers, tiles and pages from what
they are made of, each proven before it is written.  LevelDB's own damage is named and left:
its repair drops what it cannot read in silence, and a dropped vote lets a member sign twice.
The remedy for that is a new directory from peers or from a backup.

Owns: pace, rounds, events, counts.  Refuses: to stop the node.
Invariant: a round reads at most ``rate`` bytes a second, whatever it finds.
"""

import asyncio
import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from node import roots, threads
from node.log import event
from node.mending import PeerBodies, keep_aside, proven, write_back
from node.rederive import pages_again, tiles_again
from storage import tables
from storage.check import Finding
from storage.errors import Corrupt, StorageFailure
from storage.layout import KV_NAME
from storage.scrub import LETTERS, BadRecord, BadRows, segment_ends, walk_rows, walk_segment
from storage.store import Store

T = TypeVar("T")
PAUSE_S: Final = 60.0  # between two rounds
WORK_S: Final = 0.01  # at one go
REST_SHARE: Final = 9.0  # rest for so many times as long as was worked
SETTLED_S: Final = 60.0  # a younger table may still be written
KNOWN_MAX: Final = 10_000
FINDINGS_MAX: Final = 1000


class _Stopped(Exception):
    """The node stops: a long look ends in the middle."""


class _NoRoom(Exception):
    """A look that writes a file of its own leaves the disk to the ledger."""


class Scrub:
    """``rate``: bytes a second, 0 for off.  ``free_bytes``: what it leaves free on the disk."""

    def __init__(
        self,
        store: Store,
        data_dir: Path,
        bodies: PeerBodies,
        *,
        rate: int,
        free_bytes: int,
    ) -> None:
        self._store = store
        self._data_dir = data_dir
        self._bodies = bodies
        self._rate = rate
        self._free_bytes = free_bytes
        self._left: set[tuple[str, bytes | int]] = set()  # named once already
        self._unreadable = False  # LevelDB, in this round
        self.bytes_read = 0
        self.rounds = 0
        self.found: Counter[str] = Counter()
        self.mended: Counter[str] = Counter()
        self._stop = threading.Event()
        self._woken_s = 0.0

    def _rest(self) -> None:
        """Rest in proportion: a long look takes a tenth of a processor, and less of a busy one,
        where the same work takes longer.  On all members at once that is hardly felt; without
        it four that share two cores answered ten seconds late meanwhile."""
        worked_s = time.monotonic() - self._woken_s
        if worked_s < WORK_S:
            return
        if self._stop.wait(worked_s * REST_SHARE):
            raise _Stopped
        self._woken_s = time.monotonic()

    def _rest_with_room(self) -> None:
        if shutil.disk_usage(self._data_dir).free < self._free_bytes:
            raise _NoRoom
        self._rest()

    async def run(self) -> None:
        """Scrub until cancelled; failures of the disk are the store's business to tell."""
        while self._rate:
            with suppress(StorageFailure, OSError):
                await self.round()
            await asyncio.sleep(PAUSE_S)
        await asyncio.Event().wait()

    async def round(self) -> None:
        """Read everything once and mend what can be mended."""
        await self.segments()
        self._unreadable = False
        for letter in LETTERS:  # a view each: an open one keeps old versions on the disk
            with self._store.snapshot(apart=True) as view:
                await self._paced(walk_rows(view, letter), self._bad_rows)
        await self._files()
        if not self._unreadable:  # else what is derived cannot be compared
            await self.derived()
        self.rounds += 1

    async def _paced(self, steps: Iterator[int | T], bad: Callable[[T], object]) -> None:
        """Draw ``steps`` on a worker thread, at the rate; hand damage to ``bad``."""
        while True:
            step = await threads.surely(next, steps, None)
            if step is None:
                return
            if isinstance(step, int):
                self.bytes_read += step
                await asyncio.sleep(step / self._rate if self._rate else 0)
                continue
            result = bad(step)
            if asyncio.iscoroutine(result):
                await result

    def _tell(self, kind: str, **fields: object) -> None:
        self.found[kind] += 1
        event("scrub.damage", level=logging.WARNING, kind=kind, **fields)

    # --- segments ----------------------------------------------------------------------------

    async def segments(self) -> None:
        """Read every segment, the newest first: its end is the only part a start looks at."""
        store = self._store
        with store.snapshot(apart=True) as view:
            ends = await threads.surely(segment_ends, view, store.segments)
        for number in sorted(ends, reverse=True):
            if number < min(store.segments.numbers(), default=0):
                return  # pruned since
            with store.snapshot(apart=True) as view:
                steps = walk_segment(view, store.segments, number, ends[number])
                await self._paced(steps, self._bad_record)

    async def _bad_record(self, bad: BadRecord) -> None:
        store, pointer = self._store, bad.pointer
        file = store.segments.path(pointer.segment).name
        place = (file, pointer.offset)
        if place not in self._left and len(self._left) < KNOWN_MAX:
            self._left.add(place)
            self._tell(
                "segment",
                file=file,
                offset=pointer.offset,
                height=bad.height,
                body=None if bad.digest is None else bad.digest.hex()[:16],
                what=bad.what,
            )
        if bad.digest is None:
            return
        if bad.height is None:
            # Not applied: nobody answers for it by height.  Forgotten, it is written anew when
            # its proposal comes again.
            await threads.surely(keep_aside, store, self._data_dir, bad)
            await threads.surely(store.forget_bodies, [bad.digest])
            self._mended("segment", place)
            return
        body = await self._bodies.fetch(bad.height, partial(proven, store, bad))
        if body is None:
            event("scrub.unmended", level=logging.WARNING, file=file, height=bad.height)
            return
        await threads.surely(write_back, store, self._data_dir, bad, body)
        self._mended("segment", place)

    def _mended(self, kind: str, place: tuple[str, bytes | int]) -> None:
        self._left.discard(place)
        self.mended[kind] += 1
        event("scrub.mended", kind=kind, where=f"{place[0]}:{place[1]!r}")

    # --- rows --------------------------------------------------------------------------------

    def _bad_rows(self, bad: BadRows) -> None:
        self._unreadable = True
        if ("kv", bad.after) not in self._left and len(self._left) < KNOWN_MAX:
            self._left.add(("kv", bad.after))
            self._tell("leveldb", letter=bad.letter, after=bad.after.hex()[:32], what=bad.what)

    async def _files(self) -> None:
        """Look at what LevelDB reads at a start only, and at tables beside their rows."""
        kv_dir = self._data_dir / KV_NAME
        if not kv_dir.is_dir():
            return
        look = partial(
            tables.locate,
            kv_dir,
            deep=False,
            written_before_s=time.time() - SETTLED_S,
            rest=self._rest,
        )
        self._woken_s = time.monotonic()
        for item in await threads.surely(lambda: list(look()), stop=self._stop):
            place = (item.path.name, item.offset)
            if place not in self._left and len(self._left) < KNOWN_MAX:
                self._left.add(place)
                self._tell("leveldb", file=place[0], offset=item.offset, what=item.what)

    async def derived(self) -> None:
        """Compare what is computed from other rows with these, and compute it again."""
        for kind, look, again in (
            ("tiles", partial(roots.log_findings, rest=self._rest), tiles_again),
            (
                "pages",
                partial(
                    roots.state_findings, scratch_dir=self._data_dir, rest=self._rest_with_room
                ),
                partial(pages_again, scratch_dir=self._data_dir),
            ),
        ):
            try:
                findings = await threads.surely(self._findings, look, stop=self._stop)
            except _NoRoom:
                event("scrub.postponed", level=logging.WARNING, kind=kind)
                continue
            for item in findings:
                self._tell(kind, where=item.where, what=item.detail)
            if findings and await self._again(again):
                self.mended[kind] += len(findings)
                event("scrub.mended", kind=kind, where=findings[0].where)

    def _findings(self, look: Callable[..., Iterator[Finding]]) -> list[Finding]:
        found: list[Finding] = []
        self._woken_s = time.monotonic()
        try:
            with self._store.snapshot(apart=True) as view:
                for item in look(view):
                    found.append(item)
                    if len(found) >= FINDINGS_MAX:
                        break
        except Corrupt:
            return []  # LevelDB cannot read them: named by the walk
        return found

    async def _again(self, again: Callable[[Store], bool | None]) -> bool:
        """Return whether it was mended; None from ``again``: the ledger moved on, once more."""
        for _ in range(20):
            with suppress(Corrupt):
                done = await threads.surely(again, self._store)
                if done is not None:
                    return done
        return False
