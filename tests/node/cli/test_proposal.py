"""proposal: propose with an own vote, list, show, vote, withdraw, execute; twice is once."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from node.cli import deciding as deciding_steps
from tests.support.deciding import deciding, execute, vote
from tests.support.served_ledger import run

LISTED = [
    "proposal", "action", "target", "by", "status", "yes", "no", "needed", "vote_until",
    "execute_from",
]  # fmt: skip


@pytest.fixture
def node(tmp_path):
    with deciding(tmp_path) as served:
        yield served


def propose(node, *words, **more):
    return node.json("proposal", "propose", *words, "--yes", **more)


def test_a_proposal_from_its_beginning_to_its_execution(node):
    made = propose(node, "--suspend", "cedar")
    assert (made["state"], made["action"], made["target"]) == ("open", "suspend", "cedar")
    assert made["needs"] == 2
    rows = node.json("proposal", "list")
    assert [list(row) for row in rows] == [LISTED]
    assert (rows[0]["yes"], rows[0]["needed"]) == (["alder"], 2)
    vote(node, made["proposal"], "birch")
    shown = node.json("proposal", "show", made["proposal"][:8])
    assert (shown["missing"], shown["quorum_after"]["voters"]) == (0, 3)
    done = node.json("proposal", "execute", made["proposal"][:8])
    assert (done["status"], len(done["tx_id"])) == ("executed", 64)
    assert node.json("proposal", "list") == []
    again = node.run("proposal", "execute", made["proposal"])
    assert "already: it is executed" in again.stderr
    assert node.json("proposal", "list", "--all")[0]["status"] == "executed"
    assert node.json("proposal", "list", "--all", "--topic", "engine") == []


def test_without_yes_nothing_is_sent_but_the_plan_is_shown(node):
    refused = node.run("proposal", "propose", "--suspend", "cedar", exit_code=10)
    assert "needs 2 of 3 voters; you bring 1" in refused.stderr
    assert "confirmation-needed" in refused.stderr
    dry = node.json("proposal", "propose", "--suspend", "cedar", "--dry-run")
    assert (dry["state"], dry["proposal"]) == ("planned", None)
    assert node.json("proposal", "list") == []


@pytest.mark.parametrize(("typed", "exit_code", "count"), [("cedar", 0, 1), ("birch", 10, 0)])
def test_at_a_terminal_the_name_is_typed(node, monkeypatch, typed, exit_code, count):
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(deciding_steps, "sys", terminal)
    said = node.run(
        "proposal", "propose", "--suspend", "cedar", input=f"{typed}\n", exit_code=exit_code
    )
    assert "Type cedar to go on" in said.stderr
    assert len(node.json("proposal", "list")) == count


def test_the_same_is_proposed_once_and_voted_for_once(node):
    first = propose(node, "--suspend", "cedar", "--no-vote")
    assert node.json("proposal", "list")[0]["yes"] == []
    second = propose(node, "--suspend", "cedar")
    assert second["proposal"] == first["proposal"]
    assert node.json("proposal", "list")[0]["yes"] == ["alder"]
    third = propose(node, "--suspend", "cedar")
    assert (third["state"], third["proposal"]) == ("already", first["proposal"])
    assert len(node.json("proposal", "list")) == 1


def test_a_vote_is_given_once_and_says_what_is_missing(node):
    made = propose(node, "--suspend", "cedar", "--no-vote")["proposal"]
    said = node.json("proposal", "vote", made, "yes")
    assert (said["yes"], said["missing"], said["waiting_for"]) == (
        ["alder"], 1, ["birch", "cedar"],
    )  # fmt: skip
    again = node.run("proposal", "vote", made, "yes")
    assert "already: alder voted yes" in again.stderr
    changed = node.run("proposal", "vote", made, "no", exit_code=4)
    assert "governance-voted-already" in changed.stderr
    vote(node, made, "birch")
    early = node.run("proposal", "show", made)
    assert "may_execute: yes" in early.stdout
    assert "suspend: cedar" in early.stdout


def test_an_execution_that_comes_too_early_says_so(node):
    made = propose(node, "--suspend", "cedar")["proposal"]
    refused = node.run("proposal", "execute", made, exit_code=4)
    assert "governance-threshold-missing" in refused.stderr


def test_an_own_proposal_is_withdrawn(node):
    made = propose(node, "--suspend", "cedar")["proposal"]
    node.run("proposal", "withdraw", made, exit_code=10)
    done = node.json("proposal", "withdraw", made, "--yes")
    assert done["status"] == "withdrawn"
    assert "already" in node.run("proposal", "withdraw", made, "--yes").stderr
    closed = node.run("proposal", "propose", "--suspend", "cedar", "--dry-run")
    assert "proposed already" not in closed.stderr


def test_waiting_executes_what_the_others_decided(node):
    made = propose(node, "--suspend", "cedar")["proposal"]
    vote(node, made, "birch")
    done = propose(node, "--suspend", "cedar", "--wait")
    assert (done["state"], done["proposal"]) == ("executed", made)
    assert node.json("governance", "roles", "--org", "cedar")["answer"]["suspended"] is True


def test_waiting_ends_after_its_time(node):
    made = propose(node, "--suspend", "cedar")["proposal"]
    late = node.run(
        "proposal", "propose", "--suspend", "cedar", "--yes", "--wait", "--wait-timeout", 0.1,
        exit_code=7,
    )  # fmt: skip
    assert f"chartseal proposal show {made}" in late.stderr
    vote(node, made, "birch")
    execute(node, made, "birch")
    assert "already: it is executed" in node.run("proposal", "execute", made).stderr


@pytest.mark.parametrize(("yes", "exit_code"), [(True, 0), (False, 4)])
def test_waiting_ends_with_what_the_others_say(node, yes, exit_code):
    with ThreadPoolExecutor(1) as pool:
        words = ("proposal", "propose", "--suspend", "cedar", "--yes", "--wait")
        waiting = pool.submit(node.run, *words, exit_code=exit_code)
        while not (rows := node.json("proposal", "list")):
            assert not waiting.done()
        for org in ("birch", "cedar")[: 1 if yes else 2]:
            vote(node, rows[0]["proposal"], org, yes=yes)
        result = waiting.result()
    assert ("executed" in result.stdout) == yes
    assert ("it is rejected" in result.stderr) == (not yes)


def test_handles_are_named_by_their_beginning(node):
    node.run("proposal", "show", "abc", exit_code=2)
    node.run("proposal", "show", "abcd", exit_code=4)
    node.run("proposal", "show", "ab" * 32, exit_code=4)


def test_a_proposal_is_one_action(node):
    node.run("proposal", "propose", "--yes", exit_code=2)
    node.run("proposal", "propose", "--suspend", "a", "--resume", "b", "--yes", exit_code=2)
    bad = node.run("proposal", "propose", "--engine", "paxos", "--yes", exit_code=4)
    assert "engine must be pbft or raft" in bad.stderr


def test_curl_shows_proposal_and_vote_without_sending(node):
    printed = node.run("proposal", "propose", "--suspend", "cedar", "--curl").stdout
    assert "governance.propose" in printed
    assert "governance.vote" in printed
    assert node.token not in printed
    for words in (("vote", "abcd", "yes"), ("execute", "abcd"), ("withdraw", "abcd")):
        assert f"governance.{words[0]}" in node.run("proposal", *words, "--curl").stdout
    assert node.json("proposal", "list") == []


def test_a_token_is_needed(node):
    run("--endpoint", f"http://127.0.0.1:{node.port}", "proposal", "list", exit_code=5)
