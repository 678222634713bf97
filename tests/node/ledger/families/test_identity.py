"""Family identity: what stories do not reach, bounds of bodies, and what always holds."""

import dataclasses
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import wire
from node.ledger import registry, transaction
from node.ledger.facts import people
from node.ledger.facts.directory import VOICES_OF_ONE_MAX
from node.ledger.families import (
    identity_device,
    identity_directory,
    identity_firmware,
    identity_key,
    identity_link,
    identity_patient,
    identity_practitioner,
)
from node.ledger.genesis import Institution
from node.ledger.state import SignerRow, institution_key, load_from, signer_key
from node.ledger.transaction import Op, Payload
from tests.support.script import run_script
from tests.support.story import START_MS, Rules, Story, founded, named, person

MODULES = (
    identity_device,
    identity_directory,
    identity_firmware,
    identity_key,
    identity_link,
    identity_patient,
    identity_practitioner,
)
STORIES = Path(__file__).resolve().parents[3] / "stories"
DAY = 86_400_000
MODEL = "00312345678906"
NETWORK = ("hospital-a:author,custodian", "clinic-b:author", "maker-m:manufacturer")


def network() -> Rules:
    rules = Rules()
    rules.found(founded([*NETWORK, "payer-d:payer", "regulator-r:regulator"]))
    return rules


def act(rules: Rules, org: str, verb: str, /, *cosigners: str, **fields: Any) -> str:
    """Emit one operation as ``org`` and return its result's code."""
    body = registry.OPERATIONS[verb].body(**fields)
    signers = [person(name) for name in cosigners]
    return rules.act(org, Op(verb, wire.to_value(body)), signers)


def key(name: str) -> bytes:
    return person(name).public_key


def ask(rules: Rules, name: str, **params: Any) -> Any:
    question = registry.QUESTIONS[name]
    return question.ask(rules, question.params(**params))


def add_key(rules: Rules, name: str) -> str:
    return act(rules, "hospital-a", "identity.key.add", name, new_key=key(name))


def bind(rules: Rules, subject: str, phone: str) -> str:
    return act(
        rules,
        "hospital-a",
        "identity.patient.bind",
        phone,
        subject=named(subject),
        sign_key=key(phone),
        seal_key=named("box"),
        level=2,
    )


# --- every refusal ----------------------------------------------------------------------------


def test_an_institution_has_room_for_so_many_keys_and_no_more():
    rules = network()
    codes = [add_key(rules, f"k{number}") for number in range(8)]
    assert codes == ["applied"] * 7 + ["identity-key-full"]
    overlapping = act(
        rules,
        "hospital-a",
        "identity.key.rotate",
        "k9",
        old_key=key("hospital-a/identity"),
        new_key=key("k9"),
        overlap_ms=1000,
    )
    assert overlapping == "identity-key-full"
    # At once the number stays the same, so there is room.
    assert (
        act(
            rules,
            "hospital-a",
            "identity.key.rotate",
            "k9",
            old_key=key("hospital-a/identity"),
            new_key=key("k9"),
        )
        == "applied"
    )


def test_a_sealing_key_that_the_members_set_by_vote_can_be_replaced():
    rules = network()
    place = institution_key("hospital-a")
    assert add_key(rules, "k1") == "applied"  # the list of keys begins
    row = load_from(rules.get, Institution, place)
    assert row is not None
    rules.state[place] = wire.encode(dataclasses.replace(row, encryption_key=named("vote")))
    new = named("box")
    assert act(rules, "hospital-a", "identity.key.seal", new_key=new) == "applied"
    assert load_from(rules.get, Institution, place) == dataclasses.replace(
        row, encryption_key=new
    )


def test_a_licence_whose_status_changed_too_often_can_still_be_ended():
    rules = network()
    licence = named("licence")
    act(
        rules,
        "hospital-a",
        "identity.practitioner.issue",
        licence=licence,
        profession="nurse",
        from_ms=START_MS,
        until_ms=START_MS + DAY,
    )
    kinds = itertools.cycle(["suspend", "resume"])
    codes = [
        act(rules, "hospital-a", "identity.practitioner.status", licence=licence, change=kind)
        for kind in itertools.islice(kinds, identity_practitioner.CHANGES_MAX)
    ]
    assert codes[-2:] == ["applied", "identity-licence-full"]
    ended = act(
        rules, "hospital-a", "identity.practitioner.status", licence=licence, change="end"
    )
    assert ended == "applied"


