"""Custody, holds, disputes, erasure and replicas: items of batches, bounds, what cannot be."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import wire
from node.ledger import merkle, registry
from node.ledger.facts import custody, people, sets
from node.ledger.facts.custody import ItemProof
from node.ledger.facts.people import PatientRow
from node.ledger.families import record_custody, record_dispute, record_replica
from node.ledger.families.record import Amend, Anchor, Batch, Retract
from node.ledger.families.record_custody import (
    Confirm,
    Custody,
    Erase,
    Hold,
    Release,
    Retention,
)
from node.ledger.families.record_dispute import Close, Dispute
from node.ledger.families.record_replica import Replica, challenged
from node.ledger.questions.record import Asked, Status
from node.ledger.state import Overlay
from node.ledger.transaction import Op
from tests.support.story import Rules, founded, named, person

ITEMS = [named(f"item-{number}") for number in range(5)]
Act = Callable[..., str]


@pytest.fixture
def rules() -> Rules:
    made = Rules()
    made.found(
        founded(
            ["court:regulator", "other:author", "payer:payer", "store:store", "ward:author"]
        )
    )
    return made


def kind_of(body: object) -> str:
    (kind,) = [item.kind for item in registry.OPERATIONS.values() if item.body is type(body)]
    return kind


def act(rules: Rules, org: str, body: object, *cosigners: str) -> str:
    op = Op(kind_of(body), wire.to_value(body))
    return rules.act(org, op, [person(name) for name in cosigners])


def proof(commitment: bytes) -> ItemProof:
    leaves = [merkle.leaf_hash(item) for item in ITEMS]
    index = ITEMS.index(commitment)
    return ItemProof(merkle.root(leaves), index, tuple(merkle.inclusion_path(leaves, index)))


def batched(rules: Rules) -> None:
    root = merkle.root([merkle.leaf_hash(item) for item in ITEMS])
    assert act(rules, "ward", Batch(root, len(ITEMS), b"".join(ITEMS))) == "applied"


def status(rules: Rules, commitment: bytes, **more: Any) -> Status:
    answer = registry.QUESTIONS["record.status"].ask(rules, Asked(commitment, **more))
    assert isinstance(answer, Status)
    return answer


def anchored(rules: Rules, name: str, **fields: Any) -> bytes:
    commitment = named(name)
    assert act(rules, "ward", Anchor(commitment, bytes(16), 2, **fields)) == "applied"
    return commitment


# --- items of batches ---------------------------------------------------------------------


def test_an_item_is_held_handed_over_and_erased_like_a_record_of_its_own(rules: Rules) -> None:
    batched(rules)
    item, shown = ITEMS[3], proof(ITEMS[3])
    hold = Hold((item,), named("case"), (shown,))
    assert act(rules, "court", hold) == "applied"
    assert status(rules, item, root=shown.root).holds == 1
    assert (
        act(rules, "ward", Custody((item,), "other", (shown,)), "other/identity") == "applied"
    )
    erase = Erase((item,), "court", named("report"), (shown,))
    assert act(rules, "ward", erase) == "record-not-custodian"
    assert act(rules, "other", erase) == "record-held"
    assert act(rules, "court", Release((item,), named("case"), (shown,))) == "applied"
    assert act(rules, "other", erase) == "applied"
    found = status(rules, item, root=shown.root)
    assert (found.status, found.author, found.custodian) == ("erased", "ward", "other")
    assert act(rules, "other", Retract(item, shown)) == "record-erased"
    assert act(rules, "ward", Confirm((item,), shown.root)) == "applied"
    assert act(rules, "ward", Confirm((item,))) == "record-not-to-confirm"


def test_an_untouched_item_is_known_by_its_path_alone(rules: Rules) -> None:
    batched(rules)
    item, shown = ITEMS[1], proof(ITEMS[1])
    assert not status(rules, item).known
    assert not status(rules, item, root=shown.root).known
    assert status(rules, item, root=shown.root, index=1, path=shown.path).status == "live"
    assert not status(rules, item, root=shown.root, index=2, path=shown.path).known


def test_a_path_of_another_item_gives_no_say(rules: Rules) -> None:
    batched(rules)
    hold = Hold((ITEMS[0],), named("case"), (proof(ITEMS[1]),))
    assert act(rules, "court", hold) == "record-proof-invalid"
    erase = Erase((named("nothing"),), "court", named("report"))
    assert act(rules, "ward", erase) == "record-unknown"


def test_one_that_cannot_be_erased_keeps_all_the_others(rules: Rules) -> None:
    first, second = anchored(rules, "first"), anchored(rules, "second")
    act(rules, "court", Hold((second,), named("case")))
    erase = Erase((first, second), "GDPR17", named("report"))
    assert act(rules, "ward", erase) == "record-held"
    assert status(rules, first).status == "live"


# --- what stands in the way ---------------------------------------------------------------


def test_a_retracted_or_superseded_version_can_still_be_erased(rules: Rules) -> None:
    old, gone = anchored(rules, "old"), anchored(rules, "gone")
    amend = Amend(old, Anchor(named("new"), bytes(16), 2), "corrected")
    assert act(rules, "ward", amend) == "applied"
    assert act(rules, "ward", Retract(gone)) == "applied"
    assert act(rules, "ward", Erase((old, gone), "GDPR17", named("report"))) == "applied"
    assert status(rules, old).successor == named("new")


def test_a_later_version_inherits_the_retention_class(rules: Rules) -> None:
    day = record_custody.DAY_MS
    assert act(rules, "court", Retention(7, 10 * day, "statute")) == "applied"
    old = anchored(rules, "old", retention=7)
    amend = Amend(old, Anchor(named("new"), bytes(16), 2), "corrected")
    rules.later(9 * day)
    assert act(rules, "ward", amend) == "applied"
    rules.later(2 * day)
    ended = record_custody.RETENTION_END
    assert act(rules, "ward", Erase((named("new"),), ended, named("r"))) == (
        "record-retention-running"
    )
    assert act(rules, "ward", Erase((old,), ended, named("r"))) == "applied"
    # The last rules count, also for what was anchored before them.
    assert act(rules, "court", Retention(7, 2 * day, "court")) == "applied"
    assert act(rules, "ward", Erase((named("new"),), ended, named("r"))) == "applied"


def test_a_class_published_after_the_anchor_does_not_bind_it(rules: Rules) -> None:
    record = anchored(rules, "early", retention=7)
    act(rules, "court", Retention(7, 10 * record_custody.DAY_MS, "statute"))
    assert status(rules, record).retention is None
    erase = Erase((record,), record_custody.RETENTION_END, named("report"))
    assert act(rules, "ward", erase) == "applied"


def test_an_anchor_without_a_published_class_writes_one_row_as_ever(rules: Rules) -> None:
    before = set(rules.state)
    record = anchored(rules, "plain", retention=9)
    assert set(rules.state) - before == {b"record/" + record}


@pytest.mark.parametrize("what", ["holds", "disputes", "stores", "versions"])
def test_what_may_stand_at_a_time_is_bounded(rules: Rules, what: str) -> None:
    record = anchored(rules, "record")
    if what == "stores":
        names = [f"s{number:02}:store" for number in range(custody.STORES_MAX + 1)]
        rules = Rules()
        rules.found(founded(names))
        codes = [act(rules, name[:3], Replica(named("object"), 1)) for name in names]
    else:
        limit, body = {
            "holds": (custody.HOLDS_MAX, lambda n: Hold((record,), named(f"case-{n}"))),
            "disputes": (custody.DISPUTES_MAX, lambda n: Dispute(record, named(f"s-{n}"))),
            "versions": (
                record_custody.RETENTION_VERSIONS_MAX,
                lambda _: Retention(1, record_custody.DAY_MS, "court"),
            ),
        }[what]
        codes = [act(rules, "court", body(number)) for number in range(limit + 1)]
    assert codes == ["applied"] * (len(codes) - 1) + ["record-too-many"]


# --- disputes -----------------------------------------------------------------------------


def registered(rules: Rules, name: str, *, alive: bool = True) -> bytes:
    subject = named(name)
    row = PatientRow(
        subject=subject,
        org="ward",
        sign_key=person(name).public_key,
        seal_key=bytes(32),
        level=1,
        status=people.ACTIVE if alive else people.ENDED,
        guardians=(),
        guardians_needed=0,
        version=1,
        since_height=0,
        since_ms=0,
    )
    rules.state[people.patient_key(subject)] = wire.encode(row)
    return subject


def test_a_patient_disputes_with_their_own_signature(rules: Rules) -> None:
    record, anna = anchored(rules, "record"), registered(rules, "anna")
    body = Dispute(record, named("statement"), anna)
    assert act(rules, "other", body, "bob") == "record-party-missing"
    assert act(rules, "other", body, "anna") == "applied"
    late = registered(rules, "late", alive=False)
    assert act(rules, "other", Dispute(record, named("s"), late), "late") == (
        "record-party-unfit"
    )


@pytest.mark.parametrize("how", ["amended", "retracted", "erased"])
def test_a_granted_dispute_is_borne_out_by_the_record(rules: Rules, how: str) -> None:
    record = anchored(rules, "record")
    act(rules, "other", Dispute(record, named("statement")))
    close = Close(record, 0, how)
    assert act(rules, "ward", close) == "record-dispute-outcome"
    body = {
        "amended": Amend(record, Anchor(named("new"), bytes(16), 2), "corrected"),
        "retracted": Retract(record),
        "erased": Erase((record,), "GDPR17", named("report")),
    }[how]
    assert act(rules, "ward", body) == "applied"
    assert act(rules, "ward", close) == "applied"
    assert act(rules, "ward", close) == "record-dispute-not-open"


def test_an_erased_record_cannot_be_disputed(rules: Rules) -> None:
    record = anchored(rules, "record")
    act(rules, "ward", Erase((record,), "GDPR17", named("report")))
    assert act(rules, "other", Dispute(record, named("statement"))) == "record-erased"


# --- replicas -----------------------------------------------------------------------------


def replica(challenge: bytes, chunks: list[bytes], **changed: Any) -> Replica:
    leaves = [merkle.leaf_hash(chunk) for chunk in chunks]
    index = challenged(challenge, len(chunks))
    fields = {
        "object_root": merkle.root(leaves),
        "chunks": len(chunks),
        "challenge": challenge,
        "index": index,
        "leaf": leaves[index],
        "path": tuple(merkle.inclusion_path(leaves, index)),
        "answer": hashlib.sha256(challenge + chunks[index]).digest(),
    }
    return Replica(**{**fields, **changed})


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_a_challenge_is_answered_with_its_chunk_and_no_other(rules: Rules, size: int) -> None:
    chunks = [bytes([number]) * 100 for number in range(size)]
    challenge = named("challenge")
    good = replica(challenge, chunks)
    bad = [
        {"index": (good.index + 1) % size} if size > 1 else {"leaf": named("else")},
        {"leaf": named("another chunk")},
        {"object_root": named("another object")},
        {"path": (*good.path, bytes(32))},
    ]
    for changed in bad:
        body = replica(challenge, chunks, **changed)
        assert act(rules, "store", body) == "record-replica-unproven"
    assert act(rules, "store", good) == "applied"
    (row,) = rules.ask("record.replicas", {"object_root": good.object_root.hex()})["replicas"]
    proven = row["proven_ms"]
    assert proven == rules.time_ms
    assert act(rules, "store", Replica(good.object_root, size, ok=False)) == "applied"
    answer = rules.ask("record.replicas", {"object_root": good.object_root.hex()})
    assert (answer["ok"], answer["replicas"][0]["proven_ms"]) == (0, proven)


# --- bodies -------------------------------------------------------------------------------

ONE = (bytes(32),)


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: Hold((), bytes(32)), "1 to 64"),
    (lambda: Hold(tuple(named(str(n)) for n in range(65)), bytes(32)), "1 to 64"),
    (lambda: Hold((bytes(32), bytes(32)), bytes(32)), "twice"),
    (lambda: Hold((bytes(31),), bytes(32)), "commitment"),
    (lambda: Hold(ONE, bytes(31)), "case"),
    (lambda: Hold(ONE, bytes(32), (proof(ITEMS[0]), proof(ITEMS[1]))), "as many"),
    (lambda: Retention(1 << 16, 1 << 30, "statute"), "two bytes"),
    (lambda: Retention(1, 1, "statute"), "one day"),
    (lambda: Retention(1, 1 << 60, "statute"), "200 years"),
    (lambda: Retention(1, 1 << 30, "because"), "basis"),
    (lambda: Erase(ONE, "because", bytes(32)), "basis"),
    (lambda: Erase(ONE, "court", bytes(1)), "evidence"),
    (lambda: Erase(ONE, "court", bytes(32), (), (b"", b"")), "as many"),
    (lambda: Erase(ONE, "court", bytes(32), (), (bytes(3),)), "32 bytes"),
    (lambda: Dispute(bytes(32), bytes(32), bytes(16)), "subject"),
    (lambda: Close(bytes(32), 0, "because"), "outcome"),
    (lambda: Replica(bytes(32), 0), "chunks"),
    (lambda: Replica(bytes(32), 1, challenge=bytes(32)), "together"),
    (lambda: Replica(bytes(32), 1, index=1), "answer a challenge"),
    (
        lambda: Replica(bytes(32), 1, False, bytes(32), leaf=bytes(32), answer=bytes(32)),
        "lost",
    ),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_bodies_refuse_what_their_format_does_not_allow(case: int) -> None:
    make, word = REFUSED[case]
    with pytest.raises(ValueError, match=word):
        make()


def test_every_result_of_these_families_is_named_once() -> None:
    results = [
        *record_custody.RESULTS,
        *record_dispute.RESULTS,
        *record_replica.RESULTS,
    ]
    assert sorted(item.number for item in results) == list(range(108, 120))


# --- sets ------------------------------------------------------------------------------------

_STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 7)), max_size=60)


@given(_STEPS)
@settings(max_examples=200)
def test_a_set_holds_what_entered_and_did_not_leave(steps: list[tuple[bool, int]]) -> None:
    view, model = Overlay(lambda _: None), set[bytes]()
    for entering, number in steps:
        item = bytes([number])
        if entering:
            sets.enter(view, b"set", item)
            model.add(item)
        else:
            sets.leave(view, b"set", item)
            model.discard(item)
        found, after = sets.members(view.get, b"set", start=0, limit=100)
        assert (set(found), len(found), after) == (model, len(model), None)
    live = {key for key, value in view.writes.items() if value is not None}
    assert len(live) <= 1 + 2 * len(model)  # nothing is left of those that left
