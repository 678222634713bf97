"""Decide whether a recorded history of concurrent operations is linearizable.

A history is linearizable when every operation can be given one moment between its call and
its return so that, in the order of these moments, each answer is what the sequential model
gives (Herlihy and Wing 1990).  The search is that of Wing and Gong with Lowe's memory of
visited configurations (2017); keys are judged one by one, since a history is linearizable
exactly when its part on every object is.

An operation whose outcome nobody learned stays pending for ever: it may take effect at any
moment after its call, or never.  A configuration that used up more of such operations than
another one, and differs in nothing else, cannot do better and is not searched.

The search is bounded by configurations, never by a clock: what it cannot decide it says.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

CONFIGURATIONS_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on the object ``key``: ``call`` and ``end`` are moments of one clock.

    ``end`` None: the outcome is unknown, ``output`` means nothing.  Operations known to have
    had no effect do not belong into a history.
    """

    process: int
    key: Hashable
    call: int
    end: int | None
    input: Hashable
    output: Any = None

    @property
    def is_pending(self) -> bool:
        return self.end is None


@dataclass(frozen=True, slots=True)
class Model:
    """A sequential object: ``step`` returns every state that ``operation`` may lead to.

    No state means that the operation cannot have given its output in that state.  States are
    hashable.  For a pending operation every output is allowed.
    """

    initial: Hashable
    step: Callable[[Any, Operation], tuple[Hashable, ...]]


class Outcome(Enum):
    LINEARIZABLE = "linearizable"
    VIOLATED = "not linearizable"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome, and for a violation where the longest attempt ended.

    ``stuck`` are the operations of ``key`` that could have come next there, and cannot.
    """

    outcome: Outcome
    configurations: int
    key: Hashable = None
    stuck: tuple[Operation, ...] = ()

    @property
    def is_linearizable(self) -> bool:
        return self.outcome is Outcome.LINEARIZABLE

    def __str__(self) -> str:
        text = f"{self.outcome.value} after {self.configurations} configurations"
        if self.outcome is Outcome.LINEARIZABLE:
            return text
        lines = [f"{text}, key {self.key!r}", *(f"  stuck: {item}" for item in self.stuck)]
        return "\n".join(lines)


def check(
    history: Iterable[Operation],
    model: Model,
    *,
    configurations_max: int = CONFIGURATIONS_MAX,
) -> Verdict:
    """Judge a history; the bound holds for all keys together."""
    by_key: dict[Hashable, list[Operation]] = defaultdict(list)
    for operation in history:
        by_key[operation.key].append(operation)
    used = 0
    undecided: list[Hashable] = []
    for key, operations in by_key.items():
        search = _Search(operations, model, configurations_max - used)
        outcome = search.run()
        used += search.configurations
        if outcome is Outcome.VIOLATED:
            return Verdict(outcome, used, key, search.stuck())
        if outcome is Outcome.UNDECIDED:
            undecided.append(key)
    if undecided:
        return Verdict(Outcome.UNDECIDED, used, undecided[0])
    return Verdict(Outcome.LINEARIZABLE, used)


@dataclass(frozen=True, slots=True)
class _Configuration:
    """Operations below ``base`` and those in ``ahead`` (bit 0 is ``base``) have taken effect.

    ``spent`` is the set of pending operations that have.
    """

    base: int
    ahead: int
    spent: int
    state: Hashable


class _Search:
    """Depth-first over configurations of one object."""

    def __init__(self, operations: list[Operation], model: Model, limit: int) -> None:
        operations = sorted(operations, key=lambda item: item.call)
        self._done = [item for item in operations if not item.is_pending]
        self._pending = [item for item in operations if item.is_pending]
        self._model = model
        self._limit = limit
        # Per (done operations, state): the smallest sets of spent pending operations seen.
        self._seen: dict[tuple[int, int, Hashable], list[int]] = {}
        self._best = _Configuration(0, 0, 0, model.initial)
        self._best_count = -1
        self.configurations = 0

    def run(self) -> Outcome:
        start = _Configuration(0, 0, 0, self._model.initial)
        if not self._done:
            return Outcome.LINEARIZABLE
        self._is_new(start)
        stack = [self._after(start)]
        while stack:
            following = next(stack[-1], None)
            if following is None:
                stack.pop()
                continue
            if following.base == len(self._done):
                return Outcome.LINEARIZABLE
            if not self._is_new(following):
                continue
            if self.configurations > self._limit:
                return Outcome.UNDECIDED
            stack.append(self._after(following))
        return Outcome.VIOLATED

    def stuck(self) -> tuple[Operation, ...]:
        """Return the completed operations that could not follow where most had."""
        return tuple(self._done[at] for at in self._ready(self._best)[0])

    def _is_new(self, item: _Configuration) -> bool:
        """Note a configuration; False when one at least as good was searched already."""
        seen = self._seen.setdefault((item.base, item.ahead, item.state), [])
        if any(spent & ~item.spent == 0 for spent in seen):
            return False
        seen[:] = [spent for spent in seen if item.spent & ~spent]
        seen.append(item.spent)
        self.configurations += 1
        count = item.base + item.ahead.bit_count()
        if count > self._best_count:
            self._best, self._best_count = item, count
        return True

    def _ready(self, item: _Configuration) -> tuple[list[int], int]:
        """Return who may come next, and the first return of those that have not come.

        Whoever was called after that return must wait for the one that returned.
        """
        ready: list[int] = []
        first_end = self._done[item.base].end
        assert first_end is not None
        at = item.base
        while at < len(self._done) and self._done[at].call <= first_end:
            if not item.ahead >> (at - item.base) & 1:
                ready.append(at)
                end = self._done[at].end
                assert end is not None
                first_end = min(first_end, end)
            at += 1
        return ready, first_end

    def _after(self, item: _Configuration) -> Iterator[_Configuration]:
        ready, first_end = self._ready(item)
        for at in ready:
            for state in self._model.step(item.state, self._done[at]):
                yield self._moved(item, at, state)
        tried: set[Hashable] = set()
        for number, operation in enumerate(self._pending):
            if operation.call > first_end:
                break
            # Of equal pending operations the one called first can stand in for the others.
            if item.spent >> number & 1 or operation.input in tried:
                continue
            tried.add(operation.input)
            for state in self._model.step(item.state, operation):
                spent = item.spent | 1 << number
                yield _Configuration(item.base, item.ahead, spent, state)

    @staticmethod
    def _moved(item: _Configuration, at: int, state: Hashable) -> _Configuration:
        base, ahead = item.base, item.ahead | 1 << (at - item.base)
        while ahead & 1:
            base, ahead = base + 1, ahead >> 1
        return _Configuration(base, ahead, item.spent, state)


# --- a register: read, write, compare-and-set ---------------------------------------------

READ = ("read",)


def write(value: Hashable) -> tuple[str, Hashable]:
    return ("write", value)


def cas(old: Hashable, new: Hashable) -> tuple[str, Hashable, Hashable]:
    """Write ``new`` if the value is ``old``; the output says whether it was."""
    return ("cas", old, new)


def _register_step(state: Hashable, operation: Operation) -> tuple[Hashable, ...]:
    match operation.input:
        case ("read",):
            return (state,) if operation.output == state else ()
        case ("write", value):
            return (value,)
        case ("cas", old, new):
            swapped = state == old
            if not operation.is_pending and operation.output is not swapped:
                return ()
            return (new,) if swapped else (state,)
        case _:
            pass
    raise ValueError(f"no operation of a register: {operation.input!r}")


def register(initial: Hashable = None) -> Model:
    """Return the model of one register that starts with ``initial``."""
    return Model(initial, _register_step)
