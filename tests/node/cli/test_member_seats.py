"""member: add, admit, demote, remove, leave, show, declare; network: show, engine, feature."""

import json
from collections.abc import Sequence

import pytest

from node.cli.layout import institution, join_card
from node.keys import FOR_RANDOM_PASSPHRASE, NodeKeys
from node.ledger.facts.features import FEATURES
from tests.support.deciding import deciding, execute, knows, ready, vote

PLAN = [
    "action", "target", "topic", "needs", "engine_before", "engine_after", "voters_before",
    "voters_after", "quorum_before", "quorum_after", "may_stop_before", "may_stop_after",
    "may_lie_before", "may_lie_after", "warning", "proposal", "tx_id", "state",
]  # fmt: skip
PASSPHRASE = b"a passphrase for tests"


@pytest.fixture
def node(tmp_path):
    with deciding(tmp_path) as served:
        yield served


def decided(node, *words: str, also: Sequence[str] = ("birch",)) -> dict[str, object]:
    """Run a command about a decision, let ``also`` vote yes, and execute it."""
    made = node.json(*words, "--yes")
    assert made["state"] == "open"
    for org in also:
        vote(node, made["proposal"], org)
    execute(node, made["proposal"], "birch")
    return made


class Newcomer:
    """An institution with keys of its own: node.key, passphrase, join card."""

    def __init__(self, directory, name="dogwood"):
        self.keys = NodeKeys.generate(name)
        self.key_path = directory / f"{name}.key"
        self.keys.save(self.key_path, PASSPHRASE, kdf=FOR_RANDOM_PASSPHRASE)
        self.passphrase = directory / f"{name}.passphrase"
        self.passphrase.write_bytes(PASSPHRASE)
        self.passphrase.chmod(0o600)
        self.card = directory / f"{name}.json"
        listed = institution(self.keys, name=name.title(), roles=("author",), validator=True)
        self.card.write_text(json.dumps(join_card(listed)))
        self._directory = directory

    def signs(self, node, *words):
        """Run a command with --prepare, sign it as the newcomer, send it; the proposal."""
        identity = self.keys.public.identity.hex()
        asked = self._directory / "asked.json"
        prepared = node.run("-o", "json", *words, "--prepare", identity, "--yes")
        asked.write_text(prepared.stdout)
        signed = node.json(
            "member", "sign", asked, "--keys", self.key_path,
            "--passphrase-file", self.passphrase, "--yes",
        )  # fmt: skip
        node.run("tx", "cosigned", asked, "--signature", f"{identity}:{signed['signature']}")
        return node.json("proposal", "list")[-1]["proposal"]


@pytest.fixture
def dogwood(tmp_path):
    return Newcomer(tmp_path)


def joined(node, dogwood):
    handle = dogwood.signs(node, "member", "add", dogwood.card)
    vote(node, handle, "birch")
    execute(node, handle, "birch")


def test_an_institution_joins_follows_and_votes(node, dogwood):
    joined(node, dogwood)
    assert "already" in node.run("member", "add", dogwood.card, "--yes").stderr
    assert node.json("member", "show", "dogwood")["standing"] == "none"
    plan = node.run("member", "admit", "dogwood", "--dry-run")
    assert "quorum 2 of 3 -> 3 of 4" in plan.stderr
    assert "members that may stop 1 -> 1" in plan.stderr
    decided(node, "member", "admit", "dogwood")
    shown = node.json("member", "show", "dogwood")
    assert (shown["standing"], shown["orders"]) == ("learner", False)
    assert "already" in node.run("member", "admit", "dogwood", "--yes").stderr
    assert node.json("network", "show")["learners"] == ["dogwood"]
    ready(node, "dogwood", signer=dogwood.keys.identity)
    shown = node.json("network", "show")
    assert (shown["epoch"], shown["learners"]) == (1, [])
    assert shown["voters"] == ["alder", "birch", "cedar", "dogwood"]


def test_a_voter_is_demoted_and_removed_with_the_quorum_before_and_after(node):
    made = decided(node, "member", "demote", "cedar")
    assert list(made) == PLAN
    assert (made["quorum_before"], made["quorum_after"]) == (2, 2)
    assert (made["may_stop_before"], made["may_stop_after"]) == (1, 0)
    assert made["warning"] == "nobody-may-stop"
    assert node.json("network", "show")["observers"] == ["cedar"]
    again = node.run("member", "demote", "cedar", "--yes")
    assert "already: cedar is observer there" in again.stderr
    warned = node.run("network", "show")
    assert "no spare" in warned.stderr
    decided(node, "member", "remove", "cedar")
    assert "already" in node.run("member", "remove", "cedar", "--yes").stderr
    assert node.json("network", "show")["observers"] == []


def test_the_plan_warns_when_no_spare_is_left(node):
    plan = node.run("member", "remove", "cedar", "--dry-run")
    assert "members that may stop 1 -> 0   ! no spare" in plan.stderr
    refused = node.run("member", "remove", "cedar", exit_code=10)
    assert "nothing was sent" in refused.stderr
    assert node.json("proposal", "list") == []


