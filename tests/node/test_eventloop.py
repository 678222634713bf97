"""The daemon's event loop: what is chosen, what is refused, and that it runs."""

import asyncio
import gc
import sys
from collections.abc import Iterator

import pytest

from node import eventloop
from node.errors import ChartsealError


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    switch_s, threshold = sys.getswitchinterval(), gc.get_threshold()
    yield
    sys.setswitchinterval(switch_s)
    gc.set_threshold(*threshold)
    gc.unfreeze()


@pytest.mark.parametrize(
    ("wanted", "module"), [(None, "uvloop"), ("uvloop", "uvloop"), ("asyncio", "asyncio")]
)
def test_a_daemon_runs_on_the_chosen_loop(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, module: str
) -> None:
    monkeypatch.delenv(eventloop.VARIABLE, raising=False)
    if wanted is not None:
        monkeypatch.setenv(eventloop.VARIABLE, wanted)
    seen: list[str] = []

    async def main() -> None:
        await asyncio.sleep(0)
        seen.append(type(asyncio.get_running_loop()).__module__.partition(".")[0])

    eventloop.run(main())
    assert seen == [module] == [eventloop.chosen()]
    assert sys.getswitchinterval() == pytest.approx(eventloop.SWITCH_S)
    assert gc.get_threshold() == eventloop.COLLECT_AFTER


def test_without_uvloop_asyncio_serves_unless_uvloop_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)  # as if it were not installed
    monkeypatch.delenv(eventloop.VARIABLE, raising=False)
    assert eventloop.chosen() == "asyncio"
    monkeypatch.setenv(eventloop.VARIABLE, "uvloop")
    with pytest.raises(ChartsealError, match="uvloop") as refused:
        eventloop.chosen()
    assert refused.value.code == "config-invalid"


def test_an_unknown_loop_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(eventloop.VARIABLE, "fast")
    with pytest.raises(ChartsealError, match="auto, uvloop, asyncio"):
        eventloop.chosen()


async def test_all_garbage_is_collected_when_it_is_quiet_or_has_waited_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(eventloop, "LOOK_S", 0.001)
    monkeypatch.setattr(eventloop, "COLLECT_EVERY_S", 0.0)
    collected, quiet, asked = asyncio.Event(), [False], asyncio.Event()
    monkeypatch.setattr(gc, "collect", collected.set)

    def is_quiet() -> bool:
        asked.set()
        return quiet[0]

    async def until_collected() -> None:
        async with asyncio.timeout(10):
            await collected.wait()
        collected.clear()

    task = asyncio.ensure_future(eventloop.collect_when_quiet(is_quiet))
    await asked.wait()
    assert not collected.is_set(), "busy"
    quiet[0] = True
    await until_collected()
    quiet[0] = False
    monkeypatch.setattr(eventloop, "COLLECT_LATEST_S", 0.0)
    await until_collected()
    task.cancel()
