"""record: every verdict and exit code, nothing lost, nothing of the content in any output."""

import http.client
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from node import records
from node.ledger import receipt as receipts
from node.ledger import subject
from tests.support.served_ledger import ServedLedger, run

SECRET = "Schmidt-Oyelaran"
OBSERVATION = {
    "resourceType": "Observation",
    "status": "final",
    "subject": {"display": SECRET},
    "valueQuantity": {"value": 1.50, "unit": "mmol/L"},
}
ANCHOR_KEYS = ["name", "state", "code", "commitment", "tx_id", "height", "opening", "receipt"]
VERDICT_KEYS = [
    "verdict", "words", "status", "status_words", "superseded_by", "commitment", "org", "time",
    "time_ms", "height", "tx_id", "signers", "source",
]  # fmt: skip


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLedger]:
    with ServedLedger(tmp_path_factory.mktemp("node")) as served:
        yield served


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "observation.json"
    path.write_text(json.dumps(OBSERVATION))
    return path


def _folder(tmp_path: Path, count: int) -> Path:
    folder = tmp_path / "records"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:02}.json").write_text(json.dumps(OBSERVATION | {"id": str(number)}))
    return folder


# --- anchor ---------------------------------------------------------------------------------


def test_anchoring_a_file_keeps_its_opening_and_commits(node, record) -> None:
    row = node.json("record", "anchor", record, "--receipts")
    assert list(row) == ANCHOR_KEYS
    assert (row["state"], row["code"], row["name"]) == ("committed", "applied", record.name)
    opening = Path(row["opening"])
    assert opening == record.with_name("observation.json.opening.json")
    assert stat.S_IMODE(opening.stat().st_mode) == 0o600
    (kept,) = records.read_openings(opening)
    assert kept.commitment.hex() == row["commitment"]
    assert kept.opening.media_type_id == 1  # FHIR, by its resourceType
    found = node.json("record", "get", row["commitment"])
    assert found["status"] == "live"
    assert found["occurrences"][0]["tx_id"] == row["tx_id"]
    assert Path(row["receipt"]).read_bytes().startswith(b"c2sp.org/tlog-proof@v1\n")
    tagged = node.json("record", "get", "--tag", kept.tag.hex())
    assert tagged == [{"commitment": row["commitment"]}]


def test_two_anchors_of_one_content_have_unlinkable_commitments(node, record, tmp_path) -> None:
    first = node.json("record", "anchor", record, "--out", tmp_path / "a")
    second = node.json("record", "anchor", record, "--out", tmp_path / "b")
    assert first["commitment"] != second["commitment"]


def test_a_second_run_refuses_and_resume_repeats_nothing(node, record) -> None:
    first = node.json("record", "anchor", record)
    again = node.run("record", "anchor", record, exit_code=4)
    assert "exists-already" in again.stderr
    assert "--resume" in again.stderr
    resumed = node.json("record", "anchor", record, "--resume")
    assert resumed["code"] == "present"
    for name in ("commitment", "tx_id", "height"):
        assert resumed[name] == first[name]
    record.write_text(json.dumps(OBSERVATION | {"status": "amended"}))
    other = node.run("record", "anchor", record, "--resume", exit_code=4)
    assert "another content" in other.stderr


def test_a_folder_becomes_batches_with_receipts_that_verify_offline(node, tmp_path) -> None:
    folder = _folder(tmp_path, 5)
    policy = tmp_path / "policy.json"
    node.run("receipt", "policy", "--out", policy)
    rows = node.json("record", "anchor", folder, "--batch-size", 3, "--receipts")
    assert [list(row) for row in rows] == [ANCHOR_KEYS] * 5
    assert [row["name"] for row in rows] == [f"{n:02}.json" for n in range(5)]
    assert len({row["tx_id"] for row in rows}) == 2
    out = tmp_path / "records.openings"
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    for row in rows:
        answer = run(
            "-o", "json", "record", "verify", folder / row["name"], "--opening", row["opening"],
            "--receipt", row["receipt"], "--policy", policy,
        )  # fmt: skip
        verdict = json.loads(answer.stdout)
        assert (verdict["verdict"], verdict["source"]) == ("exact", "receipt")
        assert verdict["commitment"] == row["commitment"]
    assert node.json("record", "anchor", folder, "--resume", "--receipts") == [
        row | {"code": "present"} for row in sorted(rows, key=lambda row: row["opening"])
    ]


