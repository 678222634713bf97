"""The sentences of Castro and Liskov, "Practical Byzantine Fault Tolerance" (OSDI 1999).

One test per sentence, in our words and in the order of sections 4.1 to 4.5; the section is in
the name.  Where our variant deviates, the docstring of ``consensus.pbft`` says why and the test
shows what holds instead.  Most cases are one member between hand-made messages: set up, step,
look at what it says.
"""

from itertools import product
from typing import Any

import pytest

from consensus.certs import CertificateInvalid, proposal_hash, verify_commit_certificate
from consensus.pbft.dialect import DIALECT, primary
from consensus.pbft.messages import Commit, NewView, Prepare, PrePrepare, Suspect, ViewChange
from consensus.types import NodeId, Proposal
from tests.consensus.pbft.forge import A, B, change, committed, lying, opened, prepared, tell
from tests.consensus.pbft.harness import (
    NETWORK,
    World,
    block,
    committee_of,
    fake_verify,
    signed,
)

LONG = 10_000_000
QUIET = {"request_ms": LONG, "resend_ms": LONG, "status_ms": LONG}
MEMBERS = [f"m{i:02d}" for i in range(4)]


def alone(name: str, **timing: int) -> World:
    """Return a world where only ``name`` of four members runs; the test speaks for the rest."""
    world = World(4, **timing)
    return lying(world, *(member for member in MEMBERS if member != name))


def said(world: World, kind: type, by: str) -> list[Any]:
    """Return what ``by`` said of ``kind``, repetitions left out."""
    return list(dict.fromkeys(m for s, m in world.sent if s == by and isinstance(m, kind)))


def prepare(signer: str, proposal: Proposal, view: int = 0) -> Prepare:
    return Prepare(1, view, proposal.height, proposal_hash(proposal), signer)


def commit(signer: str, proposal: Proposal, view: int = 0) -> Commit:
    return Commit(1, view, proposal.height, proposal.digest, signer)


def delivered(world: World, name: str) -> int:
    return world.nodes[NodeId(name)].engine.status().delivered


def standing(world: World, name: str) -> tuple[int, str]:
    status = world.nodes[NodeId(name)].engine.status()
    return status.round, status.role


def suspected(world: World, name: str, view: int = 0) -> None:
    """Let the three others suspect ``view`` before ``name``."""
    tell(world, name, *(Suspect(1, view, 1, m) for m in MEMBERS if m != name))


# --- 4.1 the client -------------------------------------------------------------------------


def test_4_1_a_client_is_convinced_by_signatures_it_checks_itself() -> None:
    # The paper's client waits for f + 1 equal replies; ours takes one commit certificate.
    world = World(4)
    world.grow(1)
    proposal, certificate = world.disks[world.ids[2]].chain[0]

    def verify(digest: bytes) -> None:
        verify_commit_certificate(
            certificate,
            proposal_height=1,
            digest=digest,
            committee=world.committee,
            network=NETWORK,
            verify=fake_verify,
        )

    verify(proposal.digest)
    with pytest.raises(CertificateInvalid):
        verify(block(1, NETWORK, "other").digest)


def test_4_1_a_request_that_all_know_and_the_primary_ignores_ends_its_view() -> None:
    world = World(4)
    world.work()  # nobody proposes: the harness does so only up to ``height_goal``
    world.run(10_000, lambda: any(standing(world, m)[0] > 0 for m in MEMBERS))
    assert {standing(world, m)[0] for m in MEMBERS} == {1}


# --- 4.2 normal-case operation --------------------------------------------------------------


def test_4_2_the_primary_of_a_view_is_the_member_at_its_number_modulo_the_group() -> None:
    for size in (1, 4, 7):
        committee = committee_of(size)
        assert [primary(view, committee) for view in range(2 * size)] == 2 * [*committee.ids]


def test_4_2_the_primary_gives_the_next_number_and_proposes_to_everybody() -> None:
    world = alone("m00", **QUIET)
    world.height_goal = 1
    world.pump()
    (proposal,) = [m.proposal for m in said(world, PrePrepare, "m00")]
    assert (proposal.height, proposal.parent) == (1, NETWORK)
    receivers = {
        target
        for _, _, target, raw in world.wire
        if isinstance(DIALECT.decode(raw, size_max=9999), PrePrepare)
    }
    assert receivers == {"m01", "m02", "m03"}


