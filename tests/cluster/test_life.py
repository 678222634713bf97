"""A node's own life, as real processes: certificates, clocks, drain, the service manager.

The calendar of a process is moved by ``tests/support/calendar``; its timers stay as they are.
"""

import os
import re
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from node.cli.cluster import Cluster
from node.cli.cmd_cert import _sign as make_certificate
from node.errors import ChartsealError
from node.ledger.genesis import Parameters
from tests.support.hostile import configure, metric
from tests.support.life import commit, status, until
from tests.support.load import Load, settle
from tests.support.manual import DOCS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

CALENDAR: Final = Path(__file__).parents[1] / "support" / "calendar"
DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
QUICK: Final = Parameters(election_ms=500, heartbeat_ms=60, request_ms=800, view_change_ms=800)
ENGINES: Final = [("raft", 3), ("pbft", 4)]


class Calendars:
    """Each node's own calendar; starts nodes under it."""

    def __init__(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster = cluster
        self._patch = monkeypatch
        known = os.environ.get("PYTHONPATH", "")
        monkeypatch.setenv("PYTHONPATH", f"{CALENDAR}{os.pathsep}{known}")
        for at in range(len(cluster.members)):
            self.move(at, 0)

    def _file(self, at: int) -> Path:
        return self.cluster.node_dir(at) / "calendar"

    def move(self, at: int, ahead_ms: int) -> None:
        with self._file(at).open("r+b" if self._file(at).exists() else "wb") as file:
            file.write(ahead_ms.to_bytes(8, "big"))

    def start(self, at: int) -> None:
        self._patch.setenv("STORY_CALENDAR", str(self._file(at)))
        self.cluster.start(at)

    def up(self) -> None:
        everyone = range(len(self.cluster.members))
        for at in everyone:
            self.start(at)
        for at in everyone:
            self.cluster.wait_ready(at, 60)


def leader(cluster: Cluster) -> int:
    names = [member.id for member in cluster.members]
    until(lambda: status(cluster, 0)["engine"]["leader"] in names, "nobody leads")
    return names.index(status(cluster, 0)["engine"]["leader"])


def certificate(cluster: Cluster, at: int, *, days: int) -> tuple[Path, Path]:
    """Put a self-signed certificate that ends in ``days`` into the node's directory."""
    where = cluster.node_dir(at)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    made = make_certificate(key, ("127.0.0.1",), days)
    for name, raw in (("api.key", pem), ("api.crt", made.public_bytes(Encoding.PEM))):
        (where / f"{name}.new").write_bytes(raw)
        (where / f"{name}.new").replace(where / name)
    return where / "api.crt", where / "api.key"


def shown(cluster: Cluster, at: int) -> str:
    """Return the certificate that a client of the node is shown now."""
    address = ("127.0.0.1", cluster.members[at].api_port)
    return ssl.get_server_certificate(address)


@pytest.fixture
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    engine, members = request.param
    made = Cluster.create(tmp_path / "net", members=members, engine=engine, params=QUICK)
    with made as cluster:
        yield cluster


@pytest.mark.parametrize("network", ENGINES, indirect=True, ids=["raft", "pbft"])
def test_with_every_certificate_expired_and_the_calendar_moved_400_days_commits_go_on(
    network: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    everyone = range(len(network.members))
    certificate(network, 0, days=1)
    configure(network, 0, 'tls_cert_file = "api.crt"', section="api")
    configure(network, 0, 'tls_key_file = "api.key"', section="api")
    calendars = Calendars(network, monkeypatch)
    calendars.up()
    commit(network, 1)
    for at in everyone:
        calendars.move(at, 400 * DAY_MS)
    until(lambda: metric(network, 0, "certificate_expiry_seconds", name="api") < 0, "expired")
    commit(network, 1)
    until(lambda: metric(network, 1, "clock_jumps_total", direction="forward") >= 1, "noticed")
    assert shown(network, 0), "clients are served, and judge for themselves"
    network.stop(2)
    calendars.start(2)
    network.wait_ready(2, 60)
    commit(network, 2)
    network.stop(1)
    calendars.start(1)
    network.wait_ready(1, 60)
    commit(network, 1)
    newest = int(network.client(1).get("/v1/status")["time_ms"])
    assert newest > time.time() * 1000 + 399 * DAY_MS
    for at in everyone:
        calendars.move(at, 0)
    until(lambda: metric(network, 1, "clock_jumps_total", direction="backward") >= 1, "noticed")
    commit(network, 1)
    assert "certificate.expires" in network.log_path(0).read_text()


@pytest.mark.parametrize("network", ENGINES, indirect=True, ids=["raft", "pbft"])
@pytest.mark.parametrize("hours", [5, -5])
def test_a_member_whose_clock_is_hours_wrong_goes_by_the_others(
    network: Cluster, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Also the one that proposes: its blocks would be refused by everybody else."""
    everyone = range(len(network.members))
    calendars = Calendars(network, monkeypatch)
    for at in everyone:
        calendars.move(at, 10 * HOUR_MS)
    calendars.up()
    commit(network, 0)
    wrong = leader(network)
    calendars.move(wrong, (10 + hours) * HOUR_MS)
    until(lambda: metric(network, wrong, "clock_wrong") == 1, "it knows")
    for _ in range(3):
        commit(network, wrong)
    block_ms = int(status(network, wrong)["time_ms"])
    assert abs(block_ms - time.time() * 1000 - 10 * HOUR_MS) < HOUR_MS
    assert all(metric(network, at, "clock_wrong") == 0 for at in everyone if at != wrong)
    assert status(network, wrong)["life"]["clock_wrong"] is True
    assert "clock.skew" in network.log_path(wrong).read_text()
    calendars.move(wrong, 10 * HOUR_MS)
    until(lambda: metric(network, wrong, "clock_wrong") == 0, "it is right again")


@pytest.mark.parametrize("network", [("raft", 3)], indirect=True, ids=["raft"])
def test_new_certificate_files_are_served_without_a_restart_and_broken_ones_are_not(
    network: Cluster,
) -> None:
    certificate(network, 0, days=60)
    configure(network, 0, 'tls_cert_file = "api.crt"', section="api")
    configure(network, 0, 'tls_key_file = "api.key"', section="api")
    network.up()
    first = shown(network, 0)
    path, key = certificate(network, 0, days=200)
    until(lambda: shown(network, 0) != first, "the new one is served")
    second = shown(network, 0)
    assert second == path.read_text()
    path.write_text("no certificate")
    refused = ("certificate_reloads_total",)
    until(lambda: metric(network, 0, *refused, result="refused") >= 1, "refused")
    assert shown(network, 0) == second
    key.write_text("no key either")
    pid = network.pid(0)
    assert pid is not None
    before = metric(network, 0, *refused, result="refused")
    os.kill(pid, signal.SIGHUP)
    until(lambda: metric(network, 0, *refused, result="refused") > before, "looked at")
    assert shown(network, 0) == second
    assert network.pid(0) == pid
    assert "certificate.refused" in network.log_path(0).read_text()
    verbose = network.ops_client(0).get("/readyz", verbose="1")["checks"]
    assert {
        name: next(item for item in verbose if item["name"] == "certificates")[name]
        for name in ("name", "ok")
    } == {"name": "certificates", "ok": True}


@pytest.mark.parametrize("network", [("raft", 3)], indirect=True, ids=["raft"])
def test_a_drained_leader_hands_over_refuses_writes_and_serves_again(network: Cluster) -> None:
    network.up()
    commit(network, 0)
    first = leader(network)
    other = (first + 1) % 3
    with Load(network, writers=2) as load:
        load.wait_for(5)
        network.client(first).request("POST", "/v1/node:drain")
        until(lambda: status(network, first)["life"]["phase"] == "drained", "drained")
        assert leader(network) != first
        with pytest.raises(ChartsealError, match="draining"):
            commit(network, first)
        with pytest.raises(ChartsealError, match="not-ready"):
            network.ops_client(first).request("GET", "/readyz")
        commit(network, other)
        network.client(first).request("POST", "/v1/node:undrain")
        network.wait_ready(first)
        commit(network, first)
    settle(network)
    assert network.stop(first)
    assert network.exit_code(first) == 0


@pytest.mark.parametrize("network", [("raft", 3)], indirect=True, ids=["raft"])
def test_the_service_manager_hears_ready_alive_and_stopping(
    network: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(60)
    network.start(1)
    network.start(2)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "6000000")
    pid = network.start(0)
    heard: list[str] = []

    def hear(word: str) -> None:
        while word not in (said := manager.recv(4096).decode()):
            heard.append(said)
        heard.append(said)

    hear("READY=1")
    assert "EXTEND_TIMEOUT_USEC=30000000" in heard
    network.ops_client(0).request("GET", "/readyz")
    hear("WATCHDOG=1")
    assert any(re.fullmatch(r"STATUS=height \d+, \w+, serving", said) for said in heard)
    os.kill(pid, signal.SIGSTOP)
    manager.settimeout(0)
    drained = 0
    while drained < 1000:
        try:
            manager.recv(4096)
        except BlockingIOError:
            break
        drained += 1
    manager.settimeout(4)
    with pytest.raises(TimeoutError):
        manager.recv(4096)
    os.kill(pid, signal.SIGCONT)
    manager.settimeout(60)
    hear("WATCHDOG=1")
    os.kill(pid, signal.SIGTERM)
    hear("STOPPING=1")
    manager.close()


@pytest.mark.parametrize("network", [("raft", 3)], indirect=True, ids=["raft"])
def test_every_queue_of_the_manual_is_on_the_page_of_metrics(network: Cluster) -> None:
    network.up()
    commit(network, 0)
    page = network.ops_client(0).request("GET", "/metrics").body.decode()
    rows = re.findall(r"^\| `([a-z-]+)` \|", (DOCS / "limits.md").read_text(), re.MULTILINE)
    assert len(rows) >= 15
    for family in ("queue_depth", "queue_limit", "queue_dropped_total"):
        found = re.findall(rf'^chartseal_{family}{{queue="([a-z-]+)"}}', page, re.MULTILINE)
        assert sorted(found) == sorted(rows), family
    for name in rows:
        depth, limit = (
            metric(network, 0, f"queue_{kind}", queue=name) for kind in ("depth", "limit")
        )
        assert 0 <= depth <= limit
        assert limit > 0
