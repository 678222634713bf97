"""The ledger fixture behind the real HTTP interface, in a thread, for commands that block.

Blocks are made as transactions arrive unless ``hold`` is set; ``call`` runs a function on the
server's loop, where the ledger lives.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from click.testing import CliRunner, Result

from node import config, tokens
from node.cli.main import cli
from node.http import api as http
from node.ledger.policies import Policy
from tests.support.ledger_fixture import Ledger


class ServedLedger:
    def __init__(self, directory: Path, *, policies: tuple[Policy, ...] = ()) -> None:
        self.directory = directory
        self.policies = policies
        self.hold = False
        self.certified = True
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="served ledger")
        tokens_path = directory / "tokens.jsonl"
        self.token, row = tokens.create(
            tokens.SCOPES, expires_ms=time.time_ns() // 1_000_000 + 600_000
        )
        tokens.write_file(tokens_path, [row])
        self.token_file = directory / "token"
        self.token_file.write_text(self.token)
        self.token_file.chmod(0o600)
        self._config = config.load(
            None,
            environment={},
            flags={"node.id": "alder", "api.tokens_file": str(tokens_path)},
        )

    def __enter__(self) -> "ServedLedger":
        self._thread.start()
        assert self._ready.wait(20), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)
        assert not self._thread.is_alive(), "the server did not stop"

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self.ledger = Ledger(self.directory / "ledger", policies=self.policies)
        runner = http.Runner(
            http.build_api(self.ledger.service, config=self._config), shutdown_timeout=1
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        orderer = asyncio.create_task(self._order())
        self._ready.set()
        try:
            await self._end.wait()
        finally:
            orderer.cancel()
            self.ledger.service.stop()
            await runner.cleanup()
            self.ledger.close()

    async def _order(self) -> None:
        while True:
            if len(self.ledger.mempool) and not self.hold:
                self.ledger.commit(certified=self.certified)
            await asyncio.sleep(0.005)

    def call(self, function: Callable[[], Any]) -> Any:
        """Run ``function`` where the ledger lives and return what it gives."""

        async def run() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(20)

    # --- commands ----------------------------------------------------------------------------

    @property
    def options(self) -> list[str]:
        return [
            "--endpoint",
            f"http://127.0.0.1:{self.port}",
            "--token-file",
            str(self.token_file),
        ]

    def run(self, *arguments: object, exit_code: int = 0, **more: Any) -> Result:
        """Run a command against this node; its exit code must be ``exit_code``."""
        return run(*self.options, *arguments, exit_code=exit_code, **more)

    def json(self, *arguments: object, exit_code: int = 0, **more: Any) -> Any:
        """Return the JSON that a command prints on stdout."""
        return json.loads(
            self.run("-o", "json", *arguments, exit_code=exit_code, **more).stdout
        )


def run(*arguments: object, exit_code: int = 0, **more: Any) -> Result:
    result = CliRunner().invoke(cli, [str(item) for item in arguments], **more)
    assert result.exit_code == exit_code, (result.output, result.exception)
    return result
