"""member rotate-keys: a stopped node's voting keys are retired, once, and nothing else."""

import json

import pytest

from node import keys as keyfile
from node.cli.cluster import Cluster
from storage import mark as marks
from storage.mark import mark_path
from tests.support.served_ledger import run


@pytest.fixture
def cluster(tmp_path):
    return Cluster.create(tmp_path / "net", members=2, engine="raft")


def rotate(cluster, *words, exit_code=0, output="json"):
    config = cluster.node_dir(0) / "config.toml"
    return run(
        "-o", output, "member", "rotate-keys", "--config", config, *words, exit_code=exit_code
    )


def keys_of(cluster):
    directory = cluster.node_dir(0)
    return keyfile.load(
        directory / "node.key", keyfile.read_passphrase(directory / "passphrase")
    )


def test_the_old_file_stays_beside_the_new_one(cluster):
    old = keys_of(cluster)
    done = json.loads(rotate(cluster, "--yes").stdout)
    new = keys_of(cluster)
    assert done["state"] == "renewed"
    assert done["old_consensus_key"] == old.public.consensus.hex()
    assert done["consensus_key"] == new.public.consensus.hex() != done["old_consensus_key"]
    assert (new.public.identity, new.public.encryption) == (
        old.public.identity,
        old.public.encryption,
    )
    [retired] = cluster.node_dir(0).glob("node.key.retired-*")
    assert keyfile.load_public(retired)[1] == old.public


def test_twice_is_once(cluster):
    first = json.loads(rotate(cluster, "--yes").stdout)
    again = rotate(cluster, "--yes")
    assert "already" in again.stderr
    assert json.loads(again.stdout)["consensus_key"] == first["consensus_key"]
    assert len(list(cluster.node_dir(0).glob("node.key.retired-*"))) == 1


def test_without_consent_the_plan_is_all(cluster):
    old = keys_of(cluster)
    refused = rotate(cluster, exit_code=10, output="table")
    assert "1 of 2 vote   ! no spare" in refused.stderr
    assert json.loads(rotate(cluster, "--dry-run").stdout)["state"] == "planned"
    assert keys_of(cluster).public == old.public


def test_a_node_that_runs_keeps_its_keys(cluster):
    old, mark = keys_of(cluster), mark_path(cluster.node_dir(0) / "node.key")
    mark.write_bytes(b"as a node that runs holds it")
    mark.chmod(0o600)
    with marks.held(mark):
        refused = rotate(cluster, "--yes", exit_code=80)
    assert "key-in-use" in refused.stderr
    assert keys_of(cluster).public == old.public


def test_a_voter_that_is_alone_keeps_its_keys(tmp_path):
    alone = Cluster.create(tmp_path / "net", members=1, engine="raft")
    refused = rotate(alone, "--yes", exit_code=4)
    assert "membership-last-voter" in refused.stderr
