"""A node that is empty, or too far behind, takes a snapshot from the other members.

Theory of operation.  While the node runs as ever, it asks now and then what the others have.
When their snapshots are further ahead than blocks should be fetched for, or nobody has the
blocks that it needs, it opens the best offer: the manifest must follow from a certified
checkpoint, and every chunk from the manifest, before it is kept.  Chunks come from all members
that offer the same snapshot at once and stay on disk, so that a restart goes on with what is
missing.  Then a store of its own is filled beside the one in use, and the daemon is asked to
end this run, switch, and begin the next one, all in one process: the network is needed for the
fetching and is up, nothing waits for it at a start, and a node that falls far behind after
months comes back in the same way as one that starts empty.

Owns: the decision, the requests and their patience, the blame.  Refuses: to believe a claim.
What a liar can do is to be asked once more: it is named in the log and left alone for
``SHUNNED_S``.  Whoever is silent or slow is left alone too, so that each costs bounded time.
"""

import asyncio
import shutil
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from consensus import wire
from consensus.codec import Malformed
from node import threads
from node.ledger import snapshot
from node.ledger.snapshot import Chunks, Evidence, Manifest, SnapshotRefused
from node.log import event
from node.snapshot_load import Verified
from node.snapshot_trust import Trust
from node.snapshot_wire import (
    EVIDENCE_PART,
    FIRST_CHUNK,
    LIST,
    MANIFEST_PART,
    Offer,
    Offers,
    SnapshotRequest,
    SnapshotResponse,
)
from storage.errors import Corrupt, StorageFailure
from storage.snapshots import (
    EVIDENCE,
    MANIFEST,
    chunk_name,
    make_directory,
    read_part,
    write_part,
)

DIRECTORY: Final = "statesync"
EXTENT_MAX: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: between two looks at the others (doubling up to ``look_max_s`` while there is
    nothing to take), for a list, for a manifest or chunk, for ``window_bytes`` of chunks
    together, and how long a peer is left alone."""

    look_s: float = 2.0
    look_max_s: float = 60.0
    answer_s: float = 5.0
    chunk_s: float = 15.0
    window_s: float = 30.0
    window_bytes: int = 1 << 20
    shunned_s: float = 600.0
    in_flight: int = 2  # requests to one peer


@dataclass(slots=True)
class SyncCounters:
    """What the metrics show; ``faults`` by (peer, why)."""

    chunks: int = 0
    bytes: int = 0
    chunks_total: int = 0
    chunks_left: int = 0
    installed_height: int = 0
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)


class _Given(Exception):
    """A peer gave what it should not; ``why`` is one of a few words."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(slots=True)
class _Download:
    verified: Verified
    digest: bytes
    chunks: Chunks
    missing: deque[int]
    taken_bytes: int = 0


