"""A node that was started again gets to know its keys beside its work."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node import config as settings
from node import daemon, learning
from node.cli.cluster import Cluster
from node.cli.layout import CONFIG_NAME, UNLOCK_NAME
from storage.errors import Corrupt
from storage.store import Store
from tests.storage.chain import NETWORK, Chain
from tests.support.hostile import eventually


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The ledger of an earlier process."""
    with Store.open(tmp_path, network=NETWORK, create=True) as before:
        chain = Chain()
        for _ in range(3):
            body, block = chain.next()
            before.save([], bodies=[(block.digest, body)], sync=False)
            before.commit(block)
    with Store.open(tmp_path, network=NETWORK) as store:
        yield store


async def test_after_a_while_every_key_is_known(store: Store) -> None:
    task = asyncio.create_task(learning.learn(store))
    assert not store.sizes()["keys_known"]
    await eventually(lambda: bool(store.sizes()["keys_known"]), "keys are known")
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_stops_does_not_wait_for_the_rest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "REST_S", 1_000)
    resting = threading.Event()
    learn = store.learn

    def telling(rest: Callable[[], None]) -> None:
        def rests() -> None:
            resting.set()
            rest()

        learn(rests)

    monkeypatch.setattr(store, "learn", telling)
    task = asyncio.create_task(learning.learn(store))
    await asyncio.to_thread(resting.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not store.sizes()["keys_known"]


async def test_damage_ends_it_and_not_the_node(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def damaged(_rest: Callable[[], None]) -> None:
        raise Corrupt("a table does not read back", where="here")

    monkeypatch.setattr(store, "learn", damaged)
    task = asyncio.create_task(learning.learn(store))
    await eventually(lambda: "store.keys-unknown" in caplog.text, "it is told")
    assert not task.done()
    task.cancel()


async def test_the_daemon_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster.create(tmp_path / "net", members=1, engine="raft")
    where = cluster.node_dir(0)
    monkeypatch.chdir(where)
    config = settings.load(where / CONFIG_NAME, environment={}, flags={})
    passphrase = (where / UNLOCK_NAME).read_bytes().strip()
    began = asyncio.Event()

    async def learn(store: Store) -> None:
        assert isinstance(store, Store)
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(daemon, "learn", learn)
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(config, passphrase=passphrase, stop=stop))
    begun = asyncio.create_task(began.wait())
    await asyncio.wait([running, begun], return_when="FIRST_COMPLETED")
    assert began.is_set()
    stop.set()
    await running
