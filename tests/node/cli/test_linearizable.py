"""--linearizable: the reading commands ask for it, and say so when it cannot be had."""

import pytest

from node.errors import Exit
from node.ledger import transaction
from tests.support.served_ledger import ServedLedger


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with ServedLedger(tmp_path_factory.mktemp("node")) as served:
        served.call(lambda: served.ledger.commit(served.ledger.sign()))
        yield served


@pytest.fixture(scope="module")
def commands(node):
    """The reading commands about what is on the ledger."""
    (raw,) = node.call(lambda: [tx.raw for tx in node.ledger.service.queries.transactions(1)])
    commitment = transaction.parse(raw).payload.ops[0].body[0].hex()
    tx_id = transaction.txid_of(raw).hex()
    return {
        "block list": ["block", "list"],
        "block get": ["block", "get", "latest"],
        "member evidence": ["member", "evidence"],
        "member list": ["member", "list"],
        "record get": ["record", "get", commitment],
        "record get --tag": ["record", "get", "--tag", bytes(16).hex()],
        "tx get": ["tx", "get", tx_id],
        "tx get --content": ["tx", "get", tx_id, "--content"],
        "receipt get": ["receipt", "get", tx_id],
    }


def test_without_it_nobody_else_is_asked(node, commands):
    before = node.ledger.reads.served
    for command in commands.values():
        node.run(*command)
    assert node.ledger.reads.served == before


def test_every_reading_command_asks_for_it(node, commands):
    for name, command in commands.items():
        before = node.ledger.reads.served
        node.run(*command, "--linearizable")
        assert node.ledger.reads.served > before, name
        printed = node.run(*command, "--linearizable", "--curl").stdout
        assert "consistency=linearizable" in printed


def test_a_node_that_cannot_tell_says_so(node, commands):
    node.ledger.leads = False
    try:
        for command in commands.values():
            result = node.run(*command, "--linearizable", exit_code=Exit.NO_QUORUM)
            assert "read-unavailable" in result.stderr
            node.run(*command)
    finally:
        node.ledger.leads = True
