"""A real server on an ephemeral port over a real ledger, and a client with tokens."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from node import config, tokens
from node.http import api as http
from node.http.limits import HttpLimits
from tests.support.fhir import Fhir
from tests.support.ledger_fixture import Ledger


class Client:
    """Asks one server; ``token`` is the default caller, who may do everything."""

    def __init__(self, session: aiohttp.ClientSession, base: str, token: str) -> None:
        self.session = session
        self.base = base
        self.token = token

    def request(self, method: str, path: str, *, token: str | None = "", **more: Any) -> Any:
        headers = dict(more.pop("headers", {}))
        chosen = self.token if token == "" else token
        if chosen is not None:
            headers["Authorization"] = f"Bearer {chosen}"
        return self.session.request(method, self.base + path, headers=headers, **more)

    def get(self, path: str, **more: Any) -> Any:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> Any:
        return self.request("POST", path, **more)

    async def json(self, path: str, *, status: int = 200, **more: Any) -> Any:
        async with self.get(path, **more) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()

    async def submit(self, raw: bytes, *, wait: int = 0, **more: Any) -> Any:
        headers = {"Content-Type": "application/octet-stream"}
        if wait:
            headers["Prefer"] = f"wait={wait}"
        async with self.post("/v1/transactions", data=raw, headers=headers, **more) as answer:
            return answer.status, answer.headers, await answer.json(content_type=None)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger")
    yield made
    made.close()


@pytest.fixture
def tokens_path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.jsonl"


@pytest.fixture
def token(tokens_path: Path) -> str:
    """A token with every scope, in the file."""
    text, row = tokens.create(tokens.SCOPES, expires_ms=time.time_ns() // 1_000_000 + 60_000)
    tokens.write_file(tokens_path, [row])
    return text


def settings(tokens_path: Path, **flags: str) -> config.Config:
    chosen = {"node.id": "alder", "api.tokens_file": str(tokens_path), **flags}
    return config.load(None, environment={}, flags=chosen)


@asynccontextmanager
async def serving(application: web.Application, **site: Any) -> AsyncIterator[int]:
    runner = http.Runner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        listener = web.TCPSite(runner, "127.0.0.1", 0, **site)
        await listener.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client_of(
    ledger: Ledger, tokens_path: Path, token: str, limits: HttpLimits | None = None
) -> AsyncIterator[Client]:
    application = http.build_api(ledger.service, config=settings(tokens_path), limits=limits)
    async with serving(application) as port, aiohttp.ClientSession() as session:
        yield Client(session, f"http://127.0.0.1:{port}", token)


@pytest.fixture
async def client(ledger: Ledger, tokens_path: Path, token: str) -> AsyncIterator[Client]:
    async with client_of(ledger, tokens_path, token) as made:
        yield made


async def arrival(ledger: Ledger) -> None:
    """Return when the pool holds a transaction."""
    async with asyncio.timeout(10):
        while not len(ledger.mempool):  # noqa: ASYNC110  # the pool has no event to wait for
            await asyncio.sleep(0)


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append((record.getMessage(), record.__dict__["fields"]))


@pytest.fixture
def events() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Name and fields of every event that the node logs from now on."""
    logger, kept = logging.getLogger("chartseal"), _Kept()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(kept)
    yield kept.events
    logger.removeHandler(kept)
    logger.setLevel(level)


@pytest.fixture
async def ordered(ledger: Ledger) -> AsyncIterator[None]:
    """Blocks are made as transactions arrive."""

    async def order() -> None:
        while True:
            if len(ledger.mempool):
                ledger.commit()
            await asyncio.sleep(0.005)

    task = asyncio.create_task(order())
    yield
    task.cancel()


@pytest.fixture
def fhir(client: Client, ordered: None) -> Fhir:
    return Fhir(client)
