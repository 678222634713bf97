"""Records of the hot path are frozen records to everybody but the interpreter."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from consensus.frozen import dataclass

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Ours:
    number: int
    name: str = "a"


@dataclasses.dataclass(frozen=True, slots=True)
class Theirs:
    number: int
    name: str = "a"


@dataclass(frozen=True, slots=True)
class ByNumber:
    number: int
    name: str

    def __hash__(self) -> int:
        return self.number


@dataclass(slots=True)
class Mutable:
    number: int


def test_they_are_equal_hashed_replaced_and_shown_as_frozen_records_are() -> None:
    ours, theirs = Ours(3), Theirs(3)
    assert ours == Ours(3, "a")
    assert ours != Ours(4)
    assert hash(ours) == hash(theirs)
    assert dataclasses.replace(ours, number=4) == Ours(4)
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert [f.name for f in dataclasses.fields(Ours)] == ["number", "name"]
    assert not hasattr(ours, "__dict__")


def test_a_record_keeps_the_hash_that_it_brings_and_a_mutable_one_has_none() -> None:
    assert hash(ByNumber(7, "a")) == 7
    with pytest.raises(TypeError, match="unhashable"):
        hash(Mutable(1))


def test_the_type_checker_refuses_an_assignment(tmp_path: Path) -> None:
    source = tmp_path / "assigns.py"
    source.write_text(
        "from consensus.types import Applied\n\n\ndef change(tip: Applied) -> None:\n"
        "    tip.height = 3\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file", "", "--follow-imports", "silent"]
    done = subprocess.run(
        [*command, "--cache-dir", str(tmp_path / "cache"), str(source)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'Property "height" defined in "Applied" is read-only' in done.stdout, done.stdout
