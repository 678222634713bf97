"""No operation of any family carries words about a person: shown for every field of each.

Valid bodies are taken from the stories, which together use every operation.  Then every text
field is replaced by something about a person, every byte field by bytes of another length: the
ledger's types must refuse each one.
"""

import dataclasses
import typing
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from consensus import wire
from consensus.codec import Malformed
from node.ledger import registry
from node.ledger.asking import inner_kind
from node.ledger.crypto import Signer
from node.ledger.transaction import Op
from tests.support.script import run_script
from tests.support.story import Rules, Story

STORIES = sorted((Path(__file__).parents[2] / "stories").rglob("*.story"))
PERSONAL = ("Anna Example, born 1970-01-01", "MRN 4711-0815", "anna@example.org", "x" * 300)
# What is not about persons: proofs are checked bytes, and their length is what they prove.
OPEN_BYTES = {("evidence.votes", "proof"), ("evidence.heads", "head"),
              ("evidence.heads", "against"), ("record.batch", "leaves")}  # fmt: skip
# An institution's public name, as genesis has it.
PUBLIC_TEXT = {("governance.propose", "name")}
# Names of institutions and of public things: any short word of that form is one, as far as a
# type can tell (see the threat model), so it is kept in view which fields those are.
WORDS = ("kipezilouza", "mrn-1234567890", "1234567890", "KIPEZILOUZA")
NAMES_OF_INSTITUTIONS = {
    "about", "admit.org", "against", "agreed", "custodian", "demote", "ethics",
    "guardians", "merchants", "org", "orgs", "other", "provider", "recipient",
    "register.id", "regulator", "remove", "replace_keys.org", "responder", "resume",
    "roles.org", "rule.scope.orgs", "sender", "suspend", "to",
}  # fmt: skip
NAMES_OF_THINGS = {
    "advisory", "features", "granted.code_class", "law", "lines.code_class", "measure",
    "measures.measure", "model", "models", "outcomes.measure", "plan", "policy",
    "tariffs.code_class", "version", "wanted.code_class",
}  # fmt: skip
NOT_IN_STORIES = {"evidence.votes", "evidence.heads"}


class Recorder(Rules):
    def __init__(self) -> None:
        super().__init__()
        self.ops: list[Op] = []

    def act(
        self, org: str, op: Op, cosigners: Sequence[Signer], author: Signer | None = None
    ) -> str:
        self.ops.append(op)
        return super().act(org, op, cosigners, author)


@cache
def examples() -> dict[str, list[list[Any]]]:
    """Return bodies of every kind that a story emits."""
    found: dict[str, list[list[Any]]] = {}
    for path in STORIES:
        world = Recorder()
        run_script(path, Story(world).line)
        for op in world.ops:
            found.setdefault(op.kind, []).append(op.body)
    return found


def test_the_stories_use_every_operation() -> None:
    assert set(registry.OPERATIONS) - set(examples()) == NOT_IN_STORIES


@pytest.mark.parametrize("kind", sorted(set(registry.OPERATIONS) - NOT_IN_STORIES))
def test_no_field_takes_words_about_a_person(kind: str) -> None:
    body = registry.OPERATIONS[kind].body
    leaks = []
    for example in examples()[kind]:
        for path, bent in bendings(kind, body, example):
            try:
                wire.from_value(body, bent)
            except Malformed:
                continue
            leaks.append(path)
    assert sorted(set(leaks)) == []


def test_only_names_of_institutions_and_public_things_take_a_single_word() -> None:
    found = set()
    for kind in set(registry.OPERATIONS) - NOT_IN_STORIES:
        body = registry.OPERATIONS[kind].body
        for example in examples()[kind]:
            for path, bent in bendings(kind, body, example, WORDS):
                field, is_text, _ = path.partition("=")
                try:
                    wire.from_value(body, bent)
                except Malformed:
                    continue
                if is_text and "bytes" not in path:
                    found.add(field)
    assert found == NAMES_OF_INSTITUTIONS | NAMES_OF_THINGS


def bendings(
    kind: str, record: Any, value: list[Any], words: Sequence[str] = PERSONAL
) -> Iterator[tuple[str, list[Any]]]:
    """Yield (field, value of ``record`` with that field bent)."""
    hints = typing.get_type_hints(record)
    # A record that grew may be shorter: what is left out is at its default.
    for at, field in enumerate(dataclasses.fields(record)[: len(value)]):
        for name, bent in _bent(kind, hints[field.name], field.name, value[at], words):
            yield name, [*value[:at], bent, *value[at + 1 :]]


def _bent(
    kind: str, hint: Any, name: str, value: Any, words: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    inner = inner_kind(hint)
    if value is None:
        return
    if typing.get_origin(inner) is tuple:
        item = typing.get_args(inner)[0]
        for at, element in enumerate(value):
            for path, bent in _bent(kind, item, name, element, words):
                yield path, [*value[:at], bent, *value[at + 1 :]]
    elif dataclasses.is_dataclass(inner):
        for path, bent in bendings(kind, inner, value, words):
            yield f"{name}.{path}", bent
    elif inner is str and (kind, name) not in PUBLIC_TEXT:
        yield from ((f"{name}={text[:8]}", text) for text in words)
    elif inner is bytes and (kind, name) not in OPEN_BYTES:
        yield from ((f"{name}={len(raw)} bytes", raw) for raw in (b"Anna Example", b"x" * 300))
