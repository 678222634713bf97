"""What a study does with patients' data, and what they get for it, played on the pure rules."""

from pathlib import Path

import pytest

from tests.support.script import run_script
from tests.support.story import on_rules

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", ["research", "reward"])
def test_the_story_of_a_study(name: str) -> None:
    run_script(HERE / f"{name}.story", on_rules())
