"""Linearizable reads: wait until this node has executed all that anybody may have been told.

Owns: the readers between their question and the height that answers it.  Readers that come
together share one question to the engine; the engine names a height, and once this node has
executed it the readers may look.  A question that the engine refuses or loses is asked again
for ``ASK_AGAIN_S``, which outlasts an orderly change of leader.
Refuses: readers beyond that (``ReadRefused``), and more than ``WAITING_MAX`` at a time; it
never guesses that local state is new enough.
Invariant: a reader is let through only by a question that was asked after the reader came, so
its answer holds everything that was final anywhere when it came.
Bounded: waiting readers, and with them questions; each reader leaves after its own time limit.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from typing import Final

from consensus.effects import ReadReady

WAITING_MAX: Final = 2048
READ_S: Final = 5.0
ASK_AGAIN_S: Final = 1.5
PAUSE_S: Final = 0.05

_Readers = list["asyncio.Future[int]"]


class ReadRefused(Exception):
    """This node cannot tell now whether its state is the newest; ask again, or another."""

    code = "read-unavailable"


class LinearReads:
    """Belongs to the event loop's thread.

    ``executed()`` is the height of this node's state; ``wake``, set by whoever drives the
    engine, makes it take a turn.  Tokens start anywhere: an answer to a question of this
    member's last life, still on its way, must not pass for one of this life.
    """

    def __init__(
        self,
        executed: Callable[[], int],
        *,
        ask_again_s: float = ASK_AGAIN_S,
        first_token: int | None = None,
    ) -> None:
        self.served = 0
        self.refused = 0
        self.wake: Callable[[], None] = _nobody
        self._executed = executed
        self._ask_again_s = ask_again_s
        self._next_token = secrets.randbits(62) if first_token is None else first_token
        self._waiting = 0
        self._arrived: _Readers = []
        self._asked: dict[int, _Readers] = {}
        self._behind: dict[int, _Readers] = {}  # height -> readers it lets through

    @property
    def waiting(self) -> int:
        return self._waiting

    async def wait(self, *, timeout_s: float = READ_S) -> int:
        """Return the height that the answer must hold, once this node has executed it.

        Raises ``ReadRefused``.
        """
        if self._waiting >= WAITING_MAX:
            self.refused += 1
            raise ReadRefused(f"{WAITING_MAX} reads are waiting")
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                height = await self._height()
        except TimeoutError:
            self.refused += 1
            raise ReadRefused(f"no answer from the members within {timeout_s:g} s") from None
        except ReadRefused:
            self.refused += 1
            raise
        finally:
            self._waiting -= 1
        self.served += 1
        return height

    async def _height(self) -> int:
        loop = asyncio.get_running_loop()
        patient_until = loop.time() + self._ask_again_s
        while True:
            reader: asyncio.Future[int] = loop.create_future()
            self._arrived.append(reader)
            self.wake()
            try:
                return await reader
            except ReadRefused:
                if loop.time() >= patient_until:
                    raise
            await asyncio.sleep(PAUSE_S)

    def ask(self, read: Callable[[int], bool]) -> None:
        """Put one question for everybody who came since the last; called in the engine's turn.

        ``read`` is ``Engine.read``.
        """
        if not self._arrived:
            return
        self._forget_those_who_left()
        readers, self._arrived = self._arrived, []
        token, self._next_token = self._next_token, self._next_token + 1
        if read(token):
            self._asked[token] = readers
        else:
            _refuse(readers, "no leader that a quorum follows is known here")

    def ready(self, answers: Iterable[ReadReady]) -> None:
        """Take the engine's answers; a question nobody remembers has no readers any more."""
        for answer in answers:
            readers = self._asked.pop(answer.token, [])
            if answer.height is None:
                _refuse(readers, "the question was lost when the leader changed")
            elif answer.height <= self._executed():
                _let_through(readers, answer.height)
            else:
                self._behind.setdefault(answer.height, []).extend(readers)

    def executed(self, height: int) -> None:
        """This node has executed ``height``, durably."""
        for due in [due for due in self._behind if due <= height]:
            _let_through(self._behind.pop(due), due)

    def _forget_those_who_left(self) -> None:
        for waiting in (self._asked, self._behind):
            for key, readers in list(waiting.items()):
                readers[:] = [reader for reader in readers if not reader.done()]
                if not readers:
                    del waiting[key]


def _nobody() -> None:
    """Stands where nobody drives an engine yet: readers wait for the first turn."""


def _let_through(readers: _Readers, height: int) -> None:
    for reader in readers:
        if not reader.done():
            reader.set_result(height)


def _refuse(readers: _Readers, why: str) -> None:
    for reader in readers:
        if not reader.done():
            reader.set_exception(ReadRefused(why))
