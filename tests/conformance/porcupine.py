"""Judge recorded histories of a real store and compare with the verdicts of another checker.

The histories are those of Jepsen runs against etcd: one register with read, write and
compare-and-set; an outcome reported as ``:info`` is unknown.  ``EXPECTED.txt`` beside a
history says ``name  true`` or ``name  false``: whether the checker of the porcupine project
found it linearizable.  A history that ours cannot decide counts as a difference.
"""

import re
from collections.abc import Hashable
from pathlib import Path

from node.chaos.linear import (
    READ,
    Operation,
    Outcome,
    cas,
    register,
    write,
)
from node.chaos.linear import (
    check as check_history,
)

EXPECTED = "EXPECTED.txt"
EVENT = re.compile(
    r"INFO\s+jepsen\.util - (\d+)\s+:(invoke|ok|fail|info)\s+:(read|write|cas)\s+(.+)"
)
PAIR = re.compile(r"\[(\d+) (\d+)\]")


def recognises(text: str) -> bool:
    first = text.lstrip().split("\n", 1)[0].strip()
    return EVENT.fullmatch(first) is not None


def check(path: Path, text: str) -> str | None:
    """Return None when our verdict is the recorded one, else the difference."""
    recorded = expected(path.parent / EXPECTED).get(path.name)
    if recorded is None:
        return f"no verdict for it in {EXPECTED}"
    verdict = check_history(parse(text), register())
    wanted = Outcome.LINEARIZABLE if recorded else Outcome.VIOLATED
    return None if verdict.outcome is wanted else f"expected {wanted.value}, found {verdict}"


def expected(path: Path) -> dict[str, bool]:
    """Return the recorded verdicts by file name; empty when there are none."""
    if not path.is_file():
        return {}
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    words = {"true": True, "false": False}
    return {row[0]: words[row[1]] for row in rows if len(row) == 2 and row[1] in words}


def parse(text: str) -> list[Operation]:
    """Return the operations of a history; raises ValueError where it is malformed.

    The line number is the clock.  Reads without an answer tell nothing and are left out; a
    compare-and-set that failed did compare, so it stays.
    """
    history: list[Operation] = []
    open_calls: dict[int, tuple[int, Hashable]] = {}
    for moment, line in enumerate(text.splitlines()):
        event = EVENT.fullmatch(line.strip())
        if event is None:
            if line.strip():
                raise ValueError(f"line {moment + 1} is no event")
            continue
        process, kind, value = int(event[1]), event[3], event[4].strip()
        if event[2] == "invoke":
            if process in open_calls:
                raise ValueError(f"line {moment + 1}: process {process} is busy")
            open_calls[process] = (moment, _input(kind, value))
            continue
        if process not in open_calls:
            raise ValueError(f"line {moment + 1}: process {process} called nothing")
        if event[2] == "info":
            continue  # nobody learns the outcome: the call stays open
        call, asked = open_calls.pop(process)
        output: Hashable = None
        if kind == "read":
            if event[2] == "fail":
                continue
            output = _value(value)
        elif kind == "cas":
            output = event[2] == "ok"
        elif event[2] == "fail":
            continue  # a write refused did nothing
        history.append(Operation(process, None, call, moment, asked, output))
    for process, (call, asked) in open_calls.items():
        if asked != READ:
            history.append(Operation(process, None, call, None, asked))
    return history


def _input(kind: str, value: str) -> Hashable:
    if kind == "read":
        return READ
    if kind == "write":
        return write(int(value))
    pair = PAIR.fullmatch(value)
    if pair is None:
        raise ValueError("a compare-and-set takes two values")
    return cas(int(pair[1]), int(pair[2]))


def _value(text: str) -> int | None:
    return None if text == "nil" else int(text)
