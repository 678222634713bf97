"""Play stories on real nodes: ``python tests/stories/run.py [--engine pbft] [NAME ...]``.

Stories with the same cast share one network, one after the other, each with handles of its
own.  What the nodes answer must be what the file says, hours, digests and heights aside; in
the end every member must have the same state root, and each stopped ledger must read back
sound.
"""

import argparse
import difflib
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.story_cluster import Processes, play

HERE = Path(__file__).resolve().parent


def stories(names: list[str]) -> list[Path]:
    """Return the acceptance stories, or those that are named."""
    if names:
        return [next(HERE.rglob(f"{name.removesuffix('.story')}.story")) for name in names]
    return sorted((HERE / "acceptance").glob("*.story"))


def cast_of(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("network "))


def run_cast(paths: list[Path], engine: str, directory: Path) -> int:
    """Play the stories of one cast; return how many failed."""
    world, failed = Processes(directory, engine), 0
    try:
        for path in paths:
            began = time.monotonic()
            wanted, said = play(path, world, salt=f"{path.stem}/")
            good = wanted == said
            failed += not good
            took = time.monotonic() - began
            print(f"{'ok    ' if good else 'FAILED'} {path.stem} ({engine}, {took:.1f} s)")
            if not good:
                lines = difflib.unified_diff(
                    wanted.splitlines(), said.splitlines(), "story", "nodes", lineterm=""
                )
                print("\n".join(lines))
        roots = world.roots()
        if len(roots) != 1:
            print(f"FAILED members disagree: {sorted(roots)}")
            failed += 1
    finally:
        world.down()
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="default: every acceptance story"
    )
    parser.add_argument("--engine", choices=["pbft", "raft"], default="pbft")
    options = parser.parse_args()
    casts: dict[str, list[Path]] = defaultdict(list)
    for path in stories(options.names):
        casts[cast_of(path)].append(path)
    failed = 0
    for paths in casts.values():
        with tempfile.TemporaryDirectory() as name:
            failed += run_cast(paths, options.engine, Path(name))
    count = sum(map(len, casts.values()))
    print(f"{count - failed} of {count} stories played on real nodes as they are written")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
