"""member: the institutions as the ledger has them."""

import pytest

from tests.support.ledger_fixture import key
from tests.support.served_ledger import ServedLedger, run

KEYS = [
    "id", "name", "roles", "validator", "identity_key", "consensus_key", "cosigner_key",
    "encryption_key",
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
