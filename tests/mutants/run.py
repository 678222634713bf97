"""Hunt every mutant: ``python tests/mutants/run.py [--engine raft|pbft] [--only NAME]``.

Plays seeds 0, 1, 2, ... with each mutant planted until one fails, and prints how many it took.
``--ordinary`` plays the seeds that everybody plays in place of the mutant's own family.  Exits
with 1 when a mutant survives.
"""

import argparse
import importlib.util
import json
import multiprocessing
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.mutants.planting import Found, Mutant, hunt  # noqa: E402 - the path comes first

ENGINES = ("raft", "pbft")
Job = tuple[str, str, int, bool]


def mutants(engine: str) -> tuple[Mutant, ...]:
    """Return the mutants of ``engine``, in the order in which its module lists them."""
    name = f"tests.mutants.{engine}"
    if importlib.util.find_spec(name) is None:
        return ()
    listed: tuple[Mutant, ...] = importlib.import_module(name).MUTANTS
    return listed


def hunt_one(job: Job) -> tuple[Job, Found | None]:
    """Jobs name their mutant: what a mutant plants cannot be sent to another process."""
    engine, name, seeds_max, ordinary = job
    mutant = next(each for each in mutants(engine) if each.name == name)
    return job, hunt(mutant, seeds_max=seeds_max, focus="" if ordinary else None)


def row(mutant: Mutant, job: Job, found: Found | None) -> dict[str, Any]:
    result = {
        "engine": mutant.engine,
        "mutant": mutant.name,
        "source": mutant.source,
        "plans": "own" if mutant.play else ("" if job[3] else mutant.focus) or "ordinary",
        "found": found is not None,
        "seeds_played": job[2],
    }
    if found is not None:
        result |= asdict(found) | {"seeds_played": found.seeds}
    return result


def line(result: dict[str, Any]) -> str:
    """Return one row of the table."""
    found = result["found"]
    cells = (
        result["engine"],
        result["mutant"],
        result["source"],
        result["plans"],
        str(result["seeds"]) if found else f"none of {result['seeds_played']}",
        result["what"].replace("|", "/").splitlines()[0][:90] if found else "not found",
        f"{result['seconds']:.1f}" if found else "-",
    )
    return f"| {' | '.join(cells)} |"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=ENGINES)
    parser.add_argument("--only", action="append", metavar="NAME", help="part of a name")
    parser.add_argument("--seeds-max", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--ordinary", action="store_true", help="no families of plans")
    parser.add_argument("--report", type=Path, help="write the table as JSON")
    return parser.parse_args()


def main() -> int:
    wanted = options()
    engines = ENGINES if wanted.engine is None else (wanted.engine,)
    chosen = [each for engine in engines for each in mutants(engine)]
    if wanted.only:
        chosen = [each for each in chosen if any(part in each.name for part in wanted.only)]
    if not chosen:
        print("no such mutant")
        return 1
    known = {(each.engine, each.name): each for each in chosen}
    jobs = [(each.engine, each.name, wanted.seeds_max, wanted.ordinary) for each in chosen]
    print("| engine | mutant | source | plans | seeds to detection | found as | seconds |")
    print("|---|---|---|---|---|---|---|")
    results = []
    with multiprocessing.Pool(min(wanted.jobs, len(jobs))) as pool:
        for job, found in pool.imap(hunt_one, jobs):
            results.append(row(known[job[:2]], job, found))
            print(line(results[-1]), flush=True)
    if wanted.report is not None:
        wanted.report.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    missed = [each["mutant"] for each in results if not each["found"]]
    if missed:
        print(f"{len(missed)} not found: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
