"""receipt: fetched from a node, verified with nothing but files."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from node.ledger import receipt as receipts
from tests.support.served_ledger import ServedLedger, run
from tests.vectors import make_ledger as maker

VECTORS = Path(__file__).parents[2] / "vectors"
KEYS = [
    "valid", "tx_id", "outcome", "code", "height", "time", "time_ms", "leaf_index",
    "checkpoint_size", "origin", "epoch", "quorum", "signers", "commitment", "record",
]  # fmt: skip


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with ServedLedger(tmp_path_factory.mktemp("node")) as served:
        yield served


@pytest.fixture
def anchored(node, tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"resourceType":"Patient","name":"Schmidt-Oyelaran"}')
    return path, node.json("record", "anchor", path)


def _golden(*extra, exit_code=0):
    return run("receipt", "verify", *extra, "--policy", VECTORS / "policy.json",
               exit_code=exit_code)  # fmt: skip


def test_each_check_of_a_golden_receipt_is_told_in_a_plain_line():
    lines = _golden(VECTORS / "receipt.tlog-proof").stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "ok    signers", "ok    log", "ok    inclusion", "ok    height", "ok    time",
        "ok    outcome", "ok    record", "valid",
    ]  # fmt: skip
    assert "4 of 4 members cosigned the log, 3 are needed: alder, birch, cedar" in lines[0]
    assert "2026-01-01T00:00:00.003Z" in lines[4]
    assert "number 3 of 5" in lines[6]


@pytest.mark.parametrize("name", ["receipt.tlog-proof", "receipt.json"])
def test_both_forms_give_the_same_golden_json(name):
    policy = VECTORS / "policy.json"
    shown = json.loads(
        run("-o", "json", "receipt", "verify", VECTORS / name, "--policy", policy).stdout
    )
    assert list(shown) == KEYS
    assert shown["signers"] == list(maker.MEMBERS)
    assert (shown["valid"], shown["height"], shown["code"], shown["leaf_index"]) == (
        True,
        2,
        7,
        5,
    )
    assert shown["time"] == "2026-01-01T00:00:00.003Z"
    assert shown["record"] is None


def test_a_receipt_that_proves_nothing_is_exit_8_with_the_stable_reason(tmp_path):
    good = maker.golden_receipt()
    for spoiled, reason in (
        (replace(good, code=0), "result-mismatch"),
        (replace(good, leaf_index=4), "inclusion-mismatch"),
        (
            replace(good, checkpoint=good.checkpoint.replace(b"\n9\n", b"\n8\n")),
            "quorum-missing",
        ),
    ):
        path = tmp_path / "r"
        path.write_bytes(receipts.to_text(spoiled))
        result = _golden(path, exit_code=8)
        assert f"verification-failed\n  {reason}:" in result.stderr
        assert result.stdout == ""


def test_files_that_are_no_receipt_or_no_policy_say_so(tmp_path):
    junk = tmp_path / "junk"
    junk.write_bytes(b"\xff{")
    assert "receipt-invalid" in _golden(junk, exit_code=8).stderr
    assert "file-unreadable" in _golden(tmp_path / "none", exit_code=3).stderr
    bad = run("receipt", "verify", VECTORS / "receipt.json", "--policy", junk, exit_code=78)
    assert "policy-invalid" in bad.stderr


def test_fetched_receipts_verify_as_text_and_json_with_the_record(node, anchored, tmp_path):
    path, row = anchored
    policy = tmp_path / "policy.json"
    assert node.run("receipt", "policy", "--out", policy).stdout == ""
    for form in ("text", "json"):
        out = tmp_path / f"receipt.{form}"
        node.run("receipt", "get", row["tx_id"], "--format", form, "--out", out)
        shown = json.loads(run("-o", "json", "receipt", "verify", out, "--policy", policy,
                               "--record", path).stdout)  # fmt: skip
        assert list(shown) == KEYS
        assert (shown["tx_id"], shown["outcome"]) == (row["tx_id"], "applied")
        assert shown["record"]["verdict"] == "exact"
    said = run("receipt", "verify", out, "--policy", policy, "--record", path).stdout
    assert "unchanged to the last byte" in said
    path.write_text("{}")
    shown = run("-o", "json", "receipt", "verify", out, "--policy", policy, "--record", path,
                exit_code=8).stdout  # fmt: skip
    assert json.loads(shown)["record"]["verdict"] == "altered"
    assert (
        "exists-already"
        in node.run("receipt", "get", row["tx_id"], "--out", out, exit_code=4).stderr
    )


def test_receipts_go_to_stdout_exactly(node, anchored):
    text = node.run("receipt", "get", anchored[1]["tx_id"]).stdout
    assert receipts.to_text(receipts.from_text(text.encode())).decode() == text


def test_an_item_of_a_batch_has_its_own_receipt(node, tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text(str(number))
    rows = node.json("record", "anchor", folder)
    text = node.run("receipt", "get", rows[1]["tx_id"], "--commitment", rows[1]["commitment"])
    item = receipts.from_text(text.stdout.encode()).item
    assert item is not None
    assert (item.commitment.hex(), item.index, item.count) == (rows[1]["commitment"], 1, 3)
    node.run("receipt", "get", rows[1]["tx_id"], "--commitment", "00" * 32, exit_code=3)


def test_before_a_quorum_cosigned_it_is_pending(node, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x")
    node.certified = False
    try:
        row = node.json("record", "anchor", path)
        result = node.run("receipt", "get", row["tx_id"], "--wait", 0, exit_code=3)
        assert "receipt-pending" in result.stderr
        (tmp_path / "b.txt").write_text("x")
        late = node.run("-o", "json", "record", "anchor", tmp_path / "b.txt")
        assert json.loads(late.stdout)["state"] == "committed"
    finally:
        node.certified = True
    node.call(node.ledger.certify)
    node.run("receipt", "get", row["tx_id"])


def test_the_wrong_policy_is_the_wrong_log(node, anchored, tmp_path):
    out = tmp_path / "r"
    node.run("receipt", "get", anchored[1]["tx_id"], "--out", out)
    assert "wrong-log" in _golden(out, exit_code=8).stderr


def test_curl_shows_the_request(node):
    printed = node.run("receipt", "get", "ab" * 32, "--curl").stdout
    assert "Accept: text/plain" in printed
    assert f"/v1/transactions/{'ab' * 32}/receipt?wait=10" in printed
    assert node.token not in printed


def test_verification_stands_alone_as_a_process(tmp_path):
    """An empty directory, no configuration, no node: files are enough; nothing is imported
    that could reach a network or a database."""
    code = (
        "import sys; from node.cli.main import cli\n"
        f"try: cli(['receipt', 'verify', {str(VECTORS / 'receipt.tlog-proof')!r}, "
        f"'--policy', {str(VECTORS / 'policy.json')!r}])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = ('aiohttp', 'plyvel', 'asyncio', 'node.daemon')\n"
        "bad = [name for name in heavy if name in sys.modules]\n"
        "assert not bad, bad\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("valid: ")
    assert list(tmp_path.iterdir()) == []
