"""Real processes and the memory of what they signed: killed at every step they start again,
given an older database they do not.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.check import check_ledger
from node.cli.cluster import Cluster
from node.cli.layout import CONFIG_NAME, KEY_NAME
from node.error_codes import Exit
from node.ledger.genesis import Parameters
from node.signing import stored_mark
from storage import mark as marks
from storage.mark import mark_path
from storage.store import Store
from tests.cluster.test_bad_starts import check, every_byte, refused
from tests.support import dying_node
from tests.support.hostile import genesis_of, keys_of
from tests.support.load import settle

pytestmark = pytest.mark.cluster


QUICK = Parameters(election_ms=500, heartbeat_ms=60, request_ms=800, view_change_ms=800)
both_engines = pytest.mark.parametrize("ledger", ["raft", "pbft"], indirect=True)


@pytest.fixture(scope="module")
def ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped one-member network with two blocks, and in ``copy`` its database after one."""
    engine = getattr(request, "param", "raft")
    directory = tmp_path_factory.mktemp(f"sign-state-{engine}") / "net"
    with Cluster.create(directory, members=1, engine=engine) as cluster:
        cluster.up()
        commit(cluster)
        cluster.stop(0)
        data = cluster.node_dir(0) / "data"
        shutil.copytree(data, directory / "copy")
        shutil.copy2(mark_of(cluster), directory / "copy.mark")
        cluster.up()
        commit(cluster)
        cluster.stop(0)
    return directory


@pytest.fixture
def net(ledger: Path, tmp_path: Path) -> Iterator[Cluster]:
    shutil.copytree(ledger, tmp_path / "net")
    with Cluster(tmp_path / "net") as cluster:
        yield cluster


def mark_of(net: Cluster) -> Path:
    return mark_path(net.node_dir(0) / KEY_NAME)


def data_of(net: Cluster) -> Path:
    return net.node_dir(0) / "data"


def commit(net: Cluster, *, wait_s: int = 20) -> None:
    body = {"commitment": secrets.token_hex(32), "tag": secrets.token_hex(16), "canon": 2}
    ops = {"ops": [{"kind": "record.anchor", "body": body}]}
    headers = {"Content-Type": "application/json", "Prefer": f"wait={wait_s}"}
    answer = net.client(0, timeout_s=30).request(
        "POST", "/v1/operations", body=json.dumps(ops).encode(), headers=headers
    )
    assert answer.json()["state"] == "committed"


def runs(net: Cluster, *, height: int) -> None:
    """Start it, let it commit one more block, stop it."""
    net.up()
    assert net.client(0).get("/v1/status")["height"] == height
    commit(net)
    assert net.stop(0)
    assert net.exit_code(0) == Exit.OK


def refused_as_it_is(net: Cluster, code: str, *words: str) -> None:
    """The start is refused; but for LevelDB's own rotation nothing has changed."""
    before = untouchable(net)
    refused(net, code, *words, "next: ", exit_code=Exit.SIGN_GUARD)
    assert untouchable(net) == before


def untouchable(net: Cluster) -> dict[str, str]:
    own = (f"{net.members[0].id}/data/kv", f"{net.members[0].id}/data/LOCK")
    return {name: seen for name, seen in every_byte(net).items() if not name.startswith(own)}


# --- a database that is not the newest ------------------------------------------------------


@both_engines
def test_an_older_copy_of_the_database_is_refused_and_the_newest_starts(net: Cluster) -> None:
    newest = data_of(net).rename(net.directory / "newest")
    shutil.copytree(net.directory / "copy", data_of(net))
    refused_as_it_is(net, "sign-state-behind", "node.key.mark", "height ")
    found = check(net)
    assert found.returncode == Exit.VERIFICATION_FAILED, found.stderr
    assert "sign-state-behind" in found.stdout
    shutil.rmtree(data_of(net))
    newest.rename(data_of(net))
    assert check(net).returncode == Exit.OK
    runs(net, height=2)


@both_engines
def test_a_wiped_directory_is_refused_and_not_made_anew(net: Cluster) -> None:
    shutil.rmtree(data_of(net))
    before = every_byte(net)
    refused(net, "sign-state-behind", "holds no ledger", exit_code=Exit.SIGN_GUARD)
    assert every_byte(net) == before, "an empty ledger would be in the way of the copy"


def test_a_lost_mark_is_refused(net: Cluster) -> None:
    kept = mark_of(net).rename(net.directory / "kept")
    refused_as_it_is(net, "sign-mark-missing", "node.key.mark")
    assert not mark_of(net).exists()
    kept.rename(mark_of(net))
    runs(net, height=2)


def test_an_old_mark_beside_the_newest_database_is_refused(net: Cluster) -> None:
    shutil.copy2(net.directory / "copy.mark", mark_of(net))
    refused_as_it_is(net, "sign-mark-behind")


