"""A lane does its jobs in order, tells what came of each, and ends when it is closed."""

import asyncio
import threading

import pytest

from node.lane import Lane


class Slow:
    """A job that says when it has begun, and ends when it is let."""

    def __init__(self, done: list[str]) -> None:
        self.begun, self.go, self._done = threading.Event(), threading.Event(), done

    def __call__(self) -> None:
        self.begun.set()
        self.go.wait()
        self._done.append("slow")


async def test_jobs_are_done_in_order_on_one_thread_of_its_name() -> None:
    lane, done = Lane("a-lane"), []

    def job(number: int) -> str:
        done.append(number)
        return threading.current_thread().name

    names = await asyncio.gather(*[lane.run(job, number) for number in range(20)])
    lane.close()
    assert done == list(range(20))
    assert set(names) == {"a-lane"}


async def test_what_a_job_raises_reaches_whoever_waits_and_the_next_is_done() -> None:
    lane = Lane("a-lane")

    def fails() -> None:
        raise OSError("no room")

    failing, next_one = lane.run(fails), lane.run(int, "7")
    with pytest.raises(OSError, match="no room"):
        await failing
    assert await next_one == 7
    lane.close()


async def test_a_job_cancelled_before_its_turn_is_not_done_and_one_that_runs_ends() -> None:
    lane, done = Lane("a-lane"), []
    slow = Slow(done)
    running = lane.run(slow)
    await asyncio.to_thread(slow.begun.wait)
    waiting = lane.run(done.append, "cancelled")
    last = lane.run(done.append, "last")
    waiting.cancel()
    running.cancel()
    slow.go.set()
    await last
    lane.close()
    assert done == ["slow", "last"]


async def test_closing_waits_for_what_was_given() -> None:
    lane, done = Lane("a-lane"), []
    slow = Slow(done)
    waiting = lane.run(slow)
    await asyncio.to_thread(slow.begun.wait)
    closing = threading.Thread(target=lane.close)
    closing.start()
    assert not done
    slow.go.set()
    closing.join()
    assert done == ["slow"]
    await waiting
    lane.close()


def test_what_ends_after_its_loop_is_told_to_nobody_and_the_lane_goes_on() -> None:
    lane, go, done = Lane("a-lane"), threading.Event(), []

    def slow() -> None:
        go.wait()
        done.append("slow")

    async def leave() -> None:
        lane.run(slow)

    asyncio.run(leave())
    go.set()

    async def again() -> str:
        return await lane.run(str, "next")

    assert asyncio.run(again()) == "next"
    assert done == ["slow"]
    lane.close()


def test_a_lane_that_never_had_a_job_closes() -> None:
    lane = Lane("a-lane")
    lane.close()
    with pytest.raises(AssertionError, match="closed"):
        asyncio.run(_given(lane))


async def _given(lane: Lane) -> None:
    await lane.run(int)
