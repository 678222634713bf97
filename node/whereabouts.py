"""Where the members can be dialled: the local configuration first, else what each one said.

A member tells the others its own address over the connection on which it has just proven its
key (frame ADDRESS), so a newcomer that dials them needs no line in anybody's configuration.
Nobody speaks for another, and whoever answers at an address must prove the expected key, so
the worst that a lie does is that the liar itself is not reached.

Owns: what was told, one address a member, kept with the store's local facts so that a restart
knows it.  Refuses: addresses of whom the ledger does not know, more than ``CHANGES_MAX``
different ones within ``CHANGES_S`` (each costs a write and a dial), to overrule the local
configuration.  Bounded by the members that the ledger knows.
A crash before the system wrote the fact loses it: the member tells it again when it connects.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from consensus import wire
from consensus.codec import Malformed
from node.log import event
from node.net.faults import PeerFault
from node.settings import HOST_PATTERN, Address
from storage.store import Store

FACT: Final = b"addresses"
FACT_BYTES_MAX: Final = 1 << 20
CHANGES_MAX: Final = 4
CHANGES_S: Final = 60.0
UNSPECIFIED: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - recognised, not bound

Socket = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Told:
    """The body of an ADDRESS frame.  ``host`` empty or unspecified: the one we come from."""

    host: str
    port: int

    def __post_init__(self) -> None:
        if self.host and not HOST_PATTERN.fullmatch(self.host):
            raise ValueError("not the name or address of a host")
        if not 1 <= self.port <= 65535:
            raise ValueError("a port is 1 to 65535")


@dataclass(frozen=True, slots=True)
class _Row:
    member: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class _Rows:
    rows: tuple[_Row, ...]


class Whereabouts:
    """``configured()`` reads the local configuration, ``known()`` tells whom the ledger knows;
    ``advertise`` is what this node says of itself, None: its listening port alone."""

    def __init__(
        self,
        self_id: str,
        store: Store,
        *,
        configured: Callable[[], Mapping[str, Socket]],
        known: Callable[[], Iterable[str]],
        advertise: Address | None,
        now_s: Callable[[], float],
    ) -> None:
        self._self_id = self_id
        self._store = store
        self._configured = configured
        self._known = known
        self._advertise = advertise
        self._now_s = now_s
        self._told = _load(store)
        self._changes: dict[str, tuple[float, int]] = {}  # since when, how many

    def own(self, listening_port: int) -> bytes:
        """Return the body that tells others where this node is."""
        at = self._advertise
        if at is None:
            return wire.encode(Told("", listening_port))
        return wire.encode(Told(at.host, at.port or listening_port))

    def addresses(self, members: Iterable[str]) -> Mapping[str, Socket]:
        """Return where to dial, and forget whoever is not among ``members``."""
        stay = set(members)
        gone = [member for member in self._told if member not in stay]
        for member in gone:
            del self._told[member]
            self._changes.pop(member, None)
        if gone:
            self._save()
        return {**self._told, **self._configured()}

    def heard(self, peer: str, body: bytes, seen: str | None) -> bool:
        """Take what ``peer``, proven, says of itself; return whether it is now dialled
        elsewhere.  ``seen``: the host that its connection comes from.

        Raises ``Malformed``, or ``PeerFault`` for a member that moves without end.
        """
        told = wire.decode(Told, body, size_max=len(body))
        host = seen if told.host in UNSPECIFIED else told.host
        if host is None or peer == self._self_id or peer not in set(self._known()):
            return False
        if peer in self._configured() or self._told.get(peer) == (host, told.port):
            return False
        self._count(peer)
        self._told[peer] = (host, told.port)
        self._save()
        event("member.address", peer=peer, address=str(Address(host, told.port)))
        return True

    def _count(self, peer: str) -> None:
        now_s = self._now_s()
        since_s, count = self._changes.get(peer, (now_s, 0))
        if now_s - since_s >= CHANGES_S:
            since_s, count = now_s, 0
        if count >= CHANGES_MAX:
            raise PeerFault("restless", "another address again and again")
        self._changes[peer] = (since_s, count + 1)

    def _save(self) -> None:
        rows = tuple(_Row(member, *at) for member, at in sorted(self._told.items()))
        self._store.meta_put(FACT, wire.encode(_Rows(rows)) if rows else None, sync=False)


def _load(store: Store) -> dict[str, Socket]:
    """Return what the last run was told; nothing where that cannot be read: it comes again."""
    raw = store.meta_get(FACT)
    if raw is None:
        return {}
    try:
        rows = wire.decode(_Rows, raw, size_max=FACT_BYTES_MAX).rows
    except Malformed:
        return {}
    return {row.member: (row.host, row.port) for row in rows}
