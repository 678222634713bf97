"""Questions of record, telemetry and referral: provable ones read by key, and none raises."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from consensus import wire
from node.ledger import registry
from node.ledger.asking import NotProvable, Question
from node.ledger.families.record import Anchor
from node.ledger.questions.record_exists import OF_TAG_MAX, Existing, Sought
from node.ledger.transaction import Op
from tests.support.story import Rules, founded, named

MINE = [
    question
    for question in registry.QUESTIONS.values()
    if question.name.split(".")[0] in ("record", "referral", "telemetry")
]
# What the required parameters of these questions may be.
SOME: dict[str, Any] = {
    "batch": 0,
    "data_class": 7,
    "index": 0,
    "org": "ward",
    "purpose": "TREAT",
    "requester": "ward",
    "retention": 1 << 40,
    "tags": (bytes(16),),
}


class ByKey(Rules):
    """Facts of which only state may be read."""

    def scan(
        self, prefix: bytes, *, start: bytes = b"", limit: int
    ) -> list[tuple[bytes, bytes]]:
        raise NotProvable


def world(kind: type[Rules] = Rules) -> Rules:
    made = kind()
    made.found(founded(["other:author", "ward:author"]))
    return made


def params(question: Question) -> Any:
    needed = {
        field.name: SOME.get(field.name, bytes(32))
        for field in dataclasses.fields(question.params)
        if field.default is dataclasses.MISSING
    }
    return question.params(**needed)


@pytest.mark.parametrize("question", MINE, ids=lambda item: item.name)
def test_what_is_unknown_is_answered_and_provable_means_by_key(question: Question) -> None:
    facts = world(ByKey if question.provable else Rules)
    answer = question.ask(facts, params(question))
    again = wire.from_plain(question.answer, wire.to_plain(answer))
    assert again == answer


def test_only_the_search_by_tag_is_not_provable() -> None:
    assert [item.name for item in MINE if not item.provable] == ["record.exists"]


def anchors(rules: Rules, count: int, tag: bytes) -> Iterator[str]:
    for number in range(count):
        body = Anchor(named(f"record-{number}"), tag, 2, record_class=7)
        yield rules.act("ward", Op("record.anchor", wire.to_value(body)), [])


@pytest.mark.parametrize("count", [OF_TAG_MAX, OF_TAG_MAX + 1])
def test_a_tag_with_too_many_anchors_makes_the_answer_say_so(count: int) -> None:
    rules, tag = world(), bytes(range(16))
    assert set(anchors(rules, count, tag)) == {"applied"}
    sought = Sought(bytes(32), "ward", "TREAT", 7, (tag, tag))
    answer = registry.QUESTIONS["record.exists"].ask(rules, sought)
    assert isinstance(answer, Existing)
    assert (len(answer.found), answer.complete) == (OF_TAG_MAX, count == OF_TAG_MAX)


def test_what_cannot_be_sought_is_refused_as_parameters() -> None:
    good = Sought(bytes(32), "ward", "TREAT", 7, (bytes(16),))
    for changed in (
        {"tags": ()},
        {"tags": (bytes(15),)},
        {"tags": tuple(itertools.repeat(bytes(16), 101))},
        {"purpose": "CURIOSITY"},
        {"data_class": 256},
        {"requester": "No Such Name"},
        {"subject": bytes(31)},
    ):
        with pytest.raises(ValueError, match=r"tags|purpose|data_class|institution|subject"):
            dataclasses.replace(good, **changed)