def test_4_2_a_backup_that_accepts_a_proposal_says_prepare_to_everybody() -> None:
    world = alone("m01", **QUIET)
    tell(world, "m01", PrePrepare(1, 0, A, "m00"))
    assert [(m.view, m.height, m.content) for m in said(world, Prepare, "m01")] == [
        (0, 1, proposal_hash(A))
    ]


def test_4_2_a_backup_accepts_nothing_with_a_wrong_signature() -> None:
    world = alone("m01", **QUIET)
    whole = signed(PrePrepare(1, 0, A, "m00"))
    forged = PrePrepare(1, 0, B, "m00", whole.signature)
    assert not world.nodes[NodeId("m01")].receive("m00", DIALECT.encode(forged))


@pytest.mark.parametrize("view", [1, 4])
def test_4_2_a_backup_accepts_only_proposals_of_the_view_it_is_in(view: int) -> None:
    world = alone("m02", **QUIET)
    tell(world, "m02", PrePrepare(1, view, A, MEMBERS[view % 4]))
    assert not said(world, Prepare, "m02")


def test_4_2_a_backup_accepts_one_block_for_a_view_and_number() -> None:
    world = alone("m01", **QUIET)
    tell(world, "m01", PrePrepare(1, 0, A, "m00"), PrePrepare(1, 0, B, "m00"))
    assert [m.content for m in said(world, Prepare, "m01")] == [proposal_hash(A)]


def test_4_2_a_proposal_and_prepares_of_two_f_other_members_make_it_prepared() -> None:
    world = alone("m01", **QUIET)
    tell(world, "m01", PrePrepare(1, 0, A, "m00"))
    assert not said(world, Commit, "m01"), "the primary and we are two of three"
    tell(world, "m01", prepare("m00", A))
    assert not said(world, Commit, "m01"), "the primary counts once"
    tell(world, "m01", prepare("m02", A))
    assert [(m.view, m.height, m.digest) for m in said(world, Commit, "m01")] == [
        (0, 1, A.digest)
    ]


@pytest.mark.parametrize(
    "votes",
    [
        [prepare("m02", B), prepare("m03", B)],
        [prepare("m02", A, view=1), prepare("m03", A, view=1)],
        [prepare("m02", block(2, A.digest)), prepare("m03", block(2, A.digest))],
        [commit("m02", A)],
    ],
    ids=["another block", "another view", "another number", "a commit"],
)
def test_4_2_prepares_count_only_for_the_same_block_view_and_number(votes: list[Any]) -> None:
    world = alone("m01", **QUIET)
    tell(world, "m01", PrePrepare(1, 0, A, "m00"), *votes)
    assert not said(world, Commit, "m01")


def test_4_2_prepares_without_the_proposal_make_nothing_prepared() -> None:
    world = alone("m01", **QUIET)
    tell(world, "m01", *(prepare(m, A) for m in ("m00", "m02", "m03")))
    assert not said(world, Prepare, "m01")
    assert not said(world, Commit, "m01")


def test_4_2_a_quorum_of_commits_our_own_among_them_makes_it_committed() -> None:
    world = alone("m01", **QUIET)
    tell(world, "m01", PrePrepare(1, 0, A, "m00"), prepare("m02", A), commit("m02", A))
    assert said(world, Commit, "m01")
    assert delivered(world, "m01") == 0, "ours and one more are two of three"
    tell(world, "m01", commit("m02", A))
    assert delivered(world, "m01") == 0, "m02 counts once"
    tell(world, "m01", commit("m03", A))
    assert delivered(world, "m01") == 1


def test_4_2_nothing_relies_on_the_order_in_which_messages_arrive() -> None:
    world = alone("m01", **QUIET)
    tell(world, "m01", commit("m03", A), commit("m02", A), prepare("m02", A))
    assert delivered(world, "m01") == 0
    tell(world, "m01", PrePrepare(1, 0, A, "m00"))
    assert delivered(world, "m01") == 1


def test_4_2_what_is_committed_waits_for_all_lower_numbers() -> None:
    world = alone("m01", window=2, **QUIET)
    second = block(2, A.digest)
    tell(world, "m01", PrePrepare(1, 0, A, "m00"), PrePrepare(1, 0, second, "m00"))
    tell(world, "m01", *(commit(m, second) for m in ("m00", "m02", "m03")))
    assert delivered(world, "m01") == 0
    tell(world, "m01", *(commit(m, A) for m in ("m00", "m02", "m03")))
    assert delivered(world, "m01") == 2


