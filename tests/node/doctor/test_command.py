"""The doctor's command: forms, choices and exit codes."""

import json
from pathlib import Path

import pytest

from node.cli.cluster import Cluster
from node.doctor.finding import GROUPS
from node.errors import Exit
from tests.support.served_ledger import run


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the settings of a node that has never run."""
    cluster = Cluster.create(tmp_path_factory.mktemp("command") / "net", members=1)
    return str(cluster.node_dir(0) / "config.toml")


def test_findings_have_every_member_and_a_place_in_the_manual(config: str) -> None:
    # How fast this machine's disk is at the moment is no matter of the product's.
    skipped = ("--skip", "disk.sync", "--skip", "os")
    document = json.loads(run("-o", "json", "doctor", "--config", config, *skipped).stdout)
    assert list(document) == ["healthy", "counts", "findings"]
    page = (Path(__file__).parents[3] / "deploy" / "docs" / "doctor.md").read_text()
    assert {row["group"] for row in document["findings"]} == set(GROUPS) - {"os"}
    for row in document["findings"]:
        assert list(row) == [
            "id", "group", "severity", "what", "evidence", "fix", "docs", "mended",
        ]  # fmt: skip
        anchor = row["docs"].partition("#")[2]
        assert f"\n## {anchor}\n" in page


def test_something_that_failed_is_exit_9_and_says_what_to_do(
    config: str, tmp_path: Path
) -> None:
    broken = tmp_path / "config.toml"
    broken.write_text(Path(config).read_text() + "\n[nonsense]\n")
    said = run("doctor", "--config", broken, "--only", "cfg", exit_code=Exit.UNHEALTHY).stdout
    assert "FAIL  cfg.parse" in said
    assert "next: correct the line" in said


def test_groups_and_single_checks_are_chosen_and_left_out(config: str) -> None:
    def ids(*words: str) -> list[str]:
        found = json.loads(run("-o", "json", "doctor", "--config", config, *words).stdout)
        return [row["id"] for row in found["findings"]]

    assert ids("--only", "cfg.parse", "--only", "version") == [
        "cfg.parse", "version.peers", "version.data", "version.upgrade",
    ]  # fmt: skip
    assert ids("--only", "quorum", "--skip", "quorum.spare") == [
        "quorum.reachable", "quorum.evidence",
    ]  # fmt: skip
    run("doctor", "--config", config, "--only", "nonsense", exit_code=Exit.USAGE)


def test_strict_counts_warnings(config: str) -> None:
    chosen = ("doctor", "--config", config, "--only", "security.scopes")
    run(*chosen)
    run(*chosen, "--strict", exit_code=Exit.UNHEALTHY)
