"""Several writes under way at once: what counts as durable, what may be applied, and limits."""

import random
from typing import Any

from consensus.raft import reconfigure, step
from consensus.raft import turn as turns
from consensus.raft.core import Core, HardState, Outcome, Role
from consensus.raft.log import Base, Entry, Log
from consensus.raft.membership import Members
from consensus.raft.messages import Append, AppendResponse
from consensus.raft.settings import Settings
from consensus.types import NodeId, Proposal
from tests.consensus.raft.bench import N1, N2, N3


def core(*names: NodeId, **options: Any) -> Core:
    settings = Settings(
        self_id=N1,
        election_ticks=10,
        election_spread=10,
        heartbeat_ticks=1,
        commit_ahead=False,
        **options,
    )
    return Core(
        settings,
        Log(Base(0, 0, 0, bytes(32))),
        Members(voters=names or (N1, N2, N3)),
        hard=HardState(0, None),
        commit=0,
        applied=0,
        rng=random.Random(1),
    )


def content(size: int = 10) -> Proposal:
    return Proposal(1, bytes(32), bytes(32), b"x" * size, b"")


def append(term: int, prev: tuple[int, int], *terms: int, commit: int = 0) -> Append:
    made = tuple(Entry(t, prev[0] + 1 + at, None) for at, t in enumerate(terms))
    return Append(0, term, N2, prev[0], prev[1], commit, made)


def finish(member: Core, turn: turns.CoreTurn) -> None:
    """The turn is durable."""
    for promise in turn.send_after:
        if promise.to == member.self_id:
            step.step(member, promise.message)
    if turn.stored is not None:
        turns.stored(member, turn.stored)


def settle(member: Core) -> list[Entry]:
    """Carry out turns until none is left; return what was handed on."""
    handed: list[Entry] = []
    while turns.has_turn(member):
        turn = turns.take(member)
        handed += turn.committed
        finish(member, turn)
        if turn.committed:
            size = sum(entry.size_bytes for entry in turn.committed)
            payload = sum(entry.payload_bytes for entry in turn.committed)
            turns.applied(
                member, turn.committed[-1].index, size_bytes=size, payload_bytes=payload
            )
    return handed


def alone(**options: Any) -> Core:
    """The only member, leading."""
    member = core(N1, **options)
    step.tick(member, 20)
    settle(member)
    assert member.role is Role.LEADER
    return member


def test_an_entry_that_came_back_after_it_was_overwritten_waits_for_its_last_write() -> None:
    """Three leaders write the same slot: A, B, A again, all writes still under way."""
    member = core()
    step.step(member, append(1, (0, 0), 1, 1))
    first = turns.take(member)
    step.step(member, append(2, (1, 1), 2))
    second = turns.take(member)
    step.step(member, append(3, (0, 0), 1, 1))
    third = turns.take(member)
    assert [len(turn.entries) for turn in (first, second, third)] == [2, 1, 1]
    finish(member, first)  # the slot holds what this write wrote, but the second is to come
    assert member.log.unstable_from <= 2
    finish(member, second)
    assert member.log.unstable_from <= 2
    finish(member, third)
    assert member.log.unstable_from == 3


def test_a_report_lost_to_a_new_term_is_made_up_for_by_the_next_turn() -> None:
    member = core()
    step.step(member, append(1, (0, 0), 1))
    old = turns.take(member)
    step.step(member, append(2, (1, 1)))
    new = turns.take(member)
    assert new.entries == ()
    finish(member, old)
    assert member.log.unstable_from == 1
    finish(member, new)
    assert member.log.unstable_from == 2


def test_no_entry_is_handed_out_for_writing_twice() -> None:
    member = core()
    step.step(member, append(1, (0, 0), 1))
    assert [entry.index for entry in turns.take(member).entries] == [1]
    step.step(member, append(1, (1, 1), 1))
    assert [entry.index for entry in turns.take(member).entries] == [2]


def test_entries_are_applied_only_when_they_are_durable_here() -> None:
    member = core()
    step.step(member, append(1, (0, 0), 1, commit=1))
    turn = turns.take(member)
    assert (member.commit, turn.committed) == (1, ())
    finish(member, turn)
    assert [entry.index for entry in turns.take(member).committed] == [1]


def test_acknowledgements_wait_for_everything_before_them() -> None:
    member = core()
    step.step(member, append(1, (0, 0), 1))
    turn = turns.take(member)
    assert turn.must_sync
    assert turn.send_now == ()
    assert [e.message for e in turn.send_after] == [AppendResponse.holds(0, 1, N1, 1)]


def test_a_leader_takes_no_more_than_the_limit_before_it_is_committed() -> None:
    member = alone(uncommitted_bytes_max=25)
    outcomes = [reconfigure.propose(member, content(), None) for _ in range(4)]
    assert outcomes == [Outcome.TAKEN, Outcome.TAKEN, Outcome.DROPPED, Outcome.DROPPED]
    assert reconfigure.propose(member, None, None) is Outcome.TAKEN, "nothing weighs nothing"
    assert member.refusals["too much waits to be committed"] == 2
    settle(member)
    assert reconfigure.propose(member, content(100), None) is Outcome.TAKEN, "the first always"


def test_what_is_handed_on_and_not_applied_is_bounded() -> None:
    member = alone()
    size = Entry(1, 1, content()).size_bytes
    bounded = alone(committed_bytes_max=2 * size)
    for target in (member, bounded):
        for _ in range(5):
            reconfigure.propose(target, content(), None)
        finish(target, turns.take(target))
    assert len(turns.take(member).committed) == 5
    turn = turns.take(bounded)
    assert len(turn.committed) == 2
    assert not turns.has_turn(bounded), "nothing more before something is applied"
    turns.applied(bounded, turn.committed[-1].index, size_bytes=2 * size, payload_bytes=20)
    assert [entry.index for entry in settle(bounded)] == [4, 5, 6]
    assert bounded.applied == 6