@pytest.mark.parametrize("size", [4, 5, 6, 7])
def test_4_2_honest_members_never_prepare_two_blocks_for_one_view_and_number(
    size: int,
) -> None:
    # Every way in which a lying primary can divide the honest members between two blocks.
    faults = committee_of(size).faults_max
    honest = [f"m{i:02d}" for i in range(faults, size)]
    for division in product((A, B), repeat=len(honest)):
        world = lying(World(size, **QUIET), *(f"m{i:02d}" for i in range(faults)))
        for member, proposal in zip(honest, division, strict=True):
            tell(world, member, PrePrepare(1, 0, proposal, "m00"))
        for member, liar, proposal in product(honest, range(faults), (A, B)):
            tell(world, member, prepare(f"m{liar:02d}", proposal))
        world.run(20)
        blocks = {m.digest for member in honest for m in said(world, Commit, member)}
        assert len(blocks) <= 1, division


# --- 4.3 garbage collection -----------------------------------------------------------------


def test_4_3_messages_are_accepted_between_the_watermarks_only() -> None:
    world = World(4, checkpoint_lag_max=2, **QUIET)
    for node in world.nodes.values():
        node.engine.stable(0)
    world.height_goal = 9
    world.run(200)
    assert set(world.heights().values()) == {2}
    for node in world.nodes.values():
        node.engine.stable(2)
    world.run(200)
    assert set(world.heights().values()) == {4}


def test_4_3_votes_at_or_below_a_final_height_are_discarded() -> None:
    world = World(4, **QUIET)
    world.grow(2)
    node = world.nodes[NodeId("m01")]
    assert not node.engine._state.slots
    assert not list(node.engine._state.votes)
    first = world.disks[NodeId("m01")].chain[0][0]
    tell(world, "m01", prepare("m02", first), commit("m02", first))
    assert not list(node.engine._state.votes)
    assert node.engine.refused["vote-outside"] >= 2


# --- 4.4 view changes -----------------------------------------------------------------------


def test_4_4_a_backup_that_waits_for_a_request_starts_a_timer() -> None:
    world = alone("m01", request_ms=2000)
    world.nodes[NodeId("m01")].engine.work(world.now_ms)
    world.run(1999)
    assert not said(world, Suspect, "m01")
    world.run(1)
    assert [(m.view, m.height) for m in said(world, Suspect, "m01")] == [(0, 1)]


def test_4_4_a_backup_that_waits_for_nothing_has_no_timer() -> None:
    world = alone("m01", request_ms=2000)
    world.run(60_000)
    assert not said(world, Suspect, "m01")


def test_4_4_the_timer_stops_when_the_request_is_executed() -> None:
    world = World(4, request_ms=2000)
    world.grow(1)
    for node in world.nodes.values():
        node.engine.work(None)
    world.run(60_000)
    assert not [m for _, m in world.sent if isinstance(m, Suspect)]


def test_4_4_the_timer_starts_anew_when_a_request_is_executed_and_another_waits() -> None:
    world = alone("m01", request_ms=2000, status_ms=LONG)
    world.nodes[NodeId("m01")].engine.work(world.now_ms)
    world.run(1500)
    tell(
        world, "m01", PrePrepare(1, 0, A, "m00"), *(commit(m, A) for m in MEMBERS if m != "m01")
    )
    assert delivered(world, "m01") == 1
    world.run(1999)
    assert not said(world, Suspect, "m01")
    world.run(1)
    assert [m.height for m in said(world, Suspect, "m01")] == [2]


def test_4_4_a_timer_that_ran_out_leads_to_the_next_view_once_a_quorum_agrees() -> None:
    # The paper lets each backup leave on its own; ours says Suspect and works on until then.
    world = alone("m01", request_ms=2000, status_ms=LONG)
    world.nodes[NodeId("m01")].engine.work(world.now_ms)
    world.run(2000)
    tell(world, "m01", PrePrepare(1, 0, A, "m00"))
    assert said(world, Prepare, "m01"), "suspicion is no silence"
    tell(world, "m01", Suspect(1, 0, 1, "m02"))
    assert not said(world, ViewChange, "m01")
    tell(world, "m01", Suspect(1, 0, 1, "m03"))
    assert [m.view for m in said(world, ViewChange, "m01")] == [1]


def test_4_4_who_left_a_view_takes_no_part_in_it_any_more() -> None:
    world = alone("m03", **QUIET)
    suspected(world, "m03")
    tell(world, "m03", PrePrepare(1, 0, A, "m00"), prepare("m01", A), prepare("m02", A))
    assert not said(world, Prepare, "m03")
    assert not said(world, Commit, "m03")
    assert standing(world, "m03") == (1, "view-change")


