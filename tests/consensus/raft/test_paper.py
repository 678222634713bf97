"""Sentences of the Raft paper (Ongaro and Ousterhout 2014, extended version), one test each.

The section stands before each group; expectations are ours, read off the paper's Figure 2, 7
and 8.
"""

from typing import Any

import pytest

from consensus.raft.core import HardState, Role
from consensus.raft.messages import (
    Append,
    AppendResponse,
    Heartbeat,
    HeartbeatResponse,
    PreVoteRequest,
    PreVoteResponse,
    VoteResponse,
)
from consensus.raft.records import HARD_KEY
from consensus.types import NodeId
from consensus.wire import encode
from tests.consensus.raft.bench import (
    EPOCH,
    N1,
    N2,
    N3,
    Bench,
    ack,
    append_of,
    entries,
    nack,
    vote_request,
)
from tests.consensus.raft.harness import Cluster, block


def only(sent: list[tuple[NodeId, Any]], kind: type) -> list[Any]:
    return [message for _, message in sent if isinstance(message, kind)]


# --- 5.1 terms ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["follower", "candidate", "leader"])
def test_5_1_any_role_becomes_follower_on_seeing_a_larger_term(how: str) -> None:
    bench = Bench()
    if how == "candidate":
        bench.campaign()
    if how == "leader":
        bench.lead()
    bench.step(Heartbeat(EPOCH, 9, N3, 0))
    assert (bench.core.role, bench.core.term, bench.core.leader) == (Role.FOLLOWER, 9, N3)


def test_5_1_a_message_of_an_older_term_changes_nothing() -> None:
    bench = Bench(log=[1, 1], term=5)
    before = (bench.terms(), bench.core.commit)
    bench.step(append_of([2, 2], term=2, commit=2))
    assert (bench.terms(), bench.core.commit) == before
    assert bench.engine.refusals == {"message of an older term": 1}


# --- 5.2 election ------------------------------------------------------------------------


def test_5_2_members_start_as_followers() -> None:
    assert Bench().core.role is Role.FOLLOWER


def test_5_2_a_leader_sends_heartbeats_to_everybody_at_its_interval() -> None:
    bench = Bench()
    bench.lead()
    sent = bench.tick(100)
    assert sorted(to for to, message in sent if isinstance(message, Heartbeat)) == [N2, N3]
    assert only(bench.tick(99), Heartbeat) == []


def test_5_2_without_a_leader_an_election_begins_within_the_timeout() -> None:
    bench = Bench(election_ms_min=1000, election_ms_spread=1000)
    assert bench.tick(999) == []
    assert only(bench.tick(1001), PreVoteRequest) != []


def test_5_2_heartbeats_keep_a_follower_from_campaigning() -> None:
    bench = Bench()
    for _ in range(40):
        sent = bench.step(Heartbeat(EPOCH, 1, N2, 0))
        assert sent == [(N2, HeartbeatResponse(EPOCH, 1, N1))]
        assert bench.tick(900) == []
    assert bench.core.term == 1


def test_5_2_a_candidate_raises_its_term_votes_for_itself_and_asks_the_others() -> None:
    bench = Bench()
    sent = bench.campaign()
    assert sent == [(N2, vote_request(1, N1)), (N3, vote_request(1, N1))]
    assert (bench.core.term, bench.core.vote) == (1, N1)
    assert dict(bench.node.disk.durable)[HARD_KEY] == encode(HardState(1, N1))


@pytest.mark.parametrize(
    ("size", "votes", "wins"),
    [
        (1, "", True),
        (2, "", False),
        (2, "+", True),
        (3, "+", True),
        (3, "-", False),
        (4, "+", False),
        (4, "++", True),
        (5, "+", False),
        (5, "++", True),
        (5, "+--", False),
        (5, "--++", True),
        (7, "++-", False),
    ],
)
def test_5_2_a_majority_of_votes_makes_a_leader(size: int, votes: str, wins: bool) -> None:
    bench = Bench(size)
    bench.campaign()
    for peer, vote in zip(bench.peers, votes, strict=False):
        bench.step(VoteResponse(EPOCH, 1, peer, N1, vote == "+"))
    assert (bench.core.role is Role.LEADER) is wins


def test_5_2_a_repeated_vote_counts_once() -> None:
    bench = Bench(5)
    bench.campaign()
    for _ in range(3):
        bench.step(VoteResponse(EPOCH, 1, N2, N1, True))
    assert bench.core.role is Role.CANDIDATE


def test_5_2_each_member_votes_for_one_candidate_per_term() -> None:
    bench = Bench()
    assert bench.step(vote_request(1, N2)) == [(N2, VoteResponse(EPOCH, 1, N1, N2, True))]
    assert bench.step(vote_request(1, N3)) == [(N3, VoteResponse(EPOCH, 1, N1, N3, False))]
    assert bench.step(vote_request(1, N2)) == [(N2, VoteResponse(EPOCH, 1, N1, N2, True))]


