"""`chartseal member invite`: what an institution needs to join, in one file without secrets."""

from pathlib import Path
from typing import Any, Final

import click

from node import config as configuration
from node.cli.client import Client
from node.cli.cmd_receipt import put
from node.cli.fields import address_option
from node.cli.invitation import LINEAGE_CHARACTERS_MAX, Invitation, Place
from node.cli.output import Session
from node.cli.remote import SECRET_FILE, Remote, pick, rows_of
from node.config import Config
from node.errors import ChartsealError
from node.ledger.genesis import Genesis
from node.settings import Address, address

_UNSPECIFIED: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound


@click.command()
@click.option(
    "--config", "config_path", type=SECRET_FILE, required=True, help="This node's config.toml."
)
@click.option(
    "--address",
    "given",
    metavar="HOST:PORT",
    callback=address_option,
    help="Where the newcomer dials this node; default: p2p.advertise, else p2p.listen.",
)
@click.option("--out", type=SECRET_FILE, required=True, help="The new file.")
@click.pass_obj
def invite(session: Session, config_path: Path, given: str | None, out: Path) -> None:
    """Write an invitation: genesis, lineage, and where the members are.

    The institution that gets it runs `chartseal join FILE`, sends its join card back, and
    `member add CARD` proposes it. Ask a running node (--endpoint), so that the card comes back
    with the newcomer's signature. Nothing in the file is secret.
    """
    from node.daemon import load_genesis

    settings = configuration.load(config_path)
    genesis = load_genesis(settings.network.genesis)
    own = _own_address(settings, given)
    asked = _ask(session, settings, genesis)
    names = {item.id: item.name for item in genesis.institutions} | asked.pop("names", {})
    places = _places(settings, names, own)
    made = Invitation(
        network=genesis.network,
        name=genesis.name,
        invited_by=settings.node.id,
        members=places,
        genesis=genesis.encode(),
        expires_heights_max=genesis.parameters.expires_heights_max,
        **asked,
    )
    put(session, made.to_text().encode(), out)
    session.talk("next: the newcomer runs `chartseal join FILE --id ID --dir DIR`")
    session.show(
        {
            "network": genesis.name,
            "network_digest": genesis.network.hex(),
            "invited_by": settings.node.id,
            "members": [f"{item.id}={item.address}" for item in places],
            "lineage": made.lineage is not None,
            "height": made.height,
        }
    )


def _own_address(settings: Config, given: str | None) -> str:
    if given is not None:
        return given
    at, listen = settings.p2p.advertise, settings.p2p.listen
    at = listen if at is None else Address(at.host, at.port or listen.port)
    if at.host in _UNSPECIFIED or at.port == 0:
        raise ChartsealError(
            "bad-request",
            f"nobody can dial {at}",
            hint="say where with --address HOST:PORT, or set p2p.advertise",
        )
    return str(at)


def _places(settings: Config, names: dict[str, str], own: str) -> tuple[Place, ...]:
    found = {**_learned(settings), **{k: str(v) for k, v in settings.peers.items()}}
    found[settings.node.id] = own
    return tuple(Place(k, names.get(k, k), found[k]) for k in sorted(found))


def _learned(settings: Config) -> dict[str, str]:
    """Return where the running node dials members that its configuration does not name."""
    try:
        seen = Client(f"http://{settings.ops.listen}").get("/debug/observation")
        rows = rows_of(seen, "peers")
        return {
            str(row["id"]): str(address(row["address"]))
            for row in (pick(row, ("id", "address")) for row in rows)
            if row["address"] is not None
        }
    except (ChartsealError, ValueError):  # a convenience: the configuration is what counts
        return {}


def _ask(session: Session, settings: Config, genesis: Genesis) -> dict[str, Any]:
    """Return what a running node adds; nothing when none of this network and id answers."""
    remote = Remote(session)
    try:
        status = pick(remote.get("/v1/status"), ("node", "network_digest", "height"))
        if (status["node"], status["network_digest"]) != (
            settings.node.id,
            genesis.network.hex(),
        ):
            raise ChartsealError("bad-request", f"{session.endpoint} is another node")
        rows = [
            pick(row, ("id", "name", "identity_key"))
            for row in rows_of(remote.get("/v1/members"), "institutions")
        ]
        lineage = remote.request("GET", "/v1/lineage").body.decode("utf-8", "replace")
    except ChartsealError as error:
        session.talk(f"no node asked ({error.code}: {error.detail})")
        session.talk("without it the newcomer signs its registration in a second round")
        return {}
    identity = next(row["identity_key"] for row in rows if row["id"] == settings.node.id)
    return {
        "names": {str(row["id"]): str(row["name"]) for row in rows},
        "identity_key": bytes.fromhex(identity),
        "height": int(status["height"]),
        "lineage": lineage if len(lineage) <= LINEAGE_CHARACTERS_MAX else None,
    }