def test_each_makes_a_transaction_for_every_record(node, tmp_path) -> None:
    rows = node.json("record", "anchor", _folder(tmp_path, 3), "--each")
    assert len({row["tx_id"] for row in rows}) == 3
    assert len(list((tmp_path / "records.openings").iterdir())) == 3


def test_lines_from_stdin_need_a_place_for_their_openings(node, tmp_path) -> None:
    lines = "\n".join(json.dumps(OBSERVATION | {"id": str(n)}) for n in range(3)) + "\n\n"
    node.run("record", "anchor", "-", input=lines, exit_code=2)
    rows = node.json("record", "anchor", "-", "--out", tmp_path / "out", input=lines)
    assert [row["name"] for row in rows] == ["line 1", "line 2", "line 3"]
    assert {row["state"] for row in rows} == {"committed"}


def test_a_bundle_is_split_into_its_exact_entries(node, tmp_path) -> None:
    bundle = tmp_path / "bundle.json"
    pieces = [
        '{"resourceType": "Patient",  "id":"a"}',
        '{"resourceType":"Observation","v":1.50}',
    ]
    bundle.write_text(
        '{"resourceType":"Bundle","entry":[{"fullUrl":"x","resource":'
        + pieces[0] + '}, {"request":{}}, {"resource": ' + pieces[1] + "}]}"
    )  # fmt: skip
    rows = node.json("record", "anchor", bundle, "--split-bundle")
    assert [row["name"] for row in rows] == ["bundle.json#entry[0]", "bundle.json#entry[2]"]
    copy = tmp_path / "copy.json"
    copy.write_text(pieces[1])
    assert (
        node.json("record", "verify", copy, "--opening", rows[1]["opening"])["verdict"]
        == "exact"
    )


def test_subject_tags_come_from_the_secret_and_are_never_used_twice(node, tmp_path) -> None:
    secret = tmp_path / "patient.secret"
    secret.write_text("ab" * 32 + "\n")
    secret.chmod(0o600)
    rows = node.json("record", "anchor", _folder(tmp_path, 3), "--subject-secret-file", secret)
    single = tmp_path / "one.json"
    single.write_text("{}")
    rows += [node.json("record", "anchor", single, "--subject-secret-file", secret)]
    expected = list(subject.tags(b"\xab" * 32, start=0, count=4))
    for row, tag in zip(rows, expected, strict=True):
        found = node.json("record", "get", "--tag", tag.hex())
        assert found == [{"commitment": row["commitment"]}]
    assert (tmp_path / "patient.secret.counter").read_text() == "4\n"
    secret.chmod(0o644)
    refused = node.run("record", "anchor", single, "--out", tmp_path / "x",
                       "--subject-secret-file", secret, exit_code=79)  # fmt: skip
    assert "ab" * 32 not in refused.output


def test_one_bad_file_does_not_stop_the_others_and_exits_11(node, tmp_path) -> None:
    folder = _folder(tmp_path, 3)
    (folder / "01.json").write_text(f'{{"name": "{SECRET}", "name": 2}}')
    result = node.run("-o", "json", "record", "anchor", folder, exit_code=11)
    rows = json.loads(result.stdout)
    states = {row["name"]: (row["state"], row["code"]) for row in rows}
    assert states["01.json"] == ("failed", "content-refused")
    assert states["00.json"] == states["02.json"] == ("committed", "applied")
    assert json.loads(result.stderr)["code"] == "partial-failure"
    assert SECRET not in result.output
    (folder / "01.json").write_text(json.dumps(OBSERVATION))
    again = node.json("record", "anchor", folder, "--resume")
    assert [row["code"] for row in again] == ["present", "present", "applied"]


