"""Members that lost their ledger, or got an old one back, return without anybody's help.

Whatever they had signed under their voting keys, nothing is signed under those again: they are
retired, and the ledger takes new ones.  Real processes, under load.
"""

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.chaos import judge
from node.chaos.clients import Clients, Registers
from node.chaos.faults import wipe
from node.chaos.runner import founded
from node.chaos.wires import Wires
from node.chaos.world import World
from node.cli.client import Client
from node.cli.cluster import Cluster, free_ports
from node.cli.layout import CONFIG_NAME, KEY_NAME
from node.errors import ChartsealError
from node.keys import load_public
from storage.mark import mark_path

pytestmark = pytest.mark.cluster


@contextmanager
def network(directory: Path, *, engine: str, voters: int) -> Iterator[World]:
    cluster = founded(directory, engine=engine, voters=voters, spares=0)
    with cluster, Wires(cluster) as wires:
        cluster.up(timeout=120)
        yield World(cluster, wires, voters=voters)
        cluster.down()


def consensus_key(world: World, at: int) -> bytes:
    return load_public(world.cluster.node_dir(at) / KEY_NAME)[1].consensus


@pytest.mark.timeout(420)
def test_two_of_seven_are_wiped_one_after_the_other_under_load(tmp_path: Path) -> None:
    with network(tmp_path / "net", engine="pbft", voters=7) as world:
        before = [consensus_key(world, at) for at in (0, 5)]
        registers = Registers(world.cluster, count=3)
        with Clients(registers, clients=4, seed=7):
            for at in (0, 5):
                with wipe(world, at, random.Random(at)):
                    registers.wait_for(20)
                world.whole()
            registers.wait_for(20)
        assert [consensus_key(world, at) for at in (0, 5)] != before
        verdicts = [
            judge.roots(world.level(), map(world.name, world.nodes)),
            judge.acknowledged(world, registers.acknowledged),
            judge.history(0, registers.history),
        ]
        assert [item for item in verdicts if not item.held] == []


class Twin:
    """The node ``at`` once more, from a copy of its files, at an address of its own."""

    def __init__(self, cluster: Cluster, at: int, directory: Path, *, data: Path) -> None:
        mine = cluster.members[at]
        self.directory = directory
        shutil.copytree(cluster.node_dir(at), directory, ignore=_no_data)
        shutil.copytree(data, directory / "data")
        # A restored machine has the key from the safe, and no mark: that was never backed up.
        mark_path(directory / KEY_NAME).unlink()
        self.p2p, self.api, self.ops = free_ports(3)
        path = directory / CONFIG_NAME
        text = path.read_text().replace("../genesis.bin", str(cluster.genesis_path))
        for old, new in (
            (mine.p2p_port, self.p2p),
            (mine.api_port, self.api),
            (mine.ops_port, self.ops),
        ):
            assert f"127.0.0.1:{old}" in text
            text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
        path.write_text(text)
        with (directory / "node.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "node", "run", "--config", str(path)],
                stdout=log,
                stderr=log,
                cwd=directory,
            )

    def role(self, token: str) -> str | None:
        client = Client(f"http://127.0.0.1:{self.api}", token=token, timeout_s=3)
        try:
            return str(client.get("/v1/status")["engine"]["role"])
        except ChartsealError:
            return None


def _no_data(_directory: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "data"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("engine", "voters"), [("pbft", 4), ("raft", 3)])
def test_a_restored_member_and_its_twin_never_vote_against_each_other(
    engine: str, voters: int, tmp_path: Path
) -> None:
    last = voters - 1
    with network(tmp_path / "net", engine=engine, voters=voters) as world:
        cluster = world.cluster
        registers = Registers(cluster, count=3)
        with Clients(registers, clients=3, seed=3, nodes=range(last)):
            registers.wait_for(20)
            cluster.stop(last)
            copy = tmp_path / "copy"
            shutil.copytree(cluster.node_dir(last) / "data", copy)
            world.start(last)
            registers.wait_for(30)
            # The old machine still runs and talks; the others now find the new one.
            twin = Twin(cluster, last, tmp_path / "twin", data=copy)
            try:
                world.wires.redirect(last, twin.p2p)
                world.until(
                    lambda: twin.role(cluster.token) not in (None, "observer"),
                    "the twin to vote",
                    patience_s=120,
                )
                registers.wait_for(30)
                key = load_public(twin.directory / KEY_NAME)[1].consensus
                assert key != consensus_key(world, last)
            finally:
                twin.process.kill()
                twin.process.wait()
        for at in range(last):
            found = cluster.client(at).get("/v1/status")
            assert found["contradictions"] == 0
            assert cluster.client(at).get("/v1/evidence")["evidence"] == []
        assert judge.history(0, registers.history).held
