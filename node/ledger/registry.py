"""The registry of operations: every family is one file under ``families``, found by name.

A family offers ``OPERATIONS`` (its verbs) and ``RESULTS`` (its result codes); adding a file
adds a family.  Kinds and result numbers are unique, checked when this module loads.
"""

import importlib
import pkgutil
from typing import Final

from node.ledger import families
from node.ledger.rules import COMMON, Operation, Result


def _load() -> tuple[dict[str, Operation], dict[int, Result]]:
    operations: dict[str, Operation] = {}
    results = {result.number: result for result in COMMON}
    names = sorted(module.name for module in pkgutil.iter_modules(families.__path__))
    for name in names:
        family = importlib.import_module(f"{families.__name__}.{name}")
        for operation in family.OPERATIONS:
            assert operation.kind not in operations, operation.kind
            operations[operation.kind] = operation
        for result in family.RESULTS:
            assert result.number not in results, result
            assert result.number < 1 << 16, result
            results[result.number] = result
    return operations, results


_loaded = _load()
OPERATIONS: Final = _loaded[0]
RESULTS: Final = _loaded[1]
BARRIERS: Final = frozenset(kind for kind, item in OPERATIONS.items() if item.barrier)


def result_of(number: int) -> Result:
    """Return the outcome behind a ledger number; unknown numbers are named, not hidden."""
    return RESULTS.get(number) or Result(number, f"result-{number}", "Unknown to this version.")