def test_a_binding_that_changed_too_often_can_still_be_recovered_and_ended(monkeypatch):
    monkeypatch.setattr(identity_patient, "CHANGES_MAX", 2)
    rules = network()
    subject = named("anna")
    bind(rules, "anna", "phone")
    guard = {"subject": subject, "guardians": (key("son"),), "needed": 1}
    codes = [
        act(rules, "hospital-a", "identity.patient.guard", "phone", **guard) for _ in range(2)
    ]
    assert codes == ["applied", "identity-patient-full"]
    new = {"subject": subject, "sign_key": key("new"), "seal_key": named("box")}
    recovered = act(rules, "hospital-a", "identity.patient.recover", "new", "son", **new)
    assert recovered == "applied"
    assert act(rules, "hospital-a", "identity.patient.end", subject=subject) == "applied"


def test_one_member_is_heard_so_often_about_a_fact_and_then_no_more():
    rules = network()
    fact = named("fact")
    asserted = {"fact": fact, "kind": "telephone", "digest": named("page"), "days": 9}
    act(
        rules,
        "clinic-b",
        "identity.directory.assert",
        about="clinic-b",
        value="+4930123456",
        **asserted,
    )
    codes = [
        act(rules, "payer-d", "identity.directory.challenge", fact=fact, days=1)
        for _ in range(VOICES_OF_ONE_MAX + 1)
    ]
    assert codes == ["applied"] * VOICES_OF_ONE_MAX + ["identity-fact-full"]
    other = act(rules, "hospital-a", "identity.directory.attest", fact=fact, days=1)
    assert other == "applied"


def test_every_result_is_reached_by_a_story_or_here():
    told = " ".join(path.read_text() for path in STORIES.glob("identity-*.story"))
    told += Path(__file__).read_text()
    reached = set(re.findall(r"^identity-[a-z-]+$|\"(identity-[a-z-]+)\"", told, re.MULTILINE))
    reached |= set(re.findall(r"^identity-[a-z-]+$", told, re.MULTILINE))
    results = {result.code for module in MODULES for result in module.RESULTS}
    assert len(results) == 50
    assert results - reached == set()


# --- bodies -----------------------------------------------------------------------------------

H32, T16 = bytes(32), bytes(16)
BAD = [
    ("identity.key.add", {"new_key": bytes(31)}),
    ("identity.key.rotate", {"old_key": H32, "new_key": bytes(33)}),
    ("identity.key.rotate", {"old_key": H32, "new_key": H32, "overlap_ms": 91 * DAY}),
    ("identity.key.guard", {"guardians": ("a",), "needed": 1}),
    ("identity.key.guard", {"guardians": ("a", "a"), "needed": 2}),
    ("identity.key.guard", {"guardians": ("a", "b"), "needed": 1}),
    ("identity.key.guard", {"guardians": ("a", "b"), "needed": 3}),
    ("identity.key.guard", {"guardians": tuple("abcdefgh"), "needed": 7}),
    ("identity.key.guard", {"guardians": ("a", "B!"), "needed": 2}),
    ("identity.key.recover", {"org": "no such org", "new_key": H32}),
    (
        "identity.practitioner.issue",
        {"licence": H32, "profession": "wizard", "from_ms": 1, "until_ms": 2},
    ),
    (
        "identity.practitioner.issue",
        {"licence": H32, "profession": "nurse", "from_ms": 2, "until_ms": 2},
    ),
    (
        "identity.practitioner.issue",
        {"licence": H32, "profession": "nurse", "from_ms": 0, "until_ms": 60 * 366 * DAY},
    ),
    ("identity.practitioner.status", {"licence": H32, "change": "praise"}),
    ("identity.practitioner.status", {"licence": H32, "change": "end", "reason": b"fraud"}),
    (
        "identity.patient.bind",
        {"subject": H32, "sign_key": H32, "seal_key": H32, "level": 4},
    ),
    (
        "identity.patient.bind",
        {"subject": b"anna", "sign_key": H32, "seal_key": H32, "level": 1},
    ),
    ("identity.patient.guard", {"subject": H32, "guardians": (H32,), "needed": 0}),
    ("identity.patient.guard", {"subject": H32, "guardians": (H32, H32), "needed": 1}),
    ("identity.patient.guard", {"subject": H32, "guardians": (), "needed": 1}),
    ("identity.patient.link", {"link": H32}),
    ("identity.patient.link", {"link": H32, "subject": H32, "other": "a"}),
    ("identity.patient.link", {"link": H32, "other": "A B"}),
    (
        "identity.device.firmware",
        {"model": "pump of anna", "firmware": H32, "version": "1.0", "sbom": H32},
    ),
    (
        "identity.device.firmware",
        {"model": MODEL, "firmware": H32, "version": "the good one", "sbom": H32},
    ),
    ("identity.device.assign", {"device": H32, "tag": H32}),
    ("identity.device.quarantine", {"model": MODEL}),
    ("identity.device.quarantine", {"model": MODEL, "firmware": H32, "device": H32}),
    ("identity.device.quarantine", {}),
    ("identity.device.quarantine", {"device": H32, "advisory": "see attached"}),
    (
        "identity.device.advisory",
        {"advisory": "CVE-1", "models": (MODEL,), "firmwares": (), "severity": "low",
         "text": H32},
    ),
    (
        "identity.device.advisory",
        {"advisory": "7", "models": (), "firmwares": (), "severity": "low", "text": H32},
    ),
    (
        "identity.device.advisory",
        {"advisory": "7", "models": (MODEL, MODEL), "firmwares": (), "severity": "low",
         "text": H32},
    ),
    (
        "identity.device.advisory",
        {"advisory": "7", "models": (MODEL,), "firmwares": (), "severity": "awful",
         "text": H32},
    ),
]  # fmt: skip
FACT = {"fact": H32, "digest": H32, "days": 1}
BAD += [
    ("identity.directory.assert", {**FACT, "kind": "address", "about": "a"}),
    ("identity.directory.assert", {**FACT, "kind": "gossip", "about": "a", "value": "x"}),
    (
        "identity.directory.assert",
        {**FACT, "kind": "address", "about": "a", "value": "Anna, 3rd floor"},
    ),
    ("identity.directory.assert", {**FACT, "kind": "specialty"}),
    ("identity.directory.assert", {**FACT, "kind": "address", "licence": H32}),
    (
        "identity.directory.assert",
        {**FACT, "kind": "specialty", "licence": H32, "value": "394609007"},
    ),
    (
        "identity.directory.assert",
        {**FACT, "days": 401, "kind": "network-status", "about": "a", "value": "in"},
    ),
    ("identity.directory.attest", {"fact": H32, "days": 0}),
]


