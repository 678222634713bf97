"""The daemon's start: whoever is told that it is ready can reach it."""

import asyncio
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from node import config as settings
from node import daemon
from node.cli.cluster import Cluster
from node.cli.layout import CONFIG_NAME, UNLOCK_NAME


async def test_when_it_says_ready_clients_are_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever the operators' port answers, the API's port is open already."""
    cluster = Cluster.create(tmp_path / "net", members=1, engine="raft")
    where = cluster.node_dir(0)
    monkeypatch.chdir(where)
    config = settings.load(where / CONFIG_NAME, environment={}, flags={})
    stop, both, reached = asyncio.Event(), asyncio.Event(), []
    serve = daemon._serve

    async def look_after_each(*given: Any, **more: Any) -> None:
        await serve(*given, **more)
        reached.append(await asyncio.to_thread(_answering, cluster))
        if len(reached) == 2:
            both.set()

    monkeypatch.setattr(daemon, "_serve", look_after_each)
    passphrase = (where / UNLOCK_NAME).read_bytes().strip()
    running = asyncio.create_task(daemon.run(config, passphrase=passphrase, stop=stop))
    await asyncio.wait(
        [running, asyncio.create_task(both.wait())], return_when="FIRST_COMPLETED"
    )
    stop.set()
    await running
    assert all(api for ops, api in reached if ops), "ready, and nobody let in"
    assert reached[-1] == (True, True)


def _answering(cluster: Cluster) -> tuple[bool, bool]:
    """Return whether the operators' port and the API answer."""
    return _answers(f"{cluster.ops_endpoint(0)}/livez"), _answers(
        f"{cluster.endpoint(0)}/livez"
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
