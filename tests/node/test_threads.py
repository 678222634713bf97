"""Who is cancelled while a thread works goes on when that has ended, and without complaint."""

import asyncio
import gc
import threading

import pytest

from node import threads


class _Stopped(Exception):
    """The work was told to stop."""


async def test_work_that_is_stopped_leaves_no_complaint(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, stop, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        stop.wait()
        ended.set()
        raise _Stopped

    task = asyncio.create_task(threads.surely(work, stop=stop))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set(), "the thread has ended before anybody goes on"
    del task
    gc.collect()
    await asyncio.sleep(0)
    assert "never retrieved" not in caplog.text


async def test_what_work_raises_reaches_who_waits_for_it() -> None:
    def work() -> None:
        raise _Stopped

    with pytest.raises(_Stopped):
        await threads.surely(work)