def test_4_4_a_view_change_shows_the_last_final_block_with_its_proof() -> None:
    world = World(4, **QUIET)
    world.grow(1)
    tell(world, "m03", *(Suspect(1, 0, 2, m) for m in MEMBERS[:3]))
    (message,) = said(world, ViewChange, "m03")
    assert (message.height, message.digest) == (1, world.decided[1])
    verify_commit_certificate(
        message.certificate,
        proposal_height=1,
        digest=world.decided[1],
        committee=world.committee,
        network=NETWORK,
        verify=fake_verify,
    )


def test_4_4_a_view_change_shows_a_certificate_of_what_is_prepared_above() -> None:
    world = alone("m03", **QUIET)
    tell(world, "m03", PrePrepare(1, 0, A, "m00"), prepare("m01", A))
    suspected(world, "m03")
    (message,) = said(world, ViewChange, "m03")
    assert [(p.view, p.proposal) for p in message.prepared] == [(0, A)]


def test_4_4_what_is_only_accepted_is_not_shown() -> None:
    world = alone("m03", **QUIET)
    tell(world, "m03", PrePrepare(1, 0, A, "m00"))
    suspected(world, "m03")
    (message,) = said(world, ViewChange, "m03")
    assert message.prepared == ()


def test_4_4_the_new_primary_opens_the_view_with_two_f_view_changes_and_its_own() -> None:
    world = alone("m01", **QUIET)
    tell(world, "m01", change("m02", 1))
    assert said(world, ViewChange, "m01")
    assert not said(world, NewView, "m01")
    tell(world, "m01", change("m03", 1))
    (message,) = said(world, NewView, "m01")
    assert [each.signer for each in message.view_changes] == ["m01", "m02", "m03"]


def test_4_4_view_changes_to_another_view_open_nothing() -> None:
    world = alone("m01", **QUIET)
    tell(world, "m01", change("m02", 1), change("m03", 5))
    assert not said(world, NewView, "m01")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_4_4_the_new_primary_proposes_again_what_is_prepared_in_the_highest_view(
    order: tuple[int, int],
) -> None:
    world = alone("m03", **QUIET)
    shown = [prepared(A, 0), prepared(B, 1)]
    tell(world, "m03", *(change(f"m{i:02d}", 3, shown[i]) for i in order))
    (message,) = said(world, NewView, "m03")
    assert message.chosen == (B,)


def test_4_4_where_nothing_is_prepared_nothing_is_proposed_again() -> None:
    # The paper fills gaps with null requests; on a hash chain there are no gaps to fill.
    world = alone("m01", **QUIET)
    tell(world, "m01", change("m02", 1), change("m03", 1))
    (message,) = said(world, NewView, "m01")
    assert message.chosen == ()
    assert standing(world, "m01") == (1, "primary")
    assert not said(world, Prepare, "m01")


@pytest.mark.parametrize(
    ("message", "enters"),
    [
        (opened(A, shown=(prepared(A, 0),)), True),
        (opened(), True),
        (opened(shown=(prepared(A, 0),)), False),
        (opened(B, shown=(prepared(A, 0),)), False),
        (opened(A), False),
    ],
    ids=["right", "right and empty", "one left out", "one replaced", "one made up"],
)
def test_4_4_a_backup_computes_again_what_a_new_view_must_propose(
    message: NewView, enters: bool
) -> None:
    world = alone("m03", **QUIET)
    tell(world, "m03", message)
    assert (standing(world, "m03") == (1, "backup")) is enters


def test_4_4_entering_a_view_means_preparing_what_it_proposes_again() -> None:
    world = alone("m03", **QUIET)
    tell(world, "m03", opened(A, shown=(prepared(A, 0),)))
    assert [(m.view, m.content) for m in said(world, Prepare, "m03")] == [(1, proposal_hash(A))]


def test_4_4_after_that_the_protocol_goes_on_as_before() -> None:
    world = alone("m03", **QUIET)
    tell(world, "m03", opened(A, shown=(prepared(A, 0),)))
    tell(world, "m03", prepare("m01", A, 1), prepare("m02", A, 1))
    assert [m.view for m in said(world, Commit, "m03")] == [1]
    tell(world, "m03", commit("m01", A, 1), commit("m02", A, 1))
    assert delivered(world, "m03") == 1


