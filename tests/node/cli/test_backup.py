"""backup, restore, archive, prune, check --repair: plans, answers, exit codes, no node."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from node.archive.write import write
from node.cli.layout import CONFIG_NAME, KEY_NAME
from node.keys import FOR_RANDOM_PASSPHRASE, NodeKeys, random_passphrase, write_secret
from node.ledger import receipt as receipts
from node.ledger.transaction import txid_of
from node.publish import policy_of
from storage.fence import is_fenced
from storage.store import Store
from tests.support.ledger import Chain, genesis
from tests.support.served_ledger import run

BLOCKS = 40


class Place:
    """A stopped node's directory and the files around it."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.genesis = genesis()
        self.config = where / CONFIG_NAME
        self.data = where / "data"
        self.backups = where / "backups"
        self.archive = where / "archive"
        self.ids: list[bytes] = []
        (where / "genesis.bin").write_bytes(self.genesis.encode())
        passphrase = random_passphrase()
        write_secret(where / "passphrase", passphrase + b"\n")
        keys = alders_keys()
        keys.save(where / KEY_NAME, passphrase, kdf=FOR_RANDOM_PASSPHRASE)
        self.config.write_text(
            'config_version = 1\n[node]\nid = "alder"\n'
            '[keystore]\npassphrase_file = "passphrase"\n[backup]\npath = "backups"\n'
        )
        store = Store.open(
            self.data, network=self.genesis.network, create=True, segment_bytes_max=1 << 14
        )
        with Chain(self.data, self.genesis, store=store) as chain:
            for _ in range(BLOCKS):
                raws = [chain.tx() for _ in range(5)]
                self.ids += [txid_of(tx.raw) for tx in raws]
                chain.commit(*raws)
            chain.certify()
            write(store, self.genesis, self.archive, up_to=None)

    def json(self, *words: object, exit_code: int = 0) -> Any:
        return json.loads(run("-o", "json", *words, exit_code=exit_code).stdout)


def alders_keys() -> NodeKeys:
    """Return keys whose identity is the one that genesis has for alder."""
    made = NodeKeys.generate("alder")
    seeds = list(made._seeds)
    seeds[0] = hashlib.sha256(b"ledger test alder identity").digest()
    return NodeKeys("alder", tuple(seeds))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("place")
    Place(where)
    return where


@pytest.fixture
def place(built: Path, tmp_path: Path) -> Place:
    made = Place.__new__(Place)
    shutil.copytree(built, tmp_path / "place")
    made.where = tmp_path / "place"
    made.genesis = genesis()
    made.config, made.data = made.where / CONFIG_NAME, made.where / "data"
    made.backups, made.archive = made.where / "backups", made.where / "archive"
    return made


def back_up(place: Place) -> Any:
    return place.json("backup", "create", "--config", place.config)


def test_a_stopped_nodes_backup_is_made_listed_shown_and_verified(place: Place) -> None:
    made = back_up(place)
    assert (made["height"], made["written_bytes"]) == (BLOCKS, made["bytes"])
    again = back_up(place)
    assert again["written_bytes"] < made["bytes"] // 100
    listed = place.json("backup", "list", place.backups)
    assert [item["name"] for item in listed] == [made["name"], again["name"]]
    shown = place.json("backup", "show", place.backups, made["name"])
    assert (shown["node"], shown["certified_height"]) == ("alder", BLOCKS)
    verdict = place.json(
        "backup", "verify", place.backups, "--genesis", place.where / "genesis.bin"
    )
    assert verdict["clean"]
    assert verdict["name"] == again["name"]
    held = b"".join(p.read_bytes() for p in place.backups.rglob("*") if p.is_file())
    assert (place.where / "passphrase").read_bytes().strip() not in held
    assert b"passphrase" in held  # the name of the file, as the settings have it


def test_damage_is_exit_8_and_names_the_file(place: Place) -> None:
    back_up(place)
    path = max((place.backups / "chunks").glob("*/*"), key=lambda p: p.stat().st_size)
    raw = bytearray(path.read_bytes())
    raw[7] ^= 1
    path.write_bytes(raw)
    words = ("backup", "verify", place.backups, "--genesis", place.where / "genesis.bin")
    verdict = place.json(*words, exit_code=8)
    assert [item["where"] for item in verdict["findings"]] == [str(path)]
    assert str(path) in run(*words, exit_code=8).stdout
    to = place.where / "again"
    failed = run("restore", place.backups, "--to", to, exit_code=8)
    assert "backup-invalid" in failed.stderr
    assert not to.exists()


