"""How long a rehearsal waits for a node that is behind."""

from types import SimpleNamespace

import pytest

from node.chaos import world as worlds
from node.chaos.world import World


class Slow(World):
    """One node; its height is what ``height_at`` says of the seconds that have passed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, stops_at: int) -> None:
        self.now_s, self.stops_at = 0.0, stops_at
        clock = SimpleNamespace(monotonic=lambda: self.now_s, sleep=self._sleep)
        monkeypatch.setattr(worlds, "time", clock)

    def _sleep(self, _seconds: float) -> None:
        self.now_s += 1.0

    def height(self, at: int) -> int:
        assert at == 0
        return min(int(self.now_s), self.stops_at)

    def reaches(self, height: int) -> None:
        self.until(
            lambda: self.height(0) >= height, "there", patience_s=30, behind=lambda: (0,)
        )


def test_patience_begins_anew_with_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch, stops_at=1000)
    slow.reaches(500)
    assert slow.now_s == 500


def test_who_stands_still_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch, stops_at=100)
    with pytest.raises(TimeoutError, match="there after 131 s"):
        slow.reaches(500)


def test_not_even_progress_is_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch, stops_at=10**6)
    with pytest.raises(TimeoutError, match="there after 901 s"):
        slow.reaches(10**5)
