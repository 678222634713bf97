"""`chartseal join`: from an invitation to a node that is about to become a member.

    DIR/genesis.bin       the founding document, out of the invitation
    DIR/lineage.json      how the members of today follow from it, when the invitation has it
    DIR/join-card.json    what goes back to the member that invited; public
    and what `chartseal init` makes (layout.py): keys, configuration with the members' addresses

Owns: that directory.  Refuses: one that belongs to another network or institution.
Invariant: run again on the same directory it changes nothing that stands, and ends with 0.
After a crash between the keys and the configuration it refuses (keystore-exists).
"""

import json
from pathlib import Path
from typing import Any, Final

import click

from consensus import wire
from node import config as configuration
from node.cli.cmd_genesis import read_card
from node.cli.cmd_key import ask_new_passphrase, if_terminal
from node.cli.fields import address_option, id_option
from node.cli.invitation import Invitation, consent_to, read_invitation
from node.cli.layout import CONFIG_NAME, KEY_NAME, institution, join_card, make_directory
from node.cli.output import Session
from node.errors import ChartsealError
from node.keys import load_public, read_passphrase
from node.ledger.genesis import ROLES

GENESIS_NAME: Final = "genesis.bin"
LINEAGE_NAME: Final = "lineage.json"
CARD_NAME: Final = "join-card.json"
_FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("invitation", metavar="INVITE", type=_FILE)
@click.option("--id", "node", required=True, callback=id_option, help="Id on the ledger.")
@click.option(
    "--dir",
    "directory",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The node's directory.",
)
@click.option("--name", help="Name for people; default: the id.")
@click.option(
    "--role", "roles", multiple=True, type=click.Choice(sorted(ROLES)), default=("author",),
    show_default=True, help="What it does; may be repeated.",
)  # fmt: skip
@click.option(
    "--p2p", "p2p", default="0.0.0.0:7650", show_default=True, metavar="HOST:PORT",
    callback=address_option, help="Where it listens for the other members.",
)  # fmt: skip
@click.option(
    "--advertise", metavar="HOST:PORT", callback=address_option,
    help="Where the others dial it; default: that port, at the host they see it come from.",
)  # fmt: skip
@click.option(
    "--api-listen", default="127.0.0.1:7651", show_default=True, metavar="HOST:PORT",
    callback=address_option, help="Where it listens for clients.",
)  # fmt: skip
@click.option(
    "--ops-listen", default="127.0.0.1:7652", show_default=True, metavar="HOST:PORT",
    callback=address_option, help="Where it listens for health checks and metrics.",
)  # fmt: skip
@click.option(
    "--passphrase-file", type=_FILE, help="File of mode 0600 with the passphrase; default: ask."
)
@click.option("--dev", is_flag=True, help="Random passphrase, kept in a file beside the keys.")
@click.pass_obj
def join(
    session: Session,
    invitation: Path,
    node: str,
    directory: Path,
    name: str | None,
    roles: tuple[str, ...],
    p2p: str,
    advertise: str | None,
    api_listen: str,
    ops_listen: str,
    passphrase_file: Path | None,
    dev: bool,
) -> None:
    """Make a node that joins the network of INVITE, and its join card.

    Compare the network's digest with a member over another channel: whoever wrote the
    invitation chose it. Run again on the same directory, it says `already`.
    """
    if dev and passphrase_file is not None:
        raise click.UsageError("--dev makes its own passphrase; drop --passphrase-file")
    invite = read_invitation(invitation)
    card = directory / CARD_NAME
    if _stands(directory, node, invite):
        session.talk(f"already: {directory} is {node}'s node in {invite.name}")
        _tell(session, invite, node, directory, state="already")
        return
    values = {"p2p.listen": p2p, "api.listen": api_listen, "ops.listen": ops_listen}
    if advertise is not None:
        values["p2p.advertise"] = advertise
    passphrase = None
    if not dev:
        passphrase = read_passphrase(passphrase_file, prompt=if_terminal(ask_new_passphrase))
        if passphrase_file is not None:
            values["keystore.passphrase_file"] = str(passphrase_file.absolute())
    peers = {peer: at for peer, at in invite.peers.items() if peer != node}
    keys = make_directory(directory, node, values=values, peers=peers, passphrase=passphrase)
    try:
        item = institution(keys, name=name or node, roles=roles, validator=False)
    except ValueError as error:
        raise ChartsealError("bad-request", str(error)) from error
    if invite.lineage is not None:
        (directory / LINEAGE_NAME).write_text(invite.lineage, encoding="utf-8")
    consent = consent_to(invite, keys, item)
    shown = join_card(item) | ({} if consent is None else {"consent": wire.to_plain(consent)})
    card.write_text(json.dumps(shown, indent=1) + "\n", encoding="utf-8")
    (directory / GENESIS_NAME).write_bytes(invite.genesis)  # last: it says that all is there
    _tell(session, invite, node, directory, state="made")


def _stands(directory: Path, node: str, invite: Invitation) -> bool:
    """Return whether ``directory`` is this node already.

    Raises ``ChartsealError`` (exists-already) for another one's.
    """
    genesis, keys = directory / GENESIS_NAME, directory / KEY_NAME
    if not genesis.exists():
        return False
    owner = load_public(keys)[0] if keys.exists() else None
    if owner != node or genesis.read_bytes() != invite.genesis:
        hint = "choose another --dir: what is there stays as it is"
        raise ChartsealError("exists-already", f"{directory} is another node's", hint=hint)
    configuration.load(directory / CONFIG_NAME, environment={})
    read_card(directory / CARD_NAME)
    return True


def _tell(
    session: Session, invite: Invitation, node: str, directory: Path, *, state: str
) -> None:
    card = directory / CARD_NAME
    held = "consent" in json.loads(card.read_bytes())
    more = "" if held else " --prepare IDENTITY_KEY, then `member sign`"
    session.talk("the network is named by network_digest: compare it with a member")
    session.talk(
        f"next: send {card} to {invite.invited_by}, who runs "
        f"`chartseal member add join-card.json --seat voter --yes`{more}"
    )
    session.talk(f"next: chartseal run --config {directory / CONFIG_NAME}")
    row: dict[str, Any] = {
        "id": node,
        "network": invite.name,
        "network_digest": invite.network.hex(),
        "invited_by": invite.invited_by,
        "directory": str(directory),
        "card": str(card),
        "consent": held,
        "peers": sorted(invite.peers),
        "state": state,
    }
    session.show(row)
