"""check: a stopped node's directory, clean, damaged, absent or in use."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.ledger_fixture import Ledger, genesis
from tests.support.served_ledger import run

KEYS = ["clean", "pairs", "records", "blocks", "tiles", "findings"]


@pytest.fixture
def stopped(tmp_path: Path) -> tuple[Path, Path]:
    """A ledger of three blocks and its genesis file; the ordering certificates are no real
    ones, which is what ``check`` must find."""

    async def fill() -> None:
        ledger = Ledger(tmp_path / "data")
        for _ in range(3):
            ledger.commit(ledger.sign())
            await asyncio.sleep(0)  # lets the service tell its waiters
        ledger.close()

    asyncio.run(fill())
    (tmp_path / "genesis.bin").write_bytes(genesis().encode())
    return tmp_path / "data", tmp_path / "genesis.bin"


@pytest.fixture
def empty(tmp_path: Path) -> tuple[Path, Path]:
    Ledger(tmp_path / "data").close()
    (tmp_path / "genesis.bin").write_bytes(genesis().encode())
    return tmp_path / "data", tmp_path / "genesis.bin"


def _check(places: tuple[Path, Path], *options: str, exit_code: int = 0):
    return run(*options, "check", "--data-dir", places[0], "--genesis", places[1],
               exit_code=exit_code)  # fmt: skip


def test_a_clean_directory_is_exit_0(empty) -> None:
    report = json.loads(_check(empty, "-o", "json").stdout)
    assert list(report) == KEYS
    assert (report["clean"], report["findings"]) == (True, [])
    assert "clean" in _check(empty).stdout


def test_findings_are_exit_8_and_say_code_and_place(stopped) -> None:
    report = json.loads(_check(stopped, "-o", "json", exit_code=8).stdout)
    assert list(report) == KEYS
    assert (report["clean"], report["blocks"]) == (False, 3)
    assert report["findings"]
    assert all(list(item) == ["code", "where", "detail"] for item in report["findings"])
    assert report["findings"][0]["code"] in _check(stopped, exit_code=8).stdout


def test_the_configuration_names_both_places(empty, tmp_path) -> None:
    made = tmp_path / "config.toml"
    made.write_text(
        'config_version = 1\n[node]\nid = "alder"\ndata_dir = "data"\n'
        '[network]\ngenesis = "genesis.bin"\n'
    )
    assert "yes" in run("check", "--config", made).stdout


def test_it_needs_to_know_where(empty, tmp_path) -> None:
    run("check", exit_code=2)
    run("check", "--data-dir", empty[0], exit_code=2)
    run("check", "--data-dir", tmp_path / "none", "--genesis", empty[1], exit_code=82)
    bad = run("check", "--data-dir", empty[0], "--genesis", tmp_path / "none", exit_code=78)
    assert "genesis-invalid" in bad.stderr


def test_a_directory_in_use_is_exit_80(tmp_path) -> None:
    ledger = Ledger(tmp_path / "data")
    (tmp_path / "genesis.bin").write_bytes(genesis().encode())
    try:
        result = _check((tmp_path / "data", tmp_path / "genesis.bin"), exit_code=80)
        assert "data-dir-locked" in result.stderr
    finally:
        ledger.close()
