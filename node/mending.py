"""Damaged bodies put back byte by byte from what other members have.

A body's digest stands in rows that are sound, and the header it covers fixes every other byte;
so what a peer sends is the very bytes that were written once, or it is refused.
Owns: asking one member after the other, the proof, keeping the damaged bytes aside for the
operator, and writing.  Refuses: to write what was not proven; more than ``ASIDE_FILES_MAX``
files of damaged bytes.
Invariant: a record is sound or as damaged as it was, never anything else.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from consensus.types import NodeId
from node import threads
from node.blocksync import SyncRequest, SyncResponse
from node.ledger import block as blocks
from node.ledger.block import BlockMalformed
from storage.errors import Corrupt
from storage.layout import DAMAGED_NAME
from storage.scrub import BadRecord, raw_bytes
from storage.store import Store

ANSWER_S: Final = 5.0
ASIDE_FILES_MAX: Final = 1000


def proven(store: Store, bad: BadRecord, body: bytes) -> bool:
    """Return whether ``body`` is what the damaged record held."""
    assert bad.digest is not None, "somebody's bytes"
    try:
        header, _raws = blocks.decode_body(body, size_max=max(1, bad.pointer.length))
    except BlockMalformed:
        return False
    return (
        blocks.body_digest(header.encode()) == bad.digest
        and len(bad.digest) + len(body) == bad.pointer.length
        and blocks.encode_body(header, _raws) == body
        and store.height_of(bad.digest) == header.height
    )


def write_back(store: Store, data_dir: Path, bad: BadRecord, body: bytes) -> None:
    """Put a proven body back and read it again; raises ``Corrupt`` when it did not stay."""
    assert bad.digest is not None, "somebody's bytes"
    keep_aside(store, data_dir, bad)
    store.segments.rewrite(bad.pointer, bad.digest + body)
    if store.body(bad.digest) != body:
        where = f"{store.segments.path(bad.pointer.segment).name}:{bad.pointer.offset}"
        raise Corrupt("what was written does not read back", where=where)


def keep_aside(store: Store, data_dir: Path, bad: BadRecord) -> None:
    """Copy the damaged bytes to ``damaged/`` beside the segments, for whoever looks into it."""
    place = data_dir / DAMAGED_NAME
    place.mkdir(mode=0o700, exist_ok=True)
    if sum(1 for _ in place.iterdir()) >= ASIDE_FILES_MAX:
        return
    name = store.segments.path(bad.pointer.segment).name
    path = place / f"{name}-{bad.pointer.offset}-{time.time_ns() // 1_000_000}"
    path.write_bytes(raw_bytes(store.segments, bad.pointer))
    path.chmod(0o600)


class PeerBodies:
    """Bodies of applied blocks, asked from members; ``ask(peer, request)`` sends."""

    def __init__(
        self,
        ask: Callable[[str, SyncRequest], None],
        peers: Callable[[], Sequence[str]],
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._ask = ask
        self._peers = peers
        self._answer_s = answer_s
        self._awaited: dict[tuple[str, int], asyncio.Future[SyncResponse]] = {}

    def received(self, peer: NodeId, response: SyncResponse) -> bool:
        """Take an answer that was awaited here; False when it was not."""
        waiter = self._awaited.get((peer, response.lo))
        if waiter is None:
            return False
        if not waiter.done():
            waiter.set_result(response)
        return True

    async def fetch(self, height: int, good: Callable[[bytes], bool]) -> bytes | None:
        """Return the body of an applied height that ``good`` accepts; None: nobody has it."""
        for peer in self._peers():
            key = (peer, height)
            if key in self._awaited:
                continue
            waiter: asyncio.Future[SyncResponse] = asyncio.get_running_loop().create_future()
            self._awaited[key] = waiter
            try:
                self._ask(peer, SyncRequest(height, height))
                async with asyncio.timeout(self._answer_s):
                    response = await waiter
            except TimeoutError:
                continue
            finally:
                del self._awaited[key]
            for item in response.blocks[:1]:
                if await threads.surely(good, item.body):
                    return item.body
        return None
