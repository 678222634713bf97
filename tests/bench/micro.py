"""What one transaction costs one node, each figure beside its physical limit.

Limit, run, limit, in rounds, medians: the machine drifts, ratios within a round hold.  CPU time
of this process where nothing waits for the disk, wall time where it does.
The limit of each row is named in its result.
"""

import asyncio
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import plyvel
from nacl.bindings import crypto_sign_open

from node.bodies import Body
from node.book import Book
from node.intake import Intake
from node.keys import NodeKeys
from node.ledger import accel, merkle, transaction
from node.ledger import block as blocks
from node.ledger.genesis import Genesis, Institution, Parameters
from node.ledger.tiles import TileLog
from node.mempool import Mempool, MempoolLimits
from storage import commit as commits
from storage import level
from storage.commit import BlockCommit
from storage.store import Store
from tests.bench import loads, machine
from tests.bench.loads import Author, Content

BATCH: Final = 256
BLOCK: Final = 500
Item = tuple[bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Size:
    """Rounds of limit, run, limit; batches in each; rows in LevelDB before it is measured."""

    rounds: int = 7
    batches: int = 8
    blocks: int = 8
    filler_rows: int = 1_000_000


QUICK: Final = Size(rounds=3, batches=2, blocks=3, filler_rows=30_000)


@dataclass(frozen=True, slots=True)
class Ground:
    """A network of four members and 256 more institutions, without any process."""

    genesis: Genesis
    members: list[Author]
    many: list[Author]

    def raws(self, authors: Sequence[Author], count: int) -> list[bytes]:
        content = Content("anchors", 1)
        network = self.genesis.network
        return list(loads.make(network, authors, content, count, expires_height=100_000))


def ground() -> Ground:
    members = [NodeKeys.generate(f"hosp{at}") for at in range(4)]
    more = [NodeKeys.generate(f"lab{at:03d}") for at in range(BATCH)]
    founders = [_institution(keys, validator=True) for keys in members]
    founders += [_institution(keys, validator=False) for keys in more]
    genesis = Genesis(1, "bench", 0, "pbft", Parameters(), tuple(founders))
    authors = [Author(keys.node, keys.identity) for keys in (*members, *more)]
    return Ground(genesis, authors[:4], authors[4:])


def _institution(keys: NodeKeys, *, validator: bool) -> Institution:
    public = keys.public
    return Institution(
        keys.node, f"Institution {keys.node}", ("author",), public.identity, public.consensus,
        public.cosigner, public.encryption, validator=validator,
    )  # fmt: skip


def per_item(count: int, work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return microseconds per item of ``work``, which handles ``count``."""
    start = clock()
    work()
    return (clock() - start) / count * 1e6


def compare(
    count: int,
    work: Callable[[], object],
    limit: Callable[[], object],
    *,
    named: str,
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, Any]:
    """Return the figures of one row: limit, work, limit, ``rounds`` times, medians."""
    ran, bound, ratio = [], [], []
    for _ in range(rounds):
        before = per_item(count, limit, clock)
        here = per_item(count, work, clock)
        around = (before + per_item(count, limit, clock)) / 2
        ran.append(here)
        bound.append(around)
        ratio.append(here / around if around else 0.0)
    return {
        "us": statistics.median(ran),
        "limit_us": statistics.median(bound),
        "over_limit": statistics.median(ratio),
        "limit": named,
    }


# --- signatures ---------------------------------------------------------------------------


def pynacl_loop(checks: Sequence[Item]) -> None:
    for key, message, signature in checks:
        crypto_sign_open(signature + message, key)


def validate(raws: Sequence[bytes]) -> None:
    """Everything a node does to bytes before it believes them: slice, id, decode, canonical
    form, signature; by the calls that intake makes."""
    checks: list[Item] = []
    for _, signed in transaction.open_all(raws):
        checks.extend(signed)
    assert all(accel.verify_batch(checks)), "signatures are good"


def signatures(place: Ground, size: Size) -> dict[str, Any]:
    found: dict[str, Any] = {}
    named = f"batch verification alone, backend {accel.backend()}"
    for label, authors in (("few", place.members), ("distinct", place.many)):
        batches = [place.raws(authors, BATCH) for _ in range(size.batches)]
        checks = [
            [c for raw in b for c in transaction.slice_frame(raw).checks] for b in batches
        ]
        count = BATCH * size.batches

        def ours(checks: list[list[Item]] = checks) -> None:
            for batch in checks:
                accel.verify_batch(batch)

        def loop(checks: list[list[Item]] = checks) -> None:
            for batch in checks:
                pynacl_loop(batch)

        def whole(batches: list[list[bytes]] = batches) -> None:
            for batch in batches:
                validate(batch)

        row = compare(count, ours, loop, named="PyNaCl, one by one", rounds=size.rounds)
        row["pynacl_over_ours"] = 1 / row["over_limit"]
        found[f"verify_{label}"] = row
        found[f"validate_{label}"] = compare(
            count, whole, ours, named=named, rounds=size.rounds
        )
    return found


# --- the Merkle log -------------------------------------------------------------------------


def merkle_append(place: Ground, size: Size) -> dict[str, Any]:
    """Appending a leaf costs one inner hash on average; the limit is that hash alone."""
    raws = place.raws(place.members, 256)
    leaves = [merkle.leaf_hash(raw + bytes([at])) for raw in raws for at in range(16)]
    tiles: dict[tuple[int, int], bytes] = {}
    log = TileLog(0, lambda level_, n: tiles.get((level_, n)))

    def append() -> None:
        for start in range(0, len(leaves), BLOCK):
            for level_, number, hashes in log.extend(leaves[start : start + BLOCK]):
                tiles[level_, number] = hashes

    node = bytes(65)
    sha256 = hashlib.sha256

    def hashing() -> None:
        for _ in leaves:
            sha256(node).digest()

    named = "one SHA-256 of 65 bytes through hashlib for each leaf"
    return compare(len(leaves), append, hashing, named=named, rounds=size.rounds)


# --- from bytes to disk -----------------------------------------------------------------------


def pipeline(place: Ground, size: Size, directory: Path) -> dict[str, Any]:
    """Intake and block commit on a real store; the commit beside a bare LevelDB batch."""
    fdatasync = machine.fdatasync_us(directory)
    with Store.open(directory / "store", network=place.genesis.network, create=True) as store:
        _fill(store._kv.write, size.filler_rows)
        bare = _bare(directory / "bare")
        _fill(lambda rows, sync: _write(bare, rows, sync=sync), size.filler_rows)
        book, pool = Book(store, place.genesis), Mempool(MempoolLimits())
        intake = Intake(book, store, pool, now_ms=lambda: 0)
        took: dict[str, list[float]] = {"intake": [], "commit": [], "bare": []}
        for _ in range(size.rounds * size.blocks):
            raws = place.raws(place.members, BLOCK)
            work = lambda raws=raws: asyncio.run(intake.submit(raws))  # noqa: E731
            took["intake"].append(per_item(BLOCK, work, time.process_time))
            body, digest, pairs = _next_block(store, book, pool)
            took["bare"].append(_bare_us(bare, pairs))
            took["commit"].append(_commit_us(store, book, pool, body, digest))
            took["bare"].append(_bare_us(bare, pairs))
        bare.close()
    commit, raw = statistics.median(took["commit"]), statistics.median(took["bare"])
    return {
        "intake": {"us": statistics.median(took["intake"])},
        "block_commit": {
            "us": commit,
            "limit_us": raw,
            "over_limit": commit / raw,
            "limit": f"the same rows as one bare synced LevelDB batch; blocks of {BLOCK}, "
            f"{size.filler_rows:,} rows there before",
            "fdatasync_us": fdatasync,
        },
    }


def _bare(path: Path) -> Any:
    return plyvel.DB(
        str(path),
        create_if_missing=True,
        lru_cache_size=level.CACHE_BYTES_MAX,
        write_buffer_size=level.WRITE_BUFFER_BYTES,
        max_file_size=level.TABLE_BYTES_MAX,
        bloom_filter_bits=level.BLOOM_BITS_PER_KEY,
        compression=None,
    )


def _write(database: Any, rows: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
    with database.write_batch(sync=sync) as batch:
        for key, value in rows:
            batch.put(key, value)


def _fill(write: Callable[..., None], rows: int) -> None:
    """Put ``rows`` random ones there: a small database flatters by three."""
    for start in range(0, rows, 10_000):
        count = min(10_000, rows - start)
        write([(b"u" + os.urandom(40), os.urandom(100)) for _ in range(count)], sync=False)


def _next_block(
    store: Store, book: Book, pool: Mempool
) -> tuple[Body, bytes, list[tuple[bytes, bytes | None]]]:
    """Return the next block with its digest, and the rows that committing it will write."""
    taken = pool.take(count_max=BLOCK, bytes_max=1 << 20)
    assert len(taken) == BLOCK, "intake took every one"
    tip = book.tip
    root = blocks.txids_root([item.txid for item in taken])
    header = blocks.Header(
        1, book.network, 0, tip.height + 1, tip.digest, tip.height + 1, "hosp0", root
    )
    digest = blocks.body_digest(header.encode())
    body = Body(header, tuple(taken), blocks.encode_body(header, [item.raw for item in taken]))
    return body, digest, _rows(store, book, body, digest)


def _rows(
    store: Store, book: Book, body: Body, digest: bytes
) -> list[tuple[bytes, bytes | None]]:
    """Return what the commit would write, from a dry run of it on a book of its own."""
    caught: list[BlockCommit] = []
    dry = Book(store, book._genesis)
    dry._store = _Catcher(store, caught)  # type: ignore[assignment]
    dry.apply(body, digest=digest, certificate=b"", position=body.header.height)
    batch = commits.BlockWriter(store._kv, None).batch(caught[0])
    return [(key, value) for key, value in batch if value is not None]


class _Catcher:
    """Reads of a store; a commit is kept instead of written."""

    def __init__(self, store: Store, caught: list[BlockCommit]) -> None:
        self._store = store
        self._caught = caught

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, block: BlockCommit) -> None:
        self._caught.append(block)


def _bare_us(database: Any, pairs: list[tuple[bytes, bytes | None]]) -> float:
    # Other keys each time: rewriting the same rows is not what a ledger does.
    fresh = [(key[:2] + os.urandom(4) + key[2:], value) for key, value in pairs]
    work = lambda: _write(database, fresh, sync=True)  # noqa: E731
    return per_item(BLOCK, work, time.perf_counter)


def _commit_us(store: Store, book: Book, pool: Mempool, body: Body, digest: bytes) -> float:
    def work() -> None:
        store.save([], bodies=[(digest, body.raw)], sync=True)
        result = book.apply(body, digest=digest, certificate=b"", position=body.header.height)
        pool.remove(result.txids)

    return per_item(BLOCK, work, time.perf_counter)


def run(size: Size, directory: Path) -> dict[str, Any]:
    """Return every row that needs no process of its own."""
    place = ground()
    found = signatures(place, size)
    found["merkle_append"] = merkle_append(place, size)
    with tempfile.TemporaryDirectory(dir=directory) as name:
        found |= pipeline(place, size, Path(name))
    return found