class StateSync:
    """``ask(peer, request)`` sends; ``connected`` names who may be asked; ``height`` is that of
    the newest applied block; ``fill`` puts a complete snapshot into a store beside the one in
    use (on a thread)."""

    def __init__(
        self,
        *,
        data_dir: Path,
        trust: Trust,
        gap_blocks: int,
        ask: Callable[[str, SnapshotRequest], None],
        connected: Callable[[], Sequence[str]],
        height: Callable[[], int],
        fill: Callable[[Verified], Awaitable[None]],
        patience: Patience | None = None,
        counters: SyncCounters | None = None,
    ) -> None:
        self.counters = counters or SyncCounters()
        self._root = data_dir / DIRECTORY
        self._trust = trust
        self._gap = gap_blocks
        self._ask = ask
        self._connected = connected
        self._height = height
        self._fill = fill
        self._patience = patience or Patience()
        self._awaited: dict[tuple[str, bytes, int], asyncio.Future[bytes]] = {}
        self._shunned: dict[str, float] = {}

    # --- the loop ----------------------------------------------------------------------------

    async def run(self) -> Verified:
        """Return once a store that is further ahead is complete beside the one in use."""
        pause_s = self._patience.look_s
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, self._patience.look_max_s)
            for offer, peers in self._ranked(await self._look()):
                pause_s = self._patience.look_s
                try:
                    found = await self._take(offer, peers)
                except StorageFailure as failure:
                    # A full disk, most of the time.  What was kept stays; later again.
                    event("snapshot.unusable", height=0, why=str(failure))
                    pause_s = self._patience.look_max_s
                    break
                if found is not None:
                    return found

    async def _look(self) -> dict[str, Offers]:
        """Ask everybody what they have; return the answers that came in time."""
        now = _now_s()
        peers = [peer for peer in self._connected() if self._shunned.get(peer, 0.0) <= now]
        answers = await asyncio.gather(*(self._offers_of(peer) for peer in peers))
        return {
            peer: offers
            for peer, offers in zip(peers, answers, strict=True)
            if offers is not None
        }

    async def _offers_of(self, peer: str) -> Offers | None:
        try:
            raw = await self._get(peer, LIST, MANIFEST_PART, self._patience.answer_s)
            return wire.decode(Offers, raw, size_max=1 << 12)
        except Malformed:
            self._blame(peer, "bad-list")
        except TimeoutError:
            # It may run software that does not know the question, or be busy: not counted,
            # because nothing waits for this answer but the next look.
            pass
        return None

    def _ranked(self, seen: dict[str, Offers]) -> list[tuple[Offer, list[str]]]:
        """Return the offers worth taking, best first, each with those who make it."""
        own = self._height()
        starved = bool(seen) and all(offers.lowest > own + 1 for offers in seen.values())
        least = own + 1 if starved else own + self._gap + 1
        makers: dict[Offer, list[str]] = {}
        for peer, offers in sorted(seen.items()):
            for offer in offers.offers:
                if offer.height >= least:
                    makers.setdefault(offer, []).append(peer)
        begun = {path.name for path in self._root.iterdir()} if self._root.is_dir() else set()

        def rank(offer: Offer) -> tuple[bool, int, int]:
            return offer.digest.hex() in begun, len(makers[offer]), offer.height

        ordered = sorted(makers, key=rank, reverse=True)
        return [(offer, makers[offer]) for offer in ordered]

    async def _take(self, offer: Offer, peers: list[str]) -> Verified | None:
        """Fetch, verify and fill; None when nobody among ``peers`` could give it."""
        download = await self._open(offer, peers)
        if download is None:
            return None
        verified = download.verified
        height = verified.manifest.height
        event("snapshot.fetch", height=height, chunks=len(download.missing), peers=len(peers))
        if not await self._fetch(download, peers) or self._height() >= height:
            return None
        try:
            await self._fill(verified)
        except (SnapshotRefused, Corrupt) as error:
            # Each chunk was right when it was kept: the disk changed it, or the pinned
            # checkpoint contradicts the log.  Neither gets better by trying again with it.
            event("snapshot.unusable", height=height, why=str(error))
            await threads.surely(shutil.rmtree, verified.directory, ignore_errors=True)
            for peer in peers:
                self._shun(peer)
            return None
        return verified

    # --- the manifest ------------------------------------------------------------------------

    async def _open(self, offer: Offer, peers: list[str]) -> _Download | None:
        for peer in list(peers):
            try:
                patience_s = self._patience.chunk_s
                raw = await self._get(peer, offer.digest, MANIFEST_PART, patience_s)
                why = await self._get(peer, offer.digest, EVIDENCE_PART, patience_s)
                return await threads.surely(self._opened, offer, raw, why)
            except TimeoutError:
                self._blame(peer, "silent")
            except SnapshotRefused as refused:
                self._blame(peer, "bad-manifest", say=str(refused))
            except _Given as given:
                self._blame(peer, given.why)
            peers.remove(peer)
        return None

    def _opened(self, offer: Offer, raw: bytes, evidence_raw: bytes) -> _Download:
        digest = offer.digest
        if not raw or not evidence_raw:
            raise _Given("withdrawn")
        if snapshot.digest_of(raw) != digest:
            raise SnapshotRefused("the manifest of another snapshot")
        manifest = Manifest.decode(raw)
        if manifest.height != offer.height:
            raise _Given("stale")
        directory = self._root / digest.hex()
        evidence = Evidence.decode(evidence_raw)
        verified = self._trust.verify(directory, manifest, evidence)
        for other in self._root.iterdir() if self._root.is_dir() else ():
            if other != directory:
                shutil.rmtree(other, ignore_errors=True)
        make_directory(directory)
        write_part(directory, EVIDENCE, evidence_raw)
        write_part(directory, MANIFEST, raw)
        missing = deque(n for n in range(manifest.chunks) if not _held(directory, n))
        chunks = Chunks(manifest, verified.contents.seal.state_root)
        return _Download(verified, digest, chunks, missing)

    # --- the chunks --------------------------------------------------------------------------

    async def _fetch(self, download: _Download, peers: list[str]) -> bool:
        """Fetch what is missing from all of ``peers``; False when they all failed."""
        counters = self.counters
        counters.chunks_total = download.verified.manifest.chunks
        counters.chunks_left = len(download.missing)
        good = set(peers)
        workers = [
            asyncio.create_task(self._work(download, peer, good), name=f"snapshot-{peer}")
            for peer in peers
            for _ in range(self._patience.in_flight)
        ]
        watch = asyncio.create_task(self._watch(download, good))
        try:
            everybody = asyncio.gather(*workers)
            ends: list[asyncio.Future[Any]] = [watch, everybody]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*workers, watch):
                task.cancel()
            await asyncio.gather(*workers, watch, return_exceptions=True)
        for task in workers:
            if not task.cancelled() and task.exception() is not None:
                task.result()
        return not counters.chunks_left

    async def _watch(self, download: _Download, good: set[str]) -> None:
        """Return when what comes is too little for the time it takes."""
        while True:
            before = download.taken_bytes
            await asyncio.sleep(self._patience.window_s)
            if download.taken_bytes - before < self._patience.window_bytes:
                break
        for peer in sorted(good):
            self._blame(peer, "slow")

    async def _work(self, download: _Download, peer: str, good: set[str]) -> None:
        while peer in good and self.counters.chunks_left:
            if not download.missing:
                # Others have the rest under way; one of them may fail yet.
                await asyncio.sleep(0.05)
                continue
            number = download.missing.popleft()
            try:
                await self._chunk(download, peer, number)
            except BaseException as error:
                download.missing.append(number)
                good.discard(peer)
                if isinstance(error, TimeoutError):
                    self._blame(peer, "silent")
                elif isinstance(error, SnapshotRefused):
                    self._blame(peer, "bad-chunk", say=str(error))
                elif isinstance(error, _Given):
                    self._blame(peer, error.why)
                else:
                    raise
                return
            self.counters.chunks_left -= 1

    async def _chunk(self, download: _Download, peer: str, number: int) -> None:
        raw = await self._get(
            peer, download.digest, number + FIRST_CHUNK, self._patience.chunk_s
        )
        if not raw:
            raise _Given("withdrawn")

        def keep() -> None:
            download.chunks.check(number, raw)
            write_part(download.verified.directory, chunk_name(number), raw)

        await threads.surely(keep)
        download.taken_bytes += len(raw)
        self.counters.chunks += 1
        self.counters.bytes += len(raw)

    # --- asking ------------------------------------------------------------------------------

    async def _get(self, peer: str, digest: bytes, part: int, patience_s: float) -> bytes:
        """Return the payload of the answer; raises ``TimeoutError``."""
        name = (peer, digest, part)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._awaited[name] = answer
        try:
            self._ask(peer, SnapshotRequest(digest, part))
            async with asyncio.timeout(patience_s):
                return await answer
        finally:
            self._awaited.pop(name, None)

    def received(self, peer: str, response: SnapshotResponse) -> None:
        """Take an answer; one that nobody waits for (any more) is dropped."""
        answer = self._awaited.get((peer, response.digest, response.part))
        if answer is not None and not answer.done():
            answer.set_result(response.payload)

    def _blame(self, peer: str, why: str, *, say: str = "") -> None:
        self.counters.faults[peer, why] += 1
        if why != "withdrawn":  # an honest member, too, keeps a snapshot for a time only
            self._shun(peer)
        event("snapshot.peer-dropped", peer=peer, why=why, say=say)

    def _shun(self, peer: str) -> None:
        self._shunned[peer] = _now_s() + self._patience.shunned_s


def _held(directory: Path, number: int) -> bool:
    """Return whether a chunk was kept by an earlier attempt: then it had been verified."""
    try:
        return read_part(directory, chunk_name(number)) is not None
    except Corrupt:
        return False


def _now_s() -> float:
    return asyncio.get_running_loop().time()