def test_4_4_what_was_executed_is_not_executed_again() -> None:
    world = alone("m03", **QUIET)
    tell(world, "m03", PrePrepare(1, 0, A, "m00"), *(commit(m, A) for m in MEMBERS[:3]))
    assert delivered(world, "m03") == 1
    world.sent.clear()
    tell(world, "m03", opened(A, shown=(prepared(A, 0),)))
    tell(world, "m03", *(commit(m, A, 1) for m in MEMBERS[:3]))
    assert standing(world, "m03") == (1, "backup")
    assert len(world.disks[NodeId("m03")].chain) == 1
    assert not said(world, Prepare, "m03")
    assert not said(world, Commit, "m03")


def test_4_4_a_member_that_lacks_the_start_of_a_view_gets_it_from_one_that_has_it() -> None:
    world = alone("m03", view_change_ms=LONG, **QUIET)
    base = (1, A.digest, committed(A, 0))
    changes = (change("m00", 1, base=base), change("m01", 1), change("m02", 1))
    tell(world, "m03", signed(NewView(1, 1, changes, (), "m01")))
    assert standing(world, "m03") == (0, "backup"), "not before it holds the block"
    world.run(100)
    assert [(fetch.peer, fetch.lo, fetch.hi) for _, fetch in world.asked] == [("m00", 1, 1)]
    node = world.nodes[NodeId("m03")]
    assert node.take(A, committed(A, 0))
    node.pump()
    assert standing(world, "m03") == (1, "backup")


# --- 4.5 correctness ------------------------------------------------------------------------


@pytest.mark.parametrize("lucky", MEMBERS)
def test_4_5_1_what_committed_at_one_member_is_ordered_there_in_every_later_view(
    lucky: str,
) -> None:
    world = World(4)
    world.drop = lambda _s, target, message: (
        isinstance(message, Commit) and message.view == 0 and target != lucky
    )
    world.height_goal = 1
    world.run(100)
    block_1 = world.decided[1]
    world.crash(NodeId("m00"))
    world.drop = lambda _s, _t, message: isinstance(message, Commit) and message.view == 0
    world.grow(2)
    assert world.decided[1] == block_1
    assert {standing(world, node)[0] for node in world.nodes} == {1}


def test_4_5_2_the_new_view_timer_starts_with_a_quorum_of_view_changes() -> None:
    world = alone("m03", request_ms=LONG, view_change_ms=1000, status_ms=LONG)
    suspected(world, "m03")
    tell(world, "m03", change("m00", 1))
    world.run(60_000)
    assert standing(world, "m03") == (1, "view-change")
    tell(world, "m03", change("m02", 1))
    world.run(999)
    assert standing(world, "m03") == (1, "view-change")
    world.run(1)
    assert standing(world, "m03") == (2, "view-change")


def test_4_5_2_each_failed_view_is_given_twice_the_time() -> None:
    world = alone("m00", request_ms=LONG, view_change_ms=1000, status_ms=LONG)
    suspected(world, "m00")
    for view, wait_ms in ((1, 1000), (2, 2000), (3, 4000)):
        tell(world, "m00", *(change(m, view) for m in ("m01", "m02")))
        world.run(wait_ms - 1)
        assert standing(world, "m00")[0] == view
        world.run(1)
        assert standing(world, "m00")[0] == view + 1


def test_4_5_2_f_plus_one_members_ahead_are_followed_to_the_smallest_of_their_views() -> None:
    world = alone("m02", **QUIET)
    suspected(world, "m02")
    tell(world, "m02", change("m00", 5))
    assert standing(world, "m02")[0] == 1, "one of them may lie"
    tell(world, "m02", change("m03", 3))
    assert standing(world, "m02")[0] == 3


def test_4_5_2_f_faulty_members_force_no_view_change() -> None:
    world = lying(World(4), "m03")
    world.grow(1)
    for view in range(6):
        for name in list(world.nodes):
            tell(world, name, Suspect(1, view, 2, "m03"))
    assert {standing(world, node)[0] for node in world.nodes} == {0}
    world.grow(5)
    assert {standing(world, node)[0] for node in world.nodes} == {0}


@pytest.mark.parametrize("size", [4, 7, 10])
def test_4_5_2_no_more_than_f_views_in_a_row_have_a_faulty_primary(size: int) -> None:
    world = World(size)
    faults = world.committee.faults_max
    for node in world.ids[:faults]:
        world.crash(node)
    world.grow(2)
    assert {standing(world, node)[0] for node in world.nodes} == {faults}
