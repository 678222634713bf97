"""The process that feeds a cluster: open loop, at a rate that answers do not change.

    python tests/bench/feeder.py      one JSON job a line in, one JSON outcome a line out

Owns: when each request leaves, and how long each probe took from the moment it was due (a
client that waits for its turn waits too).  Refuses: signing, and any address but loopback.
Bounded: ``count`` transactions, ``seconds`` and a grace of ``GRACE_S`` for the last answers.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.loads import split_frames
from tests.bench.stats import percentile
from tests.bench.wire import Broken, Pool, head

TICK_S: Final = 0.01
CHUNK_MAX: Final = 500  # transactions in one bulk request
GRACE_S: Final = 15.0
PROBE_WAIT_S: Final = 20
BINARY: Final = {"Content-Type": "application/octet-stream"}
LINES: Final = {"Content-Type": "application/x-ndjson"}


@dataclass(frozen=True, slots=True)
class Job:
    """``ports``: nodes that get the load in turn; ``start_s``: monotonic seconds to begin at.

    ``mode``: binary or lines (bulk requests), single (a request each, not waited for), alone
    (one client, the next after the last is committed).  Probes are transactions of their own,
    at ``probe_rate``, each in a request that waits for its commit.
    """

    ports: list[int]
    token: str
    mode: str
    load: str
    rate: float
    seconds: float
    start_s: float
    probe_load: str = ""
    probe_rate: float = 0.0


@dataclass(slots=True)
class Outcome:
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    failed: int = 0
    committed_probes: int = 0
    probes_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    said: str = ""  # the first refusal, to see what went wrong

    def plain(self) -> dict[str, Any]:
        late = sorted(self.late_ms) or [0.0]
        return {
            "sent": self.sent,
            "accepted": self.accepted,
            "refused": self.refused,
            "failed": self.failed,
            "committed_probes": self.committed_probes,
            "probes_ms": [round(item, 3) for item in self.probes_ms],
            "feeder_late_p99_ms": percentile(late, 0.99),
            "feeder_cpu_s": time.process_time(),
            "said": self.said,
        }


class Feeder:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._outcome = Outcome()
        self._pools = [Pool(port) for port in job.ports]
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, items: list[bytes], probes: list[bytes]) -> dict[str, Any]:
        if self._job.mode == "alone":
            await self._alone(items)
        else:
            await asyncio.gather(self._feed(items), self._probe(probes))
        await self._finish()
        return self._outcome.plain()

    async def _finish(self) -> None:
        if self._tasks:
            _, pending = await asyncio.wait(self._tasks, timeout=GRACE_S)
            for task in pending:
                task.cancel()
            self._outcome.failed += len(pending)
        for pool in self._pools:
            pool.close()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _next_pool(self) -> Pool:
        self._turn += 1
        return self._pools[self._turn % len(self._pools)]

    # --- load ------------------------------------------------------------------------------

    async def _feed(self, items: list[bytes]) -> None:
        job, sent, tick = self._job, 0, 0
        while sent < len(items):
            due_s = job.start_s + tick * TICK_S
            tick += 1
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            self._outcome.late_ms.append(max(0.0, time.monotonic() - due_s) * 1000)
            passed = min(time.monotonic() - job.start_s, job.seconds)
            due = min(len(items), int(job.rate * (passed + TICK_S)))
            if passed >= job.seconds:
                due = min(due, int(job.rate * job.seconds))
            while sent < due:
                part = items[sent : min(due, sent + self._chunk())]
                sent += len(part)
                self._outcome.sent += len(part)
                self._spawn(self._send(part))
            if passed >= job.seconds:
                return

    def _chunk(self) -> int:
        return 1 if self._job.mode == "single" else CHUNK_MAX

    async def _send(self, items: list[bytes]) -> None:
        job, outcome = self._job, self._outcome
        headers = {"Authorization": f"Bearer {job.token}"}
        if job.mode == "single":
            body, path, headers = items[0][4:], "/v1/transactions", headers | BINARY
        else:
            body, path = b"".join(items), "/v1/transactions:batch"
            headers |= LINES if job.mode == "lines" else BINARY
        request = head("POST", path, length=len(body), headers=headers) + body
        try:
            answer = await self._next_pool().ask(request)
        except (Broken, OSError) as error:
            outcome.failed += len(items)
            outcome.said = outcome.said or repr(error)
            return
        if job.mode == "single":
            taken = int(answer.status in (200, 201, 202))
        else:
            taken = answer.body.count(b'"accepted"') if answer.status == 200 else 0
        outcome.accepted += taken
        outcome.refused += len(items) - taken
        if taken < len(items) and not outcome.said:
            refused = [line for line in answer.body.splitlines() if b'"accepted"' not in line]
            outcome.said = f"{answer.status} {refused[:1]}"

    # --- probes ----------------------------------------------------------------------------

    async def _probe(self, items: list[bytes]) -> None:
        job = self._job
        for number, item in enumerate(items):
            # Half a gap late, so that probes do not coincide with the load's own ticks.
            due_s = job.start_s + (number + 0.5) / job.probe_rate
            if due_s > job.start_s + job.seconds:
                return
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            self._spawn(self._commit(item, due_s))

    async def _alone(self, items: list[bytes]) -> None:
        job = self._job
        await asyncio.sleep(max(0.0, job.start_s - time.monotonic()))
        for item in items:
            if time.monotonic() > job.start_s + job.seconds:
                return
            self._outcome.sent += 1
            await self._commit(item, time.monotonic())

    async def _commit(self, item: bytes, due_s: float) -> None:
        """Submit one and wait until it is committed; count from when it was due."""
        outcome = self._outcome
        headers = {
            "Authorization": f"Bearer {self._job.token}",
            "Prefer": f"wait={PROBE_WAIT_S}",
            **BINARY,
        }
        body = item[4:]
        request = head("POST", "/v1/transactions", length=len(body), headers=headers) + body
        try:
            answer = await self._next_pool().ask(request)
        except (Broken, OSError) as error:
            outcome.failed += 1
            outcome.said = outcome.said or repr(error)
            return
        if answer.status == 201:
            outcome.committed_probes += 1
            outcome.probes_ms.append((time.monotonic() - due_s) * 1000)
        else:
            outcome.failed += 1
            outcome.said = outcome.said or f"probe {answer.status} {answer.body[:200]!r}"


async def _run(job: Job, items: list[bytes], probes: list[bytes]) -> dict[str, Any]:
    return await Feeder(job).run(items, probes)


def read(job: Job) -> tuple[list[bytes], list[bytes]]:
    """Return the job's load and its probes, item by item."""
    raw = Path(job.load).read_bytes()
    items = raw.splitlines(keepends=True) if job.mode == "lines" else split_frames(raw)
    return items, split_frames(Path(job.probe_load).read_bytes()) if job.probe_load else []


def main() -> None:
    try:
        import uvloop
    except ImportError:
        runner = asyncio.Runner()
    else:
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with runner:
        for line in sys.stdin:
            job = Job(**json.loads(line))
            items, probes = read(job)
            outcome = runner.run(_run(job, items, probes))
            print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()
