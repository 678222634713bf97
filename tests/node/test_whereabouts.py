"""Where members are dialled: what the configuration says, else what each says of itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consensus import wire
from consensus.codec import Malformed
from node.net import versions
from node.net.faults import PeerFault
from node.net.frame import FrameType
from node.settings import Address
from node.whereabouts import CHANGES_MAX, CHANGES_S, FACT, Told, Whereabouts
from storage.store import Store

SEEN = "192.0.2.7"


class Room:
    """One node's book of addresses on a real store."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.configured: dict[str, tuple[str, int]] = {}
        self.known = {"alder", "birch", "cedar"}
        self.now_s = 0.0
        self.open()

    def open(self, advertise: Address | None = None) -> None:
        self.store = Store.open(self.directory, network=bytes(32), create=True)
        self.book = Whereabouts(
            "alder",
            self.store,
            configured=lambda: self.configured,
            known=lambda: self.known,
            advertise=advertise,
            now_s=lambda: self.now_s,
        )

    def again(self, advertise: Address | None = None) -> None:
        self.store.close()
        self.open(advertise)

    def hear(self, peer: str, host: str, port: int, seen: str | None = SEEN) -> bool:
        return self.book.heard(peer, wire.encode(Told(host, port)), seen)

    def addresses(self) -> dict[str, tuple[str, int]]:
        return dict(self.book.addresses(self.known))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path / "data")
    yield made
    made.store.close()


def test_a_member_is_dialled_where_it_says_that_it_is(room: Room) -> None:
    assert room.hear("birch", "birch.example", 7650)
    assert room.addresses() == {"birch": ("birch.example", 7650)}
    assert not room.hear("birch", "birch.example", 7650), "nothing new"


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::"])
def test_who_names_no_host_is_dialled_where_it_comes_from(room: Room, host: str) -> None:
    assert room.hear("birch", host, 7000)
    assert room.addresses() == {"birch": (SEEN, 7000)}
    assert not room.hear("cedar", host, 7000, seen=None), "its connection is gone meanwhile"


def test_the_configuration_wins_over_what_is_said(room: Room) -> None:
    room.configured = {"birch": ("10.0.0.1", 1)}
    assert not room.hear("birch", "birch.example", 2)
    assert room.addresses() == {"birch": ("10.0.0.1", 1)}
    room.hear("cedar", "cedar.example", 3)
    room.configured["cedar"] = ("10.0.0.2", 4)
    assert room.addresses()["cedar"] == ("10.0.0.2", 4), "written down later"


def test_a_restart_knows_what_was_said(room: Room) -> None:
    room.hear("birch", "birch.example", 7650)
    room.hear("cedar", "", 7651)
    room.again()
    assert room.addresses() == {"birch": ("birch.example", 7650), "cedar": (SEEN, 7651)}


def test_who_was_removed_is_forgotten_on_disk_too(room: Room) -> None:
    room.hear("birch", "birch.example", 7650)
    room.known.discard("birch")
    assert room.addresses() == {}
    assert room.store.meta_get(FACT) is None
    room.again()
    room.known.add("birch")
    assert room.addresses() == {}


def test_strangers_and_echoes_of_ourselves_are_not_written_down(room: Room) -> None:
    for number in range(50):
        assert not room.hear(f"stranger-{number}", "x.example", 1)
    assert not room.hear("alder", "x.example", 1)
    assert room.addresses() == {}
    assert room.store.meta_get(FACT) is None


def test_one_address_a_member_and_only_so_many_moves(room: Room) -> None:
    for number in range(CHANGES_MAX):
        assert room.hear("birch", "birch.example", 1 + number)
    with pytest.raises(PeerFault, match="restless"):
        room.hear("birch", "birch.example", 99)
    assert room.addresses() == {"birch": ("birch.example", CHANGES_MAX)}
    assert room.hear("cedar", "cedar.example", 1), "others are not concerned"
    room.now_s = CHANGES_S
    assert room.hear("birch", "birch.example", 99)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        wire.encode(Told("a", 1)) + b"\0",
        *(
            wire.encode(Told("host", 1)).replace(b"host", bad)
            for bad in (b"a b ", b"a/b\n", b"u@h:")
        ),
    ],
)
def test_what_is_no_address_is_malformed(room: Room, body: bytes) -> None:
    with pytest.raises(Malformed):
        room.book.heard("birch", body, SEEN)
    assert room.addresses() == {}


def test_hosts_and_ports_have_bounds() -> None:
    for host, port in (("a" * 254, 1), ("a", 0), ("a", 65536)):
        with pytest.raises(ValueError, match=r"host|port"):
            Told(host, port)


def test_a_row_that_cannot_be_read_is_as_none(room: Room) -> None:
    room.store.meta_put(FACT, b"not a row")
    room.again()
    assert room.addresses() == {}
    assert room.hear("birch", "birch.example", 7650)


def told(raw: bytes) -> Told:
    return wire.decode(Told, raw, size_max=len(raw))


def test_a_node_says_what_it_was_told_to_advertise_else_its_port(room: Room) -> None:
    assert told(room.book.own(7650)) == Told("", 7650)
    room.again(Address("node.example", 443))
    assert told(room.book.own(7650)) == Told("node.example", 443)
    room.again(Address("node.example", 0))
    assert told(room.book.own(7650)) == Told("node.example", 7650)


def test_members_that_speak_the_first_version_are_not_told() -> None:
    assert versions.since(FrameType.ADDRESS) > versions.LOWEST
