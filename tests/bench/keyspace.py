"""Record keys in the state of every member before the first transaction is sent.

The product's own execution makes them, block by block, on one member's disk; the others get a
copy.  Only signatures are left out, which execution never looks at.  What is on disk is what
an old network has: state rows, pages of the state tree, indexes, log tiles, in LevelDB files
that were compacted as they grew.
"""

import os
import shutil
import time
from pathlib import Path
from typing import Final

from node.bodies import Body
from node.book import Book
from node.cli.cluster import Cluster
from node.ledger import block as blocks
from node.ledger import transaction
from node.ledger.genesis import Genesis
from node.ledger.transaction import Op, Payload, Transaction
from storage.layout import KV_NAME
from storage.live import live_tables
from storage.store import Store

ANCHORS: Final = 500  # in one transaction
PER_BLOCK: Final = 20  # transactions


def fill(cluster: Cluster, genesis: Genesis, keys: int) -> None:
    """Give every member the same ledger with ``keys`` records; all must be down."""
    first = cluster.node_dir(0) / "data"
    with Store.open(first, network=genesis.network, create=True) as store:
        book = Book(store, genesis)
        now_ms = time.time_ns() // 1_000_000 - 3_600_000
        while (missing := keys - book.tip.height * PER_BLOCK * ANCHORS) > 0:
            count = min(PER_BLOCK, -(-missing // ANCHORS))
            _block(store, book, genesis, count, now_ms + book.tip.height)
    drop_unfinished(first / KV_NAME)
    for at in range(1, len(cluster.members)):
        target = cluster.node_dir(at) / "data"
        shutil.copytree(first, target, copy_function=_copy, dirs_exist_ok=True)
        (target / "LOCK").unlink(missing_ok=True)


def drop_unfinished(kv: Path) -> None:
    """Remove tables that a compaction had not finished when the store was closed.

    Each member's LevelDB would write its next table under that number, and linked it would be
    one file for all of them: a member died of SIGBUS when another one cut it short.
    """
    live = live_tables(kv / (kv / "CURRENT").read_text().strip())
    assert live is not None, "a database that was just closed has a manifest"
    for table in kv.glob("*.ldb"):
        if int(table.stem) not in live:
            table.unlink()


def _copy(source: str, target: str) -> str:
    """Link files that are never written again: a table, once there, only ever disappears."""
    if source.endswith(".ldb"):
        os.link(source, target)
        return target
    return str(shutil.copy2(source, target))


def _block(store: Store, book: Book, genesis: Genesis, count: int, time_ms: int) -> None:
    org = genesis.institutions[0]
    taken = [_transaction(genesis, ANCHORS) for _ in range(count)]
    tip = book.tip
    root = blocks.txids_root([item.txid for item in taken])
    header = blocks.Header(
        blocks.VERSION, book.network, 0, tip.height + 1, tip.digest,
        max(time_ms, tip.time_ms + 1), org.id, root,
    )  # fmt: skip
    digest = blocks.body_digest(header.encode())
    raw = blocks.encode_body(header, [item.raw for item in taken])
    store.save([], bodies=[(digest, raw)], sync=False)
    book.apply(
        Body(header, tuple(taken), raw),
        digest=digest, certificate=b"", position=header.height,
    )  # fmt: skip


def anchors(genesis: Genesis, count: int) -> list[Transaction]:
    """Return transactions of one anchor each, without valid signatures."""
    return [_transaction(genesis, 1) for _ in range(count)]


def _transaction(genesis: Genesis, count: int) -> Transaction:
    org, key = genesis.institutions[0].id, genesis.institutions[0].identity_key
    noise = os.urandom(48 * count)
    ops = tuple(
        Op(
            "record.anchor",
            [noise[at : at + 32], noise[at + 32 : at + 48], 2, None, None, None],
        )
        for at in range(0, len(noise), 48)
    )
    payload = Payload(genesis.network, org, 100_000, os.urandom(8), ops)
    raw = transaction.assemble(transaction.encode_payload(payload), [key], [bytes(64)])
    return Transaction(raw, transaction.txid_of(raw), payload, (key,))
