"""What the accelerator makes of one transaction, each figure beside the limit it is held to.

    python tests/bench/native_micro.py [--rounds 7] [--signers 4]

Probe, run, probe in every round: the machine drifts, the ratios of one round hold; printed are
their medians over the rounds, with the goals.  Times are never pass or fail.  Probes:

    batch     the raw batch verification alone, n = 256, on ready items
    PyNaCl    a loop over libsodium's single verification, and over that with our parsing
    SHA-256   OpenSSL's, in one call over as many bytes as the nodes of the tree hash
"""

import argparse
import json
import os
import secrets
import statistics
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from nacl.signing import VerifyKey  # noqa: E402

from node.ledger import accel, crypto, transaction  # noqa: E402
from node.ledger.accel import native, pure  # noqa: E402
from node.ledger.pages import one_by_one  # noqa: E402
from node.ledger.smt import StateTree  # noqa: E402
from node.ledger.tiles import TileLog  # noqa: E402
from node.ledger.transaction import Op, Payload  # noqa: E402

BATCH: Final = 256
LEAVES: Final = 20_000
NODE_BYTES: Final = 128  # 65 bytes in two blocks of SHA-256, padding included

GOALS: Final = {
    "validation / batch limit": "<= 1.3",
    "PyNaCl loop / validation": ">= 6",
    "append / raw SHA-256": "<= 2",
}


def batch(signers: int) -> list[bytes]:
    """Return ``BATCH`` transactions of one operation, signed in turn."""
    keys = [crypto.Signer(secrets.token_bytes(32)) for _ in range(signers)]
    raws = []
    for number in range(BATCH):
        op = Op("record.anchor", [os.urandom(32), os.urandom(16), 2, None, None, None])
        payload = Payload(bytes(32), "hosp0", 100_000, secrets.token_bytes(8), (op,))
        raws.append(transaction.sign(payload, keys[number % signers]))
    return raws


def us_each(count: int, work: Callable[[], object]) -> float:
    """Return CPU microseconds per item, the best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best / count * 1e6


def validate(raws: list[bytes]) -> None:
    """Decode, id, canonical check and signatures, as intake does them."""
    opened = transaction.open_all(raws)
    assert all(accel.verify_batch([item for _, checks in opened for item in checks]))


def validate_by_loop(raws: list[bytes]) -> None:
    for raw in raws:
        tx = transaction.parse(raw)
        for key, message, signature in transaction.slice_frame(raw).checks:
            VerifyKey(key).verify(message, signature)
        assert tx.txid


def verify_by_loop(checks: list[tuple[bytes, bytes, bytes]]) -> None:
    for key, message, signature in checks:
        VerifyKey(key).verify(message, signature)


def signatures(signers: int) -> dict[str, float]:
    raws = batch(signers)
    checks = [item for _, items in transaction.open_all(raws) for item in items]

    def limit() -> float:
        return us_each(BATCH, lambda: native.verify_batch(checks))

    def loop() -> float:
        return us_each(BATCH, lambda: verify_by_loop(checks))

    before, single_before = limit(), loop()
    validation = us_each(BATCH, lambda: validate(raws))
    after, single_after = limit(), loop()
    opening = us_each(BATCH, lambda: transaction.open_all(raws))
    batch_us, single_us = (before + after) / 2, (single_before + single_after) / 2
    return {
        "batch limit us": batch_us,
        "validation us": validation,
        "of it reading us": opening,
        "PyNaCl loop us": single_us,
        "validation / batch limit": validation / batch_us,
        "PyNaCl loop / validation": single_us / validation,
        "the same with parsing": us_each(BATCH, lambda: validate_by_loop(raws)) / validation,
    }


def append() -> dict[str, float]:
    leaves = [os.urandom(32) for _ in range(LEAVES)]
    data = os.urandom(LEAVES * NODE_BYTES)

    def raw() -> float:
        return us_each(LEAVES, lambda: sha256(data).digest())

    before = raw()
    figure = us_each(LEAVES, lambda: TileLog(0, lambda *_: None).extend(leaves))
    limit = (before + raw()) / 2
    accel.choose("pure")
    slow = us_each(LEAVES, lambda: TileLog(0, lambda *_: None).extend(leaves))
    accel.choose("native")
    return {
        "raw SHA-256 us": limit,
        "append us": figure,
        "append / raw SHA-256": figure / limit,
        "append, pure / native": slow / figure,
    }


def state() -> dict[str, float]:
    """A batch of 1000 changes over a state of 20 000 keys."""
    stored: dict[bytes, bytes] = {}
    tree = StateTree(stored.get)
    for name, page in tree.update({b"%d" % at: b"v" for at in range(20_000)})[1]:
        assert page is not None
        stored[name] = page
    changes: list[tuple[bytes, bytes | None]] = [
        (b"%d" % at, b"w") for at in range(0, 20_000, 20)
    ]
    fast = us_each(len(changes), lambda: native.update_state(changes, one_by_one(stored.get)))
    slow = us_each(len(changes), lambda: pure.update_state(changes, one_by_one(stored.get)))
    return {"state us per change": fast, "state, pure / native": slow / fast}


def run(rounds: int, signers: int) -> dict[str, float]:
    """Return the medians; raises ``accel.AcceleratorMissing``."""
    before = accel.backend()
    accel.choose("native")
    try:
        found = [signatures(signers) | append() | state() for _ in range(rounds)]
    finally:
        accel.choose(before)
    return {name: statistics.median(item[name] for item in found) for name in found[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--signers", type=int, default=4)
    options = parser.parse_args()
    if reason := native.unusable():
        raise SystemExit(f"not measured: {reason}")
    figures = run(options.rounds, options.signers)
    for name, value in figures.items():
        print(f"  {name:28} {value:10.3f}  {GOALS.get(name, '')}".rstrip())
    folder = ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    (folder / "native.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
