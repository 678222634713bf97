"""What wakes a task that waits for work or for a time.

Owns: one timer, set anew only when it fires or would fire too late: a task that is woken
fifteen times for each block sets none at all for most of them.
Refuses: a second task that waits.
"""

import asyncio


class Bell:
    """``ring`` from the event loop's thread; rung before anybody waits, it is remembered."""

    def __init__(self) -> None:
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0

    def ring(self) -> None:
        self._rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def silence(self) -> None:
        """Forget that it rang: whoever waits next waits for what comes from now on."""
        self._rung = False

    async def wait(self, seconds: float) -> None:
        """Return once it rang, or after ``seconds``."""
        assert self._waiter is None, "one waits at a time"
        if self._rung:
            return
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._due_s:
            self.close()
        if self._timer is None:
            self._timer = loop.call_at(self._due_s, self._look)
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def close(self) -> None:
        """Leave no timer behind."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        loop = self._waiter.get_loop()
        if loop.time() >= self._due_s:
            self._waiter.set_result(None)
        else:
            self._timer = loop.call_at(self._due_s, self._look)
