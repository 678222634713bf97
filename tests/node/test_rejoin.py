"""A member that forgot what it signed comes back under new voting keys, never the old ones."""

import json
import shutil
from pathlib import Path

import pytest

from consensus import wire
from consensus.guard import MARK_KEY
from consensus.mark import NOTHING
from consensus.types import Put
from node import config as configuration
from node import keys as keystore
from node.cli.layout import CONFIG_NAME, KEY_NAME, UNLOCK_NAME, institution, make_directory
from node.config import Config
from node.errors import ChartsealError
from node.keys import NodeKeys
from node.ledger.genesis import Genesis, Parameters
from node.rejoin import Opened, open_node, retired_keys
from storage import keys
from storage import mark as marks
from storage.errors import Corrupt
from storage.fence import Restored, fence_row
from storage.mark import MarkRefused, mark_path
from storage.store import Store


class Place:
    """One member's directory, with ``others`` beside it in genesis."""

    def __init__(self, directory: Path, *, others: int, **values: str) -> None:
        self.directory = directory
        self.founded = make_directory(
            directory, "hosp1", values=values, peers={}, passphrase=None
        )
        peers = [NodeKeys.generate(f"hosp{at}") for at in range(2, others + 2)]
        self.genesis = Genesis(
            1,
            "test",
            0,
            "raft",
            Parameters(),
            tuple(
                institution(keys, name=keys.node, roles=(), validator=True)
                for keys in (self.founded, *peers)
            ),
        )

    @property
    def key_path(self) -> Path:
        return self.directory / KEY_NAME

    @property
    def mark(self) -> Path:
        return mark_path(self.key_path)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def config(self) -> Config:
        return configuration.load(self.directory / CONFIG_NAME, environment={})

    def passphrase(self) -> bytes:
        return (self.directory / UNLOCK_NAME).read_bytes().strip()

    def keys(self) -> NodeKeys:
        return keystore.load(self.key_path, self.passphrase())

    def open(self) -> Opened:
        return open_node(self.config(), self.genesis, self.keys(), self.passphrase())

    def turns(self, count: int) -> None:
        """Run and promise something ``count`` times."""
        opened = self.open()
        with opened.store as store:
            stored = NOTHING
            raw = store.consensus_value(MARK_KEY)
            if raw is not None:
                stored = (
                    marks.read(
                        self.mark,
                        network=self.genesis.network,
                        key=self.keys().public.consensus,
                    )
                    or NOTHING
                )
            for _ in range(count):
                stored = stored.after((), ())
                store.save([Put(MARK_KEY, wire.encode(stored)), Put(b"r/x", b"y")], sync=True)
                opened.mark.advance(stored)
            opened.mark.close()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "hosp1", others=2)
    made.turns(2)
    return made


def close(opened: Opened) -> None:
    opened.mark.close()
    opened.store.close()


def old_database(place: Place) -> None:
    shutil.copytree(place.data, place.directory / "copy")
    place.turns(1)
    shutil.rmtree(place.data)
    (place.directory / "copy").rename(place.data)


def lost_database(place: Place) -> None:
    shutil.rmtree(place.data)


def lost_mark(place: Place) -> None:
    place.mark.unlink()


def damaged_mark(place: Place) -> None:
    place.mark.write_bytes(b"\0" * 8192)


def old_mark(place: Place) -> None:
    copy = place.mark.read_bytes()
    place.turns(3)
    place.mark.write_bytes(copy)


