"""The clock of hops: what is inside is not counted twice, and waiting costs nothing."""

import asyncio
import importlib
import time

import pytest

from tests.bench import hopclock
from tests.bench.hopclock import HOPS, Clock

STEP_NS = 1_000_000


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A thread clock that only moves when it is told."""
    at = [0]
    monkeypatch.setattr(time, "thread_time_ns", lambda: at[0])
    return at


def test_a_hop_inside_another_is_taken_out_of_it(now: list[int]) -> None:
    clock = Clock()

    def inner() -> None:
        now[0] += 3 * STEP_NS

    timed_inner = clock.timed(inner, "inner")

    def outer() -> str:
        now[0] += STEP_NS
        timed_inner()
        timed_inner()
        return "done"

    assert clock.timed(outer, "outer")() == "done"
    found = clock.report()
    assert found["outer"] == [STEP_NS, 1]
    assert found["inner"] == [6 * STEP_NS, 2]


async def test_of_a_coroutine_only_its_slices_count(now: list[int]) -> None:
    clock = Clock()

    async def waits(event: asyncio.Event) -> int:
        now[0] += STEP_NS
        await event.wait()
        now[0] += STEP_NS
        return 7

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    event = asyncio.Event()
    task = asyncio.ensure_future(clock.timed(waits, "waits")(event))
    await asyncio.sleep(0)
    now[0] += 100 * STEP_NS  # somebody else's
    event.set()
    assert await task == 7
    with pytest.raises(ZeroDivisionError):
        await clock.timed(fails, "fails")()
    cancelled = asyncio.ensure_future(clock.timed(waits, "cancelled")(asyncio.Event()))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    found = clock.report()
    assert found["waits"] == [2 * STEP_NS, 1]
    assert found["fails"][1] == found["cancelled"][1] == 1
    clock.begin()
    assert set(clock.report()) == {hopclock.LOOP, hopclock.WORKERS, hopclock.OTHERS}


@pytest.mark.parametrize("name", [name for names in HOPS.values() for name in names])
def test_every_function_of_a_hop_is_there(name: str) -> None:
    module, _, path = name.partition(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    assert callable(found)
