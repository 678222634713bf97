"""What the ledger does not keep of a resource: the part that stays with whoever sent it.

A remainder is the difference between the resource as it came and as the ledger can write it,
so ``rejoin(ledger's, remainder)`` gives the resource that came, whole, and nothing that the
ledger holds stands in it twice.  It holds references and texts: it never goes on the ledger.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Remainder:
    """``put``: values to set at their paths, in order; ``drop``: what the ledger's form has
    and the resource had not."""

    put: tuple[tuple[Path, Any], ...]
    drop: tuple[Path, ...]


def remainder(resource: dict[str, Any], kept: dict[str, Any]) -> Remainder:
    """Return what is missing in ``kept`` of ``resource``."""
    put: list[tuple[Path, Any]] = []
    drop: list[Path] = []
    _compare((), resource, kept, put, drop)
    return Remainder(tuple(put), tuple(drop))


def _compare(
    path: Path, whole: Any, kept: Any, put: list[tuple[Path, Any]], drop: list[Path]
) -> None:
    if isinstance(whole, dict) and isinstance(kept, dict):
        keys: list[tuple[Any, bool, bool]] = [(key, True, key in kept) for key in whole]
        keys += [(key, False, True) for key in kept if key not in whole]
    elif isinstance(whole, list) and isinstance(kept, list):
        longest = max(len(whole), len(kept))
        keys = [(at, at < len(whole), at < len(kept)) for at in range(longest)]
    else:
        if type(whole) is not type(kept) or whole != kept:
            put.append((path, deepcopy(whole)))
        return
    for key, there, held in keys:
        if there and held:
            _compare((*path, key), whole[key], kept[key], put, drop)
        elif there:
            put.append(((*path, key), deepcopy(whole[key])))
        else:
            drop.append((*path, key))


def rejoin(kept: dict[str, Any], rest: Remainder) -> dict[str, Any]:
    """Return the resource that ``rest`` was taken from."""
    whole = deepcopy(kept)
    for path in reversed(rest.drop):  # of a list the last first: places stay what they were
        parent = _parent(whole, path)
        del parent[path[-1]]
    for path, value in rest.put:
        parent, key = _parent(whole, path), path[-1]
        if isinstance(parent, list) and key == len(parent):
            parent.append(deepcopy(value))
        else:
            parent[key] = deepcopy(value)
    return whole


def _parent(whole: Any, path: Path) -> Any:
    for key in path[:-1]:
        whole = whole[key]
    return whole
