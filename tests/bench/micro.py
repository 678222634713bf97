"""What one transaction costs one node, each figure beside a probe of the machine.

Probe, run, probe, three rounds, medians: the machine drifts, ratios hold.
"""

import asyncio
import hashlib
import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.bodies import Body
from node.book import Book
from node.intake import Intake
from node.keys import NodeKeys
from node.ledger import accel, merkle, transaction
from node.ledger import block as blocks
from node.ledger.genesis import Genesis, Institution, Parameters
from node.ledger.tiles import TileLog
from node.ledger.transaction import Op, Payload
from node.mempool import Mempool, MempoolLimits
from storage.store import Store

BLOCK = 500
ROUNDS = 3


def institution(keys: NodeKeys) -> Institution:
    public = keys.public
    return Institution(
        keys.node,
        f"Hospital {keys.node}",
        ("author",),
        public.identity,
        public.consensus,
        public.cosigner,
        public.encryption,
        validator=True,
    )


def anchor_op() -> Op:
    return Op("record.anchor", [os.urandom(32), os.urandom(16), 2, None, None, None])


def signed(genesis: Genesis, keys: NodeKeys, ops: tuple[Op, ...]) -> bytes:
    payload = Payload(genesis.network, keys.node, 100_000, secrets.token_bytes(8), ops)
    return transaction.sign(payload, keys.identity)


def _per(count: int, work: Callable[[], object]) -> float:
    """Return CPU microseconds per item."""
    start = time.process_time()
    work()
    return (time.process_time() - start) / count * 1e6


def sha_probe() -> float:
    data = b"x" * 65
    return _per(20_000, lambda: [hashlib.sha256(data).digest() for _ in range(20_000)])


def fsync_probe(directory: Path) -> float:
    """Return the median fdatasync of a 4 KiB append, in microseconds."""
    samples = []
    with (directory / "probe").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"x" * 4096)
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            samples.append((time.perf_counter() - start) * 1e6)
    return statistics.median(samples)


def run() -> dict[str, Any]:
    keys = [NodeKeys.generate(f"hosp{at}") for at in range(4)]
    founders = tuple(institution(item) for item in keys)
    genesis = Genesis(1, "bench", 0, "pbft", Parameters(), founders)
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        rounds = [_round(genesis, keys, base / str(at)) for at in range(ROUNDS)]
    names = rounds[0].keys()
    return {name: statistics.median(item[name] for item in rounds) for name in names}


def _round(genesis: Genesis, keys: list[NodeKeys], directory: Path) -> dict[str, float]:
    count = 4 * BLOCK
    raws = [signed(genesis, keys[at % 4], (anchor_op(),)) for at in range(count)]
    before = sha_probe()
    frames = [transaction.slice_frame(raw) for raw in raws]
    checks = [check for frame in frames for check in frame.checks]
    figures = {
        "hash_us": _per(count, lambda: accel.txids(raws)),
        "decode_us": _per(count, lambda: [transaction.parse(raw) for raw in raws]),
        "verify_us": _per(count, lambda: accel.verify_batch(checks)),
    }
    leaves = [merkle.leaf_hash(raw) for raw in raws]
    tiles: dict[tuple[int, int], bytes] = {}
    log = TileLog(0, lambda level, n: tiles.get((level, n)))
    figures["merkle_append_us"] = _per(count, lambda: log.extend(leaves))
    with Store.open(directory, network=genesis.network, create=True) as store:
        figures["fdatasync_us"] = fsync_probe(directory)
        book, pool = Book(store, genesis), Mempool(MempoolLimits())
        intake = Intake(book, store, pool, now_ms=lambda: 0)
        figures["intake_us"] = _per(count, lambda: asyncio.run(intake.submit(raws)))
        assert len(pool) == count
        walls: list[float] = []
        figures["commit_us"] = _per(count, lambda: _commit_all(store, book, pool, walls))
        figures["commit_block_ms"] = statistics.median(walls)
    figures["sha256_65b_us"] = (before + sha_probe()) / 2
    return figures


def _commit_all(store: Store, book: Book, pool: Mempool, walls: list[float]) -> None:
    while len(pool):
        start = time.perf_counter()
        taken = pool.take(count_max=BLOCK, bytes_max=1 << 20)
        tip = book.tip
        root = blocks.txids_root([item.txid for item in taken])
        header = blocks.Header(
            1, book.network, 0, tip.height + 1, tip.digest, tip.height + 1, "hosp0", root
        )
        digest = blocks.body_digest(header.encode())
        raw = blocks.encode_body(header, [item.raw for item in taken])
        store.save([], bodies=[(digest, raw)], sync=True)
        result = book.apply(
            Body(header, tuple(taken), raw),
            digest=digest,
            certificate=b"",
            position=header.height,
        )
        pool.remove(result.txids)
        walls.append((time.perf_counter() - start) * 1000)
