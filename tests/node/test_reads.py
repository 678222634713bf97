"""Linearizable reads: who is let through, by which question, and who is refused."""

import asyncio

import pytest

from consensus.effects import ReadReady
from node.reads import WAITING_MAX, LinearReads, ReadRefused


class Asked:
    """Readers of a node at ``height``; the engine's answers are given by hand."""

    def __init__(self, height: int = 10, *, ask_again_s: float = 0) -> None:
        self.height = height
        self.tokens: list[int] = []
        self.woken = 0
        self.reads = LinearReads(lambda: self.height, ask_again_s=ask_again_s, first_token=0)
        self.reads.wake = self._wake

    def _wake(self) -> None:
        self.woken += 1

    def turn(self, *, accepts: bool = True) -> None:
        self.reads.ask(lambda token: self._read(token, accepts=accepts))

    def _read(self, token: int, *, accepts: bool) -> bool:
        self.tokens.append(token)
        return accepts

    def answer(self, token: int, height: int | None) -> None:
        self.reads.ready([ReadReady(token, height)])

    def execute(self, height: int) -> None:
        self.height = height
        self.reads.executed(height)


async def reader(asked: Asked, *, timeout_s: float = 5.0) -> asyncio.Task[int]:
    """Return a reader that has come and waits."""
    task = asyncio.create_task(asked.reads.wait(timeout_s=timeout_s))
    await asyncio.sleep(0)
    return task


async def test_a_reader_wakes_the_engine_and_passes_once_the_height_is_known() -> None:
    asked = Asked()
    task = await reader(asked)
    assert asked.woken == 1
    asked.turn()
    await asyncio.sleep(0)
    assert not task.done()
    asked.answer(asked.tokens[0], 10)
    assert await task == 10
    assert (asked.reads.served, asked.reads.refused, asked.reads.waiting) == (1, 0, 0)


async def test_a_reader_waits_until_this_node_has_executed_the_height() -> None:
    asked = Asked(height=10)
    task = await reader(asked)
    asked.turn()
    asked.answer(0, 12)
    asked.execute(11)
    await asyncio.sleep(0)
    assert not task.done()
    asked.execute(12)
    assert await task == 12


async def test_readers_who_come_together_share_a_question_later_ones_do_not() -> None:
    asked = Asked()
    early = [await reader(asked) for _ in range(3)]
    asked.turn()
    late = await reader(asked)
    asked.answer(0, 10)
    assert [await task for task in early] == [10] * 3
    # The late one came after the question: what became final in between is not in its answer.
    assert not late.done()
    asked.turn()
    assert asked.tokens == [0, 1]
    asked.answer(1, 10)
    assert await late == 10


async def test_a_turn_without_readers_asks_nothing() -> None:
    asked = Asked()
    asked.turn()
    assert asked.tokens == []


async def test_what_the_engine_refuses_is_refused_at_once() -> None:
    asked = Asked()
    task = await reader(asked)
    asked.turn(accepts=False)
    with pytest.raises(ReadRefused, match="no leader"):
        await task
    assert asked.reads.refused == 1


async def test_a_question_that_was_lost_is_refused_not_guessed() -> None:
    asked = Asked()
    task = await reader(asked)
    asked.turn()
    asked.answer(0, None)
    with pytest.raises(ReadRefused, match="lost"):
        await task


@pytest.mark.parametrize("lost", [False, True])
async def test_what_is_refused_or_lost_is_asked_again_for_a_while(
    lost: bool,
) -> None:
    asked = Asked(ask_again_s=5)
    task = await reader(asked)
    asked.turn(accepts=lost)
    if lost:
        asked.answer(0, None)
    async with asyncio.timeout(5):
        while asked.woken < 2:  # noqa: ASYNC110  # readers have no event for it
            await asyncio.sleep(0.001)
    asked.turn()
    asked.answer(1, 10)
    assert await task == 10
    assert (asked.reads.served, asked.reads.refused) == (1, 0)


async def test_a_reader_leaves_after_its_time_and_leaves_nothing_behind() -> None:
    asked = Asked()
    task = await reader(asked, timeout_s=0.01)
    asked.turn()
    with pytest.raises(ReadRefused, match=r"within 0\.01 s"):
        await task
    assert asked.reads.waiting == 0
    other = await reader(asked)
    asked.turn()
    assert list(asked.reads._asked) == [1]
    asked.answer(0, 10)  # too late for anybody
    asked.answer(1, 11)
    other.cancel()
    await asyncio.sleep(0)
    await reader(asked)
    asked.turn()
    assert not asked.reads._behind


async def test_waiting_readers_are_bounded() -> None:
    asked = Asked()
    tasks = [asyncio.create_task(asked.reads.wait()) for _ in range(WAITING_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(ReadRefused, match="reads are waiting"):
        await asked.reads.wait()
    asked.turn()
    asked.answer(0, 1)
    await asyncio.gather(*tasks)
    assert len(asked.tokens) == 1


def test_no_life_of_a_member_repeats_the_tokens_of_another() -> None:
    first = {LinearReads(lambda: 0)._next_token for _ in range(8)}
    assert len(first) == 8
    assert all(0 <= token < 1 << 62 for token in first)
