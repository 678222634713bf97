"""`chartseal member rotate-keys|replace-keys`: new keys for a node, by itself or by the others.

The node's own rotation happens on its stopped directory and the node finishes it, so that at no
time two keys of one voter can sign.  Keys that are lost or stolen the others replace by vote.
"""

from pathlib import Path
from typing import Final

import click

from node.cli.cmd_genesis import read_card
from node.cli.cmd_key import ask_passphrase, if_terminal
from node.cli.deciding import Choices, already, choices_options, consent, decide
from node.cli.family import cosign_option, prepare_option
from node.cli.fields import Number
from node.cli.output import Session
from node.cli.remote import Remote
from node.cli.situation import Decision, Situation, ask, plan
from node.config import Config
from node.errors import ChartsealError
from node.keys import NodeKeys, load, read_passphrase
from node.ledger.eras import Era, era_from
from node.ledger.facts.governance import known_institution
from node.ledger.facts.membership import quorum_of
from node.ledger.genesis import Genesis, Institution
from node.ledger.state import EPOCH_KEY, Read, genesis_state
from storage.errors import DataDirMissing
from storage.store import Store

_FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.command("rotate-keys")
@click.option(
    "--config", "config_path", type=_FILE, required=True, help="The stopped node's config.toml."
)
@click.option(
    "--passphrase-file", type=_FILE, help="File of mode 0600; default: as the node takes it."
)
@click.option("--yes", is_flag=True, help="Do it; without this it shows the plan.")
@click.option("--dry-run", is_flag=True, help="Show the plan, change nothing, exit 0.")
@click.pass_obj
def rotate_keys(
    session: Session, config_path: Path, passphrase_file: Path | None, yes: bool, dry_run: bool
) -> None:
    """Give this node new consensus and cosigner keys; identity and encryption keys stay.

    The node is stopped. When it starts again it asks the ledger to put the new keys in place of
    the old ones, and votes from the next block on that names them. The old file stays beside
    the new one and signs nothing any more.
    """
    from node import config as configuration
    from node.daemon import load_genesis
    from node.rejoin import retire

    settings = configuration.load(config_path)
    genesis = load_genesis(settings.network.genesis)
    named = passphrase_file or settings.keystore.passphrase_file
    passphrase = read_passphrase(named, prompt=if_terminal(ask_passphrase))
    old = load(settings.keystore.path, passphrase)
    seat, era = _known(settings, genesis, old.node)
    voters = tuple(item.id for item in era.members)
    row = {
        "id": old.node,
        "key_file": str(settings.keystore.path),
        "old_consensus_key": seat.consensus_key.hex(),
        "consensus_key": None,
        "cosigner_key": None,
        "state": "planned",
    }
    if seat.consensus_key != old.public.consensus:
        session.talk("already: the ledger does not name these keys yet; start the node")
        session.show({**row, **_public(old), "state": "already"})
        return
    if voters == (old.node,):
        raise ChartsealError(
            "membership-last-voter", "no other voter could take this node's new keys"
        )
    for line in ("Plan:", *(f"  - {item}" for item in _steps(old.node, era))):
        session.talk(line)
    if dry_run:
        session.show(row)
        return
    consent(Choices(yes=yes), old.node)
    fresh = retire(settings, genesis, old, passphrase)
    session.talk("next: start the node; it asks for its new keys and then votes again")
    session.show({**row, **_public(fresh), "state": "renewed"})


def _steps(node: str, era: Era) -> list[str]:
    steps = [f"new consensus and cosigner keys for {node}; the old ones sign nothing more"]
    if any(item.id == node for item in era.members):
        count = len(era.members)
        none = "   ! no spare: the others must all run"
        spare = none if quorum_of(era.engine, count).may_stop <= 1 else ""
        steps.append(f"until the ledger names them {count - 1} of {count} vote{spare}")
    return [*steps, "a new era begins with them; voters and quorum stay"]


def _public(keys: NodeKeys) -> dict[str, str]:
    public = keys.public
    return {"consensus_key": public.consensus.hex(), "cosigner_key": public.cosigner.hex()}


def _known(settings: Config, genesis: Genesis, node: str) -> tuple[Institution, Era]:
    """Return the institution and the era as the ledger on disk has them, or the genesis.

    Raises ``ChartsealError``, among others data-dir-locked while the node runs.
    """
    founding = genesis_state(genesis)
    try:
        with Store.open(settings.node.data_dir, network=genesis.network) as store:
            begun = store.state_get(EPOCH_KEY) is not None
            found = _read(store.state_get if begun else founding.get, node)
    except DataDirMissing:
        found = _read(founding.get, node)
    return found


def _read(read: Read, node: str) -> tuple[Institution, Era]:
    item = known_institution(read, node)
    if item is None:
        raise ChartsealError("governance-institution-unknown", node)
    return item, era_from(read)


@click.command("replace-keys")
@click.argument("org", metavar="ID")
@click.option(
    "--card", type=_FILE, required=True, help="Join card with the institution's new keys."
)
@click.option(
    "--compromised-since",
    type=Number(),
    help="What the old signing keys signed since then is flagged: a time or -2d.",
)
@cosign_option
@prepare_option
@choices_options
@click.pass_obj
def replace_keys(
    session: Session,
    org: str,
    card: Path,
    compromised_since: int | None,
    cosign: tuple[Path, ...],
    prepare: tuple[str, ...],
    choices: Choices,
) -> None:
    """Propose new keys for an institution whose own are lost or in other hands.

    All its old signing keys end when it is executed. The new identity key signs too, as with
    `member add`. What a stolen key did: `key touched`.
    """
    item = read_card(card)
    if item.id != org:
        raise ChartsealError("join-card-invalid", f"{card} is of {item.id}")
    value = {
        "org": org,
        "identity_key": item.identity_key.hex(),
        "consensus_key": item.consensus_key.hex(),
        "cosigner_key": item.cosigner_key.hex(),
        "encryption_key": item.encryption_key.hex(),
        "compromised_since_ms": compromised_since,
    }
    what = Decision("replace_keys", value, org, f"replace all keys of {org}")
    if not choices.curl:
        remote = Remote(session)
        found = ask(remote, "network.member", org=org)
        if not found["known"]:
            raise ChartsealError("governance-institution-unknown", org)
        if found["institution"]["identity_key"] == value["identity_key"]:
            already(session, f"{org} has these keys", plan(Situation.read(remote), what))
            return
    decide(session, what, choices, cosign=cosign, prepare=prepare)
