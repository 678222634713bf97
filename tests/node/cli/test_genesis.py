"""genesis: join cards found a network; every card or rule that cannot is refused by name."""

import json

import pytest
from click.testing import CliRunner

from node import publish
from node.cli.cmd_genesis import CARD_BYTES_MAX
from node.cli.layout import institution, join_card
from node.cli.main import cli
from node.keys import NodeKeys
from node.ledger.checkpoint import Policy
from node.ledger.genesis import Genesis, Parameters

NAMES = ("hospital-b", "hospital-a", "payer-d", "laboratory-c")


def run(*arguments, exit_code=0):
    result = CliRunner().invoke(cli, [str(item) for item in arguments])
    assert result.exit_code == exit_code, result.output
    return result


def card_of(name, **options):
    keys = NodeKeys.generate(name)
    options = {"name": name.title(), "roles": ("author",), "validator": True} | options
    return join_card(institution(keys, **options))


@pytest.fixture
def cards(tmp_path):
    paths = []
    for name in NAMES:
        path = tmp_path / f"card-{name}.json"
        path.write_text(json.dumps(card_of(name)))
        paths.append(path)
    return paths


@pytest.fixture
def create(tmp_path):
    """Run `genesis create` into an own directory; refusals must leave nothing there."""

    def run_create(*arguments, out=tmp_path / "founded", exit_code=0, output="table"):
        given = ["--name", "region-1", "--engine", "pbft", "--out", out]
        result = run("-o", output, "genesis", "create", *given, *arguments, exit_code=exit_code)
        if exit_code:
            assert not (tmp_path / "founded").exists()
        return result

    return run_create


# --- founding -------------------------------------------------------------------------------


def test_join_cards_found_a_network_with_its_policy(tmp_path, cards, create):
    create(*cards)
    genesis = Genesis.decode((tmp_path / "founded" / "genesis.bin").read_bytes())
    assert (genesis.name, genesis.engine) == ("region-1", "pbft")
    assert genesis.parameters == Parameters()
    assert [item.id for item in genesis.validators] == sorted(NAMES)
    listed = {item.id: item for item in genesis.institutions}
    for path in cards:
        card = json.loads(path.read_text())
        assert listed[card["id"]].identity_key.hex() == card["identity_key"]
        assert listed[card["id"]].name == card["name"]
    policy = Policy.from_text((tmp_path / "founded" / "policy.json").read_text())
    assert policy == publish.policy_of(genesis)
    assert (policy.network, policy.quorum) == (genesis.network, 3)


@pytest.mark.parametrize("output", ["table", "json"])
def test_show_says_what_create_said(tmp_path, cards, create, output):
    made = create(*cards, output=output)
    shown = run("-o", output, "genesis", "show", tmp_path / "founded" / "genesis.bin")
    assert shown.stdout == made.stdout
    assert "wrote genesis.bin and policy.json" in made.stderr
    assert shown.stderr == ""


def test_cards_as_init_prints_them_found_a_network(tmp_path, create):
    card = run("init", tmp_path / "node", "--id", "alone", "--dev").stdout
    (tmp_path / "card.json").write_text(card)
    shown = json.loads(create(tmp_path / "card.json", output="json").stdout)
    assert [item["id"] for item in shown["institutions"]] == ["alone"]


@pytest.mark.parametrize(
    ("engine", "tolerated"), [("pbft", (4, 3, 1, 1)), ("raft", (4, 3, 1, 0))]
)
def test_what_is_shown_is_what_founders_compare(tmp_path, cards, engine, tolerated):
    guest = tmp_path / "card-guest.json"
    guest.write_text(json.dumps(card_of("guest", roles=("research",), validator=False)))
    out = tmp_path / "founded"
    arguments = ["--name", "r", "--engine", engine, "--set", "request_ms=3000", "--out", out]
    made = run("-o", "json", "genesis", "create", *cards, guest, *arguments)
    shown = json.loads(made.stdout)
    genesis = Genesis.decode((out / "genesis.bin").read_bytes())
    assert list(shown) == [
        "network", "network_digest", "created_ms", "engine", "validators", "quorum",
        "may_stop", "may_lie", "parameters", "institutions", "policies",
    ]  # fmt: skip
    assert shown["network_digest"] == genesis.network.hex()
    counts = tuple(shown[name] for name in ("validators", "quorum", "may_stop", "may_lie"))
    assert counts == tolerated
    assert shown["parameters"]["request_ms"] == 3000
    assert [item["validator"] for item in shown["institutions"]] == [False, *[True] * 4]
    table = run("genesis", "show", out / "genesis.bin").stdout
    assert f"network_digest  {genesis.network.hex()}\n" in table
    for item in genesis.institutions:
        assert item.identity_key.hex() in table
    assert any(line.split() == ["request_ms", "3000"] for line in table.splitlines())


