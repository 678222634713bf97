"""A served ledger of three voters, alder's node behind it, whose decisions wait for nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from consensus import wire
from node.cli.decisions import decided_at_once
from node.ledger.crypto import Signer
from node.ledger.families.governance import Name, Vote
from node.ledger.families.membership import Knows, Ready
from node.ledger.transaction import Op
from tests.support.served_ledger import ServedLedger


@contextmanager
def deciding(directory: Path) -> Iterator[ServedLedger]:
    with ServedLedger(directory, policies=decided_at_once()) as served:
        yield served


def act(
    node: ServedLedger, org: str, kind: str, body: Any, signer: Signer | None = None
) -> None:
    """Put an operation of another institution on the ledger."""
    ledger = node.ledger
    op = Op(kind, wire.to_value(body))
    node.call(lambda: ledger.commit(ledger.sign(op, org=org, signer=signer)))


def vote(node: ServedLedger, handle: str, org: str, *, yes: bool = True) -> None:
    act(node, org, "governance.vote", Vote(bytes.fromhex(handle), yes))


def execute(node: ServedLedger, handle: str, org: str) -> None:
    act(node, org, "governance.execute", Name(bytes.fromhex(handle)))


def ready(node: ServedLedger, org: str, signer: Signer | None = None) -> None:
    """Let a learner say that it has caught up, signed by its own node."""
    body = Ready(node.ledger.book.tip.height, bytes(32))
    act(node, org, "membership.ready", body, signer)


def knows(node: ServedLedger, org: str, *features: str) -> None:
    act(node, org, "membership.supports", Knows(features))
