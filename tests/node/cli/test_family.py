"""Every operation and every question has its command, and the commands do what they say."""

import json
import time
from pathlib import Path
from typing import Any

import click
import pytest

from node.cli.family import FAMILIES
from node.cli.fields import number_of
from node.cli.main import cli
from node.ledger.registry import OPERATIONS, QUESTIONS
from tests.support.manual import facts
from tests.support.served_ledger import ServedLedger, run

FOR_NODES_ONLY = {"evidence.votes", "evidence.heads"}  # members report what they saw


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory):
    with ServedLedger(tmp_path_factory.mktemp("node")) as served:
        yield served


def words() -> dict[str, click.Command]:
    return {".".join(path): command for path, command in facts.commands()}


def test_every_operation_and_every_question_has_its_command() -> None:
    names = {*OPERATIONS, *QUESTIONS} - FOR_NODES_ONLY
    assert sorted(names - words().keys()) == []
    assert {name.partition(".")[0] for name in names} - {"record"} <= set(FAMILIES)
    assert set(FAMILIES) <= set(cli.list_commands(click.Context(cli)))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0), ("1500", 1500), ("now", 10_000_000_000), ("72h", 259_200_000),
        ("+30d", 10_000_000_000 + 2_592_000_000), ("-1min", 9_999_940_000),
        ("2026-03-01T08:00Z", 1_772_352_000_000), ("2026-03-01", 1_772_323_200_000),
        ("1.5", None), ("soon", None), ("3 d", None), ("", None),
    ],
)  # fmt: skip
def test_numbers_and_times_as_people_write_them(text: str, number: int | None) -> None:
    assert number_of(text, now_ms=10_000_000_000) == number


def bound(node: ServedLedger, tmp_path: Path) -> tuple[str, Path]:
    """Return a subject that was bound by command, and its key file."""
    key = tmp_path / "anna.key"
    keys = json.loads(run("-o", "json", "person", "new", key).stdout)
    done = node.json(
        "identity", "patient", "bind", "--subject", "new", "--sign-key", keys["sign_key"],
        "--seal-key", keys["seal_key"], "--level", 3, "--cosign", key,
    )  # fmt: skip
    assert (done["state"], done["code"]) == ("committed", "applied")
    return done["subject"], key


def test_an_operation_with_a_co_signer_and_the_question_about_it(
    node: ServedLedger, tmp_path: Path
) -> None:
    subject, _ = bound(node, tmp_path)
    shown = node.json("identity", "patient", "bound", "--subject", subject)
    assert shown["question"] == "identity.patient.bound"
    assert shown["answer"]["known"] is True
    table = node.run("identity", "patient", "bound", "--subject", subject)
    assert "known: yes" in table.stdout
    assert f"as of height {shown['height']}" in table.stderr


def test_without_the_patient_the_rule_refuses_with_its_own_code(node: ServedLedger) -> None:
    result = node.run(
        "identity", "patient", "bind", "--subject", "new", "--sign-key", "ab" * 32,
        "--seal-key", "cd" * 32, "--level", 3, exit_code=4,
    )  # fmt: skip
    assert "identity-" in result.stderr


def test_a_signer_elsewhere_sees_what_it_signs_before_it_does(
    node: ServedLedger, tmp_path: Path
) -> None:
    subject, key = bound(node, tmp_path)
    public = json.loads(run("-o", "json", "person", "show", key).stdout)["sign_key"]
    end = ("identity", "patient", "end", "--subject", subject)
    prepared = tmp_path / "prepared.json"
    prepared.write_text(json.dumps(node.json(*end, "--prepare", public)))
    refused = run("person", "sign", prepared, "--key", key, exit_code=10)
    assert "identity.patient.end" in refused.stderr
    assert subject in refused.stderr
    signed = json.loads(
        run("-o", "json", "person", "sign", prepared, "--key", key, "--yes").stdout
    )
    text = f"{signed['key']}:{signed['signature']}"
    done = node.json("tx", "cosigned", prepared, "--signature", text)
    assert done["state"] == "committed"
    answer = node.json("identity", "patient", "bound", "--subject", subject)["answer"]
    assert (answer["known"], answer["active"]) == (True, False)


