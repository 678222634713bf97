"""tx: submit, get, wait, with the exit code of every outcome."""

import json

import pytest

from node.ledger.transaction import txid_of
from tests.support.ledger_fixture import key
from tests.support.served_ledger import ServedLedger, run

STATUS_KEYS = ["tx_id", "state", "code", "detail", "height", "leaf_index"]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with ServedLedger(tmp_path_factory.mktemp("node")) as served:
        yield served


@pytest.fixture
def signed(node, tmp_path):
    path = tmp_path / "tx.bin"
    path.write_bytes(node.call(node.ledger.sign))
    return path


def test_a_submitted_transaction_is_followed_to_its_block(node, signed):
    tx_id = txid_of(signed.read_bytes()).hex()
    first = node.json("tx", "submit", signed)
    assert list(first) == STATUS_KEYS
    assert first["tx_id"] == tx_id
    done = node.json("tx", "wait", tx_id)
    assert list(done) == STATUS_KEYS
    assert (done["state"], done["code"]) == ("committed", "applied")
    assert node.json("tx", "get", tx_id) == done
    assert node.json("tx", "submit", signed, "--wait") == done


def test_the_content_of_a_transaction(node, signed):
    done = node.json("tx", "submit", signed, "--wait")
    shown = node.json("tx", "get", done["tx_id"], "--content")
    assert list(shown) == ["tx_id", "state", "height", "transaction"]
    assert shown["transaction"]["ops"][0]["kind"] == "record.anchor"
    table = node.run("tx", "get", done["tx_id"], "--content").stdout
    assert "record.anchor" in table


def test_an_unknown_transaction_is_exit_3(node):
    result = node.run("-o", "json", "tx", "get", "ab" * 32, exit_code=3)
    assert json.loads(result.stdout)["state"] == "unknown"
    assert json.loads(result.stderr)["code"] == "not-found"


def test_waiting_in_vain_is_exit_7_with_the_next_step(node):
    result = node.run("tx", "wait", "ab" * 32, "--timeout", 0.3, exit_code=7)
    assert "timeout-outcome-unknown" in result.stderr
    assert f"next: chartseal tx wait {'ab' * 32}" in result.stderr


def test_a_rule_that_refuses_is_a_conflict(node, tmp_path):
    commitment = b"\x07" * 32
    first, second = tmp_path / "1", tmp_path / "2"
    for path in (first, second):
        path.write_bytes(node.call(lambda: node.ledger.sign(node.ledger.anchor(commitment))))
    node.run("tx", "submit", first, "--wait")
    result = node.run("-o", "json", "tx", "submit", second, "--wait", exit_code=4)
    assert json.loads(result.stdout)["state"] == "rejected"
    assert json.loads(result.stderr)["code"] == "record-exists"


def test_bytes_that_are_no_transaction_are_not_even_sent(node, tmp_path):
    path = tmp_path / "junk"
    path.write_bytes(b"junk")
    gone = ["--endpoint", "http://127.0.0.1:1"]
    assert "transaction-malformed" in run(*gone, "tx", "submit", path, exit_code=4).stderr
    path.write_bytes(bytes(70_000))
    assert "body-too-large" in run(*gone, "tx", "submit", path, exit_code=2).stderr


def test_a_wrong_signature_is_denied(node, tmp_path):
    path = tmp_path / "tx"
    path.write_bytes(node.call(lambda: node.ledger.sign(signer=key("stranger"))))
    assert "unknown-signer" in node.run("tx", "submit", path, exit_code=5).stderr


def test_without_a_token_it_is_denied_and_without_a_node_unreachable(node, signed):
    open_door = ["--endpoint", f"http://127.0.0.1:{node.port}"]
    assert "unauthorized" in run(*open_door, "tx", "submit", signed, exit_code=5).stderr
    gone = ["--endpoint", "http://127.0.0.1:1"]
    assert "node-unreachable" in run(*gone, "tx", "get", "ab" * 32, exit_code=6).stderr


def test_ids_that_are_none_are_usage_errors(node):
    for wrong in ("ab", "zz" * 32, "ab" * 33):
        node.run("tx", "get", wrong, exit_code=2)


def test_curl_of_every_command_masks_the_token(node, signed):
    for words in (("submit", signed), ("get", "ab" * 32), ("wait", "ab" * 32)):
        printed = node.run("tx", *words, "--curl").stdout
        assert printed.startswith("curl ")
        assert "Bearer ***" in printed
        assert node.token not in printed
