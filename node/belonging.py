"""Who may connect, who is told of transactions, who can be accused: all follow the ledger.

Each block that changes voters, observers or an institution's keys moves the members' network,
the gossip and the reporter, and is told to the log.  Voters whom a barrier removed stay
connected until its checkpoint is certified here and their own cosignatures of it came: these
may be needed, and they must learn that they are gone.  Then they are cut off.
A node that finds itself removed says so, once, and dials the others only now and then: should
they take it back, it comes back by itself.

Owns: that order, and whom we still wait for.  Refuses: deciding who belongs (``node.roster``).
Bounded: one barrier is waited for at a time, the newest, for ``LEAVING_S`` at most.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from node.book import Committed
from node.log import event
from node.roster import REMOVED, Roster
from node.whereabouts import Whereabouts

LEAVING_S: Final = 30.0
REMOVED_REDIAL_MS: Final = 60_000

Address = tuple[str, int]


class Network(Protocol):
    """What of ``node.net.peers.Peers`` moves."""

    def reconfigure(
        self,
        *,
        members: Mapping[str, bytes],
        addresses: Mapping[str, Address],
        redial_ms_min: int | None = None,
    ) -> None: ...

    @property
    def listening_port(self) -> int: ...

    def seen_at(self, peer_id: str) -> str | None: ...


class Belonging:
    """``certified(height)``: whether the checkpoint of a barrier is on disk; ``newest(member)``
    the newest height that it cosigned; ``whereabouts`` tells where members are dialled;
    ``moved(voters, everyone)`` tells the rooms that keep lists.
    """

    def __init__(
        self,
        roster: Roster,
        *,
        network: Network,
        certified: Callable[[int], bool],
        newest: Callable[[str], int],
        whereabouts: Whereabouts,
        moved: Callable[[Iterable[str], Iterable[str]], None],
        now_s: Callable[[], float],
    ) -> None:
        self._roster = roster
        self._network = network
        self._certified = certified
        self._newest = newest
        self._whereabouts = whereabouts
        self._moved = moved
        self._now_s = now_s
        self._barrier = 0  # whose removed voters are still connected
        self._leaving: tuple[str, ...] = ()
        self._until_s = 0.0
        self._standing = roster.role

    def resume(self) -> None:
        """Take up where the last run ended."""
        barrier = self._roster.now.era.from_height - 1
        if barrier > 0 and not self._certified(barrier):
            self._wait_for(barrier)
        if self._standing == REMOVED:
            self._say_removed()
        self._follow()

    def applied(self, result: Committed) -> None:
        """A block is applied and the roster has followed it."""
        if result.next_era is not None:
            self._begins(result)
        if result.next_era is not None or result.belonging:
            self._tell_standing()
            self._follow()

    def address(self) -> bytes:
        """Return what this node tells a member that it is connected to: where it is."""
        return self._whereabouts.own(self._network.listening_port)

    def heard(self, peer: str, body: bytes) -> None:
        """Take where a proven member says that it is; raises ``Malformed``, ``PeerFault``."""
        if self._whereabouts.heard(peer, body, self._network.seen_at(peer)):
            self._follow()

    def _begins(self, result: Committed) -> None:
        era = self._roster.now.era
        event(
            "era.begin",
            epoch=era.epoch,
            engine=era.engine,
            from_height=era.from_height,
            voters=list(self._roster.voters),
            observers=list(self._roster.observers),
            role=self._roster.role,
        )
        self._wait_for(result.tip.height)

    def _wait_for(self, barrier: int) -> None:
        self._barrier, self._leaving = barrier, self._roster.leaving(barrier)
        self._until_s = self._now_s() + LEAVING_S

    def look(self) -> None:
        """Cut off who left once nothing is wanted of them; call it now and then."""
        if not self._leaving:
            return
        late = self._now_s() >= self._until_s
        told = all(self._newest(member) >= self._barrier for member in self._leaving)
        if late or (told and self._certified(self._barrier)):
            gone, self._leaving = self._leaving, ()
            event(
                "member.cut-off", members=list(gone), barrier=self._barrier, certified=not late
            )
            self._follow()

    def _tell_standing(self) -> None:
        before, self._standing = self._standing, self._roster.role
        if before == self._standing:
            return
        event("member.standing", was=before, now=self._standing, height=self._roster.height)
        if self._standing == REMOVED:
            self._say_removed()

    def _say_removed(self) -> None:
        event(
            "member.removed",
            level=logging.WARNING,
            node=self._roster.self_id,
            height=self._roster.height,
            epoch=self._roster.now.era.epoch,
        )

    def _follow(self) -> None:
        roster = self._roster
        members = roster.identities(self._leaving)
        apart = roster.role == REMOVED and not self._leaving
        self._network.reconfigure(
            members=members,
            addresses=self._whereabouts.addresses(members),
            redial_ms_min=REMOVED_REDIAL_MS if apart else None,
        )
        self._moved(roster.voters, members)