def test_a_stranger_cannot_sign_what_was_prepared_for_another(
    node: ServedLedger, tmp_path: Path
) -> None:
    subject, key = bound(node, tmp_path)
    public = json.loads(run("-o", "json", "person", "show", key).stdout)["sign_key"]
    prepared, stranger = tmp_path / "prepared.json", tmp_path / "other.key"
    end = ("identity", "patient", "end", "--subject", subject)
    prepared.write_text(json.dumps(node.json(*end, "--prepare", public)))
    run("person", "new", stranger)
    result = run("person", "sign", prepared, "--key", stranger, "--yes", exit_code=2)
    assert "not prepared for this key" in result.stderr


def test_what_was_prepared_and_then_bent_cannot_be_signed(
    node: ServedLedger, tmp_path: Path
) -> None:
    subject, key = bound(node, tmp_path)
    public = json.loads(run("-o", "json", "person", "show", key).stdout)["sign_key"]
    made = node.json("identity", "patient", "end", "--subject", subject, "--prepare", public)
    prepared = tmp_path / "prepared.json"
    for bent in ({**made, "payload": "ff" + made["payload"][2:]}, {"payload": 7}, []):
        prepared.write_text(json.dumps(bent))
        assert run_refused("person", "sign", prepared, "--key", key, "--yes")


def run_refused(*arguments: object) -> bool:
    from click.testing import CliRunner

    return CliRunner().invoke(cli, [str(item) for item in arguments]).exit_code in (2, 4)


def test_a_proof_is_written_and_holds_without_a_node(
    node: ServedLedger, tmp_path: Path
) -> None:
    subject, _ = bound(node, tmp_path)
    proof, policy = tmp_path / "proof.json", tmp_path / "policy.json"
    policy.write_text(node.call(lambda: node.ledger.publisher.policy.to_text()))
    shown = _proven(node, proof, subject)
    assert shown["answer"]["known"] is True
    assert run("proof", "verify", proof, "--policy", policy).exit_code == 0
    proof.write_text(proof.read_text().replace('"level": 3', '"level": 2'))
    assert (
        "verification-failed"
        in run("proof", "verify", proof, "--policy", policy, exit_code=8).stderr
    )


def test_pages_of_an_access_log_are_the_whole_log_or_not(
    node: ServedLedger, tmp_path: Path
) -> None:
    subject, _ = bound(node, tmp_path)
    policy = tmp_path / "policy.json"
    policy.write_text(node.call(lambda: node.ledger.publisher.policy.to_text()))
    for _ in range(3):
        node.json(
            "access", "disclose", "--did", "new", "--subject", subject, "--recipient", "birch",
            "--purpose", "PUBHLTH", "--items", 1, "--digest", "ab" * 32,
            "--kind", "institution", "--happened-ms", 1,
        )  # fmt: skip
    pages = [tmp_path / "0.json", tmp_path / "2.json"]
    ask = ("access", "log", "--subject", subject, "--limit", 2)
    for start, page in ((0, pages[0]), (2, pages[1])):
        node.json(*ask, "--start", start, "--proof", page)
    whole = json.loads(
        run("-o", "json", "proof", "accounting", *pages, "--policy", policy).stdout
    )
    assert (whole["complete"], whole["events"], whole["subject"]) == (True, 3, subject)
    for page in pages:
        result = run("proof", "accounting", page, "--policy", policy, exit_code=8)
        assert "accounting-incomplete" in result.stderr
    other = tmp_path / "members.json"
    node.json("network", "members", "--proof", other)
    result = run("proof", "accounting", other, "--policy", policy, exit_code=8)
    assert "proof-invalid" in result.stderr


def _proven(node: ServedLedger, proof: Path, subject: str) -> Any:
    """Ask until the checkpoint that covers the binding is certified."""
    ask = ("identity", "patient", "bound", "--subject", subject, "--proof", proof)
    deadline = time.monotonic() + 20
    while True:
        shown = node.json(*ask)
        if shown["answer"]["known"] or time.monotonic() > deadline:
            return shown
