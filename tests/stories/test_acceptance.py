"""Acceptance: each scenario of the product from its first actor to its last question.

Here the stories are played on the pure rules; ``tests/stories/run.py`` plays the same files on
real nodes.
"""

from pathlib import Path

import pytest

from tests.support.script import run_script
from tests.support.story import on_rules

STORIES = sorted((Path(__file__).parent / "acceptance").glob("*.story"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_scenario_goes_from_its_first_actor_to_its_last_question(path: Path) -> None:
    run_script(path, on_rules())


def test_there_are_scenarios_to_play() -> None:
    assert STORIES
