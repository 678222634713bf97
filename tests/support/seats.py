"""Members that come, go and change their keys, on the pure rules alone.

``Seats`` founds a network and acts in it; it remembers every code that was answered and checks
after each block what must always hold of eras, voters and keys (``check``).
"""

from dataclasses import replace
from typing import Any

from consensus import wire
from node.ledger.crypto import Signer
from node.ledger.eras import Era, era_digest, era_from, era_of, observers_from
from node.ledger.facts import governance as facts
from node.ledger.facts import membership
from node.ledger.facts.governance_bodies import Propose
from node.ledger.facts.keys import NodeKey
from node.ledger.facts.membership_bodies import Admit, ReplaceKeys
from node.ledger.families.governance import Name, Vote
from node.ledger.families.membership import Knows, Nothing, Ready, Rotate
from node.ledger.genesis import Institution, Voters
from node.ledger.policies import Policy
from node.ledger.registry import result_of
from node.ledger.state import ENGINE_KEY, load_from, voters_key
from node.ledger.transaction import Op
from tests.support.story import APPLIED, Rules, founded, institution, named, person

DAY_MS = facts.DAY_MS
KINDS = {
    Propose: "governance.propose",
    Vote: "governance.vote",
    Ready: "membership.ready",
    Rotate: "membership.rotate",
    Nothing: "membership.leave",
    Knows: "membership.supports",
}


def key(name: str) -> bytes:
    return person(name).public_key


def rotation(network: bytes, org: str, generation: str) -> Rotate:
    """Return the rotation of ``org`` to its keys of that name."""
    vote, head = person(f"{org}/vote{generation}"), person(f"{org}/head{generation}")
    return Rotate(
        vote.public_key,
        head.public_key,
        proof(network, org, "consensus", vote),
        proof(network, org, "cosigner", head),
    )


def proof(network: bytes, org: str, role: str, signer: Signer) -> bytes:
    said = membership.rotation_statement(network, org, role, signer.public_key)
    return signer.sign(said)


class Seats:
    """``names`` found the network and vote; more may be registered (``join``)."""

    def __init__(self, *names: str, policies: tuple[Policy, ...] = ()) -> None:
        self.world = Rules()
        genesis = founded([f"{name}:author" for name in names])
        self.world.found(replace(genesis, policies=policies))
        self.seen: set[str] = set()
        self.identity: dict[str, str] = {}  # after keys were replaced
        self._count = 0

    @property
    def era(self) -> Era:
        return era_from(self.world.get)

    @property
    def voters(self) -> tuple[str, ...]:
        return facts.voter_ids(self.world.get)

    def act(self, org: str, body: Any, kind: str = "", signers: tuple[str, ...] = ()) -> str:
        op = Op(kind or KINDS[type(body)], wire.to_value(body))
        own = self.identity.get(org, f"{org}/identity")
        others = [person(name) for name in signers if name != own]  # a key signs once
        before = era_from(self.world.get)
        code = self.world.act(org, op, others, person(own))
        self.seen.add(code)
        check(self.world, before)
        return code

    def propose(self, name: str, org: str = "", **action: Any) -> str:
        signers: tuple[str, ...] = ()
        if "register" in action:
            signers = (f"{action['register'].id}/identity",)
        return self.act(org or self.voters[0], Propose(named(name), **action), signers=signers)

    def vote(self, name: str, org: str, *, yes: bool = True) -> str:
        return self.act(org, Vote(named(name), yes))

    def execute(self, name: str, org: str = "") -> str:
        return self.act(org or self.voters[0], Name(named(name)), "governance.execute")

    def decide(self, *, by: str = "", signers: tuple[str, ...] = (), **action: Any) -> str:
        """Propose, vote with every voter that may act, wait, execute; return the first code
        that is no success."""
        self._count += 1
        name = f"decision-{self._count}"
        acting = [org for org in self.voters if facts.suspended(self.world.get, org) is None]
        if "register" in action:
            signers = (f"{action['register'].id}/identity",)
        body = Propose(named(name), **action)
        steps = [self.act(by or acting[0], body, signers=signers)]
        for org in acting:
            row = facts.proposal(self.world.get, named(name))
            if row is not None and row.reached_ms is None:
                steps.append(self.vote(name, org))
        self.world.later(8 * DAY_MS)
        steps.append(self.execute(name, acting[0]))
        return next((code for code in steps if code != APPLIED), APPLIED)

    def join(self, name: str, *, votes: bool = True) -> str:
        """Register and admit an institution; with ``votes`` it says that it caught up."""
        steps = [self.decide(register=newcomer(name)), self.decide(admit=Admit(name, votes))]
        if votes:
            steps.append(self.ready(name))
        return next((code for code in steps if code != APPLIED), APPLIED)

    def ready(self, org: str, back: int = 1) -> str:
        return self.act(org, Ready(max(1, self.world.height + 1 - back), bytes(32)))

    def rotate(self, org: str, generation: str) -> str:
        return self.act(org, rotation(self.world.network, org, generation))

    def leave(self, org: str) -> str:
        return self.act(org, Nothing())

    def replaced(self, org: str, generation: str, **more: Any) -> ReplaceKeys:
        names = ("identity", "vote", "head", "seal")
        keys = [key(f"{org}/{name}{generation}") for name in names]
        return ReplaceKeys(org, *keys, **more)


def newcomer(name: str) -> Institution:
    return institution(name, ["dispenser"], validator=False)


def check(world: Rules, before: Era) -> None:
    """Check what holds after every block; ``before`` was the era in force ahead of it."""
    read, era = world.get, era_from(world.get)
    if era != before:
        assert era.epoch == before.epoch + 1, "one block begins one era"
        assert era.from_height == world.height + 1, "it begins with the next block"
        assert era_of(read, before.epoch) == before, "the era before stays as it was"
        assert era_digest(era) != era_digest(before)
    eras = [era_of(read, epoch) for epoch in range(era.epoch + 1)]
    heights = [item.from_height for item in eras if item is not None]
    assert len(heights) == era.epoch + 1, "epochs are contiguous"
    assert heights == sorted(set(heights)), "eras ascend"
    assert load_from(read, Voters, voters_key(era.epoch)) == Voters(era.epoch, era.members)
    assert read(ENGINE_KEY) == era.engine.encode()
    observers = observers_from(read)
    assert not set(observers) & {item.id for item in era.members}
    _check_institutions(world, era, observers)


def _check_institutions(world: Rules, era: Era, observers: tuple[str, ...]) -> None:
    voters, used = {item.id: item for item in era.members}, set()
    for org in facts.institution_ids(world.get):
        item = facts.known_institution(world.get, org)
        assert item is not None
        assert item.validator == (org in voters)
        standing = membership.seat(world.get, item).standing
        assert (standing == "voter") == (org in voters)
        assert (standing in ("learner", "observer")) == (org in observers)
        if org in voters:
            pair = (voters[org].consensus_key, voters[org].cosigner_key)
            assert pair == (item.consensus_key, item.cosigner_key)
        own = {item.identity_key, item.consensus_key, item.cosigner_key}
        assert len(own) == 3, "no key has two tasks"
        assert not own & used, "no key is two institutions'"
        used |= own


def node_keys(world: Rules) -> dict[bytes, NodeKey]:
    """Return every node key that is written down."""
    prefix = b"node-key/"
    names = [name for name in world.state if name.startswith(prefix)]
    rows = {name[len(prefix) :]: load_from(world.get, NodeKey, name) for name in names}
    return {name: row for name, row in rows.items() if row is not None}


def codes_of(results: Any) -> set[str]:
    return {result_of(item.number).code for item in results}
