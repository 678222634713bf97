"""The operators' commands on a running node and its stopped directory."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.cli.cluster import Cluster
from node.cli.layout import CONFIG_NAME
from storage.schema import SCHEMA_VERSION
from tests.support.hostile import configure
from tests.support.life import commit, until
from tests.support.served_ledger import run

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


class Operator:
    """Runs commands against one node, as JSON."""

    def __init__(self, cluster: Cluster, at: int) -> None:
        self.at, self.cluster = at, cluster
        self.config = cluster.node_dir(at) / CONFIG_NAME

    def run(self, *words: object, exit_code: int = 0) -> Any:
        place = ("--endpoint", self.cluster.endpoint(self.at))
        token = ("--token-file", self.cluster.token_path)
        result = run(*place, *token, "-o", "json", *words, exit_code=exit_code)
        return json.loads(result.stdout) if result.stdout else None

    def offline(self, *words: object, exit_code: int = 0) -> Any:
        result = run("-o", "json", *words, "--config", self.config, exit_code=exit_code)
        return json.loads(result.stdout) if result.stdout else None


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster.create(tmp_path / "net", members=3, engine="raft") as cluster:
        cluster.up()
        commit(cluster, 0)
        yield cluster


def test_drain_waits_is_idempotent_and_is_taken_back(network: Cluster) -> None:
    operator = Operator(network, 0)
    done = {"phase": "drained", "left": 0}
    assert operator.run("drain", "--wait") == done
    assert operator.run("drain", "--wait") == done
    assert operator.run("status")["phase"] == "drained"
    assert operator.run("undrain") == {"phase": "serving", "left": 0}
    commit(network, 0)


def test_an_upgrade_is_advised_against_when_nobody_could_go_on_without_the_node(
    network: Cluster, tmp_path: Path
) -> None:
    operator = Operator(network, 0)

    def asked(code: int, *more: object) -> dict[str, bool]:
        rows = operator.run("upgrade", "check", *more, exit_code=code)
        return {row["check"]: row["ok"] for row in rows}

    until(lambda: len(network.client(0).get("/v1/versions")["members"]) == 2, "both known")
    until(lambda: len(network.client(0).get("/v1/status")["peers"]) == 2, "both connected")
    fine = asked(0, "--config", operator.config)
    assert set(fine) == {
        "quorum-without", "caught-up", "wire-hosp2", "wire-hosp3", "disk", "features",
        "snapshot-room",
    }  # fmt: skip
    (tmp_path / "backups").mkdir()
    assert asked(9, "--backup", tmp_path / "backups")["backup"] is False
    (tmp_path / "backups" / "one").write_text("fresh")
    assert asked(0, "--backup", tmp_path / "backups")["backup"] is True
    network.kill(2)
    until(lambda: len(network.client(0).get("/v1/status")["peers"]) == 1, "one is gone")
    assert asked(9)["quorum-without"] is False


def test_a_stopped_directory_goes_to_the_older_layout_and_back(network: Cluster) -> None:
    operator = Operator(network, 2)
    operator.offline("db", "migrate", exit_code=80)
    network.stop(2)
    assert operator.offline("db", "migrate", "--dry-run")["steps"] == []
    back = operator.offline("db", "migrate", "--to", 1)
    assert (back["from"], back["to"]) == (SCHEMA_VERSION, 1)
    assert len(back["steps"]) == SCHEMA_VERSION - 1
    dry = operator.offline("db", "migrate", "--dry-run")
    assert (dry["from"], dry["to"]) == (1, SCHEMA_VERSION)
    operator.offline("db", "migrate", "--undo", exit_code=10)
    restored = operator.offline("db", "migrate", "--undo", "--yes")["restored"]
    assert restored.endswith(f"schema-{SCHEMA_VERSION}")
    assert operator.offline("db", "migrate", "--forget", "--yes") == {"removed": 1}
    operator.offline("db", "migrate", "--undo", "--yes", exit_code=82)
    network.start(2)
    network.wait_ready(2)


def test_certificates_are_made_shown_and_watched(network: Cluster, tmp_path: Path) -> None:
    crt, key = tmp_path / "api.crt", tmp_path / "api.key"
    make = ("cert", "self-signed", "--host", "127.0.0.1", "--cert", crt, "--key", key)
    operator = Operator(network, 0)
    assert operator.run("cert", "show") == []
    first = operator.run(*make, "--days", 20)
    assert first["days_left"] in (19, 20)
    secret = key.read_bytes()
    assert key.stat().st_mode & 0o077 == 0
    assert operator.run("cert", "expiry", "--file", crt, "--within", "5d") == []
    near = operator.run("cert", "expiry", "--file", crt, "--within", "30d", exit_code=9)
    assert [row["subject"] for row in near] == ["CN=127.0.0.1"]
    operator.run(*make, "--days", 90)
    assert key.read_bytes() == secret, "a key that is there is used again"
    network.stop(0)
    configure(network, 0, f'tls_cert_file = "{crt}"', section="api")
    configure(network, 0, f'tls_key_file = "{key}"', section="api")
    network.start(0)
    network.wait_ready(0)
    secure = network.endpoint(0).replace("http:", "https:")
    authority = tmp_path / "ca.crt"
    authority.write_bytes(crt.read_bytes())
    words = ("--endpoint", secure, "--ca-file", authority, "--token-file", network.token_path)
    shown = json.loads(run(*words, "-o", "json", "cert", "show").stdout)
    assert [(row["name"], row["days_left"]) for row in shown] == [("api", 89)]
    operator.run(*make, "--days", 200)
    address = ("127.0.0.1", network.members[0].api_port)
    until(lambda: ssl.get_server_certificate(address) == crt.read_text(), "it looked")
    authority.write_bytes(crt.read_bytes())
    again = json.loads(run(*words, "-o", "json", "cert", "reload").stdout)
    assert again[0]["days_left"] == 199
    crt.write_text("broken")
    refused = run(*words, "-o", "json", "cert", "reload", exit_code=78)
    assert "certificate-refused" in refused.output
    assert json.loads(run(*words, "-o", "json", "cert", "show").stdout) == again
