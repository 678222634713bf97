"""The engine's selection equals the model's ``Select`` on every small input, none left out.

Each input is given to ``consensus.pbft.select`` as the engine's own records, and to a
transcription of the model's operator.  Bounds: three heights, two views, two values; one or two
view changes with a window of three, one to three with a window of two.  ``run.py --select``
goes on to three with a window of three and lets TLC judge the answers.
"""

from itertools import product

import pytest

from consensus.pbft.state import Slot
from consensus.pbft.view_change import _prepared_chain
from tests.consensus.pbft.harness import World
from tests.model.abstract import (
    HEIGHT_MAX,
    VALUES,
    VIEWS,
    Cert,
    Chain,
    Word,
    certificate,
    contiguous,
    engine,
    inputs,
    outcomes,
    words,
)

# (window, view changes at most): (cases, of these with certificates that more than f liars
# must have made, where the model allows more than one outcome).
CASES = {(3, 2): (6440, 1766), (2, 3): (20_824, 4596)}


def test_the_lists_of_view_changes_are_whole() -> None:
    assert {window: len(words(window=window)) for window in (1, 2, 3)} == {1: 16, 2: 48, 3: 112}


@pytest.mark.parametrize(("window", "most"), CASES)
def test_the_engine_selects_what_the_model_selects(window: int, most: int) -> None:
    listed = words(window=window)
    cases = ties = 0
    for position, first in enumerate(listed):
        for case in inputs(first, listed[position:], more_max=most - 1):
            expected = outcomes(case)
            assert engine(case) in expected, case
            cases += 1
            ties += len(expected) > 1
    assert (cases, ties) == CASES[window, most]


def test_the_order_of_view_changes_does_not_matter() -> None:
    listed = words(window=2)
    for position, first in enumerate(listed):
        for case in inputs(first, listed[position:], more_max=1):
            assert engine(case) == engine(case[::-1])


def test_a_member_shows_what_the_model_shows_whatever_it_holds() -> None:
    world = World(4)
    state = world.nodes[world.ids[3]].engine._state
    places = [
        [None, *product(VIEWS, product(VALUES, repeat=height))]
        for height in range(1, HEIGHT_MAX + 1)
    ]
    cases = 0
    for held in product(*places):
        votes = [cert for cert in held if cert is not None]
        state.slots = {
            len(chain): Slot(prepared=certificate(view, chain)) for view, chain in votes
        }
        shown = set(_prepared_chain(state))
        assert shown == {certificate(*cert) for cert in contiguous((), frozenset(votes))}
        cases += 1
    assert cases == 5 * 9 * 17


A: Chain = ("a",)
B: Chain = ("b",)


def test_the_transcription_takes_the_highest_view_and_stops_at_a_gap() -> None:
    def outcome(*certs: Cert) -> set[Chain]:
        return outcomes([Word((), (cert,)) for cert in certs])

    assert outcome((0, A), (1, B)) == {B}
    assert outcome((1, A), (0, B)) == {A}
    assert outcome((1, A), (1, B)) == {A, B}
    assert outcome((1, ("a", "b"))) == {()}
    assert outcome((0, A), (1, ("a", "b")), (1, ("b", "a"))) == {("a", "b")}


def test_the_transcription_shows_one_certificate_per_height_while_they_chain() -> None:
    votes = frozenset({(0, A), (1, B), (0, ("a", "a")), (1, ("b", "a")), (0, ("b", "a", "a"))})
    assert contiguous((), votes) == {(1, B), (1, ("b", "a")), (0, ("b", "a", "a"))}
    assert contiguous(A, votes) == set()
