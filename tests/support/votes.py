"""Decisions of a network's members, taken through running nodes.

``Hands`` signs for every institution of a cluster and puts what it signs on the ledger through
any node: in this process (``hands_of``) or over HTTP (``hands_over``).
``late_founding`` makes a cluster whose last nodes' institutions are in no genesis yet.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from consensus import wire
from node.cli.cluster import Cluster
from node.cli.decisions import decided_at_once
from node.cli.layout import institution
from node.keys import NodeKeys
from node.ledger import transaction
from node.ledger.facts import membership
from node.ledger.facts.governance_bodies import Propose
from node.ledger.facts.membership_bodies import Admit
from node.ledger.families.governance import Name, Vote
from node.ledger.families.membership import Nothing, Rotate
from node.ledger.genesis import Genesis, Parameters
from node.ledger.transaction import Op, Payload
from node.publish import policy_of
from tests.support.hostile import genesis_of, keys_of

EXPIRES_HEIGHT = 50_000
# Puts signed bytes on the ledger through node ``at``; returns the result's code.
Submit = Callable[[int, bytes], Awaitable[str]]


def late_founding(
    directory: Path,
    *,
    members: int,
    founders: int,
    engine: str,
    params: Parameters | None = None,
) -> Cluster:
    """Make the files of ``members`` nodes of whom only the first ``founders`` found the
    network; it decides without waiting times."""
    cluster = Cluster.create(
        directory,
        members=members,
        engine=engine,
        params=params,
        policies=decided_at_once(),
    )
    if founders < members:
        names = {item.id for item in cluster.members[:founders]}
        whole = genesis_of(cluster)
        kept = tuple(item for item in whole.institutions if item.id in names)
        genesis = replace(whole, institutions=kept)
        cluster.genesis_path.write_bytes(genesis.encode())
        cluster.policy_path.write_text(policy_of(genesis).to_text())
    return cluster


class Hands:
    """``through``: nodes that are up, in the order in which they are tried."""

    def __init__(self, cluster: Cluster, submit: Submit) -> None:
        self.cluster = cluster
        self.genesis: Genesis = genesis_of(cluster)
        self.keys: list[NodeKeys] = [keys_of(cluster, at) for at in range(len(cluster.members))]
        self._submit = submit

    def id(self, at: int) -> str:
        return self.cluster.members[at].id

    def raw(self, at: int, kind: str, body: object, *also: NodeKeys) -> bytes:
        """Return a transaction of institution ``at``, co-signed by ``also``."""
        payload = Payload(
            self.genesis.network,
            self.id(at),
            EXPIRES_HEIGHT,
            os.urandom(8),
            (Op(kind, wire.to_value(body)),),
        )
        signers = [item.identity for item in also]
        return transaction.sign(payload, self.keys[at].identity, *signers)

    async def act(
        self, at: int, kind: str, body: object, *also: NodeKeys, through: int | None = None
    ) -> str:
        """Return what the ledger said to the act of ``at``."""
        raw = self.raw(at, kind, body, *also)
        return await self._submit(at if through is None else through, raw)

    async def decide(self, voters: list[int], **action: Any) -> None:
        """Have ``voters`` propose, vote for and execute one action, all through their nodes."""
        handle = os.urandom(32)
        also: list[NodeKeys] = []
        if "register" in action:
            also = [item for item in self.keys if item.node == action["register"].id]
        first = voters[0]
        body = Propose(handle, **action)
        assert await self.act(first, "governance.propose", body, *also) == "applied"
        for at in voters:
            said = await self.act(at, "governance.vote", Vote(handle, yes=True))
            assert said in ("applied", "governance-proposal-closed"), said
        assert await self.act(first, "governance.execute", Name(handle)) == "applied"

    async def register(self, voters: list[int], newcomer: int) -> None:
        """Put the institution of node ``newcomer`` on the ledger."""
        item = institution(
            self.keys[newcomer], name="Newcomer", roles=("author",), validator=False
        )
        await self.decide(voters, register=item)

    async def admit(self, voters: list[int], newcomer: int, *, votes: bool = True) -> None:
        """Let it follow; with ``votes`` it becomes a voter once it has caught up."""
        await self.decide(voters, admit=Admit(self.id(newcomer), votes))

    async def leave(self, at: int) -> str:
        return await self.act(at, "membership.leave", Nothing())

    def rotation(self, at: int, fresh: NodeKeys) -> Rotate:
        """Return what puts the voting keys of ``fresh`` in place of those of ``at``."""
        proofs = [
            signer.sign(
                membership.rotation_statement(
                    self.genesis.network, self.id(at), role, signer.public_key
                )
            )
            for role, signer in (("consensus", fresh.consensus), ("cosigner", fresh.cosigner))
        ]
        public = fresh.public
        return Rotate(public.consensus, public.cosigner, *proofs)


def hands_over(cluster: Cluster) -> Hands:
    """Return hands that act over HTTP on real processes."""

    def put(at: int, raw: bytes) -> str:
        answer = cluster.client(at, timeout_s=40).request(
            "POST",
            "/v1/transactions",
            body=raw,
            headers={"Content-Type": "application/octet-stream", "Prefer": "wait=30"},
        )
        return str(answer.json()["code"])

    async def submit(at: int, raw: bytes) -> str:
        return await asyncio.to_thread(put, at, raw)

    return Hands(cluster, submit)
