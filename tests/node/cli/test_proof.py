"""proof verify: files in, a verdict out; and key touched against a node."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from node.ledger import answers
from node.ledger.questions import network
from node.publish import policy_of
from node.queries import Queries
from tests.support.ledger import Chain, anchor, genesis
from tests.support.ledger_fixture import key
from tests.support.served_ledger import ServedLedger, run

KEYS = [
    "valid", "words", "question", "say", "params", "answer", "height", "time", "time_ms",
    "rows", "checkpoint_size", "origin", "epoch", "quorum", "signers",
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A policy, a proven answer of height 1 and one that somebody changed."""
    where = tmp_path_factory.mktemp("proof")
    with Chain(where / "data") as chain:
        chain.commit(chain.tx(anchor("a")))
        chain.commit()
        chain.certify()
        queries = Queries(chain.store, chain.book)
        answer = queries.prove("network.member", network.MemberParams("payer"), height=1)
        text = answers.to_json(answer)
        (where / "answer.json").write_text(text)
        assert '"payer"\n   ]' in text
        (where / "changed.json").write_text(text.replace('"payer"\n   ]', '"author"\n   ]'))
        (where / "policy.json").write_text(policy_of(chain.genesis).to_text())
    (where / "stranger.json").write_text(policy_of(genesis("pbft")).to_text())
    return where


def verify(files: Path, name: str, *more, exit_code=0, policy="policy.json"):
    return run(
        *more[:2], "proof", "verify", files / name, "--policy", files / policy, *more[2:],
        exit_code=exit_code,
    )  # fmt: skip


def test_each_check_is_told_in_a_plain_line_and_the_answer_is_shown(files):
    lines = verify(files, "answer.json").stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:7]] == [
        "ok    signers", "ok    log", "ok    height", "ok    time", "ok    state",
        "ok    answer", "valid",
    ]  # fmt: skip
    assert "4 of 4 members cosigned the log, 3 are needed" in lines[0]
    assert "at height 1 (2026-01-01T00:00:01.000Z)" in lines[6]
    assert "Which roles and keys does an institution have?" in lines
    assert any('"name": "Payer"' in line for line in lines)


def test_scripts_get_every_key_and_people_their_language(files):
    shown = json.loads(verify(files, "answer.json", "-o", "json").stdout)
    assert list(shown) == KEYS
    assert shown["answer"]["institution"]["roles"] == ["payer"]
    assert (shown["valid"], shown["height"], shown["rows"]) == (True, 1, 2)
    assert shown["params"] == {"org": "payer"}
    chinese = verify(files, "answer.json", "-o", "json", "--lang", "zh").stdout
    assert "高度 1" in json.loads(chinese)["words"]


def test_an_answer_that_proves_nothing_is_exit_8_with_the_stable_reason(files):
    changed = verify(files, "changed.json", exit_code=8)
    assert "verification-failed" in changed.stderr
    assert "answer-mismatch" in changed.stderr
    stranger = verify(files, "answer.json", policy="stranger.json", exit_code=8)
    assert "wrong-log" in stranger.stderr


@pytest.mark.parametrize("text", ["", "{}", "[]", "\x00", '{"format": "chartseal/answer/v1"}'])
def test_what_is_no_proven_answer_is_exit_8_too(files, tmp_path, text):
    (tmp_path / "file.json").write_text(text)
    result = run("proof", "verify", tmp_path / "file.json", "--policy", files / "policy.json",
                 exit_code=8)  # fmt: skip
    assert "proof-invalid" in result.stderr


def test_verification_opens_no_socket_and_no_ledger(files):
    """In a process of its own: what could reach a node or a ledger is never imported."""
    script = """
import sys
from node.cli.main import cli
try:
    cli(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
heavy = ("aiohttp", "plyvel", "asyncio", "node.daemon", "storage.store")
assert not [name for name in heavy if name in sys.modules]
"""
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script, "proof", "verify", str(files / "answer.json"),
         "--policy", str(files / "policy.json")],
        capture_output=True, text=True, check=False, cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "valid: Proven" in done.stdout


# --- key touched --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with ServedLedger(tmp_path_factory.mktemp("node")) as served:
        served.hold = True

        def fill():
            ledger = served.ledger
            for _ in range(3):
                ledger.commit(ledger.sign(), ledger.sign(), ledger.sign(org="birch"))

        served.call(fill)
        yield served


ALDER = key("alder identity").public_key.hex()


def test_everything_that_a_key_signed_is_listed_and_called_complete(node):
    shown = node.json("key", "touched", ALDER)
    assert (shown["key"], shown["complete"]) == (ALDER, True)
    assert (shown["from_height"], shown["looked_to"], shown["as_of_height"]) == (1, 3, 3)
    assert len(shown["transactions"]) == 6
    table = node.run("key", "touched", ALDER)
    assert len(table.stdout.splitlines()) == 7
    assert "complete, as of height 3" in table.stderr
    assert "2026-01-01T00:00:01.000Z" in table.stdout


def test_a_limit_stops_in_the_open(node):
    table = node.run("key", "touched", ALDER, "--limit", 3)
    assert len(table.stdout.splitlines()) == 4
    assert "NOT complete, go on with --cursor 2." in table.stderr
    cursor = node.json("key", "touched", ALDER, "--limit", 3)["next_cursor"]
    rest = node.json("key", "touched", ALDER, "--cursor", cursor)
    assert (len(rest["transactions"]), rest["complete"]) == (3, True)


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["--from", "2026-01-01T00:00:02Z"], 4),
        (["--from", "2026-01-01T08:00:02+08:00", "--until", "2026-01-01 00:00:03"], 2),
        (["--until", 1_767_225_601_000], 0),
    ],
)
def test_times_are_written_as_people_write_them(node, words, count):
    assert len(node.json("key", "touched", ALDER, *words)["transactions"]) == count


def test_a_time_that_is_none_is_a_usage_error(node):
    assert (
        "Unix milliseconds"
        in node.run("key", "touched", ALDER, "--from", "yesterday", exit_code=2).stderr
    )


def test_the_equivalent_curl_command_is_shown(node):
    shown = node.run("key", "touched", ALDER, "--curl").stdout
    assert f"/v1/keys/{ALDER}/touched?from_ms=0&limit=500" in shown
