"""Telemetry of devices, told as a story on the pure rules."""

from pathlib import Path

import pytest

from tests.support.script import run_script
from tests.support.story import on_rules

STORIES = sorted(Path(__file__).parent.glob("telemetry*.story"))


def test_there_are_stories() -> None:
    assert STORIES


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story(path: Path) -> None:
    run_script(path, on_rules())
