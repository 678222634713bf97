"""Real processes that must not start: each says its code and what to do, and changes nothing.

One small ledger is made once; every test gets its own copy, breaks one thing and starts
``python -m node run``.  Starts that are refused before the disk is opened leave every byte
alone; those that LevelDB sees (it rotates its own files) leave every row and body alone.
"""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import plyvel
import pytest

from consensus import wire
from node.cli.cluster import Cluster
from node.cli.layout import CONFIG_NAME, KEY_NAME, UNLOCK_NAME
from node.error_codes import Exit
from node.errors import get
from node.keys import FOR_RANDOM_PASSPHRASE, NodeKeys
from node.ledger.genesis import Genesis
from node.why import ending
from storage import keys as rows
from storage.schema import SCHEMA_VERSION, Schema
from tests.support.hostile import configure

pytestmark = pytest.mark.cluster

BLOCKS = 4


def anchor(number: int) -> dict[str, object]:
    """Return the operation that anchors the record of that number."""
    commitment = hashlib.sha256(b"bad starts %d" % number).hexdigest()
    return {
        "kind": "record.anchor",
        "body": {"commitment": commitment, "tag": commitment[:32], "canon": 2},
    }


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a stopped one-member network with a few blocks."""
    directory = tmp_path_factory.mktemp("bad-starts") / "net"
    with Cluster.create(directory, members=1, engine="raft") as cluster:
        cluster.up()
        for number in range(BLOCKS):
            answer = cluster.client(0).request(
                "POST",
                "/v1/operations",
                body=json.dumps({"ops": [anchor(number)]}).encode(),
                headers={"Content-Type": "application/json", "Prefer": "wait=20"},
            )
            assert answer.json()["state"] == "committed"
        cluster.stop(0)
    return directory


@pytest.fixture
def net(ledger: Path, tmp_path: Path) -> Iterator[Cluster]:
    shutil.copytree(ledger, tmp_path / "net")
    with Cluster(tmp_path / "net") as cluster:
        yield cluster


# --- what every refusal looks like --------------------------------------------------------


def start(net: Cluster, *, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the node in the foreground; it must end by itself."""
    command = net.command(0)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CHARTSEAL_")}
    return subprocess.run(
        [command[0], *flags, *command[1:]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env=environment,
    )


def refused(net: Cluster, code: str, *words: str, exit_code: Exit) -> str:
    """Start the node; it must refuse with ``code`` and say ``words``.  Returns stderr."""
    assert get(code).exit is exit_code, "the registry promises another exit code"
    ended = start(net)
    said = ended.stderr
    assert ended.returncode == exit_code, said
    assert re.search(rf"^error: {re.escape(get(code).title)}: {code}$", said, re.M), said
    assert re.search(r"^  next: \S", said, re.M), f"no next step: {said}"
    for word in words:
        assert word in said
    assert "Traceback" not in said, said
    assert not ended.stdout
    return said


def every_byte(net: Cluster) -> dict[str, str]:
    """Return a digest of every file of the network's directory, with its mode; but for the
    word that each end leaves."""
    found = {}
    for path in sorted(net.directory.rglob("*")):
        name = str(path.relative_to(net.directory))
        if path.name == ending.NAME:
            continue
        mode = oct(path.stat().st_mode)
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[name] = f"{mode} {content}"
    return found


def every_row(net: Cluster) -> dict[str, str]:
    """Return a digest of every row and of every segment; LevelDB's own files may rotate."""
    data = net.node_dir(0) / "data"
    found = {}
    with plyvel.DB(str(data / "kv"), create_if_missing=False) as database:
        for key, value in database:
            found[key.hex()] = hashlib.sha256(value).hexdigest()
    for path in sorted((data / "segments").iterdir()):
        found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found
    return found


def refused_untouched(net: Cluster, code: str, *words: str, exit_code: Exit) -> None:
    before = every_byte(net)
    refused(net, code, *words, exit_code=exit_code)
    assert every_byte(net) == before


# --- configuration ------------------------------------------------------------------------


def test_an_unknown_setting_is_refused_with_a_suggestion(net: Cluster) -> None:
    configure(net, 0, "listn = 5", section="p2p")
    refused_untouched(
        net, "config-unknown-key", "did you mean listen?", exit_code=Exit.BAD_CONFIG
    )


def test_a_setting_of_the_wrong_type_is_refused_with_its_line(net: Cluster) -> None:
    configure(net, 0, "mempool_transactions_max = true", section="limits")
    refused_untouched(
        net,
        "config-invalid",
        "limits.mempool_transactions_max",
        f"{CONFIG_NAME}, line ",
        exit_code=Exit.BAD_CONFIG,
    )


def test_a_missing_configuration_file_is_refused(net: Cluster) -> None:
    (net.node_dir(0) / CONFIG_NAME).unlink()
    refused_untouched(net, "config-missing", CONFIG_NAME, exit_code=Exit.BAD_CONFIG)


def test_a_missing_genesis_file_is_refused(net: Cluster) -> None:
    net.genesis_path.unlink()
    refused_untouched(net, "genesis-invalid", "genesis.bin", exit_code=Exit.BAD_CONFIG)


def test_a_malformed_genesis_file_is_refused(net: Cluster) -> None:
    net.genesis_path.write_bytes(net.genesis_path.read_bytes()[:-1])
    refused_untouched(net, "genesis-invalid", "genesis.bin", exit_code=Exit.BAD_CONFIG)


def test_the_id_of_another_institution_than_the_keys_is_refused(net: Cluster) -> None:
    configure(net, 0, 'id = "elsewhere"', section="node")
    refused_untouched(net, "config-invalid", "elsewhere", exit_code=Exit.BAD_CONFIG)


# --- keys ---------------------------------------------------------------------------------


def secret(net: Cluster) -> bytes:
    return (net.node_dir(0) / UNLOCK_NAME).read_bytes().strip()


def test_the_keys_of_another_node_are_refused(net: Cluster) -> None:
    stranger = NodeKeys.generate(net.members[0].id)
    path = net.node_dir(0) / KEY_NAME
    stranger.save(path, secret(net), kdf=FOR_RANDOM_PASSPHRASE, replace=True)
    refused_untouched(net, "keystore-mismatch", net.members[0].id, exit_code=Exit.KEYSTORE)


@pytest.mark.parametrize("name", [KEY_NAME, UNLOCK_NAME])
def test_secret_files_that_others_may_read_are_refused(net: Cluster, name: str) -> None:
    (net.node_dir(0) / name).chmod(0o644)
    refused_untouched(net, "keystore-permissions", "chmod 600", exit_code=Exit.KEYSTORE)


def test_a_wrong_passphrase_is_refused_and_not_shown(net: Cluster) -> None:
    path = net.node_dir(0) / UNLOCK_NAME
    path.write_bytes(b"hunter2-of-another-node\n")
    before = every_byte(net)
    said = refused(net, "keystore-passphrase-wrong", exit_code=Exit.KEYSTORE)
    assert "hunter2" not in said
    assert every_byte(net) == before


def test_a_missing_passphrase_file_is_refused(net: Cluster) -> None:
    (net.node_dir(0) / UNLOCK_NAME).unlink()
    refused_untouched(net, "keystore-passphrase-missing", UNLOCK_NAME, exit_code=Exit.KEYSTORE)


# --- addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize("section", ["p2p", "api", "ops"])
def test_a_busy_port_is_refused_by_name_and_the_ledger_stays(
    net: Cluster, section: str
) -> None:
    before = every_row(net)
    port = getattr(net.members[0], f"{section}_port")
    with socket.create_server(("127.0.0.1", port)):
        refused(
            net, "port-in-use", f"{section}.listen 127.0.0.1:{port}", exit_code=Exit.CONFLICT
        )
    assert every_row(net) == before


# --- the data directory -------------------------------------------------------------------


def test_a_data_directory_in_use_is_refused_and_its_owner_goes_on(net: Cluster) -> None:
    net.start(0)
    net.wait_ready(0)
    refused(net, "data-dir-locked", f"process {net.pid(0)}", exit_code=Exit.DATA_DIR_LOCKED)
    assert net.client(0).get("/v1/status")["height"] == BLOCKS
    assert net.stop(0)
    assert net.exit_code(0) == Exit.OK


def test_the_directory_of_another_network_is_refused(net: Cluster, tmp_path: Path) -> None:
    other = Cluster.create(tmp_path / "other", members=1, engine="raft")
    with other:
        shutil.copytree(net.node_dir(0) / "data", other.node_dir(0) / "data")
        before = every_row(other)
        refused(other, "foreign-data-dir", exit_code=Exit.INCOMPATIBLE_DATA)
        assert every_row(other) == before


def test_a_newer_layout_is_refused(net: Cluster) -> None:
    network = Genesis.decode(net.genesis_path.read_bytes()).network
    newer = wire.encode(Schema(SCHEMA_VERSION + 1, network))
    with plyvel.DB(str(net.node_dir(0) / "data" / "kv")) as database:
        database.put(rows.SCHEMA, newer)
    before = every_row(net)
    refused(
        net,
        "schema-mismatch",
        f"version {SCHEMA_VERSION + 1}",
        exit_code=Exit.INCOMPATIBLE_DATA,
    )
    assert every_row(net) == before


def into_tables(kv: Path) -> list[Path]:
    """Let LevelDB write its log out as tables, as a longer life would; return them."""
    with plyvel.DB(str(kv)) as database:
        database.compact_range()
    tables = sorted(kv.glob("*.ldb"))
    assert tables
    return tables


def flip(path: Path, *places: int) -> None:
    content = bytearray(path.read_bytes())
    for place in places:
        content[place] ^= 0x40
    path.write_bytes(content)


@pytest.mark.parametrize("what", ["CURRENT", "MANIFEST", "table"])
def test_damage_in_leveldb_is_refused(net: Cluster, what: str) -> None:
    kv = net.node_dir(0) / "data" / "kv"
    tables = into_tables(kv)
    if what == "CURRENT":
        flip(kv / "CURRENT", 3)
    elif what == "MANIFEST":
        (manifest,) = kv.glob("MANIFEST-*")
        flip(manifest, manifest.stat().st_size // 2)
    else:
        for table in tables:
            flip(table, *range(16, table.stat().st_size - 64, 256))
    bodies = segment_of(net).read_bytes()
    refused(net, "storage-corrupt", str(kv), exit_code=Exit.INCOMPATIBLE_DATA)
    assert segment_of(net).read_bytes() == bodies


def test_a_lost_index_beside_bodies_is_no_fresh_start(net: Cluster) -> None:
    """Starting empty would forget every vote and delete every body."""
    kv = net.node_dir(0) / "data" / "kv"
    (kv / "CURRENT").unlink()
    bodies, tables = segment_of(net).read_bytes(), sorted(item.name for item in kv.iterdir())
    refused(net, "storage-corrupt", exit_code=Exit.INCOMPATIBLE_DATA)
    assert segment_of(net).read_bytes() == bodies
    assert sorted(item.name for item in kv.iterdir()) == tables
    shutil.rmtree(kv)
    refused(net, "storage-corrupt", exit_code=Exit.INCOMPATIBLE_DATA)
    assert segment_of(net).read_bytes() == bodies


def segment_of(net: Cluster) -> Path:
    (segment,) = (net.node_dir(0) / "data" / "segments").glob("*.seg")
    return segment


def test_a_torn_tail_is_cut_and_told(net: Cluster) -> None:
    whole = segment_of(net).read_bytes()
    torn = b"CSR1 half a record that nobody was promised"
    segment_of(net).write_bytes(whole + torn)
    net.start(0)
    net.wait_ready(0)
    assert net.client(0).get("/v1/status")["height"] == BLOCKS
    net.stop(0)
    assert f"torn_bytes={len(torn)}" in net.log_tail(0, 50)
    assert segment_of(net).read_bytes() == whole


def test_a_missing_segment_is_refused(net: Cluster) -> None:
    segment_of(net).unlink()
    before = every_row(net)
    refused(net, "storage-corrupt", "segment file is missing", exit_code=Exit.INCOMPATIBLE_DATA)
    assert every_row(net) == before


def check(net: Cluster) -> subprocess.CompletedProcess[str]:
    config = str(net.node_dir(0) / CONFIG_NAME)
    return subprocess.run(
        [sys.executable, "-m", "node", "check", "--config", config],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_corrupt_segment_is_found_by_check(net: Cluster) -> None:
    sound = check(net)
    assert sound.returncode == Exit.OK, sound.stderr
    flip(segment_of(net), 60)
    found = check(net)
    assert found.returncode == Exit.VERIFICATION_FAILED, found.stderr
    assert segment_of(net).name in found.stdout
    assert "Traceback" not in found.stderr


# --- the interpreter ----------------------------------------------------------------------


def test_an_interpreter_without_assertions_is_refused(net: Cluster) -> None:
    before = every_byte(net)
    ended = start(net, flags=("-O",))
    assert ended.returncode == Exit.UNEXPECTED
    assert "refusing to run under -O" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert every_byte(net) == before