@pytest.mark.parametrize(("kind", "fields"), BAD)
def test_a_body_out_of_bounds_is_no_body(kind: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is |are |must |name|at most|for 50|has no"):
        registry.OPERATIONS[kind].body(**fields)


def test_no_text_goes_onto_the_ledger_that_no_pattern_holds() -> None:
    """Every str of every body is refused when it is a sentence about a person."""
    tried = set()
    for module in MODULES:
        for operation in module.OPERATIONS:
            fields = dataclasses.fields(operation.body)
            for field in fields:
                if field.type in (str, str | None):
                    given = {item.name: sample(item) for item in fields}
                    given[field.name] = "Anna Smith has HIV"
                    with pytest.raises(ValueError, match=field.name):
                        operation.body(**given)
                    tried.add((operation.body.__name__, field.name))
    assert len(tried) == 14


def sample(field: "dataclasses.Field[Any]") -> Any:
    """Return something for a field; texts are what they should be."""
    words = {"change": "end", "profession": "nurse", "org": "a", "other": "a", "model": MODEL}
    words |= {"version": "1", "severity": "low", "kind": "network-status", "value": "in"}
    if field.name in words:
        return words[field.name]
    if field.type in (str, str | None):
        return "7" if field.name == "advisory" else "a"
    return {int: 1, bytes: H32}.get(field.type, None if "None" in str(field.type) else ())


# --- keys: an institution can always sign -----------------------------------------------------

NAMES = ("hospital-a/identity", "k1", "k2", "k3")
MOVES = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(NAMES)),
    st.tuples(st.just("revoke"), st.sampled_from(NAMES)),
    st.tuples(st.just("rotate"), st.sampled_from(NAMES), st.sampled_from(NAMES), st.booleans()),
    st.tuples(st.just("later"), st.integers(1, 5)),
)


def move(rules: Rules, step: tuple[Any, ...], author: str) -> None:
    match step:
        case ("add", name):
            body: object = identity_key.Add(key(name))
            cosigners = [name]
        case ("revoke", name):
            body, cosigners = identity_key.Revoke(key(name)), []
        case ("rotate", old, new, overlap):
            body = identity_key.Rotate(key(old), key(new), 2 * DAY if overlap else 0)
            cosigners = [old, new]
        case _:
            rules.later(step[1] * DAY)
            return
    signers = [person(name) for name in dict.fromkeys(cosigners) if name != author]
    op = Op(f"identity.key.{step[0]}", wire.to_value(body))
    act_as(rules, author, op, signers)


def act_as(rules: Rules, author: str, op: Op, signers: Sequence[Any]) -> str:
    """Act for the hospital with the key of that name as the author's."""
    nonce = next(rules._leaf).to_bytes(8, "big")
    payload = Payload(rules.network, "hospital-a", rules.height + 1000, nonce, (op,))
    raw = transaction.sign(payload, person(author), *signers)
    return rules.block([transaction.parse(raw)])[0]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(MOVES, st.sampled_from(NAMES)), max_size=14))
