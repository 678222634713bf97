"""Four whole nodes under each engine: releases race with a consent that is taken back.

Which comes first is the engine's to say; that nothing is released after it, and that every
node holds the same state, is the rules'.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from node.ledger import transaction
from node.ledger.accounting import account
from node.ledger.facts.access_rules import verdict_at
from node.ledger.facts.accesses import access, event_key, log_head, log_key
from node.ledger.facts.consent_rule import Rule, Scope
from node.ledger.families.access import Decide, Request
from node.ledger.families.access_release import Release
from node.ledger.families.consent import Grant, Revoke
from node.ledger.families.consent_law import Publish
from node.ledger.families.identity_patient import Bind
from node.ledger.families.record import Anchor
from node.ledger.transaction import Payload, txid_of
from node.service import TxStatus
from tests.support.accesses import op
from tests.support.nodes import Node, Nodes, running, until
from tests.support.story import named, person

ENGINES = ("raft", "pbft")
ANNA, RID, SCAN = named("anna"), named("rid"), named("scan")
CID = named("cid", 16)
RELEASES = 12


async def send(node: Node, *bodies: object, patient: bool = False) -> TxStatus:
    """Put one transaction of this member on the ledger; return what became of it."""
    service = node.parts.service
    payload = Payload(
        service.genesis.network,
        service.node_id,
        node.height + 1000,
        os.urandom(8),
        tuple(op(body) for body in bodies),
    )
    signers = [service._signer, *([person("anna")] if patient else [])]
    raw = transaction.sign(payload, *signers)
    (answer,) = await service.submit([raw])
    assert answer.taken, answer
    status = await service.wait(txid_of(raw), timeout_s=20)
    assert status.state in ("committed", "rejected"), status
    return status


async def applied(node: Node, *bodies: object, patient: bool = False) -> None:
    status = await send(node, *bodies, patient=patient)
    assert status.state == "committed", status


async def settled(nodes: Nodes) -> None:
    """Return once every member stands at the same height."""
    await until(lambda: len({node.height for node in nodes.nodes}) == 1)


async def prepared(nodes: Nodes) -> bytes:
    """Bring an access to the point where records may be handed over; return the residual."""
    custodian, clinic, _, regulator = nodes.nodes
    await applied(regulator, Publish("policy", "overarching", bytes(32), "deny"))
    keys = person("anna").public_key, bytes(32)
    await applied(custodian, Bind(ANNA, *keys, 2), Anchor(SCAN, bytes(16), 2), patient=True)
    scope = Scope(orgs=(clinic.id,), purposes=("TREAT",))
    await applied(custodian, Grant(CID, ANNA, Rule(True, scope)), patient=True)
    await applied(clinic, Request(RID, ANNA, custodian.id, "TREAT", bytes(32)))
    await until(lambda: custodian.parts.service.book.read(b"access/" + RID) is not None)
    tip = custodian.parts.service.book.tip
    read = custodian.store.state_get
    row = access(read, RID)
    assert row is not None
    found = verdict_at(read, row, time_ms=tip.time_ms, height=tip.height)
    decision = Decide(RID, True, found.residual, tip.height, found.basis, found.basis_version)
    lie = Decide(RID, False, found.residual, tip.height, found.basis, found.basis_version)
    assert (await send(custodian, lie)).code == "access-decision-disagrees"
    await applied(custodian, decision)
    return found.residual


def order(statuses: Sequence[TxStatus]) -> list[tuple[int, int]]:
    return [(status.height or 0, status.leaf_index or 0) for status in statuses]


@pytest.mark.parametrize("engine", ENGINES)
async def test_nothing_is_released_after_the_consent_was_taken_back(
    tmp_path: Path, engine: str
) -> None:
    async with running(tmp_path / "net", members=4, engine=engine) as nodes:
        residual = await prepared(nodes)
        custodian, clinic = nodes[0], nodes[1]

        async def release(at: int) -> TxStatus:
            await asyncio.sleep(0.02 * at)
            return await send(custodian, Release(RID, (SCAN,), bytes(32), residual))

        async def revoke() -> TxStatus:
            await asyncio.sleep(0.02 * RELEASES / 2)
            return await send(clinic, Revoke(CID), patient=True)

        async with asyncio.TaskGroup() as tasks:
            releasing = [tasks.create_task(release(at)) for at in range(RELEASES)]
            revoking = tasks.create_task(revoke())
        revoked = revoking.result()
        assert revoked.state == "committed"
        (end,) = order([revoked])
        releases = [task.result() for task in releasing]
        for status, place in zip(releases, order(releases), strict=True):
            assert (status.state == "committed") == (place < end), status
            assert status.state == "committed" or status.code == "access-permit-gone"
        last = await send(custodian, Release(RID, (SCAN,), bytes(32), residual))
        assert last.code == "access-permit-gone"

        await settled(nodes)
        roots = {node.parts.service.book.tip.state_root for node in nodes.nodes}
        assert len(roots) == 1
        granted = sum(status.state == "committed" for status in releases)
        for node in nodes.nodes:
            read = node.store.state_get
            count = log_head(read, ANNA).count
            assert count == 2 + granted
            rows = [read(event_key(ANNA, at)) for at in range(count)]
            events = account(read(log_key(ANNA)), [raw for raw in rows if raw is not None])
            assert sum(event.event == "release" for event in events) == granted
