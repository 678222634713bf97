"""member: the institutions as the ledger has them."""

import pytest

from tests.node.http.test_evidence import votes
from tests.support.ledger_fixture import key
from tests.support.served_ledger import ServedLedger, run

KEYS = [
    "id", "name", "roles", "validator", "identity_key", "consensus_key", "cosigner_key",
    "encryption_key",
]  # fmt: skip

EVIDENCE = [
    "member", "kind", "epoch", "round", "height", "reporter", "recorded_height", "time",
    "tx_id",
]  # fmt: skip


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with ServedLedger(tmp_path_factory.mktemp("node")) as served:
        yield served


def test_every_institution_with_every_key(node):
    rows = node.json("member", "list")
    assert [list(row) for row in rows] == [KEYS] * 4
    assert [(row["id"], row["validator"]) for row in rows] == [
        ("alder", True), ("birch", True), ("cedar", True), ("payer", False),
    ]  # fmt: skip
    assert rows[0]["identity_key"] == key("alder identity").public_key.hex()


def test_people_get_a_table_and_the_quorum_beside_it(node):
    result = node.run("member", "list")
    assert result.stdout.splitlines()[0].split() == [
        "ID",
        "NAME",
        "ROLES",
        "VALIDATOR",
        "IDENTITY_KEY",
    ]
    assert "network fixture (raft), quorum 2 of 3 validators" in result.stderr
    assert node.run("-q", "member", "list").stderr == ""


def test_a_token_is_needed_and_curl_masks_it(node):
    run("--endpoint", f"http://127.0.0.1:{node.port}", "member", "list", exit_code=5)
    printed = node.run("member", "list", "--curl").stdout
    assert printed.endswith(f"http://127.0.0.1:{node.port}/v1/members\n")
    assert node.token not in printed


def test_contradictions_of_members(node):
    assert node.json("member", "evidence") == []
    ledger = node.ledger

    def report():
        ops = [votes(ledger, 1), votes(ledger, 2, member="cedar")]
        ledger.commit(*[ledger.sign(op) for op in ops])

    node.call(report)
    rows = node.json("member", "evidence")
    assert [list(row) for row in rows] == [EVIDENCE] * 2
    assert [(row["member"], row["kind"], row["round"]) for row in rows] == [
        ("birch", "prepare", 1), ("cedar", "prepare", 2),
    ]  # fmt: skip
    assert node.json("member", "evidence", "--member", "cedar") == rows[1:]
    assert "birch" in node.run("member", "evidence").stdout
    node.run("tx", "get", "--content", rows[0]["tx_id"])
