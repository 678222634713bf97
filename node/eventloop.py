"""The event loop of the daemon: uvloop where it is installed, asyncio's own where not.

Owns: that choice (``CHARTSEAL_LOOP`` = auto, uvloop or asyncio) and how the interpreter shares
itself and its memory between the loop and the threads beside it.  Both loops pass the same
tests.
"""

import asyncio
import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

from node.errors import ChartsealError

VARIABLE: Final = "CHARTSEAL_LOOP"
LOOK_S: Final = 1.0
CHOICES: Final = ("auto", "uvloop", "asyncio")
# A thread that computes gives the loop its turn after this long.  With Python's 5 ms a vote
# would wait that long for the lock at each of its half a dozen steps through a busy node.  With
# 0.1 ms the threads of four nodes on two cores changed places 10,000 times a second, and a lone
# transaction cost a node 10 % more, one of many 3 %.
SWITCH_S: Final = 0.0005
# Young objects that start a collection, and how often older ones are looked at.  All of them
# only when it is quiet (``collect_when_quiet``): with 20,000 transactions waiting that takes
# 33 ms, in which no vote is answered.  Python's 700, 10 and 10 cost 5 % of a busy node.
COLLECT_AFTER: Final = (2_000, 10, 1_000_000_000)
COLLECT_EVERY_S: Final = 300.0
COLLECT_LATEST_S: Final = 1800.0  # quiet or not; few cycles live long enough to wait for it
# glibc gives each thread a heap of its own, eight for each core, and what one of them gave back
# no other one takes.  Of four members with three million records one with two heaps held 296 MB
# and one with as many as there were 342, at the same processor time (storage, "Memory").
HEAPS_MAX: Final = 2
HEAPS_VARIABLE: Final = "MALLOC_ARENA_MAX"
_M_ARENA_MAX: Final = -8  # malloc.h


def chosen() -> str:
    """Return ``uvloop`` or ``asyncio``; raises ``ChartsealError`` (config-invalid)."""
    wanted = os.environ.get(VARIABLE, "auto")
    if wanted not in CHOICES:
        raise ChartsealError(
            "config-invalid", f"{VARIABLE} is {wanted!r}, one of {', '.join(CHOICES)}"
        )
    if wanted == "asyncio":
        return wanted
    try:
        import uvloop  # noqa: F401
    except ImportError as error:
        if wanted == "uvloop":
            raise ChartsealError("config-invalid", f"{VARIABLE} is uvloop: {error}") from error
        return "asyncio"
    return "uvloop"


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` to its end on the chosen loop, with the interpreter tuned for a daemon."""
    sys.setswitchinterval(SWITCH_S)
    _share_heaps()
    gc.collect()
    gc.freeze()  # modules and classes live as long as the process
    gc.set_threshold(*COLLECT_AFTER)
    with asyncio.Runner(loop_factory=_factory()) as runner:
        runner.run(main)


def _share_heaps() -> None:
    """Have threads share ``HEAPS_MAX`` heaps, unless the environment says how many; with
    another C library than glibc this does nothing."""
    if HEAPS_VARIABLE not in os.environ:
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, HEAPS_MAX)


async def collect_when_quiet(quiet: Callable[[], bool]) -> None:
    """Collect all garbage every few minutes, at a moment when ``quiet`` says yes; for ever."""
    loop = asyncio.get_running_loop()
    last_s = loop.time()
    while True:
        await asyncio.sleep(LOOK_S)
        waited_s = loop.time() - last_s
        if waited_s >= COLLECT_LATEST_S or (waited_s >= COLLECT_EVERY_S and quiet()):
            gc.collect()
            last_s = loop.time()


def _factory() -> Any:
    if chosen() == "asyncio":
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop
