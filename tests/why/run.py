"""Play every fault of the table on real processes and see what ``why`` names first.

    python tests/why/run.py                 all of them, as a table
    python tests/why/run.py killed paused   those two
    python tests/why/run.py --table         and write what was played into the manual's table

Before each fault nothing is looked for; then the first cause must become the expected one, with
the member that it is about, within ``PATIENCE_S``, and still be it at the next look.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from node.errors import ChartsealError  # noqa: E402 - after the path is set
from tests.why.faults import FAULTS, Fault  # noqa: E402 - after the path is set
from tests.why.stage import Stage  # noqa: E402

PATIENCE_S: Final = 45.0
POLL_S: Final = 0.25
LEAST: Final = 28
STAGINGS: Final = 2  # another process may take a port between drawing it and the node's start
MANUAL: Final = ROOT / "deploy" / "docs" / "why.md"
BEGIN: Final = "<!-- faults: python tests/why/run.py --table -->"
END: Final = "<!-- end of faults -->"


@dataclass(frozen=True, slots=True)
class Outcome:
    """``first``: what was named in the end; ``after_s``: how long that took."""

    fault: Fault
    first: str | None
    member: str | None
    say: str
    after_s: float
    right: bool
    played: bool = True


def play(fault: Fault, directory: Path) -> Outcome:
    """Play one fault and return what was named."""
    with Stage(directory, engine=fault.engine) as stage:
        wanted = None if fault.names is None else stage.name(fault.names)
        fault.play(stage)
        began = time.monotonic()
        right_once = False
        while True:
            first = _first(stage, fault)
            right = first.get("id") == fault.expect and wanted in (None, first.get("member"))
            after = time.monotonic() - began
            if (right and right_once) or after > PATIENCE_S:
                say = str(first.get("say", ""))
                return Outcome(fault, first.get("id"), first.get("member"), say, after, right)
            right_once = right
            time.sleep(POLL_S)


def _first(stage: Stage, fault: Fault) -> dict[str, Any]:
    at = fault.ask if stage.asked is None else stage.asked
    causes = stage.why(at)["causes"]
    found: dict[str, Any] = causes[0] if causes else {}
    return found


def playable(fault: Fault) -> bool:
    return not fault.root or os.geteuid() == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--table", action="store_true", help="write it into the manual")
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if not options.names or fault.id in options.names]
    if unknown := set(options.names) - {fault.id for fault in FAULTS}:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    outcomes = []
    for fault in chosen:
        outcomes.append(_played(fault))
        item = outcomes[-1]
        verdict = "ok  " if item.right else "MISS" if item.played else "-   "
        print(
            f"{verdict} {fault.id:22} {fault.expect:22} {item.first or '-':22} "
            f"{item.after_s:5.1f} s  {item.say}"[:220],
            flush=True,
        )
    right, played = sum(o.right for o in outcomes), sum(o.played for o in outcomes)
    print(f"{right} of {played} named rightly")
    if options.table:
        write_table(outcomes)
    whole = not options.names
    return 0 if right == played or (whole and right >= LEAST) else 1


def _played(fault: Fault) -> Outcome:
    if not playable(fault):
        return Outcome(
            fault, None, None, "needs the super-user", 0.0, right=False, played=False
        )
    said = ""
    for _ in range(STAGINGS):
        with tempfile.TemporaryDirectory(prefix="why-") as directory:
            try:
                return play(fault, Path(directory))
            except (AssertionError, ChartsealError) as error:
                said = f"stage: {error}"[:200].replace("\n", " ")
    # The stage could not be set: a miss of ours, shown as one.
    return Outcome(fault, None, None, said, 0.0, right=False)


def write_table(outcomes: list[Outcome]) -> None:
    """Put the outcomes into the manual, misses and all; rows of other faults stay."""
    text = MANUAL.read_text()
    head, _, rest = text.partition(BEGIN)
    old, _, tail = rest.partition(END)
    rows = {line.split(" | ")[0]: line for line in old.splitlines() if line.startswith("| ")}
    rows |= {_row(item).split(" | ")[0]: _row(item) for item in outcomes}
    kept = [row for fault in FAULTS if (row := rows.get(f"| {fault.say}")) is not None]
    right = sum(" | yes | " in row for row in kept)
    lines = [
        BEGIN,
        "",
        f"{right} of {len(kept)} faults were named rightly.",
        "",
        "| fault | must be named | named | after |",
        "|---|---|---|---:|",
        *kept,
    ]
    MANUAL.write_text(head + "\n".join([*lines, "", END]) + tail)


def _row(item: Outcome) -> str:
    expected = f"[`{item.fault.expect}`](#{item.fault.expect})"
    named = f"`{item.first}`" if item.first else "nothing" if item.played else "not played"
    named = "yes" if item.right else f"**no**: {named}"
    return f"| {item.fault.say} | {expected} | {named} | {item.after_s:.1f} s |"


if __name__ == "__main__":
    raise SystemExit(main())
