"""Networks of real node processes: made, started, killed, restarted, removed."""

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from node import config, keys, tokens
from node.cli.cluster import Cluster, free_ports
from node.cli.main import cli
from node.errors import ChartsealError
from node.ledger.checkpoint import Policy
from node.ledger.genesis import Genesis, Parameters


def _run(*arguments):
    return CliRunner().invoke(cli, [str(item) for item in arguments])


def _command(*arguments):
    """A process of its own, as in a shell: the nodes that it starts outlive it."""
    line = [sys.executable, "-m", "node", *(str(item) for item in arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=90, check=False)


def _refusal(call, *arguments, **named):
    with pytest.raises(ChartsealError) as caught:
        call(*arguments, **named)
    return caught.value


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("engine", "quorum"), [("pbft", 3), ("raft", 3)])
def test_a_cluster_is_a_network_whose_files_agree(tmp_path, engine, quorum):
    made = Cluster.create(tmp_path / "net", members=4, engine=engine)
    genesis = Genesis.decode(made.genesis_path.read_bytes())
    assert (genesis.engine, made.engine) == (engine, engine)
    assert [item.id for item in genesis.validators] == [item.id for item in made.members]
    policy = Policy.from_text(made.policy_path.read_text())
    assert (policy.network, policy.quorum) == (genesis.network, quorum)
    assert made.policy_path.read_text() == policy.to_text()
    seen = set()
    for at, member in enumerate(made.members):
        loaded = config.load(made.node_dir(at) / "config.toml", environment={})
        assert config.missing_files(loaded) == []
        assert loaded.network.genesis.resolve() == made.genesis_path
        assert set(loaded.peers) == {item.id for item in made.members} - {member.id}
        passphrase = keys.read_passphrase(loaded.keystore.passphrase_file, environment={})
        opened = keys.load(loaded.keystore.path, passphrase)
        founder = next(item for item in genesis.institutions if item.id == member.id)
        assert opened.public.identity == founder.identity_key
        assert opened.public.encryption == founder.encryption_key
        assert made.endpoint(at) == f"http://{loaded.api.listen}"
        assert made.ops_endpoint(at) == f"http://{loaded.ops.listen}"
        listens = (loaded.p2p.listen, loaded.api.listen, loaded.ops.listen)
        assert all(item.is_loopback for item in listens)
        seen |= {item.port for item in listens}
        for other, address in loaded.peers.items():
            port = next(item.p2p_port for item in made.members if item.id == other)
            assert address.port == port
    assert len(seen) == 12


def test_the_token_opens_every_node_and_its_file_keeps_only_a_hash(tmp_path):
    made = Cluster.create(tmp_path / "net", members=2)
    assert stat.S_IMODE(made.token_path.stat().st_mode) == 0o600
    for at in range(2):
        path = made.node_dir(at) / "tokens.jsonl"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert made.token.rpartition("_")[2] not in path.read_text()
        row = tokens.TokenFile(path).check(made.token, now_ms=1_800_000_000_000)
        assert row.scopes == frozenset(tokens.SCOPES)


def test_parameters_are_those_asked_for(tmp_path):
    params = Parameters(election_ms=300, heartbeat_ms=50)
    made = Cluster.create(tmp_path / "net", members=1, engine="raft", params=params)
    assert Genesis.decode(made.genesis_path.read_bytes()).parameters == params


def test_ids_sort_as_their_numbers_do(tmp_path):
    made = Cluster.create(tmp_path / "net", members=10)
    ids = [item.id for item in made.members]
    assert ids == sorted(ids)
    assert (ids[0], ids[-1]) == ("hosp01", "hosp10")


