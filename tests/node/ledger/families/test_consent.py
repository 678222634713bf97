"""Family consent: every refusal, every bound, and what the stories do not tell."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consensus import wire
from node.ledger.asking import PAGE_MAX
from node.ledger.facts import consent_rows as rows
from node.ledger.facts import consent_terms, consent_words
from node.ledger.facts.consent_delegates import DELEGATES_EVER_MAX, MAJORITY_GRID_MS
from node.ledger.facts.consent_match import Data, releases
from node.ledger.facts.consent_rows import LAWS_MAX, OPEN_MAX, ConsentRow
from node.ledger.facts.consent_rule import (
    EXEMPTIONS_MAX,
    ITEMS_MAX,
    TIME_MS_MAX,
    Exemption,
    Named,
    Rule,
    Scope,
)
from node.ledger.facts.consents import Request, evaluate
from node.ledger.facts.words import PURPOSES
from node.ledger.families import consent, consent_law, consent_proxy
from node.ledger.families.consent import Amend, Grant, OptIn, OptOut, Revoke
from node.ledger.families.consent_law import Preempt, Publish, Unpreempt
from node.ledger.families.consent_proxy import Delegate, Undelegate
from node.ledger.families.identity_patient import Bind
from node.ledger.questions.consent import May, Who
from node.ledger.state import VALUE_BYTES_MAX
from node.ledger.transaction import Op
from tests.support.story import START_MS, Rules, founded, named, person

ANNA = named("anna")
DAY = 86_400_000
STORIES = Path(__file__).resolve().parents[3] / "stories"


def cid(number: int) -> bytes:
    return named(f"consent {number}", 16)


class Ledger(Rules):
    """A network with one patient, Anna, of hospital-a."""

    def __init__(self) -> None:
        super().__init__()
        words = "clinic-b:author court:regulator hospital-a:author,custodian uni-r:research"
        self.found(founded(words.split()))
        bound = Bind(ANNA, person("anna").public_key, named("seal"), 2)
        assert self.do("hospital-a", "identity.patient.bind", bound, "anna") == "applied"

    def do(self, org: str, kind: str, body: Any, *signers: str) -> str:
        op = Op(kind, wire.to_value(body))
        return self.act(org, op, [person(name) for name in signers])

    def grant(self, number: int, rule: Rule) -> str:
        return self.do("clinic-b", "consent.grant", Grant(cid(number), ANNA, rule), "anna")

    def may(self, purpose: str = "TREAT", org: str = "clinic-b", **more: Any) -> str:
        request = Request(ANNA, "hospital-a", org, purpose, **more)
        done = evaluate(self.get, request, time_ms=self.time_ms, height=self.height)
        return f"{done.reason} {'yes' if done.permit else 'no'}"


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


# --- bounds that only many operations reach --------------------------------------------------


def test_expired_consents_make_room_and_then_the_list_is_full(ledger: Ledger) -> None:
    brief = Scope(until_ms=ledger.time_ms + DAY)
    for number in range(OPEN_MAX):
        rule = Rule(True, brief) if number == 3 else Rule(True, Scope(orgs=("uni-r",)))
        assert ledger.grant(number, rule) == "applied"
    assert ledger.grant(OPEN_MAX, Rule(False)) == "consent-list-full"
    ledger.later(DAY)
    assert ledger.grant(OPEN_MAX, Rule(False)) == "applied"
    assert ledger.grant(OPEN_MAX + 1, Rule(False)) == "consent-list-full"
    amended = Amend(cid(3), 1, Rule(True))
    assert ledger.do("clinic-b", "consent.amend", amended, "anna") == "consent-closed"
    page = ledger.ask("consent.list", {"subject": ANNA.hex(), "start": 2, "limit": 2})
    assert [item["status"] for item in page["consents"]] == ["active", "expired"]
    assert (page["count"], page["next"]) == (OPEN_MAX + 1, 4)


def test_a_patient_has_so_many_delegates_ever(ledger: Ledger) -> None:
    body = Delegate(ANNA, named("friend"), "attorney", ("revoke",))
    gone = Undelegate(ANNA, named("friend"))
    for _ in range(DELEGATES_EVER_MAX):
        assert ledger.do("clinic-b", "consent.delegate", body, "anna") == "applied"
        assert ledger.do("clinic-b", "consent.undelegate", gone, "anna") == "applied"
    assert ledger.do("clinic-b", "consent.delegate", body, "anna") == "consent-proxy-full"


def test_a_purpose_has_so_many_law_versions_ever(ledger: Ledger) -> None:
    for _ in range(LAWS_MAX):
        assert ledger.do("court", "consent.preempt", Preempt("act", True, ("TREAT",))) == (
            "applied"
        )
    more = Preempt("act", True, ("TREAT",))
    assert ledger.do("court", "consent.preempt", more) == "consent-laws-full"
    assert ledger.do("court", "consent.unpreempt", Unpreempt("act")) == "applied"
    page = ledger.ask("consent.laws", {"purpose": "TREAT", "start": LAWS_MAX - 1})
    assert [(item["now"], item["law"]["version"]) for item in page["laws"]] == [
        (False, LAWS_MAX)
    ]


def test_every_refusal_is_told_in_a_story_or_here() -> None:
    told = "".join(path.read_text() for path in STORIES.glob("consent*.story"))
    told += Path(__file__).read_text()
    results = consent.RESULTS + consent_proxy.RESULTS + consent_law.RESULTS
    assert [result.code for result in results if result.code not in told] == []
    assert all(250 <= result.number < 300 for result in results)


def test_the_largest_rule_fits_into_a_row() -> None:
    org = "o" * 61
    full = Scope(
        orgs=tuple(f"{org}{number:02}" for number in range(ITEMS_MAX)),
        roles=("author", "custodian", "dispenser", "ethics", "laboratory", "manufacturer"),
        practitioners=tuple(bytes([number]) * 32 for number in range(ITEMS_MAX)),
        purposes=PURPOSES,
        classes=tuple(range(240, 256)),
        labels=("ETH", "HIV", "N", "PSY", "R", "SDV", "SEX", "V"),
        named=tuple(Named("authoredby", bytes([n]) * 32) for n in range(ITEMS_MAX)),
        data_from_ms=TIME_MS_MAX - 1,
        data_until_ms=TIME_MS_MAX,
        from_ms=TIME_MS_MAX - 1,
        until_ms=TIME_MS_MAX,
    )
    rule = Rule(True, full, (Exemption(True, full),) * EXEMPTIONS_MAX)
    row = ConsentRow(
        cid(0), 1, rule, "signed", ANNA, org, ANNA, org, ANNA, 1, 1, 1, 1, 1, "", ANNA
    )
    assert len(wire.encode(row)) < VALUE_BYTES_MAX


# --- bodies ----------------------------------------------------------------------------------

BAD: list[tuple[str, Callable[[], object]]] = [
    ("cid", lambda: Grant(ANNA, ANNA, Rule(True))),
    ("subject", lambda: Grant(cid(1), b"", Rule(True))),
    ("how", lambda: Grant(cid(1), ANNA, Rule(True), "word of mouth")),
    ("source", lambda: Grant(cid(1), ANNA, Rule(True), "ink")),
    ("source", lambda: Grant(cid(1), ANNA, Rule(True), "ink", b"short")),
    ("policy", lambda: Grant(cid(1), ANNA, Rule(True), policy="Not a name")),
    ("policy", lambda: Amend(cid(1), 1, Rule(True), policy="Not a name")),
    ("cid", lambda: Amend(b"", 1, Rule(True))),
    ("cid", lambda: Revoke(b"")),
    ("source", lambda: Revoke(cid(1), "proxy")),
    ("scope", lambda: OptOut(ANNA, "all")),
    ("subject", lambda: OptIn(b"", "whole")),
    ("exemptions", lambda: Rule(True, Scope(), (Exemption(True, Scope()),) * 17)),
    ("orgs", lambda: Scope(orgs=("b", "a"))),
    ("orgs", lambda: Scope(orgs=("Not An Id",))),
    ("orgs: at most", lambda: Scope(orgs=tuple(f"o{number:02}" for number in range(17)))),
    ("roles", lambda: Scope(roles=("king",))),
    ("practitioner", lambda: Scope(practitioners=(b"short",))),
    ("purpose", lambda: Scope(purposes=("FUN",))),
    ("label", lambda: Scope(labels=("TABOO",))),
    ("class", lambda: Scope(classes=(256,))),
    ("named", lambda: Scope(named=(Named("instance", ANNA),) * 2)),
    ("meaning", lambda: Named("like", ANNA)),
    ("commitment", lambda: Named("instance", b"")),
    ("data period", lambda: Scope(data_from_ms=2, data_until_ms=2)),
    ("period", lambda: Scope(from_ms=3, until_ms=2)),
    ("period", lambda: Scope(until_ms=TIME_MS_MAX + 1)),
    ("key", lambda: Delegate(ANNA, b"", "attorney", ("grant",))),
    ("kind", lambda: Delegate(ANNA, ANNA, "neighbour", ("grant",))),
    ("may do something", lambda: Delegate(ANNA, ANNA, "attorney", ())),
    ("deed", lambda: Delegate(ANNA, ANNA, "attorney", ("sing",))),
    ("until_ms", lambda: Delegate(ANNA, ANNA, "attorney", ("grant",), TIME_MS_MAX + 1)),
    ("91 days", lambda: Delegate(ANNA, ANNA, "parent", ("grant",))),
    ("91 days", lambda: Delegate(ANNA, ANNA, "parent", ("grant",), MAJORITY_GRID_MS + 1)),
    ("document", lambda: Undelegate(ANNA, ANNA, b"")),
    ("policy", lambda: Publish("Not a name", "basis", ANNA)),
    ("kind", lambda: Publish("p", "hint", ANNA)),
    ("has a default", lambda: Publish("p", "overarching", ANNA)),
    ("default", lambda: Publish("p", "overarching", ANNA, "maybe")),
    ("only an overarching", lambda: Publish("p", "basis", ANNA, "deny")),
    ("glass", lambda: Publish("p", "overarching", ANNA, "deny", ("window",))),
    ("law", lambda: Preempt("Not a name", True, ("TREAT",))),
    ("purposes", lambda: Preempt("law", True, ())),
    ("custodians", lambda: Preempt("law", True, ("TREAT",), ("Not An Id",))),
    ("roles", lambda: Preempt("law", True, ("TREAT",), roles=("king",))),
    ("ends before", lambda: Preempt("law", True, ("TREAT",), from_ms=5, until_ms=5)),
    ("year 9999", lambda: Preempt("law", True, ("TREAT",), from_ms=TIME_MS_MAX + 1)),
    ("law", lambda: Unpreempt("Not a name")),
    ("labels", lambda: Request(ANNA, "a", "b", "TREAT", labels=("N", "HIV"))),
    ("data_class", lambda: Request(ANNA, "a", "b", "TREAT", 256)),
    ("institution ids", lambda: Request(ANNA, "a", "B C", "TREAT")),
    ("together", lambda: May(ANNA, "b", "TREAT", at_height=3)),
    ("purpose", lambda: May(ANNA, "b", "FUN")),
    ("orgs", lambda: Who(ANNA, ("o",) * (PAGE_MAX + 1))),
]


@pytest.mark.parametrize(
    ("what", "make"), BAD, ids=[f"{place} {what}" for place, (what, _) in enumerate(BAD)]
)
def test_a_body_out_of_bounds_is_refused_by_name(what: str, make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=what):
        make()


# --- what the rules say ----------------------------------------------------------------------


def test_a_consent_of_the_same_block_as_its_end_was_never_in_force(ledger: Ledger) -> None:
    assert ledger.grant(1, Rule(True)) == "applied"
    granted = ledger.height
    gone = Revoke(cid(1))
    assert ledger.do("clinic-b", "consent.revoke", gone, "anna") == "applied"
    assert rows.version_at(ledger.get, cid(1), granted - 1) is None
    assert rows.version_at(ledger.get, cid(1), granted) is not None
    assert rows.version_at(ledger.get, cid(1), granted + 1) is None


def test_a_permit_of_the_whole_stands_before_a_more_specific_one_of_a_part(
    ledger: Ledger,
) -> None:
    ledger.grant(1, Rule(True))
    ledger.grant(2, Rule(True, Scope(orgs=("clinic-b",), classes=(3,))))
    request = Request(ANNA, "hospital-a", "clinic-b", "TREAT")
    done = evaluate(ledger.get, request, time_ms=ledger.time_ms, height=ledger.height)
    assert (done.basis, done.residual) == (cid(1), ())


def test_two_permits_of_parts_release_both_parts(ledger: Ledger) -> None:
    ledger.grant(1, Rule(True, Scope(classes=(3,))))
    ledger.grant(2, Rule(True, Scope(classes=(4,))))
    request = Request(ANNA, "hospital-a", "clinic-b", "TREAT")
    done = evaluate(ledger.get, request, time_ms=ledger.time_ms, height=ledger.height)
    passed = [
        number
        for number in (3, 4, 5)
        if releases(done.residual, Data(number, ("N",), 1, 2, ()))
    ]
    assert passed == [3, 4]


def test_an_order_about_one_patient_stands_before_a_law_for_all(ledger: Ledger) -> None:
    for law in (
        Preempt("order", True, ("TREAT",), subject=ANNA),
        Preempt("act", False, ("TREAT",)),
    ):
        assert ledger.do("court", "consent.preempt", law) == "applied"
    assert ledger.may() == "law-preempts yes"


def test_a_law_that_forbids_a_part_limits_every_permit(ledger: Ledger) -> None:
    ledger.grant(1, Rule(True))
    ledger.do("court", "consent.preempt", Preempt("act", False, ("TREAT",), classes=(3,)))
    request = Request(ANNA, "hospital-a", "clinic-b", "TREAT")
    done = evaluate(ledger.get, request, time_ms=ledger.time_ms, height=ledger.height)
    passed = [n for n in (3, 4) if releases(done.residual, Data(n, ("N",), 1, 2, ()))]
    assert (done.permit, passed) == (True, [4])


@pytest.mark.parametrize("scope", ["primary", "secondary", "whole"])
def test_an_opt_out_stops_its_purposes_and_no_other(ledger: Ledger, scope: str) -> None:
    ledger.grant(1, Rule(True))
    ledger.do("clinic-b", "consent.optout", OptOut(ANNA, scope), "anna")
    stopped = [item for item in PURPOSES if ledger.may(item) == "patient-opted-out no"]
    wanted = {
        "primary": ["BTG", "ETREAT", "HOPERAT", "HPAYMT", "TREAT"],
        "secondary": ["HQUALIMP", "HRESCH", "PUBHLTH"],
        "whole": list(PURPOSES),
    }
    assert stopped == wanted[scope]


def test_data_of_another_institution_is_not_decided_by_this_subject(ledger: Ledger) -> None:
    request = Request(ANNA, "clinic-b", "uni-r", "TREAT")
    done = evaluate(ledger.get, request, time_ms=ledger.time_ms, height=ledger.height)
    assert done.reason == "not-custodian"
    nobody = Request(named("nobody"), "clinic-b", "uni-r", "TREAT")
    done = evaluate(ledger.get, nobody, time_ms=ledger.time_ms, height=ledger.height)
    assert done.reason == "no-such-subject"
    early = Request(ANNA, "hospital-a", "uni-r", "TREAT")
    assert evaluate(ledger.get, early, time_ms=START_MS, height=0).reason == "no-such-subject"


def test_the_same_operations_make_the_same_state() -> None:
    def play() -> dict[bytes, bytes]:
        made = Ledger()
        made.grant(1, Rule(True, Scope(orgs=("uni-r",))))
        made.do("clinic-b", "consent.optout", OptOut(ANNA, "primary"), "anna")
        return made.state

    assert play() == play()


def test_the_whole_picture_is_paged(ledger: Ledger) -> None:
    ledger.grant(1, Rule(True, Scope(roles=("research",), practitioners=(named("dr"),))))
    lines, start = [], 0
    while start is not None:
        page = ledger.ask("consent.who", {"subject": ANNA.hex(), "start": start, "limit": 7})
        lines += page["lines"]
        start = page["next"]
    assert len(lines) == 3 * len(PURPOSES)  # the role, the practitioner, anybody else
    allowed = {(line["role"], line["practitioner"]) for line in lines if line["permit"]}
    assert allowed == {("research", None), (None, named("dr").hex())}


# --- words -----------------------------------------------------------------------------------


def test_there_are_words_for_every_code_in_both_languages() -> None:
    tables = (
        (consent_words.REASON_WORDS, consent_terms.REASONS),
        (consent_words.VERDICT_WORDS, consent_terms.VERDICTS),
        (consent_words.PURPOSE_WORDS, PURPOSES),
    )
    for table, codes in tables:
        assert list(table) == list(codes)
        for english, chinese in table.values():
            assert english.isascii()
            assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese)


def test_a_decision_is_told_in_whole_sentences() -> None:
    told = consent_words.sentences(permit=True, reason="patient-permits", limited=True)
    assert told[0] == "Yes, but only for a part of the data. The patient has said yes."
    assert told[1].endswith("患者已同意。")
