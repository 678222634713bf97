"""The stories of claims, played on the rules alone."""

from pathlib import Path

import pytest

from tests.support.script import run_script
from tests.support.story import on_rules

STORIES = sorted(Path(__file__).parent.glob("claim*.story"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_goes_as_it_is_told(path):
    run_script(path, on_rules())
