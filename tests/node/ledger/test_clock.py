"""Alarms: fired in order of time and setting, bounded per block, the same for every heap."""

from hypothesis import given
from hypothesis import strategies as st

from node.ledger import clock, execute, registry
from node.ledger.block import Header
from node.ledger.rules import Alarm, Moment
from node.ledger.state import Overlay, genesis_state
from tests.support.ledger import genesis

STATE = genesis_state(genesis())


def drain(view: Overlay, now_ms: int) -> list[bytes]:
    fired = []
    while (due := clock.pop_due(view, now_ms)) is not None:
        fired.append(due.key)
    return fired


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=60))
def test_alarms_fire_in_order_of_time_then_setting(steps: list[tuple[int, bool]]) -> None:
    """Against a sorted list: set alarms, now and then fire what is due."""
    view = Overlay({}.get)
    waiting: list[tuple[int, int]] = []
    for number, (time_ms, fire) in enumerate(steps):
        clock.set_alarm(view, "test.alarm", number.to_bytes(2, "big"), time_ms=time_ms)
        waiting.append((time_ms, number))
        if fire:
            due = sorted(item for item in waiting if item[0] <= 25)
            assert drain(view, 25) == [number.to_bytes(2, "big") for _, number in due]
            waiting = [item for item in waiting if item not in due]
    assert clock.waiting(view).count == len(waiting)
    assert drain(view, 50) == [number.to_bytes(2, "big") for _, number in sorted(waiting)]


def test_an_empty_clock_leaves_no_rows_behind() -> None:
    view = Overlay({}.get)
    clock.set_alarm(view, "test.alarm", b"a", time_ms=5)
    assert drain(view, 4) == []
    assert drain(view, 5) == [b"a"]
    assert [key for key, value in view.writes.items() if value is not None] == [b"clock"]


def test_a_time_that_never_comes_is_not_kept() -> None:
    view = Overlay({}.get)
    clock.set_alarm(view, "test.alarm", b"a", time_ms=1 << 63)
    assert view.writes == {}


def test_a_block_fires_what_is_due_and_leaves_the_rest_for_the_next(monkeypatch) -> None:
    seen: list[tuple[int, bytes]] = []

    def fire(moment: Moment, key: bytes) -> None:
        seen.append((moment.height, key))
        moment.index.append((b"fired/" + key, b""))

    monkeypatch.setitem(registry.ALARMS, "test.alarm", Alarm("test.alarm", fire, "Fires."))
    view = Overlay(STATE.get)
    count = clock.FIRED_PER_BLOCK_MAX + 3
    for number in range(count):
        clock.set_alarm(view, "test.alarm", number.to_bytes(2, "big"), time_ms=100)
    state = {**STATE, **{key: value for key, value in view.writes.items() if value is not None}}
    for height, time_ms in ((1, 99), (2, 100), (3, 101)):
        header = Header(1, bytes(32), 0, height, bytes(32), time_ms, "alder", bytes(32))
        outcome = execute.execute(header, [], state.get, first_index=0)
        for key, value in outcome.writes.items():
            if value is None:
                state.pop(key)
            else:
                state[key] = value
        assert len(outcome.index) == sum(1 for at, _ in seen if at == height)
    assert [at for at, _ in seen] == [2] * clock.FIRED_PER_BLOCK_MAX + [3] * 3
    assert [key for _, key in seen] == [n.to_bytes(2, "big") for n in range(count)]


def test_every_alarm_belongs_to_a_family() -> None:
    families = {kind.partition(".")[0] for kind in registry.OPERATIONS}
    for name, alarm in registry.ALARMS.items():
        assert alarm.name == name
        assert name.partition(".")[0] in families
        assert alarm.say.endswith(".")
