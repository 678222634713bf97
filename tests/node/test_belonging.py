"""The network follows the ledger's members; who left stays until nothing is wanted of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from consensus import wire
from node.belonging import LEAVING_S, REMOVED_REDIAL_MS, Belonging
from node.ledger.families.membership import Nothing
from node.ledger.transaction import Op
from node.roster import Roster
from node.whereabouts import Told, Whereabouts
from tests.support.ledger import Chain, genesis

LEAVE = Op("membership.leave", wire.to_value(Nothing()))


class Room:
    """A node that follows a ledger moved by hand; ``calls`` is what its network was told."""

    def __init__(self, directory: Path) -> None:
        self.chain = Chain(directory, genesis())
        self.now_s, self.certified, self.newest = 0.0, False, 0
        self.calls: list[tuple[set[str], int | None]] = []
        self.addresses: dict[str, Any] = {}
        self.listening_port = 7650
        self.lists: list[tuple[list[str], list[str]]] = []

    def take(self, me: str) -> Belonging:
        self.roster = Roster(self.chain.genesis, self.chain.book, me)
        self.belonging = Belonging(
            self.roster,
            network=self,
            certified=lambda _height: self.certified,
            newest=lambda _member: self.newest,
            whereabouts=Whereabouts(
                me,
                self.chain.store,
                configured=dict,
                known=self.roster.identities,
                advertise=None,
                now_s=lambda: self.now_s,
            ),
            moved=lambda voters, everybody: self.lists.append(
                (list(voters), sorted(everybody))
            ),
            now_s=lambda: self.now_s,
        )
        return self.belonging

    def reconfigure(
        self,
        *,
        members: Mapping[str, bytes],
        addresses: Mapping[str, Any],
        redial_ms_min: int | None = None,
    ) -> None:
        self.calls.append((set(members), redial_ms_min))
        self.addresses = dict(addresses)

    def seen_at(self, peer_id: str) -> str | None:
        return f"{peer_id}.example"

    def leave(self, org: str) -> None:
        done = self.chain.commit(self.chain.tx(LEAVE, org=org))
        assert done.codes == (0,)
        self.roster.follow(done)
        self.belonging.applied(done)


ALL = {"alder", "birch", "cedar", "dogwood"}
REST = ALL - {"dogwood"}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.chain.close()


def test_who_left_stays_until_its_name_is_there_and_the_barrier_is_certified(
    room: Room,
) -> None:
    room.take("alder").resume()
    room.leave("dogwood")
    assert room.calls[-1] == (ALL, None)
    assert room.lists[-1] == (sorted(REST), sorted(ALL))
    room.certified = True
    room.belonging.look()
    assert room.calls[-1] == (ALL, None), "it may not know yet that it is gone"
    room.newest = room.chain.book.tip.height
    room.belonging.look()
    assert room.calls[-1] == (REST, None)
    count = len(room.calls)
    room.belonging.look()
    assert len(room.calls) == count, "once is enough"


def test_who_never_gives_its_name_is_not_waited_for_without_end(room: Room) -> None:
    room.take("alder").resume()
    room.leave("dogwood")
    room.now_s = LEAVING_S - 1
    room.belonging.look()
    assert room.calls[-1] == (ALL, None)
    room.now_s = LEAVING_S
    room.belonging.look()
    assert room.calls[-1] == (REST, None)


def test_a_restart_waits_again_for_a_barrier_that_is_not_certified(room: Room) -> None:
    room.take("alder").resume()
    room.leave("dogwood")
    room.take("alder").resume()
    assert room.calls[-1] == (ALL, None)
    room.certified = True
    room.take("alder").resume()
    assert room.calls[-1] == (REST, None)


def test_who_was_removed_dials_the_others_only_now_and_then(room: Room) -> None:
    room.take("dogwood").resume()
    room.leave("dogwood")
    assert room.roster.role == "removed"
    assert room.calls[-1] == (ALL, None)
    room.now_s = LEAVING_S
    room.belonging.look()
    assert room.calls[-1] == (REST, REMOVED_REDIAL_MS)


def test_a_block_that_changes_nobodys_standing_moves_nothing(room: Room) -> None:
    room.take("alder").resume()
    room.chain.commit()
    count = len(room.calls)
    done = room.chain.commit()
    room.roster.follow(done)
    room.belonging.applied(done)
    assert len(room.calls) == count


def test_who_left_is_dialled_until_it_is_cut_off_and_then_forgotten(room: Room) -> None:
    room.take("alder").resume()
    room.belonging.heard("dogwood", wire.encode(Told("", 7650)))
    where = {"dogwood": ("dogwood.example", 7650)}
    assert room.addresses == where
    calls = len(room.calls)
    room.belonging.heard("dogwood", wire.encode(Told("", 7650)))
    assert len(room.calls) == calls, "nothing new moves nothing"
    room.leave("dogwood")
    assert room.addresses == where, "its name to the barrier is still wanted"
    room.now_s = LEAVING_S
    room.belonging.look()
    assert room.addresses == {}
