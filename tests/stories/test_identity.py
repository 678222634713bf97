"""Family identity, told as stories: keys, licences, patients, devices, the directory."""

from pathlib import Path

import pytest

from tests.support.script import run_script
from tests.support.story import on_rules

STORIES = sorted(Path(__file__).parent.glob("identity-*.story"))


@pytest.mark.parametrize("path", STORIES, ids=[path.stem for path in STORIES])
def test_the_story_goes_as_it_is_told(path: Path) -> None:
    run_script(path, on_rules())


def test_there_are_stories() -> None:
    assert len(STORIES) == 5
