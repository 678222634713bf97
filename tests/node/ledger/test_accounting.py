"""A node that leaves out, changes or moves an access is caught by who has the log head."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import wire
from node.ledger import accounting, registry
from node.ledger.accounting import Handed, Incomplete, KeptBack, account, account_events
from node.ledger.facts import accesses
from node.ledger.facts.accesses import Event, LogHead, event_key, log_key
from node.ledger.families.access import Request
from node.ledger.questions.access import Log, LogPage
from tests.support.accesses import ANNA, Bench
from tests.support.story import named

COUNT = 9


class Asked:
    """State that remembers which rows a question read: what a node hands out as proof."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.height, self.time_ms = bench.height, bench.time_ms
        self.rows: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        self.rows[key] = self._bench.get(key)
        return self.rows[key]

    def scan(
        self, prefix: bytes, *, start: bytes = b"", limit: int
    ) -> Iterator[tuple[bytes, bytes]]:
        raise AssertionError("a provable question never scans")


@pytest.fixture(scope="module")
def bench() -> Bench:
    made = Bench()
    for at in range(COUNT):
        body = Request(named(f"rid-{at}"), ANNA, "north", "TREAT", bytes(32))
        assert made.do("south", body) == "applied"
    return made


def ask(facts: Asked | Handed, page: LogPage) -> Log:
    answer = registry.QUESTIONS["access.log"].ask(facts, page)
    assert isinstance(answer, Log)
    return answer


def handed(bench: Bench, page: LogPage) -> tuple[dict[bytes, bytes | None], Log]:
    """Return the rows that an honest node hands out for a question, and its answer."""
    asked = Asked(bench)
    answer = ask(asked, page)
    return asked.rows, answer


def rows_of(bench: Bench) -> tuple[bytes, list[bytes]]:
    head = bench.state[log_key(ANNA)]
    return head, [bench.state[event_key(ANNA, at)] for at in range(COUNT)]


def over(rows: dict[bytes, bytes | None], bench: Bench) -> Handed:
    return Handed(rows, bench.height, bench.time_ms)


@pytest.mark.parametrize(
    "page",
    [LogPage(ANNA), LogPage(ANNA, 2, 3), LogPage(ANNA, from_ms=1)],
    ids=["all", "page", "period"],
)
def test_the_rows_of_an_honest_node_give_the_same_answer(bench: Bench, page: LogPage) -> None:
    rows, answer = handed(bench, page)
    assert ask(over(rows, bench), page) == answer


def test_a_node_that_keeps_a_row_back_is_caught_whichever_it_is(bench: Bench) -> None:
    rows, _ = handed(bench, LogPage(ANNA))
    assert len(rows) == COUNT + 1
    for left_out in rows:
        fewer = {key: value for key, value in rows.items() if key != left_out}
        with pytest.raises(KeptBack) as caught:
            ask(over(fewer, bench), LogPage(ANNA))
        assert caught.value.key == left_out


def test_a_shorter_log_needs_another_head_than_the_proven_one(bench: Bench) -> None:
    """To leave an event out without a hole, count or hash of the head must be false; the head
    is one row under one key, and it is proven against the state root."""
    head, rows = rows_of(bench)
    for left_out in range(COUNT):
        kept = rows[:left_out] + rows[left_out + 1 :]
        with pytest.raises(Incomplete):
            account(head, kept)
        renumbered = [
            wire.encode(replace(wire.decode(Event, raw, size_max=1 << 16), number=at))
            for at, raw in enumerate(kept)
        ]
        with pytest.raises(Incomplete) as caught:
            account(head, renumbered)
        assert caught.value.number == COUNT - 1
        chain = bytes(32)
        for raw in renumbered:
            chain = accesses.chained(chain, raw)
        forged = wire.encode(LogHead(COUNT - 1, chain))
        assert len(account(forged, renumbered)) == COUNT - 1
        assert forged != head


def test_an_event_that_differs_breaks_the_chain(bench: Bench) -> None:
    head, rows = rows_of(bench)
    event = wire.decode(Event, rows[4], size_max=1 << 16)
    for change in (
        {"recipient": "east"},
        {"time_ms": event.time_ms + 1},
        {"purpose": "HLEGAL"},
    ):
        other = wire.encode(replace(event, **change))
        with pytest.raises(Incomplete, match="differs"):
            account(head, [*rows[:4], other, *rows[5:]])


def test_the_whole_log_is_accepted_and_read(bench: Bench) -> None:
    head, rows = rows_of(bench)
    events = account(head, rows)
    assert [event.rid for event in events] == [named(f"rid-{at}") for at in range(COUNT)]
    assert account(None, ()) == ()


def test_pages_of_answers_can_be_checked_as_well(bench: Bench) -> None:
    events: list[Event] = []
    start: int | None = 0
    while start is not None:
        page = bench.ask("access.log", subject=ANNA, start=start, limit=4)
        events += page.events
        start = page.next
    head = LogHead(page.count, page.chain)
    account_events(head, events)
    with pytest.raises(Incomplete):
        account_events(head, [*events[:3], *events[4:]])


def test_a_log_that_is_said_to_be_empty_needs_a_proof_of_absence(bench: Bench) -> None:
    _, rows = rows_of(bench)
    with pytest.raises(Incomplete):
        account(None, rows)
    with pytest.raises(KeptBack):
        ask(over({}, bench), LogPage(ANNA))
    assert ask(over({log_key(ANNA): None}, bench), LogPage(ANNA)).count == 0


def test_rows_that_are_no_rows_are_refused(bench: Bench) -> None:
    head, rows = rows_of(bench)
    with pytest.raises(Incomplete, match="no LogHead"):
        account(b"\x00", rows)
    with pytest.raises(Incomplete, match="row 2 is no Event"):
        account(head, [*rows[:2], b"\x00", *rows[3:]])


def test_an_index_is_not_read(bench: Bench) -> None:
    with pytest.raises(KeptBack):
        accounting.Handed({}, 0, 0).scan(b"c/", limit=1)


@given(data=st.data())
def test_no_other_list_of_rows_fits_the_head(bench: Bench, data: st.DataObject) -> None:
    """Any choice, order and repetition of the real rows, with bits flipped, is refused unless
    it is the log itself."""
    head, rows = rows_of(bench)
    chosen = data.draw(st.lists(st.sampled_from(range(COUNT)), max_size=COUNT + 1))
    made = [rows[at] for at in chosen]
    if made and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(made) - 1))
        byte = data.draw(st.integers(0, len(made[at]) - 1))
        raw = bytearray(made[at])
        raw[byte] ^= 1 << data.draw(st.integers(0, 7))
        made[at] = bytes(raw)
    if made == rows:
        assert len(account(head, made)) == COUNT
        return
    with pytest.raises(Incomplete):
        account(head, made)
