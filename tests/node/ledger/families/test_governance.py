"""Family governance: every refusal, the arithmetic of votes, bounds of bodies."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import wire
from node.ledger.facts import governance as facts
from node.ledger.facts import governance_effects
from node.ledger.facts.features import OPEN_OF_ONE_MAX
from node.ledger.facts.governance_bodies import Document, Limits, Propose, Roles
from node.ledger.families import governance, governance_incident
from node.ledger.families.governance import OPEN_MAX, Name, Vote
from node.ledger.families.governance_incident import Basis, Close, Report, Update
from node.ledger.families.identity_link import Link
from node.ledger.genesis import Institution
from node.ledger.policies import Policy
from node.ledger.transaction import Op
from tests.support.story import Rules, founded, institution, named, person

DAY_MS = facts.DAY_MS
KINDS = {
    Propose: "governance.propose",
    Vote: "governance.vote",
    Report: "governance.incident.report",
    Update: "governance.incident.update",
    Close: "governance.incident.close",
    Basis: "governance.legalbasis",
}


class Play:
    """Three founders that vote; remembers every code that was answered."""

    def __init__(self) -> None:
        self.world = Rules()
        self.world.found(founded(["alder:author", "birch:author", "cedar:author"]))
        self.seen: set[str] = set()

    def act(self, org: str, body: Any, kind: str = "", signers: tuple[str, ...] = ()) -> str:
        op = Op(kind or KINDS[type(body)], wire.to_value(body))
        code = self.world.act(org, op, [person(name) for name in signers])
        self.seen.add(code)
        return code

    def propose(self, name: str, org: str = "alder", **action: Any) -> str:
        signers = ()
        if "register" in action:
            signers = (f"{action['register'].id}/identity",)
        return self.act(org, Propose(named(name), **action), signers=signers)

    def vote(self, name: str, org: str, *, yes: bool = True) -> str:
        return self.act(org, Vote(named(name), yes))

    def execute(self, name: str, org: str = "alder") -> str:
        return self.act(org, Name(named(name)), "governance.execute")

    def withdraw(self, name: str, org: str = "alder") -> str:
        return self.act(org, Name(named(name)), "governance.withdraw")

    def decide(self, name: str, voters: str = "alder birch cedar", **action: Any) -> str:
        """Propose, vote, wait, execute; return the first code that is no success."""
        steps = [self.propose(name, **action)]
        steps += [self.vote(name, org) for org in voters.split()]
        self.world.later(8 * DAY_MS)
        steps.append(self.execute(name))
        return next((code for code in steps if code != "applied"), "applied")


@pytest.fixture
def play() -> Play:
    return Play()


def newcomer(name: str = "pharmacy") -> Institution:
    return institution(name, ["dispenser"], validator=False)


def test_every_refusal_about_proposals_is_reached(play: Play) -> None:
    assert play.propose("p", roles=Roles("alder", ("payer",))) == "applied"
    assert play.propose("p", suspend="birch") == "governance-proposal-exists"
    assert play.vote("x", "alder") == "governance-proposal-unknown"
    assert play.execute("p") == "governance-threshold-missing"
    assert play.vote("p", "alder") == "applied"
    assert play.vote("p", "alder") == "governance-voted-already"
    assert play.vote("p", "birch") == "applied"
    assert play.execute("p") == "governance-waiting"
    assert play.withdraw("p", "birch") == "governance-not-proposer"
    assert play.withdraw("p") == "applied"
    assert play.execute("p") == "governance-proposal-closed"
    assert play.propose("late", expires_heights_max=200) == "applied"
    assert play.vote("late", "alder") == "applied"
    assert play.vote("late", "birch") == "applied"
    assert play.propose("slow", expires_heights_max=300) == "applied"
    play.world.later(60 * DAY_MS)
    assert play.execute("late") == "governance-execute-late"
    assert play.vote("slow", "alder") == "governance-vote-late"
    assert play.decide("join", register=newcomer()) == "applied"
    assert play.propose("join2", register=newcomer()) == "governance-institution-exists"
    stolen = dataclasses.replace(newcomer("other"), cosigner_key=newcomer().cosigner_key)
    assert play.propose("join2", register=stolen) == "governance-key-taken"
    bare = Propose(named("join2"), register=newcomer("other"))
    assert play.act("alder", bare) == "governance-key-unproven"
    voter = institution("other", ["author"], validator=True)
    assert play.propose("join2", register=voter) == "governance-adds-validator"
    assert play.propose("gone", suspend="nobody") == "governance-institution-unknown"
    assert play.propose("gone", resume="nobody") == "governance-institution-unknown"
    assert play.propose("gone", resume="alder") == "governance-not-suspended"
    assert play.decide("stop", suspend="pharmacy") == "applied"
    assert play.propose("stop2", suspend="pharmacy") == "governance-suspended"
    assert play.propose("v", org="pharmacy", suspend="alder") == "unknown-signer"
    assert play.decide("back", resume="pharmacy") == "applied"
    assert play.propose("v", org="pharmacy", roles=Roles("alder", ())) == "applied"
    assert play.vote("v", "pharmacy") == "governance-not-voter"
    assert play.propose("same", expires_heights_max=100_000) == "governance-nothing-changes"
    document = Document("dpia", 2, named("text"))
    assert play.decide("doc", document=document) == "applied"
    assert play.propose("doc2", document=document) == "governance-document-old"
    assert play.decide("stop3", "alder cedar", suspend="birch") == "applied"
    assert play.propose("stop4", suspend="cedar") == "governance-deadlock"
    for number in range(OPEN_OF_ONE_MAX):
        play.propose(f"n{number}", expires_heights_max=1000 + number)
    assert play.propose("full", expires_heights_max=999) == "governance-proposals-full"
    missing = {item.code for item in governance.RESULTS} - play.seen
    assert missing == {"governance-institutions-full"}


def test_no_more_institutions_than_fit_in_the_list(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(governance_effects, "INSTITUTIONS_MAX", 3)
    assert play.propose("join", register=newcomer()) == "governance-institutions-full"
    assert OPEN_MAX > OPEN_OF_ONE_MAX


def test_every_refusal_about_incidents_is_reached(play: Play) -> None:
    now = play.world.time_ms
    report = Report(named("i"), "integrity", ("gdpr",), "1-499", now, named("r"))
    ahead = dataclasses.replace(report, aware_ms=now + DAY_MS)
    assert play.act("alder", ahead) == "governance-incident-in-future"
    assert play.act("alder", report) == "applied"
    assert play.act("birch", report) == "governance-incident-exists"
    update = Update(named("i"), named("r"), None, ("gdpr-authority",))
    assert play.act("birch", update) == "governance-incident-not-yours"
    other = Update(named("x"), named("r"))
    assert play.act("alder", other) == "governance-incident-unknown"
    wrong = Update(named("i"), named("r"), None, ("hipaa-persons",))
    assert play.act("alder", wrong) == "governance-incident-no-duty"
    end = Close(named("i"), named("r"))
    assert play.act("alder", end) == "governance-incident-duties-open"
    assert play.act("alder", update) == "applied"
    assert play.act("alder", update) == "governance-incident-duty-settled"
    assert play.act("alder", end) == "applied"
    assert play.act("alder", end) == "governance-incident-closed"
    assert play.act("alder", Basis("TREAT", "contract")) == "applied"
    assert play.act("alder", Basis("TREAT", "contract")) == "governance-legalbasis-same"
    missing = {item.code for item in governance_incident.RESULTS} - play.seen
    assert missing == {"governance-incident-full"}


def test_reports_of_one_incident_are_bounded(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(governance_incident, "REPORTS_MAX", 1)
    report = Report(named("i"), "integrity", ("gdpr",), "none", 1, named("r"))
    assert play.act("alder", report) == "applied"
    assert play.act("alder", Update(named("i"), named("r"))) == "governance-incident-full"


def test_a_duty_reported_too_late_is_overdue_at_once(play: Play) -> None:
    long_ago = play.world.time_ms - 4 * DAY_MS
    play.act("alder", Report(named("i"), "integrity", ("gdpr",), "1-499", long_ago, named("r")))
    found = play.world.ask("governance.incidents", {"overdue_only": True})
    assert [item["clocks"][0]["duty"]["overdue"] for item in found["incidents"]] == [True]


def test_a_policy_is_loosened_only_as_strictly_as_its_topic_is_decided(play: Play) -> None:
    easy = Policy("legal", 5_000, 0, DAY_MS, DAY_MS)
    play.propose("easy", policy=easy)
    row = facts.proposal(play.world.get, named("easy"))
    assert row is not None
    assert (row.policy.threshold_bp, row.policy.wait_ms) == (7_500, 7 * DAY_MS)
    strict = Policy("institution", 10_000, 9 * DAY_MS, DAY_MS, DAY_MS)
    play.propose("strict", policy=strict)
    assert play.decide("easy2", policy=Policy("parameters", 5_000, 0, DAY_MS, DAY_MS)) == (
        "applied"
    )
    assert facts.policy(play.world.get, "parameters").wait_ms == 0


def test_the_votes_of_a_suspended_institution_do_not_count(play: Play) -> None:
    play.propose("p", expires_heights_max=500)
    play.vote("p", "birch")
    play.vote("p", "cedar")
    assert play.decide("stop", "alder cedar", suspend="birch") == "applied"
    assert play.execute("p") == "governance-threshold-missing"
    assert play.vote("p", "alder") == "applied"
    assert play.execute("p") == "applied"


def test_the_list_of_institutions_is_complete(play: Play) -> None:
    play.decide("join", register=newcomer("aspen"))
    play.decide("stop", suspend="aspen")
    assert facts.institution_ids(play.world.get) == ("alder", "birch", "cedar", "aspen")


def test_a_suspended_institution_keeps_its_place_in_the_list_of_members(play: Play) -> None:
    assert play.decide("stop", "alder birch", suspend="cedar") == "applied"
    found = play.world.ask("network.members", {})
    assert [item["id"] for item in found["members"]] == ["alder", "birch", "cedar"]
    assert found["suspended"] == ["cedar"]
    assert play.world.ask("network.member", {"org": "cedar"})["suspended"] is True
    assert play.world.ask("network.voters", {})["voters"][2]["id"] == "cedar"


def test_a_suspended_institution_does_not_count_as_a_second_signature(play: Play) -> None:
    play.decide("join", register=newcomer())
    second, kind = ("pharmacy/identity",), "identity.patient.link"
    first = Link(named("l1"), other="pharmacy")
    assert play.act("alder", first, kind, second) == "applied"
    play.decide("stop", suspend="pharmacy")
    refused = play.act("alder", Link(named("l2"), other="pharmacy"), kind, second)
    assert refused == "identity-link-unsigned"
    assert len(play.world.ask("identity.key.of", {"org": "pharmacy"})["keys"]) == 2
    play.decide("back", resume="pharmacy")
    assert play.act("alder", Link(named("l2"), other="pharmacy"), kind, second) == "applied"


@given(count=st.integers(1, 200), share=st.integers(5_000, 10_000))
def test_two_opposite_decisions_never_both_pass(count: int, share: int) -> None:
    votes = facts.needed(count, share)
    assert count < 2 * votes
    assert votes <= count
    assert votes * 10_000 >= count * share


BAD: list[Callable[[], object]] = [
    lambda: Propose(named("p")),
    lambda: Propose(named("p"), suspend="a", resume="b"),
    lambda: Propose(b"short", suspend="a"),
    lambda: Propose(named("p"), suspend="No Org"),
    lambda: Propose(named("p"), expires_heights_max=99),
    lambda: Roles("alder", ("payer", "author")),
    lambda: Roles("alder", ("king",)),
    lambda: Document("novel", 1, None),
    lambda: Document("dpia", 0, None),
    lambda: Document("dpia", 1, b"short"),
    lambda: Policy("legal", 4_999, 0, DAY_MS, DAY_MS),
    lambda: Policy("legal", 5_000, 91 * DAY_MS, DAY_MS, DAY_MS),
    lambda: Policy("legal", 5_000, 0, 1, DAY_MS),
    lambda: Limits(73, 60, 60),
    lambda: Limits(72, 61, 60),
    lambda: Report(named("i"), "theft", ("gdpr",), "none", 0, named("r")),
    lambda: Report(named("i"), "integrity", (), "none", 0, named("r")),
    lambda: Report(named("i"), "integrity", ("gdpr",), "7", 0, named("r")),
    lambda: Update(named("i"), named("r"), None, ("a-duty",)),
    lambda: Update(named("i"), named("r"), None, ("hipaa-persons",), ("hipaa-persons",)),
    lambda: Basis("TREAT", None, "9-2-h"),
    lambda: Basis("TREAT", "whim"),
]


@pytest.mark.parametrize("at", range(len(BAD)))
def test_bodies_out_of_bounds_are_refused(at: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        BAD[at]()
