"""The rehearsal that operators can run, in its short form: real processes, real faults.

``chartseal dev chaos --rounds 200`` is the long form.  ``CHARTSEAL_SEED`` repeats a run.
"""

import os
import random
from pathlib import Path

import pytest

from node.chaos.plan import NAMES
from node.chaos.runner import Rehearsal, rehearse

pytestmark = pytest.mark.cluster


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("engine", "voters"), [("raft", 3), ("pbft", 4)])
def test_a_network_gets_over_every_kind_of_fault(
    engine: str, voters: int, tmp_path: Path
) -> None:
    seed = int(os.environ.get("CHARTSEAL_SEED", random.randrange(1 << 32)))
    played = Rehearsal(seed, len(NAMES), engine, voters)
    said: list[str] = []
    report = rehearse(played, tmp_path / "net", said.append)
    assert report.passed, f"CHARTSEAL_SEED={seed} {report.failure}\n{report.verdicts}\n{said}"
    assert set(report.struck) == set(NAMES)
    assert report.acknowledged > 100
    rules = {verdict.rule for verdict in report.verdicts}
    assert rules == {"linearizable", "roots-equal", "nothing-lost", "check-clean"}