def test_a_single_file_that_cannot_be_anchored_says_why(node, tmp_path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(f'{{"a": "{SECRET}"')
    assert "content-refused" in node.run("record", "anchor", bad, exit_code=4).stderr
    assert SECRET not in node.run("record", "anchor", bad, exit_code=4).output
    unknown = node.run("record", "anchor", bad, "--media-type", "a/b", exit_code=2)
    assert "media-type-unsupported" in unknown.stderr
    missing = node.run("record", "anchor", tmp_path / "no.json", exit_code=3)
    assert "file-unreadable" in missing.stderr
    assert not list(tmp_path.glob("*.opening.json"))


class Trap(ThreadingHTTPServer):
    """A way to the node that kills the asking process at its ``at``-th post, unanswered.

    Without a process to kill it passes that post on and loses the answer.
    """

    def __init__(self, node: ServedLedger, at: int) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.node, self.at, self.posts = node, at, 0
        self.victim: subprocess.Popen[str] | None = None

    def kill(self, *arguments: object) -> None:
        """Run a command through the trap until it is killed."""
        threading.Thread(target=self.serve_forever, args=(0.02,)).start()
        place = f"http://127.0.0.1:{self.server_port}"
        options = ["--endpoint", place, "--token-file", str(self.node.token_file)]
        command = [sys.executable, "-m", "node", *options, *map(str, arguments)]
        with self:
            self.victim = subprocess.Popen(command, text=True)
            assert self.victim.wait(30) == -signal.SIGKILL
            self.shutdown()


class _Forward(BaseHTTPRequestHandler):
    server: Trap

    def do_GET(self) -> None:
        self._forward(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts += 1
        lost = self.server.posts == self.server.at
        if lost and self.server.victim is not None:
            self.server.victim.kill()
            return
        self._forward(body, lost=lost)

    def _forward(self, body: bytes | None, *, lost: bool = False) -> None:
        onward = http.client.HTTPConnection("127.0.0.1", self.server.node.port, timeout=20)
        onward.request(self.command, self.path, body=body, headers=dict(self.headers))
        answer = onward.getresponse()
        raw = answer.read()
        onward.close()
        if lost:
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


def test_openings_are_durable_before_anything_is_posted(node, record) -> None:
    """The process is killed between the opening and the post; resuming finishes the work."""
    Trap(node, 1).kill("record", "anchor", record)
    (kept,) = records.read_openings(record.with_name(record.name + ".opening.json"))
    never = node.run("record", "get", kept.commitment.hex(), exit_code=3)
    assert "record-unknown" in never.stderr
    row = node.json("record", "anchor", record, "--resume")
    assert (row["code"], row["commitment"]) == ("applied", kept.commitment.hex())


def test_a_crash_in_the_middle_of_a_folder_is_resumed(node, tmp_path) -> None:
    folder = _folder(tmp_path, 6)
    Trap(node, 2).kill("record", "anchor", folder, "--batch-size", 2)
    assert len(list((tmp_path / "records.openings").iterdir())) == 2
    rows = node.json("record", "anchor", folder, "--batch-size", 2, "--resume")
    assert sorted(row["name"] for row in rows) == [f"{n:02}.json" for n in range(6)]
    assert {row["state"] for row in rows} == {"committed"}
    for row in rows:
        found = node.json("record", "get", row["commitment"])
        assert len(found["occurrences"]) == 1, "nothing is anchored twice"


def test_a_lost_answer_is_exit_7_and_resuming_anchors_nothing_twice(node, record) -> None:
    with Trap(node, 1) as trap:
        threading.Thread(target=trap.serve_forever, args=(0.02,)).start()
        place = ["--endpoint", f"http://127.0.0.1:{trap.server_port}"]
        token = ["--token-file", node.token_file]
        result = run(*place, *token, "-o", "json", "record", "anchor", record, exit_code=7)
        trap.shutdown()
    assert json.loads(result.stdout)["state"] == "unknown"
    assert "--resume" in json.loads(result.stderr)["hint"]
    row = node.json("record", "anchor", record, "--resume")
    assert row["state"] == "committed"
    found = node.json("record", "get", row["commitment"])
    assert len(found["occurrences"]) == 1


def test_a_node_that_is_gone_is_exit_6_and_nothing_is_lost(node, tmp_path) -> None:
    folder = _folder(tmp_path, 4)
    gone = ["--endpoint", "http://127.0.0.1:1", "-o", "json"]
    result = run(*gone, "record", "anchor", folder, "--batch-size", 2, exit_code=6)
    assert [row["state"] for row in json.loads(result.stdout)] == ["failed"] * 2 + [
        "not-sent"
    ] * 2
    rows = node.json("record", "anchor", folder, "--resume")
    assert {row["state"] for row in rows} == {"committed"}


def test_without_an_outcome_in_time_it_is_exit_7_and_says_how_to_ask(node, record) -> None:
    node.hold = True
    try:
        result = node.run("-o", "json", "record", "anchor", record, "--wait-timeout", 0.2,
                          exit_code=7)  # fmt: skip
    finally:
        node.hold = False
    row, error = json.loads(result.stdout), json.loads(result.stderr)
    assert row["state"] == "unknown"
    assert error["hint"] == f"chartseal tx wait {row['tx_id']}"
    assert node.json("tx", "wait", row["tx_id"])["state"] == "committed"


def test_no_wait_only_submits(node, record) -> None:
    row = node.json("record", "anchor", record, "--no-wait")
    assert (row["state"], row["code"], row["height"]) == ("submitted", "pending", None)
    assert node.json("tx", "wait", row["tx_id"])["state"] == "committed"


def test_curl_prints_the_request_with_the_token_masked_and_sends_nothing(node, record) -> None:
    result = node.run("record", "anchor", record, "--curl")
    words = shlex.split(result.stdout)
    assert words[0] == "curl"
    assert "Authorization: Bearer ***" in words
    assert node.token not in result.output
    body = json.loads(words[words.index("--data-binary") + 1])
    (kept,) = records.read_openings(record.with_name(record.name + ".opening.json"))
    assert body["ops"][0]["body"]["commitment"] == kept.commitment.hex()
    node.run("record", "get", kept.commitment.hex(), exit_code=3)


# --- verify ---------------------------------------------------------------------------------


def _verify(
    node: ServedLedger, file: Path, opening: Path, exit_code: int = 0, **more: str
) -> Any:
    extra = [word for name, value in more.items() for word in (f"--{name}", value)]
    return node.json(
        "record", "verify", file, "--opening", opening, *extra, exit_code=exit_code
    )


def test_verdicts_of_the_node(node, record, tmp_path) -> None:
    row = node.json("record", "anchor", record)
    opening = Path(row["opening"])
    exact = node.json("record", "verify", record)
    assert list(exact) == VERDICT_KEYS
    assert (exact["verdict"], exact["status"], exact["org"]) == ("exact", "live", "alder")
    assert (exact["height"], exact["tx_id"]) == (row["height"], row["tx_id"])
    assert exact["time"].endswith("Z")
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps({"meta": {"versionId": "7"}} | OBSERVATION, indent=4))
    assert _verify(node, copy, opening)["verdict"] == "same-meaning"
    copy.write_text(json.dumps(OBSERVATION).replace("1.5", "1.6"))
    altered = _verify(node, copy, opening, 8, lang="zh")
    assert altered["verdict"] == "altered"
    assert "不符" in altered["words"]
    never = tmp_path / "never.json"
    never.write_text("{}")
    stray = records.commit_to(records.Source("never.json", lambda: b"{}"), forced=None)
    records.write_openings(tmp_path / "never.json.opening.json", [stray])
    unknown = node.json("record", "verify", never, exit_code=8)
    assert (unknown["verdict"], unknown["status"], unknown["time"]) == ("unknown", None, None)
    assert list(unknown) == VERDICT_KEYS


def test_amended_and_retracted_are_shown_beside_the_verdict(node, record, tmp_path) -> None:
    first = node.json("record", "anchor", record)
    newer = tmp_path / "newer.json"
    newer.write_text(json.dumps(OBSERVATION | {"status": "amended"}))
    second = node.json("record", "amend", first["commitment"], newer, "--reason", "corrected")
    assert (second["state"], second["name"]) == ("committed", "newer.json")
    old = node.json("record", "verify", record)
    assert (old["verdict"], old["status"]) == ("exact", "amended")
    assert old["superseded_by"] == second["commitment"]
    gone = node.json("record", "retract", second["commitment"], "--yes")
    assert list(gone) == [
        "commitment", "tx_id", "state", "code", "detail", "height", "leaf_index",
    ]  # fmt: skip
    new = node.json("record", "verify", newer)
    assert (new["verdict"], new["status"]) == ("exact", "retracted")
    chain = node.json("record", "get", second["commitment"])
    assert (chain["version"], chain["previous"]) == (2, first["commitment"])
    table = node.run("record", "get", second["commitment"]).stdout
    assert "retracted" in table
    again = node.run("record", "retract", second["commitment"], "--yes", exit_code=4)
    assert "record-retracted" in again.stderr


def test_an_item_of_a_batch_is_amended_and_retracted_by_its_proof(node, tmp_path) -> None:
    folder = _folder(tmp_path, 4)
    rows = node.json("record", "anchor", folder)
    newer = tmp_path / "newer.json"
    newer.write_text("{}")
    node.json("record", "amend", rows[2]["commitment"], newer)
    node.json("record", "retract", rows[3]["commitment"], "--yes")
    states = [
        _verify(node, folder / row["name"], Path(row["opening"]))["status"] for row in rows
    ]
    assert states == ["live", "live", "amended", "retracted"]


def test_a_retraction_without_a_terminal_needs_yes(node, record) -> None:
    row = node.json("record", "anchor", record)
    result = node.run("record", "retract", row["commitment"], exit_code=10)
    assert "confirmation-needed" in result.stderr
    assert node.json("record", "get", row["commitment"])["status"] == "live"
    unknown = node.run("record", "retract", "00" * 32, "--yes", exit_code=3)
    assert "record-unknown" in unknown.stderr


def test_offline_verdicts_need_no_node(node, record, tmp_path) -> None:
    row = node.json("record", "anchor", record, "--receipts")
    policy = tmp_path / "policy.json"
    node.run("receipt", "policy", "--out", policy)
    files = ["--opening", row["opening"], "--receipt", row["receipt"], "--policy", policy]

    def offline(copy: Path, exit_code: int = 0) -> Any:
        gone = ["--endpoint", "http://127.0.0.1:1", "-o", "json"]
        return json.loads(
            run(*gone, "record", "verify", copy, *files, exit_code=exit_code).stdout
        )

    exact = offline(record)
    assert list(exact) == VERDICT_KEYS
    assert (exact["verdict"], exact["status"], exact["org"]) == ("exact", None, "alder")
    assert exact["signers"] == ["alder", "birch"]
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps(OBSERVATION, indent=2))
    assert offline(copy)["verdict"] == "same-meaning"
    copy.write_text("{}")
    assert offline(copy, 8)["verdict"] == "altered"
    # The receipt of another record proves nothing about this one.
    other = tmp_path / "other.json"
    other.write_text("{}")
    second = node.json("record", "anchor", other, "--receipts")
    files[3] = second["receipt"]
    assert offline(record, 8)["verdict"] == "unknown"