def test_create_refuses(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert _refusal(Cluster.create, tmp_path / "full").code == "exists-already"
    assert _refusal(Cluster.create, tmp_path / "a", members=0).code == "bad-request"
    assert _refusal(Cluster.create, tmp_path / "a", engine="paxos").code == "bad-request"
    assert _refusal(Cluster, tmp_path).code == "not-found"
    (tmp_path / "full" / "cluster.json").write_text("{}")
    assert _refusal(Cluster, tmp_path / "full").code == "config-invalid"


def test_ports_are_different_and_free():
    ports = free_ports(60)
    assert len(set(ports)) == 60
    assert all(10_240 <= port < 32_000 for port in ports)


# --- processes that end at once -------------------------------------------------------------


def _until_ended(cluster, at):
    error = _refusal(cluster.wait_ready, at, 60)
    assert error.code == "process-failed"
    return error, cluster.exit_code(at)


def test_a_bad_configuration_ends_the_daemon_with_78_and_says_so(tmp_path):
    with Cluster.create(tmp_path / "net", members=1) as cluster:
        path = cluster.node_dir(0) / "config.toml"
        path.write_text(path.read_text().replace("[ops]\n", "[ops]\nlisten2 = 1\n"))
        cluster.start(0)
        error, code = _until_ended(cluster, 0)
        assert code == 78
        assert "config-unknown-key" in error.detail
        assert "did you mean listen?" in cluster.log_tail(0)
        assert not cluster.alive(0)


def test_keys_that_cannot_be_unlocked_end_the_daemon_with_79(tmp_path):
    with Cluster.create(tmp_path / "net", members=1) as cluster:
        (cluster.node_dir(0) / "passphrase").write_text("not the one\n")
        cluster.start(0)
        error, code = _until_ended(cluster, 0)
        assert code == 79
        assert "keystore-passphrase-wrong" in error.detail
        assert "Traceback" not in cluster.log_path(0).read_text(), "a foreseen condition"
        (cluster.node_dir(0) / "node.key").chmod(0o644)
        cluster.start(0)
        error, code = _until_ended(cluster, 0)
        assert code == 79
        assert "chmod 600" in error.detail


def test_keys_of_another_institution_are_refused(tmp_path):
    with Cluster.create(tmp_path / "net", members=2) as cluster:
        for name in ("node.key", "passphrase"):
            (cluster.node_dir(1) / name).replace(cluster.node_dir(0) / name)
        cluster.start(0)
        error, code = _until_ended(cluster, 0)
        assert code == 79
        assert "keystore-mismatch" in error.detail


# --- running nodes --------------------------------------------------------------------------


@pytest.mark.cluster
def test_a_node_starts_is_killed_and_comes_back(tmp_path):
    with Cluster.create(tmp_path / "net", members=1) as cluster:
        assert (cluster.alive(0), cluster.pid(0), cluster.log_tail(0)) == (False, None, "")
        pid = cluster.start(0)
        assert cluster.start(0) == pid, "starting twice is one node"
        cluster.wait_ready(0, 60)
        assert cluster.alive(0)
        assert cluster.client(0).get("/v1/status")["node"] == "hosp1"
        # Another object, as another command would be, sees the same process.
        other = Cluster(cluster.directory)
        assert other.pid(0) == pid
        assert cluster.kill(0)
        assert not cluster.alive(0)
        assert not other.alive(0)
        assert cluster.exit_code(0) == -signal.SIGKILL
        assert not cluster.kill(0)
        assert cluster.restart(0) != pid
        cluster.wait_ready(0, 60)
        assert "node.start" in cluster.log_tail(0)
        assert cluster.stop(0)
        assert cluster.exit_code(0) == 0, "SIGTERM is an orderly end"
        assert not cluster.stop(0)


@pytest.mark.cluster
def test_two_daemons_never_share_a_data_directory(tmp_path):
    with Cluster.create(tmp_path / "net", members=1) as cluster:
        cluster.start(0)
        cluster.wait_ready(0, 60)
        second = subprocess.run(cluster.command(0), capture_output=True, text=True, timeout=60,
                                check=False)  # fmt: skip
        assert second.returncode == 80
        assert "data-dir-locked" in second.stderr


@pytest.mark.cluster
def test_a_taken_port_is_told(tmp_path):
    with Cluster.create(tmp_path / "net", members=2) as cluster:
        cluster.start(0)
        cluster.wait_ready(0, 60)
        port = cluster.members[0].ops_port
        command = [*cluster.command(1), "--set", f"ops.listen=127.0.0.1:{port}"]
        second = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False
        )
        assert second.returncode == 4
        assert "port-in-use" in second.stderr
        assert f"ops.listen 127.0.0.1:{port}" in second.stderr


@pytest.mark.cluster
def test_leaving_the_context_leaves_no_process(tmp_path):
    with Cluster.create(tmp_path / "net", members=1) as cluster:
        pid = cluster.start(0)
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_process_that_is_not_ours_is_never_touched(tmp_path):
    cluster = Cluster.create(tmp_path / "net", members=1)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        (cluster.node_dir(0) / "node.pid").write_text(f"{stranger.pid}\n")
        assert cluster.pid(0) is None
        assert not cluster.kill(0)
        assert cluster.down() == 0
        assert stranger.poll() is None
        stranger.communicate(b"\n", timeout=20)
    assert stranger.returncode == 0
    (cluster.node_dir(0) / "node.pid").write_text("garbage")
    assert cluster.pid(0) is None


# --- the command ----------------------------------------------------------------------------


