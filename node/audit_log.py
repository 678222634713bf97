"""This institution's audit log: events kept here, their roots chained in on the ledger.

Owns: the RFC 6962 tree over the commitments of all local events, kept node by node so that a
root or a consistency path costs O(log n) reads, and the batches (``access.audit``) that put
its root on the ledger.  Of an event its opening and coded words are kept, not the document.
Refuses: to build on a chain of this institution that is not of this log
(``audit-chain-foreign``); it was begun elsewhere, or local facts were lost.
Invariant: an event is durable here before any batch that holds it leaves; one batch is on its
way at a time, and the next one holds whatever came meanwhile.

A batch accounts for the time up to the newest block: only that is certainly past when the
batch is executed.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import nacl.utils

from consensus import wire
from node import log, threads
from node.error_codes import Code, Exit
from node.errors import ChartsealError, register
from node.fhir import audit_local
from node.fhir.audit_local import EventRefused, LocalEvent
from node.fhir_desk import JOB_BYTES, Desk
from node.ledger import merkle
from node.ledger.facts import audits
from node.ledger.facts.audits import EntryRow
from node.ledger.families.access_audit import BATCH_EVENTS_MAX, Audit
from node.ledger.transaction import Op
from node.local_store import Fact, LocalStore
from node.service import Service

CADENCE_MS: Final = 86_400_000  # declared with the first batch
LOOK_EVERY_S: Final = 5.0
PAUSE_S: Final = 60.0  # after a batch that nobody waits for
WAIT_S: Final = 30.0
_HEAD: Final = "audit-head"
_NODE: Final = "audit-node"
_EVENT: Final = "audit-event"
_RETRY: Final = "audit-retry"

register(
    Code(
        "audit-event-refused",
        "the AuditEvent does not go into a batch",
        422,
        Exit.CONFLICT,
        retryable=False,
        hint="send type, recorded with zone, agent with requestor, source with observer",
    ),
    Code(
        "audit-chain-foreign",
        "the ledger's chain of this institution's batches is not of this node's log",
        409,
        Exit.CONFLICT,
        retryable=False,
        hint="restore this node's local facts, or go on with the log that began the chain",
    ),
)


@dataclass(frozen=True, slots=True)
class Head:
    """How many events there are; ``job``: the newest batch on its way, if one was made."""

    size: int
    job: bytes | None


@dataclass(frozen=True, slots=True)
class Node:
    hash: bytes


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a name for repetitions stands for."""

    fingerprint: bytes
    number: int


@dataclass(frozen=True, slots=True)
class Noted:
    """An event in the log; ``repeated``: it had been noted before."""

    number: int
    commitment: bytes
    repeated: bool


