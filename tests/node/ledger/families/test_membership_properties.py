"""Family membership: what holds after any sequence of proposals, votes, rotations, departures.

``tests.support.seats.check`` looks at eras, voters, observers and keys after every block.
"""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from node.ledger.facts import governance as facts
from node.ledger.facts.membership_bodies import Admit, Feature
from node.ledger.families.membership import Knows
from node.ledger.registry import RESULTS
from tests.support.seats import Seats, newcomer, node_keys
from tests.support.story import APPLIED

FOUNDERS = ("alder", "birch", "cedar")
EVERYBODY = (*FOUNDERS, "dogwood", "elder")
orgs = st.sampled_from(EVERYBODY)
generations = st.sampled_from(["", "2", "3", "4"])

Step = Callable[[Seats], str]


def _replace(org: str, generation: str) -> Step:
    def step(seats: Seats) -> str:
        body = seats.replaced(org, generation)
        code = seats.decide(replace_keys=body, signers=(f"{org}/identity{generation}",))
        if code == APPLIED:
            seats.identity[org] = f"{org}/identity{generation}"
        return code

    return step


def _half_decided(org: str, target: str) -> Step:
    """Leave a proposal open, with one vote, for later steps to count again."""

    def step(seats: Seats) -> str:
        handle = f"open {org} {target} {seats.world.height}"
        code = seats.propose(handle, org=org, admit=Admit(target))
        return code if code != APPLIED else seats.vote(handle, org)

    return step


steps = st.one_of(
    st.builds(lambda org: lambda seats: seats.decide(register=newcomer(org)), orgs),
    st.builds(
        lambda org, votes: lambda seats: seats.decide(admit=Admit(org, votes)),
        orgs,
        st.booleans(),
    ),
    st.builds(lambda org: lambda seats: seats.ready(org), orgs),
    st.builds(lambda org: lambda seats: seats.decide(demote=org), orgs),
    st.builds(lambda org: lambda seats: seats.decide(remove=org), orgs),
    st.builds(lambda org: lambda seats: seats.leave(org), orgs),
    st.builds(lambda org: lambda seats: seats.decide(suspend=org), orgs),
    st.builds(lambda org: lambda seats: seats.decide(resume=org), orgs),
    st.builds(
        lambda engine: lambda seats: seats.decide(engine=engine),
        st.sampled_from(["pbft", "raft"]),
    ),
    st.builds(
        lambda org, generation: lambda seats: seats.rotate(org, generation), orgs, generations
    ),
    st.builds(_replace, orgs, generations),
    st.builds(_half_decided, orgs, orgs),
    st.builds(lambda org: lambda seats: seats.act(org, Knows(("more-proposals",))), orgs),
    st.just(lambda seats: seats.decide(feature=Feature("more-proposals"))),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, min_size=4, max_size=24))
def test_after_any_sequence_eras_voters_and_keys_agree(sequence: list[Step]) -> None:
    seats = Seats(*FOUNDERS)
    codes = {result.code for result in RESULTS.values()}
    ever: dict[bytes, tuple[str, str]] = {}
    for step in sequence:
        voters = seats.voters
        assert step(seats) in codes
        now = {key: (row.org, row.role) for key, row in node_keys(seats.world).items()}
        assert ever.items() <= now.items(), "a key stays its institution's, for its task"
        ever = now
        assert seats.voters, "somebody orders the next block"
        assert facts.can_decide(seats.world.get), "and the members can decide"
        if seats.voters != voters:
            _check_tallies(seats)
    intervals = node_keys(seats.world).values()
    assert all(
        row.until_height is None or row.from_height <= row.until_height for row in intervals
    )


def _check_tallies(seats: Seats) -> None:
    """Right after a change of voters every proposal that may be voted on says what is true."""
    for handle in facts.open_proposals(seats.world.get):
        row = facts.proposal(seats.world.get, handle)
        assert row is not None
        counted = facts.tally(seats.world.get, row)
        assert set(counted.yes) <= set(seats.voters)
        if seats.world.time_ms <= row.vote_until_ms:
            assert (row.reached_ms is not None) == (counted.missing == 0)
