"""Health on both ports, metrics on one; losing quorum ends neither life nor reading."""

import aiohttp

from node.http import api as http
from tests.node.http.conftest import Client, serving
from tests.support.ledger_fixture import Ledger


async def test_a_healthy_node_says_so_to_anybody(client: Client) -> None:
    for path in ("/livez", "/readyz", "/readyz/write"):
        assert await client.json(path, token=None) == {"status": "ok"}
    found = await client.json("/readyz/write?verbose", token=None)
    assert [item["name"] for item in found["checks"]] == [
        "store",
        "stopping",
        "caught-up",
        "membership",
        "quorum",
    ]


async def test_without_quorum_only_writing_is_not_ready(client: Client, ledger: Ledger) -> None:
    ledger.peers.clear()
    await client.json("/livez")
    await client.json("/readyz")
    body = await client.json("/readyz/write", status=503)
    assert body["code"] == "not-ready"
    assert "quorum" in body["detail"]
    assert {item["name"]: item["ok"] for item in body["checks"]}["quorum"] is False


async def test_a_draining_node_lives_and_is_not_ready(client: Client, ledger: Ledger) -> None:
    ledger.service.stop()
    await client.json("/livez")
    body = await client.json("/readyz", status=503)
    assert "stopping" in body["detail"]


async def test_the_ops_port_has_what_operators_look_at_and_no_ledger(ledger: Ledger) -> None:
    application = http.build_ops(ledger.service, metrics=lambda: b"chartseal_height 0\n")
    async with serving(application) as port, aiohttp.ClientSession() as session:
        base = f"http://127.0.0.1:{port}"
        async with session.get(f"{base}/metrics") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert await answer.read() == b"chartseal_height 0\n"
        async with session.get(f"{base}/readyz?verbose") as answer:
            assert (await answer.json())["status"] == "ok"
        for path in ("status", "why"):
            async with session.get(f"{base}/v1/{path}") as answer:
                assert answer.status == 200
                assert (await answer.json())["node"] == ledger.service.node_id
        for path in ("tasks", "stacks", "memory", "observation"):
            async with session.get(f"{base}/debug/{path}") as answer:
                assert answer.status == 200
        async with session.get(f"{base}/v1/members") as answer:
            assert (answer.status, (await answer.json())["code"]) == (404, "not-found")