@pytest.mark.cluster
def test_dev_cluster_from_init_to_clean(tmp_path):
    where = ["--dir", tmp_path / "net"]
    made = _command(
        "-o", "json", "dev", "cluster", "init", *where, "-n", 4, "--consensus", "raft"
    )
    assert made.returncode == 0, made.stderr
    shown = json.loads(made.stdout)
    assert list(shown) == ["directory", "engine", "nodes", "policy", "token_file"]
    assert (shown["engine"], shown["nodes"]) == ("raft", ["hosp1", "hosp2", "hosp3", "hosp4"])
    assert _command("dev", "cluster", "init", *where).returncode == 4
    down = _command("-o", "json", "dev", "cluster", "status", *where)
    assert down.returncode == 9
    assert {(row["pid"], row["ready"]) for row in json.loads(down.stdout)} == {(None, False)}
    try:
        up = _command("-o", "json", "dev", "cluster", "up", *where)
        assert up.returncode == 0, up.stderr
        rows = json.loads(up.stdout)
        assert all(
            list(row) == ["node", "pid", "ready", "height", "peers", "endpoint", "ops_endpoint"]
            for row in rows
        )
        assert all(row["ready"] and row["height"] is not None for row in rows)
        killed = _command("-o", "json", "dev", "cluster", "kill", *where, "hosp2", "3")
        assert [row["pid"] is None for row in json.loads(killed.stdout)] == [
            False, True, True, False,
        ]  # fmt: skip
        again = _command("dev", "cluster", "kill", *where, "hosp2")
        assert (again.stdout, again.stderr) == ("", "hosp2 was not running\n")
        status = _command("-o", "json", "dev", "cluster", "status", *where)
        assert status.returncode == 9
        alive = [row["node"] for row in json.loads(status.stdout) if row["pid"] is not None]
        assert alive == ["hosp1", "hosp4"]
        assert _command("dev", "cluster", "up", *where).returncode == 0
        logs = _command("dev", "cluster", "logs", *where, "hosp2", "-n", 1000)
        assert logs.stdout.count("node.start") == 2
        assert all(line.startswith("hosp2  ") for line in logs.stdout.splitlines())
        refused = _command("dev", "cluster", "clean", *where)
        assert (refused.returncode, "--yes" in refused.stderr) == (10, True)
        restarted = _command("-o", "json", "dev", "cluster", "restart", *where, "1")
        now = {row["node"]: row["pid"] for row in json.loads(restarted.stdout)}
        assert now["hosp1"] not in (None, rows[0]["pid"])
        assert now["hosp4"] == rows[3]["pid"], "the others run on"
        stopped = _command("-o", "json", "dev", "cluster", "down", *where)
        assert "stopped 4 nodes" in stopped.stderr
        assert {row["pid"] for row in json.loads(stopped.stdout)} == {None}
    finally:
        cleaned = _command("-o", "json", "dev", "cluster", "clean", *where, "--yes")
        assert cleaned.returncode == 0
    assert json.loads(cleaned.stdout) == {"deleted": str(tmp_path / "net")}
    assert not (tmp_path / "net").exists()


@pytest.mark.cluster
def test_a_shell_takes_address_and_token_from_env(tmp_path):
    directory = tmp_path / "a network"
    with Cluster.create(directory, members=1) as cluster:
        cluster.start(0)
        cluster.wait_ready(0, 60)
        chartseal = shlex.join([sys.executable, "-m", "node"])
        where = f"dev cluster env --dir {shlex.quote(str(directory))}"
        script = f'eval "$({chartseal} {where})"; exec {chartseal} -o json status'
        done = subprocess.run(
            ["/bin/sh", "-c", script], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["node"] == "hosp1"


def test_env_names_the_node_that_was_asked_for(tmp_path):
    made = Cluster.create(tmp_path / "two", members=2)
    for words, at in (((), 0), (("2",), 1), (("hosp2",), 1)):
        shown = _run("-o", "json", "dev", "cluster", "env", "--dir", tmp_path / "two", *words)
        assert json.loads(shown.stdout) == {
            "CHARTSEAL_ENDPOINT": made.endpoint(at),
            "CHARTSEAL_TOKEN_FILE": str(made.token_path),
        }
    refused = _run("dev", "cluster", "env", "--dir", tmp_path / "two", "hosp3")
    assert (refused.exit_code, refused.stdout) == (3, "")


def test_a_wrong_name_among_others_ends_nothing(tmp_path):
    cluster = Cluster.create(tmp_path / "two", members=2)
    where = ["--dir", tmp_path / "two"]
    refused = _run("dev", "cluster", "kill", *where, "hosp1", "hosp9")
    assert refused.exit_code == 3
    assert "was not running" not in refused.stderr
    assert not any(cluster.alive(at) for at in range(2))


def test_dev_cluster_refusals(tmp_path):
    where = ["--dir", tmp_path / "net"]
    for command in ("up", "down", "status", "env", "logs", "kill", "restart"):
        extra = ["hosp1"] if command == "kill" else []
        assert _run("dev", "cluster", command, *where, *extra).exit_code == 3
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "precious").touch()
    assert _run("dev", "cluster", "clean", *where, "--yes").exit_code == 3
    assert (tmp_path / "net" / "precious").exists()
    Cluster.create(tmp_path / "two", members=2)
    for name in ("hosp3", "0", "x"):
        result = _run("dev", "cluster", "kill", "--dir", tmp_path / "two", name)
        assert (result.exit_code, "there are hosp1, hosp2" in result.stderr) == (3, True)
    assert _run("dev", "cluster", "kill", "--dir", tmp_path / "two").exit_code == 2
    assert _run("dev", "cluster", "init", *where, "-n", 0).exit_code == 2
