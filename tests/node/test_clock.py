"""A wrong wall clock is noticed, told from a jump, and neither stops nor misleads a node."""

import pytest

from node.bodies import BodyRefused, check_time
from node.clock import Clock
from node.ledger.block import Header
from node.ledger.genesis import Parameters

HOUR_MS = 3_600_000.0
S_NS = 1_000_000_000


class World:
    """Two clocks and what the members say of theirs."""

    def __init__(self, quorum: int = 3) -> None:
        self.wall_ns = 1_700_000_000 * S_NS
        self.monotonic_ns = 0
        self.said: dict[str, tuple[float, float]] = {}  # against our monotonic clock
        self.clock = Clock(
            wall_ns=lambda: self.wall_ns,
            monotonic_ns=lambda: self.monotonic_ns,
            ahead_ms=lambda: {
                member: (at - self.difference_ms, exact)
                for member, (at, exact) in self.said.items()
            },
            quorum=lambda: quorum,
            limit_ms=5000,
        )

    def second(self) -> None:
        self.wall_ns += S_NS
        self.monotonic_ns += S_NS
        assert self.clock.look() is None

    @property
    def difference_ms(self) -> float:
        return (self.wall_ns - self.monotonic_ns) / 1e6

    @property
    def off_ms(self) -> int:
        return self.clock.now_ms() - self.wall_ns // 1_000_000


@pytest.fixture
def world() -> World:
    return World()


def say(world: World, *ahead_ms: float) -> None:
    ours = world.difference_ms
    world.said = {f"m{at}": (ours + ahead, 1.0) for at, ahead in enumerate(ahead_ms)}
    world.second()


def test_small_differences_leave_our_own_time_in_force(world: World) -> None:
    say(world, 40.0, -30.0, 20.0)
    assert world.clock.skew_ms == pytest.approx(0.0, abs=20)
    assert (world.clock.wrong, world.off_ms) == (False, 0)


def test_a_clock_that_is_hours_wrong_goes_by_the_others(world: World) -> None:
    say(world, HOUR_MS, HOUR_MS + 5, HOUR_MS - 5)
    assert world.clock.wrong
    assert world.off_ms == pytest.approx(HOUR_MS, abs=10)


@pytest.mark.parametrize("lie", [400 * 24 * HOUR_MS, -400 * 24 * HOUR_MS])
def test_one_liar_among_four_moves_nothing(world: World, lie: float) -> None:
    say(world, lie, 10.0, -10.0)
    assert not world.clock.wrong
    assert world.off_ms == 0


def test_too_few_members_prove_nothing(world: World) -> None:
    say(world, HOUR_MS)
    assert world.clock.skew_ms is None
    assert world.off_ms == 0


def test_one_against_one_is_no_majority() -> None:
    world = World(quorum=2)
    say(world, HOUR_MS)
    assert world.clock.skew_ms == 0.0


@pytest.mark.parametrize(("jump_ms", "word"), [(HOUR_MS, "forward"), (-HOUR_MS, "backward")])
def test_a_jump_is_told_and_the_time_for_blocks_does_not_jump(
    world: World, jump_ms: float, word: str
) -> None:
    say(world, 0.0, 0.0, 0.0)
    before = world.clock.now_ms()
    world.wall_ns += round(jump_ms * 1e6)
    assert world.clock.now_ms() == pytest.approx(before, abs=2), "nobody has looked yet"
    jump = world.clock.look()
    assert jump is not None
    assert (jump.direction, round(jump.ms)) == (word, round(jump_ms))
    assert world.clock.jumps[word] == 1
    assert world.clock.now_ms() == pytest.approx(before, abs=2)
    world.second()
    assert world.clock.now_ms() == pytest.approx(before + 1000, abs=2), "nobody said it anew"
    assert world.clock.wrong
    world.wall_ns -= round(jump_ms * 1e6)
    assert world.clock.now_ms() == pytest.approx(before + 1000, abs=2), "and back"


def header(time_ms: int) -> Header:
    return Header(1, bytes(32), 0, 2, bytes(32), time_ms, "a", bytes(32))


def test_where_clocks_came_back_the_ledger_goes_on_but_no_faster_than_it_must() -> None:
    """A quorum's clocks were 400 days ahead for a moment: without this the network would stand
    still for 400 days."""
    parent_ms = 400 * 24 * 3_600_000
    rules = {"parent_time_ms": parent_ms, "now_ms": 1000, "parameters": Parameters()}
    check_time(header(parent_ms + 1), **rules)  # type: ignore[arg-type]
    for wrong in (parent_ms, parent_ms + 2):
        with pytest.raises(BodyRefused):
            check_time(header(wrong), **rules)  # type: ignore[arg-type]
