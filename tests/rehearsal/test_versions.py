"""The software before versions and the present one in the same networks, as real processes.

The older one is a frozen package (``tests/frozen``), unpacked and run as it was.
"""

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from consensus import wire
from node.cli.cluster import Cluster
from node.cli.layout import CONFIG_NAME
from node.errors import ChartsealError
from node.ledger.genesis import Genesis
from storage import keys, migrate
from storage.level import LevelKV
from storage.schema import SCHEMA_VERSION, Schema
from tests.support.load import Load, settle
from tests.support.promises import promises_kept

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

ARCHIVE: Final = Path(__file__).parents[1] / "frozen" / "version-1.tar.xz"
MAKE: Final = """
import sys
from pathlib import Path
from node.cli.cluster import Cluster
Cluster.create(Path(sys.argv[1]), members=int(sys.argv[3]), engine=sys.argv[2])
"""


class Mixed(Cluster):
    """A network made by the frozen software; the nodes in ``old`` run it too."""

    frozen: Path
    old: set[int]

    def source(self, at: int) -> Path:
        return self.frozen if at in self.old else super().source(at)

    def replace(self, at: int) -> None:
        """Stop the node and start it again with the present software."""
        self.stop(at)
        self.old.discard(at)
        self.start(at)
        self.wait_ready(at)

    def schema(self, at: int) -> int:
        """Return the layout of a stopped node's directory."""
        kv = LevelKV(self.node_dir(at) / "data" / "kv", create=False)
        raw = kv.get(keys.SCHEMA)
        kv.close()
        assert raw is not None
        return wire.decode(Schema, raw, size_max=256).version


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("frozen")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(where, filter="data")
    return where


def mixed(frozen: Path, where: Path, engine: str, old: set[int], members: int) -> Mixed:
    made = where / "net"
    subprocess.run(
        [sys.executable, "-c", MAKE, str(made), engine, str(members)],
        check=True,
        cwd=where,
        env={**os.environ, "PYTHONPATH": str(frozen)},
    )
    cluster = Mixed(made)
    cluster.frozen, cluster.old = frozen, set(old)
    return cluster


def same_roots(cluster: Cluster) -> None:
    top = settle(cluster)
    heads = [cluster.client(at).get(f"/v1/blocks/{top}") for at in range(len(cluster.members))]
    assert len({(head["log_root"], head["state_root"]) for head in heads}) == 1


def spoken(cluster: Mixed, at: int) -> dict[str, int]:
    answer = cluster.client(at).get("/v1/versions")
    return {item["member"]: item["wire"] for item in answer["members"]}


@pytest.fixture(params=[("raft", 3, {0, 1}), ("pbft", 4, {0, 1})], ids=["raft", "pbft"])
def network(request: pytest.FixtureRequest, frozen: Path, tmp_path: Path) -> Iterator[Mixed]:
    engine, members, old = request.param
    with mixed(frozen, tmp_path, engine, old, members) as cluster:
        cluster.up()
        yield cluster


def test_older_and_present_members_order_together(network: Mixed) -> None:
    names = [member.id for member in network.members]
    with Load(network, writers=2) as load:
        load.wait_for(20)
    same_roots(network)
    for at in set(range(len(names))) - network.old:
        heard = spoken(network, at)
        assert set(heard) == set(names) - {names[at]}
        assert heard == {name: 1 if names.index(name) in network.old else 2 for name in heard}
    network.down()
    for at in range(len(names)):
        assert network.schema(at) == (1 if at in network.old else SCHEMA_VERSION)
    promises_kept(network, len(names) - 1, load)


@pytest.mark.parametrize(("engine", "members"), [("raft", 3), ("pbft", 4)])
def test_all_members_are_upgraded_one_after_the_other_under_load(
    frozen: Path, tmp_path: Path, engine: str, members: int
) -> None:
    everyone = range(members)
    with mixed(frozen, tmp_path, engine, set(everyone), members) as cluster:
        cluster.up()
        with Load(cluster, writers=2) as load:
            load.wait_for(10)
            for at in everyone:
                cluster.replace(at)
                load.wait_for(len(load.acknowledged) + 5)
        same_roots(cluster)
        assert {version for at in everyone for version in spoken(cluster, at).values()} == {2}
        assert cluster.down() == members
        for at in everyone:
            assert cluster.schema(at) == SCHEMA_VERSION
            snapshots = migrate.snapshots(cluster.node_dir(at) / "data")
            assert [path.name for path in snapshots] == ["schema-1"]
        promises_kept(cluster, 0, load)


def test_a_member_goes_back_to_the_older_software_by_one_command(
    frozen: Path, tmp_path: Path
) -> None:
    with mixed(frozen, tmp_path, "raft", {0, 1, 2}, 3) as cluster:
        cluster.up()
        with Load(cluster, writers=2) as load:
            load.wait_for(5)
            cluster.replace(2)
            load.wait_for(len(load.acknowledged) + 5)
            cluster.stop(2)
            cluster.old.add(2)
            cluster.start(2)
            with pytest.raises(ChartsealError, match="process-failed"):
                cluster.wait_ready(2)
            assert f"version {SCHEMA_VERSION}" in cluster.log_tail(2), "it says why"
            config = cluster.node_dir(2) / CONFIG_NAME
            command = ["db", "migrate", "--config", str(config), "--to", "1"]
            subprocess.run([sys.executable, "-m", "node", *command], check=True)
            cluster.start(2)
            cluster.wait_ready(2)
            load.wait_for(len(load.acknowledged) + 5)
        same_roots(cluster)
        cluster.down()
        genesis = Genesis.decode(cluster.genesis_path.read_bytes())
        migrate.migrate(cluster.node_dir(2) / "data", network=genesis.network)
        promises_kept(cluster, 2, load)
