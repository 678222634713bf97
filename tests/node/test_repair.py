"""A bit flipped in any file of a stopped node: found, located, mended or replaced."""

import random
import shutil
from pathlib import Path

import pytest

from consensus.types import Put
from node import backups, repair
from node.archive.write import write
from node.check import check_ledger
from node.errors import ChartsealError
from storage import tables
from storage.backup import Origin
from storage.check import Code
from storage.fence import is_fenced
from storage.layout import DAMAGED_NAME
from storage.store import Store
from tests.support.ledger import Chain, genesis, key

BLOCKS = 70
FOUNDED = genesis("pbft")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``data``: a directory with every kind of file; ``backup``, ``archive``, ``twin``: others
    that hold the same ledger."""
    where = tmp_path_factory.mktemp("repair")
    network = FOUNDED.network
    store = Store.open(where / "data", network=network, create=True, segment_bytes_max=1 << 14)
    with Chain(where / "data", FOUNDED, store=store) as chain:
        for _ in range(BLOCKS):
            chain.commit(*[chain.tx() for _ in range(4)])
        chain.certify()
        signer = key("alder identity")
        origin = Origin(
            node="alder",
            software="1",
            key=signer.public_key,
            sign=signer.sign,
            documents={backups.GENESIS_NAME: FOUNDED.encode()},
        )
        backups.create(store, where / "backup", origin, network=network)
        write(store, FOUNDED, where / "archive", up_to=None)
        store.save([Put(b"vote", b"mine")], sync=True)
    with Store.open(where / "data", network=network) as again:  # its rows are in tables now
        again.save([Put(b"vote", b"mine again")], sync=True)  # and one row in a log
    shutil.copytree(where / "data", where / "twin")
    return where


@pytest.fixture
def data(place: Path, tmp_path: Path) -> Path:
    shutil.copytree(place / "data", tmp_path / "data")
    return tmp_path / "data"


def flip(path: Path, rng: random.Random, low: float = 0.0, high: float = 1.0) -> int:
    raw = bytearray(path.read_bytes())
    at = rng.randrange(int(low * len(raw)), max(1, int(high * len(raw))))
    raw[at] ^= 1 << rng.randrange(8)
    path.write_bytes(raw)
    return at


def one(data: Path, pattern: str) -> Path:
    """Return the largest file of a kind."""
    return max(data.glob(pattern), key=lambda path: path.stat().st_size)


# kind, pattern, which part of the file
KINDS: list[tuple[str, str, float, float]] = [
    ("a table's rows", "kv/*.ldb", 0.0, 0.9),
    ("a table's end", "kv/*.ldb", 0.97, 1.0),
    ("the manifest", "kv/MANIFEST-*", 0.0, 1.0),
    ("the pointer to it", "kv/CURRENT", 0.0, 1.0),
    ("the log", "kv/*.log", 0.0, 1.0),
    ("a closed segment", "segments/00000001.seg", 0.0, 1.0),
    ("the open segment", "segments/*.seg", 0.0, 1.0),
]


def sound(directory: Path) -> list[str]:
    return [
        f"{item.code.value} {item.where}" for item in check_ledger(directory, FOUNDED).findings
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("kind", "pattern", "low", "high"), KINDS)
def test_a_flipped_bit_is_found_located_and_repaired(
    place: Path, data: Path, kind: str, pattern: str, low: float, high: float, seed: int
) -> None:
    paths = sorted(data.glob(pattern))
    path = paths[-1] if kind == "the open segment" else one(data, pattern)
    flip(path, random.Random(f"{kind}{seed}"), low, high)
    found = check_ledger(data, FOUNDED).findings
    assert found, kind
    assert any(path.name in item.where + item.detail for item in found), found
    why = repair.unreadable(data, FOUNDED)
    if why is None:
        steps = repair.mend(data, FOUNDED, [place / "backup"], scratch_dir=None)
    else:
        steps = repair.replace(data, FOUNDED, place / "backup", scratch_dir=None)
    assert steps
    assert all(step.done for step in steps), steps
    assert sound(data) == []
    assert list((data / DAMAGED_NAME).iterdir()) != []
    with Store.open(data, network=FOUNDED.network) as store:
        assert is_fenced(store) == (why is not None)
        if why is None:
            assert store.consensus_value(b"vote") == b"mine again"
        else:
            assert list(store.consensus_pairs()) == []


@pytest.mark.parametrize("source", ["backup", "archive", "twin"])
def test_bodies_come_back_from_any_kind_of_source(place: Path, data: Path, source: str) -> None:
    segments = sorted((data / "segments").glob("*.seg"))
    before = [path.read_bytes() for path in segments]
    for path in segments:
        flip(path, random.Random(3))
    steps = repair.mend(data, FOUNDED, [place / source], scratch_dir=None)
    assert len(steps) == len(segments)
    assert [path.read_bytes() for path in segments] == before


def test_without_a_source_the_damage_is_left_and_told(data: Path) -> None:
    flip(data / "segments" / "00000001.seg", random.Random(4))
    (step,) = repair.mend(data, FOUNDED, [], scratch_dir=None)
    assert not step.done
    assert {item.code for item in check_ledger(data, FOUNDED).findings} >= {
        Code.SEGMENT_CORRUPT
    }


def test_another_nodes_directory_replaces_a_lost_database_without_its_votes(
    place: Path, data: Path
) -> None:
    shutil.rmtree(data / "kv")
    (data / "kv").mkdir()
    assert repair.unreadable(data, FOUNDED) is not None
    repair.replace(data, FOUNDED, place / "twin", scratch_dir=None)
    assert sound(data) == []
    with Store.open(data, network=FOUNDED.network) as store:
        assert is_fenced(store)
        assert store.consensus_value(b"vote") is None


def test_an_empty_directory_in_its_place_is_fenced_and_the_old_files_are_kept(
    data: Path,
) -> None:
    flip(one(data, "kv/MANIFEST-*"), random.Random(5))
    names = {path.name for path in (data / "kv").iterdir()}
    repair.replace(data, FOUNDED, None, scratch_dir=None)
    with Store.open(data, network=FOUNDED.network) as store:
        assert is_fenced(store)
        assert store.applied() is None
    (aside,) = (data / DAMAGED_NAME).iterdir()
    assert {path.name for path in (aside / "kv").iterdir()} >= names - {"LOG", "LOG.old"}


def test_a_source_that_is_none_leaves_everything_as_it_was(data: Path, tmp_path: Path) -> None:
    flip(one(data, "kv/MANIFEST-*"), random.Random(6))
    (tmp_path / "empty").mkdir()
    before = sorted(path for path in data.rglob("*"))
    with pytest.raises(ChartsealError, match="not-found"):
        repair.replace(data, FOUNDED, tmp_path / "empty", scratch_dir=None)
    assert sorted(path for path in data.rglob("*")) == before


def test_whole_files_are_not_called_damaged(place: Path) -> None:
    assert list(tables.locate(place / "data" / "kv")) == []
    assert repair.unreadable(place / "twin", FOUNDED) is None
    assert repair.mend(place / "twin", FOUNDED, [], scratch_dir=None) == []


def test_the_checksum_is_castagnolis() -> None:
    assert tables.crc32c(b"123456789") == 0xE3069283  # RFC 3720, B.4: the usual check value
    assert tables.crc32c(bytes(32)) == 0x8A9136AA


@pytest.mark.parametrize("seed", range(12))
def test_damage_in_a_table_is_located_to_the_block_that_holds_it(data: Path, seed: int) -> None:
    path = one(data, "kv/*.ldb")
    at = flip(path, random.Random(seed))
    named = [item for item in tables.locate(data / "kv") if item.path == path]
    assert any(item.offset <= at < item.offset + item.size for item in named), (at, named)
