"""Work on other threads that is always waited for, in the pool or on a thread that goes last.

Owns: the priority, and the promise that a thread has ended before whoever asked for it goes on,
also when cancelled: it reads what the caller is about to close, and LevelDB's memory goes away
with the store (a read that is late then kills the process).  Whatever touches the store off the
event loop goes through here.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

T = TypeVar("T")
_NICE: Final = 10


def lower_priority() -> None:
    """Let everything else on this machine go before this thread, where the system can."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


async def surely(
    work: Callable[..., T], *args: Any, stop: threading.Event | None = None, **named: Any
) -> T:
    """Return ``work(*args, **named)``, done in the event loop's pool.

    When cancelled, sets ``stop`` for work that looks at it, and goes on only when it has ended.
    """
    job = asyncio.get_running_loop().run_in_executor(None, partial(work, *args, **named))
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        if stop is not None:
            stop.set()
        # Cancelled once more meanwhile: the same answer, the work has not ended.
        while not job.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({job})
        if not job.cancelled():
            job.exception()  # taken note of: nobody is left who wants to hear it
        raise


async def in_background(work: Callable[[], T], *, name: str) -> T:
    """Return what ``work`` returns, or raise what it raises."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(give: Callable[[], None]) -> None:
        if not done.done():
            give()

    def body() -> None:
        lower_priority()
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            failure = error
            loop.call_soon_threadsafe(settle, lambda: done.set_exception(failure))
        else:
            loop.call_soon_threadsafe(settle, lambda: done.set_result(result))

    thread = threading.Thread(target=body, name=name)
    thread.start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.to_thread(thread.join)
        raise
