"""What the members decide during a rehearsal: who votes, and under which engine.

Owns: proposals, votes and their execution, each signed with its member's own key and sent to
whichever node answers.  Nothing is forced: what the ledger refuses fails the rehearsal.
"""

import os
import random
import time
from collections.abc import Callable
from typing import Any, Final

from consensus import wire
from node.chaos.clients import EXPIRES_HEIGHT, genesis_of, keys_of
from node.chaos.world import World
from node.errors import ChartsealError
from node.ledger import transaction
from node.ledger.facts.governance_bodies import Propose
from node.ledger.facts.membership_bodies import Admit
from node.ledger.families.governance import Name, Vote
from node.ledger.transaction import Op, Payload

DECIDE_S: Final = 90.0
SEATED_S: Final = 120.0
VOTERS_MIN: Final = {"raft": 3, "pbft": 4}
# A vote too many, or one that came twice: the decision was made without it.
_DECIDED: Final = frozenset({"governance-proposal-closed", "governance-voted-already"})

Meeting = Callable[[World, int, random.Random], str]


def watch(world: World) -> None:
    """Let every node that does not vote follow the ledger."""
    for spare in world.spares:
        _decide(world, "admit", Admit(world.name(spare), votes=False))


def join(world: World, at: int, rng: random.Random) -> str:
    """Let one that watches vote; without one, let a voter watch."""
    if not world.spares:
        return remove(world, at, rng)
    chosen = world.spares[0]
    name = world.name(chosen)
    _decide(world, "admit", Admit(name, votes=True))
    world.until(lambda: name in _voters(world), f"{name} to vote", patience_s=SEATED_S)
    world.voters.append(chosen)
    return f"{name} votes"


def remove(world: World, at: int, rng: random.Random) -> str:
    """Let a voter watch; where too few would be left, let one that watches vote."""
    if len(world.voters) <= VOTERS_MIN[_engine(world)]:
        if not world.spares:
            return "too few vote, and nobody watches"
        return join(world, at, rng)
    name = world.name(at)
    _decide(world, "demote", name)
    world.until(lambda: name not in _voters(world), f"{name} not to vote", patience_s=SEATED_S)
    world.voters.remove(at)
    return f"{name} watches"


def switch(world: World, _at: int, _rng: random.Random) -> str:
    """Vote for the other engine."""
    other = "raft" if _engine(world) == "pbft" else "pbft"
    _decide(world, "engine", other)
    world.until(lambda: _engine(world) == other, f"engine {other}", patience_s=SEATED_S)
    return f"{other} from now on"


MEETINGS: Final[dict[str, Meeting]] = {"join": join, "remove": remove, "switch": switch}


def _decide(world: World, action: str, value: object) -> None:
    handle = os.urandom(32)
    first, *others = world.voters
    proposal = Propose(handle, **{action: value})  # type: ignore[arg-type]
    _submit(world, first, _op("propose", proposal), _op("vote", Vote(handle, yes=True)))
    for voter in others:
        _submit(world, voter, _op("vote", Vote(handle, yes=True)))
    _submit(world, first, _op("execute", Name(handle)))


def _op(verb: str, body: object) -> Op:
    return Op(f"governance.{verb}", wire.to_value(body))


def _submit(world: World, member: int, *ops: Op) -> None:
    """Have ``member`` sign ``ops``; return when the ledger has them, whoever took them."""
    keys = keys_of(world.cluster, member)
    network = genesis_of(world.cluster).network
    payload = Payload(network, keys.node, EXPIRES_HEIGHT, os.urandom(8), ops)
    raw = transaction.sign(payload, keys.identity)
    headers = {"Content-Type": "application/octet-stream", "Prefer": "wait=5"}
    deadline, said = time.monotonic() + DECIDE_S, "no answer"
    while time.monotonic() < deadline:
        for node in (member, *world.voters):
            client = world.cluster.client(node, timeout_s=8)
            try:
                answer = client.request(
                    "POST", "/v1/transactions", body=raw, headers=headers
                ).json()
            except ChartsealError as error:
                if error.code in _DECIDED:
                    return
                said = str(error)
                continue
            if answer["state"] == "committed":
                return
            said = str(answer["state"])
    raise TimeoutError(f"{ops[0].kind} of {keys.node}: {said}")


def _ask(world: World, path: str) -> Any:
    for node in world.voters:
        try:
            return world.cluster.client(node, timeout_s=5).get(path)
        except ChartsealError:
            continue
    return None


def _voters(world: World) -> list[str]:
    found = _ask(world, "/v1/ask/network.voters")
    return [] if found is None else [item["id"] for item in found["answer"]["voters"]]


def _engine(world: World) -> str:
    found = _ask(world, "/v1/status")
    return world.cluster.engine if found is None else str(found["engine"]["name"])
