"""The event loop's lag: what is counted, and that a held-up loop shows."""

import asyncio
import contextlib
import time

from node.looplag import BUCKETS_S, TICK_S, LoopLag


def counts(lag: LoopLag) -> dict[str, float]:
    return dict(lag.buckets())


def test_buckets_are_cumulative_and_the_last_holds_everything():
    lag = LoopLag(lambda: 0.0)
    for late_s in (-0.001, 0.0004, 0.005, 0.0051, 99.0):
        lag.note(late_s)
    found = counts(lag)
    assert found["0.0005"] == 2, "early counts as in time"
    assert found["0.005"] == 3, "a bound belongs to its bucket"
    assert found["0.006"] == 4
    assert found[f"{BUCKETS_S[-1]:g}"] == 4
    assert found["+Inf"] == 5
    assert list(found.values()) == sorted(found.values())
    assert lag.sum_s > 99.0


async def test_whoever_holds_up_the_loop_is_seen():
    lag = LoopLag(time.monotonic)
    task = asyncio.create_task(lag.run())
    await asyncio.sleep(2 * TICK_S)
    time.sleep(0.12)  # noqa: ASYNC251 - the fault that the metric is there to show
    async with asyncio.timeout(10):
        while counts(lag)["+Inf"] < 3:  # noqa: ASYNC110 - the lag itself announces nothing
            await asyncio.sleep(TICK_S)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    found = counts(lag)
    assert found["+Inf"] - found["0.075"] >= 1
    assert found["+Inf"] > found["+Inf"] - found["0.075"], "not every tick was late"
