"""What an operator asks of real processes: new reads, hand-overs, contradictions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from node.cli.cluster import Cluster
from node.cli.main import cli
from node.errors import Exit
from tests.support.hostile import metric
from tests.support.nodes import FAST

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("net") / "cluster"
    cluster = Cluster.create(directory, members=3, engine="raft", params=FAST)
    with cluster:
        for at in range(3):
            cluster.start(at)
        for at in range(3):
            cluster.wait_ready(at)
        yield cluster


def command(cluster: Cluster, at: int, *words: str, exit_code: int = 0) -> Any:
    """Run a command against member ``at``; return its JSON, or its stderr when it fails."""
    options = [
        "--endpoint",
        cluster.endpoint(at),
        "--token-file",
        str(cluster.directory / "admin.token"),
        "-o",
        "json",
    ]
    result = CliRunner().invoke(cli, [*options, *words])
    assert result.exit_code == exit_code, (result.output, result.exception)
    return json.loads(result.stdout) if exit_code == 0 else result.stderr


def ids(cluster: Cluster) -> list[str]:
    return [member.id for member in cluster.members]


def test_a_record_is_seen_through_every_member_at_once(net: Cluster, tmp_path: Path) -> None:
    for at in range(3):
        file = tmp_path / f"{at}.txt"
        file.write_text(f"record {at}")
        anchored = command(net, at, "record", "anchor", str(file))
        row = anchored[0] if isinstance(anchored, list) else anchored
        other = (at + 1) % 3
        found = command(net, other, "record", "get", row["commitment"], "--linearizable")
        assert found["status"] == "live"
        assert metric(net, other, "reads_total", result="served") >= 1


def test_leadership_goes_where_the_operator_says(net: Cluster) -> None:
    leader = command(net, 0, "status")["leader"]
    for target in [name for name in ids(net) if name != leader]:
        at = ids(net).index(target)
        shown = command(net, (at + 1) % 3, "member", "transfer", "--to", target)
        assert shown["leader"] == target
        assert command(net, at, "status")["leader"] == target
    refused = command(net, 0, "member", "transfer", "--to", target, exit_code=Exit.CONFLICT)
    assert "transfer-refused" in refused
    assert command(net, 0, "member", "evidence") == []


def test_a_leader_that_is_told_to_stop_leaves_no_gap(net: Cluster) -> None:
    leader = command(net, 0, "status")["leader"]
    at = ids(net).index(leader)
    other = (at + 1) % 3
    before = command(net, other, "status")["round"]
    net.stop(at)
    assert net.exit_code(at) == 0
    status = command(net, other, "status")
    assert status["leader"] in set(ids(net)) - {leader}
    assert status["round"] == before + 1, "one campaign, by request, and no time-out"
    net.start(at)
    net.wait_ready(at)
