"""A support bundle of a node that was fed with a population holds nothing of anybody.

Four real nodes are fed through every interface, well and badly, with words of seeded people;
one of them is made a bundle of, while it runs and after it was killed.  Every byte of every
file in it is read, and of the archive itself.
"""

import base64
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.cli.cluster import Cluster
from node.cli.layout import CONFIG_NAME
from node.errors import Exit
from tests.support.disk_search import Searcher, in_base64, json_forms
from tests.support.feeding import Feeder, bodies, hungry
from tests.support.hostile import keys_of
from tests.support.population import Population

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(500)]

SEED = 20_260_601


@dataclass
class Made:
    cluster: Cluster
    feeder: Feeder
    given: dict[str, Any]
    bundles: dict[str, Path]


def make(cluster: Cluster, target: Path, *more: str) -> Path:
    config = str(cluster.node_dir(0) / CONFIG_NAME)
    command = [sys.executable, "-m", "node", "debug", "zip", "--config", config]
    run = subprocess.run(
        [*command, "--output", str(target), "--gap", "0", *more],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return target


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    directory, people = tmp_path_factory.mktemp("bundle"), Population(SEED)
    with hungry(directory / "net", people) as feeder:
        cluster, given = feeder.cluster, bodies()
        feeder.post_resources()
        feeder.misuse(given)
        feeder.operate(given)
        # What a bad day leaves in a log: an error's text, a line of another program.
        with cluster.log_path(0).open("a") as log:
            log.write(f"ValueError: cannot read {people.words[0]}\n")
            log.write(f"12:00:00 INFO    request.failed request={people.words[1]} code=x\n")
            line = {"event": "request.failed", "request": people.words[2]}
            log.write(json.dumps({**line, "say": people.words[3]}) + "\n")
        token = str(cluster.token_path)
        nodes = [f"{m.id}={cluster.endpoint(at)}" for at, m in enumerate(cluster.members)]
        up = directory / "up.zip"
        config = str(cluster.node_dir(0) / CONFIG_NAME)
        run = subprocess.run(
            [sys.executable, "-m", "node", "--token-file", token, "debug", "zip", "--config",
             config, "--output", str(up), "--gap", "1", "--nodes", "all",
             "--node", nodes[1], "--node", "hosp3=http://127.0.0.1:1"],
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        cluster.kill(0)
        offline = make(cluster, directory / "offline.zip", "--offline")
        yield Made(cluster, feeder, given, {"up": up, "offline": offline})


def patterns(made: Made) -> Searcher:
    people, found = made.feeder.people, Searcher()
    for word in people.words:
        found.add_text(word)
    for word in people.guessable:
        found.add_hashes(word.encode(), f"text {word!r}")
    for tree, octets in made.feeder.sent:
        for raw in json_forms(tree, octets):
            found.add_hashes(raw, f"resource {tree['resourceType']}")
    for at in range(len(made.cluster.members)):
        keys = keys_of(made.cluster, at)
        for secret in keys._seeds:
            found.add(forms(secret), "a private key")
        passphrase = (made.cluster.node_dir(at) / "passphrase").read_text().strip()
        found.add_text(passphrase)
    token = made.cluster.token_path.read_text().strip()
    found.add_text(token)
    found.add_text(token.rpartition("_")[2])
    for handle in handles(made.given):
        found.add(forms(handle), "a handle")
    for tx_id in transactions(made.cluster):
        found.add(forms(bytes.fromhex(tx_id)), "a transaction id")
    return found


def forms(raw: bytes) -> Iterator[tuple[str, bytes]]:
    yield "octets", raw
    yield "hex", raw.hex().encode()
    yield "hex", raw.hex().upper().encode()
    yield "hex", raw.hex(" ").encode()
    yield "base64", base64.b64encode(raw)[:20]
    for coded in in_base64(raw):
        yield "base64", coded


def handles(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes) and len(value) in (16, 32):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from handles(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from handles(item)


def transactions(cluster: Cluster) -> Iterator[str]:
    client = cluster.client(1)
    for height in range(1, int(client.get("/v1/status")["height"]) + 1):
        for item in client.get(f"/v1/blocks/{height}")["transaction_ids"]:
            yield item["tx_id"]


@pytest.mark.parametrize("which", ["up", "offline"])
def test_no_byte_of_a_bundle_is_anybodys(made: Made, which: str) -> None:
    searcher = patterns(made)
    assert len(searcher) > 10_000
    path = made.bundles[which]
    read = searcher.find(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        for name in names:
            raw = archive.read(name)
            read += [f"{name}: {what}" for what in searcher.find(name.encode() + b"\n" + raw)]
    assert read == []
    assert len(names) > 8


def test_the_search_finds_what_is_put_in(made: Made) -> None:
    searcher = patterns(made)
    word = made.feeder.people.words[5]
    handle = next(handles(made.given))
    for planted in (word.encode(), handle.hex().encode(), handle):
        assert searcher.find(b"x" * 1_000 + planted + b"y" * 1_000)


def test_what_helps_is_there(made: Made) -> None:
    with zipfile.ZipFile(made.bundles["up"]) as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("manifest.json"))
        log = [json.loads(line) for line in archive.read("self/log.jsonl").splitlines()]
        metrics = archive.read("self/metrics-2.txt")
    expected = (
        "why", "doctor", "system", "config", "certificates", "files", "members", "status",
        "observation", "tasks", "stacks", "memory",
    )  # fmt: skip
    assert {f"self/{name}.json" for name in expected} <= names
    assert {"members/hosp2/why.json", "members/hosp2/status.json"} <= names
    assert manifest["not_had"]["members/hosp3"] == "node-unreachable"
    assert "no --node" in manifest["not_had"]["members/hosp4"]
    assert b"chartseal_ledger_height" in metrics
    events = [line.get("event") for line in log]
    assert "node.start" in events
    assert "peer.up" in events
    assert log[-1]["left_out_lines"] >= 1
    with zipfile.ZipFile(made.bundles["offline"]) as archive:
        stopped = json.loads(archive.read("self/consensus.json"))
        why = json.loads(archive.read("self/why.json"))
    assert stopped["height"] > 0
    assert stopped["records"]
    assert why["first"] == "not-running"


def test_a_bundle_is_read_whole_or_not_at_all(made: Made, tmp_path: Path) -> None:
    def show(path: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "node", "-o", "json", "debug", "show", str(path)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    shown = show(made.bundles["offline"])
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["causes"] == ["not-running"]
    bent = tmp_path / "bent.zip"
    with zipfile.ZipFile(made.bundles["up"]) as old, zipfile.ZipFile(bent, "w") as new:
        for name in old.namelist():
            raw = old.read(name)
            new.writestr(name, raw + b" " if name == "self/config.json" else raw)
    refused = show(bent)
    assert refused.returncode == Exit.VERIFICATION_FAILED
    assert "self/config.json" in refused.stderr