def test_whatever_is_done_with_keys_the_institution_can_sign(steps: list[Any]) -> None:
    rules = network()
    for step, author in steps:
        move(rules, step, author)
    state = ask(rules, "identity.key.history", org="hospital-a").keys
    signing = {item.key for item in state if item.use == "sign" and item.in_force}
    rows = {name: load_from(rules.get, SignerRow, signer_key(key(name))) for name in NAMES}
    can_sign = {key(name) for name, row in rows.items() if row is not None}
    assert signing == can_sign  # history and what execution goes by agree
    assert any(item.retires_ms is None for item in state if item.key in signing)
    own = load_from(rules.get, Institution, institution_key("hospital-a"))
    assert own is not None
    assert own.identity_key in can_sign
    for item in state:  # what ended stays ended, and an interval is one
        assert (item.until_height is None) == (item.status == "active")
        assert item.until_height is None or item.from_height <= item.until_height


# --- clocks on a network where nothing happens ------------------------------------------------


def test_a_licence_is_over_by_the_clock_though_its_alarm_has_not_fired():
    rules = network()
    licence = named("licence")
    until_ms = START_MS + DAY
    act(
        rules,
        "hospital-a",
        "identity.practitioner.issue",
        licence=licence,
        profession="nurse",
        from_ms=START_MS,
        until_ms=until_ms,
    )
    asked = {"name": "identity.practitioner.valid", "licence": licence}
    assert ask(rules, **asked).valid
    rules.time_ms = until_ms  # the time of a last block whose alarms are still to come
    assert ask(rules, **asked).status == "expired"
    assert not ask(rules, **asked).valid
    assert not ask(rules, **asked, at_ms=until_ms).valid
    assert ask(rules, **asked, at_ms=until_ms - 1).valid
    row = people.practitioner(rules.get, licence)
    assert row is not None
    assert people.licensed(row, until_ms - 1)
    assert not people.licensed(row, until_ms)
    assert not people.licensed(None, until_ms)


def test_what_other_families_ask_about_a_device_follows_quarantines():
    rules = network()
    firmware, device = named("firmware"), named("device")
    act(
        rules,
        "maker-m",
        "identity.device.firmware",
        model=MODEL,
        firmware=firmware,
        version="1",
        sbom=H32,
    )
    assert not people.device_usable(rules.get, device)
    act(
        rules,
        "maker-m",
        "identity.device.register",
        "pump",
        device=device,
        model=MODEL,
        sign_key=key("pump"),
        firmware=firmware,
        serial=H32,
        data_classes=(1,),
    )
    assert people.device_usable(rules.get, device)
    target = {"model": MODEL, "firmware": firmware}
    act(rules, "regulator-r", "identity.device.quarantine", **target)
    assert people.firmware_quarantined(rules.get, MODEL, firmware)
    assert not people.device_usable(rules.get, device)
    act(rules, "regulator-r", "identity.device.clear", **target)
    assert not people.firmware_quarantined(rules.get, MODEL, firmware)
    assert people.device_usable(rules.get, device)
    act(rules, "maker-m", "identity.device.retire", device=device)
    assert people.device_refusal(rules.get, people.device(rules.get, device)) == "ended"


def test_pages_of_affected_devices_leave_none_out_and_show_none_twice():
    rules = network()
    models = ("AAAAAA", "BBBBBB")
    for model in models:
        act(
            rules,
            "maker-m",
            "identity.device.firmware",
            model=model,
            firmware=named("firmware"),
            version="1",
            sbom=H32,
        )
        for number in range(3):
            name = f"{model.lower()}-{number}"
            act(
                rules,
                "maker-m",
                "identity.device.register",
                name,
                device=named(name),
                model=model,
                sign_key=key(name),
                firmware=named("firmware"),
                serial=H32,
                data_classes=(),
            )
    advisory = {"advisory": "7", "models": models, "firmwares": (), "severity": "low"}
    act(rules, "regulator-r", "identity.device.advisory", text=H32, **advisory)
    asked = {"name": "identity.advisory.affected", "org": "regulator-r", "advisory": "7"}
    whole = [item.device for item in ask(rules, **asked).devices]
    assert len(set(whole)) == 6
    for limit in (1, 2, 4, 5, 6, 0):
        found, start = [], 0
        while start is not None:
            answer = ask(rules, **asked, start=start, limit=limit)
            found += [item.device for item in answer.devices]
            start = answer.next
        assert found == whole


@pytest.mark.parametrize("path", sorted(STORIES.glob("identity-*.story")), ids=str)
def test_a_story_told_twice_leaves_the_same_state(path: Path) -> None:
    worlds = [Rules(), Rules()]
    for world in worlds:
        run_script(path, Story(world).line)
    assert worlds[0].state == worlds[1].state
