"""Faults inside a real node process, steered from outside: Python imports this when it starts.

``WHY_FAULTS`` names a JSON file that is read ten times a second.  What it may hold:
``slow_write_ms``, ``slow_apply_ms``: synced writes, or applying a block, take that much longer;
``mute``: frame types that are dropped instead of sent; ``clock_ms``: the wall clock is ahead by
that; ``block_ms``: the event loop's thread stands still once for that long; ``spare_files``,
``spare_memory``: how many descriptors, or bytes of address space, the process may still take.
``WHY_VERSION`` sets the only version of the members' wire that the process speaks.
"""

import contextlib
import json
import os
import resource
import sys
import threading
import time
from pathlib import Path

_said = {}
_real_ns = time.time_ns
_wrapped = set()


def _time_ns():
    return _real_ns() + _said.get("clock_ms", 0) * 1_000_000


def _wrap(module, owner, name, before):
    """Put ``before`` in front of a method as soon as its module is there."""
    found = sys.modules.get(module)
    kind = getattr(found, owner, None)
    if kind is None or (owner, name) in _wrapped or not hasattr(kind, name):
        return
    _wrapped.add((owner, name))
    inner = getattr(kind, name)

    def outer(self, *positional, **named):
        given = before(*positional, **named)
        return given if given is not None else inner(self, *positional, **named)

    setattr(kind, name, outer)


def _slow_write(*_positional, sync=False, **_named):
    if sync and "slow_write_ms" in _said:
        time.sleep(_said["slow_write_ms"] / 1000)


def _slow_apply(*_positional, **_named):
    if "slow_apply_ms" in _said:
        time.sleep(_said["slow_apply_ms"] / 1000)


def _mute(frame_type, *_positional, **_named):
    return True if frame_type.name in _said.get("mute", ()) else None


def _limit():
    if "spare_files" in _said:
        used = len(list(Path("/proc/self/fd").iterdir()))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + _said.pop("spare_files"),) * 2)
    if "spare_memory" in _said:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (used + _said.pop("spare_memory"),) * 2)


def _block():
    span = _said.pop("block_ms", 0)
    if not span:
        return
    import asyncio
    import gc

    loops = [o for o in gc.get_objects() if isinstance(o, asyncio.AbstractEventLoop)]
    for loop in loops:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(time.sleep, span / 1000)


def _watch(path):
    seen = None
    while True:
        with contextlib.suppress(OSError, ValueError):
            text = path.read_text()
            if text != seen:
                seen = text
                _said.clear()
                _said.update(json.loads(text))
        _wrap("storage.store", "Store", "save", _slow_write)
        _wrap("node.book", "Book", "apply", _slow_apply)
        _wrap("node.net.queue", "SendQueue", "offer", _mute)
        _limit()
        _block()
        time.sleep(0.1)


if "WHY_VERSION" in os.environ:
    from node.net import versions

    for _name in ("low", "high"):  # before anybody took the range as a default
        object.__setattr__(versions.OURS, _name, int(os.environ["WHY_VERSION"]))

if "WHY_FAULTS" in os.environ:
    time.time_ns = _time_ns
    time.time = lambda: _time_ns() / 1e9
    _path = Path(os.environ["WHY_FAULTS"])
    threading.Thread(target=_watch, args=(_path,), daemon=True, name="faults").start()
