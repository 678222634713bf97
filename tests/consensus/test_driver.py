"""Driver: nothing is signed, sent or delivered before the records that justify it are safe."""

import random

import pytest

from consensus import wire
from consensus.driver import Driver, Released, Turn
from consensus.effects import ProposeResult
from consensus.guard import MARK_KEY, PREFIX, GuardRefused, SignGuard, decode_mark
from consensus.mark import Standing, compare
from consensus.types import Applied, Committee, Member, NodeId, Proposal, Put, Statement
from tests.sim import ledger
from tests.sim.oneleader import (
    DIALECT,
    Append,
    Config,
    OneLeaderDialect,
    OneLeaderEngine,
    Stored,
)
from tests.support.marks import MemoryMark

M0, M1, M2 = NodeId("m0"), NodeId("m1"), NodeId("m2")
COMMITTEE = Committee(1, tuple(Member(node, node.encode() * 16) for node in (M0, M1, M2)))


class SigningDialect(OneLeaderDialect):
    """As the one-leader dialect, but acknowledgements carry a signature over what they say."""

    def statement(self, message: object, network: bytes) -> Statement | None:
        plain = super().statement(message, network)
        if plain is None:
            return None
        return Statement(*[getattr(plain, n) for n in plain.__slots__[:-1]], b"to be signed")

    def with_signature(self, message: object, signature: bytes) -> object:
        assert isinstance(message, Stored)
        return Stored(message.height, message.digest[:16] + signature)


class Bench:
    """One member's driver, and every message it ever signed."""

    def __init__(
        self,
        node: NodeId,
        *,
        guard: SignGuard | None = None,
        pairs: tuple[tuple[bytes, bytes], ...] = (),
        signing: bool = False,
        marked: MemoryMark | None = None,
    ) -> None:
        self.signed: list[bytes] = []
        self.engine = OneLeaderEngine(
            Config(node, COMMITTEE, ledger.NETWORK),
            pairs=pairs,
            applied=ledger.GENESIS,
            rng=random.Random(1),
            now_ms=0,
        )
        self.marked = marked if marked is not None else MemoryMark()
        self.driver = Driver(
            self.engine,
            SigningDialect() if signing else DIALECT,
            guard if guard is not None else SignGuard(),
            marked=self.marked,
            network=ledger.NETWORK,
            sign=self._sign,
        )

    def durable(self, turn: Turn) -> Released:
        """The records are written: write the mark, then release."""
        self.marked.take(turn)
        return self.driver.durable(turn)

    def _sign(self, message: bytes) -> bytes:
        self.signed.append(message)
        return b"s" * 16


def block(height: int = 1, parent: bytes = ledger.NETWORK, *, label: bytes = b"t") -> Proposal:
    txids = [label * 32]
    return ledger.build(height, parent, time_ms=1, proposer="m0", txids=txids)


def test_an_idle_engine_takes_no_turn() -> None:
    assert Bench(M1).driver.turn() is None


def test_a_turn_carries_records_and_bodies_but_no_promise() -> None:
    bench = Bench(M1, signing=True)
    bench.engine.step(M0, Append(block(), 0))
    turn = bench.driver.turn()
    assert turn is not None
    assert turn.must_sync
    assert turn.bodies == (block(),)
    assert Put(b"open", wire.encode(block())) in turn.records
    assert turn.send_now == ()
    assert bench.signed == [], "nothing may be signed before the records are durable"
    released = bench.durable(turn)
    assert bench.signed == [b"to be signed"]
    (envelope,) = released.send
    assert envelope.to == M0
    assert envelope.message.digest.endswith(b"s" * 16)


def test_the_guards_record_is_part_of_the_same_batch() -> None:
    bench = Bench(M1)
    bench.engine.step(M0, Append(block(), 0))
    turn = bench.driver.turn()
    assert turn is not None
    assert any(isinstance(r, Put) and r.key.startswith(PREFIX) for r in turn.records)


def test_a_promise_without_engine_records_still_syncs_for_the_guard() -> None:
    # The engine's record survived a crash, the promise never left: it needs its own record.
    bench = Bench(M1, pairs=((b"open", wire.encode(block())),))
    bench.engine.step(M0, Append(block(), 0))
    turn = bench.driver.turn()
    assert turn is not None
    assert turn.must_sync
    assert all(r.key.startswith(PREFIX) for r in turn.records if isinstance(r, Put))


def test_a_block_is_delivered_only_by_a_durable_turn() -> None:
    bench = Bench(M0)
    assert bench.engine.propose(block()) is ProposeResult.ACCEPTED
    bench.engine.step(M1, Stored(1, block().digest))
    bench.engine.step(M2, Stored(1, block().digest))
    turn = bench.driver.turn()
    assert turn is not None
    assert not hasattr(turn, "deliver")
    assert not hasattr(turn, "send")
    released = bench.durable(turn)
    assert [decided.proposal.height for decided in released.deliver] == [1]


def test_a_message_to_everybody_comes_back_to_its_author_signed() -> None:
    bench = Bench(M0, signing=True)
    bench.engine.propose(block())
    turn = bench.driver.turn()
    assert turn is not None
    released = bench.durable(turn)
    (own,) = released.loopback
    assert isinstance(own, Stored)
    assert own.digest.endswith(b"s" * 16)
    assert [e.message for e in released.send if e.to is None] == [own]


