"""The consent family as stories: a patient's rules, a child, laws that stand before both."""

from pathlib import Path

import pytest

from tests.support.script import run_script
from tests.support.story import on_rules

STORIES = sorted(Path(__file__).parent.glob("consent*.story"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_ends_as_it_is_told(path: Path) -> None:
    run_script(path, on_rules())


def test_there_are_stories() -> None:
    assert len(STORIES) == 3
