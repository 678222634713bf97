"""Nothing is promised before it is on disk: votes, acknowledgements, own entries."""

from consensus.raft.core import HardState, Role
from consensus.raft.messages import Append, PreVoteResponse, VoteRequest, VoteResponse
from consensus.raft.records import HARD_KEY
from consensus.types import Put
from consensus.wire import encode
from tests.consensus.raft.bench import EPOCH, N1, N2, Bench, ack, append_of, vote_request


def test_a_vote_leaves_only_after_it_is_on_disk() -> None:
    bench = Bench()
    bench.engine.step(N2, vote_request(1, N2))
    effects = bench.engine.drain()
    assert effects.must_sync
    assert Put(HARD_KEY, encode(HardState(1, N2))) in effects.records
    assert effects.send_now == ()
    assert [e.message.granted for e in effects.send_after] == [True]


def test_a_leaders_own_entry_counts_only_after_its_write() -> None:
    bench = Bench(2)
    bench.campaign()
    bench.engine.step(N2, VoteResponse(EPOCH, 1, N2, N1, True))
    effects = bench.engine.drain()
    assert [type(e.message) for e in effects.send_now] == [Append]
    bench.engine.step(N2, ack(1, N2, 1))
    assert bench.core.commit == 0
    bench.engine.persisted(effects.token)
    assert bench.core.commit == 1


def test_an_overwritten_entry_is_not_counted_when_its_old_write_ends() -> None:
    bench = Bench(2, log=[1])
    bench.engine.step(N2, append_of([1, 1, 1], term=2, start=2))
    old = bench.engine.drain()
    bench.engine.step(N2, append_of([1, 2], term=3, start=2))
    bench.engine.persisted(old.token)
    assert bench.core.durable == 1
    new = bench.engine.drain()
    bench.engine.persisted(new.token)
    assert bench.core.durable == 2


def test_candidates_ask_for_votes_only_after_their_own_is_on_disk() -> None:
    bench = Bench()
    bench.time_out()
    bench.engine.step(N2, PreVoteResponse(EPOCH, 1, N2, True))
    effects = bench.engine.drain()
    assert effects.send_now == ()
    assert [type(e.message) for e in effects.send_after] == [VoteRequest, VoteRequest]
    bench.engine.step(N2, VoteResponse(EPOCH, 1, N2, N1, True))
    assert bench.core.role is Role.CANDIDATE
    bench.engine.persisted(effects.token)
    assert bench.core.role is Role.LEADER


def test_an_acknowledgement_leaves_only_after_the_entries_are_on_disk() -> None:
    bench = Bench()
    bench.engine.step(N2, append_of([1, 1], term=1))
    effects = bench.engine.drain()
    assert effects.must_sync
    assert effects.send_now == ()
    assert [(e.message.success, e.message.index) for e in effects.send_after] == [(True, 2)]


def test_refusals_also_wait_for_the_write_that_they_follow_from() -> None:
    bench = Bench()
    bench.engine.step(N2, append_of([1, 1, 1], term=1, start=3))
    bench.engine.step(N2, vote_request(1, N2))
    effects = bench.engine.drain()
    assert effects.send_now == ()
    answers = [e.message for e in effects.send_after]
    assert [getattr(a, "success", None) or getattr(a, "granted", False) for a in answers] == [
        False,
        False,
    ]
