"""A network of real node processes on this machine, for tests, the demo and `dev cluster`.

    DIR/genesis.bin     the founding document
    DIR/policy.json     whose cosignatures count, for verification without a node
    DIR/admin.token     an access token that every node knows, mode 0600
    DIR/cluster.json    engine and nodes, in order
    DIR/hospN/          one node's directory (layout.py), its node.pid and node.log

Owns: making the files, starting and ending processes.  A process is ours when its command line
names the node's own configuration file; a recycled process number is therefore never signalled.
Refuses: any address but loopback.
Invariant: leaving the context manager leaves no process that this object started.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import node as package
from node import tokens
from node.cli.client import Client
from node.cli.layout import CONFIG_NAME, TOKENS_NAME, institution, make_directory
from node.errors import ChartsealError
from node.keys import write_secret
from node.ledger.genesis import ENGINES, Genesis, Institution, Parameters
from node.ledger.policies import Policy
from node.publish import policy_of
from node.tokens import Token

MANIFEST_NAME: Final = "cluster.json"
MEMBERS_MAX: Final = 32
STOP_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.05
_TOKEN_MS: Final = 3650 * 86_400_000
# Below the range from which systems take the ports of outgoing connections (32768 up on
# Linux): a node that restarts must find its port free.
_PORTS: Final = range(10_240, 32_000)
_ROLES: Final = (
    ("author", "custodian"),
    ("author", "custodian", "laboratory"),
    ("author", "payer"),
    ("author", "regulator", "research"),
)


@dataclass(frozen=True, slots=True)
class Member:
    """One node of the cluster; ports on 127.0.0.1."""

    id: str
    p2p_port: int
    api_port: int
    ops_port: int


class Cluster:
    """The cluster in ``directory``; nodes are numbered from 0.

    Raises ``ChartsealError`` (not-found, config-invalid) unless ``create`` was there before.
    """

    def __init__(self, directory: Path) -> None:
        self.directory: Final = directory.absolute()
        manifest = self.directory / MANIFEST_NAME
        try:
            document = json.loads(manifest.read_text())
            self.engine: Final = str(document["engine"])
            self.members: Final = tuple(Member(**item) for item in document["members"])
        except FileNotFoundError as error:
            detail = f"{directory} holds no cluster; make one with `chartseal dev cluster init`"
            raise ChartsealError("not-found", detail) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ChartsealError("config-invalid", f"{manifest} is not a cluster") from error
        self._started: dict[int, subprocess.Popen[bytes]] = {}
        self.environment: Final[dict[int, dict[str, str]]] = {}
        """Variables of single nodes, by number, for their next start."""

    # --- making ---------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        directory: Path,
        *,
        members: int = 4,
        engine: str = "pbft",
        params: Parameters | None = None,
        cast: Sequence[tuple[str, tuple[str, ...]]] = (),
        spares: int = 0,
        policies: tuple[Policy, ...] = (),
    ) -> Self:
        """Make the files of a network of ``members`` institutions hosp1, hosp2, ..., or of the
        ``cast``: their ids and roles.  The last ``spares`` of them do not vote; ``policies``:
        how they decide, if not as by default.

        Raises ``ChartsealError``: exists-already, bad-request.
        """
        width = len(str(members))  # so that the order of ids is the order of numbers
        players = tuple(cast) or tuple(
            (f"hosp{at + 1:0{width}}", _ROLES[at % len(_ROLES)]) for at in range(members)
        )
        voters = len(players) - spares
        if not 1 <= voters <= len(players) <= MEMBERS_MAX or engine not in ENGINES:
            raise ChartsealError("bad-request", f"1 to {MEMBERS_MAX} nodes; pbft or raft")
        if directory.exists() and any(directory.iterdir()):
            raise ChartsealError("exists-already", f"{directory} is not empty")
        directory = directory.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        ports = free_ports(3 * len(players))
        nodes = tuple(
            Member(name, *ports[3 * at : 3 * at + 3]) for at, (name, _) in enumerate(players)
        )
        created_ms = time.time_ns() // 1_000_000
        text, token = tokens.create(tokens.SCOPES, expires_ms=created_ms + _TOKEN_MS)
        write_secret(directory / "admin.token", f"{text}\n".encode())
        founders = [
            _make_node(directory, nodes, at, token, roles, validator=at < voters)
            for at, (_, roles) in enumerate(players)
        ]
        genesis = Genesis(
            version=1,
            name="dev",
            created_ms=created_ms,
            engine=engine,
            parameters=Parameters() if params is None else params,
            institutions=tuple(sorted(founders, key=lambda item: item.id)),
            policies=policies,
        )
        (directory / "genesis.bin").write_bytes(genesis.encode())
        (directory / "policy.json").write_text(policy_of(genesis).to_text())
        manifest = {"engine": engine, "members": [asdict(item) for item in nodes]}
        # Last: without it a directory is no cluster, so a crash before this shows.
        (directory / MANIFEST_NAME).write_text(json.dumps(manifest, indent=2) + "\n")
        return cls(directory)

    # --- where things are -----------------------------------------------------------------

    def node_dir(self, at: int) -> Path:
        return self.directory / self.members[at].id

    def endpoint(self, at: int) -> str:
        """The base URL of the node's client interface."""
        return f"http://127.0.0.1:{self.members[at].api_port}"

    def ops_endpoint(self, at: int) -> str:
        """The base URL of health and metrics."""
        return f"http://127.0.0.1:{self.members[at].ops_port}"

    @property
    def token(self) -> str:
        """An access token with every scope, valid at each node."""
        return self.token_path.read_text().strip()

    @property
    def token_path(self) -> Path:
        return self.directory / "admin.token"

    @property
    def policy_path(self) -> Path:
        return self.directory / "policy.json"

    @property
    def genesis_path(self) -> Path:
        return self.directory / "genesis.bin"

    def client(self, at: int, *, timeout_s: float = 10.0) -> Client:
        """A client of the node with the admin token."""
        return Client(self.endpoint(at), token=self.token, timeout_s=timeout_s)

    def ops_client(self, at: int, *, timeout_s: float = 5.0) -> Client:
        """A client of the node's health and metrics."""
        return Client(self.ops_endpoint(at), timeout_s=timeout_s)

    def log_path(self, at: int) -> Path:
        return self.node_dir(at) / "node.log"

    def log_tail(self, at: int, lines: int = 20) -> str:
        """The last ``lines`` of what the node wrote; empty before its first start."""
        try:
            text = self.log_path(at).read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    # --- processes ------------------------------------------------------------------------

    def command(self, at: int) -> list[str]:
        """The command line of the node's process."""
        config = str(self.node_dir(at) / CONFIG_NAME)
        return [sys.executable, "-m", "node", "run", "--config", config]

    def source(self, _at: int) -> Path:
        return Path(package.__file__ or "").parent.parent  # ours for every node

    def start(self, at: int) -> int:
        """Start the node, detached from this terminal; returns its process number.

        Returns at once, and does nothing, when it runs already.
        """
        running = self.pid(at)
        if running is not None:
            return running
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CHARTSEAL_")}
        source = str(self.source(at))
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{source}{os.pathsep}{known}" if known else source
        environment |= self.environment.get(at, {})
        with self.log_path(at).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and files
                self.command(at),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.node_dir(at),
                env=environment,
                start_new_session=True,
            )
        self._started[at] = process
        (self.node_dir(at) / "node.pid").write_text(f"{process.pid}\n")
        return process.pid

    def pid(self, at: int) -> int | None:
        """The process number of the node if it runs and is ours."""
        started = self._started.get(at)
        if started is not None:
            return started.pid if started.poll() is None else None
        try:
            pid = int((self.node_dir(at) / "node.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if self._is_ours(at, pid) else None

    def alive(self, at: int) -> bool:
        return self.pid(at) is not None

    def exit_code(self, at: int) -> int | None:
        """The exit code of a node that this object started and that ended; negative: signal."""
        started = self._started.get(at)
        return None if started is None else started.poll()

    def wait_ready(self, at: int, timeout: float = 30.0) -> None:
        """Return when /readyz of the node answers 200.

        Raises ``ChartsealError``: process-failed when it ended, not-ready after ``timeout`` s.
        """
        client = self.ops_client(at)
        deadline = time.monotonic() + timeout
        said = "no answer"
        while time.monotonic() < deadline:
            try:
                client.request("GET", "/readyz")
            except ChartsealError as error:
                said = str(error)
            else:
                return
            if not self.alive(at):
                name, code = self.members[at].id, self.exit_code(at)
                raise ChartsealError(
                    "process-failed", f"{name} ended with {code}\n{self.log_tail(at, 8)}"
                )
            time.sleep(_POLL_S)
        raise ChartsealError("not-ready", f"{self.members[at].id} after {timeout:g} s: {said}")

    def up(self, *, timeout: float = 60.0) -> None:
        """Start every node and return when each is ready."""
        for at in range(len(self.members)):
            self.start(at)
        deadline = time.monotonic() + timeout
        for at in range(len(self.members)):
            self.wait_ready(at, max(1.0, deadline - time.monotonic()))

    def kill(self, at: int) -> bool:
        """End the node with SIGKILL, as a power cut would; returns whether it ran."""
        return self._signal(at, signal.SIGKILL)

    def stop(self, at: int, *, timeout: float = STOP_TIMEOUT_S) -> bool:
        """End the node with SIGTERM; after ``timeout`` s with SIGKILL.  Whether it ran."""
        return self._signal(at, signal.SIGTERM, timeout=timeout)

    def restart(self, at: int) -> int:
        """Stop the node if it runs, and start it."""
        self.stop(at)
        return self.start(at)

    def down(self) -> int:
        """Stop every node, at the same time; returns how many ran."""
        running = [at for at in range(len(self.members)) if self.alive(at)]
        for at in running:
            self._send(at, signal.SIGTERM)
        for at in running:
            self.stop(at)
        return len(running)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._started.values():
            if process.poll() is None:
                process.kill()
        for process in self._started.values():
            process.wait()

    def _send(self, at: int, number: signal.Signals) -> int | None:
        pid = self.pid(at)
        if pid is not None:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return None
        return pid

    def _signal(
        self, at: int, number: signal.Signals, *, timeout: float = STOP_TIMEOUT_S
    ) -> bool:
        if self._send(at, number) is None:
            return False
        deadline = time.monotonic() + timeout
        while self.alive(at):
            if time.monotonic() > deadline:
                assert number is not signal.SIGKILL, "a killed process does not stay"
                return self._signal(at, signal.SIGKILL)
            time.sleep(_POLL_S / 5)
        (self.node_dir(at) / "node.pid").unlink(missing_ok=True)
        return True

    def _is_ours(self, at: int, pid: int) -> bool:
        expected = self.command(at)[1:]
        return _command_line(pid)[1:] == expected


def _command_line(pid: int) -> list[str]:
    """The arguments of process ``pid``; empty when it ended (or is a zombie)."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [item.decode(errors="replace") for item in raw.split(b"\x00")[:-1]]


def _make_node(
    directory: Path,
    nodes: Sequence[Member],
    at: int,
    token: Token,
    roles: tuple[str, ...],
    *,
    validator: bool,
) -> Institution:
    mine = nodes[at]
    values: dict[str, str | int] = {
        "network.genesis": "../genesis.bin",
        "p2p.listen": f"127.0.0.1:{mine.p2p_port}",
        "api.listen": f"127.0.0.1:{mine.api_port}",
        "api.tokens_file": TOKENS_NAME,
        "ops.listen": f"127.0.0.1:{mine.ops_port}",
        "storage.reserve_bytes": 0,  # many nodes on one disk
    }
    peers = {item.id: f"127.0.0.1:{item.p2p_port}" for item in nodes if item is not mine}
    where = directory / mine.id
    keys = make_directory(where, mine.id, values=values, peers=peers, passphrase=None)
    tokens.write_file(where / TOKENS_NAME, [token])
    return institution(keys, name=f"Hospital {at + 1}", roles=roles, validator=validator)


def free_ports(count: int) -> list[int]:
    """Return ``count`` ports of 127.0.0.1 that nobody listens on now.

    Between this and the node's start another process may take one; drawing from a wide range
    makes that unlikely, and the node then says port-in-use.
    """
    found: dict[int, None] = {}
    for _ in range(200 * count):
        if len(found) == count:
            break
        port = _PORTS[secrets.randbelow(len(_PORTS))]
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found[port] = None
    if len(found) < count:
        raise ChartsealError("port-in-use", f"no {count} free ports on 127.0.0.1")
    return list(found)
