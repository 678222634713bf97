"""`chartseal genesis`: found a network from join cards; show what a founding document says.

    DIR/genesis.bin   what every institution puts where ``network.genesis`` says
    DIR/policy.json   whose cosignatures a verifier of receipts trusts

A join card is what `chartseal init` prints.  Each institution shows its own copy of
genesis.bin and compares the digest with the others before it starts.

Owns: reading cards and writing these two files.  Refuses: to replace a file; cards that
contradict each other; parameters that no network has.
Invariant: a genesis.bin that stands has its policy.json beside it.
"""

import difflib
import os
import time
from collections.abc import Mapping
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import click

from consensus import quorum, wire
from consensus.codec import Malformed
from node.cli.decisions import policies_of
from node.cli.invitation import Consent, read_consent
from node.cli.layout import CARD_FORMAT
from node.cli.main import Group
from node.cli.output import Session
from node.errors import ChartsealError, Code, Exit, register
from node.ledger.canon import CanonRefused, read_json
from node.ledger.genesis import ENGINES, Genesis, Institution, Parameters
from node.ledger.policies import Policy
from node.publish import policy_of

CARD_BYTES_MAX: Final = 1 << 16
_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_PARAMETERS: Final = tuple(item.name for item in fields(Parameters))
_COLUMNS: Final = ("id", "name", "roles", "validator", "identity_key")
_DIGITS_MAX: Final = 12

register(
    Code(
        code="join-card-invalid",
        title="a file is not a join card",
        status=422,
        exit=Exit.CONFLICT,
        retryable=False,
        hint="get the card again from its institution; `chartseal init` prints it",
    )
)


@click.group(cls=Group)
def genesis() -> None:
    """Found a network from join cards; show its founding document."""


@genesis.command()
@click.argument("cards", metavar="CARD...", nargs=-1, required=True, type=_FILE)
@click.option("--name", required=True, help="The network's name: a-z, 0-9 and dashes.")
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    required=True,
    help="Ordering engine: pbft tolerates members that lie, raft only members that stop.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PARAMETER=VALUE",
    help="A rule that all nodes share, other than its default; may be repeated.",
)
@click.option(
    "--decide",
    "decisions",
    multiple=True,
    metavar="TOPIC=WAIT[,PERCENT]",
    help="How long decisions of a topic wait, and how many must agree; may be repeated.",
)
@click.option(
    "--out",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory for genesis.bin and policy.json.",
)
@click.pass_obj
def create(
    session: Session,
    cards: tuple[Path, ...],
    name: str,
    engine: str,
    settings: tuple[str, ...],
    decisions: tuple[str, ...],
    directory: Path,
) -> None:
    """Make the founding document of a network from its join CARDs.

    Prints what `genesis show` prints for it: send both files to every institution, and let
    each compare the digest over a channel on which the others are known.
    """
    parameters = _parameters(settings)
    policies = policies_of(decisions)
    cards_read = [read_card(path) for path in cards]
    founded = _found(name, engine, cards_read, parameters, policies)
    _write(directory, founded)
    session.talk(f"wrote genesis.bin and policy.json in {directory}")
    session.talk(
        "next: every institution runs `chartseal genesis show` and compares the digest"
    )
    _show(session, founded)


@genesis.command()
@click.argument("file", type=_FILE)
@click.pass_obj
def show(session: Session, file: Path) -> None:
    """Show the digest, members and rules in the genesis FILE.

    The digest is the network's name: whoever shows the same one has the same members, keys,
    engine and parameters.
    """
    from node.daemon import load_genesis

    _show(session, load_genesis(file))


def read_card(path: Path) -> Institution:
    """Return the institution on the join card at ``path``; raises as ``read_joining``."""
    return read_joining(path)[0]


