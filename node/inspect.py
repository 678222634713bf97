"""A stopped node's ledger, served read-only with the node's own questions and answers.

Owns: the face of a node that orders nothing: no keys, no members, no engine, no pool that
takes anything.  Refuses: every address but loopback (there is no access control), every route
that could change something.
The directory itself is not touched (``storage.aside``).
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from consensus.effects import Status
from node.book import Book
from node.diskspace import DiskSpace
from node.errors import ChartsealError
from node.http.api import Runner, build_inspection
from node.intake import Intake
from node.ledger.genesis import Genesis
from node.mempool import Mempool, MempoolLimits
from node.publish import Publisher
from node.queries import Queries
from node.reads import LinearReads
from node.roster import Roster
from node.service import Service
from node.settings import Address
from storage.aside import Aside
from storage.store import Store

NOBODY: Final = "inspect"


class NoSigner:
    """Stands where a node has its key; signs nothing."""

    public_key = bytes(32)

    def sign(self, message: bytes) -> bytes:
        raise ChartsealError("forbidden", f"nothing is signed here ({len(message)} bytes)")


def build_service(store: Store, genesis: Genesis, *, node_id: str, history: int) -> Service:
    """Return the face of a node that only answers."""
    book = Book(store, genesis, history_blocks=history)
    pool = Mempool(MempoolLimits())
    tip, roster = book.tip, Roster(genesis, book, node_id)
    rules = roster.now

    def status() -> Status:
        return Status(
            engine=rules.era.engine,
            role="stopped",
            round=0,
            leader=None,
            committed=tip.height,
            delivered=tip.height,
            quorum=rules.policy.quorum,
            members=len(rules.era.members),
        )

    return Service(
        node_id=node_id,
        genesis=genesis,
        store=store,
        book=book,
        mempool=pool,
        intake=Intake(book, store, pool, now_ms=lambda: 0),
        queries=Queries(store, book),
        publisher=Publisher(roster, self_id=node_id, signer=lambda _voter: None),
        signer=NoSigner(),
        engine_status=status,
        peers_connected=lambda: (),
        admitted=lambda _new: None,
        disk=DiskSpace(Path.cwd(), min_free_bytes=0),
        reads=LinearReads(executed=lambda: tip.height),
        roster=roster,
        inspect=True,
    )


async def serve(
    data_dir: Path,
    genesis: Genesis,
    *,
    listen: Address,
    stop: asyncio.Event,
    ready: Callable[[str], None],
    node_id: str = NOBODY,
    history_blocks: int = 10_000,
    scratch_dir: Path | None = None,
) -> None:
    """Serve ``data_dir`` on ``listen`` until ``stop``; ``ready`` hears the base URL.

    Raises ``ChartsealError`` (config-insecure, port-in-use), and what ``Aside`` and
    ``Store.open`` raise.
    """
    if not listen.is_loopback:
        raise ChartsealError("config-insecure", f"{listen}: inspection has no access control")
    with (
        Aside(data_dir, scratch_dir=scratch_dir) as aside,
        aside.store(genesis.network) as store,
    ):
        service = build_service(store, genesis, node_id=node_id, history=history_blocks)
        runner = Runner(build_inspection(service), shutdown_timeout=2.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, listen.host, listen.port)
            try:
                await site.start()
            except OSError as error:
                raise ChartsealError("port-in-use", str(listen)) from error
            host, port = runner.addresses[0][:2]
            ready(f"http://{Address(host, port)}")
            await stop.wait()
        finally:
            service.stop()
            await runner.cleanup()
