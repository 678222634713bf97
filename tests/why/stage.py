"""A network of real processes on which one fault is played, and the tools to play it.

Every process may be slowed, muted or starved from outside (``inject``); the wires between
members are those of the product, or ``Slow`` ones.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from consensus import wire
from node.cli.cluster import Cluster
from node.cli.decisions import decided_at_once
from node.cli.layout import CONFIG_NAME
from node.errors import ChartsealError
from node.ledger import transaction
from node.ledger.families.record import Anchor
from node.ledger.genesis import Parameters
from node.ledger.transaction import Op, Payload
from node.why.local import report_of
from tests.support.hostile import configure, genesis_of

INJECT: Final = Path(__file__).parent / "inject"
FAST: Final = Parameters(
    request_ms=1_500, view_change_ms=800, resend_ms=150, election_ms=1_000, heartbeat_ms=100
)


class Stage:
    """Members 0 to ``members - 1``; everything ends with the ``with`` block."""

    def __init__(self, directory: Path, *, members: int = 4, engine: str = "pbft") -> None:
        self.directory = directory
        self.cluster = Cluster.create(
            directory / "net",
            members=members,
            engine=engine,
            params=FAST,
            policies=decided_at_once(),
        )
        self.stack = ExitStack()
        self.asked: int | None = None  # whom to ask, where only the play can tell
        self._stop = threading.Event()

    @property
    def over(self) -> bool:
        return self._stop.is_set()

    def __enter__(self) -> Self:
        self.stack.enter_context(self.cluster)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for at in range(len(self.cluster.members)):
            pid = self.cluster.pid(at)
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        self.stack.close()

    def name(self, at: int) -> str:
        return self.cluster.members[at].id

    def config(self, at: int) -> Path:
        return self.cluster.node_dir(at) / CONFIG_NAME

    def data(self, at: int) -> Path:
        return self.cluster.node_dir(at) / "data"

    # --- processes -------------------------------------------------------------------------

    def start(self, *places: int, version: int | None = None) -> None:
        """Start members so that faults can be put into them later."""
        for at in places:
            with self._environment(at, version):
                self.cluster.start(at)

    def up(self, *places: int) -> None:
        """Start members (default: all) and return when all of them are connected."""
        chosen = places or tuple(range(len(self.cluster.members)))
        self.start(*chosen)
        for at in chosen:
            self.cluster.wait_ready(at)
        self.until(
            lambda: all(len(self.peers(at)) >= len(chosen) - 1 for at in chosen), "connected"
        )

    def peers(self, at: int) -> list[str]:
        return list(self.cluster.client(at).get("/v1/status")["peers"])

    def height(self, at: int) -> int:
        return int(self.cluster.client(at).get("/v1/status")["height"])

    @contextmanager
    def _environment(self, at: int, version: int | None) -> Iterator[None]:
        known = os.environ.get("PYTHONPATH")
        added = {
            "WHY_FAULTS": str(self._faults(at)),
            "PYTHONPATH": f"{INJECT}{os.pathsep}{known}" if known else str(INJECT),
        }
        if version is not None:
            added["WHY_VERSION"] = str(version)
        before = {name: os.environ.get(name) for name in added}
        os.environ.update(added)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def _faults(self, at: int) -> Path:
        return self.directory / f"faults-{at}.json"

    def inject(self, at: int, **faults: Any) -> None:
        """Put faults into member ``at``; see ``inject/sitecustomize.py``."""
        new = self._faults(at).with_suffix(".new")
        new.write_text(json.dumps(faults))
        new.replace(self._faults(at))

    def pause(self, at: int) -> None:
        pid = self.cluster.pid(at)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)

    def runs_into(self, at: int) -> None:
        """Start a member that must end by itself, and return when it has."""
        self.start(at)
        self.until(lambda: not self.cluster.alive(at), f"{self.name(at)} ended", 30)

    # --- settings --------------------------------------------------------------------------

    def set(self, at: int, section: str, line: str) -> None:
        configure(self.cluster, at, line, section=section)

    def dial(self, at: int, peer: int, address: str) -> None:
        """Let member ``at`` look for ``peer`` at another address."""
        path, old = self.config(at), self.cluster.members[peer]
        text = path.read_text()
        line = f'{old.id} = "127.0.0.1:{old.p2p_port}"'
        assert line in text
        path.write_text(text.replace(line, f'{old.id} = "{address}"'))

    # --- what is asked of it ---------------------------------------------------------------

    def why(self, at: int) -> dict[str, Any]:
        """Return the diagnosis as ``chartseal why --config`` has it."""
        return report_of(self.config(at), timeout_s=3)

    def until(self, what: Callable[[], bool], say: str, timeout_s: float = 30) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(ChartsealError, KeyError):
                if what():
                    return
            assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {say}"
            time.sleep(0.1)

    # --- work ------------------------------------------------------------------------------

    def act(self, at: int, kind: str, body: dict[str, Any], wait_s: int = 20) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Prefer": f"wait={wait_s}"}
        raw = json.dumps({"ops": [{"kind": kind, "body": body}]}).encode()
        answer = self.cluster.client(at, timeout_s=wait_s + 5).request(
            "POST", "/v1/operations", body=raw, headers=headers
        )
        found: dict[str, Any] = answer.json()
        return found

    def anchor(self, at: int, wait_s: int = 20) -> dict[str, Any]:
        fresh = Anchor(secrets.token_bytes(32), secrets.token_bytes(16), 2)
        body = wire.to_plain(fresh)
        assert isinstance(body, dict)
        return self.act(at, "record.anchor", body, wait_s)

    def strange(self, at: int) -> None:
        """Bring a transaction that a key signed which the ledger does not know."""
        from node.ledger.crypto import Signer

        genesis = genesis_of(self.cluster)
        op = Op("record.anchor", wire.to_value(Anchor(os.urandom(32), os.urandom(16), 2)))
        payload = Payload(genesis.network, self.name(at), 500, os.urandom(8), (op,))
        raw = transaction.sign(payload, Signer(os.urandom(32)))
        headers = {"Content-Type": "application/octet-stream"}
        with contextlib.suppress(ChartsealError):
            self.cluster.client(at).request(
                "POST", "/v1/transactions", body=raw, headers=headers
            )

    def load(self, *places: int, pause_s: float = 0.05, wait_s: int = 0) -> None:
        """Anchor through ``places`` until the stage ends, whatever comes of it."""
        for at in places:
            thread = threading.Thread(
                target=self._write, args=(at, pause_s, wait_s), daemon=True, name=f"load-{at}"
            )
            thread.start()
            self.stack.callback(thread.join, 30)

    def _write(self, at: int, pause_s: float, wait_s: int) -> None:
        while not self._stop.wait(pause_s):
            with contextlib.suppress(ChartsealError):
                self.anchor(at, wait_s)

    # --- places in the network --------------------------------------------------------------

    def black_hole(self) -> str:
        """Return an address at which connections wait for ever, as behind a firewall."""
        hole = self.stack.enter_context(socket.socket())
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for _ in range(4):  # what the system queues beyond it is answered by nobody
            waiting = self.stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(hole.getsockname())
        return f"127.0.0.1:{hole.getsockname()[1]}"

    def take(self, port: int) -> None:
        """Listen on a port as another process would."""
        taken = self.stack.enter_context(socket.socket())
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen(1)

    def certificate(self, at: int, *, days_left: int) -> None:
        """Give a member's API a certificate of its own that ends then."""
        key, where = ec.generate_private_key(ec.SECP256R1()), self.cluster.node_dir(at)
        end = datetime.now(UTC) + timedelta(days=days_left)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "api")])
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - timedelta(days=30))
            .not_valid_after(end)
            .sign(key, hashes.SHA256())
        )
        (where / "api.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (where / "api.key").write_bytes(private)
        self.set(at, "api", 'tls_cert_file = "api.crt"')
        self.set(at, "api", 'tls_key_file = "api.key"')


class Slow:
    """A wire to ``port`` that delays what travels on it, both ways."""

    def __init__(self, port: int, delay_s: float) -> None:
        self._port = port
        self._delay_s = delay_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slow wire")

    def __enter__(self) -> str:
        self._thread.start()
        made = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._carry, "127.0.0.1", 0), self._loop
        )
        self._server = made.result(10)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        mine = asyncio.current_task()
        running = [task for task in asyncio.all_tasks() if task is not mine]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._port)
            await asyncio.gather(self._pump(reader, far), self._pump(far_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            if far is not None:
                far.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1 << 16):
            await asyncio.sleep(self._delay_s)
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError
