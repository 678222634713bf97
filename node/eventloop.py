"""The event loop of the daemon: uvloop where it is installed, asyncio's own where not.

Owns: that choice (``CHARTSEAL_LOOP`` = auto, uvloop or asyncio) and how the interpreter shares
itself between the loop and the threads beside it.  Both loops pass the same tests.
"""

import asyncio
import gc
import os
import sys
from collections.abc import Coroutine
from typing import Any, Final

from node.errors import ChartsealError

VARIABLE: Final = "CHARTSEAL_LOOP"
CHOICES: Final = ("auto", "uvloop", "asyncio")
# A thread that computes gives the loop its turn after this long.  With Python's 5 ms a vote
# would wait that long for the lock at each of its half a dozen steps through a busy node.
SWITCH_S: Final = 0.0001
# Young objects that start a collection, and how often older ones are looked at.  Nothing here
# makes cycles by the thousand; Python's 700 and 10 cost 5 % of a busy node.
COLLECT_AFTER: Final = (20_000, 50, 100)


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
    gc.collect()
    gc.freeze()  # modules and classes live as long as the process
    gc.set_threshold(*COLLECT_AFTER)
    with asyncio.Runner(loop_factory=_factory()) as runner:
        runner.run(main)


def _factory() -> Any:
    if chosen() == "asyncio":
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop
