"""member invite, join, member add with the card that comes back: one command on each side."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from consensus import wire
from node import config
from node.cli.client import Client
from node.cli.cmd_join import CARD_NAME, GENESIS_NAME
from node.cli.invitation import INVITE_FORMAT, read_invitation
from node.cli.layout import CONFIG_NAME, KEY_NAME, config_text
from node.cli.remote import rows_of
from node.keys import load
from node.ledger.genesis import Genesis
from node.settings import Address
from tests.support.deciding import deciding, execute, ready, vote
from tests.support.served_ledger import run

JOIN = ("--id", "dogwood", "--name", "Dogwood Clinic", "--role", "laboratory", "--dev")


@pytest.fixture
def node(tmp_path):
    with deciding(tmp_path / "served") as served:
        yield served


@pytest.fixture(autouse=True)
def served_directory(tmp_path):
    (tmp_path / "served").mkdir()


@pytest.fixture
def settings(node, tmp_path):
    """Alder's configuration, which names birch."""
    values = {"node.id": "alder", "p2p.listen": "10.0.0.1:7650", "ops.listen": "127.0.0.1:1"}
    path = tmp_path / CONFIG_NAME
    path.write_text(config_text(values, {"birch": "10.0.0.2:7650"}))
    (tmp_path / GENESIS_NAME).write_bytes(node.ledger.genesis.encode())
    return path


@pytest.fixture
def invitation(node, settings, tmp_path):
    path = tmp_path / "invite.json"
    node.run("member", "invite", "--config", settings, "--out", path)
    return path


def joined(invitation, tmp_path, *more, exit_code=0):
    directory = tmp_path / "dogwood"
    result = run("join", invitation, "--dir", directory, *JOIN, *more, exit_code=exit_code)
    return directory, result


# --- the invitation ---------------------------------------------------------------------------


def test_an_invitation_names_the_members_and_holds_no_secret(node, settings, invitation):
    text = json.loads(invitation.read_text())
    assert text["format"] == INVITE_FORMAT
    invite = read_invitation(invitation)
    assert invite.peers == {"alder": "10.0.0.1:7650", "birch": "10.0.0.2:7650"}
    assert Genesis.decode(invite.genesis) == node.ledger.genesis
    names = {item.id: item.name for item in node.ledger.genesis.institutions}
    assert {item.id: item.name for item in invite.members} == {
        name: names[name] for name in ("alder", "birch")
    }
    assert invite.lineage is not None
    assert node.token not in invitation.read_text()
    again = node.run("member", "invite", "--config", settings, "--out", invitation, exit_code=4)
    assert "exists-already" in again.stderr


def test_without_a_node_an_invitation_lacks_what_only_the_node_knows(settings, tmp_path):
    out = tmp_path / "offline.json"
    made = run(
        "--endpoint", "http://127.0.0.1:1", "-o", "json", "member", "invite",
        "--config", settings, "--address", "a.example:99", "--out", out,
    )  # fmt: skip
    assert "second round" in made.stderr
    assert json.loads(made.stdout)["height"] is None
    invite = read_invitation(out)
    assert invite.peers["alder"] == "a.example:99"
    assert (invite.lineage, invite.identity_key) == (None, None)
    directory, told = joined(out, tmp_path)
    assert "--prepare" in told.stderr
    assert "consent" not in json.loads((directory / CARD_NAME).read_text())


def test_an_address_that_nobody_can_dial_is_refused(settings, tmp_path):
    text = settings.read_text().replace("10.0.0.1:7650", "0.0.0.0:7650")
    settings.write_text(text)
    words = ("member", "invite", "--config", settings, "--out", tmp_path / "i.json")
    assert "p2p.advertise" in run(*words, exit_code=2).stderr
    advertised = text.replace('# advertise = ""', 'advertise = "alder.example:0"')
    assert advertised != text
    settings.write_text(advertised)
    run("--endpoint", "http://127.0.0.1:1", *words)
    assert read_invitation(tmp_path / "i.json").peers["alder"] == "alder.example:7650"


# --- joining ----------------------------------------------------------------------------------


def test_joining_makes_a_node_that_can_be_started(invitation, tmp_path):
    directory, told = joined(
        invitation, tmp_path, "--p2p", "10.0.0.4:7000", "--advertise", "dogwood.example:443"
    )
    made = config.load(directory / CONFIG_NAME, environment={})
    assert made.peers == {
        "alder": Address("10.0.0.1", 7650),
        "birch": Address("10.0.0.2", 7650),
    }
    assert made.p2p.listen == Address("10.0.0.4", 7000)
    assert made.p2p.advertise == Address("dogwood.example", 443)
    assert config.missing_files(made) == []
    assert "member add" in told.stderr
    assert "chartseal run" in told.stderr
    genesis = directory / GENESIS_NAME
    shown = run("network", "lineage", "--file", directory / "lineage.json", "--verify", genesis)
    assert "holds" in shown.stderr


def test_a_second_run_says_already_and_changes_nothing(invitation, tmp_path):
    directory, _ = joined(invitation, tmp_path)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    _, again = joined(invitation, tmp_path, "--p2p", "10.0.0.9:1")
    assert "already" in again.stderr
    assert before == {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_directory_of_another_node_is_left_alone(invitation, tmp_path):
    directory, _ = joined(invitation, tmp_path)
    words = ("join", invitation, "--dir", directory, "--id", "elder", "--dev")
    assert "exists-already" in run(*words, exit_code=4).stderr
    bare = tmp_path / "bare"
    run("init", bare, "--id", "dogwood", "--dev")
    refused = run("join", invitation, "--dir", bare, *JOIN, exit_code=4)
    assert "keystore-exists" in refused.stderr
    assert (bare / KEY_NAME).exists()


@pytest.mark.parametrize(
    "change",
    [
        {"format": "chartseal/invite/v2"},
        {"genesis": "00"},
        {"genesis": "no hex"},
        {"network": "00" * 32},
        {"name": "elsewhere"},
        {"invited_by": "nobody"},
        {"members": []},
        {"members": [{"id": "alder", "name": "A", "address": "a:1"}] * 2},
        {"members": [{"id": "alder", "name": "A", "address": "a:0"}]},
        {"members": [{"id": "../x", "name": "A", "address": "a:1"}]},
        {"members": "alder"},
        {"identity_key": "00"},
        {"lineage": "{}"},
        {"height": "1"},
        {"more": 1},
    ],
)
def test_a_file_that_is_no_invitation_is_refused_and_makes_nothing(
    invitation, tmp_path, change
):
    invitation.write_text(json.dumps(json.loads(invitation.read_text()) | change))
    directory, refused = joined(invitation, tmp_path, exit_code=4)
    assert "invite-invalid" in refused.stderr
    assert not directory.exists()


def test_bytes_that_are_not_json_are_no_invitation(tmp_path):
    path = tmp_path / "invite.json"
    for raw in (b"", b"[" * 100_000, b"\xff", b"[]"):
        path.write_bytes(raw)
        assert "invite-invalid" in joined(path, tmp_path, exit_code=4)[1].stderr
    assert "file-unreadable" in joined(tmp_path / "none", tmp_path, exit_code=3)[1].stderr


# --- the card that comes back -----------------------------------------------------------------


def test_one_command_on_each_side_registers_and_seats(node, invitation, tmp_path):
    directory, _ = joined(invitation, tmp_path)
    add = ("member", "add", directory / CARD_NAME, "--seat", "voter", "--yes")
    made = node.json(*add)
    assert (made["action"], made["state"]) == ("register", "open")
    assert "once it is registered" in node.run(*add).stderr, "voted already, and says so"
    vote(node, made["proposal"], "birch")
    execute(node, made["proposal"], "birch")
    seat = node.json(*add)
    assert (seat["action"], seat["state"]) == ("admit", "open")
    vote(node, seat["proposal"], "birch")
    execute(node, seat["proposal"], "birch")
    assert "already" in node.run(*add).stderr
    shown = node.json("member", "show", "dogwood")
    assert (shown["standing"], shown["name"]) == ("learner", "Dogwood Clinic")
    assert shown["roles"] == ["laboratory"]
    ready(node, "dogwood", signer=_identity(directory))
    assert "dogwood" in node.json("network", "show")["voters"]
    assert "already" in node.run(*add).stderr


def test_waiting_follows_registration_and_seat_to_their_end(node, invitation, tmp_path):
    directory, _ = joined(invitation, tmp_path)
    add = ("member", "add", directory / CARD_NAME, "--seat", "observer", "--yes")
    vote(node, node.json(*add)["proposal"], "birch")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(node.run, "-o", "json", *add, "--wait")
        client = Client(f"http://127.0.0.1:{node.port}", token=node.token)
        query = {"open_only": "true", "topic": "membership", "start": 0, "limit": 10}
        while not (rows := rows_of(ask(client, query), "proposals")):
            assert not waiting.done()
        vote(node, rows[0]["proposal"], "birch")
        result = waiting.result()
    done = json.loads(result.stdout)
    assert (done["action"], done["state"]) == ("admit", "executed")
    assert "dogwood: executed" in result.stderr
    assert node.json("network", "show")["observers"] == ["dogwood"]


def ask(client, query):
    """Ask beside a command that runs: the runner of commands is one at a time."""
    return client.get("/v1/ask/governance.proposals", **query)["answer"]


def _identity(directory):
    passphrase = (directory / "passphrase").read_bytes().strip()
    return load(directory / KEY_NAME, passphrase).identity


def test_a_card_that_was_changed_is_not_what_was_signed(node, invitation, tmp_path):
    directory, _ = joined(invitation, tmp_path)
    path = directory / CARD_NAME
    card = json.loads(path.read_text())
    for change in ({"name": "Mallory"}, {"roles": ["payer"]}, {"consensus_key": "01" * 32}):
        path.write_text(json.dumps(card | change))
        refused = node.run("member", "add", path, "--yes", exit_code=4)
        assert "join-consent-invalid" in refused.stderr
    path.write_text(json.dumps(card | {"consent": {"payload": "00"}}))
    assert "join-card-invalid" in node.run("member", "add", path, "--yes", exit_code=4).stderr
    assert node.json("proposal", "list") == []
    forged = card["consent"] | {"signature": "00" * 64}
    path.write_text(json.dumps(card | {"consent": forged}))
    assert "bad-signature" in node.run("member", "add", path, "--yes", exit_code=5).stderr


def test_a_consent_is_for_whom_it_was_given_and_ends(node, invitation, tmp_path):
    invite = read_invitation(invitation)
    for at, (change, says) in enumerate(
        (
            ({"invited_by": "birch"}, "given to birch"),
            ({"identity_key": bytes(32)}, "given to alder"),
            ({"height": 0, "expires_heights_max": 0}, "it ended with block 0"),
        )
    ):
        path = tmp_path / f"changed-{at}.json"
        path.write_text(replace(invite, **change).to_text())
        directory = tmp_path / f"node-{at}"
        run("join", path, "--dir", directory, *JOIN)
        add = ("member", "add", directory / CARD_NAME, "--yes")
        refused = node.run(*add, exit_code=4)
        assert "join-consent-invalid" in refused.stderr
        assert says in refused.stderr
    key = json.loads((directory / CARD_NAME).read_text())["identity_key"]
    prepared = node.json(*add, "--prepare", key)  # the long way is always open
    assert wire.from_plain(bytes, prepared["cosigners"][0]) == bytes.fromhex(key)


def test_a_card_with_consent_founds_networks_too(invitation, tmp_path):
    directory, _ = joined(invitation, tmp_path)
    founder = tmp_path / "founder"
    card = tmp_path / "founder.json"
    card.write_text(run("init", founder, "--id", "elder", "--dev").stdout)
    run(
        "genesis", "create", card, directory / CARD_NAME, "--name", "region-2",
        "--engine", "raft", "--out", tmp_path / "founded",
    )  # fmt: skip