def damaged_table(place: Place) -> None:
    """A byte of LevelDB's log that was synced, in a record before the last."""
    (log,) = (place.data / "kv").glob("*.log")
    raw = bytearray(log.read_bytes())
    raw[len(raw) // 2] ^= 1
    log.write_bytes(raw)


def restored_copy(place: Place) -> None:
    """A directory that says of itself that it came from a backup."""
    (key, raw) = fence_row(Restored("yesterday", bytes(32), 0, 0))
    with Store.open(place.data, network=place.genesis.network) as store:
        store.meta_put(key.removeprefix(keys.LOCAL), raw)


DOUBTS = pytest.mark.parametrize(
    "doubt",
    [old_database, lost_database, lost_mark, damaged_mark, old_mark, restored_copy],
)


def test_a_ledger_that_does_not_read_back_is_set_aside(place: Place) -> None:
    damaged_table(place)
    opened = place.open()
    assert opened.retired == place.founded.public.consensus
    assert opened.store.applied() is None, "everything comes from the others"
    close(opened)
    assert list((place.data / "damaged" / "ledger" / "kv").glob("*.log")), "kept for a look"


def test_a_ledger_that_does_not_read_back_stops_whoever_is_alone(tmp_path: Path) -> None:
    place = Place(tmp_path / "one", others=0)
    place.turns(2)
    damaged_table(place)
    with pytest.raises(Corrupt):
        place.open()


@DOUBTS
def test_whoever_forgot_goes_on_under_new_voting_keys(place: Place, doubt) -> None:
    doubt(place)
    opened = place.open()
    old, new = place.founded.public, opened.keys.public
    assert opened.retired == old.consensus
    assert (new.identity, new.encryption) == (old.identity, old.encryption)
    assert not {new.consensus, new.cosigner} & {old.consensus, old.cosigner}
    assert list(opened.store.consensus_pairs()) == [], "nothing that the old key made is left"
    assert opened.mark.sequence == 0
    close(opened)
    assert list(retired_keys(place.key_path)) == [old.consensus]


@DOUBTS
def test_the_next_start_finds_nothing_to_doubt(place: Place, doubt) -> None:
    doubt(place)
    first = place.open()
    close(first)
    again = place.open()
    assert again.retired is None
    assert again.keys.public == first.keys.public
    close(again)


@pytest.mark.parametrize("others", [0, 2])
@DOUBTS
def test_it_stops_instead_when_alone_or_told_so(tmp_path: Path, others: int, doubt) -> None:
    place = Place(tmp_path / "one", others=others)
    text = (place.directory / CONFIG_NAME).read_text()
    if others:
        line = '# on_lost_state = "rejoin"'
        assert line in text
        text = text.replace(line, 'on_lost_state = "refuse"')
        (place.directory / CONFIG_NAME).write_text(text)
    place.turns(2)
    doubt(place)
    before = place.key_path.read_bytes()
    with pytest.raises((MarkRefused, ChartsealError)) as refused:
        place.open()
    assert refused.value.code.startswith(("sign-", "data-dir-restored"))
    assert place.key_path.read_bytes() == before
    assert list(retired_keys(place.key_path)) == []


def test_a_start_between_new_key_and_lost_mark_finishes_the_fence(place: Place) -> None:
    """The process died after the key file was replaced and before anything was deleted."""
    retired = place.key_path.with_name(
        f"{KEY_NAME}.retired-{place.founded.public.consensus.hex()[:16]}"
    )
    retired.hardlink_to(place.key_path)
    fresh = place.founded.renewed()
    fresh.save(
        place.key_path,
        place.passphrase(),
        kdf=keystore.kdf_of(place.key_path),
        replace=True,
    )
    opened = place.open()
    assert opened.keys.public == fresh.public, "no third pair of keys"
    assert list(opened.store.consensus_pairs()) == []
    assert opened.mark.sequence == 0
    close(opened)


def test_a_foreign_mark_is_nobodys_doubt(place: Place) -> None:
    other = NodeKeys.generate("hosp1")
    other.save(
        place.key_path,
        place.passphrase(),
        kdf=keystore.kdf_of(place.key_path),
        replace=True,
    )
    with pytest.raises(MarkRefused) as refused:
        place.open()
    assert refused.value.code == "sign-mark-foreign"


def test_keys_that_another_process_uses_are_not_retired(place: Place) -> None:
    running = place.open()
    shutil.copytree(place.data, place.directory / "elsewhere", ignore=_no_lock)
    text = (place.directory / CONFIG_NAME).read_text()
    old = '# data_dir = "data"'
    assert old in text
    (place.directory / CONFIG_NAME).write_text(text.replace(old, 'data_dir = "elsewhere"'))
    with pytest.raises(MarkRefused) as refused:
        place.open()
    assert refused.value.code == "key-in-use"
    close(running)


def _no_lock(_directory: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "LOCK"]


def test_the_key_file_says_what_it_holds_after_a_fence(place: Place) -> None:
    lost_database(place)
    opened = place.open()
    stated = json.loads(place.key_path.read_text())["public"]
    assert stated == opened.keys.public.plain()
    close(opened)
