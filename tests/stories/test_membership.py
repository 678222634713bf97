"""Stories of family membership: who joins and leaves, new keys, engines, features."""

from pathlib import Path

import pytest

from tests.support.script import run_script
from tests.support.story import on_rules


@pytest.mark.parametrize("name", ["membership", "membership_keys"])
def test_the_story(name: str) -> None:
    run_script(Path(__file__).with_name(f"{name}.story"), on_rules())