def read_joining(path: Path) -> tuple[Institution, Consent | None]:
    """Return the institution on the join card at ``path``, and its consent to be registered.

    Raises ``ChartsealError``: file-unreadable; join-card-invalid for anything else.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(CARD_BYTES_MAX + 1)
    except OSError as error:
        raise ChartsealError("file-unreadable", f"{path}: {error.strerror}") from error
    if len(raw) > CARD_BYTES_MAX:
        raise _no_card(path, f"longer than {CARD_BYTES_MAX} bytes")
    try:
        card = read_json(raw)
    except CanonRefused as error:
        raise _no_card(path, str(error)) from error
    if not isinstance(card, dict) or card.pop("format", None) != CARD_FORMAT:
        raise _no_card(path, f"not a join card ({CARD_FORMAT})")
    try:
        consent = read_consent(card)
        card.pop("consent", None)
        institution: Institution = wire.from_plain(Institution, card)
    except Malformed as error:
        raise _no_card(path, str(error)) from error
    return institution, consent


def _no_card(path: Path, why: str) -> ChartsealError:
    return ChartsealError("join-card-invalid", f"{path}: {why}")


def _parameters(settings: tuple[str, ...]) -> Parameters:
    given: dict[str, int] = {}
    for item in settings:
        name, equals, value = item.partition("=")
        if not equals:
            raise _bad_set(f"{item!r} is not PARAMETER=VALUE")
        if name not in _PARAMETERS:
            close = difflib.get_close_matches(name, _PARAMETERS, n=1, cutoff=0.5)
            advice = f"did you mean {close[0]}?" if close else f"there are {_listed()}"
            raise _bad_set(f"no parameter {name!r}; {advice}")
        if name in given:
            raise _bad_set(f"{name} is set twice")
        if not (value.isascii() and value.isdecimal() and len(value) <= _DIGITS_MAX):
            raise _bad_set(f"{name} is a whole number, not {value!r}")
        given[name] = int(value)
    try:
        return Parameters(**given)
    except ValueError as error:
        raise _bad_set(str(error)) from error


def _listed() -> str:
    return ", ".join(_PARAMETERS)


def _bad_set(why: str) -> click.BadParameter:
    return click.BadParameter(why, param_hint="--set")


def _found(
    name: str,
    engine: str,
    founders: list[Institution],
    parameters: Parameters,
    policies: tuple[Policy, ...],
) -> Genesis:
    founders.sort(key=lambda item: item.id)
    for before, after in pairwise(founders):
        if before.id == after.id:
            raise ChartsealError(
                "genesis-invalid",
                f"two cards are of {after.id}",
                hint="give the card of each institution once",
            )
    try:
        return Genesis(
            version=1,
            name=name,
            created_ms=time.time_ns() // 1_000_000,
            engine=engine,
            parameters=parameters,
            institutions=tuple(founders),
            policies=policies,
        )
    except ValueError as error:
        hint = "correct --name, or ask the institutions for cards of their own keys"
        raise ChartsealError("genesis-invalid", str(error), hint=hint) from error


def _write(directory: Path, founded: Genesis) -> None:
    # The genesis last: a crash between leaves a policy that no network uses.
    files = {
        directory / "policy.json": policy_of(founded).to_text().encode(),
        directory / "genesis.bin": founded.encode(),
    }
    for path in files:
        if path.exists():
            hint = "choose another directory: what was handed out stays as it is"
            raise ChartsealError("exists-already", str(path), hint=hint)
    directory.mkdir(parents=True, exist_ok=True)
    for path, raw in files.items():
        with path.open("xb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())


def _show(session: Session, founded: Genesis) -> None:
    members = len(founded.validators)
    lying = quorum.byzantine_faults_max(members) if founded.engine == "pbft" else 0
    needed = policy_of(founded).quorum
    facts: dict[str, Any] = {
        "network": founded.name,
        "network_digest": founded.network.hex(),
        "created_ms": founded.created_ms,
        "engine": founded.engine,
        "validators": members,
        "quorum": needed,
        "may_stop": members - needed,
        "may_lie": lying,
    }
    institutions = [wire.to_plain(item) for item in founded.institutions]
    parameters: Mapping[str, Any] = wire.to_plain(founded.parameters)
    if session.json:
        policies = [wire.to_plain(item) for item in founded.policies]
        shown = {"parameters": parameters, "institutions": institutions}
        session.show({**facts, **shown, "policies": policies})
        return
    session.show(facts)
    click.echo()
    session.show_list(
        [{name: item[name] for name in _COLUMNS} for item in institutions], _COLUMNS
    )
    click.echo()
    rows = [{"parameter": name, "value": value} for name, value in parameters.items()]
    session.show_list(rows, ("parameter", "value"))
    if founded.policies:
        click.echo()
        columns = [item.name for item in fields(Policy)]
        session.show_list([wire.to_plain(item) for item in founded.policies], columns)
