"""A node that looks at its own stacks: SIGUSR1 begins, SIGUSR2 writes what was seen.

    python tests/bench/sampled.py STACKS run --config FILE

Owns: a timer of the process's own CPU time (SIGPROF); at each signal the main thread notes the
stack that it was in, and every other thread's, and charges each with the CPU time that the
thread used since the last one, by the thread's own clock.  Nobody traces the process from
outside, so no privilege is needed; time asleep weighs nothing.
Precision: the picture is of shapes, not of shares.  Threads are seen where they last held the
interpreter lock, and the loop often just as it begins to wait, so waiting calls weigh too much.
Shares come from ``hopclock``, which times the functions themselves and is written beside.
"""

import json
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from node.cli.main import main  # noqa: E402
from tests.bench.hopclock import Clock  # noqa: E402

INTERVAL_S: Final = 0.003  # of CPU time of the whole process
DEPTH_MAX: Final = 60


def name_of(frame: FrameType) -> str:
    """Return ``path:function`` of a frame, the path short and the same on every machine."""
    path = frame.f_code.co_filename
    for head in (f"{ROOT}/", "site-packages/", "/lib/python"):
        _, found, rest = path.rpartition(head)
        if found:
            path = rest.partition("/")[2] if head == "/lib/python" else rest
            break
    return f"{path}:{frame.f_code.co_qualname}"


class Sampler:
    """Weights are nanoseconds of CPU by stack, root first, joined by ``;``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stacks: Counter[str] = Counter()
        self._clocks: dict[int, int] = {}
        self._names: dict[object, str] = {}
        self._clock = Clock()
        self._clock.install()
        signal.signal(signal.SIGPROF, self._look_around)
        signal.siginterrupt(signal.SIGPROF, False)

    def begin(self, *_: object) -> None:
        self._stacks.clear()
        self._clocks.clear()
        self._clock.begin()
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def write(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._path.with_suffix(".hops").write_text(json.dumps(self._clock.report()))
        lines = [f"{stack} {weight}\n" for stack, weight in self._stacks.most_common()]
        partial = self._path.with_suffix(".partial")
        partial.write_text("".join(lines))
        partial.replace(self._path)

    def _look_around(self, _number: int, here: FrameType | None) -> None:
        me = threading.get_ident()
        for thread, frame in sys._current_frames().items():
            self._look(thread, here if thread == me else frame)

    def _look(self, thread: int, frame: FrameType | None) -> None:
        try:
            clock = time.pthread_getcpuclockid(thread)
            now = time.clock_gettime_ns(clock)
        except (OSError, OverflowError):
            return  # it has just ended
        spent = now - self._clocks.get(thread, now)
        self._clocks[thread] = now
        if spent <= 0:
            return
        names = []
        while frame is not None and len(names) < DEPTH_MAX:
            code = frame.f_code
            if code not in self._names:
                self._names[code] = name_of(frame)
            if "bench/hopclock.py" not in self._names[code]:
                names.append(self._names[code])
            frame = frame.f_back
        self._stacks[";".join(reversed(names))] += spent


if __name__ == "__main__":
    sampler = Sampler(Path(sys.argv.pop(1)))
    signal.signal(signal.SIGUSR1, sampler.begin)
    signal.signal(signal.SIGUSR2, sampler.write)
    main()