def test_the_order_of_the_cards_changes_nothing(tmp_path, cards, create):
    create(*cards)
    create(*reversed(cards), out=tmp_path / "again")
    one, two = (
        Genesis.decode((tmp_path / name / "genesis.bin").read_bytes())
        for name in ("founded", "again")
    )
    assert one.institutions == two.institutions


def test_parameters_are_set_by_name_and_bind(tmp_path, cards, create):
    create(*cards, "--set", "election_ms=3000", "--set", "heartbeat_ms=400")
    genesis = Genesis.decode((tmp_path / "founded" / "genesis.bin").read_bytes())
    assert genesis.parameters == Parameters(election_ms=3000, heartbeat_ms=400)


# --- refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize("standing", ["genesis.bin", "policy.json"])
def test_founding_replaces_nothing(tmp_path, cards, create, standing):
    out = tmp_path / "taken"
    out.mkdir()
    (out / standing).write_text("precious")
    result = create(*cards, out=out, exit_code=4)
    assert "exists-already" in result.stderr
    assert str(out / standing) in result.stderr
    assert [path.name for path in out.iterdir()] == [standing]
    assert (out / standing).read_text() == "precious"


def test_a_directory_that_cannot_be_made_is_told(tmp_path, cards, create):
    (tmp_path / "file").touch()
    result = create(*cards, out=tmp_path / "file" / "below", exit_code=3)
    assert "file-unreadable" in result.stderr


def test_a_card_that_is_not_there(tmp_path, cards, create):
    result = create(*cards, tmp_path / "missing.json", exit_code=3)
    assert "file-unreadable" in result.stderr
    assert "missing.json: No such file" in result.stderr


def changed(**members):
    return json.dumps(card_of("x") | members).encode()


NO_CARDS = {
    "empty": b"",
    "not JSON": b"-----BEGIN",
    "not UTF-8": b"\xff\xfe{}",
    "a list": b"[]",
    "no format": b"{}",
    "another format": changed(format="chartseal/join-card/v2"),
    "a name twice": changed().replace(b'"id":', b'"id": "y", "id":'),
    "an unknown member": changed(patient="Chalmers"),
    "a short key": changed(identity_key="00"),
    "an id of no ledger": changed(id="St. Mary"),
    "an unknown role": changed(roles=["king"]),
    "no boolean": changed(validator="yes"),
    "deep": b"[" * 30_000,
    "long": b" " * (CARD_BYTES_MAX + 1),
}


@pytest.mark.parametrize("what", NO_CARDS)
def test_what_is_no_card_is_refused_by_its_file(tmp_path, cards, create, what):
    wrong = tmp_path / "wrong.json"
    wrong.write_bytes(NO_CARDS[what])
    result = create(*cards, wrong, exit_code=4)
    assert "join-card-invalid" in result.stderr
    assert f"{wrong}: " in result.stderr
    assert "Chalmers" not in result.output


def test_a_missing_member_of_a_card_is_refused(tmp_path, create):
    card = card_of("x")
    del card["cosigner_key"]
    (tmp_path / "card.json").write_text(json.dumps(card))
    assert "join-card-invalid" in create(tmp_path / "card.json", exit_code=4).stderr


def test_an_institution_founds_once(cards, create):
    result = create(cards[0], *cards, exit_code=78)
    assert "genesis-invalid" in result.stderr
    assert "two cards are of hospital-b" in result.stderr


def test_two_institutions_never_share_a_key(tmp_path, cards, create):
    (tmp_path / "thief.json").write_text(
        json.dumps(json.loads(cards[0].read_text()) | {"id": "thief"})
    )
    result = create(*cards, tmp_path / "thief.json", exit_code=78)
    assert "every signing key must be used once" in result.stderr


def test_somebody_must_vote(tmp_path, create):
    (tmp_path / "guest.json").write_text(json.dumps(card_of("guest", validator=False)))
    result = create(tmp_path / "guest.json", exit_code=78)
    assert "at least one institution must be a validator" in result.stderr


def test_a_name_that_is_no_name_is_refused(cards, create):
    result = create(*cards, "--name", "Region 1", exit_code=78)
    assert "name must match" in result.stderr


@pytest.mark.parametrize(
    ("setting", "say"),
    [
        ("request_ms", "is not PARAMETER=VALUE"),
        ("reqest_ms=3000", "did you mean request_ms?"),
        ("zzz=1", "there are block_transactions_max, "),
        ("request_ms=soon", "request_ms is a whole number, not 'soon'"),
        ("request_ms=-1", "is a whole number"),
        ("request_ms=1.5", "is a whole number"),
        ("request_ms=", "is a whole number"),
        ("request_ms=" + "9" * 40, "is a whole number"),
        ("request_ms=\u0663", "is a whole number"),
        ("request_ms=1", "timeouts must be 10 ms to 10 min"),
        ("heartbeat_ms=900", "election_ms must be at least twice heartbeat_ms"),
        ("block_bytes_max=1", "block_bytes_max must be"),
    ],
)
def test_rules_that_no_network_has_are_refused(cards, create, setting, say):
    result = create(*cards, "--set", setting, exit_code=2)
    assert say in " ".join(result.stderr.split())


def test_a_rule_is_set_once(cards, create):
    result = create(*cards, "--set", "resend_ms=10", "--set", "resend_ms=20", exit_code=2)
    assert "resend_ms is set twice" in result.stderr


@pytest.mark.parametrize("missing", ["--name", "--engine", "--out", "CARD"])
def test_nothing_that_must_be_said_is_guessed(tmp_path, cards, missing):
    said = {"--name": "r", "--engine": "raft", "--out": tmp_path / "founded"}
    words = [word for name, value in said.items() if name != missing for word in (name, value)]
    given = [] if missing == "CARD" else cards
    result = run("genesis", "create", *given, *words, exit_code=2)
    assert missing in result.stderr
    assert not (tmp_path / "founded").exists()


def test_an_engine_that_does_not_exist_is_refused(cards, create):
    assert "paxos" in create(*cards, "--engine", "paxos", exit_code=2).stderr


@pytest.mark.parametrize("content", [None, b"", b"not a genesis", b"\x90", b"\0" * (2 << 20)])
def test_show_refuses_what_is_no_genesis(tmp_path, content):
    path = tmp_path / "genesis.bin"
    if content is not None:
        path.write_bytes(content)
    result = run("genesis", "show", path, exit_code=78)
    assert "genesis-invalid" in result.stderr
    assert str(path) in result.stderr
    assert result.stdout == ""


def test_refusals_are_problem_documents_for_scripts(tmp_path):
    result = run("-o", "json", "genesis", "show", tmp_path / "none", exit_code=78)
    assert json.loads(result.stderr)["code"] == "genesis-invalid"


def test_a_genesis_cut_or_lengthened_is_none(tmp_path, cards, create):
    create(*cards)
    raw = (tmp_path / "founded" / "genesis.bin").read_bytes()
    for wrong in (raw[:-1], raw + b"\0"):
        (tmp_path / "wrong.bin").write_bytes(wrong)
        run("genesis", "show", tmp_path / "wrong.bin", exit_code=78)


# --- how they decide ------------------------------------------------------------------------


def test_founders_say_how_they_decide(tmp_path, cards, create):
    create(*cards, "--decide", "membership=2h", "--decide", "engine=0,66.6%")
    genesis = Genesis.decode((tmp_path / "founded" / "genesis.bin").read_bytes())
    shown = [(item.topic, item.threshold_bp, item.wait_ms) for item in genesis.policies]
    assert shown == [("engine", 6660, 0), ("membership", 6666, 7_200_000)]
    table = run("genesis", "show", tmp_path / "founded" / "genesis.bin").stdout
    assert "membership  6666" in table


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("membershp=2h", "did you mean membership?"),
        ("zzz=2h", "there are"),
        ("keys=soon", "'soon' is no time"),
        ("keys=+1h", "'+1h' is no time"),
        ("keys=1h,most", "'most' is no share"),
        ("keys=1h,49%", "threshold_bp must be"),
        ("keys=91d", "wait_ms is at most"),
    ],
)
def test_a_decision_rule_that_cannot_be_is_refused(cards, create, word, said):
    assert said in create(*cards, "--decide", word, exit_code=2).output


def test_a_topic_is_decided_one_way(cards, create):
    twice = ("--decide", "keys=1h", "--decide", "keys=2h")
    assert "given twice" in create(*cards, *twice, exit_code=2).output
