"""A bell wakes whoever waits: when it rings, when it rang before, or when it is time."""

import asyncio
from typing import Any

import pytest

from node.bell import Bell

FOR_EVER_S = 3600.0


class Timers:
    """A loop's clock and timers, moved by hand; futures are the real loop's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        self.set_at: list[float] = []
        self.pending: list[Any] = []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda: self.now_s)
        monkeypatch.setattr(loop, "call_at", self._call_at)

    def _call_at(self, when: float, callback: Any, *arguments: Any) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, arguments, asyncio.get_running_loop())
        self.set_at.append(when)
        self.pending.append(handle)
        return handle

    def move(self, seconds: float) -> None:
        self.now_s += seconds
        due = [each for each in self.pending if each.when() <= self.now_s]
        self.pending = [each for each in self.pending if each not in due]
        for handle in due:
            if not handle.cancelled():
                handle._run()


async def test_it_wakes_whoever_waits_and_is_remembered_by_who_comes_later() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.wait(FOR_EVER_S))
    await asyncio.sleep(0)
    assert not waiting.done()
    bell.ring()
    await waiting
    await bell.wait(FOR_EVER_S)  # it still rings
    bell.silence()
    again = asyncio.create_task(bell.wait(FOR_EVER_S))
    await asyncio.sleep(0)
    assert not again.done()
    bell.ring()
    await again
    bell.close()


async def test_it_is_time_after_the_last_wait_not_after_an_earlier_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timers, bell = Timers(monkeypatch), Bell()
    for _ in range(5):  # woken again and again: one timer
        waiting = asyncio.ensure_future(bell.wait(10.0))
        await asyncio.sleep(0)
        bell.ring()
        await waiting
        bell.silence()
        timers.move(1.0)
    assert timers.set_at == [110.0]
    waiting = asyncio.ensure_future(bell.wait(10.0))
    await asyncio.sleep(0)
    timers.move(5.0)  # 110: the timer, too early for this wait
    await asyncio.sleep(0)
    assert not waiting.done()
    assert timers.set_at == [110.0, 115.0]
    timers.move(5.0)
    await waiting


async def test_a_wait_that_ends_sooner_than_the_timer_sets_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timers, bell = Timers(monkeypatch), Bell()
    waiting = asyncio.ensure_future(bell.wait(10.0))
    await asyncio.sleep(0)
    bell.ring()
    await waiting
    bell.silence()
    waiting = asyncio.ensure_future(bell.wait(2.0))
    await asyncio.sleep(0)
    timers.move(2.0)
    await waiting
    assert timers.set_at == [110.0, 102.0]


async def test_closed_it_leaves_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    timers, bell = Timers(monkeypatch), Bell()
    waiting = asyncio.ensure_future(bell.wait(10.0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    bell.close()
    assert [each.cancelled() for each in timers.pending] == [True]
