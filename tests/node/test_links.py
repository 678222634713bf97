"""What a node tells its engine of links, and what its metrics say of ordering."""

from pathlib import Path
from typing import Any

import pytest

from node.wiring import Parts
from tests.support.nodes import running, until


@pytest.mark.parametrize("engine", ["raft", "pbft"])
async def test_a_broken_link_reaches_the_engine(tmp_path: Path, engine: str) -> None:
    async with running(tmp_path / "net", members=3, engine=engine) as nodes:
        told: list[str] = []
        inner: Any = nodes[0].parts.replica.driver.engine
        original = inner.unreachable

        def unreachable(peer: str) -> None:
            told.append(peer)
            original(peer)

        inner.unreachable = unreachable
        await nodes[2].stop()
        await until(lambda: nodes[2].id in told)
        assert set(told) == {nodes[2].id}


def value(parts: Parts, name: str) -> float:
    lines = parts.metrics.render().decode().splitlines()
    (found,) = [line for line in lines if line.startswith(f"chartseal_{name} ")]
    return float(found.split()[1])


@pytest.mark.parametrize("engine", ["raft", "pbft"])
async def test_metrics_and_status_follow_the_watermark_and_the_window(
    tmp_path: Path, engine: str
) -> None:
    flags = (("consensus.window", "3"),)
    async with running(tmp_path / "net", members=3, engine=engine, flags=flags) as nodes:
        parts = nodes[1].parts
        height = (await nodes[0].commit()).height
        assert height is not None
        await until(lambda: value(parts, "consensus_low_watermark") >= height)
        await until(lambda: value(parts, "consensus_in_flight") == 0)
        assert value(parts, "consensus_window") == 3
        progress = parts.service.progress()
        assert (progress.window, progress.in_flight, progress.contradictions) == (3, 0, 0)
        assert progress.low_watermark >= height
