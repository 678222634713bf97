"""A member whose disk fills, on a real small file system: it refuses, ends, and comes back."""

import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.error import HTTPError

import pytest

from node.check import check_ledger
from node.cli.cluster import Cluster
from node.error_codes import Exit
from node.errors import ChartsealError
from node.ledger.genesis import Genesis, Parameters
from tests.support.hostile import configure, metric
from tests.support.life import commit, status, until
from tests.support.load import settle

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

MIB: Final = 1 << 20
QUICK: Final = Parameters(election_ms=500, heartbeat_ms=60)


class Disk:
    """A file system of 128 MiB in memory."""

    def __init__(self, where: Path) -> None:
        self.where = where
        where.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(where)]
        made = subprocess.run(command, check=False, capture_output=True, text=True)
        if made.returncode != 0:
            pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")

    @property
    def free(self) -> int:
        found = os.statvfs(self.where)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int) -> None:
        """Write until only ``leave`` bytes are free."""
        with (self.where / "filler").open("ab") as file:
            size = max(0, self.free - leave)
            if size:
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)

    def empty(self) -> None:
        (self.where / "filler").unlink()

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.where)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk")
    yield made
    made.close()


@pytest.fixture
def network(tmp_path: Path, disk: Disk) -> Iterator[Cluster]:
    made = Cluster.create(tmp_path / "net", members=3, engine="raft", params=QUICK)
    configure(made, 0, f'data_dir = "{disk.where / "data"}"', section="node")
    configure(made, 0, f"min_free_bytes = {16 * MIB}", section="storage")
    configure(made, 0, f"reserve_bytes = {40 * MIB}", section="storage")
    with made as cluster:
        cluster.up()
        yield cluster


def refusal(cluster: Cluster, at: int) -> HTTPError:
    """Return the whole answer of a refused write; clients wait as its header says."""
    request = urllib.request.Request(
        f"{cluster.endpoint(at)}/v1/operations",
        data=b"{",
        headers={
            "Authorization": f"Bearer {cluster.token}",
            "Content-Type": "application/json",
        },
    )
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    return refused.value


def test_a_full_disk_refuses_clients_ends_in_order_and_comes_back_by_itself(
    network: Cluster, disk: Disk
) -> None:
    commit(network, 0)
    until(lambda: metric(network, 0, "disk_reserve_bytes") == 40 * MIB, "the reserve is made")

    disk.fill(leave=8 * MIB)
    until(lambda: metric(network, 0, "disk_low") == 1, "it is low")
    with pytest.raises(ChartsealError, match="disk-full"):
        commit(network, 0)
    early = refusal(network, 0)
    assert (early.code, early.headers["Retry-After"]) == (507, "30"), "before its body is read"
    assert status(network, 0)["life"]["disk_low"] is True
    commit(network, 1)
    top = status(network, 1)["height"]
    until(lambda: status(network, 0)["height"] >= top, "it votes and executes on")
    network.ops_client(0).request("GET", "/readyz")
    disk.empty()
    until(lambda: metric(network, 0, "disk_low") == 0, "there is room again")
    commit(network, 0)

    disk.fill(leave=0)
    for _ in range(200):
        if not network.alive(0):
            break
        commit(network, 1)
    until(lambda: not network.alive(0), "it ends")
    assert network.exit_code(0) == Exit.DISK_FULL
    commit(network, 1)

    network.start(0)
    network.wait_ready(0, 60)
    assert "disk.reserve-released" in network.log_path(0).read_text()
    top = status(network, 1)["height"]
    until(lambda: status(network, 0)["height"] >= top, "it catches up in the reserve's room")
    network.kill(0)
    disk.fill(leave=0)
    network.start(0)
    until(lambda: not network.alive(0), "without room it does not start")
    assert network.exit_code(0) == Exit.DISK_FULL

    disk.empty()
    network.start(0)
    network.wait_ready(0, 60)
    commit(network, 0)
    until(lambda: metric(network, 0, "disk_reserve_bytes") == 40 * MIB, "the reserve is back")
    settle(network)
    network.down()
    genesis = Genesis.decode(network.genesis_path.read_bytes())
    report = check_ledger(disk.where / "data", genesis)
    assert report.clean, list(report.findings)