def test_an_observer_follows_and_is_not_to_vote(node):
    decided(node, "member", "admit", "payer", "--observer")
    assert node.json("network", "show")["observers"] == ["payer"]
    again = node.run("member", "admit", "payer", "--observer", "--yes")
    assert "already" in again.stderr
    decided(node, "member", "admit", "payer")
    ready(node, "payer")
    assert node.json("member", "show", "payer")["may_vote"] is True
    assert "already" in node.run("member", "admit", "payer", "--yes").stderr


def test_a_member_leaves_by_itself(node):
    node.run("member", "leave", exit_code=10)
    dry = node.run("-o", "json", "member", "leave", "--dry-run")
    assert json.loads(dry.stdout)["state"] == "planned"
    assert "quorum 2 of 3 -> 2 of 2" in dry.stderr
    done = node.json("member", "leave", "--yes")
    assert (list(done), done["state"]) == (PLAN, "executed")
    assert node.json("network", "show")["voters"] == ["birch", "cedar"]
    assert "already" in node.run("member", "leave", "--yes").stderr
    assert node.json("member", "show")["standing"] == "none"


def test_an_unknown_institution_is_named(node):
    for words in (("show", "nobody"), ("demote", "nobody", "--yes")):
        refused = node.run("member", *words, exit_code=4)
        assert "governance-institution-unknown" in refused.stderr


def test_lost_keys_are_replaced_by_the_others(node, tmp_path):
    fresh = Newcomer(tmp_path, "cedar")
    words = ("member", "replace-keys", "cedar", "--card", fresh.card)
    handle = fresh.signs(node, *words, "--compromised-since", "2026-01-01T00:00Z")
    vote(node, handle, "birch")
    execute(node, handle, "birch")
    shown = node.json("member", "show", "cedar")
    public = fresh.keys.public.plain()
    assert (shown["identity_key"], shown["consensus_key"]) == (
        public["identity"],
        public["consensus"],
    )
    assert "already" in node.run(*words, "--yes").stderr
    node.run("member", "replace-keys", "birch", "--card", fresh.card, "--yes", exit_code=4)
    old = node.json("identity", "key", "history", "--org", "cedar")["answer"]["keys"]
    assert [item["status"] for item in old if item["use"] == "sign"] == ["revoked", "active"]


def test_a_card_of_a_known_institution_with_other_keys_is_refused(node, tmp_path):
    other = Newcomer(tmp_path, "payer")
    refused = node.run("member", "add", other.card, "--yes", exit_code=4)
    assert "governance-institution-exists" in refused.stderr


def test_only_whom_it_was_prepared_for_signs(node, dogwood, tmp_path):
    other, asked = Newcomer(tmp_path, "elder"), tmp_path / "asked.json"
    identity = dogwood.keys.public.identity.hex()
    words = ("member", "add", dogwood.card, "--prepare", identity, "--yes")
    asked.write_text(node.run("-o", "json", *words).stdout)
    sign = ("member", "sign", asked, "--keys")
    refused = node.run(
        *sign, other.key_path, "--passphrase-file", other.passphrase, exit_code=2
    )
    assert "not prepared for this identity key" in refused.stderr
    unsure = node.run(
        *sign, dogwood.key_path, "--passphrase-file", dogwood.passphrase, exit_code=10
    )
    assert "register" in unsure.stderr


def test_the_engine_is_switched_by_vote(node):
    plan = node.run("network", "engine", "pbft", "--dry-run")
    assert "engine raft -> pbft" in plan.stderr
    assert "no liar is tolerated" in plan.stderr
    assert "already" in node.run("network", "engine", "raft", "--yes").stderr
    decided(node, "network", "engine", "pbft", also=("birch", "cedar"))
    shown = node.json("network", "show")
    assert (shown["engine"], shown["epoch"], shown["warning"]) == ("pbft", 1, "pbft-below-four")


def test_a_feature_needs_every_voters_software(node):
    feature = ("network", "feature", FEATURES[0], "--from-height", "500")
    refused = node.run(*feature, "--yes", exit_code=4)
    assert "alder, birch, cedar have not said" in refused.stderr
    assert node.json("member", "declare")["features"] == list(FEATURES)
    assert "already" in node.run("member", "declare").stderr
    for org in ("birch", "cedar"):
        knows(node, org, *FEATURES)
    decided(node, *feature, also=("birch", "cedar"))
    assert node.json("network", "show")["features"] == [f"{FEATURES[0]}@500"]
    assert "already" in node.run(*feature, "--yes").stderr


def test_curl_prints_what_would_be_sent(node):
    for words in (
        ("member", "demote", "cedar"), ("member", "admit", "payer"), ("member", "leave"),
        ("member", "declare"), ("network", "engine", "pbft"),
        ("network", "feature", "x", "--from-height", "9"),
    ):  # fmt: skip
        assert "/v1/operations" in node.run(*words, "--curl").stdout
    assert node.json("proposal", "list") == []
