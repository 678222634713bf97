"""What must hold after a rehearsal, whatever befell the network.

Owns: the verdicts.  Each names what it looked at, so that an empty look is no pass.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from node.chaos.linear import READ, Operation, Outcome, check, register
from node.chaos.world import World
from node.check import check_ledger
from node.cli.client import Client
from node.errors import ChartsealError
from node.ledger.genesis import Genesis

_SAME: Final = ("digest", "log_root", "state_root")
_ASKED_MAX: Final = 100
_PAUSE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Verdict:
    """``held`` of ``rule``; ``looked_at`` says how much was judged."""

    rule: str
    held: bool
    looked_at: str
    detail: str = ""


def history(chapter: int, operations: list[Operation]) -> Verdict:
    """Is what clients saw in one chapter linearizable?"""
    verdict = check(operations, register())
    reads = sum(item.input == READ for item in operations)
    pending = sum(item.is_pending for item in operations)
    size = f"chapter {chapter}: {len(operations)} operations, {reads} reads, {pending} unknown"
    held = verdict.outcome is Outcome.LINEARIZABLE and reads > 0 and len(operations) > reads
    return Verdict("linearizable", held, size, "" if held else str(verdict))


def roots(height_of: dict[int, dict[str, Any]], names: Iterable[str]) -> Verdict:
    """Do all nodes show the same block, log and state?"""
    blocks = list(height_of.values())
    different = [key for key in _SAME if len({block[key] for block in blocks}) != 1]
    height = blocks[0]["height"]
    looked = f"height {height} of {', '.join(names)}"
    return Verdict("roots-equal", not different, looked, ", ".join(different))


def acknowledged(world: World, txids: list[str]) -> Verdict:
    """Does every node have everything that any node said was committed?"""
    lost: list[str] = []
    for at in world.nodes:
        client = world.cluster.client(at, timeout_s=10)
        for txid in txids:
            state = _state(client, txid)
            if state != "committed":
                lost.append(f"{world.name(at)} says {state} of {txid}")
    looked = f"{len(txids)} acknowledged transactions at {len(world.nodes)} nodes"
    return Verdict("nothing-lost", not lost and bool(txids), looked, "; ".join(lost[:5]))


def _state(client: Client, txid: str) -> str:
    """Ask for one transaction, at the pace that the node allows."""
    for _ in range(_ASKED_MAX):
        try:
            return str(client.get(f"/v1/transactions/{txid}")["state"])
        except ChartsealError as error:
            if error.code != "rate-limited":
                return error.code
            time.sleep(_PAUSE_S)
    return "rate-limited"


def directories(world: World, genesis: Genesis, scratch: Path) -> list[Verdict]:
    """Read every stopped node's directory again, by the ledger's own rules."""
    found = []
    for at in world.nodes:
        where = world.cluster.node_dir(at)
        report = check_ledger(where / "data", genesis, scratch_dir=scratch)
        detail = "; ".join(f"{item.code.value} {item.where}" for item in report.findings[:5])
        looked = f"{world.name(at)}: {report.blocks} blocks, {report.pairs} pairs"
        found.append(Verdict("check-clean", report.clean, looked, detail))
    return found
