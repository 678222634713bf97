"""The short form of the fuzzer, on every test run; and proof that it would notice.

``make fuzz`` throws a million frames at each engine.  Here a few thousand, and planted faults:
an exception out of a step, state that a refused frame moves, memory that never stops growing.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.fuzz import run
from tests.fuzz.members import Harvest, harvest
from tests.fuzz.mutate import Mutator
from tests.fuzz.run import ENGINES, Episode, Fault, Tally, fuzz

pytestmark = pytest.mark.sim

FRAMES = 10_000


@pytest.fixture(scope="module", params=ENGINES)
def found(request: pytest.FixtureRequest) -> Harvest:
    return harvest(request.param, 0, span_ms=6000)


def test_a_harvest_holds_every_kind_of_frame_and_members_in_many_situations(
    found: Harvest,
) -> None:
    situations = " ".join(found.members)
    for role in ("leader follower candidate", "primary backup view-change"):
        if role.split()[0] in situations:
            assert all(word in situations for word in role.split())
            break
    else:
        raise AssertionError(f"nobody led: {situations}")
    assert "restarted" in situations
    assert len(found.frames) >= 7
    assert all(kept for kept in found.frames.values())


def test_the_same_dice_make_the_same_frames(found: Harvest) -> None:
    def some() -> list[tuple[str, bytes]]:
        liar, victim = found.fabric.ids[:2]
        mutator = Mutator(found, random.Random("same"), victim=victim, liar=liar)
        return [mutator.frame() for _ in range(300)]

    assert some() == some()


def test_no_frame_moves_an_engine_to_an_exception(found: Harvest) -> None:
    engine, seed = found.fabric.engine, random.randrange(1 << 30)
    tally = fuzz(engine, seed=seed, frames=FRAMES, found=found)
    assert tally.frames >= FRAMES
    # Else it would test nothing but the decoder, or nothing but the engine.
    assert tally.stepped > tally.frames // 5
    assert sum(tally.reasons.values()) > tally.frames // 5
    assert len(tally.kinds) >= 7


# --- would it notice? -----------------------------------------------------------------------


class Spoiled:
    """An engine with a fault of ours in ``step``; all else is the true engine's."""

    def __init__(self, inner: Any, step: Callable[..., None]) -> None:
        self._inner, self._step = inner, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_inner"], name)

    def step(self, sender: Any, message: Any) -> None:
        self._step(self._inner, sender, message)


def spoiled(found: Harvest, step: Callable[..., None]) -> Episode:
    episode = Episode(found, random.Random(7), Tally())
    driver = episode._node.driver
    driver.engine = Spoiled(driver.engine, step)  # type: ignore[assignment]
    return episode


def test_an_exception_is_noticed(found: Harvest) -> None:
    def step(_inner: Any, _sender: Any, _message: Any) -> None:
        raise KeyError("a peer's word")

    with pytest.raises(KeyError):
        spoiled(found, step).play(200)


def test_endless_memory_is_noticed(found: Harvest, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []

    def step(inner: Any, _sender: Any, message: Any) -> None:
        kept.append((message, len(kept) + 10_000))

    episode = spoiled(found, step)
    episode._node.driver.engine.kept = kept  # type: ignore[attr-defined]
    monkeypatch.setattr(run, "PARTS_GROWTH_MAX", 300)
    with pytest.raises(Fault, match="parts"):
        episode.play(400)


def test_a_refused_frame_that_moves_the_engine_is_noticed(
    found: Harvest, monkeypatch: pytest.MonkeyPatch
) -> None:
    episode = Episode(found, random.Random(3), Tally())
    engine, admit = episode._node.driver.engine, episode._fabric.admit

    def careless(sender: str, raw: bytes) -> tuple[Any, str]:
        message, why = admit(sender, raw)
        if message is None:
            engine.tick(episode._node.now_ms + 10_000_000)
        return message, why

    monkeypatch.setattr(run, "FINGERPRINT_SHARE", 1.0)
    monkeypatch.setattr(episode._fabric, "admit", careless)
    with pytest.raises(Fault, match="refused frame"):
        episode.play(64)
