"""The daemon's event loop: what is chosen, what is refused, that it runs, on how many heaps."""

import asyncio
import gc
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from xml.etree import ElementTree

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


_THREADS = 16
# Each thread takes memory while all others are there, as the ones of a daemon do.
_MANY_THREADS = f"""
import asyncio, ctypes, sys, threading
from node import eventloop

async def main():
    libc, met = ctypes.CDLL(None), threading.Barrier({_THREADS} + 1)
    libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.fdopen.argtypes = [ctypes.c_int, ctypes.c_char_p]
    libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.fflush.argtypes = [ctypes.c_void_p]

    def body():
        libc.malloc(4096)
        met.wait()
        met.wait()

    threads = [threading.Thread(target=body) for _ in range({_THREADS})]
    for thread in threads:
        thread.start()
    met.wait()
    out = libc.fdopen(1, b"w")
    libc.malloc_info(0, out)
    libc.fflush(out)
    met.wait()
    for thread in threads:
        thread.join()

eventloop.run(main())
"""


@pytest.mark.parametrize("wanted", [None, "5"])
def test_threads_share_heaps_unless_the_environment_says_how_many(wanted: str | None) -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("heaps of threads are glibc's: not tried here")
    environment = {k: v for k, v in os.environ.items() if k != eventloop.HEAPS_VARIABLE}
    if wanted is not None:
        environment[eventloop.HEAPS_VARIABLE] = wanted
    ran = subprocess.run(
        [sys.executable, "-c", _MANY_THREADS],
        env=environment, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    heaps = ElementTree.fromstring(ran.stdout).findall("heap")
    assert len(heaps) == int(wanted or eventloop.HEAPS_MAX)
