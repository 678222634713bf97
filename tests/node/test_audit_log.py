"""The local audit log: its tree is RFC 6962's, its batches build on the ledger's chain."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.audit_log import AuditLog
from node.errors import ChartsealError
from node.fhir_desk import Desk
from node.ledger import merkle
from node.ledger.facts import audits
from node.ledger.facts.audits import ChainRow
from node.local_store import LocalStore
from node.patients import Patients
from tests.support.ledger_fixture import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger")
    yield made
    made.close()


def log_of(ledger: Ledger) -> AuditLog:
    service = ledger.service
    local = LocalStore(ledger.store, service.disk.path)
    return AuditLog(service, local, Desk(service, local, Patients(local)))


def event(number: int) -> bytes:
    made = {
        "resourceType": "AuditEvent",
        "type": {"code": "rest"},
        "recorded": f"2026-01-01T08:{number % 60:02}:00Z",
        "agent": [{"requestor": True}],
        "source": {"observer": {"display": "x"}},
    }
    return json.dumps(made).encode()


def chain(ledger: Ledger) -> ChainRow:
    found = audits.chain(ledger.book.read, "alder")
    assert found is not None
    return found


async def anchor(ledger: Ledger, log: AuditLog, number: int) -> None:
    waiting = asyncio.create_task(log.anchor(number, timeout_s=5))
    while not waiting.done():
        if len(ledger.mempool):
            ledger.commit()
        await asyncio.sleep(0)
    await waiting


async def test_every_batch_has_the_root_over_all_events_so_far(ledger: Ledger) -> None:
    log, leaves = log_of(ledger), []
    for many in (1, 2, 3, 5, 8, 1):
        noted = log.note([(event(len(leaves) + at), None) for at in range(many)])
        assert [item.number for item in noted] == list(range(len(leaves), len(leaves) + many))
        leaves += [merkle.leaf_hash(item.commitment) for item in noted]
        log = log_of(ledger)  # as after a restart
        await anchor(ledger, log, noted[-1].number)
        row = chain(ledger)
        assert (row.size, row.root) == (len(leaves), merkle.root(leaves))
    height = ledger.book.tip.height
    await anchor(ledger, log, 0)
    assert ledger.book.tip.height == height  # what is in is not sent again
    batch = log.batch_of(3)
    assert batch is not None
    assert (batch.number, batch.count) == (2, 3)
    assert log.batch_of(20) is None


async def beat(ledger: Ledger, log: AuditLog, now_ms: int) -> bool:
    beating = asyncio.create_task(log.beat(now_ms=now_ms, timeout_s=5))
    while not beating.done():
        if len(ledger.mempool):
            ledger.commit()
        await asyncio.sleep(0)
    return await beating


async def test_the_pace_is_kept_with_empty_batches_and_what_waits_goes_along(
    ledger: Ledger,
) -> None:
    log = log_of(ledger)
    assert not await beat(ledger, log, 1 << 50)  # no event ever, no chain: nothing is owed
    log.note([(event(0), None)])
    assert await beat(ledger, log, 0)
    first = chain(ledger)
    assert (first.entries, first.size) == (1, 1)
    assert not await beat(ledger, log, first.due_ms - first.cadence_ms // 2)
    assert await beat(ledger, log, first.due_ms - 1)
    second = chain(ledger)
    assert (second.entries, second.size, second.root) == (2, 1, first.root)
    assert second.due_ms > first.due_ms
    log.note([(event(1), None), (event(2), None)])
    assert await beat(ledger, log, 0)
    assert chain(ledger).size == 3


async def test_nothing_is_built_on_a_chain_of_another_log(
    ledger: Ledger, tmp_path: Path
) -> None:
    log = log_of(ledger)
    await anchor(ledger, log, log.note([(event(0), None)])[0].number)
    local = LocalStore(ledger.store, ledger.service.disk.path)
    elsewhere = Ledger(tmp_path / "other")
    other = AuditLog(
        ledger.service,
        LocalStore(elsewhere.store, tmp_path / "other"),
        Desk(ledger.service, local, Patients(local)),
    )
    noted = other.note([(event(1), None), (event(2), None)])
    with pytest.raises(ChartsealError, match="audit-chain-foreign"):
        await other.anchor(noted[1].number, timeout_s=1)
    elsewhere.close()


def test_an_event_is_noted_once_under_its_name(ledger: Ledger) -> None:
    log = log_of(ledger)
    (first,) = log.note([(event(0), b"name")])
    (again,) = log.note([(event(0), b"name")])
    assert (again.number, again.commitment, again.repeated) == (0, first.commitment, True)
    with pytest.raises(ChartsealError, match="idempotency-key-reused"):
        log.note([(event(1), b"name")])
    kept = log.event(0)
    assert kept is not None
    assert kept.commitment == first.commitment
    assert log.event(1) is None