def test_openings_that_are_none_are_refused_without_quoting(node, record, tmp_path) -> None:
    row = node.json("record", "anchor", record)
    text = Path(row["opening"]).read_text()
    (kept,) = records.read_openings(Path(row["opening"]))
    bad = tmp_path / "bad.opening.json"
    for spoiled in ("", "[]", "{", text.replace(row["commitment"], "00" * 32), text[:-40]):
        bad.write_text(spoiled)
        result = node.run("record", "verify", record, "--opening", bad, exit_code=8)
        assert "opening-invalid" in result.stderr
        assert kept.opening.r.hex() not in result.output
    node.run("record", "verify", record, "--opening", tmp_path / "none", exit_code=3)
    node.run("record", "verify", record, "--receipt", bad, exit_code=2)


def test_content_and_openings_never_appear_in_any_output(node, record, tmp_path) -> None:
    seen = node.run("-vv", "record", "anchor", record, "--receipts").output
    opening = record.with_name(record.name + ".opening.json")
    seen += node.run("record", "verify", record).output
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps(OBSERVATION) + "}")
    seen += node.run("-vv", "record", "verify", copy, "--opening", opening, exit_code=8).output
    (kept,) = records.read_openings(opening)
    for hidden in (SECRET, kept.opening.r.hex(), kept.opening.d0.hex(), node.token):
        assert hidden not in seen


def test_receipts_hold_no_content(node, record) -> None:
    row = node.json("record", "anchor", record, "--receipts")
    given = receipts.from_text(Path(row["receipt"]).read_bytes())
    assert SECRET.encode() not in given.transaction


def test_as_a_process_the_exit_codes_are_the_same(node, record) -> None:
    command = [sys.executable, "-m", "node", *node.options, "-o", "json", "record"]
    done = subprocess.run([*command, "anchor", record], capture_output=True, text=True,
                          env=os.environ | {"NO_COLOR": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "committed"
    record.write_text("{}")
    done = subprocess.run([*command, "verify", record], capture_output=True, text=True)
    assert done.returncode == 8
    assert json.loads(done.stdout)["verdict"] == "altered"
