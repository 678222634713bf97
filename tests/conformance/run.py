"""Judge a folder of other people's test files: ``python tests/conformance/run.py FOLDER``.

Every file is shown to each oracle; the first that recognises its format judges it.  Prints
``PASS path`` or ``FAIL path: why`` per judged file, ``SKIP path`` for a format without an
oracle, and the closing line ``N passed, N failed``.  Exit code 1 when anything failed, or
when nothing could be judged: an empty run proves nothing.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.conformance import (
    ed25519,
    etcd_confchange,
    etcd_interaction,
    etcd_quorum,
    merkle,
    porcupine,
)


@dataclass(frozen=True)
class Oracle:
    """One upstream format.  ``judge`` returns None for agreement, else what differs."""

    name: str
    recognises: Callable[[Path, Any], bool]  # content: parsed JSON, or None
    judge: Callable[[Path, Any], str | None]


ORACLES: list[Oracle] = [
    Oracle(
        "RFC 6962 probes",
        lambda path, content: merkle.recognises(content),
        lambda path, content: merkle.check(content),
    ),
    Oracle(
        "Ed25519 CCTV",
        lambda path, content: ed25519.recognises(content),
        lambda path, content: ed25519.check(content),
    ),
    Oracle(
        "etcd Raft quorums",
        lambda path, content: etcd_quorum.recognises(_text_of(path)),
        lambda path, content: etcd_quorum.check(_text_of(path)),
    ),
    Oracle(
        "etcd Raft configuration changes",
        lambda path, content: etcd_confchange.recognises(_text_of(path)),
        lambda path, content: etcd_confchange.check(_text_of(path)),
    ),
    Oracle(
        "recorded histories",
        lambda path, content: porcupine.recognises(_text_of(path)),
        lambda path, content: porcupine.check(path, _text_of(path)),
    ),
    Oracle(
        "etcd Raft interactions",
        lambda path, content: etcd_interaction.recognises(_text_of(path)),
        lambda path, content: etcd_interaction.check(_text_of(path)),
    ),
]


def _json_of(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return None


def _text_of(path: Path) -> str:
    """Return the file as text; bytes that are none stand as such and match no format."""
    return path.read_text(encoding="utf-8", errors="replace")


def judge(folder: Path) -> Iterator[tuple[Path, str | None, bool]]:
    """Yield (path, what is wrong or None, whether any oracle knew the format) per file."""
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        content = _json_of(path)
        oracle = next((item for item in ORACLES if item.recognises(path, content)), None)
        if oracle is None:
            yield path, None, False
            continue
        try:
            yield path, oracle.judge(path, content), True
        except (ValueError, TypeError, KeyError) as error:
            yield path, f"{oracle.name}: unreadable ({type(error).__name__})", True


def main(arguments: list[str]) -> int:
    """Judge the folder named by the only argument; return the exit code."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: python tests/conformance/run.py FOLDER", file=sys.stderr)
        return 2
    passed = failed = 0
    for path, wrong, known in judge(Path(arguments[0])):
        if not known:
            print(f"SKIP {path}")
        elif wrong is None:
            passed += 1
            print(f"PASS {path}")
        else:
            failed += 1
            print(f"FAIL {path}: {wrong}")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
