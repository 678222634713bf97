"""The acceptance stories on real nodes of both engines: answers are those of the rules.

``make stories`` plays them too and shows each as it goes.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.run import cast_of, stories
from tests.support.story_cluster import Processes, play

pytestmark = pytest.mark.cluster

CASTS = sorted({cast_of(path) for path in stories([])})


@pytest.fixture(params=["pbft", "raft"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(tmp_path, request.param)
    yield processes
    processes.down()


@pytest.mark.parametrize("cast", CASTS, ids=range(len(CASTS)))
def test_stories_go_on_real_nodes_as_they_go_on_the_rules(world: Processes, cast: str) -> None:
    told = [path for path in stories([]) if cast_of(path) == cast]
    for path in told:
        wanted, said = play(path, world, salt=f"{path.stem}/")
        assert said == wanted, path.stem
    assert len(world.roots()) == 1, "every member has the same state"


def test_every_row_of_opportunities_has_its_story() -> None:
    numbers = [int(path.stem.partition("-")[0]) for path in stories([])]
    assert numbers == list(range(1, 14))
