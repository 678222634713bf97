"""The mark file: torn writes, old copies, foreign keys, two processes; and always the order."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.mark import NOTHING, Mark
from consensus.types import Statement
from storage import mark as marks
from storage.errors import StorageFailure
from storage.mark import SLOT_BYTES, MarkRefused, SignMark, mark_path

NETWORK, KEY = b"n" * 32, b"k" * 32
ROOT = Path(__file__).parents[2]


def chain(length: int) -> list[Mark]:
    found = [NOTHING]
    for height in range(1, length + 1):
        stated = Statement("commit", 1, 2, height, bytes(32), b"")
        found.append(found[-1].after([stated], []))
    return found


CHAIN = chain(9)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return mark_path(tmp_path / "node.key")


def opened(path: Path, stored: Mark) -> SignMark:
    return SignMark.open(path, network=NETWORK, key=KEY, stored=stored)


def at(path: Path, sequence: int) -> Path:
    """Make the mark file of a life of ``sequence`` turns."""
    with closing(opened(path, NOTHING)) as mark:
        for each in CHAIN[1 : sequence + 1]:
            mark.advance(each)
    return path


def refused(path: Path, stored: Mark) -> str:
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(MarkRefused) as caught:
        opened(path, stored)
    assert (path.read_bytes() if path.exists() else None) == before
    assert str(path) in str(caught.value)
    return caught.value.code


# --- a life -------------------------------------------------------------------------------


def test_a_new_key_gets_a_mark_that_only_its_owner_may_touch(path: Path) -> None:
    with closing(opened(path, NOTHING)) as mark:
        assert mark.sequence == 0
    assert path.name == "node.key.mark"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_mark_survives_and_the_file_never_grows(path: Path) -> None:
    for sequence in range(1, 8):
        with closing(opened(path, CHAIN[sequence - 1])) as mark:
            mark.advance(CHAIN[sequence])
            assert mark.sequence == sequence
        assert marks.read(path, network=NETWORK, key=KEY) == CHAIN[sequence]
        assert path.stat().st_size == 2 * SLOT_BYTES


def test_a_mark_is_synced_before_it_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    mark = opened(path, NOTHING)
    really = os.fdatasync

    def watched(fd: int) -> None:
        seen.append(("sync", mark.sequence))
        really(fd)

    monkeypatch.setattr(os, "fdatasync", watched)
    mark.advance(CHAIN[1])
    seen.append(("counts", mark.sequence))
    mark.close()
    assert seen == [("sync", 0), ("counts", 1)]


def test_a_failed_sync_is_the_last_word(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with closing(opened(path, NOTHING)) as mark:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", broken)
            with pytest.raises(StorageFailure, match=r"node\.key\.mark"):
                mark.advance(CHAIN[1])
        assert mark.sequence == 0
        with pytest.raises(StorageFailure, match="refusing"):
            mark.advance(CHAIN[1])


def test_marks_are_taken_one_by_one(path: Path) -> None:
    with (
        closing(opened(path, NOTHING)) as mark,
        pytest.raises(AssertionError, match="one by one"),
    ):
        mark.advance(CHAIN[2])


# --- starts -------------------------------------------------------------------------------


def test_a_start_between_the_two_writes_raises_the_mark_first(path: Path) -> None:
    at(path, 4)
    opened(path, CHAIN[5]).close()
    assert marks.read(path, network=NETWORK, key=KEY) == CHAIN[5]
    assert refused(path, CHAIN[4]) == "sign-state-behind"


@pytest.mark.parametrize("stored", [0, 1, 4])
def test_an_older_database_is_refused(path: Path, stored: int) -> None:
    assert refused(at(path, 5), CHAIN[stored]) == "sign-state-behind"


def test_a_database_of_another_life_is_refused(path: Path) -> None:
    other = NOTHING.after([Statement("vote", 1, 9, 0, bytes(32), None)], [])
    assert refused(at(path, 1), other) == "sign-state-behind"


def test_an_old_copy_of_the_mark_is_refused(path: Path) -> None:
    assert refused(at(path, 3), CHAIN[7]) == "sign-mark-behind"


def test_a_lost_mark_is_refused_once_something_was_signed(path: Path) -> None:
    assert refused(path, CHAIN[1]) == "sign-mark-missing"


@pytest.mark.parametrize(("network", "key"), [(b"x" * 32, KEY), (NETWORK, b"x" * 32)])
def test_the_mark_of_somebody_else_is_refused(path: Path, network: bytes, key: bytes) -> None:
    at(path, 2)
    with pytest.raises(MarkRefused) as caught:
        SignMark.open(path, network=network, key=key, stored=CHAIN[2])
    assert caught.value.code == "sign-mark-foreign"


def test_a_directory_that_cannot_be_written_is_said(path: Path) -> None:
    with pytest.raises(MarkRefused) as caught:
        opened(path.parent / "gone" / path.name, NOTHING)
    assert caught.value.code == "keystore-failure"


# --- damage -------------------------------------------------------------------------------


@given(sequence=st.integers(1, 9), written=st.integers(0, SLOT_BYTES), noise=st.binary())
@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_a_torn_write_leaves_the_mark_before_it(
    path: Path, sequence: int, written: int, noise: bytes
) -> None:
    """Power fails while mark ``sequence`` is written: any prefix of it may be there."""
    path.unlink(missing_ok=True)
    at(path, sequence - 1)
    old = path.read_bytes()
    path.unlink()
    whole = at(path, sequence).read_bytes()
    place = (sequence & 1) * SLOT_BYTES
    torn = bytearray(old)
    torn[place : place + written] = whole[place : place + written]
    noise = noise[: SLOT_BYTES - written]
    torn[place + written : place + written + len(noise)] = noise
    path.write_bytes(bytes(torn))
    found = marks.read(path, network=NETWORK, key=KEY)
    assert found in (CHAIN[sequence - 1], CHAIN[sequence])
    opened(path, CHAIN[sequence]).close()  # the database has it: the batch came first
    assert marks.read(path, network=NETWORK, key=KEY) == CHAIN[sequence]


@given(damage=st.binary(max_size=2 * SLOT_BYTES + 8))
@settings(
    max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_anything_else_is_refused_as_damaged(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    path.chmod(0o600)
    for stored in (NOTHING, CHAIN[3]):
        assert refused(path, stored) == "sign-mark-damaged"


def test_a_mark_that_is_cut_short_is_damaged(path: Path) -> None:
    whole = at(path, 4).read_bytes()
    path.write_bytes(whole[:SLOT_BYTES])
    assert refused(path, CHAIN[4]) == "sign-mark-damaged"


# --- one process at a time ----------------------------------------------------------------


HOLDER = """
import sys
from pathlib import Path
from consensus.mark import NOTHING
from storage.mark import SignMark
mark = SignMark.open(Path(sys.argv[1]), network=b"n" * 32, key=b"k" * 32, stored=NOTHING)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_two_processes_never_sign_with_one_key(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    assert refused(path, NOTHING) == "key-in-use"
    with pytest.raises(MarkRefused) as caught:
        marks.reset(path, network=NETWORK, key=KEY, stored=None)
    assert caught.value.code == "key-in-use"
    assert marks.read(path, network=NETWORK, key=KEY) == NOTHING, "reading is not signing"
    holder.kill()
    holder.wait()
    opened(path, NOTHING).close()


# --- reset --------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [2, 7])
def test_after_a_reset_exactly_this_database_starts(path: Path, stored: int) -> None:
    at(path, 5)
    marks.reset(path, network=NETWORK, key=KEY, stored=CHAIN[stored])
    assert refused(path, CHAIN[stored - 1]) == "sign-state-behind"
    opened(path, CHAIN[stored]).close()
    assert [item.name for item in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("stored", [None, NOTHING])
def test_without_a_ledger_a_reset_takes_the_mark_away(path: Path, stored: Mark | None) -> None:
    at(path, 5)
    marks.reset(path, network=NETWORK, key=KEY, stored=stored)
    assert marks.read(path, network=NETWORK, key=KEY) is None
    marks.reset(path, network=NETWORK, key=KEY, stored=stored)
    opened(path, NOTHING).close()


def test_a_reset_makes_a_lost_or_damaged_mark_anew(path: Path) -> None:
    marks.reset(path, network=NETWORK, key=KEY, stored=CHAIN[3])
    opened(path, CHAIN[3]).close()
    path.write_bytes(b"damage")
    marks.reset(path, network=NETWORK, key=KEY, stored=CHAIN[3])
    opened(path, CHAIN[3]).close()
