"""How the rooms that follow the ledger's members are wired.

Owns: which key proves us to the others, where they are dialled, whose keys a node may run with.
Nothing here runs yet.
"""

import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from importlib.metadata import version

from node import config as configuration
from node.belonging import Belonging
from node.config import Config, ConfigError
from node.errors import ChartsealError
from node.intake import Answer
from node.joining import Joining
from node.keys import NodeKeys, read_seed
from node.ledger import crypto
from node.ledger.genesis import Genesis
from node.ledger.transaction import Op
from node.log import event
from node.net.limits import NetLimits
from node.net.peers import Peers
from node.reporting import Reporter
from node.ring import Ring
from node.roster import Roster
from node.service import Service
from node.switchboard import Switchboard
from node.whereabouts import Whereabouts
from storage import mark as marks
from storage.mark import MarkRefused, mark_path
from storage.store import Store


def build_peers(
    config: Config, genesis: Genesis, keys: NodeKeys, board: Switchboard, roster: Roster
) -> Peers:
    """Return the members' network; whoever belongs to it by the ledger may connect."""
    node_id, spare = config.node.id, spare_of(config)
    held = [keys.identity] if spare is None else [keys.identity, spare]

    def sign(message: bytes) -> bytes:
        """Sign with the key that the others know us by."""
        mine = roster.institution(node_id)
        known = None if mine is None else mine.identity_key
        signer = next((item for item in held if item.public_key == known), keys.identity)
        return signer.sign(message)

    return Peers(
        self_id=node_id,
        network=genesis.network,
        members=roster.identities(),
        addresses=addresses_of(config),
        listen=(config.p2p.listen.host, config.p2p.listen.port),
        signer=sign,
        verify=crypto.verify,
        on_frame=board.on_frame,
        limits=NetLimits(),
        rng=random.Random(),  # noqa: S311 - spreads re-dials
        clock_ms=monotonic_ms,
        on_up=board.peer_up,
        on_down=board.peer_down,
        software=version("chartseal"),
    )


def addresses_of(config: Config) -> dict[str, tuple[str, int]]:
    """Return where to dial the others, as the configuration file says now.

    It is read again when members change: who joins is written down there, no restart needed.
    What cannot be read leaves what was known at the start.
    """
    peers = config.peers
    with suppress(ConfigError):
        if config.file is not None:
            peers = configuration.load(config.file).peers
    own = config.node.id
    return {peer: (at.host, at.port) for peer, at in peers.items() if peer != own}


def build_belonging(
    config: Config, roster: Roster, board: Switchboard, peers: Peers, store: Store
) -> Belonging:
    """Return who moves the network when the ledger's members do."""
    whereabouts = Whereabouts(
        config.node.id,
        store,
        configured=lambda: addresses_of(config),
        known=roster.identities,
        advertise=config.p2p.advertise,
        now_s=time.monotonic,
    )
    return Belonging(
        roster,
        network=peers,
        certified=lambda height: store.checkpoint(height) is not None,
        newest=board.publisher.newest_of,
        whereabouts=whereabouts,
        moved=board.moved,
        now_s=time.monotonic,
    )


def submitter(service: Service) -> Callable[[Sequence[Op]], Awaitable[Answer]]:
    """Return how this node puts operations on the ledger under its institution's name."""

    async def submit(ops: Sequence[Op]) -> Answer:
        (answer,) = await service.submit([service.sign(ops)])
        return answer

    return submit


def build_reporter(service: Service, roster: Roster) -> Reporter:
    """Return who brings contradictions to the ledger, under this institution's name."""
    return Reporter(
        self_id=service.node_id,
        members=roster.voters,
        read=service.book.read,
        submit=submitter(service),
        now_s=time.monotonic,
    )


def build_joining(service: Service, roster: Roster, ring: Ring) -> Joining:
    """Return who asks for a vote, or for the ledger to take this node's new keys."""
    return Joining(
        roster,
        ring,
        network=service.genesis.network,
        read=service.book.read,
        tip=lambda: service.book.tip,
        cosigned=service.publisher.claimed_by_quorum,
        submit=submitter(service),
        status=service.status,
        now_s=time.monotonic,
    )


def spare_of(config: Config) -> crypto.Signer | None:
    """Return the identity key that stands ready for the ledger to take, if there is one."""
    path = config.keystore.signing_key_file
    return None if path is None else crypto.Signer(read_seed(path))


def check_founders(config: Config, genesis: Genesis, keys: NodeKeys) -> None:
    """Refuse, before anything is opened, what genesis and the mark beside the key show to be
    wrong: the keys or the id of another institution.

    An institution that genesis does not know is going to join.  A founder may have other keys
    than at the founding; then nothing beside the key file speaks of the old ones.
    Raises ``ChartsealError``: config-invalid, keystore-mismatch.
    """
    node_id, public = config.node.id, keys.public
    owner = next(
        (m.id for m in genesis.institutions if m.identity_key == public.identity), None
    )
    known = any(item.id == node_id for item in genesis.institutions)
    if owner == node_id:
        return
    if owner is not None and not known:
        raise ChartsealError("config-invalid", f"node.id is {node_id}, the keys are of {owner}")
    foreign = False
    try:
        marks.read(
            mark_path(config.keystore.path), network=genesis.network, key=public.consensus
        )
    except MarkRefused as refused:
        foreign = refused.code == "sign-mark-foreign"
    if owner is not None or (known and foreign):
        raise ChartsealError("keystore-mismatch", f"the keys are not those of {node_id}")


def check_keys(roster: Roster, keys: NodeKeys) -> None:
    """Compare the keys with what this node's own ledger says of its institution.

    Voting keys that it does not name vote on nothing: the node follows, and asks for them to
    be taken.  An identity key that it does not name cannot even ask: that is told to the log,
    because the ledger may be behind a vote that named it.  Raises ``ChartsealError``
    (keystore-mismatch) for the key of another institution.
    """
    node_id, identity = roster.self_id, keys.public.identity
    owner = roster.owner(identity)
    if owner not in (None, node_id):
        raise ChartsealError("keystore-mismatch", f"the keys are those of {owner}")
    if owner is None and roster.institution(node_id) is not None:
        event("keys.unnamed", level=logging.WARNING, node=node_id, height=roster.height)


def monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
