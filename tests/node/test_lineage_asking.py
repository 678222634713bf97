"""Learning the lineage from peers: honest, silent, lying and endless ones, in bounded time."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from consensus import wire
from consensus.types import NodeId
from node import lineage_asking
from node.book import Book
from node.ledger.lineage import LINKS_MAX, Link
from node.lineage_asking import (
    PAGE_LINKS_MAX,
    LineageAsker,
    LineageRequest,
    LineageResponse,
    serve,
)
from node.lineage_keeping import LineageKeeper
from storage.store import Store
from tests.support.eras import Eras, founded

FOUR = ("alder", "birch", "cedar", "dogwood")
Peer = Callable[[LineageRequest], LineageResponse | None]


def lived(eras: int) -> Eras:
    made = Eras(founded())
    for number in range(eras):
        made.barrier(FOUR if number % 2 else FOUR[1:])
    return made


class Room:
    """A node that starts from genesis; peers are functions, named ``p0`` and so on."""

    def __init__(self, directory: Path) -> None:
        genesis = founded()
        self.store = Store.open(directory, network=genesis.network, create=True)
        self.keeper = LineageKeeper(self.store, genesis, Book(self.store, genesis).read)
        self.peers: list[Peer] = []
        self.asked: list[tuple[str, int]] = []
        self.verdicts: list[bool] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.asker = LineageAsker(
            self.keeper,
            ask=self.ask,
            peers=lambda: [f"p{at}" for at in range(len(self.peers))],
            answer_s=0.05,
        )

    def ask(self, peer: str, request: LineageRequest) -> None:
        self.asked.append((peer, request.after))
        answer = self.peers[int(peer[1:])](request)
        if answer is not None:
            self.tasks.append(asyncio.create_task(self._answer(peer, answer)))

    async def _answer(self, peer: str, answer: LineageResponse) -> None:
        sent = wire.decode(LineageResponse, wire.encode(answer), size_max=4 << 20)
        self.verdicts.append(await self.asker.received(peer, sent))


def silent(_: LineageRequest) -> None:
    return None


def knows(links: list[Link], page: int = PAGE_LINKS_MAX) -> Peer:
    return lambda asked: LineageResponse(
        asked.after, tuple(links[asked.after : asked.after + page])
    )


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path / "node")
    yield made
    made.store.close()


async def test_a_node_that_starts_from_genesis_learns_every_era_from_one_peer(
    room: Room,
) -> None:
    links = lived(5).links
    room.peers = [knows(links, page=2), silent]
    assert await room.asker.learn(at_least=5) == 5
    assert room.asked == [("p0", 0), ("p0", 2), ("p0", 4)]
    assert room.keeper.links() == tuple(links)
    assert room.asker.liars == {}


async def test_without_a_goal_everybody_is_asked_and_the_longest_lineage_stays(
    room: Room,
) -> None:
    links = lived(4).links
    room.peers = [knows(links[:1]), knows([]), knows(links), knows(links[:2])]
    assert await room.asker.learn() == 4
    assert {peer for peer, _ in room.asked} == {"p0", "p1", "p2", "p3"}
    assert room.asker.liars == {}, "to be behind is no lie"


async def test_a_silent_peer_costs_its_time_and_the_next_one_is_asked(room: Room) -> None:
    links = lived(1).links
    room.peers = [silent, silent, knows(links)]
    assert await room.asker.learn(at_least=1) == 1
    assert room.asked == [("p0", 0), ("p1", 0), ("p2", 0)]


async def test_a_liar_is_named_with_the_reason_and_the_next_one_is_asked(room: Room) -> None:
    made = lived(2)
    few = replace(made.links[1], note=made.note(epoch=1, signers=1))
    room.peers = [knows([made.links[0], few]), knows(made.links)]
    assert await room.asker.learn(at_least=2) == 2
    await asyncio.gather(*room.tasks)
    assert room.verdicts == [False, True]
    assert list(room.asker.liars) == ["p0"]
    assert room.asker.liars["p0"].startswith("quorum-missing: link to epoch 2")
    assert room.keeper.links() == tuple(made.links)


async def test_a_peer_that_repeats_what_is_known_is_asked_once(room: Room) -> None:
    links = lived(3).links
    assert room.keeper.adopt(links, after=0) == 3
    room.peers = [lambda asked: LineageResponse(asked.after, ())]
    assert await room.asker.learn(at_least=9) == 3
    assert room.asked == [("p0", 3)]


async def test_what_was_not_asked_for_or_comes_late_changes_nothing(room: Room) -> None:
    links = lived(1).links
    answer = LineageResponse(0, tuple(links))
    assert await room.asker.received("p0", answer)
    room.peers = [silent]
    assert await room.asker.learn(at_least=1) == 0
    assert await room.asker.received("p0", answer)
    assert room.keeper.epoch == 0
    room.peers = [lambda _: LineageResponse(1, tuple(links))]
    assert await room.asker.learn(at_least=1) == 0, "an answer to another question"
    assert room.keeper.epoch == 0


async def test_two_that_learn_at_once_take_turns(room: Room) -> None:
    links = lived(2).links
    room.peers = [knows(links, page=1)]
    both = await asyncio.gather(room.asker.learn(at_least=2), room.asker.learn(at_least=2))
    assert both == [2, 2]
    assert room.asked == [("p0", 0), ("p0", 1)]


def test_pages_are_bounded_by_links_and_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(tmp_path / "node")
    links = lived(4).links
    room.keeper.adopt(links, after=0)
    assert serve(room.keeper, LineageRequest(1)) == LineageResponse(1, tuple(links[1:]))
    assert serve(room.keeper, LineageRequest(9)) == LineageResponse(9, ())
    monkeypatch.setattr(lineage_asking, "PAGE_LINKS_MAX", 3)
    assert serve(room.keeper, LineageRequest(0)).links == tuple(links[:3])
    size = len(wire.encode(links[0]))
    monkeypatch.setattr(lineage_asking, "PAGE_BYTES_MAX", size + 1)
    assert serve(room.keeper, LineageRequest(0)).links == tuple(links[:1])
    monkeypatch.setattr(lineage_asking, "PAGE_BYTES_MAX", 1)
    assert serve(room.keeper, LineageRequest(3)).links == tuple(links[3:])
    room.store.close()


def test_frames_beyond_their_limits_are_refused() -> None:
    for wrong in (
        lambda: LineageRequest(LINKS_MAX + 1),
        lambda: LineageResponse(LINKS_MAX + 1, ()),
        lambda: LineageResponse(0, tuple(lived(1).links) * (PAGE_LINKS_MAX + 1)),
    ):
        with pytest.raises(ValueError, match=r"beyond|too many"):
            wrong()
    assert NodeId("p0") == "p0"
