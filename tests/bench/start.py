"""How long a start takes by the length of the chain: from the process to ``/readyz``.

    python tests/bench/start.py --blocks 10000 --blocks 100000 [--keep DIR]

Makes a ledger of one member with so many empty blocks, written without waiting for the disk,
then starts real processes on it.  Two starts are measured: the first after the writing, and one
after a kill, both with the files in the system's cache.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from node.bodies import Body
from node.book import Book, Tip
from node.cli.cluster import Cluster
from node.ledger import accel, merkle
from node.ledger import block as blocks
from node.ledger.block import Header
from node.ledger.genesis import Genesis
from node.ledger.tiles import TileLog
from storage import keys
from storage.blocks import append_body
from storage.commit import BlockCommit, batch_of
from storage.kv import KV
from storage.layout import KV_NAME, SEGMENTS_NAME
from storage.level import LevelKV
from storage.segments import Segments
from storage.store import Store

GOAL_S: Final = 5.0
READY_S_MAX: Final = 600.0
BY_THE_BOOK: Final = 10
BLOCKS_PER_BATCH: Final = 500
CERTIFICATE: Final = b"made for a measurement"


class _UnsyncedKV(LevelKV):
    """Nobody waits for the disk: a crash costs a repetition."""

    def write(self, puts: Any, *, sync: bool) -> None:
        super().write(puts, sync=False)


class _UnsyncedSegments(Segments):
    def sync(self) -> None:
        """Leave it to the system."""


def fill(cluster: Cluster, count: int) -> float:
    """Give the only member of ``cluster`` a chain of ``count`` empty blocks; return seconds.

    The first ones go through the book; the rest are the rows it would write, put together here
    in a fifth of the time.  Links, digests, tiles and roots are right; only the rule that
    nobody proposes an empty block is broken.
    """
    began = time.monotonic()
    genesis = Genesis.decode(cluster.genesis_path.read_bytes())
    data = cluster.node_dir(0) / "data"
    (data / SEGMENTS_NAME).mkdir(parents=True, mode=0o700)
    kv = _UnsyncedKV(data / KV_NAME, create=True)
    segments = _UnsyncedSegments(data / SEGMENTS_NAME)
    with Store(kv, segments, network=genesis.network, create=True) as store:
        book = Book(store, genesis, history_blocks=0)
        for _ in range(min(count, BY_THE_BOOK)):
            header = _header(genesis, book.tip.height + 1, book.tip.digest, book.tip.time_ms)
            digest = blocks.body_digest(header.encode())
            body = Body(header, (), blocks.encode_body(header, []))
            store.save([], bodies=[(digest, body.raw)], sync=False)
            book.apply(body, digest=digest, certificate=CERTIFICATE, position=header.height)
        if count > BY_THE_BOOK:
            _go_on(genesis, store, kv, segments, book.tip, count)
    return time.monotonic() - began


def _header(genesis: Genesis, height: int, parent: bytes, parent_ms: int) -> Header:
    proposer = genesis.institutions[0].id
    empty = blocks.txids_root([])
    return Header(
        blocks.VERSION, genesis.network, 0, height, parent, parent_ms + 1, proposer, empty
    )


def _go_on(
    genesis: Genesis, store: Store, kv: KV, segments: Segments, tip: Tip, count: int
) -> None:
    """Write the rows of the blocks after ``tip``, many blocks in a batch."""
    last = store.seal(tip.height)
    assert last is not None
    seal = blocks.decode_seal(last)
    log, parent, parent_seal, time_ms = (
        TileLog(tip.log_size, store.tile),
        tip.digest,
        tip.seal_digest,
        tip.time_ms,
    )
    rows: dict[bytes, bytes | None] = {}
    for height in range(tip.height + 1, count + 1):
        header = _header(genesis, height, parent, time_ms)
        raw = header.encode()
        parent, time_ms, first = blocks.body_digest(raw), header.time_ms, log.size
        sealed = replace(
            seal,
            height=height,
            parent_seal=parent_seal,
            body_digest=parent,
            time_ms=time_ms,
            first_index=first,
            state_height=height,
        ).encode()
        parent_seal = blocks.seal_digest(sealed)
        tiles = log.extend([merkle.leaf_hash(sealed)])
        made = BlockCommit(
            height=height,
            digest=parent,
            header=raw,
            txids=b"",
            certificate=CERTIFICATE,
            position=height,
            seal=sealed,
            first_index=first,
            count=0,
            results=b"",
            log_tiles=tiles,
            state=[],
            pages=[],
            pages_were={},
            page_patches=b"",
            differ=accel.page_rows,
            state_root=tip.state_root,
            state_height=height,
            log_size=log.size,
            log_root=log.root(),
            transactions=[],
            index=[],
        )
        pointer = append_body(segments, parent, blocks.encode_body(header, []))
        rows.update(batch_of(made))
        rows[keys.BODY + parent] = rows[keys.TAIL] = pointer
        if height % BLOCKS_PER_BATCH == 0 or height == count:
            kv.write(rows.items(), sync=False)
            rows.clear()


def start(cluster: Cluster) -> tuple[float, float]:
    """Start the node; return the seconds until it is ready, and those of a core it took.

    The second tells what the start itself costs where others use the machine too.
    """
    began = time.monotonic()
    pid = cluster.start(0)
    cluster.wait_ready(0, READY_S_MAX)
    took_s = time.monotonic() - began
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return took_s, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def measure(count: int, where: Path) -> dict[str, Any]:
    """Return one row: how long making, the first start and a start after a kill took."""
    with Cluster.create(where / f"net-{count}", members=1, engine="raft") as cluster:
        made_s = fill(cluster, count)
        first_s, first_cpu_s = start(cluster)
        height = cluster.client(0).get("/v1/status")["height"]
        assert height == count, f"the node stands at {height}"
        cluster.kill(0)
        again_s, again_cpu_s = start(cluster)
        cluster.stop(0)
        files = (where / f"net-{count}").rglob("*")
        size = sum(path.stat().st_size for path in files if path.is_file())
    return {
        "blocks": count,
        "made_s": round(made_s, 1),
        "bytes": size,
        "start_s": round(first_s, 2),
        "start_after_kill_s": round(again_s, 2),
        "start_cpu_s": round(first_cpu_s, 2),
        "start_after_kill_cpu_s": round(again_cpu_s, 2),
        "goal_s": GOAL_S,
        "within_goal": max(first_s, again_s) <= GOAL_S,
    }


def main() -> None:
    """Measure each length and print a JSON line for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, action="append", required=True)
    parser.add_argument("--keep", type=Path, help="directory to leave the ledgers in")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chartseal-start-") as scratch:
        where = given.keep or Path(scratch)
        for count in given.blocks:
            print(json.dumps(measure(count, where)), flush=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.SubprocessError as error:
        sys.exit(str(error))
