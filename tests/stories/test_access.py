"""Family access, told as stories: asking and answering, the broken glass, local logs."""

from pathlib import Path

import pytest

from tests.support.script import run_script
from tests.support.story import on_rules

STORIES = sorted(Path(__file__).parent.glob("access*.story"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_goes_as_it_is_written(path: Path) -> None:
    run_script(path, on_rules())
