"""One thread that does what it is given, in order, for tasks that wait for it.

Owns: the way there and back.  It is taken four times for every block, and the standard pool's
costs half as much again as this: a lock, two futures and a weak reference for each job.
Refuses: what is given after ``close``.
Bounded by its callers: each waits for its job before it gives the next.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, TypeVar

T = TypeVar("T")
_Job = tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]
_END: Final = None


class Lane:
    """A thread named ``name``, started by its first job."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._closed = False

    def run(self, work: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
        """Return what ``work(*arguments)`` will return or raise, once it was its turn.

        A job that is cancelled before its turn is not done; one that runs, runs to its end.
        """
        assert not self._closed, "the lane is closed"
        if self._thread.ident is None:
            self._thread.start()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put((done, work, arguments))
        return done

    def close(self) -> None:
        """Return when what was given is done; twice is harmless."""
        if not self._closed:
            self._closed = True
            self._jobs.put(_END)
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            done, work, arguments = job
            if done.cancelled():
                continue
            result, error = None, None
            try:
                result = work(*arguments)
            except BaseException as caught:  # noqa: BLE001 - handed to whoever waits
                error = caught
            _tell(done, result, error)
            del job, done, work, arguments, result, error  # nothing is kept while it waits


def _tell(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    """Settle ``done`` on its own loop; nobody waits any more when that is closed."""
    try:
        done.get_loop().call_soon_threadsafe(_settle, done, result, error)
    except RuntimeError:
        if not done.get_loop().is_closed():
            raise


def _settle(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
