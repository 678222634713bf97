"""What a real network's members name as the cause of faults that were put into it.

These are a few of the faults of ``tests/why/faults.py``; ``make why-faults`` plays all of them
and writes the manual's table.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from node.cli.cluster import Cluster
from node.errors import Exit
from node.why.causes import BY_ID
from tests.why.faults import FAULTS, Fault
from tests.why.run import BEGIN, LEAST, MANUAL, play
from tests.why.stage import Stage

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.quick], ids=lambda fault: fault.id)
def test_a_fault_is_named_first(fault: Fault, tmp_path: Path) -> None:
    outcome = play(fault, tmp_path / "stage")
    assert outcome.right, outcome


def test_the_table_has_faults_enough_and_only_causes_that_exist() -> None:
    assert len(FAULTS) >= 30
    assert len({fault.id for fault in FAULTS}) == len(FAULTS)
    assert {fault.expect for fault in FAULTS} <= set(BY_ID)
    text = MANUAL.read_text()
    assert BEGIN in text
    right, _, rest = text.partition(BEGIN)[2].strip().partition(" of ")
    assert int(right) >= LEAST
    assert int(rest.partition(" ")[0]) <= len(FAULTS)


def test_every_cause_has_its_place_in_the_manual() -> None:
    text = MANUAL.read_text()
    assert [kind for kind in BY_ID if f'<a id="{kind}"></a>' not in text] == []


def chartseal(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "node", *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_command_asks_by_token_or_on_the_machine_and_says_the_same(tmp_path: Path) -> None:
    with Stage(tmp_path / "stage") as stage:
        cluster: Cluster = stage.cluster
        stage.up()
        stage.until(lambda: stage.why(0)["causes"] == [], "nothing is wrong")
        config = str(stage.config(0))
        well = chartseal("why", "--config", config, "--check")
        assert well.returncode == 0, well.stderr
        assert "nothing is wrong" in well.stdout
        cluster.kill(3)
        stage.until(lambda: stage.why(0)["first"] == "member-down", "hosp4 is missed")
        here = chartseal("why", "--config", config, "--check", "--all")
        assert here.returncode == Exit.UNHEALTHY
        assert "hosp4 does not listen" in here.stdout
        assert "next: start that member's node" in here.stdout
        token = str(cluster.token_path)
        asked = chartseal(
            "--endpoint", cluster.endpoint(0), "--token-file", token, "-o", "json", "why"
        )
        report = json.loads(asked.stdout)
        assert (report["first"], report["missing"]) == ("member-down", ["hosp4"])
        assert report["quorum"] == 3
        status = chartseal("--endpoint", cluster.endpoint(0), "--token-file", token, "status")
        assert "hosp4 does not listen" in status.stdout
        for what in ("tasks", "stacks", "memory"):
            shown = chartseal("debug", what, "--config", config)
            assert shown.returncode == 0, shown.stderr
            assert len(shown.stdout.splitlines()) > 3
