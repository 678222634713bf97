"""Commands made from the ledger's registries: one for each operation and each question.

`chartseal consent grant` emits the operation `consent.grant`, `chartseal consent may` asks the
question `consent.may`.  Options are the fields of the operation's body or of the question's
parameters (``node.cli.fields``), so a new family has its commands as soon as it has its rules.

Owns: the tree of groups and commands, sending, asking.  Refuses: signing for others.
``--cosign KEYFILE`` signs with keys that are on this machine; for signers elsewhere
``--prepare KEY`` prints what `person sign` signs and `tx cosigned` sends.
"""

import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click
import nacl.utils

from node.cli.fields import given_members, options_of
from node.cli.main import Group
from node.cli.output import Session
from node.cli.person import prepared, sign_with
from node.cli.remote import Remote, curl_option, linearizable_option, refused, wait_option
from node.cli.showing import show_answer
from node.errors import ChartsealError
from node.http import codes
from node.ledger.asking import Question
from node.ledger.registry import OPERATIONS, QUESTIONS
from node.ledger.rules import Operation

assert codes.CODES, "what the rules answer has its code on this side of the wire too"
_FILE: Final = click.Path(dir_okay=False, path_type=Path)


def operation_command(operation: Operation) -> click.Command:
    """Return the command that emits ``operation`` through the institution's node."""

    @click.pass_obj
    def emit(
        session: Session,
        /,
        cosign: tuple[Path, ...],
        prepare: tuple[str, ...],
        wait_timeout: float,
        curl: bool,
        **options: Any,
    ) -> None:
        remote = Remote(session, curl=curl)
        ops = [{"kind": operation.kind, "body": given_members(operation.body, options)}]
        if prepare:
            session.show(prepared(remote, ops, list(prepare)))
            return
        if cosign:
            status = sign_with(remote, ops, list(cosign))
        else:
            status = remote.operate(ops, key=nacl.utils.random(16).hex())
        final = remote.follow(status["tx_id"], timeout_s=wait_timeout)
        session.show({**_handles(ops[0]["body"]), **final})
        if (error := refused(final)) is not None:
            raise error

    command: click.Command = click.Command(
        operation.kind.rpartition(".")[2],
        params=[*options_of(operation.body)],
        callback=emit,
        help=_help(operation.say, operation.body),
    )
    for decorate in (curl_option, wait_option, prepare_option, cosign_option):
        decorate(command)
    return command


cosign_option = click.option(
    "--cosign",
    type=_FILE,
    multiple=True,
    help="Key file of a person or device that signs too; may be repeated.",
)
prepare_option = click.option(
    "--prepare",
    metavar="HEX",
    multiple=True,
    help="Public key of a co-signer elsewhere: print what to sign, send nothing.",
)


def _help(say: str, record: type) -> str:
    """Return what a command does, and what its record says of its fields."""
    told = inspect.cleandoc(record.__doc__ or "").replace("``", "")
    generated = told.startswith(f"{record.__name__}(")  # a dataclass without words of its own
    return say if generated or not told else f"{say}\n\n{told}"


def _handles(body: Any) -> dict[str, Any]:
    """Return the 16- and 32-byte members: fresh handles must reach whoever made them."""
    return {
        name: value
        for name, value in body.items()
        if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{64}", value)
    }


def question_command(question: Question) -> click.Command:
    """Return the command that asks ``question``."""

    @click.pass_obj
    def ask(
        session: Session,
        /,
        height: int | None,
        curl: bool,
        linearizable: bool,
        proof: Path | None = None,
        **options: Any,
    ) -> None:
        remote = Remote(session, curl=curl, linearizable=linearizable)
        members = given_members(question.params, options)
        query = {name: _text(value) for name, value in members.items() if value is not None}
        if height is not None:
            query["height"] = str(height)
        if proof is not None:
            query["proof"] = "true"
        answer = remote.get(f"/v1/ask/{question.name}", **query)
        if proof is not None:
            _keep(proof, answer)
            session.talk(f"proof written to {proof}: chartseal proof verify {proof}")
        show_answer(session, answer)

    command = click.Command(
        question.name.rpartition(".")[2],
        params=[*options_of(question.params)],
        callback=ask,
        help=_help(question.say, question.params),
    )
    decorators: list[Callable[[Any], Any]] = [linearizable_option, curl_option, _height_option]
    if question.provable:
        decorators.append(_proof_option)
    for decorate in decorators:
        decorate(command)
    return command


_height_option = click.option(
    "--height", type=click.IntRange(1), help="As of this height, if the node keeps it."
)
_proof_option = click.option(
    "--proof",
    type=_FILE,
    metavar="FILE",
    help="Write the answer here with the proof of every row behind it.",
)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _keep(path: Path, answer: Any) -> None:
    try:
        path.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ChartsealError("file-unreadable", f"{path}: {error.strerror}") from error


# --- the tree -----------------------------------------------------------------------------


def _commands(family: str) -> Iterator[tuple[list[str], click.Command]]:
    for kind, operation in OPERATIONS.items():
        first, *words = kind.split(".")
        if first == family:
            yield words, operation_command(operation)
    for name, question in QUESTIONS.items():
        first, *words = name.split(".")
        if first == family:
            yield words, question_command(question)


def fill(group: click.Group, family: str) -> click.Group:
    """Add the commands of ``family`` to ``group``; hand-written ones of that name stay."""
    for words, command in _commands(family):
        inner: click.Group | None = group
        for word in words[:-1]:
            assert inner is not None, "a word names a group or a command, never both"
            known = inner.commands.get(word)
            if known is None:
                known = Group(word, help=f"Everything about {family} {word}.")
                inner.add_command(known)
            inner = known if isinstance(known, click.Group) else None
        if inner is not None:
            inner.commands.setdefault(words[-1], command)
    return group


def __getattr__(name: str) -> click.Group:
    """Return the group of the family ``name``, for the table of commands."""
    if name in BY_HAND:
        module, _, attribute = BY_HAND[name].partition(":")
        return fill(getattr(importlib.import_module(module), attribute), name)
    if name not in FAMILIES:
        raise AttributeError(name)
    return fill(Group(name, help=FAMILIES[name]), name)


# Groups of families whose everyday commands are written by hand; the rest is added to them.
BY_HAND: Final = {
    "network": "node.cli.cmd_network:network",
    "record": "node.cli.cmd_record:record",
}
FAMILIES: Final = {
    "identity": "Keys, practitioners, patients, devices, the provider directory.",
    "consent": "Patients' consent: grant, revoke, amend, and what it permits.",
    "access": "Requests, decisions, releases, break-glass, audit batches.",
    "telemetry": "What devices measured, alerts and their answers.",
    "referral": "Referrals from opening to the report that closes them.",
    "claim": "Coverage, rules, claims, payments, outcome contracts.",
    "research": "Studies, who takes part, datasets and their uses.",
    "reward": "Closed-loop points for taking part in research.",
    "supply": "Custody of medicines and devices, recalls, exceptions.",
    "governance": "Proposals, votes, legal documents, incidents.",
    "membership": "The own seat in the members' network: ready, rotate, leave.",
    "network": "Members, voters, eras, quorum, features, at any height.",
}
