"""CPU time by hop: each hop's functions are timed by the clock of the thread they run on.

Owns: which functions make a hop.  A hop's time is its own, without that of hops inside it, and
of a coroutine only the slices in which it ran.  What is left of a thread's time has names too:
the loop's (events, TLS, HTTP parsing), the workers' (hand-over), LevelDB's own thread.
Costs about a microsecond a call; the functions are called once a batch, a frame or a block.
"""

import functools
import importlib
import inspect
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final

HOPS: Final[dict[str, tuple[str, ...]]] = {
    "http": (
        "node.http.bulk:BulkRoutes.batch",
        "node.http.transactions:TransactionRoutes.submit",
    ),
    "network: write frames": ("node.net.outbound:Outbound._flush",),
    "network: cut frames": ("node.net.frame:FrameReader.feed",),
    "network: dispatch": ("node.switchboard:Switchboard.on_frame",),
    "intake": ("node.intake:Intake._batch", "node.switchboard:Switchboard._on_transactions"),
    "intake: hash, known already?": ("node.intake:Intake._unknown",),
    "intake: open": ("node.ledger.transaction:open_batch",),
    "intake: admission rules": ("node.intake:Intake._refusal",),
    "intake: into the pool": ("node.intake:Intake._admit",),
    "signatures": ("node.ledger.accel:verify_batch",),
    "gossip": tuple(
        f"node.gossip.protocol:Gossip.{name}"
        for name in ("admitted", "received", "inventory", "want", "tick", "forget")
    ),
    "order: messages": ("node.replica:Replica.on_frame", "node.switchboard:Switchboard.send"),
    "order: engine and driver": (
        "node.replica:Replica._loop",
        "node.replica:Replica._turns",
        "node.holding:Holding.admit",
        "node.holding:Holding._hold",
    ),
    "order: make a block": ("node.proposing:Proposer.make",),
    "order: fill in a body": ("node.supply:Supply._collect", "node.supply:Supply.check"),
    "order: persist": ("node.replica:Replica._write",),
    "apply": ("node.book:Book.apply",),
    "apply: execute": ("node.book:execute",),
    "apply: state tree": ("node.ledger.smt:StateTree.update_patched",),
    "apply: Merkle log": ("node.ledger.tiles:TileLog.extend", "node.ledger.tiles:TileLog.root"),
    "apply: rows": ("storage.store:Store.commit",),
    "LevelDB: write": ("storage.level:LevelKV.write",),
    "after: pool, waiters": (
        "node.committing:Committer.run",
        "node.mempool:Mempool.remove",
        "node.service:Service.committed",
    ),
    "after: cosign": (
        "node.switchboard:Switchboard.cosign",
        "node.switchboard:Switchboard._on_cosignatures",
    ),
}
LOOP: Final = "event loop, TLS, HTTP parsing"
WORKERS: Final = "hand-over between threads"
OTHERS: Final = "LevelDB's own thread"


class Clock:
    """Nanoseconds and calls by hop since ``begin``."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._all: list[Counter[str]] = []
        self._calls: list[Counter[str]] = []
        self._start: dict[int, int] = {}

    def install(self) -> None:
        """Wrap every function of every hop; a name that is gone is an error."""
        for hop, names in HOPS.items():
            for name in names:
                module, _, path = name.partition(":")
                owner: Any = importlib.import_module(module)
                *outer, last = path.split(".")
                for part in outer:
                    owner = getattr(owner, part)
                setattr(owner, last, self.timed(getattr(owner, last), hop))

    def timed(self, original: Callable[..., Any], hop: str) -> Callable[..., Any]:
        """Return ``original`` under the clock."""
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def run(*arguments: Any, **named: Any) -> Any:
                return await _Slices(self, original(*arguments, **named), hop)

            return run

        @functools.wraps(original)
        def call(*arguments: Any, **named: Any) -> Any:
            start = self.enter()
            try:
                return original(*arguments, **named)
            finally:
                self.leave(hop, start, calls=1)

        return call

    def enter(self) -> int:
        local = self._local
        if not hasattr(local, "inner"):
            local.inner, local.spent, local.calls = [], Counter(), Counter()
            self._all.append(local.spent)
            self._calls.append(local.calls)
        local.inner.append(0)
        return time.thread_time_ns()

    def leave(self, hop: str, start: int, *, calls: int) -> None:
        took = time.thread_time_ns() - start
        local = self._local
        own = took - local.inner.pop()
        if local.inner:
            local.inner[-1] += took
        local.spent[hop] += own
        local.calls[hop] += calls

    # --- a period ----------------------------------------------------------------------------

    def begin(self) -> None:
        for counter in [*self._all, *self._calls]:
            counter.clear()
        self._start = threads()

    def report(self) -> dict[str, list[int]]:
        """Return hop -> [nanoseconds, calls] since ``begin``; the rest of each thread too."""
        spent, calls = _sum(self._all), _sum(self._calls)
        now = threads()
        used = {tid: ns - self._start.get(tid, 0) for tid, ns in now.items()}
        ours = {thread.native_id for thread in threading.enumerate()}
        main = threading.main_thread().native_id
        found = {hop: [ns, calls[hop]] for hop, ns in spent.items()}
        python = sum(ns for tid, ns in used.items() if tid in ours)
        on_loop = used.get(main or 0, 0)
        loop_hops = self._all[0].total() if self._all else 0
        found[LOOP] = [max(0, on_loop - loop_hops), 0]
        found[WORKERS] = [max(0, python - on_loop - (spent.total() - loop_hops)), 0]
        found[OTHERS] = [sum(ns for tid, ns in used.items() if tid not in ours), 0]
        return found


class _Slices:
    """Awaits a coroutine and times the slices in which it runs."""

    def __init__(self, clock: Clock, coroutine: Any, hop: str) -> None:
        self._clock = clock
        self._coroutine = coroutine
        self._hop = hop

    def __await__(self) -> Generator[Any, Any, Any]:
        inner, clock, first = self._coroutine.__await__(), self._clock, 1
        resume: Callable[[], Any] = functools.partial(inner.send, None)
        while True:
            start = clock.enter()
            try:
                waited = resume()
            except StopIteration as end:
                return end.value
            finally:
                clock.leave(self._hop, start, calls=first)
                first = 0
            try:
                resume = functools.partial(inner.send, (yield waited))
            except BaseException as error:
                resume = functools.partial(inner.throw, error)


def _sum(counters: list[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)  # not ``+``: that drops what is zero
    return total


def threads() -> dict[int, int]:
    """Return each thread's CPU nanoseconds, by the scheduler's own count."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            found[int(task.name)] = int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue  # it has just ended
    return found
