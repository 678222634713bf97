"""Memory is bounded by liars and window, whatever f members send with their real keys.

Measured in bytes: the pickled state is everything a member keeps.  Signatures are right, so
nothing is refused before the engine sees it.
"""

import pickle
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.certs import PreparedCert, SuspectCert
from consensus.pbft.dialect import DIALECT, primary
from consensus.pbft.messages import (
    WINDOW_MAX,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Status,
    Suspect,
    ViewChange,
)
from consensus.pbft.watch import RECENT_HEIGHTS
from consensus.types import NodeId
from tests.consensus.pbft.harness import NETWORK, World, block, committee_of, signed

PLACE_BYTES_MAX = 250  # one vote or statement with its signature and its place
PROPOSAL_BYTES_MAX = 500  # of the test's small blocks
CALM_BYTES_MAX = 5_000  # what a member keeps that nobody ever spoke to


def kept_bytes(world: World, node: NodeId) -> int:
    return len(pickle.dumps(world.nodes[node].engine._state))


def allowance(liars: int) -> int:
    """What ``liars`` may make anyone keep: their places at each height of the widest window."""
    heights = WINDOW_MAX + 2
    votes = 2 * 2 * heights * PLACE_BYTES_MAX  # two kinds, this view and one ahead
    watched = 2 * 5 * (heights + RECENT_HEIGHTS) * PLACE_BYTES_MAX
    proposals = heights * PROPOSAL_BYTES_MAX
    change = WINDOW_MAX * PROPOSAL_BYTES_MAX + 2_000
    return CALM_BYTES_MAX + liars * (votes + watched + proposals + change)


def flood(rng: Random, liar: str, size: int) -> Any:
    """Return a well-signed message of ``liar``, near or far from anything that goes on."""
    view = rng.choice([0, 0, 1, 2, rng.randrange(1 << 40)])
    height = rng.choice([1 + rng.randrange(12), rng.randrange(1, 1 << 40)])
    digest = rng.randbytes(32)
    committee = committee_of(size)
    kind = rng.randrange(7)
    if kind == 0:
        return signed(Prepare(1, view, height, digest, liar))
    if kind == 1:
        return signed(Commit(1, view, height, digest, liar))
    if kind == 2:
        return signed(Suspect(1, view, height, liar))
    if kind == 3:
        while primary(view, committee) != liar:
            view += 1
        return signed(PrePrepare(1, view, block(height, digest), liar))
    if kind == 4:
        return Status(1, view, rng.random() < 0.5, height)
    lineage = SuspectCert(1, view, 1, bytes([0b1]), (b"s" * 64,))
    change = ViewChange(1, view + 1, 0, NETWORK, b"", (), lineage, liar)
    if kind == 5:
        return signed(change)
    while primary(view, committee) != liar:
        view += 1
    return signed(NewView(1, view, (change,), (), liar))


def pour(world: World, victim: NodeId, liars: list[NodeId], rng: Random, count: int) -> None:
    engine = world.nodes[victim].engine
    for number in range(count):
        liar = rng.choice(liars)
        message = flood(rng, liar, len(world.committee.members))
        world.nodes[victim].receive(liar, DIALECT.encode(message))
        if number % 50 == 0:
            world.now_ms += 7
            engine.drain()
    engine.drain()
    engine.check_invariants()


@pytest.mark.parametrize("window", [1, 8])
@pytest.mark.parametrize("size", [4, 7])
def test_a_flood_of_f_members_fills_the_places_and_no_more(size: int, window: int) -> None:
    world = World(size, window=window)
    victim, liars = world.ids[0], list(world.ids[-world.committee.faults_max :])
    world.liars.update(liars)
    rng = Random(size * window)
    pour(world, victim, liars, rng, 800)
    first = kept_bytes(world, victim)
    pour(world, victim, liars, rng, 2400)
    assert kept_bytes(world, victim) <= allowance(len(liars))
    assert kept_bytes(world, victim) <= first * 1.5
    assert world.nodes[victim].engine.status().round == 0


def test_the_places_are_for_the_members_that_take_them() -> None:
    kept = {}
    for size in (4, 10):
        world = World(size, window=8)
        liars = list(world.ids[-world.committee.faults_max :])
        world.liars.update(liars)
        pour(world, world.ids[0], liars, Random(1), 1200)
        kept[size] = kept_bytes(world, world.ids[0])
    assert kept[10] <= 5 * kept[4]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 32), st.sampled_from([1, 2, 8]))
def test_no_flood_exceeds_the_allowance(seed: int, window: int) -> None:
    world = World(4, window=window)
    liar = world.ids[3]
    world.liars.add(liar)
    pour(world, world.ids[0], [liar], Random(seed), 400)
    assert kept_bytes(world, world.ids[0]) <= allowance(1)


def test_what_is_kept_shrinks_again_when_the_chain_moves_on() -> None:
    world = World(4, window=8)
    liar = world.ids[3]
    world.crash(liar)
    world.liars.add(liar)
    world.grow(10)
    world.run(1000)
    calm = kept_bytes(world, world.ids[0])
    pour(world, world.ids[0], [liar], Random(3), 800)
    world.grow(40)
    world.run(1000)
    assert kept_bytes(world, world.ids[0]) <= calm + allowance(1) // 10


def test_prepared_certificates_of_a_view_change_are_as_many_as_the_window_has_places() -> None:
    certificate = PreparedCert(1, 0, block(1, NETWORK), b"\x07", (b"s" * 64,) * 3)
    lineage = SuspectCert(1, 0, 1, b"\x07", (b"s" * 64,) * 3)
    with pytest.raises(ValueError, match="window"):
        ViewChange(1, 1, 0, NETWORK, b"", (certificate,) * (WINDOW_MAX + 1), lineage, "m01")
    message = ViewChange(1, 1, 0, NETWORK, b"", (certificate,) * WINDOW_MAX, lineage, "m01")
    assert DIALECT.decode(DIALECT.encode(message), size_max=1 << 16) == message
