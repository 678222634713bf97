"""The manifest tells which tables count, and damage is looked for in those only."""

import os
from pathlib import Path

import plyvel
import pytest

from storage import tables
from storage.level import LevelKV
from storage.live import live_tables


@pytest.fixture
def kv(tmp_path: Path) -> Path:
    """A closed database that was written, compacted and opened several times."""
    path = tmp_path / "kv"
    for turn in range(4):
        made = LevelKV(path, create=turn == 0)
        for at in range(4_000):
            key = (at * 2_654_435_761 % 2**32).to_bytes(4, "big")
            made.write([(key, os.urandom(400) if turn < 3 or at % 2 else None)], sync=False)
        made.close()
    settled = plyvel.DB(str(path))  # what its log held is in tables now
    settled.compact_range()  # and none is being made when it closes
    settled.close()
    return path


def manifest(kv: Path) -> Path:
    return kv / (kv / "CURRENT").read_text().strip()


def test_the_manifest_names_the_tables_that_are_there(kv: Path) -> None:
    there = {int(path.stem) for path in kv.glob("*.ldb")}
    assert there
    assert live_tables(manifest(kv)) == there


def test_what_a_compaction_left_unfinished_is_no_damage(kv: Path) -> None:
    whole = next(iter(sorted(kv.glob("*.ldb")))).read_bytes()
    (kv / "999999.ldb").write_bytes(whole[: len(whole) // 2])
    assert list(tables.locate(kv)) == []
    LevelKV(kv, create=False).close()
    assert not (kv / "999999.ldb").exists(), "and the next opening removes it"


def test_a_table_that_counts_and_has_no_end_is_damage(kv: Path) -> None:
    path = next(iter(sorted(kv.glob("*.ldb"))))
    path.write_bytes(path.read_bytes()[:-48])
    assert {item.path for item in tables.locate(kv)} == {path}


@pytest.mark.parametrize("cut", [7, 8, 20])
def test_a_damaged_manifest_is_named_itself(kv: Path, cut: int) -> None:
    path = next(iter(sorted(kv.glob("*.ldb"))))
    path.write_bytes(path.read_bytes()[:-48])
    told = manifest(kv)
    raw = bytearray(told.read_bytes())
    raw[cut] = 0xFF  # a tag, a length, a byte of the comparator's name or past it
    told.write_bytes(raw)
    assert told in {item.path for item in tables.locate(kv)}


def test_no_manifest_tells_nothing(tmp_path: Path) -> None:
    assert live_tables(tmp_path / "MANIFEST-000001") is None
    (tmp_path / "MANIFEST-000001").write_bytes(b"\0" * 6 + b"\x01")
    assert live_tables(tmp_path / "MANIFEST-000001") == frozenset()