def test_5_2_a_vote_survives_a_crash() -> None:
    bench = Bench()
    bench.step(vote_request(1, N2))
    bench.node.crash()
    bench.node.start(0)
    assert bench.step(vote_request(1, N3)) == [(N3, VoteResponse(EPOCH, 1, N1, N3, False))]


def test_5_2_a_candidate_returns_to_follower_when_another_leads_its_term() -> None:
    bench = Bench()
    bench.campaign()
    bench.step(append_of([1], term=1, sender=N3))
    assert (bench.core.role, bench.core.leader) == (Role.FOLLOWER, N3)


def test_5_2_a_split_vote_ends_in_a_new_election_of_a_higher_term() -> None:
    bench = Bench()
    bench.campaign()
    assert only(bench.time_out(), PreVoteRequest) != []
    bench.step(PreVoteResponse(EPOCH, 2, N2, True))
    assert (bench.core.term, bench.core.role) == (2, Role.CANDIDATE)


def test_5_2_election_timeouts_are_random_over_their_whole_range() -> None:
    bench = Bench(election_ms_min=100, election_ms_spread=50, heartbeat_ms=10)
    waits = set()
    for _ in range(2000):
        bench.core.rearm_election()
        waits.add(bench.core.election_due_ms - bench.now_ms)
    assert waits == set(range(100, 150))


# --- 5.3 log replication -----------------------------------------------------------------


def test_5_3_a_leader_appends_an_empty_entry_of_its_term_and_sends_it() -> None:
    bench = Bench(log=[1, 1])
    sent = bench.lead()
    expected = Append(EPOCH, 2, N1, 2, 1, 0, entries(1, 1, 2)[2:])
    assert sent == [(N2, expected), (N3, expected)]


def test_5_3_an_entry_is_committed_once_a_majority_holds_it() -> None:
    bench = Bench(5)
    bench.lead()
    bench.step(ack(1, N2, 1))
    assert bench.core.commit == 0
    bench.step(ack(1, N3, 1))
    assert bench.core.commit == 1
    bench.propose()
    bench.step(ack(1, N2, 2))
    assert bench.node.heights == 0
    bench.step(ack(1, N3, 2))
    assert (bench.core.commit, bench.node.heights) == (2, 1)


def test_5_3_followers_learn_the_commit_index_and_deliver() -> None:
    bench = Bench()
    bench.step(append_of([1, 1], term=1, commit=1))
    assert bench.node.heights == 0
    bench.step(append_of([1, 1], term=1, start=3, commit=2))
    assert bench.node.heights == 1


def test_5_3_a_commit_index_beyond_the_message_is_cut_to_what_it_vouches_for() -> None:
    bench = Bench(log=[1, 1, 1])
    bench.step(append_of([1, 1], term=2, start=2, commit=9))
    assert bench.core.commit == 2


def test_5_3_an_append_is_refused_when_the_entry_before_is_missing_or_different() -> None:
    bench = Bench(log=[1, 1])
    (refusal,) = only(bench.step(append_of([1, 1, 1, 1], term=2, start=4)), AppendResponse)
    assert (refusal.success, refusal.index) == (False, 3)
    (refusal,) = only(bench.step(append_of([1, 2, 2], term=2, start=3)), AppendResponse)
    assert (refusal.success, refusal.index) == (False, 2)
    assert bench.terms() == [1, 1]


@pytest.mark.parametrize(
    ("own", "leader", "start", "result"),
    [
        ([1, 1, 1], [1, 1, 2], 3, [1, 1, 2]),  # conflict: replaced
        ([1, 1, 1, 1], [1, 2], 2, [1, 2]),  # conflict: all that follows goes too
        ([1, 1, 1], [1, 1], 2, [1, 1, 1]),  # shorter and equal: nothing is dropped
        ([1, 1], [1, 1, 1, 1], 2, [1, 1, 1, 1]),  # overlapping and longer
        ([], [1, 1], 1, [1, 1]),
    ],
)
def test_5_3_only_a_true_conflict_truncates(
    own: list[int], leader: list[int], start: int, result: list[int]
) -> None:
    bench = Bench(log=own)
    bench.step(append_of(leader, term=3, start=start))
    assert bench.terms() == result
    bench.node.crash()
    bench.node.start(0)
    assert bench.terms() == result