class AuditLog:
    def __init__(self, service: Service, local: LocalStore, desk: Desk) -> None:
        self._service = service
        self._local = local
        self._desk = desk
        self._turn = threading.Lock()
        self._batching = asyncio.Lock()

    # --- the log -----------------------------------------------------------------------------

    def note(self, events: Sequence[tuple[bytes, bytes | None]]) -> list[Noted]:
        """Return where each event stands once all of them are durable here; an event is its
        octets and a name for repetitions.  Raises ``ChartsealError``."""
        with self._turn:
            head = self._head()
            size, facts, noted = head.size, list[Fact](), []
            made: dict[tuple[int, int], bytes] = {}
            for octets, retry in events:
                known = self._known(octets, retry)
                if known is not None:
                    noted.append(known)
                    continue
                event = _taken(octets)
                facts.append(Fact(_EVENT, _number(size), event))
                self._grow(made, size, merkle.leaf_hash(event.commitment))
                if retry is not None:
                    fingerprint = self._local.blind("fhir-content", octets)
                    facts.append(Fact(_RETRY, retry, Repeat(fingerprint, size)))
                noted.append(Noted(size, event.commitment, repeated=False))
                size += 1
            facts += [Fact(_NODE, _place(*at), Node(value)) for at, value in made.items()]
            if facts:
                self._local.write([*facts, Fact(_HEAD, b"", replace(head, size=size))])
            return noted

    def event(self, number: int) -> LocalEvent | None:
        """Return what is kept of an event."""
        return self._local.get(_EVENT, _number(number), LocalEvent)

    def batch_of(self, number: int) -> EntryRow | None:
        """Return the batch on the ledger that holds event ``number``; None while it waits."""
        read, org = self._service.book.read, self._service.node_id
        chain = audits.chain(read, org)
        if chain is None or chain.size <= number:
            return None
        low, high = 0, chain.entries - 1  # the first entry whose tree is larger than number
        while low < high:
            middle = (low + high) // 2
            if audits.entry(read, org, middle).size > number:
                high = middle
            else:
                low = middle + 1
        return audits.entry(read, org, low)

    def _known(self, octets: bytes, retry: bytes | None) -> Noted | None:
        found = None if retry is None else self._local.get(_RETRY, retry, Repeat)
        if found is None:
            return None
        if found.fingerprint != self._local.blind("fhir-content", octets):
            raise ChartsealError("idempotency-key-reused", "it was used for other content")
        event = self.event(found.number)
        assert event is not None, "what is repeated was noted"
        return Noted(found.number, event.commitment, repeated=True)

    def _head(self) -> Head:
        return self._local.get(_HEAD, b"", Head) or Head(0, None)

    # --- its tree ----------------------------------------------------------------------------

    def _grow(self, made: dict[tuple[int, int], bytes], leaf: int, value: bytes) -> None:
        """Add a leaf and every whole subtree that it completes to ``made``."""
        level, index = 0, leaf
        made[level, index] = value
        while index % 2:
            left = made.get((level, index - 1)) or self._node(level, index - 1)
            value = merkle.node_hash(left, value)
            level, index = level + 1, index // 2
            made[level, index] = value

    def _node(self, level: int, index: int) -> bytes:
        found = self._local.get(_NODE, _place(level, index), Node)
        assert found is not None, "whole subtrees below the size are kept"
        return found.hash

    def _range(self, start: int, end: int) -> bytes:
        """Return the root over the leaves from ``start`` until before ``end``."""
        span = end - start
        if span == 0:
            return merkle.EMPTY_ROOT
        if span & (span - 1) == 0 and start % span == 0:
            level = span.bit_length() - 1
            return self._node(level, start >> level)
        middle = start + (1 << ((span - 1).bit_length() - 1))
        return merkle.node_hash(self._range(start, middle), self._range(middle, end))

    # --- batches -----------------------------------------------------------------------------

    async def anchor(self, number: int, *, timeout_s: float) -> None:
        """Return once event ``number`` is on the ledger, or after about ``timeout_s``.

        Raises ``ChartsealError`` when the ledger refuses the batch.
        """
        async with self._batching:
            if await self._settle(timeout_s):
                job = await threads.surely(self._batch, number)
                if job is not None:
                    await self._desk.follow(job, timeout_s=timeout_s)

    async def beat(self, *, now_ms: int, timeout_s: float) -> bool:
        """Send what waits, or an empty batch when one is due soon; return whether it did.

        Raises ``ChartsealError`` when the ledger refuses the batch.
        """
        chain = audits.chain(self._service.book.read, self._service.node_id)
        size = self._head().size
        if chain is None or size < chain.size:
            due = chain is None and size > 0  # or the chain is of another log: leave it alone
        else:
            due = size > chain.size or now_ms >= chain.due_ms - chain.cadence_ms // 4
        if not due:
            return False
        async with self._batching:
            if not await self._settle(timeout_s):
                return False
            job = await threads.surely(self._batch, None)
            assert job is not None, "a batch of whatever there is"
            await self._desk.follow(job, timeout_s=timeout_s)
        return True

    async def run(self) -> None:
        """Keep the pace that the chain declares, for ever; cancel it to end it.

        Ledger time stands still while nobody writes, so this node's clock is looked at; where
        that runs ahead of the ledger, a batch goes out every ``PAUSE_S`` at most.
        """
        earliest_s = 0.0
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if time.monotonic() < earliest_s or self._service.stopping:
                continue
            try:
                sent = await self.beat(now_ms=time.time_ns() // 1_000_000, timeout_s=WAIT_S)
            except ChartsealError as error:
                log.event("audit.batch-refused", level=logging.WARNING, code=error.code)
                sent = True
            if sent:
                earliest_s = time.monotonic() + PAUSE_S

    async def _settle(self, timeout_s: float) -> bool:
        """Return whether no batch is on its way; one that was refused is forgotten."""
        job = self._head().job
        if job is None:
            return True
        try:
            return (await self._desk.follow(job, timeout_s=timeout_s)).state == "committed"
        except ChartsealError:
            with self._turn:
                self._local.write([Fact(_HEAD, b"", replace(self._head(), job=None))])
            return True

    def _batch(self, number: int | None) -> bytes | None:
        """Make the next batch unless the chain holds event ``number`` already; None: make it
        in any case."""
        chain = audits.chain(self._service.book.read, self._service.node_id)
        old = 0 if chain is None else chain.size
        if number is not None and old > number:
            return None
        with self._turn:
            head = self._head()
            size = min(head.size, old + BATCH_EVENTS_MAX)
            if chain is not None and (old > size or self._range(0, old) != chain.root):
                raise ChartsealError("audit-chain-foreign")
            now_ms = self._service.book.tip.time_ms
            from_ms = now_ms if chain is None else chain.covered_ms
            body = Audit(
                root=self._range(0, size),
                count=size - old,
                from_ms=from_ms,
                until_ms=max(from_ms, now_ms),
                previous=self._range(0, old),
                path=tuple(self._range(*item) for item in merkle.consistency_ranges(old, size)),
                cadence_ms=CADENCE_MS if chain is None else None,
            )
            raw = self._service.sign([Op("access.audit", wire.to_value(body))])
            job = nacl.utils.random(JOB_BYTES)
            facts = [self._desk.kept(job, raw), Fact(_HEAD, b"", replace(head, job=job))]
            self._local.write(facts)
            return job


def _taken(octets: bytes) -> LocalEvent:
    try:
        return audit_local.take(octets, r=nacl.utils.random(32))
    except EventRefused as error:
        raise ChartsealError("audit-event-refused", error.reason) from error


def _number(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _place(level: int, index: int) -> bytes:
    return level.to_bytes(1, "big") + index.to_bytes(8, "big")
