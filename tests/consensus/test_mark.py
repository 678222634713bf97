"""The mark: a member that forgot does not start, and one that did not forget always does.

The property drives the real driver and guard with an engine that says anything at all, dies at
every step, and is given back any older copy of its database.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.driver import Driver, Turn
from consensus.effects import Effects, Envelope
from consensus.guard import PREFIX, GuardRefused, SignGuard
from consensus.mark import NOTHING, Mark, Standing, compare
from consensus.types import Delete, Proposal, Put, Record, Statement
from tests.support.marks import MemoryMark

KINDS = ("vote", "prepare", "commit", "suspect", "view-change", "new-view")


def stated(kind: str, at: int, height: int, digest: bytes) -> Statement:
    content = f"{kind} {at} {height}".encode() + digest
    return Statement(kind, 1, at, height, digest, content)


def body(height: int) -> Proposal:
    digest = hashlib.sha256(b"body %d" % height).digest()
    return Proposal(height, bytes(32), digest, b"", b"")


# --- the value ----------------------------------------------------------------------------


def test_a_mark_counts_turns_and_keeps_the_newest_place() -> None:
    first = NOTHING.after([stated("prepare", 3, 7, b"a" * 32)], [body(9)])
    assert (first.sequence, first.epoch, first.round, first.height) == (1, 1, 3, 9)
    second = first.after([stated("vote", 2, 0, b"a" * 32)], [])
    assert (second.sequence, second.round, second.height) == (2, 3, 9)
    assert second.before == first.history != second.history


def test_epochs_come_before_rounds_in_the_newest_place() -> None:
    old = NOTHING.after([stated("prepare", 9, 1, b"a" * 32)], [])
    new = old.after([replace(stated("prepare", 0, 2, b"a" * 32), epoch=2)], [])
    assert (new.epoch, new.round) == (2, 0)


def chain(length: int, note: bytes = b"") -> list[Mark]:
    marks = [NOTHING]
    for height in range(1, length + 1):
        digest = hashlib.sha256(note + b"%d" % height).digest()
        marks.append(marks[-1].after([stated("prepare", 1, height, digest)], []))
    return marks


def test_a_mark_stands_to_its_database_in_one_of_five_ways() -> None:
    ours, others = chain(5), chain(5, b"another life")
    assert compare(stored=ours[4], marked=ours[4]) is Standing.LEVEL
    assert compare(stored=NOTHING, marked=NOTHING) is Standing.LEVEL
    assert compare(stored=ours[4], marked=ours[3]) is Standing.ONE_SHORT
    assert compare(stored=ours[3], marked=ours[4]) is Standing.DATABASE_BEHIND
    assert compare(stored=NOTHING, marked=ours[1]) is Standing.DATABASE_BEHIND
    assert compare(stored=ours[5], marked=ours[3]) is Standing.MARK_BEHIND
    assert compare(stored=ours[4], marked=others[4]) is Standing.APART
    assert compare(stored=ours[4], marked=others[3]) is Standing.MARK_BEHIND


def test_a_mark_without_its_histories_is_no_mark() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Mark(1, 0, 0, 0, b"short", bytes(32))


# --- the property -------------------------------------------------------------------------


class Said:
    """A dialect whose messages are statements."""

    name = "said"

    def statement(self, message: Any, network: bytes) -> Any:
        return message

    def with_signature(self, message: Any, signature: bytes) -> Any:
        return (message, signature)


class AnythingEngine:
    """Says whatever it is told to say, whether it contradicts itself or not."""

    def __init__(self) -> None:
        self._token = 0
        self._next: tuple[Statement, ...] = ()

    def say(self, statements: tuple[Statement, ...]) -> None:
        self._next = statements

    def has_effects(self) -> bool:
        return bool(self._next)

    def drain(self) -> Effects:
        self._token += 1
        said, self._next = self._next, ()
        return Effects(self._token, send_after=tuple(Envelope(None, item) for item in said))

    def persisted(self, token: int) -> None:
        assert token == self._token

    def applied(self, *_: Any) -> None:
        return


@dataclass
class Member:
    """One key for life: its signatures, its mark, its database and every copy ever made."""

    signed: dict[tuple[str, int, int, int], bytes] = field(default_factory=dict)
    marked: MemoryMark = field(default_factory=MemoryMark)
    database: dict[bytes, bytes] = field(default_factory=dict)
    copies: list[dict[bytes, bytes]] = field(default_factory=list)
    refusals: int = 0

    def boot(self) -> bool:
        """Start from the database as it is; False when the mark refuses."""
        guard = SignGuard(self.database.items())
        standing = self.marked.level(guard.mark)
        if standing not in (Standing.LEVEL, Standing.ONE_SHORT):
            self.refusals += 1
            return False
        self.engine = AnythingEngine()
        self.driver = Driver(
            self.engine,  # type: ignore[arg-type]
            Said(),  # type: ignore[arg-type]
            guard,
            marked=self.marked,
            network=b"",
            sign=self._sign,
        )
        return True

    def _sign(self, message: bytes) -> bytes:
        """The key's own memory: what the database and the guard think does not matter here."""
        place, digest = message[:-32].decode().split(), message[-32:]
        slot = (place[0], 1, int(place[1]), int(place[2]))
        known = self.signed.setdefault(slot, digest)
        assert known == digest, f"two signatures for {slot}"
        return digest

    def write(self, records: Iterable[Record]) -> None:
        self.copies.append(dict(self.database))
        for record in records:
            assert isinstance(record, Put | Delete)
            assert record.key.startswith(PREFIX)
            if isinstance(record, Put):
                self.database[record.key] = record.value
            else:
                del self.database[record.key]

    def act(self, statements: tuple[Statement, ...], dies: str, applies: int) -> None:
        """One turn that may end at any step; the process is started again where it died."""
        if applies:
            self.driver.applied(applies)
        self.engine.say(statements)
        try:
            turn = self.driver.turn()
        except GuardRefused:
            assert self.boot(), "a refusal wrote nothing"
            return
        if turn is not None:
            self._perform(turn, dies)
        if dies:
            assert self.boot(), f"an honest crash at {dies!r} must not keep it from starting"

    def _perform(self, turn: Turn, dies: str) -> None:
        if dies == "write":
            return
        self.write(turn.records)
        if dies == "mark":
            return
        self.marked.take(turn)
        if dies == "sign":
            return
        self.driver.durable(turn)


statements = st.builds(
    stated,
    st.sampled_from(KINDS),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([b"a" * 32, b"b" * 32]),
)
turns = st.tuples(
    st.lists(statements, min_size=1, max_size=3).map(tuple),
    st.sampled_from(["", "", "", "write", "mark", "sign", "send"]),
    st.sampled_from([0, 0, 0, 2]),
)


@given(st.lists(turns, max_size=30))
def test_no_slot_is_signed_twice_whenever_the_process_dies(
    told: list[tuple[tuple[Statement, ...], str, int]],
) -> None:
    member = Member()
    assert member.boot()
    for said, dies, applies in told:
        member.act(said, dies, applies)


@given(
    st.lists(turns, min_size=1, max_size=20),
    st.lists(turns, max_size=10),
    st.integers(min_value=0),
)
def test_no_older_copy_of_the_database_is_ever_started_after_a_signature(
    before: list[tuple[tuple[Statement, ...], str, int]],
    then: list[tuple[tuple[Statement, ...], str, int]],
    which: int,
) -> None:
    member = Member()
    assert member.boot()
    for said, dies, applies in before:
        member.act(said, dies, applies)
    newest, promised = dict(member.database), member.marked.sequence
    copies = [*member.copies, newest]
    member.database = dict(copies[which % len(copies)])
    restored = SignGuard(member.database.items()).mark.sequence
    assert member.boot() == (restored == promised), "exactly the copies that forgot something"
    if restored != promised:
        member.database = newest
        assert member.boot(), "the newest copy is the way back"
    for said, dies, applies in then:
        member.act(said, dies, applies)


def test_without_the_mark_an_old_copy_signs_twice() -> None:
    """What the property is worth: the same life without the mark contradicts itself."""
    member = Member()
    member.boot()
    one, other = (stated("commit", 1, 1, bytes([n]) * 32) for n in (1, 2))
    member.act((one,), "", 0)
    member.database = member.copies[0]
    assert not member.boot()
    member.marked = MemoryMark()
    assert member.boot()
    with pytest.raises(AssertionError, match="two signatures"):
        member.act((other,), "", 0)
