"""A member whom nobody's configuration names joins by an invitation; the others reach it."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from node import config
from node.cli.cluster import free_ports
from node.cli.layout import CONFIG_NAME
from node.cli.main import cli
from node.settings import Address
from tests.support.nodes import Nodes, running, until
from tests.support.writers import check_clean, meet

pytestmark = pytest.mark.timeout(90)


def run(*words: Any) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


def unlist(nodes: Nodes, at: int) -> None:
    """Take the node out of everybody's configuration."""
    gone = f"{nodes[at].id} ="
    for node in nodes.nodes:
        path = nodes.cluster.node_dir(node.at) / CONFIG_NAME
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith(gone)))
        assert nodes[at].id not in config.load(path, environment={}).peers


async def test_nobody_writes_down_where_the_newcomer_is(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path / "net", members=4, founders=3, engine="raft")
    unlist(nodes, 3)
    newcomer, invitation = nodes[3], tmp_path / "invite.json"
    directory = nodes.cluster.node_dir(3)
    founder = nodes.cluster.node_dir(0) / CONFIG_NAME
    run("-q", "member", "invite", "--config", founder, "--out", invitation)
    # It joins afresh: only its invitation knows anything of the others.
    directory.rename(tmp_path / "unused")
    p2p, api, ops = (f"127.0.0.1:{port}" for port in free_ports(3))
    run(
        "-q", "join", invitation, "--id", newcomer.id, "--dir", directory, "--p2p", p2p,
        "--api-listen", api, "--ops-listen", ops, "--dev",
    )  # fmt: skip
    settings = config.load(directory / CONFIG_NAME, environment={})
    assert sorted(settings.peers) == [nodes[at].id for at in range(3)]
    try:
        for node in nodes.nodes[:3]:
            await node.start()
        await nodes.connected()
        await nodes[0].commit()
        await newcomer.start()  # before anybody knows it: it waits
        hands, founders = nodes.hands(), [0, 1, 2]
        await hands.register(founders, 3)
        await hands.admit(founders, 3)
        await until(lambda: newcomer.parts.roster.role == "voter", timeout_s=40)
        await nodes.connected()
        for node in nodes.nodes[:3]:
            at = node.parts.peers.addresses[newcomer.id]
            assert str(Address(*at)) == p2p
        await meet(nodes)
        await nodes[1].kill()
        for at in (0, 2, 3):
            await nodes[at].commit()
        await nodes[1].start()  # it knows the newcomer from its store
        await until(lambda: nodes[1].parts.peers.addresses.get(newcomer.id) is not None)
        await nodes.connected()
        await meet(nodes)
        await hands.decide([0, 1, 2, 3], remove=newcomer.id)
        for node in nodes.nodes[:3]:
            await until(lambda: newcomer.id not in node.parts.peers.addresses)  # noqa: B023
        assert not any(node.parts.peers.statistics.peer_faults for node in nodes.up)
    finally:
        for node in nodes.nodes:
            await node.stop()
    check_clean(nodes, 0, 1, 2)


async def test_a_restart_dials_where_it_was_told_before_anybody_speaks(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=3, engine="raft") as nodes:
        for node in nodes.nodes:
            await node.stop()
        unlist(nodes, 2)
        for node in nodes.nodes:
            await node.start()
        await nodes.connected()
        address = ("127.0.0.1", nodes.cluster.members[2].p2p_port)
        assert nodes[0].parts.peers.addresses[nodes[2].id] == address
        await nodes[2].stop()
        await nodes[0].stop()
        await nodes[0].start()
        assert nodes[0].parts.peers.addresses[nodes[2].id] == address


async def test_who_gives_the_address_of_another_harms_only_itself(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path / "net", members=3, engine="raft")
    unlist(nodes, 2)
    honest, liar = nodes[1], nodes[2]
    address = ("127.0.0.1", nodes.cluster.members[1].p2p_port)
    try:
        await nodes[0].start()
        await honest.start()
        await nodes.connected()
        await liar.start(("p2p.advertise", "{}:{}".format(*address)))
        peers = nodes[0].parts.peers
        await until(lambda: peers.addresses.get(liar.id) == address)
        await until(lambda: peers.statistics.dial_failures[liar.id] > 0)
        assert peers.addresses[honest.id] == address
        assert liar.id not in peers.statistics.sending_to, "nobody took its place"
        await nodes[0].commit()
        await honest.commit()
        assert nodes[0].parts.switchboard.connected() == [honest.id]
        assert not peers.statistics.peer_faults, "the honest one is not blamed"
    finally:
        for node in nodes.nodes:
            await node.stop()