def test_the_next_turn_waits_until_the_first_is_durable() -> None:
    bench = Bench(M1)
    bench.engine.step(M0, Append(block(), 0))
    turn = bench.driver.turn()
    assert turn is not None
    with pytest.raises(AssertionError, match="durable before the next"):
        bench.driver.turn()
    bench.durable(turn)
    assert bench.driver.turn() is None


def test_a_turn_becomes_durable_once_and_in_order() -> None:
    bench = Bench(M1)
    bench.engine.step(M0, Append(block(), 0))
    turn = bench.driver.turn()
    assert turn is not None
    bench.durable(turn)
    with pytest.raises(AssertionError):
        bench.durable(turn)


def test_equivocation_stops_before_anything_is_written() -> None:
    guard = SignGuard()
    guard.admit(Statement("prepare", 1, 0, 1, block(label=b"u").digest, None))
    bench = Bench(M1, guard=guard)
    bench.engine.step(M0, Append(block(), 0))
    with pytest.raises(GuardRefused):
        bench.driver.turn()
    assert bench.signed == []


def test_an_applied_block_lets_the_guard_forget_with_the_next_turn() -> None:
    bench = Bench(M1)
    first = block()
    bench.engine.step(M0, Append(first, 0))
    turn = bench.driver.turn()
    assert turn is not None
    bench.durable(turn)
    bench.engine.step(M0, Append(None, 1))
    turn = bench.driver.turn()
    assert turn is not None
    assert bench.durable(turn).deliver
    bench.driver.applied(1)
    bench.engine.step(M0, Append(block(2, first.digest), 1))
    turn = bench.driver.turn()
    assert turn is not None
    keys = [getattr(record, "key", b"") for record in turn.records]
    assert PREFIX + b"floor" in keys
    bench.durable(turn)
    with pytest.raises(GuardRefused, match="pruned"):
        bench.driver._guard.admit(Statement("prepare", 1, 0, 1, b"x" * 32, None))


def test_after_a_crash_before_the_write_nothing_was_promised() -> None:
    bench = Bench(M1)
    bench.engine.step(M0, Append(block(), 0))
    assert bench.driver.turn() is not None  # and the process dies here
    again = Bench(M1)
    again.engine.step(M0, Append(block(label=b"u"), 0))
    turn = again.driver.turn()
    assert turn is not None
    assert again.durable(turn).send


def test_after_a_crash_behind_the_write_the_same_is_said_again() -> None:
    bench = Bench(M1)
    bench.engine.step(M0, Append(block(), 0))
    turn = bench.driver.turn()
    assert turn is not None
    first = bench.durable(turn)  # and the process dies before it sends
    stored = [(r.key, r.value) for r in turn.records if isinstance(r, Put)]
    again = Bench(
        M1,
        guard=SignGuard(pair for pair in stored if pair[0].startswith(PREFIX)),
        pairs=tuple(pair for pair in stored if not pair[0].startswith(PREFIX)),
        marked=bench.marked,
    )
    again.engine.step(M0, Append(block(), 0))
    turn = again.driver.turn()
    assert turn is not None
    assert turn.records == ()
    assert turn.mark is None, "what was promised before needs no new mark"
    assert again.durable(turn).send == first.send


# --- the mark ------------------------------------------------------------------------------


def first_turn(bench: Bench) -> Turn:
    bench.engine.step(M0, Append(block(), 0))
    turn = bench.driver.turn()
    assert turn is not None
    return turn


def test_nothing_is_signed_before_the_mark_is_durable() -> None:
    bench = Bench(M1, signing=True)
    turn = first_turn(bench)
    with pytest.raises(AssertionError, match="before the mark"):
        bench.driver.durable(turn)
    assert bench.signed == []
    assert bench.durable(turn).send
    assert bench.signed == [b"to be signed"]


def test_the_batch_carries_the_mark_that_is_written_after_it() -> None:
    turn = first_turn(Bench(M1))
    assert turn.mark is not None
    (written,) = [r.value for r in turn.records if isinstance(r, Put) and r.key == MARK_KEY]
    assert decode_mark(written) == turn.mark
    assert (turn.mark.sequence, turn.mark.height) == (1, 1)


def test_every_synced_turn_has_a_mark_and_no_other() -> None:
    bench = Bench(M1)
    seen = []
    for message in (Append(block(), 0), Append(None, 1)):
        bench.engine.step(M0, message)
        turn = bench.driver.turn()
        assert turn is not None
        seen.append((turn.must_sync, turn.mark is not None))
        bench.durable(turn)
    assert seen == [(True, True), (False, False)]
    assert bench.marked.sequence == 1


def test_a_driver_does_not_start_over_a_mark_of_another_database() -> None:
    bench = Bench(M1)
    bench.durable(first_turn(bench))
    with pytest.raises(AssertionError, match="another database"):
        Bench(M1, marked=bench.marked)


def test_two_histories_of_one_length_are_told_apart() -> None:
    marks = []
    for label in (b"t", b"u"):
        bench = Bench(M1)
        bench.engine.step(M0, Append(block(label=label), 0))
        turn = bench.driver.turn()
        assert turn is not None
        assert turn.mark is not None
        marks.append(turn.mark)
    assert [mark.sequence for mark in marks] == [1, 1]
    assert compare(stored=marks[0], marked=marks[1]) is Standing.APART


def test_genesis_is_where_a_new_member_starts() -> None:
    assert Applied(0, ledger.NETWORK, 0) == ledger.GENESIS
