"""Learning the lineage from other members: pages of links, each judged before it is kept.

Owns: the two frames, serving, and asking one member after the other within bounded time.
Refuses: to believe; the keeper judges every link from genesis on.  A member that has nothing
newer is not a liar: it may be behind.  One whose links do not hold is, and its answer is
reported to the caller, who names it; the next one is asked.
Bounded: one question at a time, ``ANSWER_S`` each, links only upwards.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from consensus import wire
from node import threads
from node.ledger.lineage import LINKS_MAX, LineageInvalid, Link
from node.lineage_keeping import LineageKeeper

PAGE_LINKS_MAX: Final = 256
PAGE_BYTES_MAX: Final = 1 << 20
ANSWER_S: Final = 5.0
PEERS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class LineageRequest:
    """The links to the epochs above ``after``, please."""

    after: int

    def __post_init__(self) -> None:
        if self.after > LINKS_MAX:
            raise ValueError("beyond every lineage")


@dataclass(frozen=True, slots=True)
class LineageResponse:
    """They, as many as fit a page; none: the sender has no newer ones."""

    after: int
    links: tuple[Link, ...]

    def __post_init__(self) -> None:
        if len(self.links) > PAGE_LINKS_MAX or self.after > LINKS_MAX:
            raise ValueError("too many links")


def serve(keeper: LineageKeeper, request: LineageRequest) -> LineageResponse:
    """Return the links to the epochs above ``request.after``, within one page."""
    page: list[Link] = []
    size = 0
    for link in keeper.links(request.after)[:PAGE_LINKS_MAX]:
        size += len(wire.encode(link))
        if page and size > PAGE_BYTES_MAX:
            break
        page.append(link)
    return LineageResponse(request.after, tuple(page))


class LineageAsker:
    """``ask`` sends a request to a member; ``peers`` are those who can be reached now."""

    def __init__(
        self,
        keeper: LineageKeeper,
        *,
        ask: Callable[[str, LineageRequest], None],
        peers: Callable[[], Sequence[str]],
        answer_s: float = ANSWER_S,
    ) -> None:
        self._keeper = keeper
        self._ask = ask
        self._peers = peers
        self._answer_s = answer_s
        self._learning = asyncio.Lock()
        self._asked: tuple[str, int] | None = None
        self._answer: asyncio.Future[bool] | None = None
        self.liars: dict[str, str] = {}
        """Whose links did not hold, and why, since the start; one entry a member."""

    async def learn(self, *, at_least: int | None = None) -> int:
        """Ask until epoch ``at_least`` is proven, or everybody was asked; returns the epoch.

        Takes at most ``PEERS_MAX`` times ``answer_s`` for members that are silent; each page
        that an answer adds brings new links, of which there are at most ``LINKS_MAX``.
        """
        async with self._learning:
            for peer in list(self._peers())[:PEERS_MAX]:
                while not self._reached(at_least):
                    before = self._keeper.epoch
                    if not await self._page(peer) or self._keeper.epoch == before:
                        break
                if self._reached(at_least):
                    break
            return self._keeper.epoch

    def _reached(self, at_least: int | None) -> bool:
        return at_least is not None and self._keeper.epoch >= at_least

    async def _page(self, peer: str) -> bool:
        """Ask ``peer`` for one page; False: it is silent, or lies."""
        after = self._keeper.epoch
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked, self._answer = (peer, after), answer
        try:
            self._ask(peer, LineageRequest(after))
            async with asyncio.timeout(self._answer_s):
                return await answer
        except TimeoutError:
            return False
        finally:
            self._asked = self._answer = None

    async def received(self, peer: str, response: LineageResponse) -> bool:
        """Judge an answer and keep what holds; False when it does not, with the member named.

        What nobody asked for, or too late, is passed over.
        """
        answer = self._answer
        if self._asked != (peer, response.after) or answer is None or answer.done():
            return True
        try:
            await threads.surely(self._keeper.adopt, response.links, after=response.after)
            holds = True
        except LineageInvalid as error:
            self.liars[peer] = str(error)
            holds = False
        if not answer.done():
            answer.set_result(holds)
        return holds