# Figure 7: logs of followers against the leader's 1 1 1 4 4 5 5 6 6 6, leader of term 8.
FIGURE_7 = {
    "a": [1, 1, 1, 4, 4, 5, 5, 6, 6],
    "b": [1, 1, 1, 4],
    "c": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    "d": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    "e": [1, 1, 1, 4, 4, 4, 4],
    "f": [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
}


@pytest.mark.parametrize("case", sorted(FIGURE_7))
def test_5_3_figure_7_the_leader_brings_every_follower_to_its_own_log(case: str) -> None:
    leader, follower = Bench(log=[1, 1, 1, 4, 4, 5, 5, 6, 6, 6], term=7), None
    follower = Bench(log=FIGURE_7[case], term=7)
    probes = 0
    outgoing = [message for to, message in leader.lead() if to == N2]
    while outgoing:
        message = outgoing.pop(0)
        probes += 1
        # The follower is n1 of its own bench; on the leader's it plays n2, and the reverse.
        turned = Append(
            EPOCH,
            message.term,
            N2,
            message.prev_index,
            message.prev_term,
            message.commit,
            message.entries,
        )
        for answer in only(follower.step(turned), AppendResponse):
            answered = AppendResponse(
                EPOCH,
                answer.term,
                N2,
                answer.success,
                answer.index,
                answer.hint_index,
                answer.hint_term,
            )
            outgoing += [m for to, m in leader.step(answered) if to == N2]
    assert follower.core.log.entries == leader.core.log.entries
    assert probes <= 5, "one probe per term of the divergence, not one per entry"


def test_5_3_hints_skip_a_whole_term_on_both_sides() -> None:
    follower = Bench(log=[1, 1, 3, 3, 3, 3])
    (refusal,) = only(
        follower.step(append_of([1, 1, 2, 2, 2, 2, 4], term=4, start=7)), AppendResponse
    )
    assert (refusal.hint_index, refusal.hint_term) == (2, 1)
    leader = Bench(log=[1, 1, 4, 4, 4, 4])
    leader.lead()
    sent = leader.step(nack(5, N2, 6, hint_index=5, hint_term=3))
    assert [m.prev_index for m in only(sent, Append)] == [2]


def test_5_3_a_late_refusal_never_lowers_what_a_follower_acknowledged() -> None:
    bench = Bench()
    bench.lead()
    bench.step(ack(1, N2, 1))
    bench.propose()
    bench.step(ack(1, N2, 2))
    for index in (0, 1, 2):
        assert bench.step(nack(1, N2, index)) == []
    assert bench.core.progress[N2].match == 2
    assert bench.core.commit == 2


def test_5_3_an_acknowledgement_beyond_the_leaders_log_is_refused() -> None:
    bench = Bench()
    bench.lead()
    bench.step(ack(1, N2, 7))
    assert bench.core.progress[N2].match == 0
    assert bench.engine.refusals == {"append answer beyond our log": 1}


def test_5_3_a_leader_that_contradicts_a_committed_entry_stops_the_node() -> None:
    bench = Bench()
    bench.step(append_of([1, 1], term=1, commit=2))
    with pytest.raises(AssertionError, match="conflict below commit"):
        bench.step(append_of([1, 2], term=2, start=2, sender=N3))


# --- 5.4 safety --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "last_term", "last_index", "granted"),
    [
        ([1], 1, 1, True),
        ([1], 1, 2, True),
        ([1, 1], 1, 1, False),
        ([1], 2, 1, True),
        ([1, 1], 2, 1, True),
        ([2], 1, 1, False),
        ([2], 1, 5, False),
        ([], 0, 0, True),
    ],
)
def test_5_4_1_a_voter_denies_candidates_whose_log_is_less_up_to_date(
    own: list[int], last_term: int, last_index: int, granted: bool
) -> None:
    bench = Bench(log=own)
    sent = bench.step(vote_request(7, last_index=last_index, last_term=last_term))
    assert sent == [(N2, VoteResponse(EPOCH, 7, N1, N2, granted))]


@pytest.mark.parametrize(("index", "commit"), [(1, 0), (2, 0), (3, 3)])
def test_5_4_2_figure_8_entries_of_older_terms_are_not_committed_by_counting(
    index: int, commit: int
) -> None:
    bench = Bench(log=[1, 2])
    bench.lead()
    assert bench.terms() == [1, 2, 3]
    bench.step(ack(3, N2, index))
    assert bench.core.commit == commit


def test_5_4_2_figure_8_as_a_story() -> None:
    cluster = Cluster(5)
    cluster.elect("n1")
    cluster.order(1)
    cluster.cut = {frozenset(p) for p in [("n1", "n3"), ("n1", "n4"), ("n1", "n5")]}
    leader = cluster["n1"]
    wanted = leader.engine.want()
    assert wanted is not None

    leader.engine.propose(block(wanted.height, wanted.parent, flavour="lost"))
    cluster.settle()
    assert cluster["n2"].engine._core.log.tip.height == 2
    cluster.isolate("n1")
    cluster.isolate("n2")
    cluster.run(5_000)
    cluster.order(1, flavour="kept")
    cluster.heal()
    cluster.run(5_000)
    tips = {node.ledger[1].proposal.header for node in cluster.nodes.values()}
    assert tips == {b"header 2 kept"}


def test_5_4_3_a_chosen_leader_already_holds_every_committed_entry() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.isolate("n3")
    cluster.order(2)
    cluster.crash("n1")
    cluster.heal()
    cluster.now_ms += 2_000
    cluster["n3"].engine.tick(cluster.now_ms)
    cluster.run(5_000)
    assert cluster.leader().id == "n2"
    assert cluster["n3"].heights == 2
