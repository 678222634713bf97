"""A loop that is told to end ends, also when it was woken in the very same moment.

Python 3.11's ``asyncio.wait_for`` loses such a cancellation; a node then ignored SIGTERM.
"""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from node import config
from node.cli.cluster import Cluster
from node.cli.layout import CONFIG_NAME
from node.signing import open_mark, open_store
from node.wiring import Parts, build
from tests.support.hostile import genesis_of, keys_of


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """One member's rooms, wired and not yet running."""
    cluster = Cluster.create(tmp_path / "net", members=3, engine="raft")
    settings = config.load(cluster.node_dir(0) / CONFIG_NAME, environment={})
    genesis = genesis_of(cluster)
    keys = keys_of(cluster, 0)
    with (
        open_store(settings, genesis, keys) as store,
        closing(open_mark(settings, genesis, keys, store)) as mark,
    ):
        yield build(settings, genesis, keys, store, mark)


async def ends(task: asyncio.Task[None]) -> bool:
    done, _ = await asyncio.wait({task}, timeout=5)
    return bool(done) and task.cancelled()


async def test_the_engine_ends_when_it_is_woken_and_cancelled_at_once(parts: Parts) -> None:
    running = asyncio.create_task(parts.replica.run())
    await asyncio.sleep(0.1)  # it waits for something to do
    (engine,) = (task for task in asyncio.all_tasks() if task.get_name() == "engine")
    parts.replica.work_arrived()
    engine.cancel()
    assert await ends(engine)
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_gossip_ends_when_it_is_woken_and_cancelled_at_once(parts: Parts) -> None:
    gossip = asyncio.create_task(parts.switchboard.run_gossip())
    await asyncio.sleep(0.05)  # it waits for something to flush
    parts.switchboard.admitted([])
    gossip.cancel()
    assert await ends(gossip)
