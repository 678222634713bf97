"""The registry: every family of operations and every family of questions is one file.

A file under ``families`` offers ``OPERATIONS`` (its verbs), ``RESULTS`` (its result codes) and,
if it has clocks, ``ALARMS``; one under ``questions`` offers ``QUESTIONS``.  Adding a file adds
a family.  Kinds, result numbers and names are unique, checked when this module loads.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Final

from node.ledger import families, questions
from node.ledger.asking import Question
from node.ledger.rules import COMMON, Alarm, Operation, Result


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        yield importlib.import_module(f"{package.__name__}.{name}")


def _load() -> tuple[dict[str, Operation], dict[int, Result], dict[str, Alarm]]:
    operations: dict[str, Operation] = {}
    results = {result.number: result for result in COMMON}
    alarms: dict[str, Alarm] = {}
    for family in _modules(families):
        for operation in family.OPERATIONS:
            assert operation.kind not in operations, operation.kind
            operations[operation.kind] = operation
        for result in family.RESULTS:
            assert result.number not in results, result
            assert result.number < 1 << 16, result
            results[result.number] = result
        for alarm in getattr(family, "ALARMS", ()):
            assert alarm.name not in alarms, alarm.name
            alarms[alarm.name] = alarm
    return operations, results, alarms


def _questions() -> dict[str, Question]:
    found: dict[str, Question] = {}
    for module in _modules(questions):
        for question in module.QUESTIONS:
            assert question.name not in found, question.name
            assert question.name not in OPERATIONS, f"{question.name} is an operation"
            taken = RESERVED.intersection(question.params.__dataclass_fields__)
            assert not taken, f"{question.name}: {taken} are the interfaces' own parameters"
            found[question.name] = question
    return found


RESERVED: Final = frozenset({"height", "proof", "consistency"})
_loaded = _load()
OPERATIONS: Final = _loaded[0]
RESULTS: Final = _loaded[1]
ALARMS: Final = _loaded[2]
QUESTIONS: Final = _questions()
BARRIERS: Final = frozenset(kind for kind, item in OPERATIONS.items() if item.barrier)


def result_of(number: int) -> Result:
    """Return the outcome behind a ledger number; unknown numbers are named, not hidden."""
    return RESULTS.get(number) or Result(number, f"result-{number}", "Unknown to this version.")
