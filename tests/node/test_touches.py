"""How often Python handles a transaction on its way: counted, for each member and each hop.

The bytes that were signed are the bytes that are hashed, relayed and stored; what costs is each
time that code looks at one.  node/README.md has the table that this test holds.
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consensus import wire
from node.gossip import encoding, protocol
from node.ledger import accel, block, execute
from node.ledger.families.record import Anchor
from node.ledger.transaction import Op, txid_of
from node.mempool import Mempool
from storage.store import Store
from tests.support.nodes import running, until

MEMBERS = 4
COUNT = 24
ONCE_A_MEMBER = {
    "hashed",
    "opened",
    "verified",
    "pooled",
    "joined into a body",
    "executed",
    "left the pool",
}


@pytest.fixture
def touched(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what every call is given, by hop."""
    counts: Counter[str] = Counter()

    def count(owner: Any, name: str, hop: str, size: Callable[..., int]) -> None:
        original = getattr(owner, name)

        def counted(*arguments: Any, **named: Any) -> Any:
            counts[hop] += size(*arguments, **named)
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, counted)

    count(accel, "txids", "hashed", len)
    count(accel, "open_batch", "opened", len)
    count(Mempool, "add", "pooled", lambda *_: 1)
    count(Mempool, "remove", "left the pool", lambda _, txids: len(txids))
    count(protocol, "encode_transactions", "joined into a push", len)
    count(encoding, "decode_transactions", "cut out of a push", lambda _: COUNT)
    count(block, "encode_body", "joined into a body", lambda _, raws: len(raws))
    count(execute, "_apply", "executed", lambda *_: 1)
    count(Store, "save", "bodies written", lambda *_, bodies=(), **__: len(bodies))
    return counts


async def test_every_hop_handles_a_transaction_once(
    tmp_path: Path, touched: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path / "net", members=MEMBERS, engine="pbft") as nodes:
        authors = {item.identity_key for item in nodes.genesis.institutions}
        verify = accel.verify_batch

        def counted(checks: Any) -> list[bool]:
            touched["verified"] += sum(key in authors for key, _, _ in checks)
            return verify(checks)

        monkeypatch.setattr(accel, "verify_batch", counted)
        first = nodes.leader().parts.service
        raws = [first.sign([_anchor()]) for _ in range(COUNT)]
        before = [node.height for node in nodes.nodes]
        touched.clear()
        answers = await first.submit(raws)
        assert {answer.code for answer in answers} == {"accepted"}
        for raw in raws:
            assert (await first.wait(txid_of(raw), timeout_s=20)).state == "committed"
        await until(lambda: len({node.height for node in nodes.nodes}) == 1)
        blocks = nodes[0].height - before[0]
    assert {hop: touched[hop] / COUNT for hop in ONCE_A_MEMBER} == dict.fromkeys(
        ONCE_A_MEMBER, MEMBERS
    )
    assert touched["joined into a push"] == COUNT, "one push for all the others"
    assert touched["cut out of a push"] == COUNT * (MEMBERS - 1)
    assert touched["bodies written"] == blocks * MEMBERS


def _anchor() -> Op:
    return Op("record.anchor", wire.to_value(Anchor(os.urandom(32), os.urandom(16), 2)))