def test_the_mark_of_another_network_is_refused(net: Cluster, tmp_path: Path) -> None:
    with Cluster.create(tmp_path / "other", members=1, engine=net.engine) as other:
        other.up()
        other.stop(0)
        shutil.copy2(mark_of(other), mark_of(net))
    refused_as_it_is(net, "sign-mark-foreign")


def test_a_damaged_mark_is_refused(net: Cluster) -> None:
    mark_of(net).write_bytes(bytes(mark_of(net).stat().st_size))
    refused_as_it_is(net, "sign-mark-damaged")


def test_one_key_serves_one_process_whatever_directory_it_has(
    net: Cluster, tmp_path: Path
) -> None:
    net.up()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(net.directory / "copy", elsewhere)
    command = [*net.command(0), "--set", f"node.data_dir={elsewhere}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
    assert ended.returncode == Exit.DATA_DIR_LOCKED, ended.stderr
    assert "key-in-use" in ended.stderr
    commit(net)
    net.stop(0)


# --- what a person may decide ---------------------------------------------------------------


def reset_mark(net: Cluster, *flags: str) -> subprocess.CompletedProcess[str]:
    config = str(net.node_dir(0) / CONFIG_NAME)
    command = [sys.executable, "-m", "node", "key", "reset-mark", "--config", config, *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)


def test_a_person_may_give_up_the_mark_for_an_older_database(net: Cluster) -> None:
    shutil.rmtree(data_of(net))
    shutil.copytree(net.directory / "copy", data_of(net))
    before = mark_of(net).read_bytes()
    asked = reset_mark(net)
    assert asked.returncode == Exit.NEEDS_YES, asked.stderr
    assert "height 2" in asked.stdout
    assert "height 1" in asked.stdout
    assert mark_of(net).read_bytes() == before
    refused(net, "sign-state-behind", exit_code=Exit.SIGN_GUARD)
    done = reset_mark(net, "--yes")
    assert done.returncode == Exit.OK, done.stderr
    runs(net, height=1)


def test_a_person_may_give_up_the_mark_of_a_lost_database(net: Cluster) -> None:
    shutil.rmtree(data_of(net))
    assert reset_mark(net, "--yes").returncode == Exit.OK
    assert not mark_of(net).exists()
    runs(net, height=0)


def test_nobody_gives_up_the_mark_of_a_running_node(net: Cluster) -> None:
    net.up()
    assert reset_mark(net, "--yes").returncode == Exit.DATA_DIR_LOCKED
    commit(net)
    net.stop(0)


# --- killed between every two steps ---------------------------------------------------------


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("engine", "members"), [("raft", 3), ("pbft", 4)])
def test_a_member_killed_at_any_step_comes_back_and_contradicts_nothing(
    engine: str, members: int, tmp_path: Path
) -> None:
    with Cluster.create(
        tmp_path / "net", members=members, engine=engine, params=QUICK
    ) as cluster:
        cluster.up()
        commit(cluster)
        victim = members - 1
        for count, step in enumerate(dying_node.STEPS, start=2):
            cluster.stop(victim)
            dies(cluster, victim, step, count)
            level = levels(cluster, victim)
            assert level == (1 if step == "mark" else 0), f"{step}: {level} turns unmarked"
            cluster.start(victim)
            cluster.wait_ready(victim)
            commit(cluster)
        top = settle(cluster)
        heads = [cluster.client(at).get(f"/v1/blocks/{top}") for at in range(members)]
        assert len({(head["log_root"], head["state_root"]) for head in heads}) == 1
        assert cluster.down() == members, "nobody was refused"
        for at in range(members):
            node = cluster.node_dir(at)
            report = check_ledger(node / "data", genesis_of(cluster), key_path=node / KEY_NAME)
            assert report.clean, list(report.findings)


def dies(cluster: Cluster, at: int, step: str, count: int) -> None:
    """Run the stopped member until it has killed itself; the others commit meanwhile."""
    program = str(Path(dying_node.__file__))
    root = str(Path(dying_node.__file__).parents[2])
    arguments = cluster.command(at)[3:]
    with subprocess.Popen(
        [sys.executable, program, step, str(count), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    ) as process:
        try:
            while process.poll() is None:
                commit(cluster)
        finally:
            process.kill()
        assert process.stderr is not None
        assert process.returncode == -signal.SIGKILL, process.stderr.read().decode()


def levels(cluster: Cluster, at: int) -> int:
    """Return how many synced turns of a dead member the mark has not seen."""
    genesis, keys, node = genesis_of(cluster), keys_of(cluster, at), cluster.node_dir(at)
    path = mark_path(node / KEY_NAME)
    marked = marks.read(path, network=genesis.network, key=keys.public.consensus)
    assert marked is not None
    with Store.open(node / "data", network=genesis.network) as store:
        return stored_mark(store).sequence - marked.sequence