def test_without_a_genesis_the_copys_own_is_used_and_said(place: Place) -> None:
    back_up(place)
    said = run("backup", "verify", place.backups, "--depth", "bytes").stderr
    assert place.genesis.network.hex() in said


def test_prune_of_backups_shows_its_plan_and_wants_yes(place: Place) -> None:
    first = back_up(place)
    back_up(place)
    words = ("backup", "prune", place.backups, "--keep", 1)
    assert first["name"] in run(*words, exit_code=10).stdout
    assert len(place.json("backup", "list", place.backups)) == 2
    assert place.json(*words, "--yes")["removed"] == [first["name"]]
    assert place.json(*words)["removed"] == []


def test_a_restore_is_checked_and_fenced_and_a_drill_leaves_nothing(place: Place) -> None:
    back_up(place)
    to, scratch = place.where / "again", place.where / "scratch"
    scratch.mkdir()
    words = ("restore", place.backups, "--genesis", place.where / "genesis.bin")
    done = place.json(*words, "--to", to, "--verify", "full")
    assert (done["clean"], done["height"]) == (True, BLOCKS)
    with Store.open(to, network=place.genesis.network) as store:
        assert is_fenced(store)
    drill = place.json(*words, "--drill", "--scratch-dir", scratch)
    assert drill["clean"]
    assert drill["lost_blocks"] is None
    assert list(scratch.iterdir()) == []
    assert "exists-already" in run(*words, "--to", to, exit_code=4).stderr
    run(*words, exit_code=2)
    run(*words, "--to", to, "--drill", exit_code=2)


def test_blocks_are_pruned_when_the_archive_has_them_and_come_back(place: Place) -> None:
    words = ("prune", "--before", 30, "--config", place.config)
    refused = run(*words, "--yes", exit_code=4)
    assert "not-covered" in refused.stderr
    named = (*words, "--archive", place.archive)
    looked = place.json(*named, exit_code=10)
    assert looked["dry"]
    done = place.json(*named, "--yes")
    assert 1 < done["lowest"] <= 30
    assert (done["segments"], done["dry"]) == (looked["segments"], False)
    brought = place.json("archive", "import", place.archive, "--config", place.config)
    assert brought == {"imported": done["lowest"] - 1, "lowest_body": 1}


def test_a_damaged_archive_covers_nothing(place: Place) -> None:
    (path,) = (place.archive / "tile" / "0").glob("000.p/*")
    raw = bytearray(path.read_bytes())
    raw[0] ^= 1
    path.write_bytes(raw)
    verdict = place.json("archive", "verify", place.archive, exit_code=8)
    assert str(path) in [item["where"] for item in verdict["findings"]]
    words = ("prune", "--before", 30, "--config", place.config, "--archive", place.archive)
    assert "findings" in run(*words, "--yes", exit_code=4).stderr
    assert place.json(*words, "--yes", "--force")["lowest"] > 1
    run("archive", "import", place.archive, "--config", place.config, exit_code=8)


def test_a_receipt_comes_from_the_archive_and_verifies(built: Path, place: Place) -> None:
    with Store.open(place.data, network=place.genesis.network) as store:
        row = store.block(7)
        assert row is not None
        txid = row.txids[:32]
    out = place.where / "one.receipt"
    run("archive", "receipt", place.archive, txid.hex(), "--out", out)
    proven = receipts.verify_receipt(
        receipts.from_text(out.read_bytes()), policy_of(place.genesis)
    )
    assert (proven.txid, proven.height) == (txid, 7)
    assert (
        "not-found" in run("archive", "receipt", place.archive, "00" * 32, exit_code=3).stderr
    )


def test_check_repairs_bodies_and_wants_yes_before_it_replaces_a_directory(
    place: Place,
) -> None:
    back_up(place)
    words = ("check", "--config", place.config)
    segment = place.data / "segments" / "00000002.seg"
    raw = bytearray(segment.read_bytes())
    raw[100] ^= 1
    segment.write_bytes(raw)
    run(*words, exit_code=8)
    mended = run(*words, "--repair", "--from", place.backups)
    assert "put back" in mended.stderr
    run(*words)
    current = place.data / "kv" / "CURRENT"
    current.write_bytes(b"MANIFEST\n")
    run(*words, "--repair", exit_code=2)
    asked = run(*words, "--repair", "--from", place.backups, exit_code=10)
    assert "would replace" in asked.stderr
    run(*words, "--repair", "--from", place.backups, "--yes")
    with Store.open(place.data, network=place.genesis.network) as store:
        assert is_fenced(store)
    run(*words, "--resync", exit_code=2)
