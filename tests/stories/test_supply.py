"""What happens to medicines on their way, played on the pure rules."""

from pathlib import Path

import pytest

from tests.support.script import run_script
from tests.support.story import on_rules

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", ["supply", "supply-safety", "supply-clocks"])
def test_the_story_of_the_supply_chain(name: str) -> None:
    run_script(HERE / f"{name}.story", on_rules())
