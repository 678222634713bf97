"""Telemetry: the counter only grows, one reading is proven alone, and bounds of the bodies."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import wire
from node.ledger import merkle
from node.ledger.facts import people
from node.ledger.facts.people import DeviceRow
from node.ledger.families import telemetry, telemetry_alert
from node.ledger.families.telemetry import Batch
from node.ledger.families.telemetry_alert import Ack, Alert
from node.ledger.transaction import Op
from tests.support.story import START_MS, Rules, founded, named, person

DEVICE = named("pump")
FIRMWARE = named("firmware")


def world() -> Rules:
    """Return a clinic with one device in use, assigned by it."""
    made = Rules()
    made.found(founded(["clinic:author", "other:author"]))
    row = DeviceRow(
        device=DEVICE,
        manufacturer="maker",
        model="B066000325011",
        sign_key=person("pump").public_key,
        firmware=FIRMWARE,
        data_classes=(40,),
        status=people.ACTIVE,
        assigned=None,
        custodian="clinic",
        counter=0,
        since_height=0,
    )
    made.state[people.device_key(DEVICE)] = wire.encode(row)
    return made


def made(first: int, last: int, root: bytes, **fields: Any) -> Batch:
    return Batch(
        **{
            "device": DEVICE,
            "from_ms": START_MS,
            "until_ms": START_MS,
            "count": 1,
            "root": root,
            "first_counter": first,
            "last_counter": last,
            "firmware": FIRMWARE,
            "data_class": 40,
            "recipient": "clinic",
            **fields,
        }
    )


def send(rules: Rules, body: object, *, org: str = "clinic", kind: str = "batch") -> str:
    op = Op(f"telemetry.{kind}", wire.to_value(body))
    return rules.act(org, op, [person("pump")])


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9), st.integers(0, 4))))
@settings(max_examples=60, deadline=None)
def test_what_is_taken_in_never_overlaps_and_gaps_are_what_is_missing(
    tried: list[tuple[int, int, int]],
) -> None:
    rules, seen, roots, counter = world(), [], set[bytes](), 0
    for first, more, name in tried:
        root = named(f"root-{name}")
        code = send(rules, made(first, first + more, root))
        if root in roots:
            assert code == "telemetry-replayed"
        elif first <= counter:
            assert code == "telemetry-rolled-back"
        else:
            assert code == "applied"
            roots.add(root)
            seen.append((first, first + more))
            counter = first + more
    device = {"device": DEVICE.hex()}
    batches = rules.ask("telemetry.batches", device)["batches"]
    assert [(row["first_counter"], row["last_counter"]) for row in batches] == seen
    gaps = rules.ask("telemetry.gaps", device)["gaps"]
    pairs = itertools.pairwise(seen)
    assert [(row["after"], row["before"]) for row in gaps] == [
        (before[1], after[0]) for before, after in pairs if before[1] + 1 < after[0]
    ]
    assert rules.ask("telemetry.device", device)["counter"] == counter


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_one_reading_is_proven_and_no_other_stands_for_it(size: int) -> None:
    rules = world()
    readings = [named(f"reading-{number}") for number in range(size)]
    leaves = [merkle.leaf_hash(item) for item in readings]
    body = made(1, size, merkle.root(leaves), count=size)
    assert send(rules, body) == "applied"

    def proven(commitment: bytes, index: int, batch: int = 0) -> bool:
        path = merkle.inclusion_path(leaves, index)
        answer = rules.ask(
            "telemetry.reading",
            {
                "device": DEVICE.hex(),
                "batch": batch,
                "commitment": commitment.hex(),
                "index": index,
                "path": [item.hex() for item in path],
            },
        )
        assert (answer["batch"] is not None) == answer["proven"]
        return bool(answer["proven"])

    for number, reading in enumerate(readings):
        assert proven(reading, number)
        assert not proven(named("never measured"), number)
        assert not proven(reading, (number + 1) % size) or size == 1
        assert not proven(reading, number, batch=1)


def test_a_refused_batch_leaves_the_counter_where_it_was() -> None:
    rules = world()
    assert send(rules, made(5, 9, named("a"), recipient="other")) == "telemetry-subject-missing"
    assert send(rules, made(5, 9, named("a"), recipient="other", subject=named("x"))) == (
        "telemetry-consent-missing"
    )
    assert send(rules, made(1, 1, named("a"))) == "applied"


def test_an_alert_answered_in_the_block_of_its_deadline_is_late() -> None:
    rules = world()
    alert = Alert(
        named("alert"),
        DEVICE,
        bytes(16),
        bytes(32),
        "clinic",
        telemetry_alert.ANSWER_MS_MIN,
        40,
    )
    assert send(rules, alert, kind="alert") == "applied"
    rules.time_ms += telemetry_alert.ANSWER_MS_MIN - 1000
    assert send(rules, Ack(alert.alert, "seen"), kind="ack") == "applied"
    answer = rules.ask("telemetry.alerts", {"org": "clinic", "which": "all"})
    assert answer["counts"] == {"raised": 1, "in_time": 0, "late": 1, "ran_out": 1}
    rules.later(10)  # nothing fires a second time
    assert rules.ask("telemetry.alerts", {"org": "clinic"})["counts"] == answer["counts"]


GOOD = made(1, 4, bytes(32), count=4)
ALERT = Alert(bytes(32), bytes(32), bytes(16), bytes(32), "clinic", 60_000, 40)
REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: replace(GOOD, device=bytes(31)), "device"),
    (lambda: replace(GOOD, root=bytes(31)), "root"),
    (lambda: replace(GOOD, firmware=bytes(31)), "firmware"),
    (lambda: replace(GOOD, subject=bytes(31)), "subject"),
    (lambda: replace(GOOD, count=0), "count"),
    (lambda: replace(GOOD, count=(1 << 20) + 1, last_counter=1 << 30), "count"),
    (lambda: replace(GOOD, count=5), "step for each"),
    (lambda: replace(GOOD, first_counter=0), "start at 1"),
    (lambda: replace(GOOD, until_ms=0), "window"),
    (lambda: replace(GOOD, until_ms=1 << 60), "window"),
    (lambda: replace(GOOD, data_class=256), "one byte"),
    (lambda: replace(ALERT, alert=bytes(16)), "alert"),
    (lambda: replace(ALERT, threshold=bytes(32)), "threshold"),
    (lambda: replace(ALERT, answer_ms=59_999), "one minute"),
    (lambda: replace(ALERT, answer_ms=604_800_001), "seven days"),
    (lambda: replace(ALERT, data_class=256), "one byte"),
    (lambda: Ack(bytes(32), "shrugged"), "action"),
    (lambda: telemetry.Gateway(bytes(31)), "key"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_bodies_refuse_what_their_format_does_not_allow(case: int) -> None:
    make, word = REFUSED[case]
    with pytest.raises(ValueError, match=word):
        make()


def test_the_story_tells_of_every_refusal() -> None:
    story = Path(__file__).resolve().parents[3] / "stories" / "telemetry.story"
    text = story.read_text(encoding="utf-8")
    results = [*telemetry.RESULTS, *telemetry_alert.RESULTS]
    assert [item.code for item in results if f"\n{item.code}\n" not in text] == []
