"""What a request costs: a bare aiohttp handler beside our own, server CPU per request.

    python tests/bench/posts.py PORT      the bare server

Our server is one whole node (Raft of one, so that nobody else uses the cores), asked in turn
with the bare one: transactions that are new (verified, pooled, ordered, applied) and ones that
it knows (the HTTP path and the look-up alone).
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import psutil

from node.cli.cluster import free_ports
from tests.bench import loads, machine
from tests.bench.loads import Content, split_frames
from tests.bench.net import Net, Setup
from tests.bench.wire import Pool, head

IN_FLIGHT: Final = 8
OCTETS: Final = {"Content-Type": "application/octet-stream"}


def serve(port: int) -> None:
    """Run the bare server: it reads the body and answers as many bytes as we do."""
    from aiohttp import web

    async def post(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=202, body=b"x" * 180, content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/transactions", post)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


async def ask(port: int, requests: list[bytes]) -> None:
    """Send all ``requests``, ``IN_FLIGHT`` at a time."""
    pool, todo = Pool(port), iter(requests)

    async def client() -> None:
        for request in todo:
            answer = await pool.ask(request)
            assert answer.status in (200, 201, 202), answer

    try:
        await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))
    finally:
        pool.close()


def cost(process: psutil.Process, port: int, requests: list[bytes]) -> tuple[float, float]:
    """Return server CPU microseconds and wall microseconds for each request."""
    cpu, start = machine.cpu_s(process), time.perf_counter()
    asyncio.run(ask(port, requests))
    wall = time.perf_counter() - start
    return (machine.cpu_s(process) - cpu) / len(requests) * 1e6, wall / len(requests) * 1e6


def run(directory: Path, *, rounds: int, count: int) -> dict[str, Any]:
    """Return the rows ``post_known`` and ``post_new``; ``count`` requests in each round."""
    (bare_port,) = free_ports(1)
    bare = subprocess.Popen([sys.executable, str(Path(__file__)), str(bare_port)])
    try:
        with (
            tempfile.TemporaryDirectory(dir=directory) as name,
            Net(Path(name), Setup("raft", 1)) as net,
        ):
            net.up()
            taken = [_round(net, psutil.Process(bare.pid), bare_port, count)
                     for _ in range(rounds)]  # fmt: skip
    finally:
        bare.kill()
        bare.wait()
    limit = "a bare aiohttp POST, server CPU"
    found = {}
    for name, at in (("post_known", 1), ("post_new", 2)):
        pairs = [(item[at], (item[0] + item[3]) / 2) for item in taken]
        found[name] = {
            "us": statistics.median(us for us, _ in pairs),
            "limit_us": statistics.median(us for _, us in pairs),
            "over_limit": statistics.median(us / bound for us, bound in pairs),
            "limit": limit,
        }
    return found


def _round(
    net: Net, bare: psutil.Process, bare_port: int, count: int
) -> tuple[float, float, float, float]:
    """Return CPU per request of: bare, known, new, bare."""
    content = Content("anchors", 1)
    path = net.directory / "posts"
    expires = net.height() + 50_000
    loads.write(path, net.genesis.network, net.authors, content, count, expires_height=expires)
    headers = {"Authorization": f"Bearer {net.cluster.token}", **OCTETS}
    requests = [
        head("POST", "/v1/transactions", length=len(item) - 4, headers=headers) + item[4:]
        for item in split_frames(path.read_bytes())
    ]
    (node,), port = net.processes(), net.ports[0]
    _answering(bare_port)
    first = cost(bare, bare_port, requests)[0]
    new = cost(node, port, requests)[0]
    time.sleep(0.3)  # the last block of the new ones
    known = cost(node, port, requests)[0]
    return first, known, new, cost(bare, bare_port, requests)[0]


def _answering(port: int) -> None:
    """Return once the bare server answers."""
    deadline = time.monotonic() + 10
    request = head("POST", "/v1/transactions", length=0, headers={})
    while True:
        try:
            asyncio.run(ask(port, [request]))
        except OSError:
            assert time.monotonic() < deadline, "the bare server does not start"
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    serve(int(sys.argv[1]))
