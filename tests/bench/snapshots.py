"""How long a snapshot takes: make, verify, load, per million keys of state.

    python tests/bench/snapshots.py --keys 200000

A state of that many rows is put under a real store and its tree, with a short log above it;
then a snapshot is made, verified chunk by chunk as its receiver does, and put into
a new store.  One line of JSON: seconds on the clock and of the
processor (`_cpu`), bytes, and seconds per million keys.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from node.ledger import accel
from node.ledger.smt import StateTree
from node.snapshot_load import load
from node.snapshotting import make
from storage import keys
from storage.foundation import Foundation
from storage.snapshots import Snapshots
from tests.support.ledger import Chain
from tests.support.snapshots import opened

VALUE_BYTES = 180  # a record's row
KEY_BYTES = 41
PER_BATCH = 2000


def rows(count: int) -> Iterator[tuple[bytes, bytes]]:
    for at in range(count):
        seed = at.to_bytes(8, "big")
        yield b"record/" + seed + os.urandom(KEY_BYTES - 15), os.urandom(VALUE_BYTES)


def grow(chain: Chain, count: int) -> None:
    """Put ``count`` rows under the state and its tree, then blocks above them."""
    chain.commit()
    kv: Any = chain.store._kv
    tree = StateTree(chain.store.page)
    pairs = rows(count)
    while batch := list(islice(pairs, PER_BATCH)):
        _, pages = tree.update(dict(batch))
        settled = [(key, chain.store.page(key), page) for key, page in pages]
        written = accel.page_rows(keys.NODE, settled)
        written += [(keys.STATE + key, value) for key, value in batch]
        kv.write(written, sync=False)
    chain.commit()


@contextmanager
def timed(found: dict[str, float], name: str) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    found[name] = round(time.perf_counter() - wall, 3)
    found[f"{name}_cpu"] = round(time.process_time() - cpu, 3)


def measure(count: int, where: Path) -> dict[str, Any]:
    seconds: dict[str, float] = {}
    with Chain(where / "old") as chain:
        with timed(seconds, "grow"):
            grow(chain, count)
        note = chain.certify()
        snapshots = Snapshots(chain.directory)
        with timed(seconds, "make"), chain.store.snapshot() as view:
            height = make(view, snapshots, note)
        directory = snapshots.path(height)
        with timed(seconds, "verify"):
            verified = opened(directory, chain.genesis)
        (where / "new").mkdir()
        foundation = Foundation(where / "new", chain.genesis.network, segment_bytes_max=1 << 26)
        with timed(seconds, "load"):
            load(verified, foundation)
        foundation.close()
        size = snapshots.bytes_of(height)
    per_million = {
        name: round(took * 1e6 / count, 2)
        for name, took in seconds.items()
        if not name.startswith("grow")
    }
    return {
        "keys": count,
        "accel": accel.backend(),
        "chunks": verified.manifest.chunks,
        "bytes": size,
        "seconds": seconds,
        "seconds_per_million_keys": per_million,
        "rss_mib_max": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=200_000)
    parser.add_argument("--dir", type=Path, help="Where to work; default: a temporary one.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chartseal-bench-", dir=given.dir) as where:
        sys.stdout.write(json.dumps(measure(given.keys, Path(where))) + "\n")


if __name__ == "__main__":
    main()
