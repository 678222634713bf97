"""The linearizability checker: small cases by hand, then brute force, then long histories."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chaos.linear import (
    READ,
    Model,
    Operation,
    Outcome,
    cas,
    check,
    register,
    write,
)
from tests.conformance import porcupine, run


def op(call: int, end: int | None, asked, output=None, key=None) -> Operation:
    return Operation(0, key, call, end, asked, output)


def outcome(*history: Operation) -> Outcome:
    return check(history, register()).outcome


OK, VIOLATED = Outcome.LINEARIZABLE, Outcome.VIOLATED


@pytest.mark.parametrize(
    ("history", "wanted"),
    [
        ([], OK),
        ([op(0, 1, READ)], OK),
        ([op(0, 1, READ, 5)], VIOLATED),
        ([op(0, 1, write(5)), op(2, 3, READ, 5)], OK),
        ([op(0, 1, write(5)), op(2, 3, READ)], VIOLATED),  # stale
        ([op(0, 3, write(5)), op(1, 2, READ)], OK),  # concurrent: either order
        ([op(0, 3, write(5)), op(1, 2, READ, 5)], OK),
        ([op(0, 5, write(5)), op(1, 2, READ, 5), op(3, 4, READ)], VIOLATED),  # back in time
        ([op(0, 1, write(5)), op(1, 2, READ)], OK),  # at one moment: concurrent
        ([op(0, None, write(5)), op(8, 9, READ, 5)], OK),  # took effect late
        ([op(0, None, write(5)), op(8, 9, READ)], OK),  # or never
        ([op(0, None, write(5)), op(1, 2, READ, 5), op(3, 4, READ)], VIOLATED),
        ([op(5, None, write(5)), op(1, 2, READ, 5)], VIOLATED),  # before it was called
        ([op(0, None, write(5)), op(1, 2, write(6)), op(3, 4, READ, 6), op(5, 6, READ, 5)], OK),
        ([op(0, 1, write(1)), op(2, 3, cas(1, 2), True), op(4, 5, READ, 2)], OK),
        ([op(0, 1, write(1)), op(2, 3, cas(1, 2), False)], VIOLATED),
        ([op(0, 1, write(1)), op(2, 3, cas(7, 2), True)], VIOLATED),
        ([op(0, 1, write(1)), op(2, None, cas(1, 2)), op(3, 4, READ, 2)], OK),
        ([op(0, 1, write(1)), op(2, None, cas(7, 2)), op(3, 4, READ, 2)], VIOLATED),
        # the first unknown write must not be used up on the way to the second
        (
            [
                op(0, None, write(1)),
                op(0, None, write(2)),
                op(1, 2, READ, 2),
                op(3, 4, READ, 1),
            ],
            OK,
        ),
        # two unknown writes of one value serve two readings of it
        (
            [
                op(0, None, write(5)),
                op(0, None, write(5)),
                op(1, 2, READ, 5),
                op(3, 4, write(6)),
                op(5, 6, READ, 5),
            ],
            OK,
        ),
        (
            [
                op(0, None, write(5)),
                op(1, 2, READ, 5),
                op(3, 4, write(6)),
                op(5, 6, READ, 5),
            ],
            VIOLATED,
        ),
    ],
)
def test_small_histories(history, wanted):
    assert outcome(*history) is wanted


def test_keys_are_judged_apart_and_the_wrong_one_is_named():
    good = [op(0, 1, write(1), key="a"), op(2, 3, READ, 1, key="a")]
    bad = [op(0, 1, write(1), key="b"), op(2, 3, READ, None, key="b")]
    assert check(good + [replace(item, key="c") for item in good], register()).is_linearizable
    verdict = check(good + bad, register())
    assert (verdict.outcome, verdict.key, verdict.stuck) == (VIOLATED, "b", (bad[1],))
    assert "stuck" in str(verdict)


def test_a_search_beyond_its_bound_says_so():
    history = [op(0, 100, write(value)) for value in range(12)]
    history += [op(101, 102, READ, 99)]
    verdict = check(history, register(), configurations_max=500)
    assert verdict.outcome is Outcome.UNDECIDED
    assert verdict.configurations <= 501
    assert not verdict.is_linearizable


def test_the_bound_holds_for_all_keys_together():
    history = [
        op(100 * key, 100 * key + 50, write(value), key=key)
        for key in range(20)
        for value in range(40)
    ]
    assert check(history, register()).configurations == 20 * 40
    verdict = check(history, register(), configurations_max=100)
    assert verdict.outcome is Outcome.UNDECIDED
    assert verdict.configurations < 2 * 100


def test_many_unknown_writes_of_few_values_are_no_burden():
    history = [op(at, None, write(at % 3)) for at in range(90)]
    history += [op(at, at + 1, READ, at % 3) for at in range(100, 250, 2)]
    verdict = check(history, register(), configurations_max=20_000)
    assert verdict.is_linearizable
    impossible = [*history, op(300, 301, READ, 7)]
    assert check(impossible, register(), configurations_max=200_000).outcome is VIOLATED


def test_a_model_may_leave_the_next_state_open():
    coin = Model(0, lambda state, item: (0, 1) if item.input == "flip" else _seen(state, item))
    assert check([op(0, 1, "flip"), op(2, 3, "look", 1)], coin).is_linearizable
    assert not check([op(0, 1, "flip"), op(2, 3, "look", 2)], coin).is_linearizable


def _seen(state, item) -> tuple:
    return (state,) if item.output == state else ()


# --- brute force ---------------------------------------------------------------------------

inputs = st.one_of(
    st.just(READ),
    st.builds(write, st.integers(0, 2)),
    st.builds(cas, st.integers(0, 2), st.integers(0, 2)),
)


@st.composite
def small_history(draw) -> list[Operation]:
    history = []
    for process in range(draw(st.integers(0, 5))):
        call = draw(st.integers(0, 12))
        end = draw(st.none() | st.integers(call + 1, call + 8))
        asked = draw(inputs)
        output = draw(st.booleans()) if asked[0] == "cas" else None
        if asked == READ:
            output = draw(st.none() | st.integers(0, 2))
        history.append(Operation(process, None, call, end, asked, output))
    return history


def by_brute_force(history: list[Operation]) -> bool:
    """Try every order of the completed operations with every choice of the pending ones."""
    done = {item for item in history if not item.is_pending}
    model = register()
    for size in range(len(done), len(history) + 1):
        for order in permutations(history, size):
            if not done <= set(order) or not _in_time(order):
                continue
            states = {model.initial}
            for item in order:
                states = {after for state in states for after in model.step(state, item)}
            if states:
                return True
    return False


def _in_time(order: tuple[Operation, ...]) -> bool:
    return not any(
        later.end is not None and later.end < earlier.call
        for at, earlier in enumerate(order)
        for later in order[at + 1 :]
    )


@settings(max_examples=400)
@given(small_history())
def test_the_search_agrees_with_brute_force(history):
    assert check(history, register()).is_linearizable == by_brute_force(history)


# --- long histories of a register that really is one ---------------------------------------


def recorded(rng: Random, *, processes: int, operations: int) -> list[Operation]:
    """Run clients against one register; each takes effect at one moment of its interval."""
    state: int | None = None
    history: list[Operation] = []
    running: dict[int, tuple[int, tuple, bool, object]] = {}  # call, input, took effect, output
    moment = fresh = 0
    names = list(range(processes))
    while len(history) < operations:
        moment += 1
        at = rng.randrange(len(names))
        process = names[at]
        if process not in running:
            fresh += 1
            asked = rng.choice(
                [READ, write(fresh), write(rng.randrange(4)), cas(state, fresh), cas(0, 1)]
            )
            running[process] = (moment, asked, False, None)
            continue
        call, asked, took_effect, output = running[process]
        if not took_effect:
            lost = rng.random() < 0.05
            if lost and rng.random() < 0.5:
                pass  # the request never arrived
            elif asked == READ:
                output = state
            elif asked[0] == "write":
                state = asked[1]
            else:
                output = state == asked[1]
                state = asked[2] if output else state
            running[process] = (call, asked, True, output)
            if lost:  # nobody hears the answer, and the client goes on under a new name
                history.append(Operation(process, None, call, None, asked))
                del running[process]
                names[at] = max(names) + 1
            continue
        history.append(Operation(process, None, call, moment, asked, output))
        del running[process]
    unheard = [
        Operation(name, None, call, None, asked) for name, (call, asked, *_) in running.items()
    ]
    return history + unheard


@pytest.mark.parametrize("seed", range(6))
def test_what_a_register_did_is_linearizable(seed):
    history = recorded(Random(seed), processes=4, operations=250)
    assert any(item.is_pending for item in history)
    assert check(history, register()).is_linearizable


@pytest.mark.parametrize("seed", range(6))
def test_one_stale_read_in_a_long_history_is_found(seed):
    rng = Random(seed)
    history = recorded(rng, processes=4, operations=250)
    stale = list(_overwritten(history))
    assert stale
    at, old = rng.choice(stale)
    history[at] = replace(history[at], output=old)
    assert check(history, register()).outcome is VIOLATED


def _overwritten(history: list[Operation]) -> Iterator[tuple[int, object]]:
    """Yield (read, a value that was surely overwritten before that read was called)."""
    done = [item for item in history if not item.is_pending]
    writes = {item.input[1]: item for item in done if item.input[0] == "write"}
    unique = [
        item
        for value, item in writes.items()
        if value >= 4
        and not any(other.input[-1] == value for other in history if other != item)
    ]
    for at, item in enumerate(history):
        if item.input != READ or item.is_pending:
            continue
        for old in unique:
            if any(old.end < new.call and new.end < item.call for new in writes.values()):
                yield at, old.input[1]


# --- recorded histories of other stores ----------------------------------------------------

LOG = """\
INFO  jepsen.util - 0\t:invoke\t:write\t3
INFO  jepsen.util - 1   :invoke :cas    [3 4]
INFO  jepsen.util - 0\t:ok\t:write\t3
INFO  jepsen.util - 1   :info   :cas    :timed-out
INFO  jepsen.util - 2\t:invoke\t:read\tnil
INFO  jepsen.util - 2\t:fail\t:read\t:timed-out
INFO  jepsen.util - 0\t:invoke\t:cas\t[7 8]
INFO  jepsen.util - 0\t:fail\t:cas\t[7 8]
INFO  jepsen.util - 2\t:invoke\t:read\tnil
INFO  jepsen.util - 2\t:ok\t:read\t4
INFO  jepsen.util - 3\t:invoke\t:read\tnil
"""


def test_events_become_operations():
    assert porcupine.recognises(LOG)
    assert porcupine.parse(LOG) == [
        Operation(0, None, 0, 2, write(3)),
        Operation(0, None, 6, 7, cas(7, 8), False),
        Operation(2, None, 8, 9, READ, 4),
        Operation(1, None, 1, None, cas(3, 4)),
    ]


@pytest.mark.parametrize(
    "text",
    [LOG + "noise\n", LOG + LOG, LOG.replace("0\t:invoke\t:write", "9\t:invoke\t:write")],
)
def test_malformed_histories_are_refused(text):
    with pytest.raises(ValueError, match="line"):
        porcupine.parse(text)


def test_the_runner_compares_verdicts(tmp_path, capsys):
    (tmp_path / "EXPECTED.txt").write_text("a.log  true\nb.log  false\nc.log  false\n")
    for name in "abd":
        (tmp_path / f"{name}.log").write_text(LOG)
    (tmp_path / "c.log").write_text(LOG.replace(":read\t4", ":read\t5"))
    assert run.main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == [
        "SKIP",
        "PASS",
        "FAIL",
        "PASS",
        "FAIL",
        "2",
    ]
    assert "expected not linearizable, found linearizable" in printed[2]
    assert "no verdict" in printed[4]
