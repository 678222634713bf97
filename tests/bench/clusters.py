"""Whole clusters of real processes on this machine, loaded over HTTP as clients would.

Loads are signed beforehand.  Only what the nodes report as applied (durably committed by a
quorum) counts.  All nodes and the client share the machine's cores.
"""

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from node import keys as keystore
from node.cli.cluster import Cluster
from node.cli.layout import KEY_NAME, UNLOCK_NAME
from node.keys import NodeKeys
from node.ledger import merkle
from node.ledger.genesis import Genesis
from node.ledger.transaction import Op
from tests.bench.micro import anchor_op, signed

CHUNK = 500  # transactions per bulk request
BATCH = 500  # commitments per signature


def run(
    engine: str, members: int, *, transactions: int, batches: int, singles: int
) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory() as name,
        Cluster.create(Path(name) / "net", members=members, engine=engine) as cluster,
    ):
        cluster.up()
        return asyncio.run(_measure(cluster, transactions, batches, singles))


def _keys(cluster: Cluster) -> list[NodeKeys]:
    found = []
    for at in range(len(cluster.members)):
        directory = cluster.node_dir(at)
        secret = (directory / UNLOCK_NAME).read_bytes().strip()
        found.append(keystore.load(directory / KEY_NAME, secret))
    return found


def batch_op() -> Op:
    leaves = [os.urandom(32) for _ in range(BATCH)]
    root = merkle.root([merkle.leaf_hash(leaf) for leaf in leaves])
    return Op("record.batch", [root, BATCH, b"".join(leaves)])


async def _measure(
    cluster: Cluster, transactions: int, batches: int, singles: int
) -> dict[str, Any]:
    genesis = Genesis.decode(cluster.genesis_path.read_bytes())
    keys = _keys(cluster)
    nodes = len(keys)
    headers = {"Authorization": f"Bearer {cluster.token}"}
    async with aiohttp.ClientSession(headers=headers) as client:
        await _load(cluster, client, [signed(genesis, k, (anchor_op(),)) for k in keys], "warm")
        latencies = await _latencies(cluster, client, genesis, keys, singles)
        single = [
            signed(genesis, keys[at % nodes], (anchor_op(),)) for at in range(transactions)
        ]
        figures = await _load(cluster, client, single, "tx")
        many = [signed(genesis, keys[at % nodes], (batch_op(),)) for at in range(batches)]
        figures |= await _load(cluster, client, many, "batch_tx")
    figures["commitments_per_s"] = figures.pop("batch_tx_per_s") * BATCH
    figures["commitments_per_signature"] = BATCH
    ordered = sorted(latencies)
    figures["latency_p50_ms"] = statistics.median(ordered)
    figures["latency_p99_ms"] = ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)]
    return figures


async def _latencies(
    cluster: Cluster,
    client: aiohttp.ClientSession,
    genesis: Genesis,
    keys: list[NodeKeys],
    count: int,
) -> list[float]:
    """Submit one at a time through each node in turn and wait for the commit."""
    found = []
    for at in range(count):
        node = at % len(keys)
        raw = signed(genesis, keys[node], (anchor_op(),))
        start = time.perf_counter()
        async with client.post(
            f"{cluster.endpoint(node)}/v1/transactions",
            data=raw,
            headers={"Content-Type": "application/octet-stream", "Prefer": "wait=10"},
        ) as answer:
            document = await answer.json()
            assert answer.status == 201, (answer.status, document)
        found.append((time.perf_counter() - start) * 1000)
    return found


async def _bulk(cluster: Cluster, client: aiohttp.ClientSession, raws: list[bytes]) -> None:
    """Post ``raws`` to all nodes, a chunk to each in turn; every one must be taken."""
    nodes = len(cluster.members)
    groups = [raws[at : at + CHUNK] for at in range(0, len(raws), CHUNK)]

    async def post_all(node: int) -> None:
        for group in groups[node::nodes]:
            body = b"".join(len(raw).to_bytes(4, "big") + raw for raw in group)
            async with client.post(
                f"{cluster.endpoint(node)}/v1/transactions:batch",
                data=body,
                headers={"Content-Type": "application/octet-stream"},
            ) as answer:
                lines = (await answer.read()).splitlines()
                assert answer.status == 200, (answer.status, lines[:1])
                refused = [line for line in lines if b"tx_id" not in line and line.strip()]
                assert not refused, refused[0]

    await asyncio.gather(*(post_all(node) for node in range(nodes)))


async def _load(
    cluster: Cluster, client: aiohttp.ClientSession, raws: list[bytes], name: str
) -> dict[str, float]:
    before = await _applied(cluster, client)
    processes = [psutil.Process(cluster.pid(at)) for at in range(len(cluster.members))]
    cpu = sum(_cpu(process) for process in processes)
    start = time.perf_counter()
    posting = asyncio.create_task(_bulk(cluster, client, raws))
    deadline = start + 180
    everyone = False  # a scrape costs the node milliseconds: ask one, at the end all
    while (
        await _applied(cluster, client, everyone=everyone) < before + len(raws) or not everyone
    ):
        assert time.perf_counter() < deadline, "the load does not drain"
        if posting.done():
            posting.result()
            everyone = await _applied(cluster, client, everyone=False) >= before + len(raws)
        await asyncio.sleep(0.02 if everyone else 0.1)
    wall = time.perf_counter() - start
    await posting
    spent = sum(_cpu(process) for process in processes) - cpu
    return {
        f"{name}_per_s": len(raws) / wall,
        f"{name}_cpu_us_per_node": spent / len(raws) / len(processes) * 1e6,
    }


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _applied(
    cluster: Cluster, client: aiohttp.ClientSession, *, everyone: bool = True
) -> int:
    """Return how many transactions the slowest node (or the first) applied since its start."""
    counts = [0]
    for at in range(len(cluster.members)) if everyone else [0]:
        async with client.get(f"{cluster.ops_endpoint(at)}/metrics") as answer:
            text = await answer.text()
        prefix = 'chartseal_ledger_transactions_total{result="applied"} '
        line = next(line for line in text.splitlines() if line.startswith(prefix))
        counts.append(int(float(line.removeprefix(prefix))))
    return min(counts[1:])
