"""Proofs of later eras on the command line: the founders' policy, a lineage, nothing else."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from node.ledger import lineage
from node.ledger import receipt as receipts
from node.ledger.lineage import Lineage
from tests.support.eras import lived
from tests.support.served_ledger import ServedLedger, run

LIVED = lived()
LINKS = tuple(LIVED.links)
VECTORS = Path(__file__).parents[2] / "vectors"


@pytest.fixture
def files(tmp_path):
    """What an auditor may have: two starts, a lineage, receipts of today with and without."""
    bare = LIVED.receipt(LIVED.height)
    for name, raw in (
        ("policy.json", LIVED.policy(0).to_text().encode()),
        ("today.json", LIVED.policy(5).to_text().encode()),
        ("genesis.bin", LIVED.genesis.encode()),
        ("lineage.json", lineage.to_json(Lineage(LINKS)).encode()),
        ("lineage.bin", lineage.encode(Lineage(LINKS))),
        ("bare.tlog-proof", receipts.to_text(bare)),
        ("full.tlog-proof", receipts.to_text(replace(bare, lineage=LINKS))),
        ("full.json", receipts.to_json(replace(bare, lineage=LINKS)).encode()),
    ):
        (tmp_path / name).write_bytes(raw)
    return tmp_path


def verify(files, receipt, start, *more, exit_code=0):
    given = ("receipt", "verify", files / receipt, "--policy", files / start, *more)
    return run("-o", "json", *given, exit_code=exit_code)


@pytest.mark.parametrize("start", ["policy.json", "genesis.bin"])
@pytest.mark.parametrize("receipt", ["full.tlog-proof", "full.json"])
def test_a_receipt_that_carries_its_lineage_needs_the_founders_only(files, receipt, start):
    shown = json.loads(verify(files, receipt, start).stdout)
    assert (shown["valid"], shown["epoch"], shown["quorum"]) == (True, 5, 2)
    assert shown["signers"] == ["dogwood", "elm", "fir"]


@pytest.mark.parametrize("form", ["lineage.json", "lineage.bin"])
def test_a_receipt_without_one_takes_it_from_a_file(files, form):
    shown = json.loads(
        verify(files, "bare.tlog-proof", "policy.json", "--lineage", files / form).stdout
    )
    assert shown["epoch"] == 5


def test_a_receipt_without_any_says_what_is_missing(files):
    refused = verify(files, "bare.tlog-proof", "policy.json", exit_code=8)
    problem = json.loads(refused.stderr)
    assert problem["detail"].startswith("quorum-missing")
    assert "--lineage" in problem["hint"]
    today = json.loads(verify(files, "bare.tlog-proof", "today.json").stdout)
    assert (today["epoch"], today["quorum"]) == (None, 2)


def test_each_check_is_told_in_a_plain_line(files):
    given = ("receipt", "verify", files / "full.tlog-proof", "--policy", files / "policy.json")
    lines = run(*given).stdout.splitlines()
    assert lines[0] == (
        "ok    signers: 3 of 3 members cosigned the log, 2 are needed: dogwood, elm, fir"
    )
    assert lines[1] == "ok    lineage: they are the members of epoch 5, proven link by link"


def test_a_lineage_that_does_not_hold_is_exit_8_with_both_reasons(files):
    forged = (*LINKS[:1], *LINKS[2:])
    spoiled = replace(LIVED.receipt(LIVED.height), lineage=forged)
    (files / "r").write_bytes(receipts.to_text(spoiled))
    refused = json.loads(verify(files, "r", "policy.json", exit_code=8).stderr)
    assert refused["detail"].startswith("lineage-invalid: epoch-order: link to epoch 3")
    (files / "l").write_text(lineage.to_json(Lineage(forged)))
    extra = ("--lineage", files / "l")
    refused = json.loads(
        verify(files, "bare.tlog-proof", "policy.json", *extra, exit_code=8).stderr
    )
    assert refused["detail"].startswith("lineage: epoch-order: link to epoch 3")


def test_files_that_are_something_else_are_named(files):
    (files / "junk").write_bytes(b"junk")
    for more, code in (
        (("full.json", "junk"), "policy-invalid"),
        (("full.json", "lineage.json"), "policy-invalid"),
        (("full.json", "policy.json", "--lineage", files / "junk"), "lineage-invalid"),
        (("full.json", "policy.json", "--lineage", files / "policy.json"), "lineage-invalid"),
    ):
        assert code in verify(files, *more, exit_code=78).stderr


def test_the_verifier_stands_alone(files):
    """No node, no network, no data directory, an empty environment."""
    done = subprocess.run(
        [sys.executable, "-m", "node", "receipt", "verify", "full.tlog-proof", "--policy",
         "genesis.bin"],
        cwd=files, env={"PYTHONPATH": str(VECTORS.parents[1]), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "members of epoch 5" in done.stdout


# --- network lineage ----------------------------------------------------------------------


def test_eras_are_listed_and_proven_from_a_file(files):
    asked = ("network", "lineage", "--file", files / "lineage.json")
    rows = json.loads(run("-o", "json", *asked, "--verify", files / "genesis.bin").stdout)
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert [row["engine"] for row in rows] == ["raft", "raft", "pbft", "pbft", "raft", "raft"]
    assert [row["quorum"] for row in rows] == [2, 3, 3, 4, 3, 2]
    assert [row["from_height"] for row in rows] == [era.from_height for era in LIVED.eras]
    assert rows[-1]["members"] == ["dogwood", "elm", "fir"]
    assert rows[-1]["log_size"] is None
    by_policy = json.loads(run("-o", "json", *asked, "--verify", files / "policy.json").stdout)
    assert by_policy[1:] == rows[1:]
    assert (by_policy[0]["epoch"], by_policy[0]["engine"]) == (0, None)
    claimed = run("-o", "json", *asked)
    assert json.loads(claimed.stdout) == rows[1:]
    assert "not verified" in claimed.stderr


def test_a_lineage_of_another_start_is_exit_8(files):
    (files / "other.json").write_bytes((VECTORS / "policy.json").read_bytes())
    asked = ("network", "lineage", "--file", files / "lineage.json")
    refused = run(*asked, "--verify", files / "other.json", exit_code=8)
    assert "wrong-log" in refused.stderr
    assert (
        "lineage-invalid"
        in run("network", "lineage", "--file", files / "policy.json", exit_code=78).stderr
    )


def test_a_node_gives_its_lineage_and_the_file_is_kept(files, tmp_path_factory):
    with ServedLedger(tmp_path_factory.mktemp("node")) as served:
        assert served.json("network", "lineage") == []
        text = (files / "lineage.json").read_text()
        served.call(lambda: setattr(served.ledger.service, "lineage", lambda: text))
        kept = files / "kept.json"
        said = served.run(
            "network", "lineage", "--verify", files / "policy.json", "--out", kept
        )
        assert "holds: 6 eras" in said.stderr
        assert kept.read_text() == text
        assert (
            "exists-already"
            in served.run("network", "lineage", "--out", kept, exit_code=4).stderr
        )
        curl = served.run("network", "lineage", "--curl").stdout
        assert "/v1/lineage" in curl
