"""A node that kills itself at one step of a synced turn: ``dying_node.py STEP COUNT ARGS...``.

Runs the command line with ``ARGS`` and ends by SIGKILL at the ``COUNT``-th time it comes to
``STEP``: ``write`` (before the batch), ``mark`` (the batch is durable, the mark is not),
``sign`` (both are durable, nothing is signed), ``send`` (signed, nothing left).
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from consensus.driver import Driver
from node.cli.main import main
from storage.mark import SignMark
from storage.store import Store

STEPS = ("write", "mark", "sign", "send")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _plant(step: str, count: int) -> None:
    left = count

    def strike() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            _die()

    def before(inner: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            if options.get("sync", True):
                strike()
            return inner(*args, **options)

        return wrapped

    def after(inner: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            answer = inner(*args, **options)
            strike()
            return answer

        return wrapped

    if step == "write":
        Store.save = before(Store.save)  # type: ignore[method-assign]
    elif step == "mark":
        SignMark.advance = before(SignMark.advance)  # type: ignore[method-assign]
    elif step == "sign":
        SignMark.advance = after(SignMark.advance)  # type: ignore[method-assign]
    else:
        Driver.durable = after(Driver.durable)  # type: ignore[method-assign]


if __name__ == "__main__":
    _step, _count, *_arguments = sys.argv[1:]
    assert _step in STEPS, _step
    _plant(_step, int(_count))
    sys.argv = ["chartseal", *_arguments]
    main()
